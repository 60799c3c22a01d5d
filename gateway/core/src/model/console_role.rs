//! The roles of people at the console, and a person in one of them. No role approves: an approval
//! is a signature. Each reader of a trust file finds the roles of a person here.

use super::trust::{Approver, Trust};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A role of a person at the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleRole {
    /// Sees the questions that the person may sign, and the calls that the person signed.
    Approver,
    /// Sees everything, and can change nothing.
    Auditor,
    /// Sees everything, and may cancel a call.
    Operator,
}

impl ConsoleRole {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Approver, Self::Auditor, Self::Operator];

    /// The name, as JSON and the trust file have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }

    /// True if this role sees every call, and not only a person's own ones.
    pub fn sees_all(self) -> bool {
        matches!(self, Self::Auditor | Self::Operator)
    }

    /// True if this role may cancel a call.
    pub fn may_cancel(self) -> bool {
        self == Self::Operator
    }
}

impl fmt::Display for ConsoleRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The beginning of the names of people whom the issuer named. No enrolled person has such a name.
pub const OF_ISSUER: &str = "oidc:";

/// How a person signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInKind {
    /// With a passkey of the trust file.
    Passkey,
    /// At the issuer of `[people.oidc]`.
    Oidc,
}

/// A person who makes one request of the console, in one of their roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsolePerson {
    /// The name: by the trust file, or by the issuer.
    pub name: String,
    /// The role of this request.
    pub role: ConsoleRole,
    /// How the person signed in.
    pub by: SignInKind,
}

/// A person with a session, and all their roles. Made for each request: a role that was taken away
/// is not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The name: by the trust file, or by the issuer.
    pub name: String,
    /// At least one role, in the order of [`ConsoleRole::ALL`].
    pub roles: Vec<ConsoleRole>,
    /// How the person signed in.
    pub by: SignInKind,
}

impl SignedIn {
    /// This person in a role, if it is one of theirs.
    pub fn acting_as(&self, role: ConsoleRole) -> Option<ConsolePerson> {
        let person = || ConsolePerson { name: self.name.clone(), role, by: self.by };
        self.roles.contains(&role).then(person)
    }

    /// This person in the role that sees most: a reading request uses it.
    pub fn reading(&self) -> Option<ConsolePerson> {
        ConsoleRole::ALL.into_iter().rev().find_map(|role| self.acting_as(role))
    }
}

/// A person of the console by a passkey: one line of the trust file for each role and passkey.
/// Approvers are not among them, and no policy, quorum or runner reads this list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleEntry {
    /// The name: `ada@example.com`.
    pub name: String,
    /// The role: auditor or operator.
    pub role: ConsoleRole,
    /// The line of a passkey, `passkey ORIGIN CREDENTIAL KEY`.
    pub key: String,
}

impl Trust {
    /// The roles of this person with this key, in the order of [`ConsoleRole::ALL`].
    pub fn roles_of(&self, name: &str, key: &str) -> Vec<ConsoleRole> {
        let approves = self.approvers.iter().any(|own| own.name == name && own.key == key);
        let has = |role: ConsoleRole| {
            self.console.iter().any(|own| own.name == name && own.key == key && own.role == role)
        };
        let held = |role: &ConsoleRole| has(*role) || (*role == ConsoleRole::Approver && approves);
        ConsoleRole::ALL.into_iter().filter(held).collect()
    }

    /// True if this person has this role with any key.
    pub fn has_role(&self, name: &str, role: ConsoleRole) -> bool {
        match role {
            ConsoleRole::Approver => self.approvers.iter().any(|own| own.name == name),
            _ => self.console.iter().any(|own| own.name == name && own.role == role),
        }
    }

    /// The keys with which people sign in at the console: of approvers, auditors and operators.
    pub fn keys_of_people(&self) -> Vec<Approver> {
        let mut keys = self.approvers.clone();
        for ConsoleEntry { name, key, .. } in &self.console {
            let entry = Approver { name: name.clone(), key: key.clone() };
            if !keys.contains(&entry) {
                keys.push(entry);
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::authenticator::Authenticator;
    use crate::testing::trust;
    use ConsoleRole::{Approver as Approves, Auditor, Operator};

    fn entry(name: &str, role: ConsoleRole) -> ConsoleEntry {
        ConsoleEntry { name: name.to_owned(), role, key: Authenticator::es256(name).line() }
    }

    #[test]
    fn a_role_is_of_the_person_and_key_that_the_trust_file_names() {
        let mut trust = trust();
        let bob = entry("bob", Auditor).key;
        trust.approvers.push(Approver { name: "bob".into(), key: bob.clone() });
        trust.console = vec![entry("bob", Auditor), entry("ada", Auditor), entry("ada", Operator)];
        let ada = entry("ada", Auditor).key;
        for (name, key, roles) in [
            ("bob", bob.as_str(), vec![Approves, Auditor]),
            ("ada", &ada, vec![Auditor, Operator]),
            ("ada", &bob, vec![]),
            ("bob", &ada, vec![]),
            ("eve", &ada, vec![]),
        ] {
            assert_eq!(trust.roles_of(name, key), roles, "{name} {key}");
        }
        let keys = trust.keys_of_people();
        assert_eq!(keys.iter().filter(|own| own.key == bob).count(), 1);
        assert_eq!(keys.iter().filter(|own| own.name == "ada").count(), 1);
        assert!(trust.has_role("ada", Operator) && !trust.has_role("ada", Approves));
        assert!(trust.has_role("bob", Approves) && !trust.has_role("bob", Operator));
    }

    #[test]
    fn a_request_that_reads_uses_the_role_that_sees_most() {
        let person = |roles: &[ConsoleRole]| SignedIn {
            name: "ada".into(),
            roles: roles.to_vec(),
            by: SignInKind::Oidc,
        };
        let reading = |roles: &[ConsoleRole]| person(roles).reading().map(|person| person.role);
        assert_eq!(reading(&[Approves]), Some(Approves));
        assert_eq!(reading(&[Approves, Auditor]), Some(Auditor));
        assert_eq!(reading(&[]), None);
        assert_eq!(person(&[Auditor]).acting_as(Operator), None);
        for role in ConsoleRole::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.word());
        }
    }
}
