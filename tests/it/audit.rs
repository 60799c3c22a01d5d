//! `cofferdam audit`: every call of an installation, also denied ones, by its filters and in each
//! form.

use crate::installation::{Answer, TIME_LIMIT, TestInstallation, binaries, text};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

fn scale(name: &str, replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": name, "replicas": replicas})
}

fn id(answer: &Answer) -> String {
    let call = answer.body["call"].as_str().or(answer.body["error"]["call"].as_str());
    call.unwrap_or_else(|| panic!("{:#}", answer.body)).to_owned()
}

/// The calls of a list, as JSON.
fn listed(installation: &TestInstallation, words: &[&str]) -> Vec<Value> {
    let list = installation.json(&[&["audit"][..], words].concat());
    assert_eq!(list["schema"], "cofferdam.cli.v1");
    assert_eq!(list["through"], list["entries"]);
    list["calls"].as_array().unwrap().clone()
}

fn ids(installation: &TestInstallation, words: &[&str]) -> Vec<String> {
    let calls = listed(installation, words);
    calls.iter().map(|call| call["call"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_call_is_listed_by_who_what_and_how_it_ended() {
    let installation = TestInstallation::started();
    let (release, triage) =
        (installation.agent("release", "operator"), installation.agent("triage", "viewer"));
    let done = id(&installation.call(&release, "deployment_scale", &scale("web", 5)));
    installation.closed(&done);
    let denied = id(&installation.call(&release, "deployment_scale", &scale("web", 40)));
    let read = json!({"namespace": "storefront", "name": "web"});
    let looked = id(&installation.call(&triage, "workload_status", &read));
    let all = [looked.clone(), denied.clone(), done.clone()];
    let object = "deployment/storefront/web";
    for (words, expected) in [
        (&[][..], &all[..]),
        (&["--agent", "release"], &all[1..]),
        (&["--agent", "triage", "--outcome", "looked"], &all[..1]),
        (&["--denied"], &all[1..2]),
        (&["--outcome", "succeeded", "--denied"], &all[1..]),
        (&["--tool", "deployment_scale"], &all[1..]),
        (&["--object", object], &all),
        (&["--object", "Deployment/storefront/web", "--limit", "1"], &all[..1]),
        (&["--object", "deployment/storefront/other"], &[]),
        (&["--since", "1h", "--object", object, "--denied"], &all[1..2]),
        (&["--until", "1h"], &[]),
        (&["--since", "2026-01-01", "--person", "alice@example.com"], &all),
        (&["--person", "ada@example.com"], &[]),
    ] {
        assert_eq!(ids(&installation, words), expected, "{words:?}");
    }
    let rows = listed(&installation, &["--tool", "deployment_scale"]);
    assert_eq!(
        rows.iter().map(|row| (&row["state"], &row["rule"])).collect::<Vec<_>>()[0],
        (&json!("denied"), &json!("replicas-limit"))
    );
    assert_eq!(rows[1]["state"], "succeeded");
    assert_eq!(rows[1]["objects"], json!([object]));
    assert_eq!(rows[1]["environment"], "shop");

    let table = installation.run(&["audit", "--limit", "2"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("TIME") && lines[1].contains("looked"), "{table}");
    assert!(lines[2].contains("denied") && lines[2].contains(object), "{table}");
    assert!(table.contains("There are older ones"), "{table}");
    assert_eq!(installation.run(&["audit", "--agent", "other"]).trim(), "No call matches.");
    let refused = installation.fail(&["audit", "--csv", "--json"]);
    assert!(refused.contains("not both"), "{refused}");
    // Each filter is an entry. The newest ones are published a moment later.
    let began = std::time::Instant::now();
    let noted = || {
        let entries = installation.entries_since(0);
        entries.iter().filter(|entry| entry["event"]["what"] == "operator audit").count()
    };
    while noted() < 12 {
        assert!(began.elapsed() < TIME_LIMIT, "{} lists are in the ledger", noted());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    installation.verify_ledger();
}

#[test]
fn a_list_is_a_file_for_spreadsheets() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let denied = id(&installation.call(&token, "deployment_scale", &scale("web", 40)));
    let list = installation.run(&["audit", "--csv", "--denied"]);
    let lines: Vec<&str> = list.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "call,at,changed,agent,person,tool,state,resolved,rule,environment,objects,signers,\
         summary,ledger,erased"
    );
    let cells: Vec<&str> = lines[1].split(',').collect();
    assert_eq!(
        (cells[0], &cells[3..11]),
        (
            denied.as_str(),
            &[
                "release",
                "alice@example.com",
                "deployment_scale",
                "denied",
                "",
                "replicas-limit",
                "shop",
                "deployment/storefront/web"
            ][..]
        )
    );
    assert_eq!(lines[2..], [""], "{list}");
}

#[test]
fn a_list_is_followed_until_its_reader_leaves() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let first = id(&installation.call(&token, "deployment_scale", &scale("web", 40)));
    let mut follow = Command::new(binaries().join("cofferdam"))
        .args(["--home", text(&installation.home()), "audit", "--denied", "--follow", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || {
        let row: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        row["call"].as_str().unwrap().to_owned()
    };
    assert_eq!(next(), first);
    let second = id(&installation.call(&token, "deployment_scale", &scale("web", 41)));
    assert_eq!(next(), second);
    drop(lines);
    // The next line meets a closed pipe.
    installation.call(&token, "deployment_scale", &scale("web", 42));
    let ended = follow.wait_with_output().unwrap();
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}
