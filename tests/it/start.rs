//! What stops a start, and what never takes the place of something good: broken tools, policies and keys, each with one clear message.

use crate::stage::{Stage, assets, binaries, text};
use std::fs;
use std::process::Command;

/// Starts and expects it to end by itself; gives what it said.
fn refused(stage: &Stage) -> String {
    let done = Command::new(binaries().join("cofferdam")).arg("--home").arg(stage.home()).arg("serve").output().unwrap();
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
    check(|stage| fs::write(stage.home().join("plugins/tools/image_set.wasm"), b"not wasm").unwrap(), &["image_set"]);
    check(|stage| fs::write(stage.home().join("policy/policy.wasm"), b"not wasm").unwrap(), &["policy", "accept"]);
    check(|stage| fs::write(stage.home().join("policy/data.json"), b"{}").unwrap(), &["policy", "accepted is"]);
    check(|stage| fs::write(stage.home().join("keys/gateway"), "0".repeat(64)).unwrap(), &["permit key"]);
    check(
        |stage| {
            let config = stage.home().join("cofferdam.toml");
            let both = fs::read_to_string(&config).unwrap() + "\n[unheard]\nof = 1\n\n[nor]\nthis = 2\n";
            fs::write(&config, both).unwrap();
        },
        &["unheard", "nor"],
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
