//! Tasks: the conditions under which a call becomes one, its states, and the checks of each request
//! about one.

use crate::front::{FakeFront, ended, id};
use crate::wire::{FromAgent as _, Request, Server, send_all};
use cofferdam_core::model::task::TaskState;
use expect_test::expect;
use serde_json::{Value, json};

fn call(tool: &str) -> Request {
    Request::with_tasks("tools/call", json!({"name": tool, "arguments": {}}))
}

fn about(method: &str) -> Request {
    Request::with_tasks(method, json!({"taskId": id(), "inputResponses": {}}))
}

async fn result(server: &Server, request: &Request) -> Value {
    server.send(request).await.json()["result"].clone()
}

#[tokio::test]
async fn a_call_that_waits_is_a_task_for_a_client_that_declares_tasks() {
    let server = Server::start(FakeFront::default()).await;
    let mut task = result(&server, &call("waiting")).await;
    task.as_object_mut().unwrap().remove("_meta");
    let expected = json!({
        "resultType": "task", "taskId": id(), "status": "working",
        "statusMessage": "WAITING: a person has to sign",
        "createdAt": "2026-11-30T09:00:00.000Z", "lastUpdatedAt": "2026-11-30T09:00:01.000Z",
        "ttlMs": 86_400_000, "pollIntervalMs": 5000,
    });
    assert_eq!(task, expected);
    let asked = server.front.last.lock().unwrap().clone().unwrap();
    assert_eq!((asked.wait_ms, asked.person_ms), (2_000, 0), "it is held for no person");
    // The same for a client that declares the extension and another one, and with progress.
    let declared = json!({"extensions": {"io.modelcontextprotocol/tasks": {"x": 1}, "y": {}}});
    let meta = json!({"io.modelcontextprotocol/clientCapabilities": declared, "progressToken": 1});
    let other = Request::modern("tools/call", json!({"name": "waiting", "_meta": meta}));
    assert_eq!(result(&server, &other).await["resultType"], "task");
}

#[tokio::test]
async fn every_other_answer_is_that_of_a_client_without_tasks() {
    let server = Server::start(FakeFront::default()).await;
    let plain = |tool: &str| Request::call(tool, json!({}));
    for tool in ["scale", "denied", "bad", "accepted", "calls_list"] {
        let (with, without) =
            (result(&server, &call(tool)).await, result(&server, &plain(tool)).await);
        assert_eq!((&with, &with["resultType"]), (&without, &json!("complete")), "{tool}");
    }
    // A client that declares nothing, or something else, gets no task.
    for capabilities in [
        json!({}),
        json!({"extensions": {}}),
        json!({"extensions": {"io.modelcontextprotocol/tasks": true}}),
        json!({"tasks": {}}),
        json!({"io.modelcontextprotocol/tasks": {}}),
    ] {
        let meta = json!({"io.modelcontextprotocol/clientCapabilities": capabilities});
        let request = Request::modern("tools/call", json!({"name": "waiting", "_meta": meta}));
        let told = result(&server, &request).await;
        assert_eq!(told["resultType"], "complete", "{capabilities}");
        assert_eq!(told["structuredContent"]["pending"]["phase"], "awaiting_approval");
    }
    // Earlier revisions have other tasks; a hint of them is ignored.
    let mut params = json!({"name": "waiting", "task": {"ttl": 60_000}});
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
        json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let told = result(&server, &Request::legacy("tools/call", params)).await;
    assert_eq!((&told["resultType"], &told["taskId"]), (&Value::Null, &Value::Null));
    assert!(told["content"].is_array());
}

