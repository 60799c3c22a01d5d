//! `cofferdam connect`: the configuration that connects a client, printed or written into the
//! client's own file. The token is never in that file: a variable, a question of the client or a
//! file of its own has it.

mod client;
mod config_file;
mod merge;
mod place;
#[cfg(test)]
mod tests;

use super::agent_token::TOKEN;
use super::agents;
use super::gateway_url::GatewayUrl;
use super::report::{Report, Usage};
use super::token_life::TokenLife;
use crate::config::home::{Home, write_private};
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum as _, ValueHint};
use client::{Bridge, Client, Entry, TokenSource};
use config_file::ConfigFile;
use jiff::Timestamp;
use place::Places;
use serde_json::json;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The time for a gateway to answer, before the report says that none does.
const ANSWERS: Duration = Duration::from_millis(500);

/// Prints the configuration that connects a client to the gateway, or writes it into the client's
/// file. The token itself is never in that file.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cofferdam connect cursor\n  cofferdam connect claude-code --write \
                  --agent release-bot --role deployer --for ada@example.com\n  cofferdam connect \
                  claude-desktop --write --agent desk --rotate\n\n`--write` keeps other servers, \
                  unknown keys and comments, and leaves a copy of the old file beside it."
)]
pub struct Connect {
    /// The client
    #[arg(value_enum)]
    client: Client,
    /// Write the entry into the client's file; the old file stays beside it as `FILE.bak`
    #[arg(long)]
    write: bool,
    /// The file of the client [default: the file that the client reads]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// The name of the server in the client: a-z, 0-9 and `-`
    #[arg(long, default_value = "cofferdam", value_parser = server_name)]
    name: String,
    /// The address of the gateway [default: `edge.listen` of the installation]
    #[arg(long, value_name = "URL", value_parser = GatewayUrl::parse)]
    url: Option<GatewayUrl>,
    /// The PEM certificates that the bridge of a client trusts with an `https` address: the
    /// gateway's own, or its authority's [default: `edge.tls.certificate`, without `--url`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ca: Option<PathBuf>,
    /// Make this agent, and give its token to you or to `--token-file`
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// A role of the new agent (repeatable)
    #[arg(long = "role", requires = "agent", conflicts_with = "rotate")]
    roles: Vec<String>,
    /// The person that the new agent works for
    #[arg(long = "for", value_name = "PERSON", requires = "agent", conflicts_with = "rotate")]
    person: Option<String>,
    /// The life of the token, such as 12h, 30d or 8w [default: never, which has no end]
    #[arg(long, value_name = "TIME", requires = "agent", value_parser = TokenLife::parse)]
    expires: Option<TokenLife>,
    /// Give the existing agent a new token; its old token is refused at once
    #[arg(long, requires = "agent")]
    rotate: bool,
    /// A file for the token, with mode 0600 [default for claude-desktop:
    /// ~/.config/cofferdam/NAME.token]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
}

/// Reads the name of a server: every client takes it.
fn server_name(text: &str) -> Result<String, String> {
    let valid = (1..=40).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match valid {
        true => Ok(text.to_owned()),
        false => Err("use 1 to 40 of a-z, 0-9 and -, with a letter first".to_owned()),
    }
}

