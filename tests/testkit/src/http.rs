//! HTTP/1.1 for tests: requests that are right until a test changes them, responses that a test can
//! compare, and a blocking connection. Never retries, and follows no redirect.

use cofferdam_core::model::json::canonical;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The MCP revision that most requests of tests have.
pub const REVISION: &str = "2026-07-28";

/// A request with everything that the gateway requires, until a test changes it.
#[derive(Clone)]
pub struct Request {
    /// Method, path and version.
    pub line: String,
    /// Names and values, in order. A name may occur more than once.
    pub headers: Vec<(String, String)>,
    /// The bytes after the head.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without a body, after which the server closes the connection.
    pub fn new(method: &str, path: &str) -> Self {
        let headers = [("Host", "127.0.0.1"), ("Connection", "close")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { line: format!("{method} {path} HTTP/1.1"), headers, body: Vec::new() }
    }

    /// A request of MCP revision 2026-07-28 with every header and member that it must have.
    pub fn modern(method: &str, mut params: Value) -> Self {
        let name = ["name", "taskId", "uri"].iter().find_map(|member| params.get(member));
        let name = name.and_then(Value::as_str).map(str::to_owned);
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(REVISION);
        let capabilities = &mut params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        if capabilities.is_null() {
            *capabilities = json!({});
        }
        let request = Self::new("POST", "/mcp")
            .and("Accept", "application/json, text/event-stream")
            .and("MCP-Protocol-Version", REVISION)
            .and("Mcp-Method", method)
            .json(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}));
        match name {
            Some(name) if name.bytes().all(|byte| byte.is_ascii_graphic()) => {
                request.and("Mcp-Name", &name)
            }
            _ => request,
        }
    }

    /// The same of a client with the extension for tasks.
    pub fn with_tasks(method: &str, mut params: Value) -> Self {
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
            json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        Self::modern(method, params)
    }

    /// `tools/call` of MCP revision 2026-07-28.
    pub fn call(tool: &str, arguments: Value) -> Self {
        Self::modern("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// A request of MCP revision 2025-11-25.
    pub fn legacy(method: &str, params: Value) -> Self {
        Self::new("POST", "/mcp")
            .and("Accept", "application/json, text/event-stream")
            .and("MCP-Protocol-Version", "2025-11-25")
            .json(&json!({"jsonrpc": "2.0", "id": "a", "method": method, "params": params}))
    }

    /// The same with a bearer token. An earlier token stays.
    pub fn bearer(self, token: &str) -> Self {
        self.and("Authorization", &format!("Bearer {token}"))
    }

    /// Adds a header. A header of the same name stays.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The header with another value.
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    /// The same without this header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(given, _)| !given.eq_ignore_ascii_case(name));
        self
    }

    /// The same with this body and its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.with("Content-Length", &length)
    }

    /// The same with a JSON body.
    pub fn json(self, value: &Value) -> Self {
        self.body(value.to_string()).with("Content-Type", "application/json")
    }

    /// The request as it is sent.
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

/// A response of a server. Its status is 0 if the server closed the connection without one.
#[derive(Debug)]
pub struct Response {
    /// The status code, or 0.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The bytes after the head.
    pub body: Vec<u8>,
}

impl Response {
    /// Reads everything that a server sent before it closed the connection.
    pub fn parse(bytes: &[u8]) -> Self {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Self { status: 0, headers: Vec::new(), body: Vec::new() };
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        Self { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() }
    }

    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Status and body as text. The members of an object are sorted, whatever features the build
    /// has.
    pub fn pretty(&self) -> String {
        let sorted: Value = serde_json::from_str(&canonical(&self.json()).unwrap()).unwrap();
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
                let message = error["message"].as_str().unwrap();
                format!("{} {} {id}: {message}", self.status, error["code"])
            }
            (Some(Value::String(error)), None) => format!("{} {error}", self.status),
            (Some(error), None) => format!("{} {}", self.status, error["text"].as_str().unwrap()),
            _ => format!("{} ok", self.status),
        }
    }
}

/// A connection to a server, for one request after the other.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects to a server. `time_limit` bounds the wait for each part of a response.
    ///
    /// # Errors
    ///
    /// Those of the system, such as a server that does not listen.
    pub fn open(address: SocketAddr, time_limit: Duration) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(time_limit))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a whole request and reads its whole response. A response without a length ends with
    /// the connection.
    ///
    /// # Errors
    /// Those of the system, and `UnexpectedEof` if the server closed the connection without a
    /// response.
    pub fn send(&mut self, request: &[u8]) -> std::io::Result<Response> {
        self.0.get_mut().write_all(request)?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(Error::from(ErrorKind::UnexpectedEof));
            }
        }
        let mut response = Response::parse(head.as_bytes());
        match response.header("content-length") {
            Some(length) => {
                response.body = vec![0; length.parse().unwrap()];
                self.0.read_exact(&mut response.body)?;
            }
            None => {
                self.0.read_to_end(&mut response.body)?;
            }
        }
        Ok(response)
    }
}
