//! The bridge against a server of its own: raw lines in, raw lines out.

use super::*;
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{LazyLock, Mutex};

/// A request that the server got: its head in lower case, and its body.
type Heard = (String, Value);

/// A server that answers each request with these bytes.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Server {
    fn start(answer: fn(&Value) -> String) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    fn on(listener: TcpListener, answer: fn(&Value) -> String) -> Self {
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || one(stream.unwrap(), &log, answer));
            }
        });
        Self { address, heard }
    }

    fn relay(&self) -> Relay {
        relay(self.address)
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

fn relay(address: SocketAddr) -> Relay {
    static FILE: LazyLock<tempfile::NamedTempFile> = LazyLock::new(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "cfd_example\n").unwrap();
        file
    });
    Relay::new(GatewayUrl::of_edge(address), None, Token::of_file(FILE.path().to_owned()))
}

fn one(mut stream: TcpStream, log: &Mutex<Vec<Heard>>, answer: fn(&Value) -> String) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let head = head.to_lowercase();
    let length = head.split_once("content-length: ").unwrap().1;
    let mut body = vec![0; length.split_once("\r\n").unwrap().0.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    log.lock().unwrap().push((head, body.clone()));
    let answer = answer(&body);
    if answer.is_empty() {
        // Held until the client closes the connection.
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        log.lock().unwrap().push(("closed".to_owned(), body));
        return;
    }
    stream.write_all(answer.as_bytes()).unwrap();
}

fn json_answer(status: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn ok(request: &Value, result: Value) -> String {
    json_answer("200 OK", &json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
}

/// Gives the bridge these lines. Returns its answers.
fn say(relay: Relay, lines: &[Value]) -> Vec<Value> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    say_text(relay, &text)
}

fn say_text(relay: Relay, text: &str) -> Vec<Value> {
    let mut output = Vec::new();
    assert!(serve(relay, std::io::Cursor::new(text.to_owned().into_bytes()), &mut output));
    let output = String::from_utf8(output).unwrap();
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The answer to the request with this id.
fn answer_to<'a>(answers: &'a [Value], id: &Value) -> &'a Value {
    let mut found = answers.iter().filter(|answer| answer["id"] == *id);
    let answer = found.next().unwrap_or_else(|| panic!("no answer to {id}: {answers:?}"));
    assert!(found.next().is_none(), "two answers to {id}: {answers:?}");
    answer
}

fn words(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap()
}

fn mcp(request: &Value) -> String {
    match request["method"].as_str().unwrap() {
        "initialize" => {
            ok(request, json!({"protocolVersion": request["params"]["protocolVersion"]}))
        }
        method if method.starts_with("notifications/") => {
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
        method => ok(request, json!({"method": method})),
    }
}

#[test]
fn a_legacy_host_is_answered_in_its_own_revision() {
    let server = Server::start(mcp);
    // One at a time, as a host does: the handshake comes first.
    let (host, ours) = UnixStream::pair().unwrap();
    let relay = server.relay();
    let bridge = std::thread::spawn(move || serve(relay, ours.try_clone().unwrap(), ours));
    let mut answers = BufReader::new(host.try_clone().unwrap()).lines();
    let mut ask = |line: Value| {
        (&host).write_all(format!("{line}\n").as_bytes()).unwrap();
        let answer = answers.next().unwrap().unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()
    };
    let revision = "2025-03-26";
    let told = ask(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": revision}}));
    assert_eq!(told["result"]["protocolVersion"], revision);
    (&host).write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n").unwrap();
    let told = ask(json!({"jsonrpc": "2.0", "id": "2", "method": "tools/list"}));
    assert_eq!(told, json!({"jsonrpc": "2.0", "id": "2", "result": {"method": "tools/list"}}));
    host.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(bridge.join().unwrap());

    let heard = server.heard();
    assert_eq!(heard.len(), 3, "{heard:?}");
    for (head, body) in heard {
        assert!(head.contains("authorization: bearer cfd_example\r\n"), "{head}");
        assert!(head.contains("accept: application/json, text/event-stream\r\n"), "{head}");
        let first = body["method"] == "initialize";
        assert_eq!(head.contains("mcp-protocol-version: 2025-03-26\r\n"), !first, "{head}");
        assert!(!head.contains("mcp-method"), "{head}");
    }
}

#[test]
fn a_modern_request_has_the_headers_that_mirror_it() {
    let server = Server::start(mcp);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let call = |id: u8, method: &str, key: &str, name: &str| {
        json!({"jsonrpc": "2.0", "id": id,
        "method": method, "params": {"_meta": meta, key: name}})
    };
    let answers = say(
        server.relay(),
        &[
            call(1, "tools/call", "name", "jobs_get"),
            call(2, "tools/call", "name", " größer"),
            call(3, "resources/read", "uri", "cofferdam://call/x"),
            call(4, "tasks/get", "taskId", "t1"),
            call(5, "server/discover", "x", "y"),
        ],
    );
    assert_eq!(answers.len(), 5);
    for (head, body) in server.heard() {
        let name = match body["id"].as_u64().unwrap() {
            1 => "mcp-name: jobs_get\r\n",
            2 => "mcp-name: =?base64?igdyw7zdn2vy?=\r\n",
            3 => "mcp-name: cofferdam://call/x\r\n",
            4 => "mcp-name: t1\r\n",
            _ => "\r\n",
        };
        let method = format!("mcp-method: {}\r\n", body["method"].as_str().unwrap());
        assert!(head.contains("mcp-protocol-version: 2026-07-28\r\n"), "{head}");
        assert!(head.contains(&method.to_lowercase()), "{head}");
        assert!(head.contains(name) || body["id"] == 2 && head.contains("=?base64?"), "{head}");
        assert_eq!(head.contains("mcp-name"), body["id"] != 5, "{head}");
    }
}

#[test]
fn progress_passes_before_the_answer() {
    let server = Server::start(|request| {
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": 7, "progress": 1}});
        let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": {"done": true}});
        let events = format!(
            ": the call goes on\n\nevent: message\ndata: {progress}\n\nevent: message\ndata: \
             {answer}\n\n"
        );
        let (first, second) = events.split_at(30);
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: \
             chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
            first.len(),
            second.len()
        )
    });
    let answers =
        say(server.relay(), &[json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call"})]);
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["params"]["progressToken"], 7);
    assert_eq!(answers[1], json!({"jsonrpc": "2.0", "id": 9, "result": {"done": true}}));
}

#[test]
fn each_request_gets_an_error_while_nothing_is_served_and_an_answer_later() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let list = |id: u8| json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"});
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let answers = say(relay(address).at_once(), &[list(1), initialized, list(2)]);
    assert_eq!(answers.len(), 2);
    for id in [1, 2] {
        let answer = answer_to(&answers, &json!(id));
        assert_eq!(answer["error"]["code"], relay::SERVER_ERROR);
        assert!(words(answer).contains("start `cofferdam serve`"), "{answer}");
    }

    // A gateway that starts again during the request.
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        Server::on(TcpListener::bind(address).unwrap(), mcp)
    });
    let answers = say(relay(address), &[list(3)]);
    assert_eq!(answer_to(&answers, &json!(3))["result"]["method"], "tools/list");
    later.join().unwrap();
}

