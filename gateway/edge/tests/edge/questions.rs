//! The question to open the page of a call, and the state that a client carries to the next request.

use crate::front::{FakeFront, id};
use crate::wire::{FromAgent as _, Request, Server, send_all};
use cofferdam_core::model::task::TaskState;
use expect_test::expect;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// A call of a client that opens addresses, with these members besides.
fn call(tool: &str, capabilities: Value, more: &Value) -> Request {
    let mut params = json!({"name": tool, "arguments": {"replicas": 3}});
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    let members = params.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    Request::modern("tools/call", params)
}

fn opens() -> Value {
    json!({"elicitation": {"url": {}}})
}

fn opens_with_tasks() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "extensions": {"io.modelcontextprotocol/tasks": {}}})
}

async fn result(server: &Server, request: &Request) -> Value {
    server.send(request).await.json()["result"].clone()
}

/// The state of a new question.
async fn asked(server: &Server, capabilities: Value) -> String {
    let asked = result(server, &call("waiting", capabilities, &json!({}))).await;
    assert_eq!(asked["resultType"], "input_required", "{asked:#}");
    asked["requestState"].as_str().unwrap().to_owned()
}

fn answer(state: &str, action: &str) -> Value {
    json!({"requestState": state, "inputResponses": {"page": {"action": action}}})
}

#[tokio::test]
async fn a_client_that_opens_addresses_is_asked_for_the_page_once_and_then_goes_on() {
    let server = Server::start(FakeFront::default()).await;
    let first = result(&server, &call("waiting", opens(), &json!({}))).await;
    assert_eq!(
        first["inputRequests"],
        json!({"page": {"method": "elicitation/create", "params": {
            "mode": "url",
            "message": "WAITING: a person has to sign Open the page of this call? It shows how \
                        the call stands, and approves nothing.",
            "url": format!("http://127.0.0.1/calls/{}", id()),
        }}})
    );
    assert!(first["content"].is_null() && first["taskId"].is_null(), "{first:#}");
    let begun = server.front.last.lock().unwrap().clone().unwrap();
    assert_eq!(begun.person_ms, 0, "it is asked at once");
    for action in ["accept", "decline", "cancel"] {
        let state = asked(&server, opens()).await;
        *server.front.last.lock().unwrap() = None;
        let next = result(&server, &call("waiting", opens(), &answer(&state, action))).await;
        let text = next["content"][0]["text"].as_str().unwrap();
        assert_eq!(text, "job of anonymous, held 3000 ms", "{action}");
        assert!(server.front.last.lock().unwrap().is_none(), "no call is made again");
    }
}

#[tokio::test]
async fn with_tasks_the_question_comes_before_the_task() {
    let server = Server::start(FakeFront { follows: true, ..FakeFront::default() }).await;
    let state = asked(&server, opens_with_tasks()).await;
    let request = call("waiting", opens_with_tasks(), &answer(&state, "accept"));
    let task = result(&server, &request).await;
    assert_eq!(
        (&task["resultType"], &task["taskId"], &task["requestState"]),
        (&json!("task"), &json!(id()), &Value::Null)
    );
    // A call that runs by now is not asked about.
    server.front.move_task("anonymous", &id(), TaskState::Running);
    let task = result(&server, &call("waiting", opens_with_tasks(), &json!({}))).await;
    assert_eq!(task["resultType"], "task");
}

#[tokio::test]
async fn without_an_answer_the_client_is_asked_again() {
    let server = Server::start(FakeFront { follows: true, ..FakeFront::default() }).await;
    for answers in [
        json!({}),
        json!({"inputResponses": {}}),
        json!({"inputResponses": {"other": {"action": "accept"}}}),
        json!({"inputResponses": {"page": 7}}),
        json!({"inputResponses": {"page": {"action": "approve"}}}),
    ] {
        let mut more = answers.clone();
        more["requestState"] = json!(asked(&server, opens()).await);
        let again = result(&server, &call("waiting", opens(), &more)).await;
        assert_eq!(again["resultType"], "input_required", "{answers}");
        assert_ne!(again["requestState"], more["requestState"]);
    }
    // Answers without a state are answers to nothing.
    let more = json!({"inputResponses": {"page": {"action": "accept"}}});
    let told = result(&server, &call("waiting", opens(), &more)).await;
    assert_eq!(told["resultType"], "input_required");
}

