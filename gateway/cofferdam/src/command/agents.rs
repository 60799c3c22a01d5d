//! `cofferdam agents`: adds, lists and removes agents, and replaces their tokens. A token is
//! printed once; the file has only its digest.

mod list;

use super::report::{Report, Usage};
use super::token_life::TokenLife;
use crate::config::home::{Home, write_private};
use crate::config::trust_file::{table_of, unreadable};
use crate::config::{Agent, Agents as Known, TOKEN_PREFIX, ended_tokens, require_made, valid_name};
use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use clap::Subcommand;
use cofferdam_core::model::id::TokenDigest;
use jiff::Timestamp;
use serde_json::{Value, json};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

/// Adds, lists and removes agents. A change is in effect at once: the gateway reads the file again.
#[derive(Debug, Subcommand)]
pub enum Agents {
    /// Add an agent and print its token; the token is not stored and cannot be shown again
    #[command(after_help = "Example:\n  cofferdam agents add release-bot --role deployer --for \
                            ada@example.com")]
    Add {
        /// The name of the agent: at most 64 characters of a-z, 0-9, `-`, `_` and `.`
        name: String,
        /// A role that the policy reads, such as `deployer` (repeatable)
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// The person that the agent works for; by default this person cannot approve its calls
        #[arg(long = "for", value_name = "PERSON")]
        person: String,
        /// The life of the token, such as 12h, 30d or 8w [default: never, which has no end]
        #[arg(long, value_name = "TIME", value_parser = TokenLife::parse)]
        expires: Option<TokenLife>,
    },
    /// List agents and the callers with access tokens, with their roles, persons and last use
    List,
    /// Remove an agent; its token is refused at once
    Remove {
        /// The name of the agent
        name: String,
    },
    /// Give an agent a new token and print it; the old token is refused at once
    Rotate {
        /// The name of the agent
        name: String,
        /// The life of the new token, such as 12h, 30d or 8w; needed if the old one has an end.
        /// `never` has no end
        #[arg(long, value_name = "TIME", value_parser = TokenLife::parse)]
        expires: Option<TokenLife>,
    },
}

impl Agents {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        match self {
            Self::Add { name, roles, person, expires } => {
                let end = expires.and_then(|life| life.end(Timestamp::now()));
                add(home, &name, &roles, &person, end)
            }
            Self::List => {
                let known = AgentsFile::open(home)?.known()?;
                list::list(home, &known, Timestamp::now())
            }
            Self::Remove { name } => remove(home, &name),
            Self::Rotate { name, expires } => rotate(home, &name, expires, Timestamp::now()),
        }
    }
}

/// A new agent's token, shown once, and its roles that no policy names.
pub struct Made {
    /// The token.
    pub token: String,
    /// Roles that occur nowhere in the data of the policy.
    pub unknown: Vec<String>,
}

/// Returns whether there is an agent of this name.
///
/// # Errors
/// The file of agents cannot be read.
pub fn is_known(home: &Home, name: &str) -> Result<bool> {
    Ok(AgentsFile::open(home)?.known()?.list().iter().any(|agent| agent.name == name))
}

/// Adds an agent with a new token, which ends at this time.
///
/// # Errors
/// The name or a role is not valid, the agent exists, or the file cannot be written.
pub fn make(
    home: &Home,
    name: &str,
    roles: &[String],
    person: &str,
    expires: Option<Timestamp>,
) -> Result<Made> {
    if !valid_name(name) {
        bail!("`{name}` is not a valid name of an agent; use 1 to 64 of a-z, 0-9, -, _ and .");
    }
    if let Some(role) = roles.iter().find(|role| !valid_name(role)) {
        bail!("`{role}` is not a valid name of a role; use 1 to 64 of a-z, 0-9, -, _ and .");
    }
    let mut file = AgentsFile::open(home)?;
    if file.known()?.list().iter().any(|agent| agent.name == name) {
        bail!(
            "the agent `{name}` exists; give it a new token with `cofferdam agents rotate \
             {name}`, or remove it first"
        );
    }
    let (token, digest) = token()?;
    file.push(&Agent {
        name: name.to_owned(),
        roles: roles.to_vec(),
        person: Some(person.to_owned()),
        token: digest,
        expires,
    })?;
    // The mark comes before the agent: then no gateway misses an agent that is added and removed,
    // and goes on serving callers without a token.
    write_private(&home.agents_mark(), b"")?;
    file.save(home)?;
    Ok(Made { token, unknown: unknown(home, roles) })
}

