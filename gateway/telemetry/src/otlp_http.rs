//! One HTTP/1.1 POST over a new TCP connection: the whole of OTLP over HTTP. Plain `http` to a
//! collector nearby; no TLS, no redirects, no kept connections. Never used for anything else.

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The time limit of a request to the collector.
const WITHIN: Duration = Duration::from_secs(5);

/// The port of a URL without a port.
const HTTP: u16 = 80;

/// Most bytes of a response; responses of a collector are short.
const ANSWER: u64 = 64 * 1024;

/// The HTTP client of the exporters.
#[derive(Debug)]
pub(crate) struct OtlpClient;

/// The address of a collector, as far as confinement needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collector {
    /// The TCP port.
    pub port: u16,
    /// True if the URL has an IP address, so that no name has to be looked up.
    pub is_address: bool,
}

/// The address of the collector is not a plain `http` URL.
#[derive(Debug, thiserror::Error)]
#[error("the collector's address `{0}` is not `http://host:port/path`")]
pub struct CollectorError(String);

/// Returns the address of the collector of this URL, which the gateway has to be able to connect
/// to.
/// # Errors
/// The URL is not an `http` URL with a host.
pub fn collector(url: &str) -> Result<Collector, CollectorError> {
    let request =
        Request::builder().uri(url).body(()).map_err(|_| CollectorError(url.to_owned()))?;
    reached(&request).map(|(_, collector)| collector)
}

/// The host without brackets, and the address.
fn reached<T>(request: &Request<T>) -> Result<(&str, Collector), CollectorError> {
    let uri = request.uri();
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) => {
            let host = authority.host().trim_matches(['[', ']']);
            let is_address = host.parse::<std::net::IpAddr>().is_ok();
            Ok((host, Collector { port: authority.port_u16().unwrap_or(HTTP), is_address }))
        }
        _ => Err(CollectorError(uri.to_string())),
    }
}

#[derive(Debug, thiserror::Error)]
enum OtlpHttpError {
    #[error("the collector's answer is not HTTP/1.1")]
    Answer,
}

#[async_trait]
impl HttpClient for OtlpClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        timeout(WITHIN, exchange(request)).await?
    }
}

async fn exchange(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let uri = request.uri();
    let (host, Collector { port, .. }) = reached(&request)?;
    let (path, authority) =
        (uri.path(), uri.authority().map_or("", |authority| authority.as_str()));
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: {}\r\n",
        request.body().len()
    );
    for (name, value) in request.headers() {
        if name != "host" && name != "connection" && name != "content-length" {
            head.push_str(&format!("{name}: {}\r\n", value.to_str()?));
        }
    }
    head.push_str("\r\n");

    let mut stream = TcpStream::connect((host, port)).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(request.body()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer).await?;
    Ok(Response::builder()
        .status(status(&answer).ok_or(OtlpHttpError::Answer)?)
        .body(Bytes::new())?)
}

/// Returns the code of a status line such as `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next()?.strip_prefix("HTTP/1.")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_one_port_of_one_host() {
        for (url, port, is_address) in [
            ("http://127.0.0.1:4318", 4318, true),
            ("http://[::1]:4318/", 4318, true),
            ("http://collector.observe:4318", 4318, false),
            ("http://collector", 80, false),
        ] {
            assert_eq!(collector(url).unwrap(), Collector { port, is_address }, "{url}");
        }
        for url in ["https://collector:4318", "collector:4318", "http://", ""] {
            assert!(collector(url).is_err(), "{url}");
        }
    }
}
