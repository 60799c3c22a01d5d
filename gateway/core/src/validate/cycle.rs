//! Whether a schema applies itself to the same value again, or so many schemas to one value that reading it takes too long.
//! Such a one comes from an author who wants a reader to hang; a schema of a tree refers to itself below a member.

use super::SchemaFault;
use serde_json::Value;
use std::collections::HashMap;

/// Schemas that one value may be held against: the largest shipped schema has some twenty.
const APPLIED: u64 = 10_000;

/// What is known of a schema: nothing while it is being looked at, then how many schemas it applies.
type Seen = HashMap<*const Value, Option<u64>>;

/// Refuses a schema that a reader would follow for ever, or for too long.
pub(super) fn bounded(root: &Value) -> Result<(), SchemaFault> {
    let mut seen = Seen::new();
    every(root, &mut |schema| applied(root, schema, &mut seen).map(drop))
}

/// Visits every object: what is no schema has no keyword that leads anywhere.
fn every(value: &Value, visit: &mut impl FnMut(&Value) -> Result<(), SchemaFault>) -> Result<(), SchemaFault> {
    match value {
        Value::Object(members) => {
            visit(value)?;
            members.values().try_for_each(|member| every(member, visit))
        }
        Value::Array(items) => items.iter().try_for_each(|item| every(item, visit)),
        _ => Ok(()),
    }
}

/// How many schemas this one applies to the value that it is given, itself included.
fn applied(root: &Value, schema: &Value, seen: &mut Seen) -> Result<u64, SchemaFault> {
    match seen.get(&std::ptr::from_ref(schema)) {
        Some(Some(known)) => return Ok(*known),
        Some(None) => return Err(SchemaFault::Cycle),
        None => seen.insert(std::ptr::from_ref(schema), None),
    };
    let mut total: u64 = 1;
    for inner in same_value(root, schema) {
        total = total.saturating_add(applied(root, inner, seen)?);
    }
    if total > APPLIED {
        return Err(SchemaFault::Applied);
    }
    seen.insert(std::ptr::from_ref(schema), Some(total));
    Ok(total)
}

/// The schemas that this one applies to the same value.
fn same_value<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let one = ["not", "if", "then", "else"].iter().filter_map(|keyword| schema.get(keyword));
    let lists = ["allOf", "anyOf", "oneOf"].iter().filter_map(|keyword| schema.get(keyword)?.as_array()).flatten();
    let maps = schema.get("dependentSchemas").and_then(Value::as_object).into_iter().flat_map(|map| map.values());
    let named = ["$ref", "$dynamicRef"].iter().filter_map(|keyword| schema.get(keyword)?.as_str());
    let referred = named.filter_map(|to| to.strip_prefix('#')).filter_map(|to| target(root, to));
    one.chain(lists).chain(maps).chain(referred).collect()
}

/// What a reference within the schema means: a JSON Pointer, or an anchor.
fn target<'a>(root: &'a Value, to: &str) -> Option<&'a Value> {
    if to.is_empty() || to.starts_with('/') {
        return root.pointer(to);
    }
    let is_it = ["$anchor", "$dynamicAnchor"].iter().any(|keyword| root.get(keyword).and_then(Value::as_str) == Some(to));
    if is_it {
        return Some(root);
    }
    match root {
        Value::Object(members) => members.values().find_map(|member| target(member, to)),
        Value::Array(items) => items.iter().find_map(|item| target(item, to)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Schema;
    use serde_json::{Map, Value, json};

    fn check(schema: Value, expect: &str) {
        let got = Schema::of_output(&schema).map_or_else(|fault| fault.to_string(), |_| "compiled".to_owned());
        assert!(got.contains(expect), "{schema}: {got}");
    }

    #[test]
    fn a_schema_that_never_ends_is_refused_and_one_of_a_tree_is_not() {
        let object = |key: &str, value: Value| json!({"type": "object", key: value});
        let again = "applies itself to the same value";
        check(object("$ref", json!("#")), again);
        check(object("$dynamicRef", json!("#")), again);
        check(object("anyOf", json!([{"$ref": "#"}])), again);
        check(object("properties", json!({"a": {"$ref": "#/properties/a"}})), again);
        check(
            json!({"type": "object", "$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}}),
            again,
        );
        check(json!({"type": "object", "properties": {"a": {"$anchor": "x", "if": {"$ref": "#x"}}}}), again);
        check(
            json!({"type": "object", "properties": {"child": {"$ref": "#"}, "list": {"type": "array", "items": {"$ref": "#"}}}}),
            "compiled",
        );
        // Two to the power of forty.
        let mut doubled = Map::new();
        doubled.insert("d0".into(), json!({"type": "object"}));
        for index in 1..40 {
            let before = format!("#/$defs/d{}", index - 1);
            doubled.insert(format!("d{index}"), json!({"allOf": [{"$ref": before}, {"$ref": before}]}));
        }
        check(json!({"type": "object", "$ref": "#/$defs/d39", "$defs": doubled}), "holds one value against more");
    }
}
