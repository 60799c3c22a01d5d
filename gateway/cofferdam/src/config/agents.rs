//! `agents.toml`: who may connect, with what roles, for whom. Holds digests of tokens, never a
//! token. Read again whenever it changes.

use super::error::ConfigError;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::TokenDigest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// How every token begins, so that people and secret scanners know one.
pub const TOKEN_PREFIX: &str = "cfd_";

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its name, unique: 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`.
    pub name: String,
    /// What policy knows it by, at least one.
    pub roles: Vec<String>,
    /// The person it acts for.
    #[serde(rename = "for")]
    pub person: Option<String>,
    /// SHA-256 of its token.
    pub token: TokenDigest,
}

/// All agents, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    #[serde(default, rename = "agent")]
    agents: Vec<Agent>,
}

impl Agents {
    /// Reads the file. Only one that is there and empty names no agent: a lost one must not open
    /// the door to callers without a token.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let remedy = format!(
                    "restore it from a backup; or, to serve callers of this machine without a \
                     token, make an empty one: `install -m 600 /dev/null {shown}`"
                );
                Err(ConfigError::new("agents.toml", "", format!("`{shown}` is not there"), &remedy))
            }
            Err(error) => {
                let problem = format!("`{shown}` cannot be read ({error})");
                Err(ConfigError::new(
                    "agents.toml",
                    "",
                    problem,
                    "make it a file that its owner can read",
                ))
            }
        }
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let wrong = |problem: String, remedy: &str| {
            ConfigError::new("agents.toml", "agent", problem, remedy)
        };
        let read: Self = toml::from_str(text).map_err(|error| {
            wrong(error.to_string().trim().to_owned(), "correct it, or restore it from a backup")
        })?;
        let mut names = BTreeSet::new();
        for agent in &read.agents {
            if !valid_name(&agent.name) {
                return Err(wrong(
                    format!("`{}` is no name for an agent", agent.name),
                    "use 1 to 64 of a-z, 0-9, -, _ and .",
                ));
            }
            if !names.insert(&agent.name) {
                return Err(wrong(
                    format!("`{}` is there twice", agent.name),
                    "remove one with `cofferdam agents remove`",
                ));
            }
        }
        Ok(read)
    }

    /// The agents.
    pub fn list(&self) -> &[Agent] {
        &self.agents
    }

    /// The agent a token belongs to.
    pub fn find(&self, token: &str) -> Option<&Agent> {
        if !token.starts_with(TOKEN_PREFIX) {
            return None;
        }
        // Comparing digests of 256 random bits tells a guesser nothing about the token.
        let digest = TokenDigest::of(token.as_bytes());
        self.agents.iter().find(|agent| agent.token == digest)
    }
}

impl Agent {
    /// As the journey knows it.
    pub fn principal(&self) -> Principal {
        Principal {
            name: self.name.clone(),
            anonymous: false,
            roles: self.roles.clone(),
            person: self.person.clone(),
            act: Vec::new(),
        }
    }
}

/// Returns whether this may be an agent's name. A caller without a token is `anonymous`: an agent
/// of that name would share its jobs.
pub fn valid_name(name: &str) -> bool {
    name != "anonymous"
        && (1..=64).contains(&name.len())
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        })
}
