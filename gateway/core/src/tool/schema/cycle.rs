//! Bounds the work of checking a value. Refuses a schema that applies itself to the same value
//! again, or applies too many schemas to one value or along one path of values: a check would hang.
//! A schema of a tree is permitted: it refers to itself below a member, once. Never checks a value
//! itself.

use super::SchemaError;
use serde_json::Value;
use std::collections::HashMap;

/// Schemas that apply to one value, at most: the largest shipped schema has some twenty.
const APPLIED: usize = 10_000;

/// Levels of values below the root: strict JSON has no more.
const LEVELS: usize = crate::model::json::DEPTH;

/// Steps for one answer, over all levels: less than a second, and many times what a shipped schema
/// takes.
const EFFORT: u64 = 4_000_000;

/// Schemas that were visited: false while the visit goes on.
type Seen = HashMap<*const Value, bool>;

/// Refuses a schema that a reader would follow for ever, or for too long.
pub(super) fn bounded(root: &Value) -> Result<(), SchemaError> {
    let mut seen = Seen::new();
    let mut path = Path { root, known: HashMap::new(), effort: 0 };
    // Also those that no value comes to: a compiler follows them all the same.
    every(root, &mut |schema| {
        ends(root, schema, &mut seen)?;
        path.applied(schema, 0).map(drop)
    })?;
    path.applied(root, LEVELS).map(drop)
}

/// Visits every object: what is no schema has no keyword that leads anywhere.
fn every<'a>(
    value: &'a Value,
    visit: &mut impl FnMut(&'a Value) -> Result<(), SchemaError>,
) -> Result<(), SchemaError> {
    match value {
        Value::Object(members) => {
            visit(value)?;
            members.values().try_for_each(|member| every(member, visit))
        }
        Value::Array(items) => items.iter().try_for_each(|item| every(item, visit)),
        _ => Ok(()),
    }
}

/// Refuses a schema that leads to itself on the same value.
fn ends(root: &Value, schema: &Value, seen: &mut Seen) -> Result<(), SchemaError> {
    match seen.insert(std::ptr::from_ref(schema), false) {
        Some(true) => {}
        Some(false) => return Err(SchemaError::Cycle),
        None => {
            same_value(root, schema).into_iter().try_for_each(|inner| ends(root, inner, seen))?
        }
    }
    seen.insert(std::ptr::from_ref(schema), true);
    Ok(())
}

/// How many schemas are applied along the costliest path of values, from a value down through its
/// members.
struct Path<'a> {
    root: &'a Value,
    known: HashMap<(*const Value, usize), u64>,
    effort: u64,
}

impl<'a> Path<'a> {
    /// Those that this schema leads to, on a value with so many levels below it. Two ways from one
    /// value to one member double the work at each level.
    fn applied(&mut self, schema: &'a Value, levels: usize) -> Result<u64, SchemaError> {
        let place = (std::ptr::from_ref(schema), levels);
        if let Some(known) = self.known.get(&place) {
            return Ok(*known);
        }
        let mut here = vec![schema];
        let mut next = 0;
        while let Some(schema) = here.get(next).copied() {
            here.extend(same_value(self.root, schema));
            next += 1;
            if here.len() > APPLIED {
                return Err(SchemaError::Applied);
            }
        }
        let mut total = u64::try_from(here.len()).unwrap_or(u64::MAX);
        self.effort = self.effort.saturating_add(total);
        if levels > 0 {
            let mut costliest = 0;
            for member in members(&here) {
                let mut cost: u64 = 0;
                self.effort =
                    self.effort.saturating_add(u64::try_from(here.len()).unwrap_or(u64::MAX));
                if self.effort > EFFORT {
                    return Err(SchemaError::Applied);
                }
                for below in here.iter().flat_map(|schema| below(schema, &member)) {
                    cost = cost.saturating_add(self.applied(below, levels - 1)?);
                }
                costliest = costliest.max(cost);
            }
            total = total.saturating_add(costliest);
        }
        if usize::try_from(total).is_ok_and(|total| total <= APPLIED) && self.effort <= EFFORT {
            self.known.insert(place, total);
            Ok(total)
        } else {
            Err(SchemaError::Applied)
        }
    }
}

/// A member of a value, as schemas distinguish members.
enum Member<'a> {
    /// A member of an object, by a name that a schema names.
    Named(&'a str),
    /// A member of an object, by another name.
    Other,
    /// The member of an array, at this place.
    Item(usize),
}

/// The members that these schemas distinguish, and one that they do not name.
fn members<'a>(schemas: &[&'a Value]) -> Vec<Member<'a>> {
    let named = schemas
        .iter()
        .filter_map(|schema| schema.get("properties")?.as_object())
        .flat_map(|map| map.keys());
    let names: std::collections::BTreeSet<&str> = named.map(String::as_str).collect();
    let places = schemas
        .iter()
        .filter_map(|schema| schema.get("prefixItems")?.as_array())
        .map(Vec::len)
        .max()
        .unwrap_or(0);
    names
        .into_iter()
        .map(Member::Named)
        .chain([Member::Other])
        .chain((0..=places).map(Member::Item))
        .collect()
}