impl Connect {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home, working: &Path) -> Result<Report> {
        let places = Places::find(|name| std::env::var_os(name), working)
            .context("there is no home folder of a user; set HOME")?;
        let (url, own) = match self.client.has_bridge() {
            true => GatewayUrl::find_near(self.url.clone(), home)?,
            false => (GatewayUrl::find(self.url.clone(), home)?, None),
        };
        let ca = self.ca.as_ref().map(|file| places.working.join(file)).or(own);
        let program = std::env::current_exe().context("the path of this program is unknown")?;
        self.connect(home, &places, (&url, ca.as_deref()), &program)
    }

    fn connect(
        &self,
        home: &Home,
        places: &Places,
        (url, ca): (&GatewayUrl, Option<&Path>),
        program: &Path,
    ) -> Result<Report> {
        let client = self.client;
        let token_file = match &self.token_file {
            Some(file) => places.working.join(file),
            None => places.token_file(&self.name),
        };
        let source = client.token_source(&token_file);
        if ca.is_some() && !client.has_bridge() {
            let words = "this client trusts the certificates of its machine: leave `--ca` out, and \
                         let the machine trust the gateway's authority";
            return Err(Usage(words.to_owned()).into());
        }
        if ca.is_some() && !url.tls {
            let words = format!("`--ca` is for an address with https://, and `{url}` has none");
            return Err(Usage(words).into());
        }
        let bridge = Bridge { program, token_file: &token_file, ca };
        let entry = client.entry(&self.name, url, &bridge);
        let file = self.file.as_ref().map(|file| places.working.join(file));
        let file = file.or_else(|| client.file(places));
        let snippet = merge::merged("", &self.name, &entry)?;
        // Everything that can be refused is refused before a token is made.
        let edit = self.write.then(|| edit(client, file.as_deref(), &self.name, &entry));
        let edit = edit.transpose()?;
        let stored = self.token_file.is_some() || matches!(source, TokenSource::File(_));
        let token = self.agent.as_deref().map(|agent| self.token(home, agent)).transpose()?;
        let shown = match token {
            Some(token) if stored => {
                store(&token, &token_file)?;
                None
            }
            token => token,
        };
        let changed = edit.as_ref().is_some_and(|(old, text)| old.text() != text);
        let backup = match &edit {
            Some((old, text)) if changed => old.replace(text)?,
            _ => None,
        };

        let mut words = Vec::new();
        let title = client.title();
        words.push(match (&file, &edit) {
            (Some(file), None) => {
                format!("{title} reads `{}`:\n\n{}", file.display(), snippet.trim_end())
            }
            (Some(file), Some(_)) if changed => {
                format!("Wrote `{}` into `{}`.", self.name, file.display())
            }
            (Some(file), Some(_)) => format!("`{}` has `{}` already.", file.display(), self.name),
            (None, _) => snippet.trim_end().to_owned(),
        });
        if let Some(backup) = &backup {
            words.push(format!("The old file is `{}`.", backup.display()));
        }
        words.push(self.token_words(&source, stored.then_some(&token_file), shown.as_deref()));
        if file.is_some() && edit.is_none() {
            words.push("`--write` adds it to the file and keeps the rest.".to_owned());
        }
        words.push(format!("Then: {}", client.next(&self.name)));
        let answers = answers(url);
        if !answers {
            words.push(format!("Nothing answers at `{url}` at present: start `cofferdam serve`."));
        }
        let from = match &source {
            TokenSource::Variable => json!({"from": "variable", "name": TOKEN}),
            TokenSource::Prompt => json!({"from": "prompt"}),
            TokenSource::File(file) => json!({"from": "file", "file": file}),
        };
        let agent = self.agent.as_ref().map(|name| {
            json!({"name": name, "token": shown, "token_file": stored.then_some(&token_file)})
        });
        Ok(Report::new(
            words.join("\n\n"),
            json!({
                "client": client.to_possible_value().map(|value| value.get_name().to_owned()),
                "server": self.name,
                "url": url.to_string(),
                "file": file,
                "format": client.format(),
                "snippet": snippet,
                "token": from,
                "agent": agent,
                "written": changed,
                "backup": backup,
                "reachable": answers,
                "next": client.next(&self.name),
            }),
        ))
    }

    /// Makes the agent, or gives the existing one a new token.
    fn token(&self, home: &Home, agent: &str) -> Result<String> {
        let now = Timestamp::now();
        if self.rotate {
            return Ok(agents::renew(home, agent, self.expires, now)?.0);
        }
        if agents::is_known(home, agent)? {
            return Err(Usage(format!(
                "the agent `{agent}` exists: leave `--agent` out if you have its token, or add \
                 `--rotate`, which makes a new token and refuses the old one"
            ))
            .into());
        }
        match (&self.person, self.roles.is_empty()) {
            (Some(person), false) => {
                let end = self.expires.and_then(|life| life.end(now));
                Ok(agents::make(home, agent, &self.roles, person, end)?.token)
            }
            _ => Err(Usage(format!(
                "there is no agent `{agent}`: add `--role ROLE --for PERSON` to make it"
            ))
            .into()),
        }
    }

    /// The words about the token: its source, and the token itself if no file has it.
    fn token_words(
        &self,
        source: &TokenSource,
        stored: Option<&PathBuf>,
        shown: Option<&str>,
    ) -> String {
        let title = self.client.title();
        let agent = self.agent.as_deref().unwrap_or_default();
        match (source, shown, stored) {
            (TokenSource::File(file), _, _) if self.agent.is_some() => {
                format!("The token of `{agent}` is in `{}`, with mode 0600.", file.display())
            }
            (TokenSource::File(file), _, _) => format!(
                "The bridge reads the token from `{}`. Store it there with mode 0600, or let \
                 `--agent NAME` do so.",
                file.display()
            ),
            (TokenSource::Prompt, Some(token), _) => format!(
                "The token of `{agent}`, shown this once, for the question of {title}:\n\n  {token}"
            ),
            (TokenSource::Prompt, None, Some(file)) if self.agent.is_some() => format!(
                "The token of `{agent}` is in `{}`, with mode 0600; {title} asks for it once.",
                file.display()
            ),
            (TokenSource::Prompt, None, _) => format!(
                "{title} asks for the token once and keeps it; `cofferdam agents add` makes one."
            ),
            (TokenSource::Variable, Some(token), _) => format!(
                "The token of `{agent}`, shown this once. {title} reads it from {TOKEN}:\n\n  \
                 export {TOKEN}={token}"
            ),
            (TokenSource::Variable, None, Some(file)) => format!(
                "{title} reads the token from {TOKEN}:\n\n  export {TOKEN}=\"$(cat '{}')\"",
                file.display()
            ),
            (TokenSource::Variable, None, None) => format!(
                "{title} reads the token from the variable {TOKEN}; `cofferdam agents add` makes \
                 one."
            ),
        }
    }
}

