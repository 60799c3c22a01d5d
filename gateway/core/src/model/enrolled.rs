//! The rules of the lists of people in a trust file: one spelling for each person, and one person for
//! each passkey, whatever the roles. Every role reads its lists by them. Gives no right to approve.

use super::approver_groups::GROUP;
use super::console_role::{ConsoleEntry, ConsoleRole};
use super::escape::line;
use super::passkey::Passkey;
use super::person::two_spellings;
use super::trust::{Approver, TrustError};

/// Checks a list of approvers.
///
/// # Errors
/// One person is in two spellings, or a passkey is enrolled twice.
pub fn check_enrolled(approvers: &[Approver]) -> Result<(), TrustError> {
    let names: Vec<_> = approvers.iter().map(|approver| approver.name.as_str()).collect();
    if let Some(group) = names.iter().find(|name| name.starts_with(GROUP)) {
        return Err(TrustError::Group(line(group)));
    }
    if let Some((first, second)) = two_spellings(&names) {
        return Err(TrustError::Spelling(line(first), line(second)));
    }
    let mut known: Vec<(&str, Passkey)> = Vec::new();
    for approver in approvers {
        let Some(passkey) = Passkey::read(&approver.key) else { continue };
        let same = |(_, other): &&(&str, Passkey)| other.is_same_device(&passkey);
        if let Some((first, _)) = known.iter().find(same) {
            return Err(TrustError::Passkey(line(first), line(&approver.name)));
        }
        known.push((&approver.name, passkey));
    }
    Ok(())
}

/// Checks the list of the console's people, beside the approvers.
///
/// # Errors
/// An entry has no passkey or gives the role of an approver, or is there twice; a person is in two
/// spellings; or a passkey belongs to two people.
pub fn check_console(approvers: &[Approver], console: &[ConsoleEntry]) -> Result<(), TrustError> {
    let refused = |entry: &ConsoleEntry, why| Err(TrustError::Console(line(&entry.name), why));
    let names = approvers.iter().map(|own| own.name.as_str());
    let names: Vec<_> = names.chain(console.iter().map(|own| own.name.as_str())).collect();
    if let Some((first, second)) = two_spellings(&names) {
        return Err(TrustError::Spelling(line(first), line(second)));
    }
    let of_approvers = approvers.iter().filter_map(|own| {
        Some((own.name.as_str(), own.key.as_str(), ConsoleRole::Approver, Passkey::read(&own.key)?))
    });
    let mut known: Vec<_> = of_approvers.collect();
    for entry in console {
        if entry.role == ConsoleRole::Approver {
            return refused(entry, "gives the role `approver`, which `[[approver]]` alone gives");
        }
        let Some(passkey) = Passkey::read(&entry.key) else {
            return refused(entry, "has no passkey");
        };
        for (name, key, role, other) in &known {
            if !other.is_same_device(&passkey) {
                continue;
            }
            if *name != entry.name || *key != entry.key {
                return Err(TrustError::Passkey(line(name), line(&entry.name)));
            }
            if *role == entry.role {
                return refused(entry, "is there twice");
            }
        }
        known.push((&entry.name, &entry.key, entry.role, passkey));
    }
    Ok(())
}

/// The person for whom a passkey of the same key or of the same id is enrolled already.
pub fn owner_of<'a>(passkey: &Passkey, approvers: &'a [Approver]) -> Option<&'a str> {
    let same = |approver: &&Approver| {
        Passkey::read(&approver.key).is_some_and(|known| known.is_same_device(passkey))
    };
    approvers.iter().find(same).map(|approver| approver.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::authenticator::Authenticator;

    #[test]
    fn a_passkey_is_of_one_person_whatever_id_or_site_its_line_has() {
        let bob = Authenticator::es256("bob");
        let (key, id) = (bob.cose(), bob.credential.clone());
        let approver = |name: &str, device: &Authenticator| Approver {
            name: name.to_owned(),
            key: device.line(),
        };
        let told = |second: Approver| {
            let both = [approver("bob", &Authenticator::es256("bob")), second];
            check_enrolled(&both).err().map(|error| error.to_string())
        };
        let renamed = Authenticator::es256("bob").with_id(&[7; 16]);
        assert_eq!((renamed.cose(), renamed.credential == id), (key, false));
        let same_id = Authenticator::es256("mallory").with_id(&id);
        let moved = Authenticator::es256("bob").at("https://other.example.com");
        for second in [
            approver("mallory", &renamed),
            approver("mallory", &same_id),
            approver("mallory", &moved),
            approver("mallory", &bob),
            approver("bob", &renamed),
        ] {
            let told = told(second.clone()).unwrap_or_default();
            assert!(told.contains("a passkey twice"), "{second:?}: {told}");
        }
        assert_eq!(told(approver("mallory", &Authenticator::es256("mallory"))), None);
        let group = told(approver("group:leads", &Authenticator::es256("mallory"))).unwrap();
        assert!(group.contains("`group:leads`, which is the name of a group"), "{group}");
        assert_eq!(told(approver("bob", &Authenticator::eddsa("phone of bob"))), None);
    }

    #[test]
    fn a_passkey_may_have_two_roles_of_one_person_and_none_of_another() {
        use ConsoleRole::{Approver as Approves, Auditor, Operator};
        let line_of = |seed: &str| Authenticator::es256(seed).line();
        let entry = |name: &str, role, seed: &str| ConsoleEntry {
            name: name.to_owned(),
            role,
            key: line_of(seed),
        };
        let approvers = [Approver { name: "bob@example.com".into(), key: line_of("bob") }];
        let told = |console: &[ConsoleEntry]| {
            check_console(&approvers, console).err().map(|error| error.to_string())
        };
        let bob = "bob@example.com";
        let good = [
            entry(bob, Auditor, "bob"),
            entry(bob, Operator, "bob"),
            entry(bob, Operator, "phone of bob"),
            entry("ada", Auditor, "ada"),
        ];
        assert_eq!(told(&good), None);
        for (bad, expect) in [
            (entry("eve", Auditor, "bob"), "a passkey twice"),
            (entry("eve", Auditor, "ada"), "a passkey twice"),
            (entry("Bob", Auditor, "another"), "count as one person"),
            (entry("ADA@example.com", Auditor, "another"), "count as one person"),
            (entry(bob, Auditor, "bob"), "is there twice"),
            (entry("eve", Approves, "eve"), "`[[approver]]` alone gives"),
            (
                ConsoleEntry { key: "ssh-ed25519 AAAA".into(), ..entry("eve", Auditor, "eve") },
                "has no passkey",
            ),
        ] {
            let mut console = good.to_vec();
            console.push(bad.clone());
            let told = told(&console).unwrap_or_default();
            assert!(told.contains(expect), "{bad:?}: {told}");
        }
    }
}