#[tokio::test]
async fn no_other_client_and_no_other_call_is_asked_about() {
    let server = Server::start(FakeFront::default()).await;
    for capabilities in [
        json!({}),
        json!({"elicitation": {}}),
        json!({"elicitation": {"form": {}}}),
        json!({"elicitation": {"url": true}}),
        json!({"url": {}}),
    ] {
        let told = result(&server, &call("waiting", capabilities.clone(), &json!({}))).await;
        assert_eq!(told["resultType"], "complete", "{capabilities}");
    }
    let server = Server::start(FakeFront::default()).await;
    for tool in ["scale", "denied", "accepted"] {
        let told = result(&server, &call(tool, opens(), &json!({}))).await;
        assert_eq!(told["resultType"], "complete", "{tool}");
    }
    let mut params = json!({"name": "waiting"});
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = opens();
    let told = result(&server, &Request::legacy("tools/call", params)).await;
    assert!(told["content"].is_array());
}

#[tokio::test]
async fn a_state_counts_for_its_caller_its_request_and_its_time_once() {
    let server = Server::start(FakeFront::default()).await;
    let with = |state: &str| call("waiting", opens(), &answer(state, "accept"));
    let fresh = || asked(&server, opens());
    let mut told = String::new();
    let mut row = async |name: &str, request: Request| {
        told.push_str(&send_all(&server, vec![(name, request)]).await);
    };
    let state = fresh().await;
    row("the right one", with(&state)).await;
    row("the same again", with(&state)).await;
    row("of another caller", with(&fresh().await).with_token()).await;
    row("for another tool", call("scale", opens(), &answer(&fresh().await, "accept"))).await;
    let mut other = answer(&fresh().await, "accept");
    other["arguments"] = json!({"replicas": 4});
    row("for other arguments", call("waiting", opens(), &other)).await;
    let mut changed = fresh().await.into_bytes();
    changed[40] = if changed[40] == b'A' { b'B' } else { b'A' };
    row("changed", with(&String::from_utf8(changed).unwrap())).await;
    row("made up", with("AAAA")).await;
    row("empty", with("")).await;
    row("no text", call("waiting", opens(), &json!({"requestState": 7}))).await;
    let mut wrong = answer(&fresh().await, "accept");
    wrong["inputResponses"] = json!([]);
    row("answers of another form", call("waiting", opens(), &wrong)).await;
    let state = fresh().await;
    server.front.passed.store(599, Ordering::SeqCst);
    row("in time", with(&state)).await;
    server.front.passed.store(0, Ordering::SeqCst);
    let state = fresh().await;
    server.front.passed.store(600, Ordering::SeqCst);
    row("too late", with(&state)).await;
    let state = fresh().await;
    server.front.tasks.lock().unwrap().clear();
    row("of a call that is gone", with(&state)).await;
    expect![[r#"
        the right one: 200 ok
        the same again: 200 -32602 id 7: invalid params: `requestState` is not one that this server gave you for this request, or it was used, or is older than ten minutes; call again without it
        of another caller: 200 -32602 id 7: invalid params: `requestState` is not one that this server gave you for this request, or it was used, or is older than ten minutes; call again without it
        for another tool: 200 -32602 id 7: invalid params: `requestState` is not one that this server gave you for this request, or it was used, or is older than ten minutes; call again without it
        for other arguments: 200 -32602 id 7: invalid params: `requestState` is not one that this server gave you for this request, or it was used, or is older than ten minutes; call again without it
        changed: 200 -32602 id 7: invalid params: `requestState` is not one that this server gave you for this request, or it was used, or is older than ten minutes; call again without it
        made up: 200 -32602 id 7: invalid params: `requestState` is not one that this server gave you for this request, or it was used, or is older than ten minutes; call again without it
        empty: 200 -32602 id 7: invalid params: `requestState` is not one that this server gave you for this request, or it was used, or is older than ten minutes; call again without it
        no text: 200 -32602 id 7: invalid params: `requestState` must be a string
        answers of another form: 200 -32602 id 7: invalid params: `inputResponses` must be an object
        in time: 200 ok
        too late: 200 -32602 id 7: invalid params: `requestState` is not one that this server gave you for this request, or it was used, or is older than ten minutes; call again without it
        of a call that is gone: 200 -32602 id 7: invalid params: `requestState` is not one that this server gave you for this request, or it was used, or is older than ten minutes; call again without it
    "#]].assert_eq(&told);
}
