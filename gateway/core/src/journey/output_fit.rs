//! One wrong value never fails a list: a field that is not of the form the tool promises is shown
//! as absent, and named. Never changes a result that is of that form, nor one that is no list.

use crate::model::left_out::{LeftOut, Place};
use crate::tool::schema::{ArgumentsError, Schema};
use serde_json::{Value, json};

/// How often a result is checked against the schema: a field becomes null, then it is removed, then
/// its item.
const PASSES: usize = 4;

/// Results that the schema accepts, without the values that had to be left out; or the first error.
pub(super) fn fitted(
    schema: &Schema,
    results: Vec<Value>,
    left_out: &mut LeftOut,
) -> Result<Vec<Value>, ArgumentsError> {
    let mut own = json!({ "results": results });
    for _ in 0..PASSES {
        let Err(first) = schema.check(&own) else { return Ok(taken(own)) };
        let mut odd: Vec<_> = schema
            .faults(&own)
            .into_iter()
            .filter_map(|error| Some((Odd::of(&error.path)?, error.reason)))
            .collect();
        if odd.is_empty() {
            return Err(first);
        }
        // From the last to the first, so that a removed item does not move another named one.
        odd.sort_by(|(a, _), (b, _)| {
            (b.result, b.item, &b.field).cmp(&(a.result, a.item, &a.field))
        });
        odd.dedup_by(|(a, _), (b, _)| a == b);
        for (odd, reason) in odd {
            odd.leave_out(&mut own, &reason, left_out);
        }
    }
    schema.check(&own)?;
    Ok(taken(own))
}

fn taken(mut own: Value) -> Vec<Value> {
    own.get_mut("results").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default()
}

/// A place that is not of the promised form: a field of an item, or the whole item.
#[derive(Debug, PartialEq, Eq)]
struct Odd {
    result: usize,
    item: usize,
    field: Option<String>,
}

impl Odd {
    /// From a path such as `/results/0/items/3/spec.replicas`.
    fn of(path: &str) -> Option<Self> {
        let mut parts = path.split('/').skip(1);
        let (results, result, items, item) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let field = parts.next().map(|field| field.replace("~1", "/").replace("~0", "~"));
        (results == "results" && items == "items").then_some(())?;
        Some(Self { result: result.parse().ok()?, item: item.parse().ok()?, field })
    }

    fn leave_out(&self, own: &mut Value, reason: &str, left_out: &mut LeftOut) {
        let items = own
            .pointer_mut(&format!("/results/{}/items", self.result))
            .and_then(Value::as_array_mut);
        let Some(items) = items.filter(|items| self.item < items.len()) else { return };
        let name = items
            .get(self.item)
            .and_then(|item| item.get("metadata.name"))
            .and_then(Value::as_str)
            .unwrap_or("an object");
        let field = self.field.as_ref().filter(|field| *field != "metadata.name");
        let what =
            field.map_or_else(|| format!("{name} is"), |field| format!("`{field}` of {name} is"));
        let place =
            Place::new("", 0, format!("{what} not of the form that the tool promises: {reason}"));
        let slot = field.and_then(|field| items.get_mut(self.item)?.get_mut(field));
        match (slot, field) {
            (Some(slot), Some(_)) if !slot.is_null() => {
                *slot = Value::Null;
                left_out.push(place);
            }
            (Some(_), Some(field)) => {
                let item = items.get_mut(self.item).and_then(Value::as_object_mut);
                item.map(|item| item.remove(field));
            }
            _ => {
                items.remove(self.item);
                left_out.push(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(field: &Value, required: &[&str]) -> Schema {
        let item =
            json!({"type": "object", "properties": {"spec.replicas": field}, "required": required});
        let result =
            json!({"type": "object", "properties": {"items": {"type": "array", "items": item}}});
        Schema::of_output(&json!({"type": "object", "properties": {"results": {"type": "array",
        "items": result}}}))
        .unwrap()
    }

    #[test]
    fn an_odd_value_is_shown_as_absent_and_named_and_the_rest_of_the_list_stays() {
        let list = || {
            vec![json!({"truncated": false, "items": [
                {"metadata.name": "web", "spec.replicas": "${web_replicas:=3}"},
                {"metadata.name": "api", "spec.replicas": 3},
            ]})]
        };
        let nullable = json!({"anyOf": [{"type": "integer"}, {"type": "null"}]});
        for (field, required, first) in [
            (
                &nullable,
                vec!["spec.replicas"],
                Some(json!({"metadata.name": "web", "spec.replicas": null})),
            ),
            (&json!({"type": "integer"}), vec![], Some(json!({"metadata.name": "web"}))),
            (&json!({"type": "integer"}), vec!["spec.replicas"], None),
        ] {
            let mut left_out = LeftOut::default();
            let fitted = fitted(&schema(field, &required), list(), &mut left_out).unwrap();
            let items = fitted[0]["items"].as_array().unwrap();
            let api = json!({"metadata.name": "api", "spec.replicas": 3});
            assert_eq!(*items, first.into_iter().chain([api]).collect::<Vec<_>>());
            assert!(
                left_out.places[0].reason.starts_with("`spec.replicas` of web is not of the form"),
                "{left_out:?}"
            );
        }
    }

    #[test]
    fn a_result_that_is_no_list_is_refused_as_before() {
        let closed = json!({"type": "object",
        "properties": {"results": {"items": {"required": ["fields"]}}}});
        let schema = Schema::of_output(&closed).unwrap();
        let mut left_out = LeftOut::default();
        assert!(
            fitted(&schema, vec![json!({"items": []})], &mut left_out).is_err()
                && left_out.is_empty()
        );
    }
}
