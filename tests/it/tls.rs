//! TLS of a whole installation: agents and commands with it, a renewed certificate under the
//! confinement of the gateway, and no plain HTTP for other machines.

use crate::installation::{TIME_LIMIT, TestInstallation, text, write_private};
use cofferdam_testkit::tls::{CA, Pair, RENEWED, SERVER};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// A connection of a client that trusts the authority of the tests.
fn connect(address: SocketAddr) -> Option<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CA.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    Some(StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream))
}

pub fn send(address: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = connect(address)?;
    stream.write_all(bytes).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(answer)
}

/// The certificate that the gateway shows.
fn shown(address: SocketAddr) -> Option<Vec<u8>> {
    let mut stream = connect(address)?;
    stream.conn.complete_io(&mut stream.sock).ok()?;
    Some(stream.conn.peer_certificates()?.first()?.to_vec())
}

fn put(folder: &Path, pair: Pair) {
    for (name, text) in [("server.pem", pair.certificate), ("server.key", pair.key)] {
        let fresh = folder.join("fresh");
        write_private(&fresh, text);
        fs::rename(fresh, folder.join(name)).unwrap();
    }
}

#[test]
fn agents_and_commands_use_tls_and_a_renewed_certificate_needs_no_restart() {
    let files = tempfile::tempdir().unwrap();
    put(files.path(), SERVER);
    let at = |name: &str| files.path().join(name);
    let mut installation = TestInstallation::bare("example");
    let token = installation.agent("release", "operator");
    installation.configure(
        "wait_seconds",
        &format!(
            "45\n[edge.tls]\ncertificate = {:?}\nkey = {:?}",
            at("server.pem"),
            at("server.key")
        ),
    );
    // Every address of this machine.
    installation.configure("listen", &format!("\"0.0.0.0:{}\"", installation.address().port()));
    installation.speaks_tls(send);
    installation.serve(&[]);
    assert_eq!(shown(installation.address()), Some(der(SERVER)));
    let done = installation.call(
        &token,
        "deployment_scale",
        &json!({"namespace": "storefront", "name": "web", "replicas": 5}),
    );
    assert_eq!(done.status, 200, "{:#}", done.body);
    let token_file = files.path().join("token");
    fs::write(&token_file, &token).unwrap();
    let tools = ["tools", "--token-file", text(&token_file)];
    assert!(installation.run(&tools).contains("deployment_scale"));
    let doctor = installation.run(&["doctor"]);
    assert!(doctor.contains("is running, and calls can be carried out"), "{doctor}");
    assert!(doctor.contains("https://0.0.0.0:"), "{doctor}");

    // A broken pair: the earlier one stays, and the log says why.
    fs::write(at("server.key"), RENEWED.key).unwrap();
    installation.until_logged("the earlier certificate stays in use");
    assert_eq!(shown(installation.address()), Some(der(SERVER)));
    put(files.path(), RENEWED);
    installation.until_logged("new connections have the new certificate");
    assert_eq!(shown(installation.address()), Some(der(RENEWED)));
    assert!(installation.run(&tools).contains("deployment_scale"));
    let told = installation.log().matches("the earlier certificate stays in use").count();
    assert_eq!(told, 1, "{}", installation.log());
    assert!(!installation.log().contains("PRIVATE KEY"));

    // Another certificate at the same address is not trusted by commands.
    fs::write(at("server.pem"), SERVER.certificate).unwrap();
    let told = installation.fail(&tools);
    assert!(told.contains("another certificate than the one of `edge.tls`"), "{told}");
    installation.stop();
}

fn der(pair: Pair) -> Vec<u8> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap().to_vec()
}

#[test]
fn plain_http_beyond_this_machine_is_not_served_without_a_named_proxy() {
    let mut installation = TestInstallation::bare("example");
    let words = ["is reached by other machines in plain HTTP", "`[edge.tls]`", "behind_proxy = "];
    installation.agent("release", "operator");
    assert!(!installation.run(&["doctor"]).contains(words[0]));
    let listen = format!("\"0.0.0.0:{}\"", installation.address().port());
    installation.configure("listen", &listen);
    for command in ["doctor", "serve"] {
        let told = installation.fail(&[command]);
        assert!(words.iter().all(|words| told.contains(words)), "{command}: {told}");
    }
    installation.configure("listen", &format!("{listen}\nbehind_proxy = \"nginx at 10.0.0.5\""));
    installation.serve(&[]);
    installation.until_logged("plain HTTP, behind `nginx at 10.0.0.5`");
    assert!(!installation.run(&["doctor"]).contains(words[0]));
    installation.stop();
}
