//! The binary as its supervisor starts it: settings and sockets over one descriptor, confined,
//! ready, and gone when the control socket closes.

use crate::causes::secret;
use crate::server::{Server, answer, issuer, ok, web};
use cofferdam_core::protocol::courier::{Fetch, Fetched, Token};
use cofferdam_core::protocol::role_settings::{
    CourierSettings, IntrospectionClient, IssuerConnection, LogSettings,
};
use cofferdam_process::control::{self, Control, Report};
use cofferdam_process::rpc;
use cofferdam_process::spawn::{StandardError, spawn};
use cofferdam_testkit::tls::{CA, SERVER};
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;

pub fn start(settings: &CourierSettings) -> (Control, Child, Report) {
    let (control, theirs) = control::pair().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_cofferdam-courier"));
    let child = spawn(program, &[], theirs, StandardError::Inherited).unwrap();
    control.settings(settings).unwrap();
    let report = control.report().unwrap().unwrap();
    (control, child, report)
}

pub fn settings(folder: &Path, issuers: Vec<IssuerConnection>) -> CourierSettings {
    let ca_file = folder.join("ca.pem");
    std::fs::write(&ca_file, CA).unwrap();
    CourierSettings {
        voice: LogSettings { level: "warn".into(), json: false, spans: false },
        ca_file: Some(ca_file),
        issuers,
        environment: "lab".into(),
        base: "https://gate.example.com".into(),
        receivers: Vec::new(),
        links: false,
    }
}

fn gateway(control: &Control) -> rpc::Client<Fetch, Fetched> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    control.give("gateway", &theirs).unwrap();
    let client = rpc::Client::new();
    client.connect(ours).unwrap();
    client
}

#[tokio::test]
async fn a_courier_fetches_by_address_and_by_name_until_its_supervisor_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::secure(SERVER, |request| match request.target() {
        "/keys" => ok(r#"{"keys":[]}"#),
        "/introspect" => ok(r#"{"active":true}"#),
        _ => answer(404, "", ""),
    });
    let connection = |url: &str, keys: &str| IssuerConnection {
        jwks_uri: Some(web(keys)),
        introspection: Some(IntrospectionClient {
            endpoint: Some(web(&server.url("/introspect"))),
            client_id: "cofferdam".into(),
            secret_file: secret(folder.path()),
        }),
        ..issuer(url)
    };
    let (by_address, by_name) = (server.url("/a"), server.url_by_name("/b"));
    let issuers = vec![
        connection(&by_address, &server.url("/keys")),
        connection(&by_name, &server.url_by_name("/keys")),
    ];
    let (control, mut child, report) = start(&settings(folder.path(), issuers));
    assert!(matches!(report, Report::Ready { .. }), "{report:?}");
    let client = gateway(&control);
    for issuer in [by_address, by_name] {
        let fetched = client.call(&Fetch::Keys { issuer: issuer.clone() }).await.unwrap();
        assert!(matches!(fetched, Fetched::Keys { .. }), "{fetched:?}");
        let ask = Fetch::Introspect { issuer, token: Token("opaque".into()) };
        let fetched = client.call(&ask).await.unwrap();
        assert!(matches!(fetched, Fetched::Claims { .. }), "{fetched:?}");
    }
    drop(control);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_courier_without_its_secret_or_its_authority_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let client = IntrospectionClient {
        endpoint: None,
        client_id: "cofferdam".into(),
        secret_file: folder.path().join("none"),
    };
    let login = issuer("https://login.example.com");
    let asking = IssuerConnection { introspection: Some(client), ..login.clone() };
    let good = settings(folder.path(), vec![login]);
    let lost = CourierSettings { ca_file: Some(folder.path().join("none")), ..good.clone() };
    for (settings, part) in [
        (CourierSettings { issuers: vec![asking], ..good }, "cannot read the client secret"),
        (lost, "cannot read the certificates"),
    ] {
        let (_control, mut child, report) = start(&settings);
        let Report::Failed(why) = report else { panic!("{report:?}") };
        assert!(why.contains(part), "{why}");
        assert!(!child.wait().unwrap().success());
    }
}

#[test]
fn a_courier_whose_socket_carries_nonsense_ends_so_that_it_is_connected_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), vec![issuer("https://login.example.com")]);
    let (control, mut child, _) = start(&settings);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    control.give("gateway", &theirs).unwrap();
    drop(theirs);
    ours.write_all(&[0xff; 64]).unwrap();
    let Some(Report::Failed(why)) = control.report().unwrap() else { panic!("it said nothing") };
    assert!(why.starts_with("the socket to the gateway is broken: "), "{why}");
    assert!(!child.wait().unwrap().success());
}
