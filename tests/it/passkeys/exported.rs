//! An exported ledger on a machine that never met the gateway: with the keys of the people that its
//! owner brings, `ledger verify` checks the signatures itself, by SSH key and by passkey.

use super::{Person, asked, enrolled};
use crate::installation::{TestInstallation, binaries, text};
use cofferdam_core::model::trust::{Approver, Trust};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Checks an exported ledger in an empty environment, with `--json`. Returns whether it is sound,
/// and the report.
pub fn verify(folder: &Path, key: &str, people: &[&Approver]) -> (bool, Value) {
    let file = folder.with_file_name("approvers.toml");
    let entry =
        |one: &&Approver| format!("[[approver]]\nname = \"{}\"\nkey = \"{}\"\n", one.name, one.key);
    fs::write(&file, people.iter().map(entry).collect::<String>()).unwrap();
    let done = Command::new(binaries().join("cofferdam"))
        .args(["--json", "ledger", "verify", text(folder), "--key", key])
        .args(["--approvers", text(&file)])
        .env_clear()
        .env("HOME", folder.parent().unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    let report = serde_json::from_str(&told)
        .unwrap_or_else(|_| panic!("{told}{}", String::from_utf8_lossy(&done.stderr)));
    (done.status.success(), report)
}

/// The people in the trust file of an installation.
pub fn people(installation: &TestInstallation) -> Vec<Approver> {
    let trust = fs::read_to_string(installation.home().join("trust/trust.toml")).unwrap();
    Trust::parse(&trust).unwrap().approvers
}

/// The codes of a report.
fn codes(report: &Value) -> Vec<&str> {
    let faults = report["faults"].as_array().unwrap().iter();
    faults.map(|fault| fault["code"].as_str().unwrap_or("none")).collect()
}

#[test]
fn both_kinds_of_signatures_are_checked_on_a_machine_that_never_met_the_gateway() {
    let mut installation = enrolled(&["carl"]);
    let token = installation.agent("release", "operator");
    let by_page = asked(&installation, &token, 17);
    let mut carl = Person::new(&installation, "carl");
    carl.sign_in(&by_page);
    let statement = carl.statement(&by_page, "approve", "");
    let signed = carl.hand_in(&by_page, &statement, &carl.device.approve(&statement));
    assert_eq!(signed.status, 200, "{}", signed.text());
    assert_eq!(installation.closed(&by_page)["view"]["outcome"], "succeeded");
    let by_command = asked(&installation, &token, 18);
    let key = installation.key("bob");
    installation.run(&["approve", &by_command, "--key", text(&key), "--yes"]);
    assert_eq!(installation.closed(&by_command)["view"]["outcome"], "succeeded");
    let denied = asked(&installation, &token, 19);
    let no = ["deny", &denied, "--reason", "not today", "--key", text(&key), "--yes"];
    installation.run(&no);
    installation.closed(&denied);

    let away = tempfile::tempdir().unwrap();
    let folder = away.path().join("ledger");
    let exported = installation.json(&["ledger", "export", text(&folder)]);
    assert_eq!(exported["signatures"], 3);
    let again = installation.fail(&["ledger", "export", text(&folder)]);
    assert!(again.contains("is not empty"), "{again}");
    let key = exported["key"].as_str().unwrap();
    let known = people(&installation);
    let all: Vec<&Approver> = known.iter().collect();
    installation.stop();

    let (sound, report) = verify(&folder, key, &all);
    assert!(sound, "{report:#}");
    let told = |call: &str| {
        let calls = report["approvals"].as_array().unwrap();
        calls.iter().find(|told| told["call"] == call).unwrap_or_else(|| panic!("{report:#}"))
    };
    for (call, name, kind) in [(&by_page, "carl", "passkey"), (&by_command, "bob", "ssh")] {
        let told = told(call);
        assert_eq!(told["approved"][0]["name"], format!("{name}@example.com"), "{told:#}");
        assert_eq!((&told["approved"][0]["key"], &told["needed"]), (&json!(kind), &json!(1)));
        assert_eq!((&told["unproven"], &told["decided"]), (&json!(0), &json!(true)), "{told:#}");
    }
    assert_eq!(told(&denied)["denied"][0]["name"], "bob@example.com");

    // Each change of the signatures has its code.
    let file = folder.join("approvals.jsonl");
    let good = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let with = |text: &str, people: &[&Approver]| {
        fs::write(&file, text).unwrap();
        let (sound, report) = verify(&folder, key, people);
        assert_eq!(sound, report["faults"] == json!([]), "{report:#}");
        codes(&report).join(" ")
    };
    assert_eq!(with(&good, &all), "");
    assert_eq!(with(&good.replacen("release", "another", 1), &all), "payload-changed");
    let dropped = good.replacen(&format!("{}\n", lines[0]), "", 1);
    assert_eq!(with(&dropped, &all), "signature-missing");
    let (first, second): (Value, Value) =
        (serde_json::from_str(lines[0]).unwrap(), serde_json::from_str(lines[1]).unwrap());
    let mut swapped = first.clone();
    (swapped["key"], swapped["payloads"]) = (second["key"].clone(), second["payloads"].clone());
    let of_another_call = good.replacen(lines[0], &swapped.to_string(), 1);
    assert_eq!(with(&of_another_call, &all), "payload-changed");
    let without_carl: Vec<&Approver> =
        all.iter().copied().filter(|one| !one.name.starts_with("carl")).collect();
    assert_eq!(with(&good, &without_carl), "key-unknown");
    let renamed =
        |one: &&Approver| Approver { name: one.name.replace("carl", "dora"), key: one.key.clone() };
    let renamed: Vec<Approver> = all.iter().map(renamed).collect();
    assert_eq!(with(&good, &renamed.iter().collect::<Vec<_>>()), "other-approver");
    // Without the file, each signature is missed.
    fs::remove_file(&file).unwrap();
    let (sound, report) = verify(&folder, key, &all);
    assert!(!sound, "{report:#}");
    assert_eq!(codes(&report), ["signature-missing"; 3]);
    let calls = report["approvals"].as_array().unwrap();
    assert!(calls.iter().all(|told| told["approved"] == json!([])), "{report:#}");
}
