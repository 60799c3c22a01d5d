//! Reading request headers in one way only: one value, visible ASCII. Equal copies are one value.
//! Never chooses between two.

use crate::deny::Deny;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;

/// Headers whose values appear in no message, not even to the client that sent them.
const SECRET: [&str; 2] = ["authorization", "dpop"];

/// Returns the one value of a header, without whitespace around it. Equal copies are one value.
pub fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Deny> {
    only(name, texts(headers, name)?)
}

/// Returns the one value of a header whose copies some proxies join with commas: `a, a` is `a`.
pub fn agreed<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Deny> {
    let texts = texts(headers, name)?;
    only(name, texts.into_iter().flat_map(|text| text.split(',')).map(trimmed).collect())
}

fn texts<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Vec<&'a str>, Deny> {
    let text = |value: &'a hyper::header::HeaderValue| value.to_str().map(trimmed);
    headers.get_all(name).iter().map(text).collect::<Result<_, _>>().map_err(|_| Deny::BadHeader {
        name,
        error: "holds characters other than visible ASCII; send visible ASCII alone".into(),
    })
}

fn only<'a>(name: &'static str, texts: Vec<&'a str>) -> Result<Option<&'a str>, Deny> {
    let mut texts = texts.into_iter();
    let Some(first) = texts.next() else { return Ok(None) };
    match texts.find(|text| *text != first) {
        None => Ok(Some(first)),
        Some(_) if SECRET.contains(&name) => Err(Deny::BadHeader {
            name,
            error: "is there twice, with two values; send it once".into(),
        }),
        Some(other) => {
            let error = format!(
                "is there twice, as `{}` and `{}`; send it once",
                excerpt(first),
                excerpt(other)
            );
            Err(Deny::BadHeader { name, error })
        }
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Returns the value of a header that mirrors the body. Every error of it is a mismatch (-32020).
pub fn mirrored<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Deny> {
    single(headers, name).map_err(mismatch)
}

/// Converts an error of a header that mirrors the body.
pub fn mismatch(error: Deny) -> Deny {
    match error {
        Deny::BadHeader { name, error } => Deny::Header(format!("`{name}` {error}")),
        other => other,
    }
}
/// Decodes `=?base64?…?=`, the form for values that are not plain ASCII (revision 2026-07-28,
/// "Value Encoding"). Any other value stays as it is.
pub fn decoded(value: &str) -> Result<String, &'static str> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        None => Ok(value.to_owned()),
        Some(encoded) => {
            let bytes = STANDARD.decode(encoded).map_err(|_| "is not valid base64")?;
            String::from_utf8(bytes).map_err(|_| "is not UTF-8 when decoded")
        }
    }
}

/// Cuts foreign text for an error message, which echoes it so that the sender finds it.
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
            assert_eq!(decoded(input).as_deref().map_err(|error| *error), expect, "{input}")
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
