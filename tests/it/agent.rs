//! Agents whose client stops waiting early, or whose host gives the model the structured content
//! alone.

use crate::installation::{TestInstallation, text};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn gift_cards() -> Value {
    json!({"namespace": "storefront", "name": "gift-cards-v1"})
}

/// The content of a pending call, for a model that gets the structured content alone.
fn pending(body: &Value) -> &Value {
    let pending = &body["pending"];
    for name in [
        "state",
        "call",
        "environment",
        "tool",
        "what",
        "why",
        "allowed",
        "needed",
        "until",
        "changed",
        "next",
        "plan",
        "ledger",
    ] {
        assert!(!pending[name].is_null(), "{name}: {body:#}");
    }
    pending
}

#[test]
fn a_client_that_gives_up_early_has_the_id_after_three_seconds_and_finds_its_call_again() {
    let installation = TestInstallation::started();
    let (release, other) =
        (installation.agent("release", "operator"), installation.agent("other", "operator"));
    let began = Instant::now();
    let first = installation.brief_call(&release, "deployment_delete", &gift_cards());
    // Clients give up after 5 s and more; this machine may be slow, and a held call takes 45 s.
    let took = began.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(30)).contains(&took), "{took:?}");
    assert_eq!(first.status, 202, "{:#}", first.body);
    let told = pending(&first.body);
    assert_eq!(told["state"], "waiting");
    assert_eq!(told["what"], "delete Deployment gift-cards-v1 in namespace storefront");
    assert!(text_of(&first.body).starts_with("WAITING "), "{:#}", first.body);
    let call = told["call"].as_str().unwrap();

    let again = installation.http(
        "POST",
        "/v1/tools/deployment_delete?wait=0",
        &release,
        Some(&gift_cards()),
    );
    assert_eq!(again.body["call"], call, "the same call again joins it");
    let list = |token: &str, query: &str| {
        installation.http("GET", &format!("/v1/calls{query}"), token, None)
    };
    let listed = list(&release, "?open=true");
    assert_eq!(
        (listed.status, listed.body["result"]["calls"].as_array().map(Vec::len)),
        (200, Some(1)),
        "{:#}",
        listed.body
    );
    let one = &listed.body["result"]["calls"][0];
    assert_eq!((&one["call"], &one["state"]), (&json!(call), &json!("waiting")));
    assert_eq!(one["what"], "delete Deployment gift-cards-v1 in namespace storefront");
    assert_eq!(
        list(&other, "").body["result"]["calls"],
        json!([]),
        "another agent has no such call"
    );
    for query in ["?open=1", "?limit=0", "?limit=51", "?limit=1&limit=1", "?x"] {
        assert_eq!(list(&release, query).status, 400, "{query}");
    }

    let withdrawn = installation.http("DELETE", &format!("/v1/jobs/{call}"), &release, None);
    assert_eq!(
        (withdrawn.status, &withdrawn.body["error"]),
        (200, &Value::Null),
        "{:#}",
        withdrawn.body
    );
    assert!(
        text_of(&withdrawn.body)
            .starts_with(&format!("WITHDRAWN {call} in shop\nNothing was changed.\n")),
        "{:#}",
        withdrawn.body
    );
    let looked = installation.http("GET", &format!("/v1/jobs/{call}"), &release, None);
    assert_eq!(
        (looked.status, &looked.body["error"]),
        (200, &Value::Null),
        "a look at it is no error: {:#}",
        looked.body
    );
    assert!(
        text_of(&looked.body).starts_with(&format!("WITHDRAWN {call} in shop\n")),
        "{:#}",
        looked.body
    );
    assert_eq!(list(&release, "?open=true").body["result"]["calls"], json!([]));
    assert_eq!(list(&release, "?limit=5").body["result"]["calls"][0]["outcome"], "cancelled");
}

