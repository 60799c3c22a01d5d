//! A statement on a machine without a connection: two files are carried there, read with `--check`
//! and signed with `ssh-keygen`, and the signature is carried back.

use super::{Elsewhere, asked, has, served};
use crate::installation::text;
use std::fs;
use std::process::Command;

#[test]
fn a_carried_statement_is_read_before_it_is_signed_and_a_changed_one_is_refused() {
    let (installation, token, _) = served();
    let bob = Elsewhere::with_key(&installation.key("bob"));
    let check = |name: &str| {
        let done = bob.command(&["--json", "approve", "--check", name]);
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.success(), told(&done.stdout), told(&done.stderr))
    };
    let carried = |call: &str, words: &[&str]| {
        let at = installation.home().with_file_name("question.json");
        let words = [words, &[call, "--statement", text(&at)]].concat();
        let written = installation.json(&words);
        let beside = written["call_file"].as_str().unwrap().to_owned();
        fs::copy(&at, bob.path("question.json")).unwrap();
        fs::copy(beside, bob.path("question.json.call")).unwrap();
        at
    };
    let call = asked(&installation, &token, "web", 18);
    let at = carried(&call, &["approve"]);
    let (good, out, told) = check("question.json");
    assert!(good, "{out}{told}");
    let shown = installation.run(&["show", &call, "--shown"]);
    has(&told, &[&shown, "signatures:           none yet", "since it was asked:   not known"]);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&answer["verdict"], &answer["state"]), (&"approve".into(), &"not_signed".into()));
    let sign = answer["sign"].as_str().unwrap();
    let sum = Command::new("sha256sum").arg(bob.path("question.json")).output().unwrap();
    let sum = String::from_utf8_lossy(&sum.stdout).into_owned();
    let digest = answer["statement"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    assert!(sum.starts_with(digest), "{sum} {digest}");
    assert_eq!(sign, "ssh-keygen -Y sign -n approval@cofferdam.dev -f KEY question.json");

    // Each changed file is refused, and nothing is shown.
    let (statement, beside) = (bob.path("question.json"), bob.path("question.json.call"));
    let (first, second) =
        (fs::read_to_string(&statement).unwrap(), fs::read_to_string(&beside).unwrap());
    let other = asked(&installation, &token, "api", 18);
    let refused = |statement_text: &str, call_text: &str, expect: &str| {
        fs::write(&statement, statement_text).unwrap();
        fs::write(&beside, call_text).unwrap();
        let (good, out, told) = check("question.json");
        assert!(!good && told.contains(expect), "{expect}: {out}{told}");
        assert!(!told.contains("What it would do"), "{told}");
    };
    refused(&first, &second.replace(":18", ":19"), "plan digest");
    refused(&first.replace("\"plan\":\"sha256:", "\"plan\":\"sha256:0"), &second, "statement");
    refused(&first.replace(&call, &other), &second, "is not about the call");
    refused(&format!("{first}\n"), &second, "is not about the call");
    refused(&first, "{}", "is not the call of a statement");
    refused("hello", &second, "is not a statement");
    fs::remove_file(&beside).unwrap();
    assert!(check("question.json").2.contains("take the file of the call"));

    // Signed as the command says, and handed in where it was written.
    fs::write(&statement, &first).unwrap();
    let line = sign.replace("KEY", text(&bob.key));
    let done = Command::new("sh").args(["-c", &line]).current_dir(bob.folder.path()).output();
    assert!(done.unwrap().status.success());
    let signature = at.with_file_name("question.json.sig");
    fs::copy(bob.path("question.json.sig"), &signature).unwrap();
    installation.run(&["approve", &call, "--signature", text(&signature)]);
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");

    // A denial is told as one.
    carried(&other, &["deny", "--reason", "not today"]);
    let (good, out, told) = check("question.json");
    assert!(good && out.contains("\"reject\"") && out.contains("not today"), "{out}{told}");
    // The command signs the bytes that it showed.
    let words = ["approve", "--check", "question.json", "--key", text(&bob.key)];
    let asked = bob.command(&words);
    has(&String::from_utf8_lossy(&asked.stderr), &["there is no terminal"]);
    let done = bob.command(&[&words[..], &["--yes"]].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::copy(bob.path("question.json.sig"), &signature).unwrap();
    let words = ["deny", &other, "--signature", text(&signature), "--reason", "not today"];
    installation.run(&words);
    assert_eq!(installation.closed(&other)["view"]["outcome"], "rejected");
}
