//! TLS over real sockets: handshakes of a real client, files that change while the server runs, and
//! clients that do not speak TLS or do not go on.

use crate::front::FakeFront;
use crate::wire::{Request, Response, Server, read};
use cofferdam_edge::{Tls, TlsError, TlsFiles};
use cofferdam_testkit::tls::{CA, CLIENT, ELSEWHERE, OTHER_CA, Pair, RENEWED, SERVER, STRANGER};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::json;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A pause between looks that a test can wait for.
const LOOK: Duration = Duration::from_millis(20);

/// The files of a server in a folder of their own.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn of(pair: Pair) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.put("server.pem", pair.certificate);
        files.put("server.key", pair.key);
        files.put("clients.pem", CA);
        files
    }

    /// Replaces a file by a rename, as programs that renew certificates do.
    fn put(&self, name: &str, text: &str) {
        let fresh = self.folder.path().join("fresh");
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, self.folder.path().join(name)).unwrap();
    }

    fn paths(&self, clients: bool) -> TlsFiles {
        let at = |name: &str| self.folder.path().join(name);
        TlsFiles {
            certificate: at("server.pem"),
            key: at("server.key"),
            client_ca: clients.then(|| at("clients.pem")),
        }
    }

    async fn server(&self, clients: bool) -> Server {
        let tls = Tls::open(self.paths(clients)).unwrap();
        Server::with(FakeFront::default(), |settings| {
            settings.tls = Some(tls);
            settings.tls_look = LOOK;
        })
        .await
    }
}

/// A client with TLS.
struct Client {
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Vec<&'static str>,
    pair: Option<Pair>,
}

impl Default for Client {
    fn default() -> Self {
        Self { versions: vec![&TLS12, &TLS13], alpn: Vec::new(), pair: None }
    }
}

impl Client {
    async fn connect(&self, server: &Server) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(CA.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.pair {
            None => builder.with_no_client_auth(),
            Some(pair) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, server.connect().await).await
    }

    /// Sends a request. The error is the one of the handshake, or of a connection that is closed.
    async fn send(&self, server: &Server, request: &Request) -> std::io::Result<Response> {
        let mut stream = self.connect(server).await?;
        stream.write_all(&request.bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Ok(Response::parse(&bytes))
    }
}

/// The certificate that the server shows now.
async fn shown(server: &Server) -> Vec<u8> {
    let stream = Client::default().connect(server).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn der(pair: Pair) -> Vec<u8> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap().to_vec()
}

fn health() -> Request {
    Request::new("GET", "/healthz")
}

#[tokio::test]
async fn both_versions_of_tls_are_served_and_http_1_is_agreed_on() {
    let files = Files::of(SERVER);
    let server = files.server(false).await;
    for (version, alpn, agreed) in [
        (&TLS12, vec![], None),
        (&TLS13, vec![], None),
        (&TLS12, vec!["h2", "http/1.1"], Some("http/1.1")),
        (&TLS13, vec!["h2", "http/1.1"], Some("http/1.1")),
    ] {
        let client = Client { versions: vec![version], alpn, ..Client::default() };
        let stream = client.connect(&server).await.unwrap();
        let got = stream.get_ref().1.alpn_protocol();
        assert_eq!(got, agreed.map(str::as_bytes));
        assert_eq!(client.send(&server, &health()).await.unwrap().line(), "200 alive");
    }
    // A client that speaks HTTP/2 alone is told so by TLS itself.
    let client = Client { alpn: vec!["h2"], ..Client::default() };
    assert!(client.connect(&server).await.is_err());
    let called = Client::default().send(&server, &Request::call("scale", json!({}))).await;
    assert_eq!(called.unwrap().status, 200);
    assert!(server.stop().await.clean);
}

#[tokio::test]
async fn plain_http_at_a_port_with_tls_is_told_so() {
    let files = Files::of(SERVER);
    let server = files.server(false).await;
    let told = "it is plain HTTP, and this server speaks TLS; use `https://`";
    for (request, start) in [
        (Request::call("scale", json!({})), "400 -32600 id null: malformed request head: "),
        (Request::new("GET", "/v1/tools"), "400 malformed request head: "),
    ] {
        let response = server.send(&request).await;
        assert_eq!(response.line(), format!("{start}{told}"));
        assert_eq!(response.header("connection"), Some("close"));
    }
    assert!(server.front.last.lock().unwrap().is_none(), "a call in plain HTTP was made");
    // The same request is answered with TLS.
    let called = Client::default().send(&server, &Request::call("scale", json!({}))).await;
    assert_eq!(called.unwrap().status, 200);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let files = Files::of(SERVER);
    let server = files.server(false).await;
    assert_eq!(shown(&server).await, der(SERVER));
    // An open connection is served while the files change.
    let mut open = Client::default().connect(&server).await.unwrap();
    // A key that does not belong to the certificate, and files that are no PEM.
    for (name, text) in [("server.key", RENEWED.key), ("server.key", "x"), ("server.pem", "")] {
        files.put(name, text);
        tokio::time::sleep(LOOK * 5).await;
        assert_eq!(shown(&server).await, der(SERVER), "{name}");
    }
    files.put("server.pem", RENEWED.certificate);
    files.put("server.key", RENEWED.key);
    while shown(&server).await != der(RENEWED) {
        tokio::time::sleep(LOOK).await;
    }
    open.write_all(&health().bytes()).await.unwrap();
    let mut bytes = Vec::new();
    open.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(Response::parse(&bytes).line(), "200 alive");
    // And back again, to the first pair.
    files.put("server.pem", SERVER.certificate);
    files.put("server.key", SERVER.key);
    while shown(&server).await != der(SERVER) {
        tokio::time::sleep(LOOK).await;
    }
}

#[test]
fn files_that_make_no_server_are_named_with_the_cause() {
    let check = |change: &dyn Fn(&Files), part: &str| {
        let files = Files::of(SERVER);
        change(&files);
        let error = Tls::open(files.paths(true)).unwrap_err();
        assert!(error.to_string().contains(part), "not `{part}`: {error}");
        assert!(!error.to_string().contains("PRIVATE"), "{error}");
        error
    };
    let key = "server.key` cannot be used";
    assert!(matches!(
        check(&|files| files.put("server.key", ELSEWHERE.key), key),
        TlsError::Pair { .. }
    ));
    check(&|files| files.put("server.key", SERVER.certificate), "server.key` cannot be read");
    check(&|files| files.put("server.key", ""), "server.key` cannot be read");
    check(&|files| files.put("server.pem", SERVER.key), "server.pem` has no certificate");
    check(&|files| files.put("server.pem", "x"), "server.pem` has no certificate");
    check(&|files| files.put("clients.pem", ""), "clients.pem` has no certificate");
    let lost = |name: &'static str| {
        move |files: &Files| {
            fs::remove_file(files.folder.path().join(name)).unwrap();
        }
    };
    check(&lost("server.pem"), "server.pem` cannot be read");
    check(&lost("server.key"), "server.key` cannot be read");
    check(&lost("clients.pem"), "clients.pem` cannot be read");
    let files = Files::of(SERVER);
    assert!(Tls::open(files.paths(true)).is_ok(), "the files that were not changed");
}

