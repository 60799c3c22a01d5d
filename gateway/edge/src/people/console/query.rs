//! The query string of a list: names that are known, each once, with values of a bounded length.
//! Reads it strictly, and writes it again for the links of a page. Decides nothing.

use crate::deny::Deny;
use crate::header::excerpt;
use cofferdam_core::model::call_filter::{CallFilter, FILTER_NAME};
use cofferdam_core::model::call_row::CallCursor;
use cofferdam_core::model::call_state::CallState;
use cofferdam_core::model::object_name::ObjectName;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// The names of the filter, in the order of the form.
pub const NAMES: [&str; 7] = ["agent", "person", "tool", "object", "state", "since", "until"];

/// The most characters of a value.
const VALUE: usize = FILTER_NAME;

/// The longest time back: about a hundred years.
const BACK: i64 = 100 * 366 * 86_400;

/// A query that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The filter.
    pub filter: CallFilter,
    /// The place of the page.
    pub before: Option<CallCursor>,
    /// The number of ledger entries that the asker knows.
    pub beyond: Option<u64>,
    /// The values of the filter as they were given, for the form and for links.
    given: BTreeMap<&'static str, String>,
}

impl Query {
    /// The calls of one agent.
    pub fn of_agent(name: &str) -> Self {
        let filter = CallFilter { agent: Some(name.to_owned()), ..CallFilter::default() };
        Self { filter, given: BTreeMap::from([("agent", name.to_owned())]), ..Self::default() }
    }

