//! Resources, prompts and completion, in both forms of the protocol, and the checks of each request.

use crate::front::{FakeFront, id, job_uri};
use crate::wire::{FromAgent as _, Request, Server, send_all};
use expect_test::expect;
use serde_json::{Value, json};

async fn started() -> Server {
    let server = Server::start(FakeFront::default()).await;
    server.send(&Request::call("waiting", json!({}))).await;
    server
}

/// The result without the members that every result of the revision has.
async fn result(server: &Server, request: &Request) -> Value {
    let mut result = server.send(request).await.json()["result"].clone();
    if let Some(members) = result.as_object_mut() {
        members.remove("_meta");
        members.remove("resultType");
    }
    result
}

#[tokio::test]
async fn resources_are_listed_and_read_by_their_owner() {
    let server = started().await;
    let listed = json!({"uri": job_uri(&id()), "name": "job", "title": "State of a call",
    "description": "The state of a call.", "mimeType": "text/plain"});
    let read = json!({"uri": job_uri(&id()), "mimeType": "text/plain",
    "text": "WAITING: a person has to sign"});
    let list = |method: &str| Request::modern(method, json!({}));
    let uri = json!({"uri": job_uri(&id())});
    assert_eq!(
        result(&server, &list("resources/list")).await,
        json!({"resources": [listed], "ttlMs": 1000, "cacheScope": "private"})
    );
    assert_eq!(
        result(&server, &Request::modern("resources/read", uri.clone())).await,
        json!({"contents": [read], "ttlMs": 1000, "cacheScope": "private"})
    );
    let templates = result(&server, &list("resources/templates/list")).await;
    assert_eq!(templates["resourceTemplates"][0]["uriTemplate"], "cofferdam://call/{id}/job");
    assert_eq!(
        result(&server, &Request::legacy("resources/list", json!({}))).await,
        json!({"resources": [listed]})
    );
    assert_eq!(
        result(&server, &Request::legacy("resources/read", uri)).await,
        json!({"contents": [read]})
    );
    let other = result(&server, &list("resources/list").with_token()).await;
    assert_eq!(other["resources"], json!([]));
}

