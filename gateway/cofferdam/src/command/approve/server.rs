//! A gateway on another machine, as an approver reaches it: signs in with the approver's own key,
//! reads questions and hands in signatures. Trusts no answer: the caller derives what is signed from
//! plan and preview. Plain HTTP only to this machine itself.

use crate::command::approver::is_name;
use crate::command::gateway_url::GatewayUrl;
use crate::command::http::{self, Answer, Request};
use crate::command::pinned_tls;
use crate::command::ssh::Signer;
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::model::escape::line;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::sign_in::{
    Challenge, SIGN_IN_NAMESPACE, SIGN_IN_SCHEMA, SIGN_IN_TEXT, Session, SignIn, SignedSignIn,
};
use cofferdam_core::protocol::approver::{ApproverAnswer, ApproverAsk, SignaturesNow};
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cell::RefCell;
use std::io::{BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// The longest time to the end of a challenge that is signed: gateways give two minutes, and clocks
/// differ.
const CHALLENGE: SignedDuration = SignedDuration::from_mins(30);

/// The path of all requests.
const APPROVALS: &str = "/v1/approvals";

/// A gateway, with a session of this approver.
pub struct Server {
    url: GatewayUrl,
    tls: Option<Arc<ClientConfig>>,
    signer: Rc<Signer>,
    session: RefCell<Session>,
}

impl Server {
    /// Signs in at a gateway. `ca` has the certificates to trust.
    ///
    /// # Errors
    /// The server cannot be reached or trusted, or it does not take this key.
    pub fn sign_in(url: GatewayUrl, ca: Option<&Path>, signer: Rc<Signer>) -> Result<Self> {
        let tls = url.tls.then(|| pinned_tls::trusting(ca)).transpose()?;
        if tls.is_none() && ca.is_some() {
            bail!("`--ca` is for an address with https://, and `{url}` has none");
        }
        let session = begin(&url, tls.as_ref(), &signer)?;
        Ok(Self { url, tls, signer, session: RefCell::new(session) })
    }

    /// The address of the gateway.
    pub fn url(&self) -> &GatewayUrl {
        &self.url
    }

    /// The approver's name, by the server.
    pub fn approver(&self) -> String {
        self.session.borrow().approver.clone()
    }

    /// The key of this approver.
    pub fn signer(&self) -> Rc<Signer> {
        Rc::clone(&self.signer)
    }

    /// Another connection of this session, for another thread.
    pub fn watcher(&self) -> Watcher {
        let session = self.session.borrow().session.clone();
        Watcher { url: self.url.clone(), tls: self.tls.clone(), session }
    }

    /// Sends a request; signs in again if the session has ended.
    ///
    /// # Errors
    /// The server refuses the request, or cannot be reached.
    pub fn ask(&self, ask: &ApproverAsk) -> Result<ApproverAnswer> {
        let (method, path, body) = request(ask)?;
        let send = || {
            let session = self.session.borrow().session.clone();
            exchange(&self.url, self.tls.as_ref(), method, &path, Some(&session), body.as_deref())
        };
        let mut answer = send()?;
        if answer.status == 401 {
            *self.session.borrow_mut() = begin(&self.url, self.tls.as_ref(), &self.signer)?;
            answer = send()?;
        }
        parsed(answer)
    }
}

/// Looks at the signatures of a question while a person reads. Never signs in.
pub struct Watcher {
    url: GatewayUrl,
    tls: Option<Arc<ClientConfig>>,
    session: String,
}

impl Watcher {
    /// The signatures, as soon as there are other ones than these many, or after some seconds.
    ///
    /// # Errors
    /// The server refuses the request, or cannot be reached.
    pub fn look(&self, call: &CallId, known: u32) -> Result<SignaturesNow> {
        let (method, path, _) =
            request(&ApproverAsk::Watch { call: call.clone(), known, wait_ms: 0 })?;
        let session = Some(self.session.as_str());
        match parsed(exchange(&self.url, self.tls.as_ref(), method, &path, session, None)?)? {
            ApproverAnswer::Signatures(now) => Ok(now),
            _ => bail!("the server gave an unexpected answer"),
        }
    }
}

/// The method, the path and the body of a request.
fn request(ask: &ApproverAsk) -> Result<(&'static str, String, Option<String>)> {
    let of = |call: &CallId, rest: &str| format!("{APPROVALS}/{call}{rest}");
    Ok(match ask {
        ApproverAsk::Waiting => ("GET", APPROVALS.to_owned(), None),
        ApproverAsk::Question { call } => ("GET", of(call, ""), None),
        ApproverAsk::Preview { call } => ("GET", of(call, "/preview"), None),
        ApproverAsk::Follow { call, wait_ms } => {
            ("GET", of(call, &format!("/state?wait={}", wait_ms.div_ceil(1_000))), None)
        }
        ApproverAsk::Watch { call, known, .. } => {
            ("GET", of(call, &format!("/signatures?known={known}")), None)
        }
        ApproverAsk::Sign { call, signed } => {
            ("POST", of(call, ""), Some(serde_json::to_string(signed)?))
        }
    })
}

/// Gets a challenge, signs it for exactly this server, and begins a session.
fn begin(url: &GatewayUrl, tls: Option<&Arc<ClientConfig>>, signer: &Signer) -> Result<Session> {
    let path = |rest: &str| format!("{APPROVALS}/{rest}");
    let given: Challenge = parsed(exchange(url, tls, "GET", &path("challenge"), None, None)?)?;
    let statement = to_sign(url, given, Timestamp::now())?.canonical()?;
    if matches!(signer, Signer::Agent(..)) {
        eprintln!("Signing in at {url}; a security key waits for your touch.");
    }
    let signature = signer.sign(SIGN_IN_NAMESPACE, statement.as_bytes())?;
    let signed = serde_json::to_string(&SignedSignIn { statement, signature })?;
    let session: Session =
        parsed(exchange(url, tls, "POST", &path("session"), None, Some(&signed))?)?;
    if !is_name(&session.approver) {
        bail!("`{url}` gave no valid name of an approver");
    }
    Ok(session)
}

/// The text of a sign-in. Refuses a challenge that is not one of a gateway: the approver signs no
/// free text of a server.
fn to_sign(url: &GatewayUrl, given: Challenge, now: Timestamp) -> Result<SignIn> {
    let Challenge { challenge, expires } = given;
    let formed = !challenge.is_empty()
        && challenge.len() <= SIGN_IN_TEXT
        && challenge.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'.');
    if !formed {
        bail!("`{url}` gave no challenge of a gateway; nothing was signed");
    }
    if expires.duration_since(now) > CHALLENGE {
        bail!(
            "`{url}` gave a challenge that counts until {expires}; nothing was signed; compare the \
             clocks of the machines"
        );
    }
    let schema = SIGN_IN_SCHEMA.to_owned();
    Ok(SignIn { schema, server: url.authority.clone(), challenge, expires })
}

