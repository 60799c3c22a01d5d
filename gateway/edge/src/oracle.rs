//! The promises of two readers of this crate that are private, for the fuzz targets in `fuzz/`. No
//! part of the server uses it. The error names the promise that was broken.

use crate::head::{Framing, Judged, judge};
use crate::mcp::request_state::{Carried, RequestStates, digest};
use crate::settings::HEAD_BYTES;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::{CallId, PlanDigest};
use jiff::Timestamp;
use serde_json::json;

/// Request heads: the verdict is the same whether the bytes come at once or in two parts, and
/// whatever follows; and an accepted head has lines that end with CR LF alone, one framing and no
/// more bytes than the limit.
///
/// # Errors
/// A promise was broken.
pub fn head(bytes: &[u8]) -> Result<(), String> {
    let whole = judge(bytes, 0);
    for at in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
        let (first, _) = bytes.split_at_checked(at).unwrap_or_default();
        match judge(first, 0) {
            Judged::Incomplete { seen } => {
                let again = judge(bytes, seen);
                hold(again == whole, || format!("{again:?} in parts, {whole:?} at once"))?;
            }
            early @ Judged::Whole { .. } => {
                hold(early == whole, || format!("{early:?}, and {whole:?} with what follows"))?;
            }
            Judged::Refused(_) => {
                hold(matches!(whole, Judged::Refused(_)), || {
                    format!("a refused beginning becomes {whole:?}")
                })?;
            }
        }
    }
    let Judged::Whole { length, framing } = whole else { return Ok(()) };
    let head = bytes.get(..length).unwrap_or_default();
    hold(length <= HEAD_BYTES && head.ends_with(b"\r\n\r\n"), || format!("{length} bytes"))?;
    let ends = |wanted: u8| head.iter().filter(|byte| **byte == wanted).count();
    let pairs = head.windows(2).filter(|pair| *pair == b"\r\n").count();
    hold(ends(b'\r') == pairs && ends(b'\n') == pairs, || "a line ends otherwise".to_owned())?;
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let has = |name: &str| text.lines().any(|line| line.starts_with(name));
    let right = match framing {
        Framing::Chunks => has("transfer-encoding:") && !has("content-length:"),
        Framing::Length(0) => !has("transfer-encoding:"),
        Framing::Length(_) => has("content-length:") && !has("transfer-encoding:"),
    };
    hold(right, || format!("{framing:?} of {text:?}"))
}

/// States of a client between a question and its answer: no text opens but the one that was sealed,
/// for its caller and its request alone, and once.
///
/// # Errors
/// A promise was broken.
pub fn request_state(bytes: &[u8]) -> Result<(), String> {
    let states = RequestStates::new((1, 2));
    let now = Timestamp::UNIX_EPOCH;
    let (caller, other) = (principal("a"), principal("b"));
    let none = || "no digest".to_owned();
    let request = digest("scale", &json!({})).ok_or_else(none)?;
    let another = digest("scale", &json!({"n": 1})).ok_or_else(none)?;
    let carried = Carried::new(&caller, request, CallId::from_random(3), PlanDigest::of(b"plan"));
    let sealed = states.seal(&carried, 4, now).ok_or("nothing was sealed")?;
    let given = String::from_utf8_lossy(bytes);
    for text in [given.as_ref(), sealed.as_str()] {
        for (who, what) in [(&other, request), (&caller, another)] {
            hold(states.open(text, who, what, now).is_err(), || {
                format!("`{text}` opens for another caller or request")
            })?;
        }
    }
    let opened = states.open(&given, &caller, request, now);
    hold(opened.is_err() || given == sealed, || format!("`{given}` opens and was not sealed"))?;
    let opened = states.open(&sealed, &caller, request, now).map_err(|_| "it does not open")?;
    hold(*opened.carried() == carried, || "it opens to something else".to_owned())?;
    let twice = states.open(&sealed, &caller, request, now).map_err(|_| "it does not open")?;
    hold(states.spend(opened).is_ok(), || "it cannot be used".to_owned())?;
    hold(states.spend(twice).is_err(), || "it is used twice".to_owned())
}

/// The text that [`request_state`] seals, for the corpus.
pub fn good_request_state() -> Option<String> {
    let caller = principal("a");
    let request = digest("scale", &json!({}))?;
    let carried = Carried::new(&caller, request, CallId::from_random(3), PlanDigest::of(b"plan"));
    RequestStates::new((1, 2)).seal(&carried, 4, Timestamp::UNIX_EPOCH)
}

fn principal(name: &str) -> Principal {
    Principal {
        name: name.to_owned(),
        anonymous: false,
        roles: Vec::new(),
        person: None,
        act: Vec::new(),
    }
}

fn hold(kept: bool, words: impl FnOnce() -> String) -> Result<(), String> {
    if kept { Ok(()) } else { Err(words()) }
}
