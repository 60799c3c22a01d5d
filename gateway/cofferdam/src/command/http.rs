//! A small HTTP/1.1 client for the edge on this machine: one request for each connection, one
//! bounded response, read whole or piece by piece; with TLS if the edge has it. Never a redirect.

use super::pinned_tls;
use crate::config::Edge;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The most bytes of a response: a list of many tools with their schemas is far smaller.
pub const LONGEST: u64 = 16 << 20;
/// The time limit of each read and write: longer than the edge holds a call.
const PATIENCE: Duration = Duration::from_secs(75);
/// The time limit of connecting.
pub const CONNECT: Duration = Duration::from_secs(5);
/// The most bytes of a response's head.
const HEAD: u64 = 64 << 10;
/// The most headers of a response.
const HEADERS: usize = 64;
/// The most bytes of the line before a chunk.
const CHUNK_LINE: u64 = 1 << 10;
/// A server at the address that is not an edge.
const BROKEN: &str = "the server at this address is not a Cofferdam edge";

/// One request to the edge.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method: `GET`, `POST` or `DELETE`.
    pub method: &'a str,
    /// The path and the query.
    pub path: &'a str,
    /// The bearer token of the agent.
    pub token: Option<&'a str>,
    /// The idempotency key of the client.
    pub key: Option<&'a str>,
    /// The body, as JSON text.
    pub body: Option<&'a str>,
}

/// One response of the edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The body, parsed as JSON.
    pub body: Value,
}

/// Sends a request and reads the whole response.
pub fn send(edge: &Edge, request: &Request<'_>) -> Result<Answer> {
    let lost = || {
        let url = edge.url();
        format!("nothing answers at {url}; start `cofferdam serve`, with the same `--home`")
    };
    let stream = TcpStream::connect_timeout(&edge.listen, CONNECT).with_context(lost)?;
    bound(&stream).with_context(lost)?;
    match &edge.tls {
        None => exchange(stream, edge, request, &lost),
        Some(tls) => {
            let stream = pinned_tls::connect(stream, edge.listen, &tls.certificate)?;
            exchange(stream, edge, request, &lost)
        }
    }
}

fn exchange(
    mut stream: impl Read + Write,
    edge: &Edge,
    request: &Request<'_>,
    lost: &dyn Fn() -> String,
) -> Result<Answer> {
    // The edge answers for this name, whatever its own address and `hosts` are.
    let host = format!("localhost:{}", edge.listen.port());
    let headers = [("Accept", "application/json".to_owned())];
    put(&mut stream, &host, request, &headers).with_context(lost)?;
    answer(BufReader::new(stream))
}

/// Sends a request with more headers over a connection.
///
/// # Errors
/// The connection broke, or a header has characters that HTTP does not permit.
pub fn put(
    stream: &mut impl Write,
    host: &str,
    request: &Request<'_>,
    headers: &[(&str, String)],
) -> Result<()> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n",
        request.method, request.path
    );
    let own = [
        ("Authorization", request.token.map(|token| format!("Bearer {token}"))),
        ("Idempotency-Key", request.key.map(str::to_owned)),
    ];
    let own = own.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?)));
    for (name, value) in own.chain(headers.iter().map(|(name, value)| (*name, value))) {
        if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            bail!("the value of `{name}` has characters that are not permitted in HTTP");
        }
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = request.body {
        head.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(request.body.unwrap_or_default().as_bytes())?;
    stream.flush()?;
    Ok(())
}

/// Bounds each read and write of a connection.
///
/// # Errors
/// The connection broke.
pub fn bound(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// Reads a whole response.
///
/// # Errors
/// The connection broke, or the response is too long or not JSON.
pub fn answer(reader: impl BufRead) -> Result<Answer> {
    let response = Response::read(reader)?;
    let status = response.status;
    let mut bytes = Vec::new();
    response.body.take(LONGEST + 1).read_to_end(&mut bytes).context(
        "the response is incomplete; repeat the call with the same `--key` to join the first one",
    )?;
    if bytes.len() as u64 > LONGEST {
        bail!("the answer is longer than {LONGEST} bytes");
    }
    let body = match bytes.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&bytes).context(BROKEN)?,
    };
    Ok(Answer { status, body })
}

