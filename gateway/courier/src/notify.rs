//! Sends notifications: takes them from the outbox of the recorder, one task for each receiver, so
//! that a dead server holds up no other. A notification is reported as delivered only after its
//! server took it. Never makes a notification, except that the ledger cannot be written, which the
//! outbox cannot store.
//!
//! | file | what |
//! |---|---|
//! | `receiver.rs` | one receiver: its secret, its address, and how a message is sent |
//! | `signature.rs` | the signature of a webhook |
//! | `web_format.rs` | the bodies for webhooks, Slack, Teams, ntfy and PagerDuty |
//! | `mail.rs` | the message and the way of e-mail |
//! | `turns.rs` | the pauses, and what each task does |

mod mail;
mod receiver;
mod signature;
mod turns;
mod web_format;

pub use receiver::{Receiver, SendError};
pub use turns::{Outbox, Pauses, Teller};
