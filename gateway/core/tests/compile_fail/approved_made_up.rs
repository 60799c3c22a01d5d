//! Only the decision makes an approved plan.
use cofferdam_core::stage::judge::ApprovedPlan;
use cofferdam_core::stage::question::Asking;
use cofferdam_core::stage::preview::PreviewedPlan;

fn forge(plan: PreviewedPlan, asking: Asking, now: jiff::Timestamp) -> ApprovedPlan {
    ApprovedPlan { plan, asking, reasons: Vec::new(), approvers: Vec::new(), unchanged: false,
    issued: now, expires: now }
}

fn main() {}
