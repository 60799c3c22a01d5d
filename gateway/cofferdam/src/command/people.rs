//! `cofferdam people`: enrols auditors and operators of the console with their passkeys. Writes the
//! trust file. Never enrols an approver: no signature counts by this list.

use super::approver::invite::{Invite, compared, discarded, end, owner_of_another};
use super::approver::{check_person, remove_everywhere};
use super::reload;
use super::report::Report;
use super::show::table;
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use anyhow::{Result, bail};
use clap::{Subcommand, ValueEnum};
use cofferdam_core::model::console_role::{ConsoleEntry, ConsoleRole};
use cofferdam_core::model::passkey::Passkey;
use cofferdam_core::protocol::operator_recorder::InvitationDecision;
use serde_json::json;

/// A role that this command gives. An approver is enrolled with `cofferdam approver`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum GivenRole {
    /// Sees everything, and can change nothing
    Auditor,
    /// Sees everything, and may cancel a call
    Operator,
}

impl From<GivenRole> for ConsoleRole {
    fn from(role: GivenRole) -> Self {
        match role {
            GivenRole::Auditor => Self::Auditor,
            GivenRole::Operator => Self::Operator,
        }
    }
}

/// Enrols auditors and operators of the console; they approve nothing. A running `serve` loads a
/// change at once.
#[derive(Debug, Subcommand)]
pub enum PeopleCommand {
    /// Print a link with which a person makes a passkey, once and for a limited time
    #[command(after_help = "Example:\n  cofferdam people invite ada@example.com\n  cofferdam \
                            people confirm ada@example.com --role auditor")]
    Invite(Invite),
    /// Enrol the passkey of an invited person, for the given roles alone
    #[command(after_help = "Example:\n  cofferdam people confirm ada@example.com --role auditor \
                            --role operator")]
    Confirm {
        /// The name of the person
        name: String,
        /// A role of the person; may be given twice
        #[arg(long, required_unless_present = "discard")]
        role: Vec<GivenRole>,
        /// The number that the person told you [default: asked for on a terminal]
        #[arg(long, value_name = "NUMBER")]
        fingerprint: Option<String>,
        /// Discard the passkey, and end the invitation
        #[arg(long, conflicts_with_all = ["fingerprint", "role"])]
        discard: bool,
    },
    /// Give a role to a person who has a passkey already, as approver or in the other role
    #[command(after_help = "Example:\n  cofferdam people add bob@example.com --role auditor")]
    Add {
        /// The name of the person, exactly as it is enrolled
        name: String,
        /// The role
        #[arg(long, required = true)]
        role: Vec<GivenRole>,
    },
    /// List people with their roles and passkeys
    List,
    /// Remove a role of a person, or both roles, at once; sessions in the role end
    Remove {
        /// The name of the person
        name: String,
        /// The role [default: both]
        #[arg(long)]
        role: Option<GivenRole>,
    },
}

impl PeopleCommand {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        match self {
            Self::Invite(command) => {
                let confirm = format!("cofferdam people confirm {} --role ROLE", command.name());
                command.confirmed_by(home, &confirm)
            }
            Self::Confirm { name, discard: true, .. } => discarded(home, &name),
            Self::Confirm { name, role, fingerprint, .. } => {
                let passkey = compared(home, &name, fingerprint)?;
                let report = give(home, &name, &role, std::slice::from_ref(&passkey))?;
                // The passkey is enrolled; an open invitation gives no right.
                let decision = InvitationDecision::Confirmed { passkey: passkey.digest() };
                match end(home, &name, decision) {
                    Ok(()) => Ok(report),
                    Err(error) => Err(error.context(format!(
                        "`{name}` is enrolled, and the invitation could not be ended"
                    ))),
                }
            }
            Self::Add { name, role } => {
                let trust = TrustFile::open(home)?.trust()?;
                let keys = trust.keys_of_people();
                let own = keys.iter().filter(|own| own.name == name);
                let passkeys: Vec<_> = own.filter_map(|own| Passkey::read(&own.key)).collect();
                if passkeys.is_empty() {
                    bail!(
                        "`{name}` has no passkey, and people enter the console with one; \
                         `cofferdam people invite {name}` prints a link for it"
                    );
                }
                give(home, &name, &role, &passkeys)
            }
            Self::List => list(home),
            Self::Remove { name, role } => remove(home, &name, role.map(ConsoleRole::from)),
        }
    }
}