#[test]
fn after_an_approval_the_object_is_named_and_what_was_edited_is_not_called_rolled_out() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let waiting =
        installation.http("POST", "/v1/tools/deployment_scale?wait=0", &token, Some(&scale(0)));
    let call = pending(&waiting.body)["call"].as_str().unwrap();
    installation.run(&["approve", call, "--key", text(&installation.key("bob")), "--yes"]);
    let done = installation.http("GET", &format!("/v1/jobs/{call}?wait=45"), &token, None);
    let told = &done.body["result"];
    assert_eq!(
        told["operations"][0]["what"], "patch Deployment web in namespace storefront",
        "{:#}",
        done.body
    );
    assert_eq!(
        (&told["state"], &told["edited"]),
        (&json!("done"), &json!(["storefront/web.yaml"]))
    );
    assert_eq!(told["changed"], "edited storefront/web.yaml; not committed, not rolled out");
    let late = installation.http("DELETE", &format!("/v1/jobs/{call}"), &token, None);
    assert_eq!(
        (late.status, &late.body["error"]["verb"]),
        (409, &json!("TOO LATE")),
        "{:#}",
        late.body
    );
}

/// The result of `tools/list` for a client without a version header.
pub fn listed(installation: &TestInstallation, token: &str) -> Value {
    let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    let answer = installation.http("POST", "/mcp", token, Some(&ask));
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    answer.body["result"].clone()
}

/// The largest number of bytes of a tool list, about 5,000 tokens: a model reads all of it before
/// its first question.
const LISTED_MOST: usize = 20_000;

/// Checks a list for schemas that MCP hosts are known to refuse, and for its size.
pub fn check_list(list: &Value) {
    let size = list.to_string().len();
    assert!(size <= LISTED_MOST, "the list of tools has {size} bytes");
    let mut odd = Vec::new();
    for tool in list["tools"].as_array().unwrap() {
        for which in ["inputSchema", "outputSchema"] {
            let schema = &tool[which];
            let at = format!("{}.{which}", tool["name"]);
            assert_eq!(schema["type"], "object", "{at}");
            odd.extend(
                ["oneOf", "anyOf", "allOf", "not", "if", "$schema"]
                    .iter()
                    .filter(|key| !schema[**key].is_null())
                    .map(|key| format!("{at}: {key}")),
            );
            unportable(schema, &at, &mut odd);
        }
    }
    assert_eq!(odd, Vec::<String>::new());
}

/// Finds type lists, boolean subschemas, and enumerations without a type.
fn unportable(schema: &Value, at: &str, odd: &mut Vec<String>) {
    if schema.is_boolean()
        || schema["type"].is_array()
        || (schema["type"].is_null() && !schema["enum"].is_null())
    {
        odd.push(at.to_owned());
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        unportable(member, &format!("{at}.{name}"), odd);
    }
    if !schema["items"].is_null() {
        unportable(&schema["items"], &format!("{at}[]"), odd);
    }
    for (index, member) in ["oneOf", "anyOf", "allOf"]
        .iter()
        .filter_map(|key| schema[*key].as_array())
        .flatten()
        .enumerate()
    {
        unportable(member, &format!("{at}|{index}"), odd);
    }
}

#[test]
fn a_folder_lists_what_it_can_do_and_in_few_words() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let list = listed(&installation, &token);
    check_list(&list);
    let names: Vec<&str> = list["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"config_show") && names.contains(&"calls_list"), "{names:?}");
    // `task_run` is there: `init` accepts a Wasm command, and those run in a folder too.
    for unable in ["pod_logs", "events_list", "manifests_apply", "environment_preview"] {
        assert!(!names.contains(&unable), "{unable}");
        assert_eq!(installation.call(&token, unable, &json!({})).status, 404, "{unable}");
    }
    assert!(list["tools"][0]["description"].as_str().unwrap().contains("shop"), "{list:#}");
}

