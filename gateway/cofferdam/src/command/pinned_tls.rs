//! TLS from a command to an edge. To the edge of the same installation: the server must show exactly
//! the certificate of `[edge.tls]`, so no name and no authority is needed on this machine. To an edge
//! on another machine: the named certificate itself, or one that a trusted authority signed for this
//! host.

use anyhow::{Context as _, Result, bail};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// Begins TLS with the server that has this certificate.
pub fn connect(
    stream: TcpStream,
    edge: SocketAddr,
    certificate: &Path,
) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let expected = CertificateDer::from_pem_file(certificate).with_context(|| {
        format!("cannot read the certificate `{}` of `edge.tls`", certificate.display())
    })?;
    let connection = ClientConnection::new(
        Arc::new(config(vec![expected], None)?),
        ServerName::from(edge.ip()),
    )?;
    Ok(StreamOwned::new(connection, stream))
}

/// The configuration for an edge on another machine. With a file, its certificates are trusted: each
/// as a server's own and as an authority. Without one, the authorities of this system are.
///
/// # Errors
/// The file cannot be read, or there is no certificate.
pub fn trusting(ca: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let mut expected = Vec::new();
    match ca {
        Some(file) => {
            let shown = file.display();
            expected = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .with_context(|| format!("cannot read the certificates of `{shown}`"))?;
            for certificate in &expected {
                roots.add(certificate.clone()).with_context(|| {
                    format!("`{shown}` has a certificate that cannot be trusted")
                })?;
            }
            if roots.is_empty() {
                bail!("`{shown}` has no certificate; give PEM certificates with `--ca FILE`");
            }
        }
        None => {
            // Some systems have old certificates that no reader takes: the others count.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                bail!(
                    "this system has no CA certificates; install its package `ca-certificates`, or \
                     give the certificate of the server's CA with `--ca FILE`"
                );
            }
        }
    }
    Ok(Arc::new(config(expected, Some(roots))?))
}

fn config(
    expected: Vec<CertificateDer<'static>>,
    roots: Option<RootCertStore>,
) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let signed = roots
        .map(|roots| {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
        })
        .transpose()?;
    let pinned = Arc::new(Pinned { expected, signed, provider: Arc::clone(&provider) });
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(pinned)
        .with_no_client_auth())
}

#[derive(Debug)]
struct Pinned {
    /// The certificates that the server may show, whatever their names are.
    expected: Vec<CertificateDer<'static>>,
    /// The check of other certificates; `None` refuses them.
    signed: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.expected.contains(end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        if let Some(signed) = &self.signed {
            return signed.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            );
        }
        let problem = "the server shows another certificate than the one of `edge.tls`; if it was \
                       just replaced, try again in a few seconds";
        Err(rustls::Error::General(problem.to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
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
