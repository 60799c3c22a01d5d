//! Requests written by hand, answers read by hand, and a server to send them to.

use crate::front::{Small, TOKEN};
use cofferdam_edge::{Calls, Drained, EdgeSettings, serve};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that runs until it is dropped or stopped.
pub struct Server {
    pub address: SocketAddr,
    pub front: Arc<Small>,
    pub calls: Calls,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Drained>,
}

impl Server {
    pub async fn start(front: Small) -> Self {
        Self::with(front, |_| {}).await
    }

    pub async fn with(front: Small, change: impl FnOnce(&mut EdgeSettings)) -> Self {
        // Without any subscriber, the first test to reach a span would note for the whole process
        // that it has no listener.
        static HEARD: std::sync::Once = std::sync::Once::new();
        HEARD.call_once(|| {
            tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let front = Arc::new(front);
        let mut settings = EdgeSettings::local();
        change(&mut settings);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            let _either = stopped.await;
        };
        let calls = Calls::new(settings.calls);
        let served =
            tokio::spawn(serve(listener, Arc::clone(&front), settings, calls.clone(), stopped));
        Self { address, front, calls, stop: Some(stop), served }
    }

    /// Waits until its front was called.
    pub async fn until_called(&self) {
        while self.front.started.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops it and tells how that went.
    pub async fn stop(mut self) -> Drained {
        drop(self.stop.take());
        self.served.await.unwrap()
    }

    /// Asks for the stop without waiting.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub async fn send(&self, request: &Request) -> Answer {
        self.raw(&request.bytes()).await
    }

    pub async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        Answer::read(&mut stream).await
    }
}

/// A request, right until something is changed.
#[derive(Clone)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, path: &str) -> Self {
        let headers = [("Host", "127.0.0.1"), ("Connection", "close")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { line: format!("{method} {path} HTTP/1.1"), headers, body: Vec::new() }
    }

    /// A request of revision 2026-07-28 with everything it must have.
    pub fn modern(method: &str, mut params: Value) -> Self {
        let name = params.get("name").and_then(Value::as_str).map(str::to_owned);
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        let request = Self::new("POST", "/mcp")
            .and("Accept", "application/json, text/event-stream")
            .and("MCP-Protocol-Version", "2026-07-28")
            .and("Mcp-Method", method)
            .json(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}));
        match name {
            Some(name) if name.bytes().all(|byte| byte.is_ascii_graphic()) => {
                request.and("Mcp-Name", &name)
            }
            _ => request,
        }
    }

    pub fn call(tool: &str, arguments: Value) -> Self {
        Self::modern("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// The same from an agent, with its token.
    pub fn with_token(self) -> Self {
        self.and("Authorization", &format!("Bearer {TOKEN}"))
    }

    /// A request of revision 2025-11-25.
    pub fn legacy(method: &str, params: Value) -> Self {
        Self::new("POST", "/mcp")
            .and("Accept", "application/json, text/event-stream")
            .and("MCP-Protocol-Version", "2025-11-25")
            .json(&json!({"jsonrpc": "2.0", "id": "a", "method": method, "params": params}))
    }

    /// One more header, beside one of the same name.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The header with another value.
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(given, _)| !given.eq_ignore_ascii_case(name));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.with("Content-Length", &length)
    }

    pub fn json(self, value: &Value) -> Self {
        self.body(value.to_string()).with("Content-Type", "application/json")
    }

    pub fn bytes(&self) -> Vec<u8> {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect::<String>();
        let mut bytes = format!("{}\r\n{headers}\r\n", self.line).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// An answer, or nothing when the server closed without one.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A reset after the answer is how a server ends a request whose body it will not read.
        while let Ok(count) = stream.read_buf(&mut bytes).await {
            if count == 0 {
                break;
            }
        }
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Self { status: 0, headers: Vec::new(), body: Vec::new() };
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|fault| panic!("{fault}: {}", self.text()))
    }

    /// The body with its keys in order, whatever features the build has.
    pub fn pretty(&self) -> String {
        let sorted: Value =
            serde_json::from_str(&cofferdam_core::model::json::canonical(&self.json()).unwrap())
                .unwrap();
        format!("{}\n{:#}\n", self.status, sorted)
    }

    /// Status, JSON-RPC code, id and message on one line.
    pub fn line(&self) -> String {
        if self.body.is_empty() {
            return self.status.to_string();
        }
        let Ok(body) = serde_json::from_slice::<Value>(&self.body) else {
            return format!("{} {}", self.status, self.text().trim_end());
        };
        match (body.get("error"), body.get("jsonrpc")) {
            (Some(error), Some(_)) => {
                let id = body.get("id").map_or("no id".to_owned(), |id| format!("id {id}"));
                format!(
                    "{} {} {id}: {}",
                    self.status,
                    error["code"],
                    error["message"].as_str().unwrap()
                )
            }
            (Some(Value::String(error)), None) => format!("{} {error}", self.status),
            (Some(error), None) => format!("{} {}", self.status, error["text"].as_str().unwrap()),
            _ => format!("{} ok", self.status),
        }
    }
}

/// Sends each named request to one server and returns the answers' lines, in order.
pub async fn table(server: &Server, rows: Vec<(&str, Request)>) -> String {
    let mut text = String::new();
    for (name, request) in rows {
        text.push_str(&format!("{name}: {}\n", server.send(&request).await.line()));
    }
    text
}
