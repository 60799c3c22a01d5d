//! Subscriptions: acknowledged first, told only what was asked for, and ended with a result.

use crate::front::{FakeFront, ended, id, job_uri};
use crate::wire::{FromAgent as _, Request, Server, send_all};
use cofferdam_core::model::task::TaskState;
use expect_test::expect;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

fn listen(notifications: Value) -> Request {
    Request::with_tasks("subscriptions/listen", json!({"notifications": notifications}))
}

async fn started() -> Server {
    let server = Server::with(FakeFront::default(), |settings| {
        settings.listen_pause = Duration::from_millis(10);
    })
    .await;
    server.send(&Request::call("waiting", json!({}))).await;
    server
}

/// An open stream, read message by message.
struct Stream(BufReader<TcpStream>);

impl Stream {
    async fn open(server: &Server, request: &Request) -> Self {
        let mut stream = server.connect().await;
        stream.write_all(&request.bytes()).await.unwrap();
        Self(BufReader::new(stream))
    }

    /// The next message; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(Duration::from_secs(60), self.0.read_line(&mut line));
            if read.await.unwrap().unwrap() == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

/// The method and the content of a message, which must name the subscription.
fn told(message: &Value) -> String {
    let of = |holder: &Value| holder["_meta"]["io.modelcontextprotocol/subscriptionId"].clone();
    if message["method"].is_null() {
        assert_eq!(of(&message["result"]), json!(7));
        return format!("end {} {}", message["id"], message["result"]["resultType"]);
    }
    let mut params = message["params"].clone();
    assert_eq!((of(&params), &message["id"]), (json!(7), &Value::Null));
    params.as_object_mut().unwrap().remove("_meta");
    let short = match params.get("taskId") {
        Some(id) => format!("{id} {}", params["status"]),
        None => params.to_string(),
    };
    format!("{} {short}", message["method"].as_str().unwrap())
}

#[tokio::test]
async fn the_news_come_after_the_acknowledgement_and_only_those_asked_for() {
    let server = started().await;
    let asked = json!({"toolsListChanged": true, "promptsListChanged": true,
    "resourcesListChanged": true, "taskIds": [id(), "a".repeat(26), "no-task"],
    "resourceSubscriptions": [job_uri(&id()), "file:///etc/passwd"]});
    let mut stream = Stream::open(&server, &listen(asked)).await;
    let acknowledged = json!({"notifications": {"toolsListChanged": true, "taskIds": [id()],
    "resourceSubscriptions": [job_uri(&id())]}});
    assert_eq!(
        told(&stream.next().await.unwrap()),
        format!("notifications/subscriptions/acknowledged {acknowledged}")
    );
    let task = |status: &str| format!("notifications/tasks \"{}\" \"{status}\"", id());
    let updated = format!("notifications/resources/updated {}", json!({"uri": job_uri(&id())}));
    // The state at the start, because it may have moved since the client's last look.
    assert_eq!(told(&stream.next().await.unwrap()), task("working"));
    server.front.move_task("anonymous", &id(), TaskState::Running);
    assert_eq!(told(&stream.next().await.unwrap()), task("working"));
    assert_eq!(told(&stream.next().await.unwrap()), updated);
    server.front.move_task("anonymous", &id(), ended("done"));
    let end = stream.next().await.unwrap();
    assert_eq!(told(&end), task("completed"));
    assert_eq!(end["params"]["result"]["content"][0]["text"], "DONE");
    assert_eq!(told(&stream.next().await.unwrap()), updated);
    *server.front.more.lock().unwrap() = true;
    assert_eq!(told(&stream.next().await.unwrap()), "notifications/tools/list_changed {}");

    let mut quiet = Stream::open(&server, &listen(json!({}))).await;
    assert_eq!(
        told(&quiet.next().await.unwrap()),
        "notifications/subscriptions/acknowledged {\"notifications\":{}}"
    );
    *server.front.more.lock().unwrap() = false;
    assert_eq!(told(&stream.next().await.unwrap()), "notifications/tools/list_changed {}");
    // The other stream was told nothing meanwhile, and both end with their result.
    server.calls.drain();
    assert_eq!(told(&quiet.next().await.unwrap()), "end 7 \"complete\"");
    assert_eq!(told(&stream.next().await.unwrap()), "end 7 \"complete\"");
    assert!(quiet.next().await.is_none());
    let drained = server.stop().await;
    assert!(drained.clean, "{drained:?}");
}

#[tokio::test]
async fn a_subscription_ends_with_the_token_of_its_caller() {
    let server = started().await;
    let request = listen(json!({"toolsListChanged": true})).with_token();
    let mut stream = Stream::open(&server, &request).await;
    stream.next().await.unwrap();
    *server.front.revoked.lock().unwrap() = true;
    *server.front.more.lock().unwrap() = true;
    assert_eq!(told(&stream.next().await.unwrap()), "end 7 \"complete\"");
}

#[tokio::test]
async fn a_caller_gets_no_news_of_anothers_call() {
    let server = started().await;
    let request = listen(json!({"taskIds": [id()]})).with_token();
    let mut stream = Stream::open(&server, &request).await;
    assert_eq!(
        told(&stream.next().await.unwrap()),
        "notifications/subscriptions/acknowledged {\"notifications\":{\"taskIds\":[]}}"
    );
    server.front.move_task("anonymous", &id(), ended("done"));
    server.calls.drain();
    assert_eq!(told(&stream.next().await.unwrap()), "end 7 \"complete\"");
}

#[tokio::test]
async fn a_subscription_is_refused_in_words() {
    let server = started().await;
    let plain = |notifications: Value| {
        Request::modern("subscriptions/listen", json!({"notifications": notifications}))
    };
    let rows = vec![
        ("no event streams", listen(json!({})).with("Accept", "application/json")),
        ("nothing", Request::modern("subscriptions/listen", json!({}))),
        ("not an object", plain(json!([]))),
        ("not true or false", plain(json!({"toolsListChanged": "yes"}))),
        ("not a list", listen(json!({"taskIds": id()}))),
        ("not texts", listen(json!({"resourceSubscriptions": [1]}))),
        ("tasks undeclared", plain(json!({"taskIds": [id()]}))),
        ("legacy", Request::legacy("subscriptions/listen", json!({"notifications": {}}))),
    ];
    expect![[r#"
        no event streams: 406 -32600 id 7: the answer is an event stream; send `Accept: application/json, text/event-stream`
        nothing: 200 -32602 id 7: invalid params: `notifications` must be an object
        not an object: 200 -32602 id 7: invalid params: `notifications` must be an object
        not true or false: 200 -32602 id 7: invalid params: `toolsListChanged` must be true or false
        not a list: 200 -32602 id 7: invalid params: `taskIds` must be a list of strings
        not texts: 200 -32602 id 7: invalid params: `resourceSubscriptions` must be a list of strings
        tasks undeclared: 400 -32021 id 7: the client did not declare the extension `io.modelcontextprotocol/tasks` with this request; declare it in `io.modelcontextprotocol/clientCapabilities`, or follow the call with `job_get`
        legacy: 200 -32601 id "a": method not found: `subscriptions/listen`
    "#]].assert_eq(&send_all(&server, rows).await);
}

#[tokio::test]
async fn a_caller_has_a_share_of_subscriptions_and_gets_it_back() {
    let server = started().await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = Stream::open(&server, &listen(json!({}))).await;
        stream.next().await.unwrap();
        streams.push(stream);
    }
    expect![[r#"
        one more: 429 -32603 id 7: over a limit: this agent has 8 subscriptions in progress; nothing was executed; try again in 1 s
    "#]].assert_eq(&send_all(&server, vec![("one more", listen(json!({})))]).await);
    let mut other = Stream::open(&server, &listen(json!({})).with_token()).await;
    assert!(other.next().await.is_some(), "another caller has its own");
    // A closed stream gives its part back.
    streams.pop();
    let mut again = None;
    while again.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut stream = Stream::open(&server, &listen(json!({}))).await;
        let mut head = String::new();
        stream.0.read_line(&mut head).await.unwrap();
        again = head.contains("200 OK").then_some(stream);
    }
}
