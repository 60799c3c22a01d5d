//! Compiled artefacts carry a MAC of the role that asked for them: the engine accepts machine code
//! as it is, so only the role's own may enter. Never shared between roles: each has a key of its
//! own.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A role's key for its own artefacts.
pub struct ArtefactKey([u8; 32]);

/// Bytes of the MAC before the artefact.
const MAC: usize = 32;

/// An artefact that is not this role's, or not of this component, engine and configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the compiled artefact is not this role's own; it is compiled again")]
pub struct ForeignArtefact;

impl ArtefactKey {
    /// A key of 32 random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// Puts the MAC before the artefact. `about` names component digest, engine version and
    /// configuration.
    pub fn seal(&self, about: &str, artefact: &[u8]) -> Result<Vec<u8>, ForeignArtefact> {
        let tag = self.mac(about, artefact)?.finalize().into_bytes();
        Ok([tag.as_slice(), artefact].concat())
    }

    /// Checks the MAC and gives the artefact.
    pub fn open<'a>(&self, about: &str, sealed: &'a [u8]) -> Result<&'a [u8], ForeignArtefact> {
        let (tag, artefact) = sealed.split_at_checked(MAC).ok_or(ForeignArtefact)?;
        self.mac(about, artefact)?.verify_slice(tag).map_err(|_| ForeignArtefact)?;
        Ok(artefact)
    }

    fn mac(&self, about: &str, artefact: &[u8]) -> Result<Hmac<Sha256>, ForeignArtefact> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|_| ForeignArtefact)?;
        mac.update(&u64::try_from(about.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(about.as_bytes());
        mac.update(artefact);
        Ok(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_byte_or_another_component_is_refused() {
        let key = ArtefactKey::new([7; 32]);
        let mut sealed = key.seal("sha256:a 48.0.8", b"code").unwrap();
        assert_eq!(key.open("sha256:a 48.0.8", &sealed), Ok(b"code".as_slice()));
        assert_eq!(key.open("sha256:b 48.0.8", &sealed), Err(ForeignArtefact));
        assert_eq!(
            ArtefactKey::new([8; 32]).open("sha256:a 48.0.8", &sealed),
            Err(ForeignArtefact)
        );
        *sealed.last_mut().unwrap() ^= 1;
        assert_eq!(key.open("sha256:a 48.0.8", &sealed), Err(ForeignArtefact));
    }
}
