//! `doctor`, `status` and `serve` report each error of an installation with its path, its cause and
//! a harmless remedy. The errors are made on real files, ports and mounts.

use crate::cluster::until;
use crate::installation::{TestInstallation, assets, binaries, text};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// The WRONG lines of `doctor`.
fn wrong(installation: &TestInstallation) -> String {
    let done = Command::new(binaries().join("cofferdam"))
        .arg("--json")
        .arg("--home")
        .arg(installation.home())
        .arg("doctor")
        .output()
        .unwrap();
    wrong_in(&done.stdout)
}

fn wrong_in(out: &[u8]) -> String {
    let report: Value = serde_json::from_slice(out).unwrap();
    let findings =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["grade"] == "WRONG");
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings
        .map(|one| {
            format!("{}: {} → {}", word(one, "what"), word(one, "detail"), word(one, "remedy"))
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// Breaks an installation, asks the commands, and restores it. `aside` is moved away meanwhile, and
/// `instead` makes another file in its place.
fn check(
    installation: &TestInstallation,
    aside: &str,
    instead: impl FnOnce(&Path),
    expect: &[&str],
) {
    let (path, kept) =
        (installation.home().join(aside), installation.home().with_file_name("kept"));
    fs::rename(&path, &kept).unwrap();
    instead(&path);
    let said = wrong(installation);
    for words in expect {
        assert!(said.contains(words), "{aside}: not `{words}`:\n{said}");
    }
    assert_eq!(said.is_empty(), expect.is_empty(), "{aside}:\n{said}");
    assert!(!said.contains("init"), "{aside}: `init` is no remedy over a home:\n{said}");
    if path.symlink_metadata().is_ok_and(|facts| facts.is_dir()) {
        fs::remove_dir_all(&path).unwrap();
    } else if path.symlink_metadata().is_ok() {
        fs::remove_file(&path).unwrap();
    }
    fs::rename(&kept, &path).unwrap();
}

fn nothing(_: &Path) {}

fn folder(path: &Path) {
    fs::create_dir(path).unwrap();
}

fn garbage(path: &Path) {
    fs::write(path, "garbage = [").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn dangling(path: &Path) {
    std::os::unix::fs::symlink("nowhere", path).unwrap();
}

#[test]
fn each_fault_of_a_home_is_named_with_a_remedy_that_destroys_nothing() {
    let installation = TestInstallation::bare("example");
    assert_eq!(wrong(&installation), "");
    check(
        &installation,
        "trust/trust.toml",
        nothing,
        &["trust.toml` is not there", "restore `trust/trust.toml` from a backup"],
    );
    check(
        &installation,
        "trust/trust.toml",
        garbage,
        &["the trust file is damaged", "restore `trust/trust.toml` from a backup"],
    );
    check(
        &installation,
        "trust/trust.toml",
        folder,
        &["trust.toml` cannot be read (Is a directory", "from a backup"],
    );
    check(
        &installation,
        "agents/agents.toml",
        nothing,
        &["agents.toml` is not there", "restore it from a backup"],
    );
    check(
        &installation,
        "agents/agents.toml",
        folder,
        &["agents.toml` cannot be read (Is a directory"],
    );
    check(
        &installation,
        "cofferdam.toml",
        nothing,
        &["cofferdam.toml` is not there", "restore `cofferdam.toml` from a backup"],
    );
    check(&installation, "cofferdam.toml", garbage, &["not TOML"]);
    check(
        &installation,
        "keys/gateway",
        nothing,
        &["keys/gateway`: No such file", "restore", "from a backup"],
    );
    check(&installation, "keys/recorder", folder, &["keys/recorder`: Is a directory"]);
    check(&installation, "keys/recorder", garbage, &["is not 64 hexadecimal digits"]);
    check(
        &installation,
        "keys/gateway",
        dangling,
        &["keys/gateway` is a link to `nowhere`, and nothing is there"],
    );
    // The command makes it again.
    check(&installation, "keys/runner-artefacts", nothing, &[]);
    check(&installation, "keys", nothing, &["keys` is missing"]);
    check(
        &installation,
        "policy/policy.wasm",
        nothing,
        &["policy.wasm` cannot be read: No such file"],
    );
    check(&installation, "policy/data.json", garbage, &["policy"]);
    check(
        &installation,
        "plugins/tools/hello.wasm",
        nothing,
        &["the accepted tool `hello` cannot be read", "No such file"],
    );
    check(&installation, "plugins/tools/hello.wasm", garbage, &["not the accepted tool"]);
    for made_again in [
        "ledger",
        "run",
        "runs",
        "journal",
        "store",
        "artefacts",
        "artefacts/gateway",
        "artefacts/runner",
    ] {
        check(&installation, made_again, nothing, &[]);
        let (file, link) = (
            format!("{made_again}` is a file where a folder belongs"),
            format!("{made_again}` is a link to"),
        );
        check(&installation, made_again, garbage, &[&file]);
        check(&installation, made_again, dangling, &[&link]);
    }
    // The file exists only during a start.
    let served = installation.home().join("served");
    garbage(&served);
    assert!(
        wrong(&installation).contains("served` is a file where a folder belongs"),
        "{}",
        wrong(&installation)
    );
    fs::remove_file(&served).unwrap();
    for key in ["keys/gateway", "keys/recorder", "keys/gateway-artefacts", "keys/runner-artefacts"]
    {
        let said = format!("{key}`: Is a directory");
        check(&installation, key, folder, &[&said]);
    }
    // The store is lost, and its published ledger still exists.
    let checkpoint = installation.home().join("ledger/checkpoint");
    let trust = fs::read_to_string(installation.home().join("trust/trust.toml")).unwrap();
    let id = trust
        .lines()
        .find_map(|line| line.strip_prefix("id = "))
        .unwrap()
        .trim_matches('"')
        .to_owned();
    fs::write(&checkpoint, format!("cofferdam.dev/{id}\n25\n\n")).unwrap();
    let said = wrong(&installation);
    assert!(
        said.contains("its published ledger has 25 entries")
            && said.contains("from the newest backup"),
        "{said}"
    );
    fs::write(&checkpoint, "cofferdam.dev/0123456789abcdef0123456789abcdef\n25\n\n").unwrap();
    let said = wrong(&installation);
    assert!(
        said.contains(&format!("belongs to another environment ({id})"))
            && said.contains("restore the right"),
        "{said}"
    );
    let init = installation.run(&["init", text(&installation.tree()), "--name", "other"]);
    assert!(!init.contains("made") && !init.contains("accepted"), "{init}");
    fs::remove_file(&checkpoint).unwrap();
    fs::write(installation.home().join("store/cofferdam.db"), vec![7; 8192]).unwrap();
    let said = wrong(&installation);
    assert!(said.contains("cofferdam.db` is damaged: file is not a database"), "{said}");
    fs::remove_file(installation.home().join("store/cofferdam.db")).unwrap();
    // The file is readable for other users.
    let key = installation.home().join("keys/gateway");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let said = wrong(&installation);
    assert!(said.contains("other users can read") && said.contains("chmod"), "{said}");
    let refused = installation.fail(&["serve"]);
    assert!(refused.contains("other users can read") && refused.contains("chmod 600"), "{refused}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    installation.configure("name", "\"elsewhere\"");
    assert!(
        wrong(&installation)
            .contains("`elsewhere` is not the environment of trust.toml, which is `shop`"),
        "{}",
        wrong(&installation)
    );
    let page = installation.fail(&["status"]);
    assert!(
        page.contains("serving      no") && page.contains("is not the environment of trust.toml"),
        "{page}"
    );
    installation.configure("name", "\"shop\"");
    let held = TcpListener::bind(installation.address()).unwrap();
    assert!(
        wrong(&installation).contains("is taken by another program"),
        "{}",
        wrong(&installation)
    );
    drop(held);
    assert_eq!(wrong(&installation), "");
}

#[test]
fn a_lost_trust_file_is_never_made_again_by_init() {
    let installation = TestInstallation::bare("example");
    let trust = installation.home().join("trust/trust.toml");
    fs::write(installation.home().join("ledger/checkpoint"), "cofferdam.dev/1\n25\n\n").unwrap();
    fs::remove_file(&trust).unwrap();
    let said = installation.fail(&["init", text(&installation.tree())]);
    assert!(said.contains("was used before") && said.contains("from a backup"), "{said}");
    assert!(!trust.exists());
}

#[test]
fn a_tree_that_cannot_be_changed_is_named_by_doctor_and_by_readyz() {
    let mut installation = TestInstallation::bare("example");
    let file = installation.tree().join("storefront/web.yaml");
    let mark = |how: &str, path: &Path| {
        assert!(Command::new("chattr").arg(how).arg(path).status().unwrap().success())
    };
    // Needs root on a file system that has the mark, as the machines of this project's tests are.
    mark("+i", &file);
    let said = wrong(&installation);
    mark("-i", &file);
    assert!(
        said.contains("storefront/web.yaml` cannot be replaced: Operation not permitted")
            && said.contains("the file is marked immutable")
            && said.contains("nothing has to be restarted"),
        "{said}"
    );
    // A mount in its own mount namespace: this process and others do not see it.
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && exec \"$2\" \
                  --json --home \"$3\" doctor";
    let done = Command::new("unshare")
        .args([
            "-m",
            "sh",
            "-c",
            script,
            "sh",
            text(&installation.tree()),
            text(&binaries().join("cofferdam")),
            text(&installation.home()),
        ])
        .output()
        .unwrap();
    let said = wrong_in(&done.stdout);
    assert!(said.contains("mounted read-only"), "{said}");
    assert_eq!(wrong(&installation), "");

    installation.serve(&[]);
    assert_eq!(wrong(&installation), "");
    mark("+i", &installation.tree());
    let ready = |installation: &TestInstallation| {
        let answer = installation.http("GET", "/readyz", "", None);
        (answer.status, answer.body.as_str().unwrap_or_default().to_owned())
    };
    let told =
        until("readyz to fail", || Some(ready(&installation)).filter(|(status, _)| *status == 503));
    mark("-i", &installation.tree());
    assert!(
        told.1.contains(text(&installation.tree())) && told.1.contains("is marked immutable"),
        "{}",
        told.1
    );
    until("readyz to hold", || (ready(&installation).0 == 200).then_some(()));
    let journal = installation.home().join("journal");
    let kept = installation.home().join("kept");
    fs::rename(&journal, &kept).unwrap();
    until("readyz to miss a folder", || {
        ready(&installation).1.contains("journal` is gone").then_some(())
    });
    assert!(wrong(&installation).contains("journal` is gone"), "{}", wrong(&installation));
    fs::rename(&kept, &journal).unwrap();
    until("readyz to hold again", || (ready(&installation).0 == 200).then_some(()));
}

#[test]
fn one_fault_is_listed_once_with_one_remedy_while_it_serves() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    let all = |installation: &TestInstallation| -> Vec<Value> {
        let done = Command::new(binaries().join("cofferdam"))
            .arg("--json")
            .arg("--home")
            .arg(installation.home())
            .arg("doctor")
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&done.stdout).unwrap()["findings"]
            .as_array()
            .unwrap()
            .clone()
    };
    let ready = |installation: &TestInstallation| {
        installation.http("GET", "/readyz", "", None).body.as_str().unwrap_or_default().to_owned()
    };
    let stays = "what is served stays in use, and the next start will fail";
    let table = [
        (
            "keys/runner-artefacts",
            "start `cofferdam serve` again",
            "runners that start from now on fail",
        ),
        ("keys/gateway", "from a backup", stays),
        ("journal", "start `cofferdam serve` again", "is gone"),
        ("run", "start `cofferdam serve` again", "do not reach the recorder"),
        ("plugins", "from a backup", stays),
        ("plugins/tools", "from a backup", stays),
        ("plugins/tools/hello.wasm", "accept its component again", stays),
        ("policy", "from a backup", stays),
        ("policy/data.json", "restore the accepted policy", stays),
        ("agents/agents.toml", "from a backup", stays),
        ("trust/trust.toml", "from a backup", stays),
    ];
    for (file, remedy, effect) in table {
        let (path, kept) =
            (installation.home().join(file), installation.home().with_file_name("kept"));
        fs::rename(&path, &kept).unwrap();
        let name = format!("/{file}`");
        until("the loss to be seen", || ready(&installation).contains(&name).then_some(()));
        let found = all(&installation);
        fs::rename(&kept, &path).unwrap();
        let text = |one: &Value| format!("{}: {} → {}", one["what"], one["detail"], one["remedy"]);
        let told: Vec<String> = found.iter().map(text).filter(|one| one.contains(&name)).collect();
        let wrong: Vec<String> =
            found.iter().filter(|one| one["grade"] == "WRONG").map(text).collect();
        assert_eq!(
            (told.len(), wrong.len()),
            (1, 1),
            "{file}:\n{}\n{}",
            told.join("\n"),
            wrong.join("\n")
        );
        assert!(wrong[0].contains(remedy) && wrong[0].contains(effect), "{file}: {}", wrong[0]);
        until("all to be well", || (ready(&installation) == "ready\n").then_some(()));
    }
    assert_eq!(wrong(&installation), "");
}

#[test]
fn what_can_be_made_again_is_made_at_the_start_and_named() {
    let mut installation = TestInstallation::bare("example");
    for folder in ["ledger", "run", "runs", "journal"] {
        fs::remove_dir_all(installation.home().join(folder)).unwrap();
    }
    fs::remove_file(installation.home().join("keys/runner-artefacts")).unwrap();
    fs::set_permissions(installation.home(), fs::Permissions::from_mode(0o755)).unwrap();
    installation.serve(&[]);
    let log = installation.log();
    for words in [
        "ledger` was missing",
        "journal` was missing",
        "runner-artefacts` was missing",
        "other users can read",
    ] {
        assert!(log.contains(words), "not `{words}`:\n{log}");
    }
    let token = installation.agent("bot", "operator");
    let answer = installation.call(
        &token,
        "deployment_scale",
        &json!({"namespace": "storefront", "name": "web", "replicas": 5}),
    );
    assert_eq!(answer.status, 200, "{:#}", answer.body);
}

#[test]
fn a_tool_that_no_agent_sees_here_is_named_by_accept_and_doctor() {
    let installation = TestInstallation::bare("example");
    let told = installation.run(&["accept", text(&assets().join("tools/pod_logs.wasm"))]);
    assert!(
        told.contains(
            "The environment is a folder of manifests, which can carry out none of its plans: no \
             agent sees it."
        ),
        "{told}"
    );
    let told = installation.run(&["accept", text(&assets().join("tools/config_set.wasm"))]);
    assert!(!told.contains("no agent sees it"), "{told}");
    let told = installation.run(&["doctor"]);
    let left = told.lines().find(|line| line.contains("left out")).unwrap_or(&told);
    assert!(left.contains("pod_logs") && !left.contains("config_set"), "{told}");
}
