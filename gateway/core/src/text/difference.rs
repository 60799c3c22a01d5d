//! Differences in words for people: each on one line, long values shortened.

use super::remark_words;
use crate::model::difference::{Difference, Drifted};
use crate::model::escape::{self, line};
use serde_json::Value;
use std::fmt;

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = line(&self.target.to_string());
        match &self.what {
            Drifted::Appeared => write!(f, "{target} exists now"),
            Drifted::Gone => write!(f, "{target} is gone"),
            Drifted::Replaced => write!(f, "{target} is another object now"),
            Drifted::Field { path, approved, now, origin }
            | Drifted::Other { path, approved, now, origin } => {
                write!(
                    f,
                    "`{}` of {target} was {} and is {}",
                    line(path),
                    shown(approved),
                    shown(now)
                )?;
                origin.as_ref().map_or(Ok(()), |origin| write!(f, " ({origin})"))
            }
            Drifted::Result { path, approved, now } => {
                write!(
                    f,
                    "`{}` of {target} would become {} instead of {}",
                    line(path),
                    shown(now),
                    shown(approved)
                )
            }
            Drifted::Elsewhere => {
                write!(f, "{target} was changed in a field that the plan does not name")
            }
            Drifted::Remarked(remark) => write!(f, "of {target}, {}", remark_words(remark)),
        }
    }
}

/// A value on one line, cut where it is long: two long values that differ at their ends are still
/// said to differ.
fn shown(value: &Value) -> String {
    if value.is_null() {
        return "absent".to_owned();
    }
    escape::shown(&value.to_string(), VALUE)
}

/// Differences as one sentence; `None` for no differences.
pub fn sentence(all: &[Difference]) -> Option<String> {
    let told: Vec<_> = all.iter().take(TOLD).map(ToString::to_string).collect();
    let more = match all.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!told.is_empty()).then(|| told.join("; ") + &more)
}

/// Differences that are listed, at most: enough to see what happened, few enough for one line.
const TOLD: usize = 3;

/// Characters of a value that are shown: as many as are kept of it.
const VALUE: usize = 100;
