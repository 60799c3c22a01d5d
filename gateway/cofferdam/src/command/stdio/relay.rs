//! One message of the host, sent to the gateway, and the messages that come back. The message is
//! sent as it is: the gateway alone checks it. An exchange without an answer of the gateway gets an
//! error with its remedy.

use super::events::Events;
use crate::command::agent_token::{TOKEN, Token};
use crate::command::gateway_url::GatewayUrl;
use crate::command::http::{self, Request, Response};
use crate::command::pinned_tls;
use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A line that is not JSON (JSON-RPC 2.0).
pub const PARSE_ERROR: i64 = -32700;
/// A message that is not a request (JSON-RPC 2.0).
pub const INVALID_REQUEST: i64 = -32600;
/// A fault between the bridge and the gateway.
pub const SERVER_ERROR: i64 = -32000;

/// The time for a gateway that starts again. Nothing was sent before a connection exists, so that a
/// second attempt cannot do anything twice.
const RESTART: Duration = Duration::from_secs(5);
/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);

/// The member of a modern request that names its revision.
const REVISION: &str = "io.modelcontextprotocol/protocolVersion";

/// The gateway of one host.
pub struct Relay {
    url: GatewayUrl,
    /// The certificates to trust; `None` for those of this system.
    ca: Option<PathBuf>,
    /// The authorities of this system, once they were read.
    system: OnceLock<Arc<ClientConfig>>,
    token: Token,
    /// The revision of a legacy handshake.
    agreed: Mutex<Option<String>>,
    patience: Duration,
}

/// A connection to the gateway.
enum Link {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// One message, its connection, and the host's wish to have no answer.
pub struct Exchange {
    /// The method of the message.
    pub method: String,
    id: Value,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    connection: Option<TcpStream>,
}

impl Exchange {
    /// The exchange of a message. A notification has the id `null`.
    pub fn new(method: String, id: Value) -> Self {
        Self { method, id, state: Mutex::default() }
    }

    /// Closes the connection; the host gets no answer.
    pub fn cancel(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.cancelled = true;
        if let Some(connection) = state.connection.take() {
            let _already_closed = connection.shutdown(Shutdown::Both);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    fn is_notification(&self) -> bool {
        self.id.is_null()
    }

    /// Keeps the connection for a cancellation.
    fn attach(&self, stream: &TcpStream) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cancelled {
            return Err(anyhow!("the host cancelled the request"));
        }
        state.connection = Some(stream.try_clone()?);
        Ok(())
    }
}

impl Relay {
    /// A relay to this gateway. With TLS, it trusts the certificates of `ca`, or those of the
    /// system.
    pub fn new(url: GatewayUrl, ca: Option<PathBuf>, token: Token) -> Self {
        let system = OnceLock::new();
        Self { url, ca, system, token, agreed: Mutex::default(), patience: RESTART }
    }

    /// Begins TLS, if the address has it.
    fn secure(&self, stream: TcpStream) -> Result<Link> {
        if !self.url.tls {
            return Ok(Link::Plain(stream));
        }
        let config = match (&self.ca, self.system.get()) {
            // Read for each request, because certificates are renewed.
            (Some(file), _) => pinned_tls::trusting(Some(file))?,
            (None, Some(config)) => Arc::clone(config),
            (None, None) => {
                let config = pinned_tls::trusting(None)?;
                Arc::clone(self.system.get_or_init(|| config))
            }
        };
        let host = self.url.host();
        let name = ServerName::try_from(host.to_owned())
            .with_context(|| format!("`{host}` is no name of a server"))?;
        let connection = ClientConnection::new(config, name)?;
        let mut stream = StreamOwned::new(connection, stream);
        // The whole handshake: a server that is not trusted gets no token and no message.
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).with_context(|| {
                format!(
                    "no TLS with `{}`; if a private authority signed its certificate, or it was \
                     replaced, name the certificate with `--ca FILE`",
                    self.url
                )
            })?;
        }
        Ok(Link::Tls(Box::new(stream)))
    }

    /// The same without a second attempt to connect.
    #[cfg(test)]
    pub fn at_once(self) -> Self {
        Self { patience: Duration::ZERO, ..self }
    }

    /// Sends a message and gives each message that comes back to `output`, which returns false if
    /// the host is gone. A request gets exactly one answer, unless the host cancelled it.
    pub fn carry(
        &self,
        exchange: &Exchange,
        message: &Value,
        line: &str,
        output: &mut dyn FnMut(String) -> bool,
    ) {
        let mut answered = false;
        let done = self.exchange(exchange, message, line, &mut |heard, text| {
            let is_answer = heard.get("method").is_none();
            answered |= is_answer;
            if is_answer && exchange.method == "initialize" {
                self.agree(heard);
            }
            exchange.is_cancelled() || output(text)
        });
        if answered || exchange.is_cancelled() {
            return;
        }
        let words = match done {
            Ok(()) if exchange.is_notification() => return,
            Ok(()) => format!("the server at `{}` gave no answer; check the address", self.url),
            Err(error) => cofferdam_core::model::escape::chain(error.as_ref()),
        };
        eprintln!("cofferdam stdio: {}: {words}", exchange.method.escape_debug());
        if !exchange.is_notification() {
            output(fault(&exchange.id, SERVER_ERROR, &words).to_string());
        }
    }

