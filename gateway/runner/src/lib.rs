//! # Carries out jobs: the library behind the roles `viewer`, `runner` and `reaper`
//!
//! Never faces agents, never opens the store, and has no Wasm engine: components run in a guest
//! process. Trusts no other role: everything in a stored job is derived again before the first
//! effect. Knows backends by their trait alone; only the binary names them.
//!
//! | file | content |
//! |---|---|
//! | `admit.rs` | a stored job, checked again with the runner's own tools, policy and trust file |
//! | `job.rs` | one job from claim to closed |
//! | `job/executor.rs`, `job/recover.rs` | the executor of a job; the job of a lost runner |
//! | `lease.rs` | the lease, and reports to the recorder under it |
//! | `guest_process.rs` | processes that run components |
//! | `trust_file.rs`, `loaded_trust.rs` | a role's own trust file; that of the viewer across loads |

pub mod admit;
pub mod guest_process;
pub mod job;
pub mod lease;
pub mod loaded_trust;
pub mod trust_file;
