//! Only the readmission makes a leased plan.
use cofferdam_core::decide::readmit::LeasedPlan;
use cofferdam_core::permit::Permit;
use cofferdam_core::preview::PreviewedPlan;

fn forge(plan: PreviewedPlan, permit: Permit) -> LeasedPlan {
    LeasedPlan { plan, permit, meanwhile: vec![], unchanged: false }
}

fn main() {}
