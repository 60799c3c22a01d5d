//! Notifications to people: the event, the call, and where they are sent. Plain data: it has no
//! credential, and nothing in it approves a call.

use crate::model::id::CallId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An event that people are told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyEvent {
    /// A call waits for a person.
    ApprovalNeeded,
    /// Further people may sign a call that waits.
    Escalated,
    /// A question to people ends soon.
    ApprovalExpiring,
    /// A call ended because it was not approved, or not run, in time.
    Expired,
    /// The outcome of a call is not known: a person has to resolve it.
    Indeterminate,
    /// A job cannot be finished, or its teardown cannot be, for about a minute.
    JobStuck,
    /// The ledger takes no entries, or no new work: no call runs.
    LedgerUnwritable,
    /// An admission policy of the cluster is missing or does not hold: no job runs.
    FenceMissing,
    /// A person tests the way to a receiver.
    Test,
}

/// The events that a configuration can name.
pub const NOTIFY_EVENTS: [NotifyEvent; 8] = [
    NotifyEvent::ApprovalNeeded,
    NotifyEvent::Escalated,
    NotifyEvent::ApprovalExpiring,
    NotifyEvent::Expired,
    NotifyEvent::Indeterminate,
    NotifyEvent::JobStuck,
    NotifyEvent::LedgerUnwritable,
    NotifyEvent::FenceMissing,
];

impl NotifyEvent {
    /// The word of the configuration, of the store and of messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::ApprovalNeeded => "approval_needed",
            Self::Escalated => "escalated",
            Self::ApprovalExpiring => "approval_expiring",
            Self::Expired => "expired",
            Self::Indeterminate => "indeterminate",
            Self::JobStuck => "job_stuck",
            Self::LedgerUnwritable => "ledger_unwritable",
            Self::FenceMissing => "fence_missing",
            Self::Test => "test",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        NOTIFY_EVENTS.into_iter().chain([Self::Test]).find(|event| event.word() == word)
    }
}

impl fmt::Display for NotifyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A place where people are told, as far as the recorder knows it: without its address and its
/// credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// The name of the configuration.
    pub name: String,
    /// The events that it is told.
    pub events: Vec<NotifyEvent>,
}

/// One notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notification {
    /// The id, the same for each try and for each receiver: a receiver can drop a second copy.
    pub id: String,
    /// The event.
    pub event: NotifyEvent,
    /// The time of the event.
    pub time: Timestamp,
    /// The call; `None` if it is about the installation.
    pub call: Option<NotifiedCall>,
    /// The cause and its remedy in words; empty if there is nothing more to say.
    pub detail: String,
}

/// The call of a notification, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifiedCall {
    /// The id of the call.
    pub call: CallId,
    /// The name of the agent.
    pub agent: String,
    /// The person that the agent acts for.
    pub person: Option<String>,
    /// The name of the tool.
    pub tool: String,
    /// The summary that the tool gave; empty if it was erased.
    pub summary: String,
    /// The number of people who have to sign; `None` if no person is asked.
    pub quorum: Option<u32>,
    /// The end of the question or of the permit.
    pub expires: Timestamp,
}

/// The deliveries to one receiver so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverState {
    /// The name of the configuration.
    pub name: String,
    /// The notifications that wait.
    pub waiting: u64,
    /// The delivered notifications.
    pub delivered: u64,
    /// The failed tries.
    pub failed: u64,
    /// The notifications that were given up.
    pub dropped: u64,
    /// The outdated notifications: the question was answered or ended, or the cause was removed,
    /// before the receiver took them.
    pub over: u64,
    /// The error of the newest try, if notifications that failed wait.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_one_word_everywhere() {
        for event in NOTIFY_EVENTS.into_iter().chain([NotifyEvent::Test]) {
            assert_eq!(NotifyEvent::from_word(event.word()), Some(event));
            assert_eq!(serde_json::to_value(event).unwrap(), event.word());
        }
        assert_eq!(NotifyEvent::from_word("approved"), None);
    }
}
