//! # Cofferdam's core: the journey of a call as types and pure functions
//!
//! Depends on no runtime: nothing here opens a file, a socket or a sandbox. The rule of a stage is
//! here; its effect is in the crate that the table names. [`journey::ask`] runs the stages from
//! `discover` to `enqueue` in the gateway; their order is in `journey/stages.rs` alone. The runner
//! runs [`stage::readmit`] and trusts no other role.
//!
//! ## Life of a call
//!
//! | stage | file | consumes → makes | effect in |
//! |---|---|---|---|
//! | discover | `stage/discover.rs` | `RawCall → FoundCall` | `cofferdam`, `edge` |
//! | validate | `stage/validate.rs` | `FoundCall → ValidCall` | here |
//! | plan | `stage/plan.rs` | `Draft → Plan` | `sandbox` |
//! | seal | `stage/seal.rs` | `Plan → SealedPlan` | here |
//! | precheck | `stage/judge.rs` | `&SealedPlan → Precheck`, `Denial` | `sandbox` |
//! | read | `journey/read.rs` | `&SealedPlan → Reply` | viewer |
//! | preview | `stage/preview.rs` | `SealedPlan → PreviewedPlan` | viewer |
//! | judge | `stage/judge.rs` | `PreviewedPlan → ApprovedPlan`, `ApprovalNeeded`, `Denial` | `sandbox` |
//! | enqueue | `stage/enqueue.rs` | `ApprovedPlan → QueuedPlan`; `ApprovalNeeded → AskedPlan` | `recorder` |
//! | resume | `journey/resume.rs` | signed `StoredJob → ApprovedPlan` | `cofferdam`, `recorder` |
//! | readmit | `stage/readmit.rs` | `StoredJob → … → LeasedPlan` | `runner`, `sandbox` |
//! | run | `model/run.rs` | `LeasedPlan → Outcome` | `runner` |
//! | record | `model/record.rs` | any ending → `Recorded` | `recorder` |
//!
//! The rules of the stages, in the same order:
//!
//! - **discover**: the tool is known, pinned by digest, and visible to this caller.
//! - **validate**: schema and sizes; canonical arguments and their `ArgumentsDigest`.
//! - **plan**: the tool's draft, parsed and held against kinds, limits and the accepted ceiling.
//! - **seal**: canonical bytes and `PlanDigest`, without time and identity.
//! - **precheck**: policy over the plan alone; a denial here never reaches infrastructure.
//! - **read**: a plan that only reads ends here; results match the tool's output schema.
//! - **preview**: before, after and the expected state, of just this plan; `PreviewDigest`.
//! - **judge**: policy over plan and change; the floor; the approvals.
//! - **enqueue**: intent before effect; permit and job in one transaction with their entry.
//! - **resume**: after people signed, every stage again: the same digests, or nothing.
//! - **readmit**: the runner's own trust, clock, draft, preview and policy.
//! - **run**: one table of phases, numbered steps.
//! - **record**: one entry for each provable event, durable before it is told.
//!
//! ## Folders
//!
//! `model` has the nouns and names no other folder. `tool`, `policy`, `stage` and `journey` build
//! on it, each on those before it. `protocol` has one file for each pair of roles; `text` has every
//! text that agents and approvers read. A test of the repository holds this order.
//!
//! Proof types (`ApprovedPlan`, `ApprovalNeeded`, `Approvals`, `QueuedPlan`, `LeasedPlan`) have no
//! `Clone`, `Default`, `From` or `Deserialize`; `tests/compile_fail/` holds every forbidden step.

// In the order in which they build on each other.
pub mod model;

pub mod tool;

pub mod policy;

pub mod stage;

pub mod journey;

pub mod protocol;

pub mod text;

#[cfg(test)]
mod testing;
