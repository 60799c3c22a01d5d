//! A small HTTP/1.1 client for the edge on this machine: one request for each connection, one
//! bounded response. Never TLS, never a redirect.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The most bytes of a response: a list of many tools with their schemas is far smaller.
const LONGEST: u64 = 16 << 20;
/// The time limit of a request: longer than the edge holds a call.
const PATIENCE: Duration = Duration::from_secs(75);
/// The time limit of connecting.
const CONNECT: Duration = Duration::from_secs(5);

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
pub fn send(edge: SocketAddr, request: &Request<'_>) -> Result<Answer> {
    let lost = || {
        format!("nothing answers at http://{edge}; start `cofferdam serve`, with the same `--home`")
    };
    let mut stream = TcpStream::connect_timeout(&edge, CONNECT).with_context(lost)?;
    stream.set_read_timeout(Some(PATIENCE)).with_context(lost)?;
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {edge}\r\nConnection: close\r\nAccept: application/json\r\n",
        request.method, request.path
    );
    for (name, value) in [
        ("Authorization", request.token.map(|token| format!("Bearer {token}"))),
        ("Idempotency-Key", request.key.map(str::to_owned)),
    ] {
        if let Some(value) = value {
            if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
                bail!("the value of `{name}` has characters that are not permitted in HTTP");
            }
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if let Some(body) = request.body {
        head.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    head.push_str("\r\n");
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(request.body.unwrap_or_default().as_bytes()))
        .with_context(lost)?;
    let mut bytes = Vec::new();
    stream.take(LONGEST + 1).read_to_end(&mut bytes).context(
        "the response is incomplete; repeat the call with the same `--key` to join the first one",
    )?;
    if bytes.len() as u64 > LONGEST {
        bail!("the answer is longer than {LONGEST} bytes");
    }
    parse(&bytes)
}

/// Parses a whole response.
fn parse(bytes: &[u8]) -> Result<Answer> {
    let broken = "the server at this address is not a Cofferdam edge";
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").context(broken)?;
    let (head, rest) = bytes.split_at_checked(end + 4).context(broken)?;
    let head = std::str::from_utf8(head).context(broken)?;
    let mut lines = head.split("\r\n");
    let status: u16 = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|line| line.split(' ').next())
        .and_then(|code| code.parse().ok())
        .context(broken)?;
    let header = |name: &str| {
        head.split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let body = if header("transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    {
        unchunk(rest).context(broken)?
    } else {
        match header("content-length").map(str::parse::<usize>).transpose().context(broken)? {
            Some(length) => rest.get(..length).context("the answer broke off")?.to_vec(),
            None => rest.to_vec(),
        }
    };
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).context(broken)?
    };
    Ok(Answer { status, body })
}

/// Joins chunks (RFC 9112, section 7.1) and ignores trailers.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let (line, after) = rest.split_at_checked(end)?;
        let size = std::str::from_utf8(line).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let (chunk, after) = after.get(2..)?.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(bytes: &str, expect: Option<(u16, Value)>) {
        assert_eq!(
            parse(bytes.as_bytes()).ok().map(|answer| (answer.status, answer.body)),
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
        check("HTTP/2 200\r\n\r\n{}", None);
        check("SSH-2.0-OpenSSH\r\n", None);
    }
}