#[tokio::test]
async fn an_address_without_a_resource_is_an_error_with_the_address() {
    let server = started().await;
    let read = |uri: &str| Request::modern("resources/read", json!({"uri": uri}));
    let own = job_uri(&id());
    let rows = vec![
        ("own", read(&own)),
        ("of another caller", read(&own).with_token()),
        ("no call", read(&job_uri(&cofferdam_core::model::id::CallId::from_random(3)))),
        ("another scheme", read("file:///etc/passwd")),
        ("a long one", read(&format!("cofferdam://{}", "x".repeat(300)))),
        ("none", Request::modern("resources/read", json!({}))),
        ("not text", Request::modern("resources/read", json!({"uri": 1}))),
        ("no name header", read(&own).without("Mcp-Name")),
        ("another name header", read(&own).with("Mcp-Name", "cofferdam://call/x/job")),
        ("legacy", Request::legacy("resources/read", json!({"uri": "test://none"}))),
        ("a cursor", Request::modern("resources/list", json!({"cursor": "x"}))),
        ("removed", Request::modern("resources/subscribe", json!({"uri": own}))),
    ];
    expect![[r#"
        own: 200 ok
        of another caller: 200 -32602 id 7: no such resource: `cofferdam://call/pptx2e6mf2icaaaaaaaaaaaaaa/job`; `resources/list` lists yours, and `resources/templates/list` their addresses
        no call: 200 -32602 id 7: no such resource: `cofferdam://call/daaaaaaaaaaaaaaaaaaaaaaaaa/job`; `resources/list` lists yours, and `resources/templates/list` their addresses
        another scheme: 200 -32602 id 7: no such resource: `file:///etc/passwd`; `resources/list` lists yours, and `resources/templates/list` their addresses
        a long one: 200 -32602 id 7: no such resource: `cofferdam://xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`; `resources/list` lists yours, and `resources/templates/list` their addresses
        none: 200 -32602 id 7: invalid params: `uri` is missing
        not text: 200 -32602 id 7: invalid params: `uri` must be a string
        no name header: 400 -32020 id 7: header mismatch: `Mcp-Name` is missing; send `Mcp-Name: cofferdam://call/pptx2e6mf2icaaaaaaaaaaaaaa/job`
        another name header: 400 -32020 id 7: header mismatch: `Mcp-Name` is `cofferdam://call/x/job` and the body says `cofferdam://call/pptx2e6mf2icaaaaaaaaaaaaaa/job`; send what the body says
        legacy: 200 -32002 id "a": no such resource: `test://none`; `resources/list` lists yours, and `resources/templates/list` their addresses
        a cursor: 200 -32602 id 7: invalid params: `cursor` is not one that this server gave; list from the beginning
        removed: 404 -32601 id 7: method not found: `resources/subscribe`
    "#]].assert_eq(&send_all(&server, rows).await);
    let refused = server.send(&read("test://none")).await.json();
    assert_eq!(refused["error"]["data"], json!({"uri": "test://none"}));
}

#[tokio::test]
async fn prompts_are_listed_and_given_with_the_state_of_an_own_call() {
    let server = started().await;
    let listed = result(&server, &Request::modern("prompts/list", json!({}))).await;
    assert_eq!(
        listed,
        json!({"prompts": [{"name": "follow", "title": "Follow a call",
        "description": "Tells what became of a call.", "arguments": [{"name": "call",
        "description": "The id of the call.", "required": true}]}], "ttlMs": 300_000,
        "cacheScope": "private"})
    );
    let get = |arguments: Value| {
        Request::modern("prompts/get", json!({"name": "follow", "arguments": arguments}))
    };
    let own = json!({"call": id()});
    let given = result(&server, &get(own.clone())).await;
    assert_eq!(given["description"], "Tells what became of a call.");
    assert_eq!(
        given["messages"],
        json!([
            {"role": "user", "content": {"type": "text", "text": format!("What became of {}?", id())}},
            {"role": "user", "content": {"type": "resource", "resource": {"uri": job_uri(&id()),
            "mimeType": "text/plain", "text": "WAITING: a person has to sign"}}},
        ])
    );
    let rows = vec![
        ("own", get(own.clone())),
        ("of another caller", get(own.clone()).with_token()),
        ("no argument", get(json!({}))),
        ("not text", get(json!({"call": 7}))),
        ("not an object", get(json!(["a"]))),
        ("unknown", Request::modern("prompts/get", json!({"name": "other"}))),
        ("none", Request::modern("prompts/get", json!({}))),
        ("another name header", get(own).with("Mcp-Name", "other")),
    ];
    expect![[r#"
        own: 200 ok
        of another caller: 200 -32602 id 7: invalid params: the argument `call` names no call of yours
        no argument: 200 -32602 id 7: invalid params: the argument `call` is missing
        not text: 200 -32602 id 7: invalid params: `arguments` must be an object of strings
        not an object: 200 -32602 id 7: invalid params: `arguments` must be an object of strings
        unknown: 200 -32602 id 7: invalid params: unknown prompt: `other`; `prompts/list` lists them
        none: 200 -32602 id 7: invalid params: `name` is missing
        another name header: 400 -32020 id 7: header mismatch: `Mcp-Name` is `other` and the body says `follow`; send what the body says
    "#]].assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn the_id_of_a_call_is_completed_from_own_calls() {
    let server = started().await;
    let start = &id().to_string()[..3];
    let complete = |name: &str, value: &str| {
        let prompt = json!({"type": "ref/prompt", "name": "follow"});
        Request::modern(
            "completion/complete",
            json!({"ref": prompt, "argument": {"name": name, "value": value}}),
        )
    };
    let values = |result: Value| result["completion"]["values"].clone();
    assert_eq!(values(result(&server, &complete("call", start)).await), json!([id()]));
    assert_eq!(values(result(&server, &complete("call", "zzz")).await), json!([]));
    assert_eq!(values(result(&server, &complete("request", start)).await), json!([]));
    assert_eq!(values(result(&server, &complete("call", "").with_token()).await), json!([]));
    let wrong = server.send(&Request::modern("completion/complete", json!({}))).await.json();
    assert_eq!(wrong["error"]["code"], -32602);
}