#[test]
fn a_cancelled_request_is_closed_and_not_answered() {
    let server =
        Server::start(|request| if request["id"] == 1 { String::new() } else { mcp(request) });
    let (host, ours) = UnixStream::pair().unwrap();
    let relay = server.relay();
    let bridge = std::thread::spawn(move || serve(relay, ours.try_clone().unwrap(), ours));
    let wait = |done: &dyn Fn(&[Heard]) -> bool| {
        while !done(&server.heard()) {
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let send = |line: Value| (&host).write_all(format!("{line}\n").as_bytes()).unwrap();
    send(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call"}));
    wait(&|heard| heard.len() == 1);
    send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": 1}}));
    wait(&|heard| heard.iter().any(|(head, _)| head == "closed"));
    wait(&|heard| heard.iter().any(|(_, body)| body["method"] == "notifications/cancelled"));
    send(json!({"jsonrpc": "2.0", "id": 2, "method": "ping"}));
    host.shutdown(std::net::Shutdown::Write).unwrap();
    let answers: Vec<String> = BufReader::new(&host).lines().collect::<Result<_, _>>().unwrap();
    assert!(bridge.join().unwrap());
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0].contains("\"id\":2"), "{answers:?}");
}

#[test]
fn a_line_that_is_no_message_is_refused_and_the_next_one_is_served() {
    let server = Server::start(mcp);
    let large = json!({"jsonrpc": "2.0", "id": "large", "method": "tools/call",
        "params": {"x": "x".repeat(limit::BODY)}});
    let text = format!(
        "not json\n\n[]\n{{\"id\":4}}\n{{\"id\":5,\"result\":{{}}}}\n{large}\n{{\"jsonrpc\":\"2.0\",\
         \"id\":6,\"method\":\"ping\"}}"
    );
    let answers = say_text(server.relay(), &text);
    assert_eq!(answers.len(), 5, "{answers:?}");
    let code = |id: Value| &answer_to(&answers, &id)["error"]["code"];
    let nameless: Vec<&Value> = answers
        .iter()
        .filter(|answer| answer["id"].is_null())
        .map(|answer| &answer["error"]["code"])
        .collect();
    assert_eq!(nameless, [relay::PARSE_ERROR, relay::INVALID_REQUEST]);
    assert_eq!(
        (code(json!(4)), code(json!("large"))),
        (&json!(relay::INVALID_REQUEST), &json!(relay::INVALID_REQUEST))
    );
    assert_eq!(answer_to(&answers, &json!(6))["result"]["method"], "ping");
    assert_eq!(server.heard().len(), 1);
}

#[test]
fn an_answer_that_is_not_whole_becomes_an_error_with_its_remedy() {
    let check = |answer: fn(&Value) -> String, cause: &str| {
        let server = Server::start(answer);
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call"});
        let answers = say(server.relay(), &[request]);
        assert!(words(answer_to(&answers, &json!(1))).contains(cause), "{answers:?}");
    };
    // The gateway's own refusal, before it read the body.
    check(
        |_| {
            json_answer(
                "401 Unauthorized",
                &json!({"jsonrpc": "2.0", "error": {"code": -32000,
            "message": "a token is needed"}}),
            )
        },
        "a token is needed; give the bridge a token in the variable COFFERDAM_TOKEN",
    );
    check(
        |_| {
            json_answer(
                "503 Service Unavailable",
                &json!({"jsonrpc": "2.0", "error": {"code": 1,
            "message": "busy"}}),
            )
        },
        "busy",
    );
    check(|_| "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad".into(), "HTTP 502");
    check(|_| "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".into(), "without a message");
    check(
        |_| "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"jsonrpc\":".into(),
        "send the same call",
    );
    check(
        |_| "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: alive\n\n".into(),
        "send the same call",
    );
    check(|_| "SSH-2.0-OpenSSH\r\n\r\n".into(), "send the same call");
}

#[test]
fn a_host_that_stops_reading_ends_the_bridge() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let server = Server::start(mcp);
    let (host, ours) = UnixStream::pair().unwrap();
    (&host).write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n").unwrap();
    assert!(!serve(server.relay(), ours, Gone));
}
