//! Tasks, resources and prompts of MCP, over real HTTP and all roles: a task survives their restart
//! and belongs to its caller alone.

use crate::cluster::until;
use crate::installation::{TIME_LIMIT, TestInstallation, text};
use cofferdam_testkit::http::{Connection, Request};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

/// A request of a client with tasks. Returns its result or its error.
fn send(installation: &TestInstallation, token: &str, method: &str, params: Value) -> Value {
    let request = Request::with_tasks(method, params).bearer(token);
    let mut connection = Connection::open(installation.address(), TIME_LIMIT).unwrap();
    let body = connection.send(&request.bytes()).unwrap().json();
    if body["error"].is_null() { body["result"].clone() } else { body["error"].clone() }
}

fn delete(installation: &TestInstallation, token: &str, name: &str) -> Value {
    let arguments = json!({"namespace": "storefront", "name": name});
    let call = json!({"name": "deployment_delete", "arguments": arguments});
    send(installation, token, "tools/call", call)
}

fn get(installation: &TestInstallation, token: &str, id: &str) -> Value {
    send(installation, token, "tasks/get", json!({"taskId": id}))
}

fn over(installation: &TestInstallation, token: &str, id: &str) -> Value {
    until("the task to be over", || {
        Some(get(installation, token, id)).filter(|task| task["status"] != "working")
    })
}

#[test]
fn a_task_survives_the_restart_of_every_role_and_is_its_callers_alone() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    let (token, other) =
        (installation.agent("release", "operator"), installation.agent("other", "operator"));
    let created = delete(&installation, &token, "gift-cards-v1");
    assert_eq!(
        (&created["resultType"], &created["status"], created["ttlMs"].is_u64()),
        (&json!("task"), &json!("working"), true),
        "{created:#}"
    );
    let id = created["taskId"].as_str().unwrap().to_owned();
    let message = created["statusMessage"].as_str().unwrap();
    assert!(message.starts_with(&format!("WAITING {id} in shop. Needed: ")), "{message}");
    assert_eq!(created["createdAt"].as_str().unwrap().len(), "2026-11-30T09:00:00.000Z".len());

    // The same call again is the same task, and no other caller has it.
    assert_eq!(delete(&installation, &token, "gift-cards-v1")["taskId"], json!(id));
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let asked = json!({"taskId": id, "inputResponses": {}});
        let refused = send(&installation, &other, method, asked);
        assert_eq!(refused["code"], -32602, "{method}: {refused:#}");
    }
    let resource = |part: &str| json!({"uri": format!("cofferdam://call/{id}/{part}")});
    for part in ["plan", "job", "receipt", "log"] {
        let refused = send(&installation, &other, "resources/read", resource(part));
        assert_eq!(refused["code"], -32602, "{part}: {refused:#}");
    }

    installation.stop();
    installation.serve(&[]);
    let again = get(&installation, &token, &id);
    for member in ["taskId", "status", "statusMessage", "createdAt", "lastUpdatedAt"] {
        assert_eq!(again[member], created[member], "{member}");
    }
    installation.run(&["approve", &id, "--key", text(&installation.key("bob")), "--yes"]);
    let done = over(&installation, &token, &id);
    assert_eq!(done["status"], "completed", "{done:#}");
    assert_eq!(done["result"]["_meta"]["cofferdam.dev/call"]["id"], json!(id));
    let told = done["result"]["content"][0]["text"].as_str().unwrap();
    assert!(told.starts_with(&format!("DONE {id} in shop")), "{told}");
    assert!(done["lastUpdatedAt"].as_str() > done["createdAt"].as_str());
    // A withdrawal after the end is acknowledged and changes nothing.
    let cancelled = send(&installation, &token, "tasks/cancel", json!({"taskId": id}));
    assert_eq!(cancelled["resultType"], "complete", "{cancelled:#}");
    assert_eq!(get(&installation, &token, &id)["status"], "completed");

    let read = |part: &str| {
        let read = send(&installation, &token, "resources/read", resource(part));
        read["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{read:#}")).to_owned()
    };
    assert!(read("job").starts_with(&format!("DONE {id} in shop")));
    let plan: Value = serde_json::from_str(&read("plan")).unwrap();
    assert_eq!(plan["tool"]["name"], "deployment_delete");
    let receipt: Value = serde_json::from_str(&read("receipt")).unwrap();
    assert_eq!((&receipt["call"], &receipt["outcome"]), (&json!(id), &json!("succeeded")));
    let entry = receipt["ledger"]["entry"].as_u64().unwrap();
    assert!(entry < receipt["ledger"]["size"].as_u64().unwrap(), "{receipt:#}");
    let listed = send(&installation, &token, "resources/list", json!({}));
    assert_eq!(listed["resources"][0]["uri"], json!(format!("cofferdam://call/{id}/job")));
    let prompt = json!({"name": "follow", "arguments": {"call": id}});
    let given = send(&installation, &token, "prompts/get", prompt);
    assert!(
        given["messages"][1]["content"]["resource"]["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("DONE ")),
        "{given:#}"
    );
}

