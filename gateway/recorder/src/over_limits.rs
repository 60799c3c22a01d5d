//! The agents that were over a limit of their own a short time ago, for the status. Only in memory.

use cofferdam_core::model::escape::line;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The time for which the status names an agent after its last refusal.
const NAMED: Duration = Duration::from_secs(600);

/// Most agents and limits that are remembered.
const MOST: usize = 32;

/// Most characters of a name that are shown.
const NAME: usize = 100;

/// The last refusal of each agent and limit.
#[derive(Debug, Default)]
pub(crate) struct OverLimits(BTreeMap<(String, String), Instant>);

impl OverLimits {
    /// Remembers these agents with their limits.
    pub fn add(&mut self, agents: Vec<(String, String)>, now: Instant) {
        self.0.retain(|_, last| now.saturating_duration_since(*last) < NAMED);
        for over in agents {
            if self.0.len() < MOST || self.0.contains_key(&over) {
                self.0.insert(over, now);
            }
        }
    }

    /// A sentence for each agent and limit.
    pub fn warnings(&self, now: Instant) -> Vec<String> {
        let recent =
            self.0.iter().filter(|(_, last)| now.saturating_duration_since(**last) < NAMED);
        recent
            .map(|((agent, limit), _)| {
                let agent: String = line(agent).chars().take(NAME).collect();
                format!(
                    "agent `{agent}` was over its limit `{limit}` in the last {} minutes, and got \
                     429; look at what it does, or raise the limit in `[limits]`",
                    NAMED.as_secs() / 60
                )
            })
            .collect()
    }
}

#[test]
fn an_agent_is_named_for_some_minutes_and_few_are() {
    let (mut overs, start) = (OverLimits::default(), Instant::now());
    let over = |name: String| vec![(name, "requests".to_owned())];
    overs.add(over("alice".to_owned()), start);
    assert!(overs.warnings(start)[0].contains("`alice` was over its limit `requests`"));
    for number in 0..100 {
        overs.add(over(format!("agent {number}")), start);
    }
    assert_eq!(overs.warnings(start).len(), MOST);
    assert_eq!(overs.warnings(start + NAMED), [""; 0]);
    overs.add(over("bob".to_owned()), start + NAMED);
    assert_eq!(overs.warnings(start + NAMED).len(), 1);
}
