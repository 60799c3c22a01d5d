//! Nothing is queued without an approved plan.
use cofferdam_core::enqueue::QueuedPlan;
use cofferdam_core::job::StoredJob;
use cofferdam_core::preview::PreviewedPlan;
use cofferdam_core::record::Entry;

fn forge(job: StoredJob, entry: Entry, plan: PreviewedPlan) -> QueuedPlan {
    QueuedPlan { job, entry, plan }
}

fn main() {}
