//! Reading request headers one way only: one value, visible ASCII. Equal copies are one value.
//! Never guesses between two.

use crate::deny::Deny;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;

/// Headers whose values are never told, not even to the client that sent them.
const SECRET: [&str; 1] = ["authorization"];

/// The header's one value, whitespace around it removed; equal copies are one.
pub fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Deny> {
    only(name, texts(headers, name)?)
}

/// The same for a header whose copies some proxies join with commas: `a, a` is `a`.
pub fn agreed<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Deny> {
    let texts = texts(headers, name)?;
    only(name, texts.into_iter().flat_map(|text| text.split(',')).map(trimmed).collect())
}

fn texts<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Vec<&'a str>, Deny> {
    let text = |value: &'a hyper::header::HeaderValue| value.to_str().map(trimmed);
    headers.get_all(name).iter().map(text).collect::<Result<_, _>>().map_err(|_| Deny::BadHeader {
        name,
        fault: "holds characters other than visible ASCII; send visible ASCII alone".into(),
    })
}

fn only<'a>(name: &'static str, texts: Vec<&'a str>) -> Result<Option<&'a str>, Deny> {
    let mut texts = texts.into_iter();
    let Some(first) = texts.next() else { return Ok(None) };
    match texts.find(|text| *text != first) {
        None => Ok(Some(first)),
        Some(_) if SECRET.contains(&name) => Err(Deny::BadHeader {
            name,
            fault: "is there twice, with two values; send it once".into(),
        }),
        Some(other) => {
            let fault = format!(
                "is there twice, as `{}` and `{}`; send it once",
                excerpt(first),
                excerpt(other)
            );
            Err(Deny::BadHeader { name, fault })
        }
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The value of a header that mirrors the body: whatever is wrong with it is a mismatch (-32020).
pub fn mirrored<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Deny> {
    single(headers, name).map_err(mismatch)
}

/// A fault of a header that mirrors the body.
pub fn mismatch(fault: Deny) -> Deny {
    match fault {
        Deny::BadHeader { name, fault } => Deny::Header(format!("`{name}` {fault}")),
        other => other,
    }
}
/// Decodes `=?base64?…?=`, the form for values that are no plain ASCII (revision 2026-07-28, "Value
/// Encoding"); anything else is itself.
pub fn decoded(value: &str) -> Result<String, &'static str> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        None => Ok(value.to_owned()),
        Some(encoded) => {
            let bytes = STANDARD.decode(encoded).map_err(|_| "is not valid base64")?;
            String::from_utf8(bytes).map_err(|_| "is not UTF-8 when decoded")
        }
    }
}

/// Cuts foreign text for an error message: what was sent is echoed so that it is found, never at
/// length.
pub fn excerpt(text: &str) -> String {
    const LONGEST: usize = 80;
    text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinel_values_decode_strictly() {
        let check = |input: &str, expect: Result<&str, &str>| {
            assert_eq!(decoded(input).as_deref().map_err(|fault| *fault), expect, "{input}")
        };
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
