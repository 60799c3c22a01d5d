//! The agents that were served, each with its budgets and what it used today.

use super::ConsoleError;
use crate::service::Recorder;
use crate::waiters::locked;
use cofferdam_core::protocol::console::{AGENTS_MOST, AgentRow, ConsoleAnswer};

impl Recorder {
    /// The agents, the last used first.
    pub(super) async fn agents(&self) -> Result<ConsoleAnswer, ConsoleError> {
        let mut served = self.inner.reader.served().await?;
        let more = served.len() > AGENTS_MOST;
        served.truncate(AGENTS_MOST);
        let limits = locked(&self.inner.shared.gateways).limits();
        let names: Vec<&str> = served.iter().map(|caller| caller.name.as_str()).collect();
        let used = self.inner.reader.used_today(&names, self.now()).await?;
        let agents = served.into_iter().map(|caller| {
            let own = used.get(&caller.name).copied().unwrap_or_default();
            AgentRow {
                budgets: self.inner.settings.budgets.with(&limits.of(&caller.roles)),
                name: caller.name,
                roles: caller.roles,
                person: caller.person,
                used: caller.used,
                jobs_today: own.jobs,
                bytes_today: own.bytes,
                waiting: own.waiting,
            }
        });
        Ok(ConsoleAnswer::Agents { agents: agents.collect(), more })
    }
}
