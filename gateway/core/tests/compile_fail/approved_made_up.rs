//! Only the decision makes an approved plan.
use cofferdam_core::decide::{ApprovedPlan, Asking};
use cofferdam_core::preview::PreviewedPlan;

fn forge(plan: PreviewedPlan, asking: Asking, now: jiff::Timestamp) -> ApprovedPlan {
    ApprovedPlan { plan, asking, reasons: Vec::new(), approvers: Vec::new(), unchanged: false, issued: now, expires: now }
}

fn main() {}
