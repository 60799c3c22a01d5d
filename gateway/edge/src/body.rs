//! Reading the body of a request: declared as JSON, not compressed, limited in bytes and in time.
//! Parses nothing.

use crate::deny::Deny;
use crate::header::{agreed, excerpt};
use cofferdam_core::model::limit;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::HeaderMap;
use hyper::body::{Body as _, Bytes, Incoming};
use std::time::Duration;

/// The most bytes of a refused request's body that are read for its id: an envelope and small
/// arguments.
const REFUSED: usize = 64 * 1024;

/// Checks the headers of the body before its first byte is read.
pub fn announced(headers: &HeaderMap, body: &Incoming) -> Result<(), Deny> {
    let encodings = headers
        .get_all("content-encoding")
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    for encoding in encodings {
        if !encoding.split(',').all(|encoding| is_plain(encoding.trim())) {
            return Err(Deny::Encoding(excerpt(&encoding)));
        }
    }
    let media = agreed(headers, "content-type")?.unwrap_or_default();
    if !is_json(media) {
        return Err(Deny::ContentType(excerpt(media)));
    }
    // The length that HTTP frames the body by. Hyper refuses more than one `Content-Length`, and
    // one beside chunks.
    if over(body, limit::BODY) {
        return Err(Deny::TooLarge);
    }
    Ok(())
}

fn over(body: &Incoming, most: usize) -> bool {
    body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX)
}

/// `identity` means no encoding. Some clients write the charset here; the only charset is UTF-8.
fn is_plain(encoding: &str) -> bool {
    ["", "identity", "utf-8", "utf8"].iter().any(|plain| encoding.eq_ignore_ascii_case(plain))
}

/// `application/json`, and no charset but UTF-8 (RFC 8259 §8.1).
fn is_json(media: &str) -> bool {
    let mut parts = media.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    };
    json && parts.all(utf8)
}

/// Reads the body of a refused request, for its id. Returns `None` for a body that is large, slow
/// or broken.
pub async fn refused(body: Incoming, time: Duration) -> Option<Bytes> {
    if over(&body, REFUSED) {
        return None;
    }
    let read = tokio::time::timeout(time, Limited::new(body, REFUSED).collect()).await;
    read.ok()?.ok().map(http_body_util::Collected::to_bytes)
}

/// Removes one byte order mark, which only says that the text is UTF-8.
pub fn unmarked(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Reads the whole body, within [`limit::BODY`] bytes and within `time`.
pub async fn read(body: Incoming, time: Duration) -> Result<Bytes, Deny> {
    match tokio::time::timeout(time, Limited::new(body, limit::BODY).collect()).await {
        Err(_) => Err(Deny::Slow),
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Deny::TooLarge),
        Ok(Err(_)) => Err(Deny::BrokenOff),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn json_in_utf8_and_nothing_else() {
        let check =
            |media: &str, expect: bool| assert_eq!(super::is_json(media), expect, "{media}");
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json;charset=utf8",
            "application/json;",
            "application/json; profile=x",
        ] {
            check(good, true);
        }
        for bad in [
            "",
            "text/plain",
            "application/json-rpc",
            "application/jsonp",
            "text/json",
            "application/json; charset=latin1",
            "application/json; charset = us-ascii",
            "application/vnd.api+json",
            "multipart/form-data",
        ] {
            check(bad, false);
        }
    }
}
