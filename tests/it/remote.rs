//! Approvers on other machines: another folder, another user environment, only a key and the address
//! of the gateway, or two files. Real keys, real processes, and servers that lie.

mod liar;
mod together;
mod without_connection;

use crate::installation::{Answer, TestInstallation, binaries, text, write_private};
use cofferdam_testkit::tls::{CA, OTHER_CA, SERVER};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A machine of an approver: it has no installation, and its environment names none.
struct Elsewhere {
    folder: tempfile::TempDir,
    key: PathBuf,
}

impl Elsewhere {
    /// A machine with the key of this person.
    fn with_key(key: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("elsewhere.").tempdir().unwrap();
        let own = folder.path().join("id");
        fs::copy(key, &own).unwrap();
        fs::copy(key.with_extension("pub"), own.with_extension("pub")).unwrap();
        Self { folder, key: own }
    }

    /// A machine with a key that is enrolled nowhere.
    fn stranger() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("new");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", text(&key)])
            .status();
        assert!(made.unwrap().success());
        Self::with_key(&key)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Output {
        Command::new(binaries().join("cofferdam"))
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// A command with the server's address and this person's key. Returns whether it succeeded, its
    /// standard output and its standard error.
    fn run(&self, url: &str, words: &[&str]) -> (bool, String, String) {
        let rest = ["--server", url, "--key", text(&self.key)];
        let done = self.command(&[words, &rest].concat());
        (
            done.status.success(),
            String::from_utf8_lossy(&done.stdout).into_owned(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    }

    /// The same, which must succeed, for programs. Returns the text for people besides.
    fn json(&self, url: &str, words: &[&str]) -> (Value, String) {
        let (done, out, told) = self.run(url, &[&["--json"], words].concat());
        assert!(done, "{out}{told}");
        (serde_json::from_str(&out).unwrap(), told)
    }

    /// The same, which must fail.
    fn fail(&self, url: &str, words: &[&str]) -> String {
        let (done, out, told) = self.run(url, words);
        assert!(!done, "{out}{told}");
        out + &told
    }

    /// Signs a text with `ssh-keygen` in this namespace.
    fn sign(&self, namespace: &str, signed: &str) -> Value {
        let path = self.path("to sign");
        fs::write(&path, signed).unwrap();
        let armour = self.path("to sign.sig");
        let _none_yet = fs::remove_file(&armour);
        let done = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", namespace, "-f", text(&self.key), text(&path)])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        json!({"statement": signed, "signature": fs::read_to_string(&armour).unwrap()})
    }

    /// The sign-in of this person for a server, over this challenge.
    fn sign_in(&self, server: &str, challenge: &Value) -> Value {
        // The members in the order of canonical JSON.
        let statement = json!({
            "challenge": challenge["challenge"], "expires": challenge["expires"],
            "schema": "cofferdam.sign-in.v1", "server": server,
        });
        self.sign(SIGN_IN, &statement.to_string())
    }

    /// A session of this person.
    fn session(&self, installation: &TestInstallation) -> String {
        let signed = self.sign_in(&installation.address().to_string(), &challenge(installation));
        let answer = session(installation, &signed);
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        answer.body["session"].as_str().unwrap().to_owned()
    }
}

const SIGN_IN: &str = "sign-in@cofferdam.dev";
const APPROVAL: &str = "approval@cofferdam.dev";

fn challenge(installation: &TestInstallation) -> Value {
    installation.http("GET", "/v1/approvals/challenge", "", None).body
}

fn session(installation: &TestInstallation, signed: &Value) -> Answer {
    installation.http("POST", "/v1/approvals/session", "", Some(signed))
}

/// An installation under whose policy nearly every change needs a person. Bob may approve the calls
/// of Alice's agent.
fn served() -> (TestInstallation, String, String) {
    let mut installation = TestInstallation::bare("single");
    let token = installation.agent("release", "operator");
    installation.serve(&[]);
    let url = format!("http://{}", installation.address());
    (installation, token, url)
}

/// Makes a call that waits for a person. Returns its id.
fn asked(installation: &TestInstallation, token: &str, name: &str, replicas: u32) -> String {
    let arguments = json!({"namespace": "storefront", "name": name, "replicas": replicas});
    let path = "/v1/tools/deployment_scale?wait=0";
    let answer = installation.http("POST", path, token, Some(&arguments));
    answer.body["call"].as_str().unwrap_or_else(|| panic!("{:#}", answer.body)).to_owned()
}

fn has(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "not `{words}`:\n{text}");
    }
}

#[test]
fn an_approver_with_a_key_and_an_address_lists_reads_approves_and_denies() {
    let (installation, token, url) = served();
    let (run, deny) =
        (asked(&installation, &token, "web", 18), asked(&installation, &token, "api", 18));
    let bob = Elsewhere::with_key(&installation.key("bob"));
    let (list, _) = bob.json(&url, &["approve"]);
    let listed = list["waiting"].as_array().unwrap().iter().map(|question| &question["call"]);
    assert_eq!(listed.collect::<Vec<_>>(), [&json!(deny), &json!(run)]);
    let (_, list, _) = bob.run(&url, &["approve"]);
    has(&list, &[&run, &format!("Name one: cofferdam approve ID --server {url}")]);

    let export = bob.path("out");
    let words = ["approve", &run[..8], "--yes", "--wait", "60", "--export", text(&export)];
    let (answer, told) = bob.json(&url, &words);
    // The text is the same that the machine of the gateway shows.
    let shown = installation.run(&["show", &run, "--shown"]);
    has(&told, &[&shown, "spec.replicas: 3 → 18"]);
    has(
        &told,
        &[
            "asked:                ",
            "ends:                 in ",
            "signatures:           none yet; 1 more needed",
            "since it was asked:   nothing of it changed",
        ],
    );
    assert_eq!(
        (&answer["approver"], &answer["missing"], &answer["state"]),
        (&json!("bob@example.com"), &json!(0), &json!("done")),
        "{answer:#}"
    );
    assert_eq!(installation.closed(&run)["view"]["outcome"], "succeeded");
    let check = answer["files"]["command"].as_str().unwrap();
    // Words of the server about signatures and objects are marked, and its name for the signer is
    // not bound to the key.
    has(&told, &["Not part of what is signed, and not checked here, as of"]);
    let print = Command::new("ssh-keygen").args(["-l", "-f", text(&bob.key)]).output().unwrap();
    let print = String::from_utf8_lossy(&print.stdout).into_owned();
    let print = print.split(' ').nth(1).unwrap();
    has(check, &[&format!("-I {print} ")]);
    let verified = Command::new("sh").args(["-c", check]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));

