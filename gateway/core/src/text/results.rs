//! The results of a read, as an agent reads them: each result names its operation, and fields of
//! the same list member are together, member by member, not in parallel arrays. Never leaves a
//! value out.

use crate::model::facts::OperationFacts;
use serde_json::{Map, Value, json};

/// Results in plan order, with the facts of their operations.
pub fn presented(results: &[Value], facts: &[OperationFacts]) -> Vec<Value> {
    let each = results.iter().zip(facts.iter().map(Some).chain(std::iter::repeat(None)));
    each.map(|(result, fact)| one(result, fact)).collect()
}

fn one(result: &Value, fact: Option<&OperationFacts>) -> Value {
    let mut shown = Map::new();
    if let Some(fact) = fact {
        let own = [("kind", &fact.kind), ("namespace", &fact.namespace), ("name", &fact.name)];
        shown.extend(
            own.into_iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(name, text)| (name.to_owned(), json!(text))),
        );
    }
    let Value::Object(members) = result else { return result.clone() };
    for (name, value) in members {
        let value = match (name.as_str(), value) {
            ("fields", Value::Object(fields)) => Value::Object(by_member(fields)),
            ("items", Value::Array(items)) => items
                .iter()
                .map(|item| {
                    item.as_object()
                        .map_or_else(|| item.clone(), |item| Value::Object(by_member(item)))
                })
                .collect(),
            _ => value.clone(),
        };
        shown.insert(name.clone(), value);
    }
    Value::Object(shown)
}

/// `containers[*].name` and `containers[*].image` become `containers`: a list of members that each
/// have both. A single field, or one that does not fit the others of its list, stays as it is.
fn by_member(fields: &Map<String, Value>) -> Map<String, Value> {
    let split = |path: &str| {
        path.split_once("[*].").map(|(list, field)| (list.to_owned(), field.to_owned()))
    };
    let mut shown = Map::new();
    for (path, value) in fields {
        let Some((list, _)) = split(path) else {
            shown.insert(path.clone(), value.clone());
            continue;
        };
        let together: Vec<(String, &Value)> = fields
            .iter()
            .filter_map(|(path, value)| {
                split(path).filter(|(other, _)| *other == list).map(|(_, field)| (field, value))
            })
            .collect();
        match members(&together) {
            Some(members) if together.len() > 1 && !fields.contains_key(&list) => {
                drop(shown.insert(list, members))
            }
            _ => drop(shown.insert(path.clone(), value.clone())),
        }
    }
    shown
}

/// The members, or null where the object has no such list; `None` where the fields are not of one
/// list.
fn members(together: &[(String, &Value)]) -> Option<Value> {
    if together.iter().all(|(_, value)| value.is_null()) {
        return Some(Value::Null);
    }
    let columns: Option<Vec<(&String, &Vec<Value>)>> =
        together.iter().map(|(field, value)| Some((field, value.as_array()?))).collect();
    let columns = columns?;
    let length = columns.first().map(|(_, values)| values.len())?;
    if columns.iter().any(|(_, values)| values.len() != length) {
        return None;
    }
    let member = |at: usize| {
        columns
            .iter()
            .map(|(field, values)| ((*field).clone(), values.get(at).cloned().unwrap_or_default()))
            .collect::<Map<_, _>>()
    };
    Some((0..length).map(|at| Value::Object(member(at))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::plan::tests::{scale, sealed};

    #[test]
    fn members_of_a_list_are_shown_one_by_one() {
        let fact = sealed(vec![scale("team-a", 5)]).unwrap().facts()[0].clone();
        let list = OperationFacts { name: String::new(), ..fact.clone() };
        let results = [
            json!({"items": [{"metadata.name": "web", "c[*].name": ["web", "metrics"],
            "c[*].image": ["w:1", null], "d[*].x": [1]}], "truncated": false}),
            json!({"fields": {"spec.replicas": null, "c[*].name": null, "c[*].image": null}}),
            json!({"fields": {"c[*].name": ["a"], "c[*].image": ["a", "b"]}}),
            json!({"lines": ["x"], "truncated": true}),
        ];
        let shown = presented(&results, &[list, fact.clone(), fact]);
        assert_eq!(
            shown,
            [
                json!({"kind": "Deployment", "namespace": "team-a", "items": [{
                    "metadata.name": "web", "d[*].x": [1],
                    "c": [{"name": "web", "image": "w:1"}, {"name": "metrics", "image": null}],
                }], "truncated": false}),
                json!({"kind": "Deployment", "namespace": "team-a", "name": "web",
                "fields": {"spec.replicas": null, "c": null}}),
                json!({"kind": "Deployment", "namespace": "team-a", "name": "web",
                "fields": {"c[*].name": ["a"], "c[*].image": ["a", "b"]}}),
                json!({"lines": ["x"], "truncated": true}),
            ]
        );
    }
}
