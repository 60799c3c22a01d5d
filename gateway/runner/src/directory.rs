//! A directory of Kubernetes manifests (a GitOps checkout) as infrastructure. Writes files, never git history.
//!
//! | file | what |
//! |---|---|
//! | `tree.rs` | the files beneath the root |
//! | `read.rs` | one file, read in one way only or named |
//! | `index.rs` | which object is where |
//! | `preview.rs` | what operations would change |
//! | `look.rs` | what the viewer answers |
//! | `namespace.rs` | the private copy of a job |
//! | `journal.rs` | writing back, all or nothing |
//! | `edit.rs` | named values changed, every other byte kept |

pub mod edit;
pub mod index;
pub mod journal;
pub mod look;
pub mod namespace;
pub mod preview;
pub mod read;
pub mod tree;
