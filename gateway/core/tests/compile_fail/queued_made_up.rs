//! Nothing is queued without an approved plan.
use cofferdam_core::stage::enqueue::QueuedPlan;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::stage::preview::PreviewedPlan;
use cofferdam_core::model::record::Entry;

fn forge(job: StoredJob, entry: Entry, plan: PreviewedPlan) -> QueuedPlan {
    QueuedPlan { job, entry, plan }
}

fn main() {}