fn add(
    home: &Home,
    name: &str,
    roles: &[String],
    person: &str,
    expires: Option<Timestamp>,
) -> Result<Report> {
    let Made { token, unknown } = make(home, name, roles, person, expires)?;
    let mut text = format!(
        "Added `{name}` ({}) for {person}. It may connect at once.\n\nIts token, shown this \
         once:\n\n  {token}\n\nGive it to the agent's MCP client as `Authorization: Bearer \
         <token>`; `cofferdam connect` writes the client's configuration. Lost it? `cofferdam \
         agents rotate {name}`",
        roles.join(", ")
    );
    text.extend(expires.map(|end| format!("\n\nThe token ends at {end}.")));
    for role in &unknown {
        text.push_str(&format!(
            "\n\nNote: policy/data.json names no role `{role}`; unless the policy has this role \
             in its rules, the role permits nothing."
        ));
    }
    Ok(Report::new(
        text,
        json!({"name": name, "roles": roles, "for": person, "token": token,
        "expires": expires, "unknown_roles": unknown}),
    ))
}

/// The roles that occur nowhere in the data of the policy. Empty if there is no data.
fn unknown(home: &Home, roles: &[String]) -> Vec<String> {
    let data = std::fs::read(home.policy_data())
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let Some(data) = data else { return Vec::new() };
    roles.iter().filter(|role| !names(&data, role)).cloned().collect()
}

fn names(data: &Value, word: &str) -> bool {
    match data {
        Value::String(text) => text == word,
        Value::Array(list) => list.iter().any(|inner| names(inner, word)),
        Value::Object(object) => {
            object.iter().any(|(key, inner)| key == word || names(inner, word))
        }
        _ => false,
    }
}

fn remove(home: &Home, name: &str) -> Result<Report> {
    let mut file = AgentsFile::open(home)?;
    let old = file.token(name)?;
    file.list()?.retain(|entry| !named(entry, name));
    // Before the file: after an error, no token is good that should not be.
    ended_tokens::add(&home.agents(), old)?;
    file.save(home)?;
    Ok(Report::new(
        format!("Removed `{name}`. Its queued jobs still run; see `cofferdam jobs`."),
        json!({"removed": name}),
    ))
}

/// Gives an agent a new token. A token with an end is never replaced by one without, unless the
/// command says so.
///
/// # Errors
/// There is no such agent, its token has an end and no life is given, or the file cannot be
/// written.
pub fn renew(
    home: &Home,
    name: &str,
    life: Option<TokenLife>,
    now: Timestamp,
) -> Result<(String, Option<Timestamp>)> {
    let mut file = AgentsFile::open(home)?;
    let ends =
        file.known()?.list().iter().any(|agent| agent.name == name && agent.expires.is_some());
    if ends && life.is_none() {
        return Err(Usage(format!(
            "the token of `{name}` has an end: give the life of the new one, such as `--expires \
             30d`, or `--expires never`"
        ))
        .into());
    }
    let old = file.token(name)?;
    let (token, digest) = token()?;
    let end = life.and_then(|life| life.end(now));
    let entry = file.find(name)?;
    entry.insert("token", value(digest.to_string()));
    match end {
        Some(end) => entry.insert("expires", value(end.to_string())),
        None => entry.remove("expires"),
    };
    // Before the file: after an error, no token is good that should not be.
    ended_tokens::add(&home.agents(), old)?;
    file.save(home)?;
    Ok((token, end))
}

fn rotate(home: &Home, name: &str, life: Option<TokenLife>, now: Timestamp) -> Result<Report> {
    let (token, end) = renew(home, name, life, now)?;
    let mut text = format!(
        "`{name}` has a new token, shown this once:\n\n  {token}\n\nThe old token is refused."
    );
    text.extend(end.map(|end| format!(" The new one ends at {end}.")));
    Ok(Report::new(text, json!({"name": name, "token": token, "expires": end})))
}

