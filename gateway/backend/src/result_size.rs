//! The size of one answer of the viewer: the sum over a plan's operations, since each alone may
//! have the largest size. Counted while the answer is made, so that a too large one is refused
//! early.

use crate::refusal::Refusal;
use cofferdam_core::model::limit;
use cofferdam_core::model::preview::{PreviewedOperation, Rest};
use serde_json::Value;

/// Bytes of all rests of a plan. A rest beyond it is compared as a whole, and a change in it is
/// reported without a field.
const REST: usize = 1024 * 1024;

/// The size of one answer so far.
#[derive(Debug, Default)]
pub struct ResultSize {
    shown: usize,
    rest: usize,
}

impl ResultSize {
    /// Adds the result of one look.
    ///
    /// # Errors
    /// All results together exceed [`limit::RESULT`].
    pub fn result(&mut self, result: &Value) -> Result<(), Refusal> {
        self.add(
            result.to_string().len(),
            limit::RESULT,
            "the results together",
            "read fewer objects, fields or lines at once",
        )
    }

    /// Adds the preview of one operation: nothing is decided over more than
    /// [`limit::POLICY_INPUT`].
    ///
    /// # Errors
    /// All operations together exceed it.
    pub fn preview(&mut self, shown: &mut PreviewedOperation) -> Result<(), Refusal> {
        self.rest = self
            .rest
            .saturating_add(serde_json::to_vec(&shown.rest).map_or(REST, |rest| rest.len()));
        if self.rest > REST {
            shown.rest = Rest::default();
        }
        let fields = [&shown.before, &shown.after].into_iter().flatten();
        let bytes = fields.map(|(path, value)| path.len() + value.to_string().len()).sum();
        self.add(bytes, limit::POLICY_INPUT, "the previewed values", "change less at once")
    }

    fn add(&mut self, bytes: usize, limit: usize, what: &str, remedy: &str) -> Result<(), Refusal> {
        self.shown = self.shown.saturating_add(bytes);
        if self.shown <= limit {
            Ok(())
        } else {
            Err(Refusal::new(
                "unsupported",
                format!("{what} are larger than {limit} bytes"),
                remedy,
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::operation::Target;
    use cofferdam_core::model::preview::Expect;
    use std::collections::BTreeMap;

    /// A preview that changes nothing and whose object has a rest of about so many bytes.
    fn shown(bytes: usize) -> PreviewedOperation {
        let text = |text: &str| text.to_owned();
        let rest = Rest {
            fields: Some(BTreeMap::from([("data.a".to_owned(), Value::from("x".repeat(bytes)))])),
            ..Rest::default()
        };
        PreviewedOperation {
            index: 0,
            target: Target {
                group: String::new(),
                version: text("v1"),
                kind: text("ConfigMap"),
                namespace: text("shop"),
                name: text("c"),
            },
            expect: Expect::Absent,
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            place: String::new(),
            remarks: Vec::new(),
            rest,
        }
    }

    /// Returns for each preview of one plan whether its rest is kept. `bytes` are the sizes of the
    /// rests.
    fn kept(bytes: &[usize]) -> Vec<bool> {
        let mut sum = ResultSize::default();
        let keep = |bytes: &usize| {
            let mut shown = shown(*bytes);
            sum.preview(&mut shown).unwrap();
            assert!(!shown.rest.is_empty() || shown.rest == Rest::default());
            !shown.rest.is_empty()
        };
        bytes.iter().map(keep).collect()
    }

    #[test]
    fn the_rests_of_all_objects_of_a_plan_have_one_bound() {
        let besides = serde_json::to_vec(&shown(0).rest).unwrap().len();
        let (all, half) = (REST - besides, REST / 2 - besides);
        assert_eq!(kept(&[all]), [true]);
        assert_eq!(kept(&[all + 1]), [false]);
        assert_eq!(kept(&[half, half]), [true, true]);
        // A rest beyond the bound is left out whole, and so is every later one.
        assert_eq!(kept(&[half, half + 1, 0]), [true, false, false]);
        assert_eq!(kept(&[half, half, 0]), [true, true, false]);
        // No number of small ones comes past it.
        assert!(kept(&[REST / 64; 80]).iter().filter(|kept| **kept).count() < 64);
    }

    #[test]
    fn many_small_results_are_too_much_together() {
        let half = Value::from("x".repeat(limit::RESULT / 2 - 2));
        let mut sum = ResultSize::default();
        sum.result(&half).unwrap();
        sum.result(&half).unwrap();
        let refusal = sum.result(&Value::from(1)).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            ("unsupported", "the results together are larger than 262144 bytes")
        );
    }
}
