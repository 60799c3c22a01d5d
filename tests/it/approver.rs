//! An approver with real keys and all roles: the list of questions, the signed text, the notes
//! beside it, the ways to sign, and the outcome. Never a mock of `ssh-keygen`.

use crate::installation::{TestInstallation, binaries, text};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// An installation with the policy for a single user, under which nearly every change needs a
/// person.
fn single() -> TestInstallation {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    installation
}

/// Makes a call without waiting for its end. Returns its id.
fn asked(installation: &TestInstallation, token: &str, tool: &str, arguments: &Value) -> String {
    let answer =
        installation.http("POST", &format!("/v1/tools/{tool}?wait=0"), token, Some(arguments));
    answer.body["call"].as_str().unwrap_or_else(|| panic!("{:#}", answer.body)).to_owned()
}

fn command(installation: &TestInstallation, words: &[&str]) -> Command {
    let mut command = Command::new(binaries().join("cofferdam"));
    command.arg("--home").arg(installation.home()).args(words).stdin(Stdio::null());
    command
}

/// Standard output and standard error of a command.
fn said(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

/// Approves with Bob's key. Returns standard error, for people, and standard output, for programs.
fn approve(installation: &TestInstallation, call: &str) -> (String, Value) {
    let key = installation.key("bob");
    let done = command(installation, &["--json", "approve", call, "--key", text(&key), "--yes"])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", said(&done));
    (
        String::from_utf8_lossy(&done.stderr).into_owned(),
        serde_json::from_slice(&done.stdout).unwrap(),
    )
}

fn has(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "not `{words}`:\n{text}");
    }
}

/// A change that needs a person.
fn scale(name: &str, replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": name, "replicas": replicas})
}

/// A file of 200 lines under a key of the ConfigMap.
fn conf(line: &dyn Fn(usize) -> String) -> Value {
    let value: String = (1..=200).map(|number| format!("{}\n", line(number))).collect();
    json!({"namespace": "storefront", "name": "web", "key": "app.conf", "value": value})
}

#[test]
fn a_change_of_a_long_text_is_read_line_by_line() {
    let installation = single();
    let token = installation.agent("release", "operator");
    let plain = |number: usize| format!("key{number} = {number}");
    let first = asked(&installation, &token, "config_set", &conf(&plain));
    let new = installation.run(&["show", &first, "--shown"]);
    has(
        &new,
        &[
            ": new, 200 lines",
            "+ 1: \"key1 = 1\"",
            "[160 more lines: show --full]",
            "+ 200: \"key200 = 200\"",
        ],
    );
    has(
        &new,
        &[
            "arguments:\n",
            "This text is long. Once more, 1 operation:\n  0. patch ConfigMap web in namespace \
             storefront",
        ],
    );
    assert!(new.lines().all(|line| line.chars().count() < 250), "{new}");
    let full = installation.run(&["show", &first, "--full"]);
    has(&full, &["+ 77: \"key77 = 77\"", "arguments:"]);
    let (_, answer) = approve(&installation, &first);
    assert!(
        ["done", "running", "queued", "checked"].contains(&answer["state"].as_str().unwrap()),
        "{answer:#}"
    );
    installation.closed(&first);

    let changed = |number: usize| {
        if number % 10 == 3 { format!("key{number} = wеb") } else { plain(number) }
    };
    let second = asked(&installation, &token, "config_set", &conf(&changed));
    let shown = installation.run(&["show", &second, "--shown"]);
    has(
        &shown,
        &[
            ": 20 of 200 lines go, 20 of 200 come",
            "- 3: \"key3 = 3\"",
            "+ 3: \"key3 = w\\u{435}b\"",
        ],
    );
    has(&shown, &["\\u{435} is U+0435 (looks like e)"]);
    assert!(!shown.contains("→ \"key") && !shown.contains("key4 = 4\""), "{shown}");
    // The story of a waiting call shows the same.
    has(
        &installation.run(&["show", &second]),
        &[
            "would do     0. patch ConfigMap web",
            "20 of 200 lines go",
            "+ 3: \"key3 = w\\u{435}b\"",
        ],
    );
}

#[test]
fn what_changed_since_is_told_before_signing_and_nothing_is_promised() {
    let installation = single();
    let token = installation.agent("release", "operator");
    let (call, other) = (
        asked(&installation, &token, "deployment_scale", &scale("web", 18)),
        asked(&installation, &token, "deployment_scale", &scale("web", 19)),
    );
    let (told, answer) = approve(&installation, &call);
    has(
        &told,
        &[
            "Not part of what is signed, as of 2",
            "signatures:           none yet; 1 more needed",
            "since it was asked:   nothing of it changed",
        ],
    );
    installation.closed(&call);
    assert_eq!((&answer["missing"], &answer["approver"]), (&json!(0), &json!("bob@example.com")));
    // The other one is about three replicas; by now there are 18.
    let (told, answer) = approve(&installation, &other);
    has(
        &told,
        &["`spec.replicas` of Deployment web in namespace storefront was 3 and is 18 (at \
           `storefront/web.yaml:15`). A signature now makes nothing run"],
    );
    assert_eq!(
        (&answer["state"], &answer["outcome"]),
        (&json!("refused"), &json!("refused")),
        "{answer:#}"
    );
    has(answer["detail"].as_str().unwrap(), &["was 3 and is 18"]);
}

