//! `cofferdam role-home`: makes a home for one role on a host of its own, with exactly what that role
//! needs. Never copies the key of another role, nor the store.

use super::report::{Report, Usage};
use crate::config::home::{Home, SECRETS, ended_tokens, write_private};
use crate::config::links::{DEFAULT_TRUST_DOMAIN, files, refusals};
use crate::config::{ConfigErrors, Installation, ended_tokens as ended, has_role};
use crate::serve::health;
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueHint};
use cofferdam_core::protocol::link::LinkRole;
use serde_json::json;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use toml_edit::{Array, DocumentMut, Item, Table, value};

/// The mode of a folder that only its owner can enter.
const PRIVATE: u32 = 0o700;

/// The sections that are for these roles alone: they name servers and people, and an address of a
/// receiver is often a secret.
const PARTS: [(&[&str], &[LinkRole]); 4] = [
    (&["store"], &[LinkRole::Recorder]),
    (&["notify"], &[LinkRole::Recorder, LinkRole::Courier]),
    (&["people"], &[LinkRole::Recorder, LinkRole::Gateway, LinkRole::Courier]),
    (&["edge", "oauth"], &[LinkRole::Recorder, LinkRole::Gateway, LinkRole::Courier]),
];

/// Makes the home of one role, from the home in which you accept tools. Copy it to the role's host,
/// and start `cofferdam serve --role ROLE` there. It has the configuration with `[links]`, the trust
/// file, the accepted parts and the keys of this role, and no other key. `--update` brings a home that
/// is there up to date with what is accepted, and leaves its configuration and keys; copy it again, and
/// send SIGHUP to `cofferdam serve` on that host.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cofferdam role-home --role recorder --to ./recorder --listen \
                        10.0.0.5:8630 --certificates ./certificates\n  cofferdam role-home --role \
                        runner --to ./runner --recorder 10.0.0.5:8630 --certificates \
                        ./certificates\n  cofferdam role-home --role runner --to ./runner --update"
)]
pub struct RoleHome {
    /// The role: recorder, viewer, courier, gateway, runner or reaper
    #[arg(long, value_name = "ROLE")]
    role: LinkRole,
    /// The folder of the new home
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    to: PathBuf,
    /// The address at which peers open links to this role
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// An address of a recorder, HOST:PORT (repeatable; tried in order)
    #[arg(long, value_name = "ADDRESS")]
    recorder: Vec<String>,
    /// An address of a viewer, HOST:PORT (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    viewer: Vec<String>,
    /// An address of a courier, HOST:PORT (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    courier: Vec<String>,
    /// An address of a gateway for telemetry, HOST:PORT (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<String>,
    /// The folder that `cofferdam certificates` wrote [default: you put the files into `links`]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    certificates: Option<PathBuf>,
    /// The trust domain of the names in certificates
    #[arg(long, value_name = "DOMAIN", default_value = DEFAULT_TRUST_DOMAIN)]
    trust_domain: String,
    /// Bring accepted parts and agents of a home that is there up to date
    #[arg(long)]
    update: bool,
}

impl RoleHome {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home, working: &Path) -> Result<Report> {
        let installation = Installation::read(home.clone())?;
        if let Some(own) = installation.config.role() {
            bail!(
                "`{}` is the home of the {own} alone; name the home in which you accept tools with \
                 `--home`",
                home.root().display()
            );
        }
        let made = Home::find(Some(self.to.clone()), |_| None, working)?;
        if self.update { self.update(home, &made) } else { self.make(home, &made) }
    }

    fn make(&self, home: &Home, made: &Home) -> Result<Report> {
        let shown = made.root().display();
        let is_used = fs::read_dir(made.root()).is_ok_and(|mut inside| inside.next().is_some());
        if is_used {
            let why = format!("`{shown}` is not empty; name a new folder, or add `--update`");
            return Err(Usage(why).into());
        }
        let config = self.config(home)?;
        let refused = refusals(&config, made);
        if !refused.is_empty() {
            return Err(ConfigErrors(refused).into());
        }
        for folder in health::folders_of(made, self.role).chain([made.links()]) {
            make_folder(&folder)?;
        }
        write_private(&made.config(), config.as_bytes())?;
        for secret in SECRETS.into_iter().filter(|secret| secret.role() == self.role) {
            copy(&home.secret(secret), &made.secret(secret))?;
        }
        if let Some(folder) = &self.certificates {
            let from = files(&folder.join(self.role.word()));
            for (from, to) in from.iter().zip(files(&made.links())) {
                copy(from, &to)?;
            }
        }
        accepted(home, made, self.role)?;
        let mut lines = vec![format!("Made the home of the {} in `{shown}`.", self.role)];
        if self.certificates.is_none() {
            lines.push(format!(
                "Put certificate.pem, key.pem and ca.pem into `{}`.",
                made.links().display()
            ));
        }
        if self.role == LinkRole::Recorder && cofferdam_recorder::database(&home.store()).exists() {
            lines.push(format!(
                "Move `store` and `ledger` of `{}` into it while no `cofferdam serve` runs: they \
                 are not copied.",
                home.root().display()
            ));
        }
        lines.push(format!(
            "Copy it to its host with its permissions, and start `cofferdam --home DIR serve --role \
             {}` there.",
            self.role
        ));
        let json = json!({"home": made.root(), "role": self.role, "updated": false});
        Ok(Report::new(lines.join("\n"), json))
    }

    fn update(&self, home: &Home, made: &Home) -> Result<Report> {
        let shown = made.root().display();
        let text = fs::read_to_string(made.config())
            .with_context(|| format!("`{shown}` is no home that can be updated"))?;
        let found = text.parse::<DocumentMut>().ok();
        let own = found.as_ref().and_then(|found| found.get("links")?.get("role")?.as_str());
        if own != Some(self.role.word()) {
            bail!("`{shown}` is not the home of a {}; name the right folder and role", self.role);
        }
        accepted(home, made, self.role)?;
        let text = format!(
            "Updated the accepted parts of `{shown}`. Copy it to its host, and send SIGHUP to \
             `cofferdam serve` there."
        );
        let json = json!({"home": made.root(), "role": self.role, "updated": true});
        Ok(Report::new(text, json))
    }

    /// The configuration of the home, with `[links]` and without what is for other roles alone.
    fn config(&self, home: &Home) -> Result<String> {
        let path = home.config();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut document: DocumentMut = text.parse().context("cofferdam.toml is not TOML")?;
        for (path, roles) in PARTS {
            if !roles.contains(&self.role) {
                remove(document.as_table_mut(), path);
            }
        }
        let mut links = Table::new();
        links.insert("role", value(self.role.word()));
        if let Some(listen) = self.listen {
            links.insert("listen", value(listen.to_string()));
        }
        let peers = [
            ("recorder", &self.recorder),
            ("viewer", &self.viewer),
            ("courier", &self.courier),
            ("gateway", &self.gateway),
        ];
        for (name, addresses) in peers.into_iter().filter(|(_, addresses)| !addresses.is_empty()) {
            links.insert(name, value(addresses.iter().collect::<Array>()));
        }
        if self.trust_domain != DEFAULT_TRUST_DOMAIN {
            links.insert("trust_domain", value(self.trust_domain.as_str()));
        }
        document.insert("links", Item::Table(links));
        Ok(document.to_string())
    }
}

