//! Whether callers without a token may come in: only while no agent is configured, and none was
//! since the start. What a gateway that was started again cannot know, the supervisor remembers for
//! it.

use crate::config::{Agents, Installation};

/// Returns whether no agent is configured, and none was since the start. One that cannot be read
/// closes the door too.
pub(super) fn no_agent(installation: &Installation) -> bool {
    let home = &installation.home;
    !home.agents_mark().exists()
        && Agents::read(&home.agents()).is_ok_and(|agents| agents.list().is_empty())
}

/// Forgets at the start that there was an agent, if there is none any more.
pub(super) fn open_again(installation: &Installation) {
    let mark = installation.home.agents_mark();
    if installation.agents.list().is_empty()
        && let Err(error) = std::fs::remove_file(&mark)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %mark.display(), %error, "callers without a token are refused, because this file cannot be removed");
    }
}
