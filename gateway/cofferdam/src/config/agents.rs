//! `agents.toml`: the agents with their roles, their persons and the digests of their tokens. Never
//! has a token. Read again after each change.

use super::error::ConfigError;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::TokenDigest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// The prefix of every token, for people and secret scanners.
pub const TOKEN_PREFIX: &str = "cfd_";

/// One configured agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The unique name: 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`.
    pub name: String,
    /// The roles that the policy reads, at least one.
    pub roles: Vec<String>,
    /// The person that the agent works for.
    #[serde(rename = "for")]
    pub person: Option<String>,
    /// The SHA-256 of its token.
    pub token: TokenDigest,
    /// The end of its token, or `None` for a token without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// All agents, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    #[serde(default, rename = "agent")]
    agents: Vec<Agent>,
    /// The places of the agents, by the digests of their tokens.
    #[serde(skip)]
    by_token: HashMap<TokenDigest, usize>,
}

impl Agents {
    /// Reads the file. A missing file is an error: it must not admit callers without a token as an
    /// empty file does.
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

    /// Parses and checks the text of the file.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let wrong = |problem: String, remedy: &str| {
            ConfigError::new("agents.toml", "agent", problem, remedy)
        };
        let mut read: Self = toml::from_str(text).map_err(|error| {
            wrong(error.to_string().trim().to_owned(), "correct it, or restore it from a backup")
        })?;
        let mut names = BTreeSet::new();
        for (place, agent) in read.agents.iter().enumerate() {
            read.by_token.entry(agent.token).or_insert(place);
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

    /// The agents, in the order of the file.
    pub fn list(&self) -> &[Agent] {
        &self.agents
    }

    /// Finds the agent of a token.
    pub fn find(&self, token: &str) -> Option<&Agent> {
        if !token.starts_with(TOKEN_PREFIX) {
            return None;
        }
        // A look-up by digests of 256 random bits reveals nothing about the token.
        let place = self.by_token.get(&TokenDigest::of(token.as_bytes()))?;
        self.agents.get(*place)
    }
}

impl Agent {
    /// Returns whether its token has ended at this time.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// The principal of this agent.
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

/// Returns whether an agent can have this name. Not `anonymous`: that is the principal of callers
/// without a token, and the agent would share their jobs.
pub fn valid_name(name: &str) -> bool {
    name != "anonymous"
        && (1..=64).contains(&name.len())
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        })
}
