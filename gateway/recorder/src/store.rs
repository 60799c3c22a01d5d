//! The store: opened by one process, written by one task, changed only by plain data. Only the
//! handlers use it.

mod again;
mod approvals;
mod batch;
mod busy;
mod callers;
mod calls;
pub mod change;
mod engine;
mod enqueue;
pub mod examine;
mod expire;
mod invitations;
mod lease;
pub mod migrate;
pub mod open;
mod open_files;
mod outbox;
mod read;
mod reopen;
mod retain;
mod retire;
mod row;
mod run;
mod same_call;
mod source;
pub(crate) mod sql;
mod stops;
mod usage;
mod writer;

#[cfg(test)]
mod plans;

pub(crate) use batch::{ChangeError, Head, put_checkpoint, put_tiles};
pub(crate) use engine::Engine;
pub use engine::ExaminedDatabase;
pub use invitations::Invite;
pub(crate) use invitations::used_up;
pub(crate) use lease::count_queued;
pub(crate) use outbox::{Due, Turn};
pub(crate) use read::{CallQuery, LeafRow, Reader, WaitingRow, summary};
pub(crate) use same_call::SameCall;
pub use source::database;
pub(crate) use source::{Source, StoredLease, described, tried};
pub(crate) use stops::stops;
pub(crate) use usage::Usage;
pub(crate) use writer::{Request, WAITING, Writer};
