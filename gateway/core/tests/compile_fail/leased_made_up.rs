//! Only the readmission makes a leased plan.
use cofferdam_core::stage::readmit::LeasedPlan;
use cofferdam_core::model::permit::Permit;
use cofferdam_core::stage::preview::PreviewedPlan;

fn forge(plan: PreviewedPlan, permit: Permit) -> LeasedPlan {
    LeasedPlan { plan, permit, meanwhile: vec![], unchanged: false }
}

fn main() {}
