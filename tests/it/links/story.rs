//! The demo's story over mutual TLS: list, call, approval, run, ledger; then each host goes and
//! comes back.

use super::hosts::{Counts, Hosts};
use crate::cluster::until;
use crate::installation::{TestInstallation, text};
use crate::supervise::processes::descendants;
use cofferdam_core::protocol::link::LinkRole;
use serde_json::{Value, json};

fn scale(replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

fn hosts() -> (Hosts, String) {
    let installation = TestInstallation::bare("example");
    let token = installation.agent("release", "operator");
    let mut hosts = Hosts::new(installation, Counts::ONE);
    hosts.start_all();
    (hosts, token)
}

#[test]
fn the_story_passes_with_every_role_in_a_process_tree_of_its_own() {
    let (mut hosts, token) = hosts();
    let installation = &hosts.installation;
    let tools = installation.http("GET", "/v1/tools", &token, None);
    assert!(tools.body.to_string().contains("deployment_scale"), "{:#}", tools.body);
    let done = installation.call(&token, "deployment_scale", &scale(5));
    assert_eq!(done.status, 200, "{:#}\n{}", done.body, installation.log());
    let story = installation.closed(done.body["call"].as_str().unwrap());
    assert_eq!(story["view"]["outcome"], "succeeded");
    // A person approves on the recorder's host.
    let delete = json!({"namespace": "storefront", "name": "gift-cards-v1"});
    let approved = std::thread::scope(|scope| {
        let calling = scope.spawn(|| installation.call(&token, "deployment_delete", &delete));
        let call = installation.waiting();
        installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
        calling.join().unwrap()
    });
    assert_eq!(approved.status, 200, "{:#}\n{}", approved.body, installation.log());
    installation.closed(approved.body["call"].as_str().unwrap());
    assert!(!installation.tree().join("storefront/gift-cards-v1.yaml").exists());
    installation.verify_ledger();

    // Each process tree has one role and its link.
    for (name, host) in &hosts.hosts {
        let words: Vec<String> =
            descendants(hosts.supervisor(name)).into_iter().map(|one| one.words).collect();
        let own = format!("cofferdam: {}", host.role);
        let strange = |words: &&String| {
            !words.starts_with(&own)
                && *words != "cofferdam: link"
                && !words.contains("cofferdam-guest")
        };
        assert_eq!(words.iter().find(strange), None, "{name}: {words:?}");
        assert!(words.iter().any(|words| words == "cofferdam: link"), "{name}: {words:?}");
        let link = descendants(hosts.supervisor(name))
            .into_iter()
            .find(|process| process.words == "cofferdam: link")
            .unwrap();
        assert_eq!(link.status("Seccomp").as_deref(), Some("2"));
    }

    // Each host goes and comes back, and the next call is carried out.
    for (number, name) in ["recorder-1", "viewer-1", "runner-1", "gateway-1"].iter().enumerate() {
        assert!(hosts.stop(name), "{name} ended badly:\n{}", hosts.installation.log());
        hosts.start(name);
        hosts.until_ready();
        let replicas = 6 + u32::try_from(number).unwrap();
        let again = hosts.installation.call(&token, "deployment_scale", &scale(replicas));
        assert_eq!(again.status, 200, "{name}: {:#}\n{}", again.body, hosts.installation.log());
    }
    hosts.installation.verify_ledger();
}

#[test]
fn a_link_that_ends_is_made_again_and_a_role_that_is_down_is_waited_for() {
    let (mut hosts, token) = hosts();
    let link = |hosts: &Hosts, name: &str| {
        let processes = descendants(hosts.supervisor(name));
        processes.into_iter().find(|process| process.words == "cofferdam: link")
    };
    for name in ["recorder-1", "gateway-1", "runner-1"] {
        let before = link(&hosts, name).unwrap();
        crate::supervise::processes::kill("KILL", &[before.id]);
        until("another link", || link(&hosts, name).filter(|now| now.id != before.id).map(drop));
    }
    hosts.until_ready();
    let done = hosts.installation.call(&token, "deployment_scale", &scale(4));
    assert_eq!(done.status, 200, "{:#}\n{}", done.body, hosts.installation.log());
    // A recorder's host that fails: the gateway says so, and serves again after it.
    hosts.kill("recorder-1");
    until("the gateway without a recorder", || (!hosts.installation.ready()).then_some(()));
    hosts.start("recorder-1");
    hosts.until_ready();
    let done = hosts.installation.call(&token, "deployment_scale", &scale(5));
    assert_eq!(done.status, 200, "{:#}\n{}", done.body, hosts.installation.log());
    hosts.installation.verify_ledger();
}

#[test]
fn a_home_of_one_role_has_the_keys_of_that_role_alone_and_serves_no_other() {
    let installation = TestInstallation::bare("example");
    let hosts = Hosts::new(installation, Counts::ONE);
    for (name, keys) in [
        ("recorder-1", vec!["recorder"]),
        ("viewer-1", vec![]),
        ("gateway-1", vec!["gateway", "gateway-artefacts"]),
        ("runner-1", vec!["runner-artefacts"]),
    ] {
        let home = &hosts.hosts[name].home;
        let inside = std::fs::read_dir(home.join("keys"));
        let mut found: Vec<String> = inside
            .map(|inside| {
                inside.map(|one| one.unwrap().file_name().to_string_lossy().into_owned()).collect()
            })
            .unwrap_or_default();
        found.sort();
        assert_eq!(found, keys, "{name}");
        let serve = |words: &[&str]| {
            let done =
                std::process::Command::new(crate::installation::binaries().join("cofferdam"))
                    .arg("--home")
                    .arg(home)
                    .args(words)
                    .output()
                    .unwrap();
            (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
        };
        let (code, told) = serve(&["serve"]);
        assert!(code == Some(64) && told.contains("--role"), "{name}: {told}");
        let other = if name == "viewer-1" { "runner" } else { "viewer" };
        let (code, told) = serve(&["serve", "--role", other]);
        assert!(code == Some(64) && told.contains("links.role"), "{name}: {told}");
    }
    assert_eq!(hosts.hosts["runner-1"].role, LinkRole::Runner);
    // The key of the authority does not go where a role may read.
    let inside = hosts.installation.home().join("links");
    let told = hosts.installation.fail(&["certificates", "--to", text(&inside)]);
    assert!(told.contains("lies in the home"), "{told}");
    assert!(!inside.join("ca.key").exists());
}

#[test]
fn what_is_accepted_later_is_loaded_on_each_host_after_a_signal() {
    let (mut hosts, token) = hosts();
    let admin = hosts.installation.administrator();
    let run = |words: &[&str]| {
        let done = std::process::Command::new(crate::installation::binaries().join("cofferdam"))
            .arg("--home")
            .arg(&admin)
            .args(words)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    run(&["approver", "remove", "bob@example.com"]);
    for (name, host) in &hosts.hosts {
        let role = host.role.word();
        run(&["role-home", "--role", role, "--to", text(&host.home), "--update"]);
        crate::supervise::processes::kill("HUP", &[hosts.supervisor(name)]);
    }
    until("each host has loaded", || {
        let log = hosts.installation.log();
        let loads = log.matches("loaded tools, executors, policy").count();
        (loads >= hosts.hosts.len()).then_some(())
    });
    // Alice alone is left, and the call is hers: it needs another person.
    let delete = json!({"namespace": "storefront", "name": "gift-cards-v1"});
    let denied = hosts.installation.call(&token, "deployment_delete", &delete);
    assert_eq!(denied.status, 403, "{:#}\n{}", denied.body, hosts.installation.log());
    assert!(denied.body.to_string().contains("approval-impossible"), "{:#}", denied.body);
    assert!(hosts.stop("gateway-1"));
}
