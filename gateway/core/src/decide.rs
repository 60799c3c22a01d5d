//! The decision: what policy is asked, what it may answer, and the only place an approval of a plan is made. Never evaluates Rego itself.
//!
//! Words follow the AuthZEN Authorization API 1.0 (`subject`, `action`, `resource`, `context`). Every key is always present.

mod ask;
mod digest;
mod eligible;
mod input;
mod largest;
mod outdated;
mod output;
pub mod readmit;
pub mod rule;
#[cfg(test)]
mod schema;
mod signed;

pub use ask::{Asking, context, list_question, on_sight_question, question};
pub use digest::{CALL_ENTRYPOINT, LIST_ENTRYPOINT, policy_digest};
pub use eligible::askable;
pub use input::*;
pub use largest::{Asker, Largest, largest};
pub use outdated::outdated;
pub use output::*;
pub use rule::{ApprovalNeeded, ApprovedPlan, Denial, Sight, Verdict, judge, judge_on_sight};
pub use signed::Approvals;

#[cfg(test)]
mod tests;