/// Parses a successful answer; any other is an error in the words of the server.
fn parsed<T: DeserializeOwned>(answer: Answer) -> Result<T> {
    let Answer { status, body } = answer;
    if status == 200 {
        return serde_json::from_value(body).context(
            "the server gave an unexpected answer; is it of the same version as this command?",
        );
    }
    let said = body.get("error").and_then(|error| error.get("text")).and_then(Value::as_str);
    Err(match said {
        Some(said) => anyhow!("the server says: {}", line(said)),
        None => anyhow!("the server answered with the status {status}; check the address"),
    })
}

fn exchange(
    url: &GatewayUrl,
    tls: Option<&Arc<ClientConfig>>,
    method: &str,
    path: &str,
    session: Option<&str>,
    body: Option<&str>,
) -> Result<Answer> {
    let path = url.beside(path);
    let request = Request { method, path: &path, token: session, key: None, body };
    let stream = connect(url)?;
    let Some(config) = tls else { return send(stream, url, &request) };
    let name = ServerName::try_from(url.host().to_owned())
        .with_context(|| format!("`{}` is no name of a host", url.host()))?;
    let connection = ClientConnection::new(Arc::clone(config), name)?;
    send(StreamOwned::new(connection, stream), url, &request).with_context(|| {
        format!(
            "`{url}` was not reached over TLS; if its certificate is not trusted here, give it or \
             its CA with `--ca FILE`"
        )
    })
}

fn send(mut stream: impl Read + Write, url: &GatewayUrl, request: &Request<'_>) -> Result<Answer> {
    http::put(&mut stream, &url.authority, request, &[("Accept", "application/json".to_owned())])?;
    http::answer(BufReader::new(stream))
}

/// Connects, without TLS only to this machine: on another way, anyone could read the change and
/// replace it.
fn connect(url: &GatewayUrl) -> Result<TcpStream> {
    let lost = || format!("no server answers at `{url}`; check the address and the network");
    let mut last = std::io::ErrorKind::NotFound.into();
    for address in url.target().to_socket_addrs().with_context(lost)? {
        if !url.tls && !address.ip().is_loopback() {
            bail!(
                "`{url}` is plain HTTP to another machine, where others can read and change what \
                 you are shown; use https://"
            );
        }
        match TcpStream::connect_timeout(&address, http::CONNECT) {
            Ok(stream) => {
                http::bound(&stream).with_context(lost)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last).with_context(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_challenge_of_a_gateway_is_signed_and_it_names_the_server() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let url = GatewayUrl::parse("https://gate.example.com:8620/x/mcp").unwrap();
        let check = |challenge: &str, expires: &str| {
            let expires = expires.parse().unwrap();
            to_sign(&url, Challenge { challenge: challenge.to_owned(), expires }, now)
        };
        let good = check("00ff.ab", "2026-11-30T12:02:00Z").unwrap();
        assert_eq!(
            (good.server.as_str(), good.challenge.as_str()),
            ("gate.example.com:8620", "00ff.ab")
        );
        for challenge in ["", "I owe you", "{\"call\":\"x\"}", &"0".repeat(SIGN_IN_TEXT + 1)] {
            assert!(check(challenge, "2026-11-30T12:02:00Z").is_err(), "{challenge}");
        }
        assert!(check("00ff", "2026-12-30T12:02:00Z").is_err());
    }

    #[test]
    fn plain_http_goes_to_this_machine_alone() {
        let url = GatewayUrl::parse("http://192.0.2.1:8620").unwrap();
        let told = connect(&url).unwrap_err().to_string();
        assert!(told.contains("use https://"), "{told}");
    }
}
