//! # Cofferdam's core: the journey of a call as types and pure functions
//!
//! Names no runtime: nothing here opens a file, a socket or a sandbox. The rule of a stage lives here, its effect in the crate the table names.
//! `journey::ask` runs the stages from `discover` to `enqueue` in the gateway; the runner walks `decide::readmit` instead of believing it.
//!
//! ## Life of a call
//!
//! | stage | file | consumes → makes | rule | its effect lives in |
//! |---|---|---|---|---|
//! | discover | `discover.rs` | `RawCall → FoundCall` | the tool is known, pinned by digest, and visible to this caller by the list decision | `cofferdam` (catalog), `sandbox` (list decision), `edge` (MCP) |
//! | validate | `validate.rs` | `FoundCall → ValidCall` | schema and sizes; the purpose taken out; canonical arguments and `ArgumentsDigest` | here |
//! | plan | `plan.rs` | `Draft → Plan` | the tool's draft for these arguments, parsed and held against kinds, limits and the accepted ceiling | `sandbox` (runs the tool) |
//! | hash | `hash.rs` | `Plan → SealedPlan` | canonical bytes and `PlanDigest`, without time and identity | here |
//! | decide on sight | `decide/rule.rs` | `&SealedPlan → Sight` or `Denial` | policy over the plan alone: what is denied here never reaches the infrastructure | `sandbox` (policy) |
//! | look | `journey/look.rs` | `&SealedPlan → Reply` | a plan that looks ends here: results held against the tool's output schema | `runner` (role `viewer`) |
//! | preview | `preview.rs` | `SealedPlan → PreviewedPlan` | before, after and what is expected, of just this plan; `PreviewDigest` | `runner` (role `viewer`) |
//! | decide | `decide/rule.rs` | `PreviewedPlan → ApprovedPlan`, `ApprovalNeeded` or `Denial` | policy over plan and change; the floor; who signed | `sandbox` (policy) |
//! | enqueue | `enqueue.rs` | `ApprovedPlan → QueuedPlan`; `ApprovalNeeded → AskedPlan` | intent before effect: permit and job in one transaction with their entry | `recorder` |
//! | resume | `journey/resume.rs` | signed `StoredJob → ApprovedPlan` | after people signed: all of the above again, same digests or nothing | `cofferdam`, `recorder` |
//! | readmit | `decide/readmit.rs` | `StoredJob → Opened → Derived → Question → LeasedPlan` | the runner's own trust, clock, draft, preview and policy; it trusts no other role | `runner`, `sandbox` (as `guest`) |
//! | run | `run.rs` | `LeasedPlan → Outcome` | one table of phases, numbered steps | `runner` |
//! | record | `record.rs` | any ending → `Recorded` | one leaf per thing that must be provable, before anybody is told | `recorder` |
//!
//! Texts for models and people are made in `shown.rs`, rights in `rights.rs`, both from the plan alone. Proof types (`ApprovedPlan`,
//! `ApprovalNeeded`, `Approvals`, `QueuedPlan`, `LeasedPlan`) have no `Clone`, `Default`, `From` or `Deserialize`; `tests/compile_fail/` holds
//! every forbidden step.

pub mod answer;
pub mod approval;
pub mod artefact;
pub mod block;
pub mod caller;
pub mod ceiling;
pub mod decide;
pub mod discover;
pub mod enqueue;
pub mod exchange;
pub mod hash;
pub mod id;
pub mod job;
pub mod journey;
pub mod json;
pub mod kind;
pub mod left_out;
pub mod limit;
pub mod near;
pub mod operation;
pub mod path;
pub mod permit;
pub mod plan;
pub mod ports;
pub mod preview;
pub mod record;
pub mod rights;
pub mod run;
pub mod settings;
pub mod shown;
pub mod text;
pub mod trust;
pub mod validate;

#[cfg(test)]
mod testing;
