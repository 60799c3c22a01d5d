//! A Kubernetes cluster as infrastructure. Each identity has its own client; nothing here ever uses an administrator's, and nothing believes a
//! cluster's discovery: kinds come from the pinned table.
//!
//! | file | what |
//! |---|---|
//! | `credential.rs` | a kubeconfig, read without running anything |
//! | `api.rs` | one identity's requests: deadlines, retries, what an answer means |
//! | `check.rs` | what must be refused before a role starts |
//! | `path.rs` | where objects are in the API |
//! | `object.rs` | what of an object counts |

pub mod api;
pub mod check;
pub mod credential;
pub mod object;
pub mod path;
