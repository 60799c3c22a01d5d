//! The check that a request head can be read in one way only, and the framing of its body (RFC
//! 9112). Pure: reads no socket, and ignores the meaning of the request.

use crate::deny::Deny;
use crate::header::excerpt;
use crate::settings::{HEAD_BYTES, HEADERS};

/// The verdict on the bytes so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Judged {
    /// The head is not complete. The bytes before `seen` need no second check.
    Incomplete {
        /// The number of bytes with correct line ends.
        seen: usize,
    },
    /// The head is complete.
    Whole {
        /// The length in bytes, with the end of the head.
        length: usize,
        /// The framing of the body.
        framing: Framing,
    },
    /// The head is refused.
    Refused(Deny),
}

/// The framing of the body after a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A body of this number of bytes.
    Length(u64),
    /// A chunked body.
    Chunks,
}

/// The end of a head, with the end of its last line.
const END: &[u8] = b"\r\n\r\n";

/// The first byte of a TLS record that opens a connection.
pub const TLS: u8 = 0x16;

fn refused(error: impl Into<String>) -> Judged {
    Judged::Refused(Deny::Head(error.into()))
}

/// Checks the bytes so far. The first `seen` bytes passed an earlier check.
pub fn judge(bytes: &[u8], seen: usize) -> Judged {
    // An empty line before a request is skipped (§2.2).
    let start = bytes.chunks(2).take_while(|pair| *pair == b"\r\n").count() * 2;
    match bytes.get(start) {
        None | Some(b'\r' | b'\n') => {}
        Some(&TLS) => {
            return refused(
                "it begins like TLS, and this server speaks plain HTTP; use `http://`, or a proxy \
                 that ends TLS",
            );
        }
        Some(byte) if is_token(*byte) => {}
        Some(_) => return refused("it does not begin with a method; send HTTP/1.1"),
    }
    let from = seen.max(start);
    let mut before = from.checked_sub(1).and_then(|at| bytes.get(at)).copied().unwrap_or_default();
    let mut end = None;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match (before == b'\r', *byte == b'\n') {
            (false, true) => return refused("a line ends with LF alone; end each line with CR LF"),
            (true, false) => return refused("it holds a CR without LF; end each line with CR LF"),
            _ => before = *byte,
        }
        // The bytes after the end are not part of the head.
        if *byte == b'\n' && bytes.get(start..=at).is_some_and(|head| head.ends_with(END)) {
            end = Some(at + 1);
            break;
        }
    }
    match end {
        Some(length) if length <= HEAD_BYTES => whole(bytes, start, length),
        None if bytes.len() <= HEAD_BYTES => Judged::Incomplete { seen: bytes.len() },
        _ => Judged::Refused(Deny::HeadTooLarge),
    }
}

fn whole(bytes: &[u8], start: usize, length: usize) -> Judged {
    let text = bytes.get(start..length.saturating_sub(END.len())).unwrap_or_default();
    let mut lines =
        text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let old = match first.rsplit(|byte| *byte == b' ').next() {
        Some(b"HTTP/1.1") => false,
        Some(b"HTTP/1.0") => true,
        _ => return refused("its first line is not `METHOD TARGET HTTP/1.1`"),
    };
    let (mut count, mut lengths, mut codings) = (0, Vec::new(), Vec::new());
    for line in lines {
        count += 1;
        if count > HEADERS {
            return Judged::Refused(Deny::HeadTooLarge);
        }
        let (name, value) = match field(line) {
            Ok(field) => field,
            Err(error) => return Judged::Refused(Deny::Head(error)),
        };
        if name.eq_ignore_ascii_case("content-length") {
            lengths.push(value);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            codings.push(value);
        }
    }
    match framing(&lengths, &codings, old) {
        Ok(framing) => Judged::Whole { length, framing },
        Err(error) => Judged::Refused(Deny::Head(error)),
    }
}

/// Splits a line into name and value.
fn field(line: &[u8]) -> Result<(&str, String), String> {
    let shown = || {
        excerpt(&String::from_utf8_lossy(
            line.split(|byte| *byte == b':').next().unwrap_or_default(),
        ))
    };
    if line.first().is_some_and(|byte| b" \t".contains(byte)) {
        return Err("a line begins with a space; write each header on one line".into());
    }
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or_else(|| format!("the line `{}` has no colon", shown()))?;
    let (name, value) = line.split_at_checked(colon).unwrap_or_default();
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(format!(
            "`{}` is no header's name; write it without spaces: `NAME: VALUE`",
            shown()
        ));
    }
    let value = value.get(1..).unwrap_or_default();
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err(format!(
            "the header `{}` holds a control character; send visible characters",
            shown()
        ));
    }
    let name = std::str::from_utf8(name).map_err(|_| "a header's name is not ASCII".to_owned())?;
    Ok((name, String::from_utf8_lossy(value).trim_matches([' ', '\t']).to_owned()))
}