    fn exchange(
        &self,
        exchange: &Exchange,
        message: &Value,
        line: &str,
        hear: &mut dyn FnMut(&Value, String) -> bool,
    ) -> Result<()> {
        let token = self.token.read()?;
        let stream = self.connect(exchange)?;
        http::bound(&stream)?;
        exchange.attach(&stream)?;
        let mut stream = self.secure(stream)?;
        let request = Request {
            method: "POST",
            path: &self.url.path,
            token: token.as_deref(),
            key: None,
            body: Some(line),
        };
        http::put(&mut stream, &self.url.authority, &request, &self.headers(exchange, message))?;
        let response = Response::read(BufReader::new(stream)).context(CUT)?;
        let status = response.status;
        if response.media == "text/event-stream" {
            let mut events = Events::new(BufReader::new(response.body));
            while let Some(text) = events.next().context(CUT)? {
                let goes_on = self.hear(exchange, status, &text, hear)?;
                if !goes_on {
                    return Ok(());
                }
            }
            return Err(anyhow!(CUT));
        }
        let mut text = String::new();
        response.body.take(http::LONGEST).read_to_string(&mut text).context(CUT)?;
        if text.is_empty() && exchange.is_notification() && (200..300).contains(&status) {
            return Ok(());
        }
        self.hear(exchange, status, &text, hear).map(|_| ())
    }

    /// Hears one message of the gateway. Returns whether more can follow.
    fn hear(
        &self,
        exchange: &Exchange,
        status: u16,
        text: &str,
        hear: &mut dyn FnMut(&Value, String) -> bool,
    ) -> Result<bool> {
        let mut heard = serde_json::from_str::<Value>(text)
            .ok()
            .filter(|heard| heard.get("jsonrpc").is_some())
            .with_context(|| {
                let url = &self.url;
                format!(
                    "the server at `{url}` answered HTTP {status} without a message of MCP; \
                         check the address"
                )
            })?;
        if heard.get("method").is_some() {
            return Ok(hear(&heard, on_one_line(text, &heard)));
        }
        let remedy = (status == 401).then(|| {
            format!("; give the bridge a token in the variable {TOKEN} or with `--token-file FILE`")
        });
        let said = heard.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
        let said = format!("{said}{}", remedy.as_deref().unwrap_or_default());
        if exchange.is_notification() {
            // There is no request to answer.
            return Err(anyhow!("the gateway refused the notification: {said}"));
        }
        if remedy.is_none() && heard.get("id") == Some(&exchange.id) {
            hear(&heard, on_one_line(text, &heard));
            return Ok(false);
        }
        // An answer before the body was read has no id.
        if let Some(answer) = heard.as_object_mut() {
            answer.insert("id".to_owned(), exchange.id.clone());
            if let Some(error) = answer.get_mut("error").and_then(Value::as_object_mut) {
                error.insert("message".to_owned(), said.into());
            }
        }
        let text = heard.to_string();
        hear(&heard, text);
        Ok(false)
    }

    /// Remembers the revision of a handshake: later requests name it in a header.
    fn agree(&self, answer: &Value) {
        if let Some(agreed) = answer.pointer("/result/protocolVersion").and_then(Value::as_str) {
            let mut known = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some(agreed.to_owned());
        }
    }

    /// The headers that mirror the message. The gateway compares them with it.
    fn headers(&self, exchange: &Exchange, message: &Value) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Accept", "application/json, text/event-stream".to_owned())];
        let member = |name: &str| message.get("params").and_then(|params| params.get(name));
        let method = exchange.method.as_str();
        if let Some(revision) = member("_meta").and_then(|meta| meta.get(REVISION)?.as_str()) {
            headers.push(("MCP-Protocol-Version", encoded(revision)));
            headers.push(("Mcp-Method", encoded(method)));
            let name = match method {
                "tools/call" | "prompts/get" => member("name"),
                "resources/read" => member("uri"),
                _ if method.starts_with("tasks/") => member("taskId"),
                _ => None,
            };
            let name = name.and_then(Value::as_str);
            headers.extend(name.map(|name| ("Mcp-Name", encoded(name))));
        } else if method != "initialize" {
            let agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner);
            headers
                .extend(agreed.as_deref().map(|agreed| ("MCP-Protocol-Version", encoded(agreed))));
        }
        headers
    }

    /// Connects to the gateway, and waits for one that starts again.
    fn connect(&self, exchange: &Exchange) -> Result<TcpStream> {
        let until = Instant::now() + self.patience;
        loop {
            let error = match self.attempt() {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            if Instant::now() >= until || exchange.is_cancelled() {
                return Err(error).with_context(|| {
                    format!(
                        "nothing answers at `{}`; start `cofferdam serve`, then repeat the request",
                        self.url
                    )
                });
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn attempt(&self) -> std::io::Result<TcpStream> {
        let mut last = std::io::ErrorKind::NotFound.into();
        for address in self.url.target().to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, http::CONNECT) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The fault of a connection that ended too early.
const CUT: &str = "the connection to the gateway ended before the answer; a call may still run: \
                   send the same call again to join it, or list your calls with `calls_list`";

/// A message without line breaks: the text itself if it has none.
fn on_one_line(text: &str, value: &Value) -> String {
    match text.contains(['\n', '\r']) {
        true => value.to_string(),
        false => text.to_owned(),
    }
}

/// The value of a header that mirrors a text (revision 2026-07-28, "Value Encoding").
fn encoded(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && text.trim() == text
        && !text.is_empty()
        && !text.starts_with("=?base64?");
    match plain {
        true => text.to_owned(),
        false => {
            format!("=?base64?{}?=", base64::engine::general_purpose::STANDARD.encode(text))
        }
    }
}

/// An answer of the bridge itself.
pub fn fault(id: &Value, code: i64, words: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": words}})
}