/// The schemas that one schema applies to a member or to its name. Patterns are taken to match
/// every name.
fn below<'a>(schema: &'a Value, member: &Member<'_>) -> Vec<&'a Value> {
    let get = |keyword: &str| schema.get(keyword);
    let patterns = || {
        get("patternProperties").and_then(Value::as_object).into_iter().flat_map(|map| map.values())
    };
    let rest = || ["additionalProperties", "unevaluatedProperties"].into_iter().filter_map(get);
    let names = get("propertyNames");
    match member {
        Member::Named(name) => match get("properties").and_then(|map| map.get(name)) {
            Some(own) => std::iter::once(own).chain(patterns()).chain(names).collect(),
            None => patterns().chain(rest()).chain(names).collect(),
        },
        Member::Other => patterns().chain(rest()).chain(names).collect(),
        Member::Item(place) => {
            let own =
                get("prefixItems").and_then(|items| items.get(place)).or_else(|| get("items"));
            own.into_iter()
                .chain(["contains", "unevaluatedItems"].into_iter().filter_map(get))
                .collect()
        }
    }
}

/// The schemas that this one applies to the same value.
fn same_value<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let one = ["not", "if", "then", "else"].iter().filter_map(|keyword| schema.get(keyword));
    let lists = ["allOf", "anyOf", "oneOf"]
        .iter()
        .filter_map(|keyword| schema.get(keyword)?.as_array())
        .flatten();
    let maps = ["dependentSchemas", "dependencies"]
        .into_iter()
        .filter_map(|keyword| schema.get(keyword)?.as_object());
    let maps = maps.flat_map(|map| map.values());
    let named = ["$ref", "$dynamicRef"].iter().filter_map(|keyword| schema.get(keyword)?.as_str());
    let referred = named.filter_map(|to| to.strip_prefix('#')).filter_map(|to| target(root, to));
    one.chain(lists).chain(maps).chain(referred).collect()
}

/// The target of a reference within the schema: a JSON Pointer, or an anchor.
fn target<'a>(root: &'a Value, to: &str) -> Option<&'a Value> {
    if to.is_empty() || to.starts_with('/') {
        return root.pointer(to);
    }
    let is_it = ["$anchor", "$dynamicAnchor"]
        .iter()
        .any(|keyword| root.get(keyword).and_then(Value::as_str) == Some(to));
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
        let got = Schema::of_output(&schema)
            .map_or_else(|error| error.to_string(), |_| "compiled".to_owned());
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
            json!({"type": "object", "$ref": "#/$defs/a",
            "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}}),
            again,
        );
        check(
            json!({"type": "object", "properties": {"a": {"$anchor": "x", "if": {"$ref": "#x"}}}}),
            again,
        );
        check(
            json!({"type": "object", "properties": {"child": {"$ref": "#"},
            "list": {"type": "array", "items": {"$ref": "#"}}}}),
            "compiled",
        );
        // Doubled at each level of a value.
        let tree = json!({"properties": {"a": {"$ref": "#/$defs/t"}}});
        let grows = json!({"type": "object", "properties": {"t": {"$ref": "#/$defs/t"}},
        "$defs": {"t": {"allOf": [tree, tree]}}});
        check(grows, "holds one value against more");
        let items = json!({"type": "object", "anyOf": [{"additionalProperties": {"$ref": "#"}},
        {"patternProperties": {"a": {"$ref": "#"}}}]});
        check(items, "holds one value against more");
        // Each member by one way: an expression.
        let one = |name: &str| {
            json!({"type": "object", "properties": {name: {"type": "array",
        "items": {"$ref": "#"}}}, "required": [name]})
        };
        check(json!({"type": "object", "oneOf": [one("and"), one("or"), one("not")]}), "compiled");
        // Two to the power of forty.
        let mut doubled = Map::new();
        doubled.insert("d0".into(), json!({"type": "object"}));
        for index in 1..40 {
            let before = format!("#/$defs/d{}", index - 1);
            doubled.insert(
                format!("d{index}"),
                json!({"allOf": [{"$ref": before}, {"$ref": before}]}),
            );
        }
        for place in ["not", "propertyNames", "additionalProperties", "contains"] {
            let schema =
                json!({"type": "object", place: {"$ref": "#/$defs/d39"}, "$defs": doubled});
            check(schema, "holds one value against more");
        }
        check(
            json!({"type": "object", "dependencies": {"a": {"$ref": "#/$defs/d39"}},
            "$defs": doubled}),
            "holds one value against more",
        );
        check(json!({"type": "object", "$defs": doubled}), "holds one value against more");
    }
}
