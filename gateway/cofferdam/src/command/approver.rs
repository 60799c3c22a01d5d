//! `cofferdam approver`: enrols and removes approvers with their SSH public keys or passkeys. Writes
//! the trust file; reads no private key.

mod delegate;
pub mod invite;
mod remove;
mod verify;

pub use remove::remove_everywhere;

use super::public_key::{is_security_key, public_key};
use super::report::Report;
use crate::command::reload;
use crate::command::show::table;
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use anyhow::{Context as _, Result, bail};
use clap::{Subcommand, ValueHint};
use cofferdam_core::model::approver_groups::GROUP;
use cofferdam_core::model::console_role::OF_ISSUER;
use cofferdam_core::model::passkey::Passkey;
use cofferdam_core::model::person::same_person;
use cofferdam_core::model::trust::{Approver, Trust};
use serde_json::json;
use ssh_key::{HashAlg, PublicKey};
use std::path::{Path, PathBuf};

/// The note for an enrolled security key: touch is required, a PIN is not checked.
const TOUCH: &str = "\nIt is a security key: each signature needs a touch, and one without is \
                     refused. Whether the key also asks for a PIN was decided when it was made \
                     (`ssh-keygen -O verify-required`); that is between person and key, and not \
                     checked here.";

/// Adds, lists and removes approvers. A running `serve` loads the change; a removal is in effect at
/// once.
#[derive(Debug, Subcommand)]
pub enum ApproverCommand {
    /// Enrol a person with an SSH public key (a passkey needs `approver invite`); for another key
    /// of the person, use the same name again
    #[command(after_help = "Example:\n  cofferdam approver add bob@example.com --key \
                            ~/.ssh/id_ed25519.pub")]
    Add {
        /// The name of the person, as policies and `agents add --for` use it
        name: String,
        /// The public key file: Ed25519, ECDSA P-256, or a security key of either kind
        #[arg(long, value_name = "FILE.pub", value_hint = ValueHint::FilePath)]
        key: PathBuf,
    },
    /// List approvers with their keys
    List,
    Invite(invite::Invite),
    Confirm(invite::Confirm),
    Verify(verify::Verify),
    Remove(remove::Remove),
    Delegate(Box<delegate::Delegate>),
}

impl ApproverCommand {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        match self {
            Self::Add { name, key } => add(home, name, &key),
            Self::List => list(home),
            Self::Invite(command) => command.run(home),
            Self::Confirm(command) => command.run(home),
            Self::Verify(command) => command.run(),
            Self::Remove(command) => command.run(home),
            Self::Delegate(command) => command.run(home),
        }
    }
}

/// True for a valid name of a person.
pub fn is_name(name: &str) -> bool {
    let letter = |byte: u8| {
        byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b'*' | b'#' | b'?' | b'!')
    };
    let of_others = name.starts_with(GROUP) || name.starts_with(OF_ISSUER);
    (1..=128).contains(&name.len()) && name.bytes().all(letter) && !of_others
}

/// Refuses a name that a policy could not have.
pub fn check_name(name: &str) -> Result<()> {
    if !is_name(name) {
        bail!(
            "`{name}` is not a valid name of a person; use visible ASCII without blanks, \
             commas and wildcards, such as bob@example.com; `group:` begins a group of a policy, and \
             `oidc:` the name of a person of the issuer"
        );
    }
    Ok(())
}

/// Refuses a second spelling of an enrolled person.
pub fn check_person(known: &Trust, name: &str) -> Result<()> {
    let other = |known: &&Approver| known.name != name && same_person(&known.name, name);
    match known.keys_of_people().iter().find(other) {
        None => Ok(()),
        Some(other) => bail!(
            "`{name}` and `{0}`, who is enrolled, count as one person, whose signatures count \
             once; enrol another key of theirs under exactly the name `{0}`",
            other.name
        ),
    }
}

fn add(home: &Home, name: String, path: &Path) -> Result<Report> {
    check_name(&name)?;
    let key = public_key(path)?;
    let mut file = TrustFile::open(home)?;
    let text = key.to_openssh().context("the key has no text form")?;
    let known = file.trust()?;
    if let Some(same) = known.approvers.iter().find(|known| {
        PublicKey::from_openssh(&known.key).is_ok_and(|known| known.key_data() == key.key_data())
    }) {
        bail!("this key is enrolled already, for `{}`; one key is one person", same.name);
    }
    check_person(&known, &name)?;
    file.add_approver(&Approver { name: name.clone(), key: text })?;
    file.save()?;
    let touch = is_security_key(&key);
    let touched = if touch { TOUCH } else { "" };
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let (after, loaded) = reload::after(home, &format!("`{name}` is enrolled"))?;
    Ok(Report::new(
        format!(
            "Enrolled `{name}` with {fingerprint}. {after}{touched}\nThe approver lists waiting \
             calls with `cofferdam approve` and signs one with `cofferdam approve ID`; from \
             another machine, with `--server URL`."
        ),
        json!({"name": name, "fingerprint": fingerprint, "touch": touch,
        "loaded": loaded}),
    ))
}

