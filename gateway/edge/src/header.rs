//! Reading request headers one way only: at most one line each, visible ASCII. Never guesses between two values.

use crate::deny::Deny;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;

/// The header's one value, whitespace around it removed.
pub fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Deny> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Deny::BadHeader { name, fault: "stands twice" });
    }
    let text = first.to_str().map_err(|_| Deny::BadHeader { name, fault: "holds characters other than visible ASCII" })?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

/// The same for headers that mirror the body: whatever is wrong with them is a mismatch (-32020).
pub fn mirrored<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Deny> {
    single(headers, name).map_err(|fault| match fault {
        Deny::BadHeader { name, fault } => Deny::Header(format!("`{name}` {fault}")),
        other => other,
    })
}

/// Decodes `=?base64?…?=`, the form for values that are no plain ASCII (revision 2026-07-28, "Value Encoding"); anything else is itself.
pub fn decoded(value: &str) -> Result<String, &'static str> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        None => Ok(value.to_owned()),
        Some(encoded) => {
            let bytes = STANDARD.decode(encoded).map_err(|_| "is not valid base64")?;
            String::from_utf8(bytes).map_err(|_| "is not UTF-8 when decoded")
        }
    }
}

/// Cuts foreign text for an error message: what was sent is echoed so that it is found, never at length.
pub fn excerpt(text: &str) -> String {
    const LONGEST: usize = 80;
    text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinel_values_decode_strictly() {
        let check =
            |input: &str, expect: Result<&str, &str>| assert_eq!(decoded(input).as_deref().map_err(|fault| *fault), expect, "{input}");
        check("us-west1", Ok("us-west1"));
        check("=?base64?SGVsbG8sIOS4lueVjA==?=", Ok("Hello, 世界"));
        check("=?base64?IHBhZGRlZCA=?=", Ok(" padded "));
        check("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", Ok("=?base64?literal?="));
        check("=?BASE64?SGVsbG8=?=", Ok("=?BASE64?SGVsbG8=?="));
        check("=?base64?SGVsbG8?=", Err("is not valid base64"));
        check("=?base64?SGVs bG8=?=", Err("is not valid base64"));
        check("=?base64?/w==?=", Err("is not UTF-8 when decoded"));
    }
}
