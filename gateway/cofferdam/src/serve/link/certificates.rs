//! Certificate, key and authorities of a link, from files that are read again when they change. New
//! files that cannot be used leave the old ones in use, and are logged once. Never logs a key.

use super::identity::Identity;
use cofferdam_core::protocol::link::LinkRefusal;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, PeerIncompatible, RootCertStore, ServerConfig,
    SignatureScheme,
};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// The files of a link, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinkFiles {
    /// The certificate, then those that lead to its authority.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The authorities of this installation.
    pub ca: PathBuf,
}

/// Files that make no link.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    /// A file cannot be read as PEM, or has nothing.
    #[error("`{path}` cannot be read: {cause}; it must be PEM, and readable for this user")]
    Read {
        /// The file.
        path: String,
        /// The cause, without content of the file.
        cause: String,
    },
    /// Certificate and key do not belong together, or are of a kind that is not used.
    #[error("the certificate `{path}` and its key cannot be used: {cause}")]
    Pair {
        /// The file of the certificate.
        path: String,
        /// The cause.
        cause: String,
    },
    /// The certificate is not of this role, not of this installation, or has expired.
    #[error("`{path}`: {refusal}")]
    Own {
        /// The file of the certificate.
        path: String,
        /// Code, cause and remedy.
        refusal: LinkRefusal,
    },
}

/// What one state of the files makes.
#[derive(Debug)]
pub(super) struct Material {
    /// For links that peers open.
    pub server: Arc<ServerConfig>,
    /// For links to peers.
    pub client: Arc<ClientConfig>,
    /// The authorities of this installation.
    pub roots: Arc<RootCertStore>,
}

/// The state of a file that tells a changed one from the same one.
type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

/// The certificates of this link, which follow their files.
#[derive(Debug)]
pub(super) struct Certificates {
    files: LinkFiles,
    own: Identity,
    current: RwLock<Arc<Material>>,
    opened: Vec<Stamp>,
}

impl Certificates {
    /// Reads the files, and checks that the certificate is of this identity.
    ///
    /// # Errors
    /// They make no link; the error has cause and remedy.
    pub fn open(files: LinkFiles, own: Identity) -> Result<Arc<Self>, CertificateError> {
        // Before the content: a change between the two is read once more.
        let opened = files.stamps();
        let current = RwLock::new(files.read(Some(&own))?);
        Ok(Arc::new(Self { files, own, current, opened }))
    }

    /// Reads the files of an end that shows a certificate of another identity.
    #[cfg(test)]
    pub fn unchecked(files: LinkFiles, own: Identity) -> Arc<Self> {
        let current = RwLock::new(files.read(None).unwrap());
        Arc::new(Self { files, own, current, opened: Vec::new() })
    }

    /// Those in use now.
    pub fn now(&self) -> Arc<Material> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Follows the files for ever.
    pub async fn follow(self: Arc<Self>, look: Duration) {
        let mut looks = interval(look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut judged = self.opened.clone();
        let mut seen = judged.clone();
        loop {
            looks.tick().await;
            let this = Arc::clone(&self);
            let (before, last) = (judged.clone(), seen.clone());
            // Files may lie on a slow disk.
            let looked = tokio::task::spawn_blocking(move || this.look(&before, &last)).await;
            let Ok((now, is_judged)) = looked else { continue };
            if is_judged {
                judged.clone_from(&now);
            }
            seen = now;
        }
    }

    /// Looks at the files, and reads changed ones when two looks in a row find them the same:
    /// programs write certificate and key one after the other. Returns their state, and true if it
    /// is judged now.
    fn look(&self, judged: &[Stamp], last: &[Stamp]) -> (Vec<Stamp>, bool) {
        let now = self.files.stamps();
        if now == judged || now != last {
            return (now, false);
        }
        let path = self.files.certificate.display();
        match self.files.read(Some(&self.own)) {
            Ok(material) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = material;
                tracing::info!(%path, "new links have the new certificate");
            }
            Err(error) => tracing::warn!(
                what = "links",
                %path,
                "the files of `links` changed, and the earlier certificate stays in use: {error}"
            ),
        }
        (now, true)
    }
}

impl LinkFiles {
    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &PathBuf| {
            let found = std::fs::metadata(path).ok()?;
            let (modified, changed) = (found.mtime(), found.ctime());
            let (of_modified, of_changed) = (found.mtime_nsec(), found.ctime_nsec());
            Some((found.ino(), found.len(), modified, of_modified, changed, of_changed))
        };
        [&self.certificate, &self.key, &self.ca].map(stamp).to_vec()
    }

    /// Makes the material of the files as they are. `own`: the identity that the certificate has to
    /// have.
    fn read(&self, own: Option<&Identity>) -> Result<Arc<Material>, CertificateError> {
        let chain = certificates(&self.certificate)?;
        let read_key =
            || PrivateKeyDer::from_pem_file(&self.key).map_err(|error| unread(&self.key, &error));
        let path = || self.certificate.display().to_string();
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca)? {
            roots.add(certificate).map_err(|error| unread(&self.ca, &error))?;
        }
        let roots = Arc::new(roots);
        if let Some(own) = own {
            own.check_own(&chain, &roots, UnixTime::now())
                .map_err(|refusal| CertificateError::Own { path: path(), refusal })?;
        }
        let pair = |cause: String| CertificateError::Pair { path: path(), cause };
        let unfit = |error: rustls::Error| pair(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| pair(error.to_string()))?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unfit)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), read_key()?)
            .map_err(unfit)?;
        let servers =
            Arc::new(Peers { roots: Arc::clone(&roots), provider: Arc::clone(&provider) });
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(unfit)?
            .dangerous()
            .with_custom_certificate_verifier(servers)
            .with_client_auth_cert(chain, read_key()?)
            .map_err(unfit)?;
        // A peer's name is in its certificate, and not in its address.
        client.enable_sni = false;
        Ok(Arc::new(Material { server: Arc::new(server), client: Arc::new(client), roots }))
    }
}

/// Checks the certificate of a peer that accepted a connection, as far as TLS does: an authority of
/// this installation signed it, and it is valid now. Which role it may be is checked after it.
#[derive(Debug)]
struct Peers {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Peers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unread(path, &error))?;
    if found.is_empty() {
        return Err(unread(path, &"it has no certificate"));
    }
    Ok(found)
}

fn unread(path: &Path, cause: &dyn std::fmt::Display) -> CertificateError {
    CertificateError::Read { path: path.display().to_string(), cause: cause.to_string() }
}