/// The framing of the body: a length, chunks, or no body.
fn framing(lengths: &[String], codings: &[String], old: bool) -> Result<Framing, String> {
    let length = lengths.first();
    if let (Some(length), Some(other)) =
        (length, lengths.iter().find(|other| Some(*other) != length))
    {
        let (length, other) = (excerpt(length), excerpt(other));
        return Err(format!(
            "`Content-Length` is there twice, as `{length}` and `{other}`; send it once"
        ));
    }
    if let (Some(length), Some(coding)) = (length, codings.first()) {
        let (length, coding) = (excerpt(length), excerpt(coding));
        let error =
            format!("it has both `Content-Length: {length}` and `Transfer-Encoding: {coding}`");
        return Err(format!("{error}; leave one of them out"));
    }
    match (length, codings) {
        (None, []) => Ok(Framing::Length(0)),
        (None, [_]) if old => {
            Err("`Transfer-Encoding` is not of HTTP/1.0; send `Content-Length`".into())
        }
        (None, [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunks),
        (None, [coding]) => Err(format!(
            "`Transfer-Encoding` is `{}`; send `chunked`, or `Content-Length`",
            excerpt(coding)
        )),
        (None, _) => Err("`Transfer-Encoding` is there twice; send it once, as `chunked`".into()),
        (Some(length), _) => {
            let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            let error = || {
                format!(
                    "`Content-Length` is `{}`; send the body's bytes as one whole number",
                    excerpt(length)
                )
            };
            length.parse().ok().filter(|_| digits).map(Framing::Length).ok_or_else(error)
        }
    }
}

/// Returns whether a byte may be in the name of a method or header (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The head that replaces a refused one. Its request is answered in the form that the client
/// expects, and is never carried out.
pub fn in_place_of(bytes: &[u8]) -> &'static [u8] {
    const RPC: &[u8] =
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const PLAIN: &[u8] = b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let line = bytes.split(|byte| *byte == b'\n').find(|line| line.len() > 1).unwrap_or_default();
    let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    if target.windows(4).any(|window| window == b"/mcp") { RPC } else { PLAIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> String {
        let whole = match judge(bytes, 0) {
            Judged::Whole { length, framing } => format!("{length} {framing:?}"),
            Judged::Incomplete { .. } => "incomplete".into(),
            Judged::Refused(deny) => format!("{} {deny}", deny.row().mcp.as_u16()),
        };
        // The result must be the same byte by byte.
        let mut seen = 0;
        for end in 0..=bytes.len() {
            match judge(&bytes[..end], seen) {
                Judged::Incomplete { seen: now } => seen = now,
                Judged::Whole { length, framing } => {
                    assert_eq!(format!("{length} {framing:?}"), whole);
                    return whole;
                }
                Judged::Refused(deny) => {
                    assert_eq!(format!("{} {deny}", deny.row().mcp.as_u16()), whole);
                    return whole;
                }
            }
        }
        assert_eq!("incomplete", whole);
        whole
    }

    #[test]
    fn heads_are_read_in_one_way_or_not_at_all() {
        let check = |bytes: &str, expect: &str| {
            let told = told(bytes.as_bytes());
            assert!(told.starts_with(expect), "{bytes:?}\n{told}");
        };
        check("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "27 Length(0)");
        check("\r\n\r\nGET / HTTP/1.0\r\n\r\n", "22 Length(0)");
        check("POST /mcp HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "41 Length(5)");
        check(
            "POST /mcp HTTP/1.1\r\nContent-Length: 5\r\ncontent-length:5 \r\n\r\n",
            "60 Length(5)",
        );
        check("POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n", "47 Chunks");
        check("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\n", "38 Length(2)");
        check("GET / HTTP/1.1\r\nHost: x", "incomplete");
        check("GET / HTTP/1.1\r", "incomplete");
        for (bytes, part) in [
            ("GET / HTTP/1.1\nHost: x\n\n", "LF alone"),
            ("GET / HTTP/1.1\r\nHost: x\n\r\n", "LF alone"),
            ("GET / HTTP/1.1\r\nHost: x\r\n\n", "LF alone"),
            ("\nGET / HTTP/1.1\r\n\r\n", "LF alone"),
            ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", "CR without LF"),
            ("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "begins with a space"),
            ("GET / HTTP/1.1\r\nTE : x\r\n\r\n", "`TE ` is no header's name"),
            ("GET / HTTP/1.1\r\n: x\r\n\r\n", "is no header's name"),
            ("GET / HTTP/1.1\r\nHost\r\n\r\n", "`Host` has no colon"),
            ("GET / HTTP/1.1\r\nA: \u{0}\r\n\r\n", "control character"),
            ("PRI * HTTP/2.0\r\n\r\n", "first line"),
            ("GET /\r\n\r\n", "first line"),
            ("\u{16}\u{3}\u{1}", "begins like TLS"),
            ("{\"jsonrpc\":", "does not begin with a method"),
            (
                "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                "as `5` and `6`; send it once",
            ),
            ("POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", "`5, 5`"),
            ("POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", "`+5`"),
            ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", "``"),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", "whole number"),
            (
                "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                "leave one of them out",
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
                "leave one of them out",
            ),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", "`xchunked`"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "`gzip, chunked`"),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: \
                 chunked\r\n\r\n",
                "is there twice",
            ),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "not of HTTP/1.0"),
        ] {
            let told = told(bytes.as_bytes());
            assert!(told.starts_with("400 ") && told.contains(part), "{bytes:?}\n{told}");
        }
    }

    #[test]
    fn heads_are_bounded() {
        let long = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(HEAD_BYTES));
        assert!(told(long.as_bytes()).starts_with("431 "));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS + 1));
        assert!(told(many.as_bytes()).starts_with("431 "));
        let most = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS));
        assert!(told(most.as_bytes()).ends_with("Length(0)"));
    }
}