    let reason = "not before the release";
    let (denied, _) = bob.json(&url, &["deny", &deny, "--reason", reason]);
    assert_eq!(denied["state"], "denied");
    let story = installation.closed(&deny);
    assert_eq!(story["view"]["outcome"], "rejected");
    let state = installation.http("GET", &format!("/v1/jobs/{deny}"), &token, None);
    has(&state.body.to_string(), &["Why: Not before the release."]);
    // The ledger names each use, and is proved as before.
    has(&installation.run(&["show", &run]), &["approver sign by bob@example.com"]);
    installation.verify_ledger();
    has(&bob.fail(&url, &["approve", &run, "--yes"]), &["is closed already"]);
    // Without a terminal and without `--yes`, nothing is signed.
    let third = asked(&installation, &token, "web", 17);
    has(&bob.fail(&url, &["approve", &third]), &["there is no terminal", "--yes"]);
}

#[test]
fn who_may_not_sign_sees_no_more_than_of_an_unknown_call() {
    let (installation, token, url) = served();
    let call = asked(&installation, &token, "web", 18);
    let unknown = "a".repeat(26);
    // Alice is enrolled, and the agent works for her.
    let alice = Elsewhere::with_key(&installation.key("alice"));
    assert_eq!(alice.json(&url, &["approve"]).0["waiting"], json!([]));
    for verb in [&["approve", "--yes"][..], &["deny", "--reason", "no"]] {
        let refused = |call: &str| {
            let told = alice.fail(&url, &[verb, &[call]].concat());
            told.replace(call, "ID")
        };
        let told = refused(&call);
        has(&told, &["is for your signature"]);
        assert_eq!(told, refused(&unknown));
    }
    let stranger = Elsewhere::stranger();
    for words in [&["approve"][..], &["approve", &call, "--yes"]] {
        has(&stranger.fail(&url, words), &["the signing key is not enrolled"]);
    }
    // The agent itself, with its token and with no token.
    for token in [token.as_str(), ""] {
        for path in ["", &format!("/{call}"), &format!("/{call}/preview")] {
            let told = installation.http("GET", &format!("/v1/approvals{path}"), token, None);
            assert_eq!(told.status, 401, "{:#}", told.body);
        }
    }
    assert_eq!(installation.json(&["show", &call])["view"]["phase"], "awaiting_approval");
}

