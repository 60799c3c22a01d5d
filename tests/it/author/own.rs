//! A new tool: `new`, its tests, `build`, and the same bytes in another folder.

use super::bare;
use crate::installation::{TestInstallation, binaries, repository, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs cargo or `cofferdam build` on a new tool. It shares the build folder of the shipped tools,
/// and downloads nothing.
pub(super) fn built(folder: &Path, target: &Path, program: &str, words: &[&str]) -> Output {
    Command::new(program)
        .args(words)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("UPDATE_EXAMPLES")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(super) fn good(done: &Output) -> String {
    let said =
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    said
}

#[test]
fn a_folder_that_is_there_or_a_name_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, code: i32, words: &str| {
        let done = bare(folder.path(), &["new", name]);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(code) && said.contains(words), "{name}: {said}");
    };
    fs::create_dir(folder.path().join("taken")).unwrap();
    fs::write(folder.path().join("a_file"), "kept").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("a_link")).unwrap();
    check("Label-Set", 2, "is no name for a tool");
    check("../out", 2, "is no name for a tool");
    check("fn", 2, "cannot be the name of a crate");
    for name in ["taken", "a_file", "a_link"] {
        check(name, 1, "is there already");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    let done = bare(folder.path(), &["new", "far", "--sdk", "taken"]);
    assert!(!done.status.success() && !folder.path().join("far").exists(), "{done:?}");
}

/// It compiles a crate twice for wasm32 and once for this machine.
#[test]
fn a_tool_of_ones_own_is_tested_built_reproducibly_tried_and_accepted() {
    let installation = TestInstallation::bare("example");
    let places = tempfile::tempdir().unwrap();
    let shared = repository().join("plugins/target");
    let sdk = repository().join("plugins/sdk");
    let cofferdam = binaries().join("cofferdam");
    let mut digests = Vec::new();
    for place in ["one", "another/place"] {
        let place = places.path().join(place);
        fs::create_dir_all(&place).unwrap();
        let done = bare(&place, &["--json", "new", "label_set", "--sdk", text(&sdk)]);
        let made: Value = serde_json::from_str(&good(&done)).unwrap();
        assert_eq!(made["name"], json!("label_set"));
        let (folder, out) = (place.join("label_set"), place.join("label_set.wasm"));
        good(&built(
            &folder,
            &shared,
            text(&cofferdam),
            &["--home", "no-home", "build", ".", "--out", text(&out)],
        ));
        digests.push(installation.json(&["inspect", text(&out)])["digest"].clone());
    }
    assert_eq!(digests[0], digests[1], "the same source gives other bytes in another folder");
    let (folder, wasm) =
        (places.path().join("one/label_set"), places.path().join("one/label_set.wasm"));

    good(&built(&folder, &shared, "cargo", &["test", "--quiet"]));
    // Another summary: the tests name the difference, and write it where they are asked to.
    let lib = folder.join("src/lib.rs");
    let source = fs::read_to_string(&lib).unwrap();
    fs::write(&lib, source.replace("format!(\"Greet Deployment", "format!(\"Welcome Deployment"))
        .unwrap();
    let done = built(&folder, &shared, "cargo", &["test", "--quiet"]);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(!done.status.success() && said.contains("UPDATE_EXAMPLES=1"), "{said}");
    let mut update = Command::new("cargo");
    update.args(["test", "--quiet"]).current_dir(&folder).env("UPDATE_EXAMPLES", "1");
    good(
        &update.env("CARGO_TARGET_DIR", &shared).env("CARGO_NET_OFFLINE", "true").output().unwrap(),
    );
    assert_eq!(fs::read_to_string(&lib).unwrap().matches("Welcome Deployment team-").count(), 2);
    good(&built(&folder, &shared, "cargo", &["test", "--quiet"]));

    let arguments = r#"{"namespace": "storefront", "name": "web", "greeting": "Ahoy"}"#;
    installation.agent("release", "operator");
    let told = installation.json(&["try", text(&wasm), "--args", arguments]);
    assert_eq!(told["answer"]["decision"], json!("allow"), "{told:#}");
    installation.run(&["accept", text(&wasm), "--because", "the first of our own"]);
    let missing = TestInstallation::bare("example").fail(&["build", text(places.path())]);
    assert!(
        missing.contains("no crate in") && missing.contains("`cofferdam new NAME`"),
        "{missing}"
    );
}

#[test]
fn a_copied_crate_that_kept_its_name_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("Cargo.toml"),
        "[workspace]\nmembers = [\"a\", \"b\"]\nresolver = \"3\"\n",
    )
    .unwrap();
    for copy in ["a", "b"] {
        let crate_folder = folder.path().join(copy);
        fs::create_dir_all(crate_folder.join("src")).unwrap();
        fs::write(
            crate_folder.join("Cargo.toml"),
            "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        )
        .unwrap();
        fs::write(crate_folder.join("src/lib.rs"), "").unwrap();
    }
    let done = bare(folder.path(), &["build", "a"]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.code() == Some(1)
            && said.contains("give this one its own `name` in `a/Cargo.toml`"),
        "{said}"
    );
}
