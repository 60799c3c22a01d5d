//! The signer of a signature. The enrolled key decides how a signature is checked, and never the
//! kind that the signature gives itself. A signature of a security key counts only with the touch
//! of its owner, and a passkey's only with the owner verified.

use super::ApprovalError;
use crate::model::escape::line;
use crate::model::passkey::Passkey;
use crate::model::trust::Approver;
use crate::policy::passkey::{Assertion, challenge_of};
use ssh_key::{Algorithm, PublicKey, SshSig};

/// The bytes that a security key appends to its signature: one of flags and four of a counter
/// (PROTOCOL.u2f).
const TRAILER: usize = 5;

/// The flag of a touch.
const TOUCHED: u8 = 1;

/// The enrolled approver whose key signed this text in this namespace.
pub(in crate::policy) fn signer_in<'a>(
    namespace: &str,
    text: &str,
    armour: &str,
    approvers: &'a [Approver],
) -> Result<&'a Approver, ApprovalError> {
    if Assertion::is_text_of_one(armour) {
        return passkey_signer(text, armour, approvers);
    }
    // `from_pem` accepts text before the armour; a signature file has no such text.
    if !armour.starts_with("-----BEGIN SSH SIGNATURE-----") {
        return Err(ApprovalError::Signature);
    }
    let signature = SshSig::from_pem(armour.as_bytes()).map_err(|_| ApprovalError::Signature)?;
    let made = |approver: &'a Approver| {
        let key = PublicKey::from_openssh(&approver.key).ok()?;
        key.verify(namespace, text.as_bytes(), &signature).ok()?;
        Some((approver, key.algorithm()))
    };
    let (approver, enrolled) = approvers.iter().find_map(made).ok_or(ApprovalError::Unknown)?;
    check_kind(&enrolled, &signature)?;
    check_touch(&enrolled, signature.signature_bytes())?;
    Ok(approver)
}

/// The enrolled approver whose passkey signed the digest of this text. A passkey signs no namespace:
/// texts of different purposes have different schema names.
fn passkey_signer<'a>(
    text: &str,
    assertion: &str,
    approvers: &'a [Approver],
) -> Result<&'a Approver, ApprovalError> {
    let assertion = Assertion::read(assertion)?;
    let owned = |approver: &'a Approver| {
        let passkey = Passkey::read(&approver.key)?;
        (passkey.credential == assertion.credential()).then_some((approver, passkey))
    };
    let (approver, passkey) = approvers.iter().find_map(owned).ok_or(ApprovalError::Unknown)?;
    assertion.check(&passkey, &challenge_of(text))?;
    Ok(approver)
}

/// The library verifies by the enrolled key alone and takes any kind that the signature gives
/// itself.
fn check_kind(enrolled: &Algorithm, signature: &SshSig) -> Result<(), ApprovalError> {
    let given = signature.algorithm();
    if given == *enrolled {
        return Ok(());
    }
    Err(ApprovalError::Kind { signature: line(given.as_str()), key: enrolled.as_str().to_owned() })
}

/// Neither the library nor `ssh-keygen` refuses a security key's signature without a touch.
fn check_touch(enrolled: &Algorithm, signature: &[u8]) -> Result<(), ApprovalError> {
    if !matches!(enrolled, Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256) {
        return Ok(());
    }
    let trailer = signature.last_chunk::<TRAILER>().ok_or(ApprovalError::Signature)?;
    let [flags, ..] = trailer;
    if flags & TOUCHED == TOUCHED { Ok(()) } else { Err(ApprovalError::Untouched) }
}

#[cfg(test)]
mod passkey_tests;
#[cfg(test)]
mod tests;
