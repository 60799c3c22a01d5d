//! One HTTP/1.1 POST over a fresh TCP connection: all that OTLP over HTTP asks of a client. Plain `http` to a collector beside us; no TLS, no
//! redirects, no keeping alive. Never used for anything else.

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a collector may take, all told.
const WITHIN: Duration = Duration::from_secs(5);

/// Bytes of an answer: a collector says next to nothing.
const ANSWER: u64 = 64 * 1024;

/// Posts to one collector.
#[derive(Debug)]
pub(crate) struct Post;

#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error("the collector's address `{0}` is not `http://host:port/path`")]
    Address(String),
    #[error("the collector's answer is not HTTP/1.1")]
    Answer,
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        timeout(WITHIN, exchange(request)).await?
    }
}

async fn exchange(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let uri = request.uri();
    let address = || PostError::Address(uri.to_string());
    let (host, path) = match (uri.scheme_str(), uri.authority(), uri.path_and_query()) {
        (Some("http"), Some(host), Some(path)) => (host.clone(), path.clone()),
        _ => return Err(address().into()),
    };
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n", request.body().len());
    for (name, value) in request.headers() {
        if name != "host" && name != "connection" && name != "content-length" {
            head.push_str(&format!("{name}: {}\r\n", value.to_str()?));
        }
    }
    head.push_str("\r\n");

    let port = host.port_u16().unwrap_or(80);
    let mut stream = TcpStream::connect((host.host().trim_matches(['[', ']']), port)).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(request.body()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer).await?;
    Ok(Response::builder().status(status(&answer).ok_or(PostError::Answer)?).body(Bytes::new())?)
}

/// The code of `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next()?.strip_prefix("HTTP/1.")?;
    words.next()?.parse().ok()
}
