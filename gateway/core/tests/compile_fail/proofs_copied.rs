//! Proofs are used once: none of them can be copied.
use cofferdam_core::stage::readmit::LeasedPlan;
use cofferdam_core::policy::approvals::Approvals;
use cofferdam_core::stage::judge::{ApprovalNeeded, ApprovedPlan};
use cofferdam_core::stage::enqueue::QueuedPlan;

fn copies<T: Clone>() {}

fn main() {
    copies::<ApprovedPlan>();
    copies::<ApprovalNeeded>();
    copies::<Approvals>();
    copies::<QueuedPlan>();
    copies::<LeasedPlan>();
}
