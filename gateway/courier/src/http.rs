//! One HTTP/1.1 request for each connection, and one bounded response. Never follows a redirect,
//! never repeats a request, and never keeps a connection.

use crate::cache_age::cache_seconds;
use crate::retry_after::retry_after;
use crate::trust::Authorization;
use bytes::Bytes;
use cofferdam_core::model::web_address::{Place, WebAddress};
use cofferdam_core::protocol::courier::{BODY, FetchError};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST,
    HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::http::request::Builder;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Most bytes of the head of a response.
const HEAD: usize = 64 * 1024;

/// Most addresses of a name that are tried.
const ADDRESSES: usize = 4;

/// A request to a server.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// `GET`, for JSON.
    Get,
    /// `POST` of a form, for JSON.
    Post {
        /// The form, encoded.
        form: &'a str,
        /// The client.
        client: &'a Authorization,
    },
}

/// A message to a server that only has to take it.
#[derive(Debug, Clone)]
pub struct Post {
    /// Further header lines.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, as JSON.
    pub body: Bytes,
}

/// The response that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The status 200, and a body.
    Body,
    /// Any status from 200 to 299. The body is not read.
    Taken,
}

/// A response with the status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The body, as text.
    pub body: String,
    /// How long it may be kept, in seconds.
    pub cache_seconds: u32,
}

/// A message that a server did not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}{}", asked(.retry_after.as_ref()))]
pub struct PostError {
    /// The cause.
    pub error: FetchError,
    /// The pause that the server asked for, bounded.
    pub retry_after: Option<Duration>,
}

fn asked(pause: Option<&Duration>) -> String {
    pause.map(|pause| format!(" and asks for a pause of {} s", pause.as_secs())).unwrap_or_default()
}

/// A failed exchange, with the `Retry-After` of the response.
struct Failure {
    error: FetchError,
    retry_after: Option<HeaderValue>,
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self { error, retry_after: None }
    }
}

/// The way to servers.
pub struct Http {
    tls: TlsConnector,
    connect: Duration,
}

impl Http {
    /// Trusts the certificates of `tls`. `connect` is the time limit of TCP and TLS, for each
    /// address of a server.
    pub fn new(tls: Arc<ClientConfig>, connect: Duration) -> Self {
        Self { tls: TlsConnector::from(tls), connect }
    }

    /// Sends a request and reads the response. The caller limits the time.
    ///
    /// # Errors
    /// There is no response with the status 200 and a body within the limit.
    pub async fn exchange(
        &self,
        address: &WebAddress,
        ask: Ask<'_>,
    ) -> Result<Response, FetchError> {
        let sent = self.send(address.place(), request(address, ask)?, Wanted::Body).await;
        sent.map_err(|failure| failure.error)
    }

    /// Sends a message, and reads no more than the status of the response. The caller limits the
    /// time. An error never has the path of the address, which may be a secret. `now` is the time
    /// for a `Retry-After` with a date.
    ///
    /// # Errors
    /// The server did not take it.
    pub async fn post(
        &self,
        address: &WebAddress,
        post: Post,
        now: Timestamp,
    ) -> Result<(), PostError> {
        self.send_message(address, post).await.map_err(|Failure { error, retry_after: asked }| {
            let asked = asked.as_ref().and_then(|value| value.to_str().ok());
            PostError { error, retry_after: asked.and_then(|value| retry_after(value, now)) }
        })
    }