#[tokio::test]
async fn a_client_certificate_of_the_authority_reaches_the_front_and_no_other_connects() {
    let files = Files::of(SERVER);
    let server = files.server(true).await;
    let client = |pair| Client { pair, ..Client::default() };
    let line = async |pair| {
        let sent = client(pair).send(&server, &health()).await;
        sent.map_or_else(|_| "closed".to_owned(), |response| response.line())
    };
    assert_eq!(line(None).await, "200 alive");
    assert_eq!(line(Some(CLIENT)).await, "200 alive");
    assert_eq!(line(Some(STRANGER)).await, "closed");
    // The certificate of a server is none of a client.
    assert_eq!(line(Some(ELSEWHERE)).await, "closed");
    // Another authority of clients holds for new connections once it is in its file.
    files.put("clients.pem", OTHER_CA);
    while line(Some(STRANGER)).await == "closed" {
        tokio::time::sleep(LOOK).await;
    }
    assert_eq!(line(Some(CLIENT)).await, "closed");
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_ends_like_a_slow_head_and_shuts_no_other_out() {
    let files = Files::of(SERVER);
    let tls = Tls::open(files.paths(false)).unwrap();
    let server = Server::with(FakeFront::default(), |settings| {
        settings.tls = Some(tls);
        settings.head_time = Duration::from_millis(100);
        settings.connections = 8;
    })
    .await;
    // Silent, in the middle of a record, and a record that is no handshake.
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x01\x00\x05hello"] {
        let mut stream = server.connect().await;
        stream.write_all(bytes).await.unwrap();
        assert_eq!(read(&mut stream).await.status, 0);
    }
    drop(server);
    let tls = Tls::open(files.paths(false)).unwrap();
    let server = Server::with(FakeFront::default(), |settings| {
        settings.tls = Some(tls);
        settings.connections = 8;
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        let mut stream = server.connect().await;
        stream.write_all(b"\x16").await.unwrap();
        silent.push(stream);
    }
    let called = Client::default().send(&server, &health()).await;
    assert_eq!(called.unwrap().line(), "200 alive");
    // The stop does not wait for them.
    assert!(server.stop().await.clean);
}
