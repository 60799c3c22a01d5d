//! Open access: callers without a token are served only if no agent was configured since the start.
//! The supervisor remembers this for a restarted gateway.

use crate::config::{Agents, Installation};

/// Returns whether no agent was configured since the start. An unreadable file counts as an agent.
pub(super) fn no_agent(installation: &Installation) -> bool {
    let home = &installation.home;
    !home.agents_mark().exists()
        && Agents::read(&home.agents()).is_ok_and(|agents| agents.list().is_empty())
}

/// Removes, at the start, the mark of an earlier agent if no agent is configured.
pub(super) fn open_again(installation: &Installation) {
    let mark = installation.home.agents_mark();
    if installation.agents.list().is_empty()
        && let Err(error) = std::fs::remove_file(&mark)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %mark.display(), %error,
        "callers without a token are refused, because this file cannot be removed");
    }
}
