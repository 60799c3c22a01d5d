//! `cofferdam agents list`: agents with static tokens, and callers with access tokens of issuers,
//! with their last use. The running `serve` knows the uses; without it, the file alone is shown.

use crate::command::recorder_client::{ask_within, unexpected};
use crate::command::report::Report;
use crate::command::show::{ago, short, table};
use crate::config::home::Home;
use crate::config::{Agent, Agents, ended_tokens};
use anyhow::Result;
use cofferdam_core::model::callers::ServedCaller;
use cofferdam_core::model::id::TokenDigest;
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// The time for the answer of the recorder: the file is shown without it too.
const ANSWER: Duration = Duration::from_secs(5);

/// The most characters of a name or of roles in the table.
const CELL: usize = 60;

/// What the recorder knows of callers.
struct Register {
    served: Vec<ServedCaller>,
    ended: Vec<TokenDigest>,
    /// Why the recorder was not asked; `None` if it was.
    unknown: Option<String>,
}

impl Register {
    fn read(home: &Home) -> Result<Self> {
        let mut ended = ended_tokens::read(&home.agents())?;
        let asked = ask_within(home, &Operate::Callers, ANSWER).and_then(|told| match told {
            Operated::Callers { served, ended } => Ok((served, ended)),
            _ => Err(unexpected()),
        });
        Ok(match asked {
            Ok((served, more)) => {
                ended.extend(more);
                Self { served, ended, unknown: None }
            }
            Err(error) => Self { served: Vec::new(), ended, unknown: Some(error.to_string()) },
        })
    }

    fn use_of(&self, name: &str) -> Option<Timestamp> {
        self.served.iter().find(|caller| caller.name == name).map(|caller| caller.used)
    }

    /// The callers with access tokens: their names have a colon, and names of agents never do.
    fn by_oauth(&self) -> impl Iterator<Item = &ServedCaller> {
        self.served.iter().filter(|caller| caller.name.contains(':'))
    }
}

/// Lists both kinds of callers.
///
/// # Errors
/// A file of the home cannot be read.
pub fn list(home: &Home, known: &Agents, now: Timestamp) -> Result<Report> {
    let register = Register::read(home)?;
    let mut text = words(home, known, &register, now);
    if let Some(cause) = &register.unknown {
        text.push_str(&format!(
            "\n\nThe last uses and the callers by OAuth are not known: {cause}"
        ));
    }
    let agents: Vec<Value> = known
        .list()
        .iter()
        .map(|agent| {
            json!({"kind": "static", "name": agent.name, "roles": agent.roles,
                "for": agent.person, "token": agent.token, "expires": agent.expires,
                "expired": agent.has_expired(now), "ended": register.ended.contains(&agent.token),
                "last_use": register.use_of(&agent.name)})
        })
        .chain(register.by_oauth().map(|caller| {
            json!({"kind": "oauth", "name": caller.name, "roles": caller.roles,
                "for": caller.person, "last_use": caller.used})
        }))
        .collect();
    Ok(Report::new(text, json!({"agents": agents, "uses_known": register.unknown.is_none()})))
}

fn words(home: &Home, known: &Agents, register: &Register, now: Timestamp) -> String {
    let mut rows: Vec<Vec<String>> =
        known.list().iter().map(|agent| row(agent, register, now)).collect();
    rows.extend(register.by_oauth().map(|caller| {
        vec![
            short(&caller.name, CELL),
            short(&caller.roles.join(", "), CELL),
            short(caller.person.as_deref().unwrap_or_default(), CELL),
            "access token".to_owned(),
            String::new(),
            ago(caller.used, now),
        ]
    }));
    if !rows.is_empty() {
        return table(&["NAME", "ROLES", "FOR", "TOKEN DIGEST", "EXPIRES", "LAST USE"], &rows);
    }
    if home.agents_mark().exists() {
        return "No agent is configured any more: callers without a token are refused until \
                `cofferdam serve` is started again.\nAdd one: cofferdam agents add NAME --role \
                ROLE --for PERSON"
            .to_owned();
    }
    "No agent is configured: callers on this machine can read and preview; every change needs a \
     person.\nAdd one: cofferdam agents add NAME --role ROLE --for PERSON"
        .to_owned()
}

fn row(agent: &Agent, register: &Register, now: Timestamp) -> Vec<String> {
    let end = match agent.expires {
        _ if register.ended.contains(&agent.token) => {
            format!("refused: cofferdam agents rotate {}", agent.name)
        }
        None => "never".to_owned(),
        Some(end) if agent.has_expired(now) => format!("expired {end}"),
        Some(end) => end.to_string(),
    };
    let used = register.use_of(&agent.name);
    vec![
        agent.name.clone(),
        agent.roles.join(", "),
        agent.person.clone().unwrap_or_default(),
        agent.token.short(),
        end,
        used.map(|used| ago(used, now)).unwrap_or_default(),
    ]
}
