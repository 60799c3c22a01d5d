//! A program that is no link of Cofferdam: it speaks TLS with the files of a role, and says what it
//! likes.

use crate::installation::TIME_LIMIT;
use cofferdam_core::protocol::link::{Answer, Hello, LinkCode, LinkRole};
use cofferdam_core::protocol::{VERSION, Version};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// A connection with a stolen certificate.
pub struct Stranger(StreamOwned<ClientConnection, TcpStream>);

impl Stranger {
    /// Connects with the files of a folder, or without a certificate.
    pub fn connect(address: SocketAddr, files: Option<&Path>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything));
        let config = match files {
            None => builder.with_no_client_auth(),
            Some(folder) => {
                let certificate =
                    CertificateDer::from_pem_file(folder.join("certificate.pem")).unwrap();
                let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let name = ServerName::try_from("any.example.com").unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
        Self(StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream))
    }

    /// Says to be this role of this environment. Returns the code of the refusal, or `None` if the
    /// link is accepted.
    pub fn greet(&mut self, role: LinkRole, environment: &str) -> io::Result<Option<LinkCode>> {
        self.greet_as(VERSION, role, environment)
    }

    /// The same as a program of this version.
    pub fn greet_as(
        &mut self,
        protocol: Version,
        role: LinkRole,
        environment: &str,
    ) -> io::Result<Option<LinkCode>> {
        let hello = Hello {
            protocol,
            program: "stranger".to_owned(),
            role,
            environment: environment.to_owned(),
        };
        self.send(&serde_json::to_value(hello).unwrap())?;
        let mut length = [0; 2];
        self.0.read_exact(&mut length)?;
        let mut bytes = vec![0; u16::from_be_bytes(length).into()];
        self.0.read_exact(&mut bytes)?;
        let answer: Answer = serde_json::from_slice(&bytes).unwrap();
        if answer.refused.is_none() {
            self.send(&serde_json::json!({}))?;
        }
        Ok(answer.refused.map(|refused| refused.code))
    }

    fn send(&mut self, message: &Value) -> io::Result<()> {
        let bytes = message.to_string().into_bytes();
        self.0.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes())?;
        self.0.write_all(&bytes)?;
        self.0.flush()
    }
}

impl Read for Stranger {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Stranger {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A stranger does not care who it reaches.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
