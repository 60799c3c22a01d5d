//! Courier → recorder: takes the notifications of a receiver, one at a time, and reports each
//! delivery. Its sender can make no notification, and reads nothing else of the store.

use crate::model::notification::Notification;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Most characters of a reported error: a sentence.
pub const ERROR: usize = 300;

/// The longest pause that a receiver can ask for, in milliseconds: an hour. A longer one would keep
/// people from questions that wait for them.
pub const LONGEST_RETRY_AFTER_MS: u64 = 3_600_000;

/// A request of the courier to the recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum Collect {
    /// The next notification of a receiver. Answered by [`Collected::Next`] as soon as there is
    /// one, or after the wait.
    Next {
        /// The name of the receiver.
        receiver: String,
        /// Wait at most this long, in milliseconds.
        wait_ms: u64,
    },
    /// A notification was delivered. Answered by [`Collected::Noted`].
    Delivered {
        /// The name of the receiver.
        receiver: String,
        /// The number of the delivery.
        delivery: u64,
    },
    /// A try failed: the same notification comes again after a pause. Answered by
    /// [`Collected::Noted`].
    Failed {
        /// The name of the receiver.
        receiver: String,
        /// The number of the delivery.
        delivery: u64,
        /// The cause and its remedy, at most [`ERROR`] characters. Never a credential.
        error: String,
        /// The pause that the server asked for, in milliseconds, at most
        /// [`LONGEST_RETRY_AFTER_MS`]; 0 if it asked for none.
        retry_after_ms: u64,
    },
}

/// A response of the recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer", deny_unknown_fields)]
pub enum Collected {
    /// The next notification.
    Next {
        /// `None` if there was none within the wait.
        delivery: Option<Box<Delivery>>,
        /// Set while the ledger takes no entries or no new work. The outbox cannot store this.
        unwritable: Option<Unwritable>,
    },
    /// The report was stored.
    Noted,
}

/// A notification that waits for a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The number of the delivery.
    pub number: u64,
    /// The notification.
    pub notification: Notification,
}

/// The ledger takes no entries, or no new work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unwritable {
    /// The time since when.
    pub since: Timestamp,
    /// Path, cause and remedy.
    pub why: String,
}
