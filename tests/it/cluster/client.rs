//! Requests of tests to their API server, with the identity of a kubeconfig, over one connection
//! each. Never retries, and starts no program.

use crate::installation::TIME_LIMIT;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// One identity at one API server.
pub struct Client {
    server: String,
    token: Option<String>,
    tls: Arc<ClientConfig>,
}

impl Client {
    /// The client of a kubeconfig. `pki` is the folder with the certificates of the control plane.
    /// A kubeconfig without a token is the administrator's.
    pub fn new(kubeconfig: &Path, pki: &Path) -> Self {
        let config: Value = serde_json::from_slice(&fs::read(kubeconfig).unwrap()).unwrap();
        let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap();
        let token = config["users"][0]["user"]["token"].as_str().map(str::to_owned);
        let tls = tls(pki, token.is_none());
        Self { server: server.trim_start_matches("https://").to_owned(), token, tls }
    }

    /// A request with further headers, each as `Name: value`. The answer has `status`, `headers`,
    /// whose names are in lower case, and `body`. A `PATCH` is a merge patch.
    pub fn exchange(
        &self,
        headers: &[&str],
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Value {
        let kind =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = body.map(Value::to_string).unwrap_or_default();
        // Of this version an answer ends with its connection: no part of it needs to be counted.
        let mut head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\n",
            self.server
        );
        head += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        // A header that is given takes the place of the identity's own.
        let own = self
            .token
            .as_ref()
            .filter(|_| !headers.iter().any(|header| header.starts_with("Authorization: ")));
        head.extend(own.map(|token| format!("Authorization: Bearer {token}\r\n")));
        head.extend(headers.iter().map(|header| format!("{header}\r\n")));
        let answer = self.ask(format!("{head}\r\n{body}").as_bytes()).unwrap_or_else(|fault| {
            panic!("no answer to {method} {path} from {}: {fault}", self.server)
        });
        parsed(&answer).unwrap_or_else(|| panic!("{method} {path} was answered: {answer}"))
    }

    fn ask(&self, request: &[u8]) -> std::io::Result<String> {
        let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        let stream = TcpStream::connect(&self.server)?;
        stream.set_read_timeout(Some(TIME_LIMIT))?;
        let connection =
            ClientConnection::new(Arc::clone(&self.tls), name).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        stream.write_all(request)?;
        stream.flush()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// Status, headers and body of an answer.
fn parsed(answer: &str) -> Option<Value> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (first, rest) = head.split_once("\r\n")?;
    let status: u16 = first.split(' ').nth(1)?.parse().ok()?;
    let headers: Map<String, Value> = rest
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), json!(value.trim())))
        .collect();
    let body = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
    Some(json!({"status": status, "headers": headers, "body": body}))
}

/// Trusts the control plane's authority alone; with the administrator's certificate, or with none.
fn tls(pki: &Path, admin: bool) -> Arc<ClientConfig> {
    let certificates =
        |name: &str| CertificateDer::pem_file_iter(pki.join(name)).unwrap().map(Result::unwrap);
    let mut roots = RootCertStore::empty();
    certificates("ca.crt").for_each(|authority| roots.add(authority).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_root_certificates(roots);
    Arc::new(if admin {
        let key = PrivateKeyDer::from_pem_file(pki.join("admin.key")).unwrap();
        config.with_client_auth_cert(certificates("admin.crt").collect(), key).unwrap()
    } else {
        config.with_no_client_auth()
    })
}
