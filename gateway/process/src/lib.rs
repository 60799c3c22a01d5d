//! Roles as processes: what they inherit, how they talk, and what the kernel keeps from them. The
//! only crate that names rustix, libc, landlock and seccomp. Knows no stage of the journey and
//! decides nothing.
//!
//! | file | what |
//! |---|---|
//! | `frame.rs` | how a message lies on a socket |
//! | `rpc.rs` | requests and answers over frames |
//! | `control.rs` | settings and sockets, handed to a role by its supervisor |
//! | `tether.rs` | the supervisor's hold on a role: it waits for no role |
//! | `signal.rs` | signals that a role does not obey |
//! | `notify.rs` | what a service manager is told |
//! | `spawn.rs` | starting a role with one socket and nothing else |
//! | `confine.rs` | Landlock, seccomp and resource limits |
//! | `secret.rs` | a key as a file holds it |
//! | `access.rs` | room of a file system, and whether a folder can be listed |
//! | `rooted_fs.rs` | files beneath one root, never through a link |
//! | `writable.rs` | whether files could be replaced, and what to do when not |

pub mod access;
pub mod confine;
pub mod control;
pub mod frame;
pub mod notify;
pub mod rooted_fs;
pub mod rpc;
pub mod secret;
pub mod signal;
pub mod spawn;
pub mod tether;
pub mod writable;

// Former names, until each crate has the new ones.
#[doc(hidden)]
pub use rooted_fs as beneath;
#[doc(hidden)]
pub use rpc as peer;
