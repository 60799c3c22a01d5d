//! The emergency stops of operators: a scope of calls that may not begin and may not go on, until an
//! operator lifts the stop. Never decides over a plan: a stop is no policy.

use super::record::Event;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most stops at once. An operator reads them as one list, and each claim looks at all of them.
pub const STOPS: usize = 64;

/// The most characters of a tool's or an agent's name. The longest name of a caller has an issuer and
/// a subject of 200 characters each.
pub const NAME: usize = 512;

/// The rule of the denial that an agent gets.
pub const STOPPED: &str = "stopped";

/// The calls of a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "scope", content = "name", deny_unknown_fields)]
pub enum StopScope {
    /// Every call.
    All,
    /// The calls of one tool, by its name.
    Tool(String),
    /// The calls of one agent, by its name.
    Agent(String),
}

impl StopScope {
    /// The word in the store, and the name; empty for all calls.
    pub fn columns(&self) -> (&'static str, &str) {
        match self {
            Self::All => ("all", ""),
            Self::Tool(name) => ("tool", name),
            Self::Agent(name) => ("agent", name),
        }
    }

    /// The scope of a row; `None` for an unknown word.
    pub fn of(word: &str, name: String) -> Option<Self> {
        match word {
            "all" => Some(Self::All),
            "tool" => Some(Self::Tool(name)),
            "agent" => Some(Self::Agent(name)),
            _ => None,
        }
    }

    /// Returns whether a call of this tool and this agent is in the scope.
    pub fn covers(&self, tool: &str, agent: &str) -> bool {
        match self {
            Self::All => true,
            Self::Tool(name) => name == tool,
            Self::Agent(name) => name == agent,
        }
    }

    /// The option of `cofferdam stop` and `cofferdam resume`.
    pub fn option(&self) -> String {
        match self {
            Self::All => "--all".to_owned(),
            Self::Tool(name) => format!("--tool {name}"),
            Self::Agent(name) => format!("--agent {name}"),
        }
    }
}

impl fmt::Display for StopScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("every call"),
            Self::Tool(name) => write!(f, "the tool `{name}`"),
            Self::Agent(name) => write!(f, "the agent `{name}`"),
        }
    }
}

/// A stop of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The stopped calls.
    pub calls: StopScope,
    /// The reason of the operator, 1 to [`super::limit::PURPOSE`] visible characters. Agents read
    /// it.
    pub because: String,
    /// The operating-system user, or the person at the console.
    pub by: String,
    /// The time of the stop.
    pub since: Timestamp,
}

impl Stop {
    /// The cause for an agent, one sentence without its full stop.
    pub fn why(&self) -> String {
        format!("an operator stopped {}: {}", self.calls, self.because)
    }

    /// The warning for operators, with the remedy.
    pub fn warning(&self) -> String {
        format!(
            "{} is stopped since {:.0} by {}: {}; `cofferdam resume {}` lifts the stop",
            self.calls,
            self.since,
            self.by,
            self.because,
            self.calls.option()
        )
    }
}

/// The stop that covers a call of this tool and this agent, the oldest first.
pub fn covering<'a>(stops: &'a [Stop], tool: &str, agent: &str) -> Option<&'a Stop> {
    stops.iter().find(|stop| stop.calls.covers(tool, agent))
}

/// Returns whether this event gives an agent a result, or lets a job begin. Each other event of a
/// stopped call is recorded: its end is a fact.
pub fn is_stopped(event: &Event) -> bool {
    match event {
        Event::Ended { ending, .. } => {
            matches!(ending.as_str(), "answered" | "looked" | "previewed")
        }
        Event::Asked | Event::Intended => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_covers_its_scope_alone() {
        let of = |name: &str| name.to_owned();
        for (scope, covered) in [
            (StopScope::All, [true, true, true]),
            (StopScope::Tool(of("scale")), [true, true, false]),
            (StopScope::Agent(of("bot")), [true, false, true]),
        ] {
            let calls = [("scale", "bot"), ("scale", "other"), ("delete", "bot")];
            assert_eq!(calls.map(|(tool, agent)| scope.covers(tool, agent)), covered, "{scope}");
            let (word, name) = scope.columns();
            assert_eq!(StopScope::of(word, name.to_owned()), Some(scope));
        }
        assert_eq!(StopScope::of("team", of("a")), None);
    }

    #[test]
    fn results_are_stopped_and_ends_are_recorded() {
        let ended = |ending: &str| Event::Ended { ending: ending.to_owned(), code: String::new() };
        for stopped in ["answered", "looked", "previewed"] {
            assert!(is_stopped(&ended(stopped)), "{stopped}");
        }
        for recorded in ["denied", "refused", "failed", "busy"] {
            assert!(!is_stopped(&ended(recorded)), "{recorded}");
        }
        assert!(is_stopped(&Event::Asked) && is_stopped(&Event::Intended));
    }
}
