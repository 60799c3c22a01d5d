//! The binary as its supervisor starts it: settings and sockets over one descriptor, confined,
//! ready, and gone when the control socket closes.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::trust::Environment;
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use cofferdam_core::protocol::role_settings::{
    ActorSettings, Infrastructure, JobIdentity, LogSettings, RunnerSettings, ViewerSettings,
};
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed};
use cofferdam_process::control::{self, Control, Report};
use cofferdam_process::rpc;
use cofferdam_process::spawn::{StandardError, spawn};
use cofferdam_testkit::build::{environment, trust};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;

fn home() -> (tempfile::TempDir, Environment) {
    let home = tempfile::tempdir().unwrap();
    for folder in
        ["tree", "trust", "runs", "journal", "tools", "executors", "artefacts", "policy", "keys"]
    {
        fs::create_dir(home.path().join(folder)).unwrap();
    }
    let environment = environment();
    let trust = trust(environment.clone());
    fs::write(home.path().join("trust/trust.toml"), toml::to_string(&trust).unwrap()).unwrap();
    fs::write(home.path().join("keys/artefacts"), "00".repeat(32)).unwrap();
    (home, environment)
}

fn start(settings: &ActorSettings) -> (Control, Child, Report) {
    let (control, theirs) = control::pair().unwrap();
    let child = spawn(
        Path::new(env!("CARGO_BIN_EXE_cofferdam-runner")),
        &[],
        theirs,
        StandardError::Inherited,
    )
    .unwrap();
    control.settings(settings).unwrap();
    let report = control.report().unwrap().unwrap();
    (control, child, report)
}

fn voice() -> LogSettings {
    LogSettings { level: "warn".into(), json: false, spans: true }
}

#[tokio::test]
async fn a_viewer_answers_looks_until_its_supervisor_is_gone() {
    let (home, environment) = home();
    let at = |name: &str| home.path().join(name);
    let settings = ViewerSettings {
        voice: voice(),
        environment,
        trust_file: at("trust/trust.toml"),
        copies: at("trust"),
        infrastructure: Infrastructure::Directory { tree: at("tree") },
        links: false,
    };
    let (control, mut child, report) = start(&ActorSettings::Viewer(settings));
    assert!(matches!(report, Report::Ready { .. }), "{report:?}");
    let (ours, theirs) = UnixStream::pair().unwrap();
    control.give("gateway", &theirs).unwrap();
    drop(theirs);
    let client = rpc::Client::<ReadRequest, ReadResponse>::new();
    client.connect(ours).unwrap();
    let look = ReadRequest::Read {
        tool: "t".into(),
        digest: ComponentDigest::of(b"t"),
        operations: vec![],
    };
    assert!(matches!(client.call(&look).await.unwrap(), ReadResponse::Refused { code,
        .. } if code == "beyond-ceiling"));
    drop(control);
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_viewer_whose_socket_carries_nonsense_ends_so_that_it_is_connected_again() {
    use std::io::{Read as _, Write as _};
    for links in [false, true] {
        let (home, environment) = home();
        let at = |name: &str| home.path().join(name);
        let settings = ViewerSettings {
            voice: voice(),
            environment,
            trust_file: at("trust/trust.toml"),
            copies: at("trust"),
            infrastructure: Infrastructure::Directory { tree: at("tree") },
            links,
        };
        let (control, mut child, _) = start(&ActorSettings::Viewer(settings));
        let give = || {
            let (ours, theirs) = UnixStream::pair().unwrap();
            control.give("gateway", &theirs).unwrap();
            ours
        };
        let mut broken = give();
        broken.write_all(&[0xff; 64]).unwrap();
        if links {
            // A link is closed alone, and another gateway is answered.
            assert!(matches!(broken.read(&mut [0]), Ok(0) | Err(_)));
            let client = rpc::Client::<ReadRequest, ReadResponse>::new();
            client.connect(give()).unwrap();
            let digest = ComponentDigest::of(b"t");
            let look = ReadRequest::Read { tool: "t".into(), digest, operations: vec![] };
            assert!(matches!(client.call(&look).await, Ok(ReadResponse::Refused { .. })));
            drop((client, control));
            assert!(child.wait().unwrap().success());
        } else {
            let Some(Report::Failed(why)) = control.report().unwrap() else {
                panic!("it said nothing")
            };
            assert!(why.starts_with("the socket to the gateway is broken: "), "{why}");
            assert!(!child.wait().unwrap().success());
        }
    }
}

#[tokio::test]
async fn an_idle_runner_waits_for_a_job_and_ends_with_its_supervisor() {
    let (home, environment) = home();
    let at = |name: &str| home.path().join(name);
    let settings = RunnerSettings {
        voice: voice(),
        environment,
        trust_file: at("trust/trust.toml"),
        copies: at("trust"),
        infrastructure: Infrastructure::Directory { tree: at("tree") },
        runs: at("runs"),
        journal: at("journal"),
        tools: at("tools"),
        executors: at("executors"),
        commands: at("commands"),
        policy_module: at("policy/policy.wasm"),
        policy_data: at("policy/data.json"),
        artefact_key: at("keys/artefacts"),
        artefacts: at("artefacts"),
        guest: env!("CARGO_BIN_EXE_cofferdam-runner").into(),
        job_identity: JobIdentity::Token,
        checked_ms: None,
        drill: None,
    };
    let (control, mut child, report) = start(&ActorSettings::Runner(settings.clone()));
    assert!(matches!(report, Report::Ready { .. }), "{report:?}");
    let (ours, theirs) = UnixStream::pair().unwrap();
    control.give("recorder", &theirs).unwrap();
    drop(theirs);
    let (asked, mut asks) = tokio::sync::mpsc::channel(1);
    tokio::spawn(rpc::serve(ours, move |claim: Claim| {
        let asked = asked.clone();
        async move {
            let _full = asked.try_send(claim);
            std::future::pending::<Result<Claimed, _>>().await
        }
    }));
    assert!(matches!(asks.recv().await, Some(Claim::Next { .. })));
    drop(control);
    assert!(child.wait().unwrap().success());

    let broken = RunnerSettings { artefact_key: at("keys/none"), ..settings };
    let (_control, mut child, report) = start(&ActorSettings::Runner(broken));
    assert!(matches!(report, Report::Failed(why) if why.contains("key of compiled artefacts")));
    assert!(!child.wait().unwrap().success());
}
