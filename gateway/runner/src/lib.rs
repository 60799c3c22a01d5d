//! # Looks at infrastructure and acts on it, in two roles: `viewer` and `runner`
//!
//! Never faces agents, never opens the store, and holds no Wasm engine: what computes for it is a
//! process of its own. It trusts no other role: everything that came with a job is derived again
//! before anything is touched.
//!
//! | file | what |
//! |---|---|
//! | `admit.rs` | a stored job, checked again with the runner's own means |
//! | `act.rs` | one job from claim to closed; `act/drive.rs` the executor's turn, `act/recover.rs` a lost runner's job |
//! | `lease.rs` | the lease, and what is reported under it |
//! | `guest.rs` | processes that compute |
//! | `host.rs` | values that only the runner knows |
//! | `backend.rs` | where effects go, one set of verbs |
//! | `directory.rs` | a tree of manifests as infrastructure |
//! | `kubernetes.rs` | a cluster as infrastructure |
//! | `within.rs`, `sum.rs` | how far a viewer looks, and how much it shows |
//! | `describe.rs`, `rest.rs` | what a delete shows; what else an object has |
//! | `effect.rs`, `refusal.rs`, `ending.rs` | why something did not happen, why it cannot be had, what became of a job |

pub mod act;
pub mod admit;
pub mod backend;
pub mod describe;
pub mod directory;
pub mod effect;
pub mod ending;
pub mod guest;
pub mod host;
pub mod kubernetes;
pub mod lease;
pub mod refusal;
pub mod rest;
pub mod sum;
pub mod within;
