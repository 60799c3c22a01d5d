//! How long a response may be kept, by its `Cache-Control` and `Age` (RFC 9111), within our own
//! bounds. Reads no clock.

use cofferdam_core::protocol::courier::{CACHE_SECONDS, CACHE_UNSAID};

/// Returns the seconds for which a response may be kept. `controls` are the values of its
/// `Cache-Control`, `age` is the value of its `Age`.
pub fn cache_seconds<'a>(controls: impl Iterator<Item = &'a str>, age: Option<&str>) -> u32 {
    let (least, most) = CACHE_SECONDS;
    let mut max_age = None;
    for directive in controls.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return least,
            // The first one counts; one that is no number counts as too old.
            "max-age" if max_age.is_none() => max_age = Some(seconds(value).unwrap_or(0)),
            _ => {}
        }
    }
    let age = age.and_then(seconds).unwrap_or(0);
    max_age.map_or(CACHE_UNSAID, |max_age| max_age.saturating_sub(age)).clamp(least, most)
}

/// Reads whole seconds. A number that is too large is the largest one.
fn seconds(text: &str) -> Option<u32> {
    let digits = text.trim().trim_matches('"');
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| digits.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_how_long_and_bounds_hold() {
        let check = |controls: &[&str], age: Option<&str>, expect: u32| {
            let said = cache_seconds(controls.iter().copied(), age);
            assert_eq!(said, expect, "{controls:?} {age:?}");
        };
        check(&[], None, 600);
        check(&["public"], None, 600);
        check(&["max-age=3600"], None, 3600);
        check(&["public, max-age=3600, must-revalidate"], None, 3600);
        check(&["public", "Max-Age=\"3600\""], None, 3600);
        check(&["max-age=3600"], Some("600"), 3000);
        check(&["max-age=3600"], Some("7200"), 60);
        check(&["max-age=3600"], Some("yesterday"), 3600);
        check(&["max-age=1"], None, 60);
        check(&["max-age=0"], None, 60);
        check(&["max-age=soon"], None, 60);
        check(&["max-age=-1"], None, 60);
        check(&["max-age=99999999999999999999"], None, 86_400);
        check(&["max-age=3600, max-age=60000"], None, 3600);
        check(&["max-age=3600, no-store"], None, 60);
        check(&["no-cache"], None, 60);
        check(&["s-maxage=3600"], None, 600);
    }
}
