//! Roles as processes: start, inherited descriptors, messages between roles, and confinement by the
//! kernel. The only crate that names rustix, libc, landlock and seccompiler. Knows no stage of the
//! journey and decides nothing.
//! | file | content |
//! |---|---|
//! | `frame.rs` | the form of a message on a socket |
//! | `rpc.rs` | requests and responses over frames |
//! | `answering.rs` | the loop of a role that only answers the gateway |
//! | `control.rs` | settings, sockets and orders from the supervisor to a role |
//! | `tether.rs` | the supervisor's queue for one role; it never waits for the role |
//! | `signal.rs` | the signals that a role ignores |
//! | `notify.rs` | notifications to a service manager |
//! | `spawn.rs` | the start of a role with one socket and nothing else |
//! | `confine.rs` | Landlock, seccomp and resource limits |
//! | `secret.rs` | a key in a file |
//! | `access.rs` | the room of a file system, and the right to list a folder |
//! | `rooted_fs.rs` | files beneath one root, never through a link |
//! | `tcp.rs` | the options of a TCP connection between hosts |
//! | `watch.rs` | changes of folders, as the kernel reports them |
//! | `writable.rs` | checks that files can be replaced, and the remedy if not |

pub mod access;
pub mod answering;
pub mod confine;
pub mod control;
pub mod frame;
pub mod notify;
pub mod rooted_fs;
pub mod rpc;
pub mod secret;
pub mod signal;
pub mod spawn;
pub mod tcp;
pub mod tether;
pub mod watch;
pub mod writable;
