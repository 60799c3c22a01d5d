//! Progress: the event stream of a held call, its conditions, and the proof that nothing else
//! changes.

use crate::front::{FakeFront, id};
use crate::wire::{Request, Response, Server, send_all};
use expect_test::expect;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn modern(tool: &str, token: Value) -> Request {
    Request::modern("tools/call", json!({"name": tool, "_meta": {"progressToken": token}}))
}

fn legacy(tool: &str, token: Value) -> Request {
    Request::legacy("tools/call", json!({"name": tool, "_meta": {"progressToken": token}}))
}

/// The messages of a stream, in order.
fn messages(answer: &Response) -> Vec<Value> {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/event-stream")),
        "{}",
        answer.text()
    );
    assert_eq!(
        (answer.header("cache-control"), answer.header("x-accel-buffering")),
        (Some("no-store"), Some("no"))
    );
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// The events of one client: each progress, then the text of the result or the error.
fn told(answer: &Response) -> String {
    let line = |message: &Value| match (&message["params"], &message["result"], &message["error"]) {
        (params @ Value::Object(_), _, _) => {
            assert_eq!(message["method"], "notifications/progress");
            format!(
                "{} {}: {}",
                params["progressToken"],
                params["progress"],
                params["message"].as_str().unwrap()
            )
        }
        (_, Value::Null, error) => {
            format!("{} {}: {}", message["id"], error["code"], error["message"].as_str().unwrap())
        }
        (_, result, _) => {
            format!("{}: {}", message["id"], result["content"][0]["text"].as_str().unwrap())
        }
    };
    messages(answer).iter().map(|message| line(message) + "\n").collect()
}

#[tokio::test]
async fn a_held_call_tells_its_progress_on_its_own_stream() {
    let server = Server::start(FakeFront::default()).await;
    let answer = server.send(&modern("talks", json!("t-1"))).await;
    expect![[r#"
        "t-1" 1: RUNNING
        "t-1" 2: The executor says: "one"
        "t-1" 3: The executor says: "two"
        7: said it all
    "#]]
    .assert_eq(&told(&answer));
    let result = messages(&answer).pop().unwrap();
    assert_eq!(
        (&result["result"]["resultType"], &result["result"]["structuredContent"]["replicas"]),
        (&json!("complete"), &json!(3))
    );
    expect![[r#"
        5 1: RUNNING
        5 2: The executor says: "one"
        5 3: The executor says: "two"
        "a": said it all
    "#]]
    .assert_eq(&told(&server.send(&legacy("talks", json!(5))).await));
    // The status was sent before, so the refusal is a message.
    expect![[r#"
        1 1: RUNNING
        1 2: The executor says: "one"
        1 3: The executor says: "two"
        7 -32603: cannot decide or cannot record: the recorder does not answer; nothing was executed
    "#]]
    .assert_eq(&told(&server.send(&modern("talks_and_fails", json!(1))).await));
    let follow = json!({"name": "job_get", "arguments": {"id": id(), "wait_seconds": 1},
    "_meta": {"progressToken": "j"}});
    expect![[r#"
        "j" 1: RUNNING
        7: job of anonymous, held 1000 ms
    "#]]
    .assert_eq(&told(&server.send(&Request::modern("tools/call", follow)).await));
}

#[tokio::test]
async fn without_a_word_or_a_wish_the_answer_is_json() {
    let server = Server::start(FakeFront::default()).await;
    let rows = vec![
        ("no token", Request::call("talks", json!({}))),
        ("no event streams", modern("talks", json!(1)).with("Accept", "application/json")),
        ("no word on them", modern("talks", json!(1)).without("Accept")),
        ("nothing to tell", modern("slow", json!(1))),
        ("at once", modern("scale", json!(1))),
        ("not there", modern("none", json!(1))),
        ("down", modern("down", json!(1))),
        ("a token of another type", modern("talks", json!(null))),
        ("another", modern("talks", json!(1.5))),
        ("a long one", modern("talks", json!("t".repeat(257)))),
    ];
    expect![[r#"
        no token: 200 ok
        no event streams: 200 ok
        no word on them: 200 ok
        nothing to tell: 200 ok
        at once: 200 ok
        not there: 200 -32602 id 7: unknown tool: `none`
        down: 503 -32603 id 7: cannot decide or cannot record: the recorder does not answer; nothing was executed
        a token of another type: 200 ok
        another: 400 -32602 id 7: invalid params: `progressToken` must be a whole number, or a string of at most 256 characters
        a long one: 400 -32602 id 7: invalid params: `progressToken` must be a whole number, or a string of at most 256 characters
    "#]]
    .assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn a_client_that_closes_its_stream_cancels_no_call() {
    let server = Server::start(FakeFront::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(&modern("talks", json!(1)).bytes()).await.unwrap();
    let mut begun = [0; 16];
    stream.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun[..15], b"HTTP/1.1 200 OK");
    drop(stream);
    let front = std::sync::Arc::clone(&server.front);
    let drained = tokio::time::timeout(Duration::from_secs(120), server.stop()).await.unwrap();
    assert!(drained.clean, "{drained:?}");
    while front.finished.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
