//! # The recorder: jobs, approvals and the ledger
//!
//! The only code that opens the store, orders the ledger and has the checkpoint key. Knows no
//! socket, no Wasm and no infrastructure: the binary connects [`Recorder`] to sockets, with one
//! [`RunnerSeat`] for each runner.
//!
//! | part | file | what |
//! |---|---|---|
//! | handlers | `service/` | what gateway, runners and operators may ask, checked |
//! | changes | `store/change.rs` | every change as plain data |
//! | the writer | `store/writer.rs` | one task, one transaction for all who wait |
//! | the ledger | `ledger/` | tree, tiles, checkpoints, proofs, and checking them offline |

mod approver_reads;
mod backlog;
mod fresh_preview;
mod gateways;
mod leases;
pub mod ledger;
mod over_limits;
mod remedy;
mod service;
pub mod settings;
mod store;
mod waiters;

pub use backlog::QUEUED;
pub use leases::KEPT_MS;
pub use ledger::note::ORIGIN;
pub use service::{GatewaySeat, Recorder, RoleSeat, RunnerSeat};
pub use settings::{Database, RecorderContext, TrustNow};
pub use store::ExaminedDatabase;
pub use store::database;
pub use store::examine::{ExamineError, Examined, examine, examine_database};
pub use store::migrate;
pub use store::open::OpenError;
