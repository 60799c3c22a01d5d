//! What stops a start, and what never takes the place of something good: broken tools, policies and
//! keys, each with one clear message.

use crate::cluster::until;
use crate::stage::{Stage, assets, binaries, text};
use std::fs;
use std::process::Command;

/// Starts and expects it to end by itself; gives what it said.
fn refused(stage: &Stage) -> String {
    let done = Command::new(binaries().join("cofferdam"))
        .arg("--home")
        .arg(stage.home())
        .arg("serve")
        .output()
        .unwrap();
    assert!(!done.status.success());
    String::from_utf8_lossy(&done.stderr).into_owned()
}

fn check(break_it: impl FnOnce(&Stage), expect: &[&str]) {
    let stage = Stage::bare("example");
    break_it(&stage);
    let said = refused(&stage);
    for words in expect {
        assert!(said.contains(words), "not `{words}`:\n{said}");
    }
}

#[test]
fn what_is_broken_stops_the_start_and_is_named() {
    check(
        |stage| fs::write(stage.home().join("plugins/tools/image_set.wasm"), b"not wasm").unwrap(),
        &["image_set"],
    );
    check(
        |stage| fs::write(stage.home().join("policy/policy.wasm"), b"not wasm").unwrap(),
        &["policy", "accept"],
    );
    check(
        |stage| fs::write(stage.home().join("policy/data.json"), b"{}").unwrap(),
        &["policy", "not the accepted"],
    );
    check(
        |stage| fs::write(stage.home().join("keys/gateway"), "0".repeat(64)).unwrap(),
        &["keys/gateway` is not the key that the trust file names", "from a backup"],
    );
    check(
        |stage| {
            let config = stage.home().join("cofferdam.toml");
            let both = fs::read_to_string(&config).unwrap()
                + "\n[no_progress]\nof = 1\n\n[nor]\nthis = 2\n";
            fs::write(&config, both).unwrap();
        },
        &["no_progress", "nor"],
    );
}

#[test]
fn a_part_that_is_missing_stops_the_start_with_the_homes_own_path_and_a_remedy() {
    let lost =
        |file: &'static str| move |stage: &Stage| fs::remove_file(stage.home().join(file)).unwrap();
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
        let stage = Stage::bare("example");
        lost(file)(&stage);
        let said = refused(&stage);
        assert!(said.contains(&format!("{file}`")) && said.contains(remedy), "{file}:\n{said}");
        // Nothing untrue beside it, and no path of a copy.
        assert!(!said.contains("served/") && !said.contains("WARN"), "{file}:\n{said}");
    }
    // Something else with the executor's name.
    check(
        |stage| {
            let tools = stage.home().join("plugins/tools/hello.wasm");
            fs::copy(tools, stage.home().join("plugins/executors/sequential.wasm")).unwrap();
        },
        &["executors/sequential.wasm` is ", "not the accepted executor"],
    );
}

#[test]
fn a_role_that_cannot_start_is_told_by_the_homes_own_files_and_nothing_else_is_said() {
    let stage = Stage::bare("example");
    let artefacts = stage.home().join("artefacts");
    fs::remove_dir_all(&artefacts).unwrap();
    fs::write(&artefacts, "x").unwrap();
    let said = refused(&stage);
    assert!(
        said.contains("artefacts/gateway` is missing and cannot be made")
            && said.contains("move away the file"),
        "{said}"
    );
}

#[test]
fn a_broken_one_never_takes_the_place_of_a_good_one() {
    let mut stage = Stage::bare("example");
    let trust = fs::read(stage.home().join("trust/trust.toml")).unwrap();
    let broken = stage.tree().join("../broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("policy.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::write(broken.join("data.json"), b"{}").unwrap();
    fs::write(broken.join("hello.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    stage.fail(&["accept", "--policy", text(&broken)]);
    stage.fail(&["accept", text(&broken.join("hello.wasm"))]);
    stage.fail(&["accept", "--executor", text(&assets().join("tools/hello.wasm"))]);
    assert_eq!(fs::read(stage.home().join("trust/trust.toml")).unwrap(), trust);
    stage.serve(&[]);
}

#[test]
fn only_one_recorder_has_the_store() {
    let mut stage = Stage::bare("example");
    stage.serve(&[]);
    let said = refused(&stage);
    assert!(said.contains("cannot listen"), "{said}");
}

#[test]
fn readiness_names_what_is_missing() {
    let mut stage = Stage::bare("example");
    stage.serve(&[]);
    // Ready is it with one runner, and says this with all.
    stage.until_logged("Cofferdam serves the environment");
    let token = stage.agent("release", "operator");
    let ready = |stage: &Stage| {
        let answer = stage.http("GET", "/readyz", "", None);
        (answer.status, answer.body.as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(ready(&stage), (200, "ready\n".to_owned()));
    // From here on no runner can start: each that is there ends with the job it takes.
    let (key, kept) = (stage.home().join("keys/runner-artefacts"), stage.home().join("kept"));
    fs::rename(&key, &kept).unwrap();
    for replicas in [5, 4] {
        stage.call(
            &token,
            "deployment_scale",
            &serde_json::json!({"namespace": "storefront", "name": "web", "replicas": replicas}),
        );
    }
    until("runners to be missed", || (ready(&stage).0 == 503).then_some(()));
    let told = ready(&stage).1;
    assert!(
        told.starts_with(
            "not ready: no runner is there; the log says why none starts\nwarning: keys: "
        ),
        "{told}"
    );
    fs::rename(&kept, &key).unwrap();
    until("a runner", || (ready(&stage).0 == 200).then_some(()));
}

#[test]
fn plain_http_beyond_this_machine_is_warned_of_by_serve_and_doctor() {
    let mut stage = Stage::bare("example");
    let words = [
        "is reached by other machines in plain HTTP",
        "listen on 127.0.0.1 behind a proxy that speaks TLS",
    ];
    stage.agent("release", "operator");
    assert!(!stage.run(&["doctor"]).contains(words[0]));
    stage.configure("listen", &format!("\"0.0.0.0:{}\"", stage.address().port()));
    let told = stage.run(&["doctor"]);
    stage.serve(&[]);
    let log = stage.log();
    for words in words {
        assert!(told.contains(words), "{told}");
        assert!(log.lines().any(|line| line.contains(" WARN ") && line.contains(words)), "{log}");
    }
    stage.stop();
    // On loopback nothing is said.
    let mut stage = Stage::started();
    stage.stop();
    assert!(!stage.log().contains(words[0]), "{}", stage.log());
}