/// Makes a token of 256 random bits, with its digest.
fn token() -> Result<(String, TokenDigest)> {
    let mut bits = [0_u8; 32];
    getrandom::fill(&mut bits)
        .map_err(|error| anyhow!("the operating system gives no random bytes: {error}"))?;
    let token =
        format!("{TOKEN_PREFIX}{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bits));
    let digest = TokenDigest::of(token.as_bytes());
    Ok((token, digest))
}

fn named(entry: &Table, name: &str) -> bool {
    entry.get("name").and_then(Item::as_str) == Some(name)
}

/// An editor of `agents.toml`. It keeps comments and order.
struct AgentsFile(DocumentMut);

impl AgentsFile {
    fn open(home: &Home) -> Result<Self> {
        let path = home.agents();
        require_made(home)?;
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        Known::parse(&text).map_err(|error| anyhow!("{error}"))?;
        Ok(Self(text.parse().with_context(|| {
            format!("`{}` is not TOML; restore it from a backup", path.display())
        })?))
    }

    fn known(&self) -> Result<Known> {
        Known::parse(&self.0.to_string()).map_err(|error| anyhow!("{error}"))
    }

    fn list(&mut self) -> Result<&mut ArrayOfTables> {
        match self.0.entry("agent").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new())) {
            Item::ArrayOfTables(list) => Ok(list),
            _ => bail!(
                "`agent` in agents.toml is not a list of `[[agent]]`; restore the file from a \
                 backup"
            ),
        }
    }

    fn find(&mut self, name: &str) -> Result<&mut Table> {
        self.list()?.iter_mut().find(|entry| named(entry, name)).with_context(|| {
            format!("there is no agent `{name}`; `cofferdam agents list` names them")
        })
    }

    /// The digest of the token of this agent.
    fn token(&self, name: &str) -> Result<TokenDigest> {
        let known = self.known()?;
        let agent = known.list().iter().find(|agent| agent.name == name);
        agent.map(|agent| agent.token).with_context(|| {
            format!("there is no agent `{name}`; `cofferdam agents list` names them")
        })
    }

    fn push(&mut self, agent: &Agent) -> Result<()> {
        let mut table = table_of(agent)?;
        if self.list()?.is_empty() {
            // The comments of a file without entries are its trailing text: move them to the front.
            let comments = self.0.trailing().as_str().unwrap_or_default().to_owned();
            self.0.set_trailing("");
            table.decor_mut().set_prefix(format!("{comments}\n"));
        }
        self.list()?.push(table);
        Ok(())
    }

    fn save(&self, home: &Home) -> Result<()> {
        self.known()?;
        write_private(&home.agents(), self.0.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_comes_changes_its_token_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        home.make_folders().unwrap();
        write_private(&home.agents(), b"# ours\n").unwrap();
        let token_of =
            |report: Result<Report>| report.unwrap().value()["token"].as_str().unwrap().to_owned();
        let roles = || vec!["deployer".to_owned()];
        let first = token_of(add(&home, "bot", &roles(), "ada", None));
        assert!(
            add(&home, "bot", &roles(), "ada", None)
                .unwrap_err()
                .to_string()
                .contains("agents rotate bot")
        );
        assert!(add(&home, "Bot", &roles(), "ada", None).is_err());
        add(&home, "other", &roles(), "ada", None).unwrap();
        write_private(&home.policy_data(), br#"{"roles": {"deployer": {"includes": ["viewer"]}}}"#)
            .unwrap();
        let said =
            add(&home, "typo", &["deployr".into(), "viewer".into()], "ada", None).unwrap().value();
        assert_eq!(said["unknown_roles"], json!(["deployr"]));
        let second = token_of(rotate(&home, "bot", None, Timestamp::now()));
        let text = std::fs::read_to_string(home.agents()).unwrap();
        assert!(
            text.starts_with("# ours\n") && !text.contains(&second) && !text.contains(&first),
            "{text}"
        );
        let known = Known::parse(&text).unwrap();
        assert_eq!(known.find(&first), None);
        assert_eq!(known.find(&second).map(|agent| agent.name.as_str()), Some("bot"));
        remove(&home, "bot").unwrap();
        assert!(remove(&home, "bot").unwrap_err().to_string().contains("no agent `bot`"));
        assert_eq!(Known::read(&home.agents()).unwrap().find(&second), None);
    }

    #[test]
    fn a_token_with_an_end_is_replaced_by_one_with_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        home.make_folders().unwrap();
        write_private(&home.agents(), b"").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-12-01T10:00:00Z");
        let month = TokenLife::parse("30d").unwrap();
        add(&home, "bot", &["deployer".to_owned()], "ada", month.end(now)).unwrap();
        let listed = |now: &str| {
            let known = AgentsFile::open(&home).unwrap().known().unwrap();
            list::list(&home, &known, at(now)).unwrap().value()["agents"][0].clone()
        };
        for (now, expired) in [("2026-12-31T09:59:59Z", false), ("2026-12-31T10:00:00Z", true)] {
            let agent = listed(now);
            assert_eq!(agent["expires"], "2026-12-31T10:00:00Z");
            assert_eq!(agent["expired"], expired);
        }
        let told = rotate(&home, "bot", None, now).unwrap_err().to_string();
        assert!(told.contains("`--expires 30d`"), "{told}");
        rotate(&home, "bot", Some(month), at("2026-12-31T10:00:00Z")).unwrap();
        assert_eq!(listed("2027-01-01T00:00:00Z")["expires"], "2027-01-30T10:00:00Z");
        rotate(&home, "bot", Some(TokenLife::Endless), now).unwrap();
        assert_eq!(listed("2036-01-01T00:00:00Z")["expires"], Value::Null);
        rotate(&home, "bot", None, now).unwrap();
    }
}
