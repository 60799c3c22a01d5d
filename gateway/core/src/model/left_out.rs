//! The parts that a read leaves out because they cannot be relied on: their number and their
//! places. Without it, a list would read as if those parts did not exist. Bounded; never has a
//! value of a part that is left out.

use crate::model::escape::short;
use serde::{Deserialize, Serialize};

/// The number of places that one result names, at most, so that a person can read them. The rest is
/// counted.
pub const PLACES: usize = 20;

/// Characters of one reason, and of one path.
const TEXT: usize = 300;

/// A place, and the reason for which the part there is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The file, beneath the tree's root; empty for an object of a cluster.
    pub file: String,
    /// The line, from 1; 0 where no line is known.
    pub line: usize,
    /// The cause, with the remedy.
    pub reason: String,
}

impl Place {
    /// The place of a file.
    pub fn new(file: impl Into<String>, line: usize, reason: impl Into<String>) -> Self {
        Self { file: short(file.into(), TEXT), line, reason: short(reason.into(), TEXT) }
    }

    /// The place in words: `` `web.yaml:7` has no `metadata.namespace` ``.
    pub fn words(&self) -> String {
        match (self.file.as_str(), self.line) {
            ("", _) => self.reason.clone(),
            (file, 0) => format!("`{file}` {}", self.reason),
            (file, line) => format!("`{file}:{line}` {}", self.reason),
        }
    }
}

/// The parts that a read leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The number of places.
    pub count: usize,
    /// The first of them, at most [`PLACES`].
    pub places: Vec<Place>,
}

impl LeftOut {
    /// One more place; one that is there already is not counted again.
    pub fn push(&mut self, place: Place) {
        if self.places.contains(&place) {
            return;
        }
        self.count += 1;
        if self.places.len() < PLACES {
            self.places.push(place);
        }
    }

    /// True if nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True if it keeps to its bounds.
    pub fn is_bounded(&self) -> bool {
        let short = |text: &str| text.chars().count() <= TEXT;
        self.places.len() <= PLACES.min(self.count)
            && self.places.iter().all(|place| short(&place.file) && short(&place.reason))
    }
}

impl FromIterator<Place> for LeftOut {
    fn from_iter<T: IntoIterator<Item = Place>>(places: T) -> Self {
        let mut left_out = Self::default();
        places.into_iter().for_each(|place| left_out.push(place));
        left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_in_number_and_length_and_the_rest_is_counted() {
        let place = |at: usize| Place::new(format!("{at}.yaml"), at, "x".repeat(9000));
        let left_out: LeftOut = (0..50).chain(0..10).map(place).collect();
        assert_eq!(
            (left_out.count, left_out.places.len(), left_out.is_bounded()),
            (50, PLACES, true)
        );
        assert!(!LeftOut { count: 0, ..left_out.clone() }.is_bounded());
    }

    #[test]
    fn a_place_is_told_with_what_it_has() {
        let words = |file: &str, line| Place::new(file, line, "is a link").words();
        assert_eq!(
            [words("a", 3), words("a", 0), words("", 0)],
            ["`a:3` is a link", "`a` is a link", "is a link"]
        );
    }
}