#[test]
fn without_an_id_what_waits_is_listed_and_one_is_chosen_on_a_terminal() {
    let installation = single();
    let token = installation.agent("release", "operator");
    has(&installation.run(&["approve"]), &["Nothing waits for a person."]);
    let call = asked(&installation, &token, "deployment_scale", &scale("api", 18));
    for verb in ["approve", "deny"] {
        let list = installation.run(&[verb]);
        has(
            &list,
            &[
                "NEEDED",
                &call,
                "release for alice@example.com",
                "any 1 enrolled approver",
                " s ago",
                &format!("cofferdam {verb} ID"),
            ],
        );
        let listed = installation.json(&[verb])["waiting"][0].clone();
        assert_eq!(
            (&listed["number"], &listed["call"], &listed["agent"]),
            (&json!(1), &json!(call), &json!("release"))
        );
        assert!(
            listed["age_seconds"].is_u64()
                && listed["needed"].is_string()
                && listed["summary"].is_string(),
            "{listed:#}"
        );
    }
    assert!(installation.fail(&["approve", "--yes"]).contains("give its id"));
    assert!(
        installation
            .fail(&["deny", &call, "--key", text(&installation.key("bob"))])
            .contains("give a `--reason`")
    );
    // A terminal of its own, as `script` makes one.
    let on_terminal = |verb: &str, typed: &str| {
        let line = format!(
            "{} --home {} {verb} --key {}",
            text(&binaries().join("cofferdam")),
            text(&installation.home()),
            text(&installation.key("bob"))
        );
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        use std::io::Write as _;
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        said(&child.wait_with_output().unwrap())
    };
    has(&on_terminal("approve", "7\n"), &["Which one?", "none was chosen"]);
    has(
        &on_terminal("approve", "1\nno\n"),
        &["Which one?", "What it would do", "Type yes", "it still waits until"],
    );
    has(
        &on_terminal("deny", "1\nnot before the release\nyes\n"),
        &["Reason of the denial", &format!("Denied {call} as bob@example.com")],
    );
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "rejected");
}

/// A program that ends with the test, also where the test fails.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// Signs a file as a person does who has the key on another machine.
fn sign_elsewhere(key: &Path, statement: &Path) {
    let done = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", "approval@cofferdam.dev", "-f"])
        .arg(key)
        .arg(statement)
        .output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", said(&done));
}

#[test]
fn a_statement_is_signed_on_another_machine_and_its_signature_handed_in() {
    let installation = single();
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, "deployment_scale", &scale("api", 18));
    let statement = installation.home().with_file_name("to sign.json");
    let signature = installation.home().with_file_name("to sign.json.sig");
    let written = installation.json(&["approve", &call, "--statement", text(&statement)]);
    assert_eq!(written["state"], "not_signed");
    has(
        written["sign"].as_str().unwrap(),
        &["ssh-keygen -Y sign -n approval@cofferdam.dev -f KEY '"],
    );
    // By whom policy does not let, over something else, and with the line ends of another system.
    sign_elsewhere(&installation.key("alice"), &statement);
    let other = asked(&installation, &token, "deployment_scale", &scale("web", 18));
    let wrong = installation.fail(&["approve", &other, "--signature", text(&signature)]);
    assert!(
        wrong.contains("the signing key is not enrolled") || wrong.contains("is for another"),
        "{wrong}"
    );
    std::fs::remove_file(&signature).unwrap();
    sign_elsewhere(&installation.key("bob"), &statement);
    let armour = std::fs::read_to_string(&signature).unwrap();
    std::fs::write(&signature, armour.replace('\n', "\r\n")).unwrap();
    let export = installation.home().with_file_name("out");
    let done = installation.json(&[
        "approve",
        &call,
        "--signature",
        text(&signature),
        "--export",
        text(&export),
    ]);
    assert_eq!(
        (&done["approver"], &done["missing"]),
        (&json!("bob@example.com"), &json!(0)),
        "{done:#}"
    );
    let verified = Command::new("sh")
        .arg("-c")
        .arg(done["files"]["command"].as_str().unwrap())
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", said(&verified));
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
}

#[test]
fn an_agent_with_many_keys_signs_and_one_that_cannot_is_told_why() {
    let installation = single();
    let token = installation.agent("release", "operator");
    let folder = installation.home().with_file_name("agent");
    std::fs::create_dir(&folder).unwrap();
    let socket = folder.join("socket");
    let mut agent = Command::new("ssh-agent");
    agent
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _agent = Ended(agent.spawn().unwrap());
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let add = |key: &Path| {
        let done = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &socket)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", said(&done));
    };
    let sign = |call: &str| {
        let done = command(&installation, &["approve", call, "--yes"])
            .env("SSH_AUTH_SOCK", &socket)
            .output()
            .unwrap();
        (done.status.success(), said(&done))
    };
    let call = asked(&installation, &token, "deployment_scale", &scale("api", 18));
    let (_, empty) = sign(&call);
    has(&empty, &["the SSH agent shows no key; unlock it with `ssh-add -X` if it is locked"]);
    for (number, kind) in
        ["ed25519", "ecdsa", "rsa", "ed25519", "ed25519", "ecdsa", "rsa", "ed25519", "ed25519"]
            .iter()
            .enumerate()
    {
        let key = folder.join(format!("key{number}"));
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", "", "-f"])
            .arg(&key)
            .status()
            .unwrap();
        assert!(made.success());
        add(&key);
    }
    has(&sign(&call).1, &["the SSH agent holds no enrolled key; add yours with `ssh-add`"]);
    add(&installation.key("bob"));
    let (signed, told) = sign(&call);
    assert!(signed, "{told}");
    has(&told, &["as bob@example.com: it "]);
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
}
