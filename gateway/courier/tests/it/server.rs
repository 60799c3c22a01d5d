//! A server of a test: it answers each request by a function, and remembers the requests.

use cofferdam_core::model::web_address::WebAddress;
use cofferdam_core::protocol::role_settings::IssuerConnection;
use cofferdam_courier::courier::{Courier, Times};
use cofferdam_courier::trust;
use cofferdam_testkit::tls::{CA, Pair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Answers a request, or never.
type Handler = dyn Fn(&Request) -> Option<Vec<u8>> + Send + Sync;

/// A request as the server read it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method, target and version.
    pub line: String,
    /// The other lines of the head.
    pub head: String,
    /// The bytes after the head.
    pub body: String,
}

impl Request {
    /// The target of the request.
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// A running server. Its threads end with the test process.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// A server without TLS.
    pub fn plain(handler: impl Fn(&Request) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::start(None, Arc::new(handler))
    }

    /// A server with TLS and this certificate.
    pub fn secure(
        pair: Pair,
        handler: impl Fn(&Request) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::start(Some(Arc::new(config)), Arc::new(handler))
    }

    fn start(tls: Option<Arc<ServerConfig>>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Self { address: listener.local_addr().unwrap(), scheme, seen: Arc::default() };
        let seen = Arc::clone(&server.seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (tls, handler, seen) = (tls.clone(), Arc::clone(&handler), Arc::clone(&seen));
                std::thread::spawn(move || match tls {
                    None => serve(stream, &*handler, &seen),
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        serve(StreamOwned::new(connection, stream), &*handler, &seen);
                    }
                });
            }
        });
        server
    }

    /// The address of this path.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The same by the name `localhost`.
    pub fn url_by_name(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The targets of the requests so far.
    pub fn targets(&self) -> Vec<String> {
        self.seen().iter().map(|request| request.target().to_owned()).collect()
    }
}

fn serve(mut stream: impl Read + Write, handler: &Handler, seen: &Mutex<Vec<Request>>) {
    let Some(request) = read(&mut stream) else { return };
    seen.lock().unwrap().push(request.clone());
    match handler(&request) {
        Some(answer) => {
            let _gone = stream.write_all(&answer).and_then(|()| stream.flush());
        }
        // The client gives up first.
        None => drop(stream.read_to_end(&mut Vec::new())),
    }
}

fn read(stream: &mut impl Read) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0_usize);
            if body.len() >= length {
                let (line, head) = head.split_once("\r\n")?;
                return Some(Request {
                    line: line.to_owned(),
                    head: head.to_owned(),
                    body: body.to_owned(),
                });
            }
        }
        match stream.read(&mut chunk) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
}

/// A response with a status and further header lines.
pub fn answer(status: u16, headers: &str, body: &str) -> Option<Vec<u8>> {
    let length = body.len();
    Some(
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
            .into_bytes(),
    )
}

/// The response 200 with this body.
pub fn ok(body: &str) -> Option<Vec<u8>> {
    answer(200, "", body)
}

/// An issuer whose keys are found by its metadata.
pub fn issuer(url: &str) -> IssuerConnection {
    IssuerConnection { issuer: web(url), jwks_uri: None, introspection: None, sign_in: None }
}

pub fn web(url: &str) -> WebAddress {
    WebAddress::read(url).unwrap()
}

/// A courier for these issuers, which trusts the authority of the tests, and gives up soon.
pub fn courier(issuers: Vec<IssuerConnection>) -> Courier {
    courier_with(issuers, CA, Times { connect: LONG, whole: LONG })
}

/// Longer than any answer of a test takes.
pub const LONG: Duration = Duration::from_secs(60);

/// A courier that trusts this authority.
pub fn courier_with(issuers: Vec<IssuerConnection>, ca: &str, times: Times) -> Courier {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca).unwrap();
    Courier::new(issuers, trust::tls(Some(&file)).unwrap(), times).unwrap()
}

/// An address at which no server listens.
pub fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A connection to this address, for tests of the kernel's rules.
pub fn connects(address: SocketAddr) -> std::io::Result<()> {
    TcpStream::connect(address).map(drop)
}
