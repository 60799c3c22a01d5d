//! The role that connects to issuers of access tokens: started for an issuer alone, and again when it
//! ends.

use crate::cluster::until;
use crate::installation::TestInstallation;
use crate::supervise::processes::{descendants, kill};
use std::net::TcpListener;

#[test]
fn the_courier_is_there_for_an_issuer_alone_and_is_started_again() {
    let courier = |installation: &TestInstallation| {
        let processes = descendants(installation.supervisor());
        processes.into_iter().find(|process| process.words == "cofferdam: courier")
    };
    let mut installation = TestInstallation::started();
    assert_eq!(courier(&installation), None);
    installation.stop();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    installation.configure(
        "wait_seconds",
        &format!(
            "45\n[edge.oauth]\nresource = \"https://gate.example.com/mcp\"\n\
             scopes = {{ read = \"tools:read\", call = \"tools:call\" }}\n[[edge.oauth.issuers]]\n\
             name = \"idp\"\nissuer = \"https://{closed}/realms/ops\"\nalgorithms = [\"ES256\"]\n\
             person = \"email\"\nroles = [\"viewer\"]"
        ),
    );
    // No issuer has to answer at the start.
    installation.serve(&[]);
    let first = courier(&installation).expect("there is a courier");
    assert_eq!(first.status("Seccomp").as_deref(), Some("2"));
    kill("KILL", &[first.id]);
    installation.until_logged("restarting courier");
    until("another courier", || {
        courier(&installation).filter(|next| next.id != first.id).map(drop)
    });
    // Calls go on without it.
    assert_eq!(installation.http("GET", "/readyz", "", None).status, 200);
    installation.stop();
    assert!(installation.log().contains("clean=true"), "{}", installation.log());
}