/// Reads the file and returns its new text. Changes nothing.
fn edit(
    client: Client,
    file: Option<&Path>,
    name: &str,
    entry: &Entry,
) -> Result<(ConfigFile, String)> {
    let (Some(file), Entry::Json(_) | Entry::Toml(_)) = (file, entry) else {
        let words = format!("{} reads no file; leave `--write` out and copy it", client.title());
        return Err(Usage(words).into());
    };
    let old = ConfigFile::read(file)?;
    let text = merge::merged(old.text(), name, entry).with_context(|| {
        format!(
            "`{}` was left as it is; correct it, or name another with `--file FILE`",
            file.display()
        )
    })?;
    Ok((old, text))
}

/// Stores a token in a file with mode 0600.
fn store(token: &str, file: &Path) -> Result<()> {
    let folder = file.parent().context("the path of the token has no folder")?;
    std::fs::create_dir_all(folder)
        .map_err(anyhow::Error::from)
        .and_then(|()| write_private(file, format!("{token}\n").as_bytes()))
        .with_context(|| {
            format!(
                "the token cannot be stored in `{}`; repeat the command with `--rotate` and \
                 another `--token-file FILE`",
                file.display()
            )
        })
}

/// Returns whether a server answers at the address.
fn answers(url: &GatewayUrl) -> bool {
    let addresses = url.target().to_socket_addrs();
    addresses.is_ok_and(|mut addresses| {
        addresses.any(|address| TcpStream::connect_timeout(&address, ANSWERS).is_ok())
    })
}
