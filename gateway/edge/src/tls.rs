//! TLS of the edge: certificate and key from files, read again when they change, and certificates
//! of clients where an authority is configured. A new pair that cannot be used leaves the old one in
//! use, and is logged once. Never logs a key.

use crate::followed::{Followed, FollowedFiles};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// The pause between two looks at the files. A changed file is read when two looks in a row find it
/// the same: programs write certificate and key one after the other.
pub const LOOK: Duration = Duration::from_secs(1);

/// The files of TLS, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the server, then those that lead to its authority.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The authorities of clients; without them no client is asked for a certificate. With them a
    /// client may still come without one.
    pub client_ca: Option<PathBuf>,
}

/// The SHA-256 of the certificate that a client showed, and that a configured authority signed. In
/// the extensions of each request of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientCertificate(pub [u8; 32]);

/// Files that make no server with TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("`{path}` cannot be read: {cause}; it must be PEM, and readable for this user")]
    Read {
        /// The file.
        path: String,
        /// The cause, without content of the file.
        cause: String,
    },
    /// A file has no certificate.
    #[error("`{path}` has no certificate; put `-----BEGIN CERTIFICATE-----` and the rest into it")]
    Empty {
        /// The file.
        path: String,
    },
    /// Certificate and key do not belong together, or are of a kind that is not served.
    #[error("the certificate `{certificate}` and the key `{key}` cannot be used: {cause}")]
    Pair {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
        /// The cause.
        cause: String,
    },
    /// The authorities of clients cannot be used.
    #[error("the authorities of clients in `{path}` cannot be used: {cause}")]
    ClientCa {
        /// The file.
        path: String,
        /// The cause.
        cause: String,
    },
}

/// A server's TLS, which follows its files.
pub struct Tls {
    followed: Arc<Followed<TlsFiles>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// They make no server.
    pub fn open(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { followed: Followed::open(files)? }))
    }

    /// The acceptor of the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.followed.now())
    }

    /// Follows the files for ever.
    pub(crate) async fn follow(self: Arc<Self>, look: Duration) {
        Arc::clone(&self.followed).follow(look).await;
    }
}

impl FollowedFiles for TlsFiles {
    type Content = ServerConfig;
    type Error = TlsError;

    fn paths(&self) -> Vec<&Path> {
        let files = [&self.certificate, &self.key].into_iter().chain(&self.client_ca);
        files.map(PathBuf::as_path).collect()
    }

    fn read(&self) -> Result<ServerConfig, TlsError> {
        self.config()
    }

    fn renewed(&self) {
        let path = self.certificate.display();
        tracing::info!(%path, "new connections have the new certificate");
    }

    fn refused(&self, error: &str) {
        let path = self.certificate.display();
        tracing::warn!(
            %path,
            "the files of `edge.tls` changed, and the earlier certificate stays in use: {error}"
        );
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", self.followed.files()).finish_non_exhaustive()
    }
}

impl TlsFiles {
    fn config(&self) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unreadable(&self.key, &error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pair = |cause: rustls::Error| TlsError::Pair {
            certificate: self.certificate.display().to_string(),
            key: self.key.display().to_string(),
            cause: cause.to_string(),
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(pair)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let unfit = |cause: &dyn fmt::Display| TlsError::ClientCa {
                    path: path.display().to_string(),
                    cause: cause.to_string(),
                };
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| unfit(&error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| unfit(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ClientCertificate {
    /// The certificate of the client of a connection, if it showed one.
    pub(crate) fn of(connection: &rustls::ServerConnection) -> Option<Self> {
        let certificate = connection.peer_certificates()?.first()?;
        Some(Self(Sha256::digest(certificate).into()))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, &error))?;
    if found.is_empty() {
        return Err(TlsError::Empty { path: path.display().to_string() });
    }
    Ok(found)
}

fn unreadable(path: &Path, cause: &dyn fmt::Display) -> TlsError {
    TlsError::Read { path: path.display().to_string(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_testkit::tls::{CA, CLIENT, Pair, SERVER};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, ServerConnection};

    fn server_config() -> Arc<ServerConfig> {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let files = TlsFiles {
            certificate: put("server.pem", SERVER.certificate),
            key: put("server.key", SERVER.key),
            client_ca: Some(put("clients.pem", CA)),
        };
        Arc::new(files.read().unwrap())
    }

    fn client_config(pair: Option<Pair>) -> Arc<ClientConfig> {
        let pem = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(pem(CA)).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![pem(pair.certificate)], key).unwrap()
            }
        })
    }

    #[test]
    fn the_thumbprint_is_the_one_of_the_certificate_that_the_client_showed() {
        let config = server_config();
        let shown = |pair: Option<Pair>| {
            let name = ServerName::try_from("localhost").unwrap();
            let mut client = ClientConnection::new(client_config(pair), name).unwrap();
            let mut server = ServerConnection::new(Arc::clone(&config)).unwrap();
            while client.is_handshaking() || server.is_handshaking() {
                let mut sent = Vec::new();
                while client.wants_write() {
                    client.write_tls(&mut sent).unwrap();
                }
                server.read_tls(&mut sent.as_slice()).unwrap();
                server.process_new_packets().unwrap();
                let mut answered = Vec::new();
                while server.wants_write() {
                    server.write_tls(&mut answered).unwrap();
                }
                client.read_tls(&mut answered.as_slice()).unwrap();
                client.process_new_packets().unwrap();
            }
            ClientCertificate::of(&server)
        };
        assert_eq!(shown(None), None);
        let certificate = CertificateDer::from_pem_slice(CLIENT.certificate.as_bytes()).unwrap();
        let thumbprint = Sha256::digest(&certificate).into();
        assert_eq!(shown(Some(CLIENT)), Some(ClientCertificate(thumbprint)));
    }
}