    async fn send_message(&self, address: &WebAddress, post: Post) -> Result<(), Failure> {
        let mut request = start(address)
            .method(Method::POST)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in post.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(post.body)).map_err(|_| unsendable(address))?;
        self.send(address.place(), request, Wanted::Taken).await.map(drop)
    }

    async fn send(
        &self,
        place: &Place,
        request: Request<Full<Bytes>>,
        wanted: Wanted,
    ) -> Result<Response, Failure> {
        let stream = self.connect(place).await?;
        if !place.secure {
            return answer(stream, request, wanted).await;
        }
        let name = ServerName::try_from(place.host.clone()).map_err(|error| {
            FetchError::NotConfigured { detail: format!("`{}`: {error}", place.host) }
        })?;
        let secured = timeout(self.connect, self.tls.connect(name, stream)).await;
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let secured = secured.unwrap_or_else(|_| Err(late())).map_err(|error| {
            let detail = format!(
                "no TLS with {place}: {error}; if a private CA signed its certificate, name the CA \
                 in `ca_file`"
            );
            FetchError::Unreachable { detail }
        })?;
        answer(secured, request, wanted).await
    }

    async fn connect(&self, place: &Place) -> Result<TcpStream, FetchError> {
        let lost = |error: io::Error| FetchError::Unreachable {
            detail: format!("no connection to {place}: {error}"),
        };
        let addresses: Vec<SocketAddr> = match place.address() {
            Some(address) => vec![SocketAddr::new(address, place.port)],
            None => {
                let found = lookup_host((place.host.as_str(), place.port)).await.map_err(lost)?;
                // Plain HTTP is for this machine alone, whatever a name server says.
                found
                    .filter(|address| place.secure || address.ip().is_loopback())
                    .take(ADDRESSES)
                    .collect()
            }
        };
        let mut last = io::Error::other("the name has no address");
        for address in addresses {
            match timeout(self.connect, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_late) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(lost(last))
    }
}

/// The header lines of every request.
fn start(address: &WebAddress) -> Builder {
    Request::builder()
        .uri(address.target())
        .header(HOST, address.place().header())
        .header(USER_AGENT, "cofferdam-courier")
        .header(ACCEPT, "application/json")
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
}

/// The error of a request that cannot be made. That of a header could show its value.
fn unsendable(address: &WebAddress) -> FetchError {
    let place = address.place();
    FetchError::NotConfigured { detail: format!("no request can be made for {place}") }
}

fn request(address: &WebAddress, ask: Ask<'_>) -> Result<Request<Full<Bytes>>, FetchError> {
    let mut request = start(address);
    let body = match ask {
        Ask::Get => Bytes::new(),
        Ask::Post { form, client } => {
            request = request
                .method(Method::POST)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(AUTHORIZATION, client.value());
            Bytes::copy_from_slice(form.as_bytes())
        }
    };
    request.body(Full::new(body)).map_err(|_| unsendable(address))
}

async fn answer<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    wanted: Wanted,
) -> Result<Response, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    // Dropped, and so ended, with this request.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = response.status();
    if wanted == Wanted::Taken && status.is_success() {
        return Ok(Response { body: String::new(), cache_seconds: 0 });
    }
    if status != StatusCode::OK {
        let retry_after = response.headers().get(RETRY_AFTER).cloned();
        return Err(Failure {
            error: FetchError::Refused { status: status.as_u16() },
            retry_after,
        });
    }
    let (head, body) = response.into_parts();
    let body = Limited::new(body, BODY).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return FetchError::TooLarge;
        }
        match error.downcast_ref::<hyper::Error>() {
            Some(error) => broken(error),
            None => FetchError::Unreachable { detail: error.to_string() },
        }
    })?;
    let body = String::from_utf8(body.to_bytes().into())
        .map_err(|_| FetchError::Malformed { detail: "the body is not UTF-8".to_owned() })?;
    Ok(Response { body, cache_seconds: kept(&head.headers) })
}

fn kept(headers: &HeaderMap) -> u32 {
    let texts = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let age = texts(AGE).next();
    cache_seconds(texts(CACHE_CONTROL), age)
}

fn broken(error: &hyper::Error) -> FetchError {
    if error.is_parse() {
        FetchError::Malformed { detail: format!("it does not answer in HTTP: {error}") }
    } else {
        FetchError::Unreachable { detail: format!("the connection ended: {error}") }
    }
}