#[test]
fn an_agent_that_missed_a_name_is_told_what_there_is() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let refused = |tool: &str, arguments: Value| {
        let answer = installation.call(&token, tool, &arguments);
        answer.body["error"]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("{:#}", answer.body))
            .to_owned()
    };
    let unknown = refused("workloads_list", json!({"namespace": "store-front"}));
    assert!(
        unknown
            .contains("Why: There is no namespace `store-front` here; did you mean `storefront`?"),
        "{unknown}"
    );
    assert!(unknown.contains("Allowed: One of these namespaces: `payments`, "), "{unknown}");
    let kind = refused("workload_status", json!({"namespace": "payments", "name": "journal"}));
    assert!(
        kind.contains(
            "There is no Deployment journal in namespace payments; there is a StatefulSet journal"
        ),
        "{kind}"
    );
    let image = json!({"namespace": "storefront", "name": "web", "container": "app",
        "image": "registry.example.com/storefront/web:1"});
    let container = refused("image_set", image);
    assert!(container.contains("web has no container `app`; it has `web`"), "{container}");
    let missing = refused("deployment_scale", json!({"namespace": "storefront", "replicas": 2}));
    assert!(missing.starts_with("BAD ARGUMENTS: `name` is missing\n"), "{missing}");

    let list = installation.call(&token, "workloads_list", &json!({"namespace": "storefront"}));
    let deployments = &list.body["result"]["results"][0];
    assert_eq!(
        (&deployments["kind"], &deployments["namespace"]),
        (&json!("Deployment"), &json!("storefront")),
        "{:#}",
        list.body
    );
    let containers = &deployments["items"][0]["spec.template.spec.containers"][0];
    assert!(containers["name"].is_string() && containers["image"].is_string(), "{:#}", list.body);
    let configs = installation.call(&token, "config_show", &json!({"namespace": "storefront"}));
    let name = configs.body["result"]["results"][0]["items"][0]["metadata.name"]
        .as_str()
        .unwrap()
        .to_owned();
    let shown =
        installation.call(&token, "config_show", &json!({"namespace": "storefront", "name": name}));
    assert!(shown.body["result"]["results"][0]["fields"]["data"].is_object(), "{:#}", shown.body);
}

