//! A stolen role certificate, and a stranger in the network between hosts: each gets what its
//! certificate permits on a real installation, and nothing else.

use super::hosts::{Counts, Hosts};
use super::stranger::Stranger;
use crate::installation::TestInstallation;
use cofferdam_core::protocol::link::{LinkCode, LinkRole};
use cofferdam_process::frame::{self, Frame};
use serde_json::{Value, json};
use std::io::Write as _;

/// The id of the environment of these hosts.
pub fn environment(hosts: &Hosts) -> String {
    let trust = std::fs::read_to_string(hosts.hosts["recorder-1"].home.join("trust/trust.toml"));
    let trust = cofferdam_core::model::trust::Trust::parse(&trust.unwrap()).unwrap();
    trust.environment.id
}

/// The response to one request over a link.
pub fn ask(link: &mut Stranger, request: &Value) -> Value {
    let message = json!({"id": 1, "ask": request});
    frame::write(link, &Frame::of(message.to_string().into_bytes())).unwrap();
    let response = frame::read(link).unwrap().expect("a response");
    serde_json::from_slice(&response.header).unwrap()
}

#[test]
fn a_stolen_role_certificate_opens_the_socket_of_that_role_alone() {
    let installation = TestInstallation::bare("example");
    let token = installation.agent("release", "operator");
    let mut hosts = Hosts::new(installation, Counts::ONE);
    hosts.start_all();
    let environment = environment(&hosts);
    let recorder = hosts.hosts["recorder-1"].links;
    let open = |certificate: LinkRole, says: LinkRole, environment: &str| {
        let files = hosts.certificates(certificate);
        let mut link = Stranger::connect(recorder, Some(&files));
        let code = link.greet(says, environment).unwrap();
        (link, code)
    };
    // The runner's certificate says that it is the gateway.
    let (_, code) = open(LinkRole::Runner, LinkRole::Gateway, &environment);
    assert_eq!(code, Some(LinkCode::LinkRole));
    // A viewer and a reaper have nothing to ask of a recorder.
    for role in [LinkRole::Viewer, LinkRole::Reaper] {
        let (_, code) = open(role, role, &environment);
        assert_eq!(code, Some(LinkCode::LinkRole), "{role}");
    }
    let (_, code) = open(LinkRole::Runner, LinkRole::Runner, "another");
    assert_eq!(code, Some(LinkCode::LinkEnvironment));
    // Its own socket is a runner's: a request of the gateway is none of it.
    let (mut link, code) = open(LinkRole::Runner, LinkRole::Runner, &environment);
    assert_eq!(code, None);
    let refused = ask(&mut link, &json!({"next_approved": {"wait_ms": 0}}));
    assert!(refused["fault"].to_string().contains("cannot be read"), "{refused}");
    drop(link);
    // What is no message closes its own link alone, at each role that accepts links.
    let processes = |hosts: &Hosts| {
        ["recorder", "viewer", "gateway"].map(|role| {
            let supervisor = hosts.supervisor(&format!("{role}-1"));
            let all = crate::supervise::processes::descendants(supervisor);
            let own = format!("cofferdam: {role}");
            all.into_iter().find(|process| process.words == own).unwrap().id
        })
    };
    let before = processes(&hosts);
    for (certificate, at) in [
        (LinkRole::Runner, "recorder-1"),
        (LinkRole::Gateway, "viewer-1"),
        (LinkRole::Runner, "gateway-1"),
    ] {
        let files = hosts.certificates(certificate);
        let mut broken = Stranger::connect(hosts.hosts[at].links, Some(&files));
        assert_eq!(broken.greet(certificate, &environment).unwrap(), None, "{at}");
        broken.write_all(&[0xff; 8]).unwrap();
        broken.flush().unwrap();
        let _closed = std::io::Read::read(&mut broken, &mut [0]);
    }
    // The installation goes on.
    let scale = json!({"namespace": "storefront", "name": "web", "replicas": 5});
    let done = hosts.installation.call(&token, "deployment_scale", &scale);
    assert_eq!(done.status, 200, "{:#}\n{}", done.body, hosts.installation.log());
    assert_eq!(processes(&hosts), before, "each role is the same process");
}

#[test]
fn without_a_certificate_of_this_installation_nothing_is_told() {
    let installation = TestInstallation::bare("example");
    let hosts = {
        let mut hosts = Hosts::new(installation, Counts::ONE);
        hosts.start_all();
        hosts
    };
    let environment = environment(&hosts);
    for name in ["recorder-1", "viewer-1", "gateway-1"] {
        let address = hosts.hosts[name].links;
        // No certificate.
        let mut bare = Stranger::connect(address, None);
        assert!(bare.greet(LinkRole::Gateway, &environment).is_err(), "{name}");
        // Plain text.
        let mut plain = std::net::TcpStream::connect(address).unwrap();
        plain.set_read_timeout(Some(crate::installation::TIME_LIMIT)).unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _reset = std::io::Read::read_to_end(&mut plain, &mut answer);
        assert!(answer.len() < 64, "{name}: {answer:?}");
    }
    // The certificate of another installation, for the same role.
    let other = TestInstallation::bare("example");
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("certificates");
    other.run(&["certificates", "--to", crate::installation::text(&to)]);
    let mut foreign = Stranger::connect(hosts.hosts["recorder-1"].links, Some(&to.join("gateway")));
    assert!(foreign.greet(LinkRole::Gateway, &environment).is_err());
    // With its own it would be linked: the refusals are about certificates alone.
    let own = hosts.certificates(LinkRole::Gateway);
    let mut linked = Stranger::connect(hosts.hosts["recorder-1"].links, Some(&own));
    assert_eq!(linked.greet(LinkRole::Gateway, &environment).unwrap(), None);
}

#[test]
fn a_home_with_the_certificate_of_another_role_does_not_start() {
    let installation = TestInstallation::bare("example");
    let hosts = Hosts::new(installation, Counts::ONE);
    let home = &hosts.hosts["recorder-1"].home;
    for file in ["certificate.pem", "key.pem"] {
        let stolen = hosts.certificates(LinkRole::Runner).join(file);
        std::fs::copy(stolen, home.join("links").join(file)).unwrap();
    }
    let done = std::process::Command::new(crate::installation::binaries().join("cofferdam"))
        .arg("--home")
        .arg(home)
        .args(["serve", "--role", "recorder"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("link-role"), "{told}");
}