/// Removes the section at this path.
fn remove(table: &mut Table, path: &[&str]) {
    match path {
        [] => {}
        [last] => drop(table.remove(last)),
        [first, rest @ ..] => {
            if let Some(inner) = table.get_mut(first).and_then(Item::as_table_mut) {
                remove(inner, rest);
            }
        }
    }
}

/// Copies what was accepted, as far as this role reads it, and the agents for a gateway. Removes
/// components that are accepted no more.
fn accepted(home: &Home, made: &Home, role: LinkRole) -> Result<()> {
    copy(&home.trust(), &made.trust())?;
    if has_role(Some(role), LinkRole::Gateway) {
        copy(&home.agents(), &made.agents())?;
        // A token that ended in one of the homes stays ended.
        for token in ended::read(&home.agents())? {
            ended::add(&made.agents(), token)
                .with_context(|| format!("`{}`", ended_tokens(&made.agents()).display()))?;
        }
    }
    let loads = [LinkRole::Gateway, LinkRole::Runner].contains(&role);
    if !loads {
        return Ok(());
    }
    for (from, to) in
        [(home.policy_module(), made.policy_module()), (home.policy_data(), made.policy_data())]
    {
        copy(&from, &to)?;
    }
    made.keep_policy_rules(&home.policy())?;
    let commands = (home.commands(), made.commands());
    let folders = [(home.tools(), made.tools()), (home.executors(), made.executors())];
    for (from, to) in folders.into_iter().chain((role == LinkRole::Runner).then_some(commands)) {
        components(&from, &to)?;
    }
    Ok(())
}

/// Makes the components of a folder those of another.
fn components(from: &Path, to: &Path) -> Result<()> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let inside = fs::read_dir(folder).into_iter().flatten().flatten();
        let paths = inside.map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "wasm")).collect()
    };
    for path in list(from) {
        let name = path.file_name().context("a component without a name")?;
        copy(&path, &to.join(name))?;
    }
    for path in list(to) {
        if path.file_name().is_some_and(|name| !from.join(name).exists()) {
            fs::remove_file(&path)
                .with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read `{}`", from.display()))?;
    write_private(to, &bytes)
}

fn make_folder(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE)
        .create(folder)
        .with_context(|| format!("cannot make the folder `{}`", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_of_a_role_names_no_server_and_no_person_of_another_role() {
        let text = "[environment]\nname = \"lab\"\n[edge]\nlisten = \"127.0.0.1:1\"\n\
                    [[edge.oauth.issuers]]\nname = \"idp\"\n[people.oidc]\nissuer = \"p\"\n\
                    [notify.oncall]\nurl = \"secret\"\n[store]\npostgres = \"db\"\n";
        let left = |role: LinkRole| {
            let mut document: DocumentMut = text.parse().unwrap();
            for (path, _) in PARTS.iter().filter(|(_, roles)| !roles.contains(&role)) {
                remove(document.as_table_mut(), path);
            }
            let text = document.to_string();
            assert!(text.contains("[edge]") && text.contains("[environment]"), "{text}");
            let words = ["oauth", "people", "notify", "store"];
            words.into_iter().filter(|word| text.contains(word)).collect::<Vec<_>>()
        };
        assert_eq!(left(LinkRole::Recorder), ["oauth", "people", "notify", "store"]);
        assert_eq!(left(LinkRole::Gateway), ["oauth", "people"]);
        assert_eq!(left(LinkRole::Courier), ["oauth", "people", "notify"]);
        for role in [LinkRole::Viewer, LinkRole::Runner, LinkRole::Reaper] {
            assert_eq!(left(role), [""; 0], "{role}");
        }
    }
}
