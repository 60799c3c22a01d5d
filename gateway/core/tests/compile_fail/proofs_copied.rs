//! Proofs are used once: none of them can be copied.
use cofferdam_core::decide::readmit::LeasedPlan;
use cofferdam_core::decide::{ApprovalNeeded, ApprovedPlan, Approvals};
use cofferdam_core::enqueue::QueuedPlan;

fn copies<T: Clone>() {}

fn main() {
    copies::<ApprovedPlan>();
    copies::<ApprovalNeeded>();
    copies::<Approvals>();
    copies::<QueuedPlan>();
    copies::<LeasedPlan>();
}