fn list(home: &Home) -> Result<Report> {
    let trust = TrustFile::open(home)?.trust()?;
    let entries: Vec<_> = trust.approvers.iter().map(described).collect();
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|(name, kind, print)| vec![name.clone(), kind.clone(), print.clone()])
        .collect();
    let text = if rows.is_empty() {
        "No person is enrolled, so no call can be approved. Enrol one: `cofferdam approver add \
         NAME --key FILE.pub`"
            .to_owned()
    } else {
        table(&["NAME", "KEY", "FINGERPRINT"], &rows)
    };
    let delegations = delegate::listed(&trust);
    let text = delegations.iter().fold(text, |text, (line, _)| format!("{text}\n{line}"));
    let delegations: Vec<_> = delegations.into_iter().map(|(_, value)| value).collect();
    let entries: Vec<_> = entries
        .iter()
        .map(|(name, kind, print)| json!({"name": name, "key": kind, "fingerprint": print}))
        .collect();
    Ok(Report::new(text, json!({"approvers": entries, "delegations": delegations})))
}

/// The name, the kind of the key, and its fingerprint, as the list has them.
fn described(approver: &Approver) -> (String, String, String) {
    if let Some(passkey) = Passkey::read(&approver.key) {
        let kind = format!("passkey {} for {}", passkey.key.algorithm(), passkey.party);
        return (approver.name.clone(), kind, passkey.fingerprint());
    }
    let key = PublicKey::from_openssh(&approver.key).ok();
    let print = key.as_ref().map_or_else(
        || "unreadable".to_owned(),
        |key| key.fingerprint(HashAlg::Sha256).to_string(),
    );
    (approver.name.clone(), key.map(|key| key.algorithm().to_string()).unwrap_or_default(), print)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::home::write_private;

    const KEY: &str = "ssh-ed25519 \
                       AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti \
                       user@example.com";

    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmcbTaSysbelaWfDNxfKavRQWUIGvE00dtZGUe9QjXz other";

    /// A trust file without approvers.
    fn trust() -> String {
        let digest = format!("sha256:{}", "0".repeat(64));
        format!(
            "policy = \"{digest}\"\nself_approval = false\n[environment]\nname = \"lab\"\nid = \
             \"1\"\n[keys]\ngateway = \"\"\nrecorder = \"\"\n[floor]\nactions = []\nnamespaces = \
             []\n"
        )
    }

    #[test]
    fn one_key_is_one_person() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        home.make_folders().unwrap();
        write_private(&home.trust(), trust().as_bytes()).unwrap();
        let key = folder.path().join("id.pub");
        std::fs::write(&key, KEY).unwrap();
        add(&home, "bob@example.com".into(), &key).unwrap();
        assert!(
            add(&home, "eve@example.com".into(), &key)
                .unwrap_err()
                .to_string()
                .contains("for `bob@example.com`")
        );
        for name in ["a, b", "oidc:bob@example.com"] {
            assert!(add(&home, name.into(), &key).is_err(), "{name}");
        }
        std::fs::write(&key, "-----BEGIN OPENSSH PRIVATE KEY-----").unwrap();
        assert!(add(&home, "eve".into(), &key).unwrap_err().to_string().contains("private key"));
        assert_eq!(list(&home).unwrap().value()["approvers"][0]["name"], "bob@example.com");
        // Another key of the same person: under exactly the same name, and under no other spelling
        // of it.
        std::fs::write(&key, OTHER).unwrap();
        for spelling in ["bob", "Bob", "BOB@example.com"] {
            let refused = add(&home, spelling.into(), &key).unwrap_err().to_string();
            assert!(
                refused.contains("exactly the name `bob@example.com`"),
                "{spelling}: {refused}"
            );
        }
        add(&home, "bob@example.com".into(), &key).unwrap();
        assert_eq!(list(&home).unwrap().value()["approvers"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_trust_file_with_two_spellings_of_one_person_is_refused_until_one_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        home.make_folders().unwrap();
        let entry =
            |name: &str, key: &str| format!("[[approver]]\nname = \"{name}\"\nkey = \"{key}\"\n");
        let text = format!("{}{}{}", trust(), entry("bob", KEY), entry("Bob@example.com", OTHER));
        write_private(&home.trust(), text.as_bytes()).unwrap();
        let error = format!("{:#}", list(&home).unwrap_err());
        assert!(
            error.contains(
                "enrols `bob` and `Bob@example.com`, which count as one person; remove one"
            ),
            "{error}"
        );
        remove::Remove::person("bob").run(&home).unwrap();
        assert_eq!(list(&home).unwrap().value()["approvers"][0]["name"], "Bob@example.com");
    }
}
