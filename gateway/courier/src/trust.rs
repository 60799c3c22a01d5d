//! The certificates of servers that the courier trusts, and the secrets of its clients: both are
//! read once, before the process confines itself. A secret is never shown.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_core::model::web_address::form_encoded;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// Most bytes of a secret: far more than any issuer gives.
const SECRET: usize = 4096;

/// Reads the certificates of authorities: of this file, or else of the system.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn authorities(ca_file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>> {
    let Some(file) = ca_file else {
        return Ok(rustls_native_certs::load_native_certs().certs);
    };
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the certificates of `{}`", file.display()))
}

/// Reads the trusted certificates: of this file, or else of the system.
///
/// # Errors
/// The file cannot be read, or there is no certificate.
pub fn tls(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let certificates = authorities(ca_file)?;
    match ca_file {
        Some(file) => {
            let shown = file.display();
            for certificate in certificates {
                roots.add(certificate).with_context(|| {
                    format!("`{shown}` has a certificate that cannot be trusted")
                })?;
            }
            if roots.is_empty() {
                bail!("`{shown}` has no certificate; put the PEM certificates of the CA into it");
            }
        }
        None => {
            // Some systems have old certificates that no reader takes: the others count.
            roots.add_parsable_certificates(certificates);
            if roots.is_empty() {
                bail!(
                    "this system has no CA certificates; install its package `ca-certificates`, or \
                     name a file with `ca_file`"
                );
            }
        }
    }
    client(roots)
}

/// A client that trusts no certificate, for a role that uses none.
///
/// # Errors
/// The cryptography supports no version of TLS.
pub fn no_servers() -> Result<Arc<ClientConfig>> {
    client(RootCertStore::empty())
}

fn client(roots: RootCertStore) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Reads a secret from a file of its own, without the line break at its end. `what` names the secret
/// in errors.
///
/// # Errors
/// The file cannot be read, others can read it, or it has no secret.
pub(crate) fn read_secret(file: &Path, what: &str) -> Result<String> {
    let shown = file.display();
    let unread = || format!("cannot read the {what} `{shown}`");
    let mode = std::fs::metadata(file).with_context(unread)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("other users can read the {what} `{shown}`; chmod 600 {shown}");
    }
    let text = std::fs::read_to_string(file).with_context(unread)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || secret.len() > SECRET {
        bail!("`{shown}` has no {what}, or one of more than {SECRET} bytes");
    }
    Ok(secret.to_owned())
}

/// The value of the header `Authorization` of a client.
#[derive(Clone)]
pub struct Authorization(String);

impl Authorization {
    /// Reads the secret of a client and makes the header (RFC 6749 §2.3.1).
    ///
    /// # Errors
    /// The file cannot be read, others can read it, or it has no secret.
    pub fn read(client_id: &str, secret_file: &Path) -> Result<Self> {
        let secret = read_secret(secret_file, "client secret")?;
        let pair = format!("{}:{}", form_encoded(client_id), form_encoded(&secret));
        Ok(Self(format!("Basic {}", STANDARD.encode(pair))))
    }

    /// The value of the header.
    pub(crate) fn value(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_of_a_client_is_read_from_a_private_file_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let read = || Authorization::read("cofferdam gate", &file);
        assert!(format!("{:#}", read().unwrap_err()).contains("cannot read the client secret"));
        let put = |text: &str, mode: u32| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        put("a:b/c\n", 0o600);
        let authorization = read().unwrap();
        assert_eq!(
            authorization.value(),
            format!("Basic {}", STANDARD.encode("cofferdam+gate:a%3Ab%2Fc"))
        );
        assert_eq!(format!("{authorization:?}"), "Authorization(..)");
        put("a:b/c\n", 0o640);
        assert!(read().unwrap_err().to_string().contains("chmod 600"));
        put("\n", 0o600);
        assert!(read().unwrap_err().to_string().contains("has no client secret"));
    }

    #[test]
    fn a_file_without_a_certificate_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        assert!(tls(Some(&file)).unwrap_err().to_string().contains("cannot read the certificates"));
        std::fs::write(&file, "no certificate\n").unwrap();
        assert!(tls(Some(&file)).unwrap_err().to_string().contains("has no certificate"));
    }
}
