//! Certificate, key and authorities of a link, from files that are read again when they change. New
//! files that cannot be used leave the old ones in use, and are logged once. Never logs a key.

use super::identity::Identity;
use crate::config::links::{CHANGE, OTHERS};
use cofferdam_core::protocol::link::LinkRefusal;
use cofferdam_edge::{Followed, FollowedFiles};
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
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// Other users could change a file, or read the key.
    #[error("other users can change or read `{path}` (mode {mode:o}); chmod {:o} {path}", mode & !others)]
    Open {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
        /// Those that no other user may have.
        others: u32,
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

/// The files of a link, with the identity that their certificate has to have.
#[derive(Debug)]
pub(super) struct OwnFiles {
    files: LinkFiles,
    own: Option<Identity>,
}

/// The certificates of this link, which follow their files.
pub(super) type Certificates = Followed<OwnFiles>;

/// Reads the files, and checks that the certificate is of this identity.
///
/// # Errors
/// They make no link; the error has cause and remedy.
pub(super) fn open(files: LinkFiles, own: Identity) -> Result<Arc<Certificates>, CertificateError> {
    Followed::open(OwnFiles { files, own: Some(own) })
}

/// Reads the files of an end that shows a certificate of another identity.
#[cfg(test)]
pub(super) fn unchecked(files: LinkFiles) -> Arc<Certificates> {
    Followed::open(OwnFiles { files, own: None }).unwrap()
}

impl FollowedFiles for OwnFiles {
    type Content = Material;
    type Error = CertificateError;

    fn paths(&self) -> Vec<&Path> {
        vec![&self.files.certificate, &self.files.key, &self.files.ca]
    }

    fn read(&self) -> Result<Material, CertificateError> {
        self.files.read(self.own.as_ref())
    }

    fn renewed(&self) {
        let path = self.files.certificate.display();
        tracing::info!(%path, "new links have the new certificate");
    }

    fn refused(&self, error: &str) {
        let path = self.files.certificate.display();
        tracing::warn!(
            what = "links",
            %path,
            "the files of `links` changed, and the earlier certificate stays in use: {error}"
        );
    }
}

impl LinkFiles {
    /// Makes the material of the files as they are. `own`: the identity that the certificate has to
    /// have.
    fn read(&self, own: Option<&Identity>) -> Result<Material, CertificateError> {
        let chain = certificates(&self.certificate)?;
        let key = closed(&self.key, OTHERS)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| unread(&self.key, &error))?;
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
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(unfit)?;
        let servers =
            Arc::new(Peers { roots: Arc::clone(&roots), provider: Arc::clone(&provider) });
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(unfit)?
            .dangerous()
            .with_custom_certificate_verifier(servers)
            .with_client_auth_cert(chain, key)
            .map_err(unfit)?;
        // A peer's name is in its certificate, and not in its address.
        client.enable_sni = false;
        Ok(Material { server: Arc::new(server), client: Arc::new(client), roots })
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

/// Reads a file that no other user may have these permissions on, also after a renewal.
fn closed(path: &Path, others: u32) -> Result<Vec<u8>, CertificateError> {
    let cannot = |error: std::io::Error| unread(path, &error);
    let mut file = File::open(path).map_err(cannot)?;
    let mode = file.metadata().map_err(cannot)?.permissions().mode() & 0o777;
    if mode & others != 0 {
        return Err(CertificateError::Open { path: path.display().to_string(), mode, others });
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let text = closed(path, CHANGE)?;
    let found = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unread(path, &error))?;
    if found.is_empty() {
        return Err(unread(path, &"it has no certificate"));
    }
    Ok(found)
}

fn unread(path: &Path, cause: &dyn std::fmt::Display) -> CertificateError {
    CertificateError::Read { path: path.display().to_string(), cause: cause.to_string() }
}
