//! The signature with which a person vouches for a new passkey: over exactly the passkey's line, by
//! an SSH key or a passkey that is enrolled for that person already. It shows that the holder of the
//! known key wants this passkey, and nothing about the page that made it.

use super::approval::{ApprovalError, signer};
use crate::model::passkey::Passkey;
use crate::model::trust::Approver;

/// The SSHSIG namespace of these signatures: never one of an approval or a sign-in.
pub const NAMESPACE: &str = "enrolment@cofferdam.dev";

/// The enrolled key that vouches for a passkey, by its signature over the passkey's line.
///
/// # Errors
/// No enrolled key made the signature, or the signature is not valid.
pub fn voucher<'a>(
    passkey: &Passkey,
    signature: &str,
    approvers: &'a [Approver],
) -> Result<&'a Approver, ApprovalError> {
    // Many programs end a file with a line break.
    let line = passkey.to_string();
    let signed = |text: &str| signer::signer_in(NAMESPACE, text, signature, approvers);
    signed(&line).or_else(|error| match error {
        ApprovalError::Unknown => signed(&format!("{line}\n")),
        other => Err(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::authenticator::Authenticator;
    use crate::testing::trust;
    use ssh_key::HashAlg;

    #[test]
    fn only_an_enrolled_key_vouches_for_exactly_this_passkey() {
        let new = Passkey::read(&Authenticator::es256("bob").line()).unwrap();
        let known = trust().approvers;
        let sign = |name: &str, namespace: &str, text: &str| {
            let made =
                crate::testing::person(name).sign(namespace, HashAlg::Sha512, text.as_bytes());
            made.unwrap().to_pem(ssh_key::LineEnding::LF).unwrap()
        };
        let told = |signature: &str| {
            voucher(&new, signature, &known)
                .map_or_else(|error| error.to_string(), |approver| approver.name.clone())
        };
        let line = new.to_string();
        assert_eq!(told(&sign("bob", NAMESPACE, &line)), "bob");
        assert_eq!(told(&sign("bob", NAMESPACE, &format!("{line}\n"))), "bob");
        let other = Authenticator::es256("mallory").line();
        for (name, signature) in [
            ("an approval", sign("bob", "approval@cofferdam.dev", &line)),
            ("a sign-in", sign("bob", "sign-in@cofferdam.dev", &line)),
            ("another passkey", sign("bob", NAMESPACE, &other)),
            ("a stranger", sign("mallory", NAMESPACE, &line)),
        ] {
            assert!(told(&signature).contains("not enrolled"), "{name}: {}", told(&signature));
        }
        assert!(told("").contains("not an SSH signature"));
    }
}