#[test]
fn a_sign_in_counts_once_for_one_server_and_is_never_an_approval() {
    let (installation, token, _) = served();
    let call = asked(&installation, &token, "web", 18);
    let bob = Elsewhere::with_key(&installation.key("bob"));
    let own = installation.address().to_string();
    let refused = |signed: &Value, expect: &str| {
        let told = session(&installation, signed);
        assert_eq!(told.status, 401, "{:#}", told.body);
        has(&told.body.to_string(), &[expect]);
    };
    // A server that passes the challenge of another one on.
    let fresh = challenge(&installation);
    refused(&bob.sign_in("gate.example.com", &fresh), "for another server");
    let good = bob.sign_in(&own, &fresh);
    assert_eq!(session(&installation, &good).status, 200);
    refused(&good, "was used already");
    // A challenge that the server did not make, or with another end.
    let made_up = json!({"challenge": "00.00", "expires": fresh["expires"]});
    refused(&bob.sign_in(&own, &made_up), "not one of this server");
    let later = json!({"challenge": fresh["challenge"], "expires": "2099-01-01T00:00:00Z"});
    refused(&bob.sign_in(&own, &later), "not one of this server");
    // An approval is no sign-in, and a sign-in is no approval.
    let sign_in = bob.sign_in(&own, &challenge(&installation));
    let as_approval = bob.sign(APPROVAL, sign_in["statement"].as_str().unwrap());
    refused(&as_approval, "not enrolled");
    let open = bob.session(&installation);
    let path = format!("/v1/approvals/{call}");
    let hand_in = |signed: &Value| installation.http("POST", &path, &open, Some(signed));
    assert_eq!(hand_in(&sign_in).status, 409);
    let written = bob.path("statement.json");
    installation.run(&["approve", &call, "--statement", text(&written)]);
    let statement = fs::read_to_string(&written).unwrap();
    for (signed, expect) in [
        // The signature of the right text in the namespace of a sign-in.
        (bob.sign(SIGN_IN, &statement), "not enrolled"),
        // A signature that is forwarded to another call.
        (
            {
                let other = asked(&installation, &token, "api", 18);
                let written = bob.path("other.json");
                installation.run(&["approve", &other, "--statement", text(&written)]);
                bob.sign(APPROVAL, &fs::read_to_string(&written).unwrap())
            },
            "for another call",
        ),
        // The signature of the person for whom the agent works.
        (
            Elsewhere::with_key(&installation.key("alice")).sign(APPROVAL, &statement),
            "asked for this and cannot approve it",
        ),
    ] {
        let told = hand_in(&signed);
        assert_eq!(told.status, 409, "{:#}", told.body);
        has(&told.body.to_string(), &[expect]);
    }
    assert_eq!(hand_in(&bob.sign(APPROVAL, &statement)).body["missing"], 0);
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
    // A removal ends the session at once.
    assert_eq!(installation.http("GET", "/v1/approvals", &open, None).status, 200);
    installation.run(&["approver", "remove", "bob@example.com"]);
    assert_eq!(installation.http("GET", "/v1/approvals", &open, None).status, 401);
}

#[test]
fn the_server_is_trusted_by_its_certificate_or_its_authority_and_not_without() {
    let files = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        let path = files.path().join(name);
        write_private(&path, text);
        path
    };
    let mut installation = TestInstallation::bare("single");
    let (certificate, key) = (at("server.pem", SERVER.certificate), at("server.key", SERVER.key));
    installation.configure(
        "wait_seconds",
        &format!("45\n[edge.tls]\ncertificate = {certificate:?}\nkey = {key:?}"),
    );
    installation.speaks_tls(crate::tls::send);
    installation.serve(&[]);
    let bob = Elsewhere::with_key(&installation.key("bob"));
    let url = format!("https://localhost:{}", installation.address().port());
    for trusted in [at("ca.pem", CA), certificate] {
        let (list, _) = bob.json(&url, &["approve", "--ca", text(&trusted)]);
        assert_eq!(list["waiting"], json!([]));
    }
    let other = at("other.pem", OTHER_CA);
    for words in [&["approve"][..], &["approve", "--ca", text(&other)]] {
        has(&bob.fail(&url, words), &["was not reached over TLS", "`--ca FILE`"]);
    }
    let plain = format!("http://{}", installation.address());
    bob.fail(&plain, &["approve"]);
    has(&bob.fail("http://192.0.2.1:8620", &["approve"]), &["use https://"]);
    installation.stop();
}
