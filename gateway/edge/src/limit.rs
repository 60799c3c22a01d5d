//! The limits that each caller has for itself, with their words. Counts nothing.

use std::time::Duration;

/// A limit of one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests a second, with a burst.
    Requests,
    /// Requests whose body is on its way.
    Bodies,
    /// Lists of tools in progress.
    Lists,
    /// Subscriptions.
    Streams,
    /// Calls in progress.
    Calls,
    /// Requests that are held for a person or for the end of a job.
    Waits,
}

impl Limit {
    /// The name in metrics and in log lines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Bodies => "bodies",
            Self::Lists => "lists",
            Self::Streams => "subscriptions",
            Self::Calls => "calls",
            Self::Waits => "waits",
        }
    }

    /// The key of the limit in the configuration, if it can be set.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::Requests => Some("limits.requests_per_second"),
            Self::Calls => Some("limits.calls"),
            Self::Waits => Some("limits.waits"),
            Self::Bodies | Self::Lists | Self::Streams => None,
        }
    }

    /// The state of a caller that is over the limit, as the second half of a sentence.
    pub fn describe(self, most: usize) -> String {
        match self {
            Self::Requests => format!("sends more than {most} requests a second"),
            Self::Bodies => format!("has {most} requests whose body is not there yet"),
            Self::Lists => format!("has {most} lists of tools in progress"),
            Self::Streams => format!("has {most} subscriptions in progress"),
            Self::Calls => format!("has {most} calls in progress"),
            Self::Waits => format!("has {most} requests that are held; ask without a wait"),
        }
    }
}

/// Whole seconds for `Retry-After`, rounded up: at least one.
pub fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[test]
fn a_pause_is_in_whole_seconds() {
    for (milliseconds, expected) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (9_500, 10)] {
        assert_eq!(seconds(Duration::from_millis(milliseconds)), expected);
    }
}
