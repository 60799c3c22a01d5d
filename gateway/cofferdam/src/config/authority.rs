//! Makes the certificates of links: an authority of the installation, and one certificate for each
//! role, with its SPIFFE name. Writes no file, and never keeps a key.

use anyhow::{Context as _, Result, bail};
use cofferdam_core::protocol::link::LinkRole;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// How long before its making a certificate is valid: clocks of hosts differ.
const EARLIER: SignedDuration = SignedDuration::from_mins(5);

/// A day, in seconds.
const DAY: u64 = 86_400;

/// A certificate with its key, as PEM.
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// The authority of an installation.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority for the environment with this id, valid for so many days.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub fn make(environment: &str, days: u32, now: Timestamp) -> Result<(Self, Pair)> {
        let key = KeyPair::generate().context("cannot make the key of the authority")?;
        let mut parameters = parameters(environment);
        valid(&mut parameters, days, now)?;
        let certificate = parameters.self_signed(&key).context("cannot make the authority")?.pem();
        let pair = Pair { certificate: certificate.clone(), key: key.serialize_pem() };
        Ok((Self { certificate, issuer: Issuer::new(parameters, key) }, pair))
    }

    /// Reads an authority that this program made.
    ///
    /// # Errors
    /// The key cannot be read, or it is of another authority or environment.
    pub fn read(environment: &str, pair: &Pair) -> Result<Self> {
        let key = KeyPair::from_pem(&pair.key).context("the key of the authority is no key")?;
        let issuer = Issuer::new(parameters(environment), key);
        Ok(Self { certificate: pair.certificate.clone(), issuer })
    }

    /// Makes the certificate of a role, valid for so many days, and checks it.
    ///
    /// # Errors
    /// The authority is one of another environment, or of another program.
    pub fn sign(&self, identity: &str, role: LinkRole, days: u32, now: Timestamp) -> Result<Pair> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name(&format!("Cofferdam {role}"));
        let uri = identity.try_into().context("the name of the role is no URI")?;
        parameters.subject_alt_names = vec![SanType::URI(uri)];
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = true;
        valid(&mut parameters, days, now)?;
        let made = parameters.signed_by(&key, &self.issuer).context("cannot sign")?;
        self.check(made.der(), now)?;
        Ok(Pair { certificate: made.pem(), key: key.serialize_pem() })
    }

    fn check(&self, made: &CertificateDer<'_>, now: Timestamp) -> Result<()> {
        let own = CertificateDer::from_pem_slice(self.certificate.as_bytes())
            .context("the certificate of the authority is no PEM")?;
        let anchor = anchor_from_trusted_cert(&own).context("the authority cannot be used")?;
        let since = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        let checked = EndEntityCert::try_from(made).context("cannot read the certificate")?;
        let anchors = [anchor];
        let checked = checked.verify_for_usage(
            algorithms.all,
            &anchors,
            &[],
            UnixTime::since_unix_epoch(since),
            KeyUsage::client_auth(),
            None,
            None,
        );
        if let Err(error) = checked {
            bail!(
                "the authority does not fit its key or this environment, or has expired ({error}); \
                 use the one that `cofferdam certificates` made for it, or a new folder"
            );
        }
        Ok(())
    }
}

fn name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

/// The certificate of an authority, without times: always the same for one environment.
fn parameters(environment: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name(&format!("Cofferdam authority of {environment}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn valid(parameters: &mut CertificateParams, days: u32, now: Timestamp) -> Result<()> {
    let from = now.checked_sub(EARLIER).context("the clock is wrong")?.as_second();
    let from = u64::try_from(from).context("the clock is before 1970")?;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + Duration::from_secs(from);
    parameters.not_after = parameters.not_before + Duration::from_secs(u64::from(days) * DAY);
    Ok(())
}
