//! Proofs do not come out of nothing.
use cofferdam_core::stage::judge::ApprovedPlan;
use cofferdam_core::stage::readmit::LeasedPlan;
use cofferdam_core::stage::enqueue::QueuedPlan;

fn out_of_nothing<T: Default>() {}

fn main() {
    out_of_nothing::<ApprovedPlan>();
    out_of_nothing::<QueuedPlan>();
    out_of_nothing::<LeasedPlan>();
}
