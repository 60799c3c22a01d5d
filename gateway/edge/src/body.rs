//! Reading a request's body: JSON by its own word, uncompressed, bounded in bytes and in time. Never parsed here.

use crate::deny::Deny;
use crate::header::single;
use cofferdam_core::limit;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::HeaderMap;
use hyper::body::{Body as _, Bytes, Incoming};
use std::time::Duration;

/// What the headers say of the body, checked before one byte of it is read.
pub fn announced(headers: &HeaderMap, body: &Incoming) -> Result<(), Deny> {
    if headers.contains_key("content-encoding") {
        return Err(Deny::Encoding);
    }
    let media = single(headers, "content-type")?.ok_or(Deny::ContentType)?;
    if !is_json(media) {
        return Err(Deny::ContentType);
    }
    // The length that HTTP frames the body by; more than one `Content-Length`, or one beside chunks, never gets here: hyper refuses it.
    if body.size_hint().lower() > u64::try_from(limit::BODY).unwrap_or(u64::MAX) {
        return Err(Deny::TooLarge);
    }
    Ok(())
}

/// `application/json`, and no charset but UTF-8 (RFC 8259 §8.1).
fn is_json(media: &str) -> bool {
    let mut parts = media.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => value.trim_matches('"').eq_ignore_ascii_case("utf-8"),
        _ => true,
    };
    json && parts.all(utf8)
}

/// Reads all of it, within [`limit::BODY`] and within `time`.
pub async fn read(body: Incoming, time: Duration) -> Result<Bytes, Deny> {
    match tokio::time::timeout(time, Limited::new(body, limit::BODY).collect()).await {
        Err(_) => Err(Deny::Slow),
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(fault)) if fault.is::<LengthLimitError>() => Err(Deny::TooLarge),
        Ok(Err(_)) => Err(Deny::BrokenOff),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn json_in_utf8_and_nothing_else() {
        let check = |media: &str, expect: bool| assert_eq!(super::is_json(media), expect, "{media}");
        for good in ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;charset=\"UTF-8\""] {
            check(good, true);
        }
        for bad in [
            "",
            "text/plain",
            "application/json-rpc",
            "application/jsonp",
            "text/json",
            "application/json; charset=latin1",
            "multipart/form-data",
        ] {
            check(bad, false);
        }
    }
}
