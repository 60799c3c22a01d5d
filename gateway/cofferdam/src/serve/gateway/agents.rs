//! Who a token is: `agents.toml`, read again when it changes, so that an agent that was just added works at once and one that was removed does not.
//! Holds digests of tokens, never a token.

use crate::config::{Agent, Agents};
use anyhow::{Context as _, Result};
use cofferdam_core::caller::Principal;
use cofferdam_core::ports::Unauthenticated;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The agents file with what was last read of it.
pub struct AgentsFile {
    path: PathBuf,
    read: Mutex<Read>,
}

struct Read {
    changed: Option<(SystemTime, u64)>,
    agents: Agents,
    /// Callers without a token are served. Never again, once there was an agent: removing the last one must not let it in by another door.
    anonymous: bool,
}

impl AgentsFile {
    /// Reads the file once; one that is not readable stops the start. `loopback`: only this machine can reach the edge.
    pub fn open(path: PathBuf, loopback: bool) -> Result<Self> {
        let agents = Agents::read(&path).map_err(|fault| anyhow::anyhow!("{fault}")).context("the agents file is not readable")?;
        let anonymous = loopback && agents.list().is_empty();
        Ok(Self { read: Mutex::new(Read { changed: changed(&path), agents, anonymous }), path })
    }

    /// Who a bearer token is. Started without any agent, on loopback, callers need none: they are anonymous.
    pub fn authenticate(&self, token: Option<&str>) -> Result<Principal, Unauthenticated> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = changed(&self.path);
        // The last good file holds while there is none or it cannot be read: a slip while editing must not open or close every door.
        if now.is_some() && now != read.changed {
            match Agents::read(&self.path) {
                Ok(agents) => {
                    let anonymous = read.anonymous && agents.list().is_empty();
                    *read = Read { changed: now, agents, anonymous };
                }
                Err(fault) => {
                    // Said once for each such file, not at each request.
                    read.changed = now;
                    tracing::error!("the agents file cannot be read; the last good one holds: {fault}");
                }
            }
        }
        match token {
            None if read.anonymous => Ok(anonymous()),
            None => Err(Unauthenticated::Missing),
            Some(token) => read.agents.find(token).map(Agent::principal).ok_or(Unauthenticated::Unknown),
        }
    }
}

/// Size and time of the file; a rename gives another time.
fn changed(path: &PathBuf) -> Option<(SystemTime, u64)> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

fn anonymous() -> Principal {
    Principal { name: "anonymous".to_owned(), anonymous: true, roles: Vec::new(), person: None, act: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_missing_file_nor_the_last_removal_lets_anybody_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents.toml");
        assert!(AgentsFile::open(path.clone(), true).is_err());
        std::fs::write(&path, "# ours\n").unwrap();
        let agent = format!("[[agent]]\nname = \"a\"\nroles = [\"viewer\"]\nfor = \"p\"\ntoken = \"sha256:{}\"\n", "0".repeat(64));
        let fresh = AgentsFile::open(path.clone(), true).unwrap();
        assert!(fresh.authenticate(None).is_ok_and(|principal| principal.anonymous));
        assert!(AgentsFile::open(path.clone(), false).unwrap().authenticate(None).is_err());
        std::fs::write(&path, &agent).unwrap();
        assert_eq!(fresh.authenticate(None), Err(Unauthenticated::Missing));
        std::fs::write(&path, "").unwrap();
        assert_eq!(fresh.authenticate(None), Err(Unauthenticated::Missing));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(fresh.authenticate(None), Err(Unauthenticated::Missing));
    }
}