#[tokio::test]
async fn a_task_tells_each_state_and_at_the_end_what_the_call_would_have_got() {
    let server = Server::start(FakeFront::default()).await;
    result(&server, &call("waiting")).await;
    let mut told = String::new();
    for state in [
        TaskState::Waiting,
        TaskState::Running,
        ended("done"),
        ended("failed"),
        ended("down"),
        TaskState::Withdrawn,
    ] {
        server.front.move_task("anonymous", &id(), state);
        let task = result(&server, &about("tasks/get")).await;
        told.push_str(&format!(
            "{} {} {}: {} poll {} result {} {} error {}\n",
            task["resultType"],
            task["taskId"] == json!(id()),
            task["status"],
            task["statusMessage"],
            task["pollIntervalMs"],
            task["result"]["content"][0]["text"],
            task["result"]["isError"],
            task["error"]["code"],
        ));
    }
    expect![[r#"
        "complete" true "working": "WAITING: a person has to sign" poll 5000 result null null error null
        "complete" true "working": "RUNNING" poll 1000 result null null error null
        "complete" true "completed": "DONE" poll null result "DONE" null error null
        "complete" true "completed": "DONE" poll null result "FAILED pptx2e6mf2icaaaaaaaaaaaaaa by replicas.limit in staging\nWhat was changed was undone.\nWhy: 40 replicas are more than 10\nAllowed: up to 10 replicas\nNext: ask for fewer replicas" true error null
        "complete" true "failed": "DONE" poll null result null null error -32603
        "complete" true "cancelled": "WITHDRAWN" poll null result null null error null
    "#]]
    .assert_eq(&told);
    server.front.move_task("anonymous", &id(), ended("done"));
    let task = result(&server, &about("tasks/get")).await;
    let plain = result(&server, &Request::call("scale", json!({}))).await;
    for member in ["structuredContent", "_meta", "resultType"] {
        assert_eq!(task["result"][member], plain[member], "{member}");
    }
}

#[tokio::test]
async fn a_withdrawal_is_acknowledged_with_nothing_else() {
    let server = Server::start(FakeFront::default()).await;
    result(&server, &call("waiting")).await;
    for request in [about("tasks/update"), about("tasks/cancel"), about("tasks/cancel")] {
        let told = result(&server, &request).await;
        let members: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            (members, &told["resultType"]),
            (vec!["_meta", "resultType"], &json!("complete"))
        );
    }
    let task = result(&server, &about("tasks/get")).await;
    assert_eq!(task["status"], "cancelled");
}

#[tokio::test]
async fn each_request_about_a_task_is_checked_by_itself() {
    let server = Server::start(FakeFront::default()).await;
    result(&server, &call("waiting")).await;
    let get = |params: Value| Request::with_tasks("tasks/get", params);
    let plain = |method: &str| Request::modern(method, json!({"taskId": id()}));
    let legacy = |method: &str| Request::legacy(method, json!({"taskId": id()}));
    let rows = vec![
        ("own", about("tasks/get")),
        ("of another caller", about("tasks/get").with_token()),
        ("of another caller, cancelled", about("tasks/cancel").with_token()),
        ("of another caller, updated", about("tasks/update").with_token()),
        ("no call", get(json!({"taskId": "a".repeat(26)}))),
        ("no id", get(json!({"taskId": "tasks-12345"}))),
        ("none", get(json!({}))),
        ("not text", get(json!({"taskId": 7}))),
        ("no name header", about("tasks/get").without("Mcp-Name")),
        ("another name header", about("tasks/get").with("Mcp-Name", &"b".repeat(26))),
        ("get undeclared", plain("tasks/get")),
        ("update undeclared", plain("tasks/update")),
        ("cancel undeclared", plain("tasks/cancel")),
        (
            "responses of another form",
            Request::with_tasks("tasks/update", json!({"taskId": id(), "inputResponses": []})),
        ),
        ("result", Request::with_tasks("tasks/result", json!({"taskId": id()}))),
        ("list", Request::with_tasks("tasks/list", json!({}))),
        ("legacy", legacy("tasks/get")),
        ("own still", about("tasks/get")),
    ];
    expect![[r#"
        own: 200 ok
        of another caller: 200 -32602 id 7: no such task: `pptx2e6mf2icaaaaaaaaaaaaaa`; a task's id is the id of a call of your own, as its answer named it
        of another caller, cancelled: 200 -32602 id 7: no such task: `pptx2e6mf2icaaaaaaaaaaaaaa`; a task's id is the id of a call of your own, as its answer named it
        of another caller, updated: 200 -32602 id 7: no such task: `pptx2e6mf2icaaaaaaaaaaaaaa`; a task's id is the id of a call of your own, as its answer named it
        no call: 200 -32602 id 7: no such task: `aaaaaaaaaaaaaaaaaaaaaaaaaa`; a task's id is the id of a call of your own, as its answer named it
        no id: 200 -32602 id 7: no such task: `tasks-12345`; a task's id is the id of a call of your own, as its answer named it
        none: 200 -32602 id 7: invalid params: `taskId` is missing
        not text: 200 -32602 id 7: invalid params: `taskId` must be a string
        no name header: 400 -32020 id 7: header mismatch: `Mcp-Name` is missing; send `Mcp-Name: pptx2e6mf2icaaaaaaaaaaaaaa`
        another name header: 400 -32020 id 7: header mismatch: `Mcp-Name` is `bbbbbbbbbbbbbbbbbbbbbbbbbb` and the body says `pptx2e6mf2icaaaaaaaaaaaaaa`; send what the body says
        get undeclared: 400 -32021 id 7: the client did not declare the extension `io.modelcontextprotocol/tasks` with this request; declare it in `io.modelcontextprotocol/clientCapabilities`, or follow the call with `job_get`
        update undeclared: 400 -32021 id 7: the client did not declare the extension `io.modelcontextprotocol/tasks` with this request; declare it in `io.modelcontextprotocol/clientCapabilities`, or follow the call with `job_get`
        cancel undeclared: 400 -32021 id 7: the client did not declare the extension `io.modelcontextprotocol/tasks` with this request; declare it in `io.modelcontextprotocol/clientCapabilities`, or follow the call with `job_get`
        responses of another form: 200 -32602 id 7: invalid params: `inputResponses` must be an object
        result: 404 -32601 id 7: method not found: `tasks/result`
        list: 404 -32601 id 7: method not found: `tasks/list`
        legacy: 200 -32601 id "a": method not found: `tasks/get`
        own still: 200 ok
    "#]].assert_eq(&send_all(&server, rows).await);
    let refused = server.send(&plain("tasks/get")).await.json();
    assert_eq!(
        refused["error"]["data"],
        json!({"requiredCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}})
    );
    let down = Server::start(FakeFront { down: true, ..FakeFront::default() }).await;
    expect![[r#"
        down: 503 -32603 id 7: cannot decide or cannot record: tasks cannot be read now; try again later; nothing was executed
    "#]].assert_eq(&send_all(&down, vec![("down", about("tasks/get"))]).await);
}

#[tokio::test]
async fn discovery_names_what_is_served() {
    let server = Server::start(FakeFront::default()).await;
    let told = result(&server, &Request::modern("server/discover", json!({}))).await;
    expect![[r#"{"completions":{},"extensions":{"io.modelcontextprotocol/tasks":{}},"prompts":{},"resources":{"subscribe":true},"tools":{"listChanged":true}}"#]]
        .assert_eq(&told["capabilities"].to_string());
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
    let told = result(&server, &Request::legacy("initialize", hello)).await;
    expect![[r#"{"completions":{},"prompts":{},"resources":{},"tools":{}}"#]]
        .assert_eq(&told["capabilities"].to_string());
}