/// A response whose head was read.
#[derive(Debug)]
pub struct Response<R> {
    /// The HTTP status code.
    pub status: u16,
    /// The media type of the body, in lower case and without parameters.
    pub media: String,
    /// The body.
    pub body: Body<R>,
}

impl<R: BufRead> Response<R> {
    /// Reads the head of a response.
    ///
    /// # Errors
    /// The connection broke, or the server does not speak HTTP/1.1.
    pub fn read(mut reader: R) -> Result<Self> {
        let mut head = Vec::new();
        loop {
            let most = HEAD.saturating_sub(head.len() as u64);
            let read = (&mut reader).take(most).read_until(b'\n', &mut head)?;
            if read == 0 {
                bail!(BROKEN);
            }
            if head.ends_with(b"\r\n\r\n") {
                break;
            }
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        response.parse(&head).context(BROKEN)?;
        let status = response.code.context(BROKEN)?;
        let header = |name: &str| {
            response
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case(name))
                .and_then(|header| std::str::from_utf8(header.value).ok())
                .map(str::trim)
        };
        let chunked = header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        let length = header("content-length").map(str::parse).transpose().context(BROKEN)?;
        let framing = match (chunked, length) {
            (true, _) => Framing::Chunks { left: 0, first: true },
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::Close,
        };
        let media = header("content-type").unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Ok(Self { status, media, body: Body { reader, framing } })
    }
}

/// The end of a body (RFC 9112, section 6.3).
#[derive(Debug)]
enum Framing {
    /// These bytes are left.
    Length(u64),
    /// These bytes are left of the chunk.
    Chunks { left: u64, first: bool },
    /// The body ends with the connection.
    Close,
    /// The body ended.
    End,
}

/// The body of a response. A body that breaks off is an error.
#[derive(Debug)]
pub struct Body<R> {
    reader: R,
    framing: Framing,
}

impl<R: BufRead> Body<R> {
    /// Reads the line before the next chunk and returns the chunk's length.
    fn chunk(&mut self, first: bool) -> io::Result<u64> {
        let mut line = Vec::new();
        if !first {
            (&mut self.reader).take(2).read_until(b'\n', &mut line)?;
            if line != b"\r\n" {
                return Err(io::ErrorKind::InvalidData.into());
            }
            line.clear();
        }
        (&mut self.reader).take(CHUNK_LINE).read_until(b'\n', &mut line)?;
        match httparse::parse_chunk_size(&line) {
            Ok(httparse::Status::Complete((_, size))) => Ok(size),
            Ok(httparse::Status::Partial) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Framing::Chunks { left: 0, first } = self.framing {
            self.framing = match self.chunk(first)? {
                0 => Framing::End,
                left => Framing::Chunks { left, first: false },
            };
        }
        let left = match self.framing {
            Framing::End | Framing::Length(0) => return Ok(0),
            Framing::Close => return self.reader.read(buffer),
            Framing::Length(left) | Framing::Chunks { left, .. } => left,
        };
        let read = (&mut self.reader).take(left).read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = left.saturating_sub(read as u64);
        self.framing = match self.framing {
            Framing::Length(_) => Framing::Length(left),
            _ => Framing::Chunks { left, first: false },
        };
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(bytes: &str, expect: Option<(u16, Value)>) {
        assert_eq!(
            answer(bytes.as_bytes()).ok().map(|answer| (answer.status, answer.body)),
            expect,
            "{bytes}"
        );
    }

    #[test]
    fn whole_answers_are_read_and_others_are_not() {
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}",
            Some((200, json!({"a": 1}))),
        );
        check(
            "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: \
             chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\n\r\n",
            Some((403, json!({"a": 1}))),
        );
        check("HTTP/1.1 204 No Content\r\n\r\n", Some((204, Value::Null)));
        check("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":1}", None);
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{\"a\":1}", None);
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{\"a\":1}", None);
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n{\"a\":1}\r\n0\r\n", None);
        check("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n", None);
        check("HTTP/2 200\r\n\r\n{}", None);
        check("SSH-2.0-OpenSSH\r\n", None);
        check(&format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(70 << 10)), None);
    }
}