fn scale(replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

fn text_of(body: &Value) -> &str {
    body["text"].as_str().unwrap_or_default()
}

#[test]
fn a_token_that_ended_is_refused_with_its_own_words_until_it_is_renewed() {
    let installation = TestInstallation::started();
    let made = ["agents", "add", "brief", "--role", "viewer", "--for", "ada", "--expires", "30d"];
    let token = installation.json(&made)["token"].as_str().unwrap().to_owned();
    let list = |token: &str| installation.http("GET", "/v1/tools", token, None);
    assert_eq!(list(&token).status, 200);

    // Its last day came.
    let file = installation.home().join("agents/agents.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let ended: Vec<&str> = text
        .lines()
        .map(|line| match line.starts_with("expires = ") {
            true => "expires = \"2026-01-01T00:00:00Z\"",
            false => line,
        })
        .collect();
    std::fs::write(&file, ended.join("\n") + "\n").unwrap();
    let refused = list(&token);
    assert_eq!(refused.status, 401);
    let words = refused.body["error"]["text"].as_str().unwrap();
    assert!(words.starts_with("the token has expired"), "{words}");
    let wrong = list("cfd_wrong");
    assert_eq!(wrong.status, 401);
    assert!(!wrong.body["error"]["text"].as_str().unwrap().contains("expired"), "{:#}", wrong.body);
    assert!(installation.run(&["agents", "list"]).contains("expired 2026-01-01"));

    installation.fail(&["agents", "rotate", "brief"]);
    let renewed = installation.json(&["agents", "rotate", "brief", "--expires", "8w"]);
    assert_eq!(list(renewed["token"].as_str().unwrap()).status, 200);
    assert!(list(&token).body["error"]["text"].as_str().unwrap().contains("not valid"));
}

/// Puts an old agents file back, as a backup does.
fn restore(installation: &TestInstallation, text: &str) {
    let file = installation.home().join("agents/agents.toml");
    std::fs::write(file, text).unwrap();
}

#[test]
fn a_restored_agents_file_revives_no_token() {
    let mut installation = TestInstallation::started();
    let old = installation.agent("bot", "operator");
    let gone = installation.agent("gone", "operator");
    let list = |installation: &TestInstallation, token: &str| {
        let answer = installation.http("GET", "/v1/tools", token, None);
        let words = answer.body["error"]["text"].as_str().unwrap_or_default().to_owned();
        (answer.status, words)
    };
    for token in [&old, &gone] {
        assert_eq!(list(&installation, token).0, 200);
    }
    let file = installation.home().join("agents/agents.toml");
    let backup = std::fs::read_to_string(&file).unwrap();
    let rotate = |installation: &TestInstallation| {
        installation.json(&["agents", "rotate", "bot"])["token"].as_str().unwrap().to_owned()
    };
    let refused = |installation: &TestInstallation, token: &str| {
        let (status, words) = list(installation, token);
        assert_eq!(status, 401, "{words}");
        assert!(words.starts_with("the token was replaced or removed earlier"), "{words}");
    };
    let new = rotate(&installation);
    installation.run(&["agents", "remove", "gone"]);
    assert_eq!(list(&installation, &new).0, 200);
    // Before the gateway looked at the file without the tokens, or after it.
    restore(&installation, &backup);
    for token in [&old, &gone] {
        refused(&installation, token);
    }
    let listed = installation.json(&["agents", "list"])["agents"].clone();
    assert!(listed.as_array().unwrap().iter().all(|agent| agent["ended"] == true), "{listed:#}");
    assert!(installation.run(&["agents", "list"]).contains("cofferdam agents rotate bot"));

    // The whole folder comes from the backup, and `serve` did not run meanwhile.
    installation.stop();
    std::fs::remove_file(installation.home().join("agents/ended-tokens")).unwrap();
    installation.serve(&[]);
    refused(&installation, &old);
    assert_eq!(list(&installation, &new).0, 401, "it is not in the file");
    // A rotation while nothing serves, and the file of before.
    let third = rotate(&installation);
    assert_eq!(list(&installation, &third).0, 200);
    let backup = std::fs::read_to_string(&file).unwrap();
    installation.stop();
    let fourth = rotate(&installation);
    restore(&installation, &backup);
    installation.serve(&[]);
    refused(&installation, &third);
    assert_eq!(list(&installation, &fourth).0, 401);
    let fifth = rotate(&installation);
    assert_eq!(list(&installation, &fifth).0, 200);
    let ledger = std::fs::read_to_string(&file).unwrap();
    assert!(!ledger.contains(&old), "the file has digests alone");
    installation.verify_ledger();
}

#[test]
fn the_list_of_agents_has_their_last_use() {
    let mut installation = TestInstallation::started();
    let token = installation.agent("bot", "operator");
    let _unused = installation.agent("idle", "operator");
    installation.http("GET", "/v1/tools", &token, None);
    let uses = |installation: &TestInstallation| {
        let listed = installation.json(&["agents", "list"]);
        let agents = listed["agents"].as_array().unwrap().clone();
        let known: Vec<bool> = agents.iter().map(|agent| !agent["last_use"].is_null()).collect();
        (known, listed["uses_known"].clone())
    };
    crate::cluster::until("the use is stored", || {
        (uses(&installation).0 == [true, false]).then_some(())
    });
    installation.stop();
    assert_eq!(uses(&installation), (vec![false, false], false.into()));
    assert!(installation.run(&["agents", "list"]).contains("are not known"));
    installation.serve(&[]);
    assert_eq!(uses(&installation), (vec![true, false], true.into()));
}
