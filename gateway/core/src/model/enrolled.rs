//! The rules of a list of approvers: one spelling for each person, and one person for each passkey.
//! Every role reads its list by them. Never says who may approve.

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
        assert_eq!(told(approver("bob", &Authenticator::eddsa("phone of bob"))), None);
    }
}
