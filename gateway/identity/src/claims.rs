//! Claims by name. A name is that of a member of the token, or a JSON pointer (RFC 6901), which
//! begins with `/`. Never guesses between two readings.

use serde_json::{Map, Value};

/// The claims of a checked token, or of an introspection.
#[derive(Debug, Clone)]
pub(crate) struct Claims(pub Map<String, Value>);

impl Claims {
    /// The claim of this name. `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = match name.strip_prefix('/') {
            None => self.0.get(name),
            Some(rest) => {
                let (first, rest) =
                    rest.split_once('/').map_or((rest, None), |(a, b)| (a, Some(b)));
                let value = self.0.get(&first.replace("~1", "/").replace("~0", "~"));
                match rest {
                    None => value,
                    Some(rest) => value.and_then(|value| value.pointer(&format!("/{rest}"))),
                }
            }
        };
        found.filter(|value| !value.is_null())
    }

    /// The claim as a text that is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The claim as a time in seconds. `None` if it is absent.
    ///
    /// # Errors
    /// The claim is not a number.
    pub fn seconds(&self, name: &str) -> Result<Option<f64>, ()> {
        self.get(name).map(|value| value.as_f64().ok_or(())).transpose()
    }

    /// The texts of the claim: one text, or a list of texts. `None` for another form.
    pub fn texts(&self, name: &str) -> Option<Vec<&str>> {
        match self.get(name) {
            None => Some(Vec::new()),
            Some(Value::String(text)) => Some(vec![text]),
            Some(Value::Array(items)) => items.iter().map(Value::as_str).collect(),
            Some(_) => None,
        }
    }

    /// Returns whether the claim is this text, or a list that contains it.
    pub fn has(&self, name: &str, wanted: &str) -> bool {
        match self.get(name) {
            Some(Value::Bool(value)) => value.to_string() == wanted,
            Some(Value::Number(value)) => value.to_string() == wanted,
            _ => self.texts(name).is_some_and(|texts| texts.contains(&wanted)),
        }
    }
}