#[test]
fn a_task_that_was_withdrawn_in_time_is_cancelled_and_nothing_was_changed() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let files = installation.files();
    let created = delete(&installation, &token, "gift-cards-v1");
    let id = created["taskId"].as_str().unwrap();
    let cancelled = send(&installation, &token, "tasks/cancel", json!({"taskId": id}));
    assert_eq!(cancelled["resultType"], "complete", "{cancelled:#}");
    let task = get(&installation, &token, id);
    assert_eq!(task["status"], "cancelled", "{task:#}");
    assert_eq!(task["statusMessage"], json!(format!("WITHDRAWN {id} in shop")));
    let signed =
        installation.fail(&["approve", id, "--key", text(&installation.key("bob")), "--yes"]);
    assert!(signed.contains(id), "{signed}");
    assert_eq!(installation.files(), files);
    // An approver's denial is an end with a result.
    let created = delete(&installation, &token, "api");
    let id = created["taskId"].as_str().unwrap();
    let key = installation.key("bob");
    installation.run(&["deny", id, "--key", text(&key), "--reason", "not today"]);
    let denied = over(&installation, &token, id);
    assert_eq!(
        (&denied["status"], &denied["result"]["isError"]),
        (&json!("completed"), &json!(true)),
        "{denied:#}"
    );
}

#[test]
fn a_subscriber_hears_the_end_of_its_task_and_nothing_without_its_token() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let created = delete(&installation, &token, "gift-cards-v1");
    let id = created["taskId"].as_str().unwrap();
    let asked = json!({"notifications": {"toolsListChanged": true, "taskIds": [id]}});
    let request = Request::with_tasks("subscriptions/listen", asked).bearer(&token);
    let mut stream = TcpStream::connect(installation.address()).unwrap();
    stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
    stream.write_all(&request.bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next = || {
        let data = lines.find_map(|line| Some(line.unwrap().strip_prefix("data: ")?.to_owned()));
        serde_json::from_str::<Value>(&data.unwrap()).unwrap()
    };
    assert_eq!(next()["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(next()["params"]["status"], "working");
    installation.run(&["approve", id, "--key", text(&installation.key("bob")), "--yes"]);
    let end = std::iter::repeat_with(&mut next)
        .find(|message| message["params"]["status"] != "working")
        .unwrap();
    assert_eq!(
        (&end["method"], &end["params"]["status"]),
        (&json!("notifications/tasks"), &json!("completed")),
        "{end:#}"
    );
    // Without its token the caller is told nothing more.
    installation.run(&["agents", "remove", "release"]);
    let last = next();
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!(7), &json!("complete")));
}

#[test]
fn a_client_that_opens_addresses_is_asked_for_a_page_that_approves_nothing() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let ask = |more: Value| {
        let arguments = json!({"namespace": "storefront", "name": "gift-cards-v1"});
        let mut params = json!({"name": "deployment_delete", "arguments": arguments});
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
            json!({"elicitation": {"url": {}}});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = Request::modern("tools/call", params)
            .with("Host", &installation.address().to_string())
            .bearer(&token);
        let mut connection = Connection::open(installation.address(), TIME_LIMIT).unwrap();
        connection.send(&request.bytes()).unwrap().json()["result"].clone()
    };
    let asked = ask(json!({}));
    assert_eq!(asked["resultType"], "input_required", "{asked:#}");
    let call = installation.waiting();
    let url = asked["inputRequests"]["page"]["params"]["url"].as_str().unwrap();
    assert_eq!(url, format!("http://{}/calls/{call}", installation.address()));
    let path = format!("/calls/{call}");
    let shown = installation.http("GET", &path, &token, None);
    let page = shown.body.as_str().unwrap();
    assert!(shown.status == 200 && page.contains(&format!("WAITING {call} in shop")), "{page}");
    assert_eq!(installation.http("GET", &path, "", None).status, 401);
    assert_eq!(installation.http("POST", &path, &token, None).status, 405);

    // The client goes on, and the call still waits for a signature.
    let state = &asked["requestState"];
    let answer = json!({"requestState": state, "inputResponses": {"page": {"action": "accept"}}});
    let told = ask(answer.clone());
    assert_eq!(told["structuredContent"]["pending"]["state"], "waiting", "{told:#}");
    assert_eq!(installation.waiting(), call, "no second call was made");
    installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    installation.closed(&call);
    let page = installation.http("GET", &path, &token, None);
    assert!(page.body.as_str().unwrap().contains(&format!("DONE {call} in shop")), "{page:?}");
}