/// Enrols these passkeys for these roles. Existing entries stay.
fn give(home: &Home, name: &str, roles: &[GivenRole], passkeys: &[Passkey]) -> Result<Report> {
    let mut file = TrustFile::open(home)?;
    let trust = file.trust()?;
    check_person(&trust, name)?;
    let roles: Vec<ConsoleRole> = roles.iter().map(|role| (*role).into()).collect();
    for passkey in passkeys {
        if let Some(other) = owner_of_another(passkey, &trust, name) {
            bail!(
                "this passkey is enrolled for `{other}`, and a key belongs to one person. Discard \
                 it with `cofferdam people confirm {name} --discard`"
            );
        }
    }
    let mut known = trust.console;
    for role in &roles {
        for passkey in passkeys {
            let key = passkey.to_string();
            let entry = ConsoleEntry { name: name.to_owned(), role: *role, key };
            if !known.contains(&entry) {
                file.add_console(&entry)?;
                known.push(entry);
            }
        }
    }
    file.save()?;
    let words: Vec<_> = roles.iter().map(|role| role.word()).collect();
    let told = words.join(" and ");
    let (after, loaded) = reload::after(home, &format!("`{name}` is enrolled as {told}"))?;
    Ok(Report::new(
        format!("`{name}` may enter the console as {told}. No role approves. {after}"),
        json!({"name": name, "roles": words, "enrolled": true, "loaded": loaded}),
    ))
}

fn list(home: &Home) -> Result<Report> {
    let trust = TrustFile::open(home)?.trust()?;
    let entries: Vec<_> = trust
        .keys_of_people()
        .into_iter()
        .filter_map(|own| {
            let passkey = Passkey::read(&own.key)?;
            let roles = trust.roles_of(&own.name, &own.key);
            let roles: Vec<_> = roles.iter().map(|role| role.word()).collect();
            Some((own.name, roles, passkey))
        })
        .collect();
    if entries.is_empty() {
        let text =
            "No person may enter the console. Invite a person: `cofferdam people invite NAME`";
        return Ok(Report::new(text, json!({"people": []})));
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|(name, roles, passkey)| {
            vec![name.clone(), roles.join(", "), passkey.party.to_string(), passkey.fingerprint()]
        })
        .collect();
    let people: Vec<_> = entries
        .iter()
        .map(|(name, roles, passkey)| {
            json!({"name": name, "roles": roles, "origin": passkey.party.origin(),
                "fingerprint": passkey.fingerprint()})
        })
        .collect();
    let text = table(&["NAME", "ROLES", "PASSKEY FOR", "FINGERPRINT"], &rows);
    Ok(Report::new(text, json!({"people": people})))
}

fn remove(home: &Home, name: &str, role: Option<ConsoleRole>) -> Result<Report> {
    let mut file = TrustFile::open(home)?;
    let removed = file.remove_console(name, role)?;
    if removed == 0 {
        let role = role.map_or("auditor or operator", ConsoleRole::word);
        bail!("`{name}` is not enrolled as {role}; `cofferdam people list` names people and roles");
    }
    let trust = file.save()?;
    remove_everywhere(home)?;
    let role = role.map_or("auditor and operator", ConsoleRole::word);
    let approves = trust.has_role(name, ConsoleRole::Approver);
    let approves = if approves {
        format!("\n`{name}` is still an approver; `cofferdam approver remove {name}` ends that.")
    } else {
        String::new()
    };
    Ok(Report::new(
        format!("`{name}` is no longer {role}. Sessions in this role ended.{approves}"),
        json!({"removed": name, "entries": removed}),
    ))
}
