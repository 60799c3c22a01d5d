//! A stage consumes what it is given: a plan cannot be sealed twice, nor judged twice.
use cofferdam_core::stage::judge::judge;
use cofferdam_core::stage::question::Asking;
use cofferdam_core::stage::seal::hash;
use cofferdam_core::stage::plan::Plan;
use cofferdam_core::stage::preview::PreviewedPlan;
use cofferdam_core::model::trust::{Environment, Floor};

fn seal_twice(plan: Plan, environment: &Environment) {
    let _first = hash(plan, &serde_json::Value::Null, environment);
    let _second = hash(plan, &serde_json::Value::Null, environment);
}

fn judge_twice(plan: PreviewedPlan, asking: Asking, floor: &Floor, now: jiff::Timestamp) {
    let _first = judge("{}", plan, asking.clone(), floor, None, now);
    let _second = judge("{}", plan, asking, floor, None, now);
}

fn main() {}
