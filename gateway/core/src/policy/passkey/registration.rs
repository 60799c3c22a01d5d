//! Reads a new passkey out of the authenticator's data. Asks for no attestation: an operator and
//! the person compare the fingerprint instead.

use super::extensions::after_extensions;
use super::{ATTESTED, EXTENDED, PasskeyError, check_client_data, check_head};
use crate::model::passkey::{CREDENTIAL, CoseKey, Passkey};
use crate::model::relying_party::RelyingParty;

/// The bytes of the model of an authenticator, before the credential. They are not signed.
const MODEL: usize = 16;

/// The passkey that a browser made for this challenge on a page of this relying party.
///
/// # Errors
/// The data is for another page or challenge, its owner was not verified, or the key is of another
/// kind than [`CoseKey`] has.
pub fn register(
    client_data: &[u8],
    authenticator_data: &[u8],
    challenge: &[u8],
    party: &RelyingParty,
) -> Result<Passkey, PasskeyError> {
    check_client_data(client_data, "webauthn.create", challenge, party)?;
    let (flags, rest) = check_head(authenticator_data, party)?;
    if flags & ATTESTED == 0 {
        return Err(PasskeyError::Credential("no key"));
    }
    let short = PasskeyError::Credential("too few bytes");
    let after = rest.get(MODEL..).ok_or_else(|| short.clone())?;
    let (length, after) = after.split_first_chunk::<2>().ok_or_else(|| short.clone())?;
    let length = usize::from(u16::from_be_bytes(*length));
    if !(1..=CREDENTIAL).contains(&length) {
        return Err(PasskeyError::Credential("an id of a wrong length"));
    }
    let (credential, after) = after.split_at_checked(length).ok_or(short)?;
    let (key, after) = CoseKey::read(after)
        .ok_or(PasskeyError::Credential("a key that is neither ES256 nor EdDSA"))?;
    let after = if flags & EXTENDED == 0 {
        after
    } else {
        after_extensions(after)
            .ok_or(PasskeyError::Credential("extensions that are not readable"))?
    };
    if !after.is_empty() {
        return Err(PasskeyError::Credential("bytes after its key"));
    }
    Ok(Passkey { party: party.clone(), credential: credential.to_vec(), key })
}
