//! Errors that stop a start: broken tools, policies and keys, each with one clear message. A broken
//! file never replaces a good one.

use crate::cluster::until;
use crate::installation::{TestInstallation, assets, binaries, text};
use std::fs;
use std::process::Command;

/// Starts the gateway and expects it to end. Returns its output.
fn refused(installation: &TestInstallation) -> String {
    let done = Command::new(binaries().join("cofferdam"))
        .arg("--home")
        .arg(installation.home())
        .arg("serve")
        .output()
        .unwrap();
    assert!(!done.status.success());
    String::from_utf8_lossy(&done.stderr).into_owned()
}

fn check(break_it: impl FnOnce(&TestInstallation), expect: &[&str]) {
    let installation = TestInstallation::bare("example");
    break_it(&installation);
    let said = refused(&installation);
    for words in expect {
        assert!(said.contains(words), "not `{words}`:\n{said}");
    }
}

#[test]
fn what_is_broken_stops_the_start_and_is_named() {
    check(
        |installation| {
            fs::write(installation.home().join("plugins/tools/image_set.wasm"), b"not wasm")
                .unwrap()
        },
        &["image_set"],
    );
    check(
        |installation| {
            fs::write(installation.home().join("policy/policy.wasm"), b"not wasm").unwrap()
        },
        &["policy", "accept"],
    );
    check(
        |installation| fs::write(installation.home().join("policy/data.json"), b"{}").unwrap(),
        &["policy", "not the accepted"],
    );
    check(
        |installation| fs::write(installation.home().join("keys/gateway"), "0".repeat(64)).unwrap(),
        &["keys/gateway` is not the key that the trust file names", "from a backup"],
    );
    check(
        |installation| {
            let config = installation.home().join("cofferdam.toml");
            let both =
                fs::read_to_string(&config).unwrap() + "\n[unheard]\nof = 1\n\n[nor]\nthis = 2\n";
            fs::write(&config, both).unwrap();
        },
        &["unheard", "nor"],
    );
}

#[test]
fn a_part_that_is_missing_stops_the_start_with_the_homes_own_path_and_a_remedy() {
    let lost = |file: &'static str| {
        move |installation: &TestInstallation| {
            fs::remove_file(installation.home().join(file)).unwrap()
        }
    };
    let table = [
        ("plugins/executors/sequential.wasm", "accept its component again"),
        ("plugins/executors/rollout.wasm", "accept its component again"),
        ("plugins/tools/hello.wasm", "accept its component again"),
        ("policy/data.json", "restore the accepted policy"),
        ("keys/gateway", "from a backup"),
        ("keys/recorder", "from a backup"),
        ("agents/agents.toml", "from a backup"),
        ("trust/trust.toml", "from a backup"),
    ];
    for (file, remedy) in table {
        let installation = TestInstallation::bare("example");
        lost(file)(&installation);
        let said = refused(&installation);
        assert!(said.contains(&format!("{file}`")) && said.contains(remedy), "{file}:\n{said}");
        // No false text beside it, and no path of a copy.
        assert!(!said.contains("served/") && !said.contains("WARN"), "{file}:\n{said}");
    }
    // Another component with the executor's name.
    check(
        |installation| {
            let tools = installation.home().join("plugins/tools/hello.wasm");
            fs::copy(tools, installation.home().join("plugins/executors/sequential.wasm")).unwrap();
        },
        &["executors/sequential.wasm` is ", "not the accepted executor"],
    );
}

#[test]
fn a_role_that_cannot_start_is_told_by_the_homes_own_files_and_nothing_else_is_said() {
    let installation = TestInstallation::bare("example");
    let artefacts = installation.home().join("artefacts");
    fs::remove_dir_all(&artefacts).unwrap();
    fs::write(&artefacts, "x").unwrap();
    let said = refused(&installation);
    assert!(
        said.contains("artefacts/runner` is missing and cannot be made")
            && said.contains("move away the file"),
        "{said}"
    );
}

#[test]
fn a_broken_one_never_takes_the_place_of_a_good_one() {
    let mut installation = TestInstallation::bare("example");
    let trust = fs::read(installation.home().join("trust/trust.toml")).unwrap();
    let broken = installation.tree().join("../broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("policy.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::write(broken.join("data.json"), b"{}").unwrap();
    fs::write(broken.join("hello.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    installation.fail(&["accept", "--policy", text(&broken)]);
    installation.fail(&["accept", text(&broken.join("hello.wasm"))]);
    installation.fail(&["accept", "--executor", text(&assets().join("tools/hello.wasm"))]);
    assert_eq!(fs::read(installation.home().join("trust/trust.toml")).unwrap(), trust);
    installation.serve(&[]);
}

#[test]
fn only_one_recorder_has_the_store() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    let said = refused(&installation);
    assert!(said.contains("cannot listen"), "{said}");
}

#[test]
fn readiness_names_what_is_missing() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    // It is ready with one runner, and reports all of them later.
    installation.until_logged("Cofferdam serves the environment");
    let token = installation.agent("release", "operator");
    let ready = |installation: &TestInstallation| {
        let answer = installation.http("GET", "/readyz", "", None);
        (answer.status, answer.body.as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(ready(&installation), (200, "ready\n".to_owned()));
    // From here on no runner can start: each existing one ends with its next job.
    let (key, kept) =
        (installation.home().join("keys/runner-artefacts"), installation.home().join("kept"));
    fs::rename(&key, &kept).unwrap();
    for replicas in [5, 4] {
        installation.call(
            &token,
            "deployment_scale",
            &serde_json::json!({"namespace": "storefront", "name": "web", "replicas": replicas}),
        );
    }
    until("runners to be missed", || (ready(&installation).0 == 503).then_some(()));
    let told = ready(&installation).1;
    assert!(
        told.starts_with(
            "not ready: no runner is there; the log says why none starts\nwarning: keys: "
        ),
        "{told}"
    );
    fs::rename(&kept, &key).unwrap();
    until("a runner", || (ready(&installation).0 == 200).then_some(()));
}