    /// Reads a query string. An empty value counts as none: a form sends it.
    ///
    /// # Errors
    /// An unknown name, a name that is there twice, or a value of another form.
    pub fn read(text: &str, now: Timestamp) -> Result<Self, Deny> {
        let mut query = Self::default();
        let mut seen = Vec::new();
        for member in text.split('&').filter(|member| !member.is_empty()) {
            let (name, value) = member.split_once('=').unwrap_or((member, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            let known = NAMES.into_iter().chain(["before", "beyond"]).find(|known| *known == name);
            let Some(name) = known else { return Err(unknown(&name)) };
            if seen.contains(&name) {
                return Err(Deny::Params(format!("`{name}` is there twice; give it once")));
            }
            seen.push(name);
            if value.chars().count() > VALUE {
                return Err(Deny::Params(format!(
                    "`{name}` has more than {VALUE} characters; give fewer"
                )));
            }
            let value = value.trim();
            if !value.is_empty() {
                query.take(name, value, now)?;
            }
        }
        Ok(query)
    }

    fn take(&mut self, name: &'static str, value: &str, now: Timestamp) -> Result<(), Deny> {
        let bad =
            |form: &str| Deny::Params(format!("`{name}` is {form}; it is `{}`", excerpt(value)));
        let filter = &mut self.filter;
        match name {
            "agent" => filter.agent = Some(value.to_owned()),
            "person" => filter.person = Some(value.to_owned()),
            "tool" => filter.tool = Some(value.to_owned()),
            "object" => {
                let object = ObjectName::parse(value);
                filter.object =
                    Some(object.map_err(|_| bad("KIND/NAMESPACE/NAME, as `deployment/shop/web`"))?);
            }
            "state" => {
                let state = CallState::from_word(value);
                filter.states = vec![state.ok_or_else(|| bad("one word, as `denied`"))?];
            }
            "since" => filter.since = Some(time(value, now).ok_or_else(|| bad(TIME))?),
            "until" => filter.until = Some(time(value, now).ok_or_else(|| bad(TIME))?),
            "before" => {
                let place = CallCursor::parse(value);
                self.before = Some(place.map_err(|_| bad("the place that the page before gave"))?);
            }
            _ => {
                let plain = value.bytes().all(|byte| byte.is_ascii_digit());
                let number = value.parse().ok().filter(|_| plain);
                self.beyond = Some(number.ok_or_else(|| bad("a whole number"))?);
            }
        }
        if NAMES.contains(&name) {
            self.given.insert(name, value.to_owned());
        }
        Ok(())
    }

    /// The value of a name, as it was given.
    pub fn given(&self, name: &str) -> &str {
        self.given.get(name).map_or("", String::as_str)
    }

    /// True if a filter is given.
    pub fn is_filtered(&self) -> bool {
        !self.given.is_empty()
    }

    /// The path with the same filter, and one more member.
    pub fn link(&self, path: &str, more: Option<(&str, &str)>) -> String {
        let given = self.given.iter().map(|(name, value)| (*name, value.as_str()));
        let members: Vec<String> =
            given.chain(more).map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if members.is_empty() { path.to_owned() } else { format!("{path}?{}", members.join("&")) }
    }
}

/// The form of a time.
const TIME: &str =
    "a time back, as `7d`, a day, as `2026-11-30`, or a time, as `2026-11-30T12:00Z`";

/// Reads `90m`, `12h`, `7d` and `4w` back from now, a day of UTC, or a time with its offset.
fn time(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some((count, unit)) = text.split_at_checked(text.len().checked_sub(1)?)
        && !count.is_empty()
        && count.bytes().all(|byte| byte.is_ascii_digit())
    {
        let seconds = match unit {
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return None,
        };
        let back = count.parse::<i64>().ok()?.checked_mul(seconds).filter(|back| *back <= BACK)?;
        return now.checked_sub(SignedDuration::from_secs(back)).ok();
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let day = (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten()?;
    day.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp())
}

fn unknown(name: &str) -> Deny {
    Deny::Params(format!(
        "the query string has no `{}`; it may have {}, `before` and `beyond`, once each",
        excerpt(name),
        NAMES.map(|name| format!("`{name}`")).join(", ")
    ))
}

/// Decodes a part of a form (WHATWG URL, `application/x-www-form-urlencoded`).
fn decoded(text: &str) -> Result<String, Deny> {
    let bad = || {
        Deny::Params(format!(
            "`{}` in the query string is not percent-encoded UTF-8",
            excerpt(text)
        ))
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    let digit = char::from(rest.next()?).to_digit(16)?;
                    u8::try_from(digit).ok()
                };
                let (high, low) = digit().zip(digit()).ok_or_else(bad)?;
                high << 4 | low
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

/// Encodes every byte that is no letter, digit, `-`, `.`, `_` or `~`.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }

    fn read(text: &str) -> Result<Query, String> {
        Query::read(text, noon()).map_err(|deny| deny.to_string())
    }

    #[test]
    fn a_query_is_read_and_written_again() {
        let text = "agent=release+bot&person=a%40b%26c&object=Deployment%2Fshop%2Fweb&state=denied\
                    &since=7d&until=2026-11-30&tool=&before=&beyond=7";
        let query = read(text).unwrap();
        let filter = &query.filter;
        assert_eq!(filter.agent.as_deref(), Some("release bot"));
        assert_eq!(filter.person.as_deref(), Some("a@b&c"));
        assert_eq!(filter.object.as_ref().unwrap().as_str(), "deployment/shop/web");
        assert_eq!(filter.states, [CallState::Denied]);
        assert_eq!(filter.since.unwrap().to_string(), "2026-11-23T12:00:00Z");
        assert_eq!(filter.until.unwrap().to_string(), "2026-11-30T00:00:00Z");
        assert_eq!((&filter.tool, &query.before, query.beyond), (&None, &None, Some(7)));
        let link = query.link("/console/calls", Some(("before", "1-2")));
        assert!(link.ends_with("&before=1-2") && !link.contains("beyond"), "{link}");
        let again = read(link.split_once('?').unwrap().1).unwrap();
        assert_eq!((&again.filter, again.given), (filter, query.given.clone()));
        assert_eq!(read("").unwrap().link("/x", None), "/x");
    }

    #[test]
    fn other_queries_are_refused_with_their_remedy() {
        let long = format!("agent={}", "a".repeat(257));
        for (text, told) in [
            ("owner=a", "has no `owner`"),
            ("agent=a&agent=a", "`agent` is there twice"),
            (long.as_str(), "more than 256 characters"),
            ("agent=%zz", "not percent-encoded"),
            ("agent=%ff", "not percent-encoded"),
            ("agent=%4", "not percent-encoded"),
            ("object=web", "KIND/NAMESPACE/NAME"),
            ("state=never", "one word, as `denied`"),
            ("since=tomorrow", "a time back"),
            ("since=7y", "a time back"),
            ("since=99999999999w", "a time back"),
            ("since=2026-13-01", "a time back"),
            ("before=x", "the page before"),
            ("beyond=-1", "a whole number"),
            ("beyond=1e3", "a whole number"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
