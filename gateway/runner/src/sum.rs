//! How much one answer of the viewer may hold: the sum over a plan's operations, since each of them
//! alone may be of the largest size. Counted while the answer is made, so that what is too large is
//! refused by name and never gathered.

use crate::refusal::Refusal;
use cofferdam_core::limit;
use cofferdam_core::preview::{PreviewedOperation, Rest};
use serde_json::Value;

/// Bytes of what all objects of a plan have besides its fields: what is beyond it is compared as a
/// whole, and a change of it is told without a field.
const REST: usize = 1024 * 1024;

/// What one answer holds so far.
#[derive(Debug, Default)]
pub struct Sum {
    shown: usize,
    rest: usize,
}

impl Sum {
    /// Adds the result of one look.
    ///
    /// # Errors
    /// All results together exceed [`limit::RESULT`].
    pub fn result(&mut self, result: &Value) -> Result<(), Refusal> {
        self.add(
            result.to_string().len(),
            limit::RESULT,
            "what these looks show together",
            "look at fewer objects, fields or lines at once",
        )
    }

    /// Adds the preview of one operation: nothing is decided over more than
    /// [`limit::POLICY_INPUT`].
    ///
    /// # Errors
    /// All operations together exceed it.
    pub fn preview(&mut self, shown: &mut PreviewedOperation) -> Result<(), Refusal> {
        self.rest = self.rest.saturating_add(serde_json::to_vec(&shown.rest).map_or(REST, |rest| rest.len()));
        if self.rest > REST {
            shown.rest = Rest::default();
        }
        let fields = [&shown.before, &shown.after].into_iter().flatten();
        let bytes = fields.map(|(path, value)| path.len() + value.to_string().len()).sum();
        self.add(bytes, limit::POLICY_INPUT, "what it would change", "change less at once")
    }

    fn add(&mut self, bytes: usize, limit: usize, what: &str, remedy: &str) -> Result<(), Refusal> {
        self.shown = self.shown.saturating_add(bytes);
        if self.shown <= limit { Ok(()) } else { Err(Refusal::new("unsupported", format!("{what} exceeds {limit} bytes"), remedy)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_results_are_too_much_together() {
        let half = Value::from("x".repeat(limit::RESULT / 2 - 2));
        let mut sum = Sum::default();
        sum.result(&half).unwrap();
        sum.result(&half).unwrap();
        let refusal = sum.result(&Value::from(1)).unwrap_err();
        assert_eq!((refusal.code, refusal.reason.as_str()), ("unsupported", "what these looks show together exceeds 262144 bytes"));
    }
}
