//! The fields of an object besides those of a plan, so that a change by others can be reported with
//! its field. Shared by both backends. Pure; never decides what a change means.

use crate::members::{members, spelled};
use cofferdam_core::model::path::{FieldPath, Segment};
use cofferdam_core::model::preview::{Origin, REST, Rest, kept};
use serde_json::Value;
use std::collections::BTreeMap;

/// The identity of an object, which is the same in every state of it.
const IDENTITY: [&str; 4] = ["apiVersion", "kind", "metadata.name", "metadata.namespace"];

/// The rest of an object, without the fields that the server keeps for itself. `own` are the plan's
/// own fields; `origin` gives the writer or the place of a field.
pub fn rest(
    object: &Value,
    own: &[FieldPath],
    origin: impl Fn(&[Segment]) -> Option<Origin>,
) -> Rest {
    let mut found = Vec::new();
    leaves(&mut Vec::new(), object, &mut found);
    let named = |path: &[Segment]| {
        own.iter().any(|own| path.starts_with(own.segments()) || own.segments().starts_with(path))
    };
    let mut rest = Rest::default();
    for own in own {
        rest.origins.extend(origin(own.segments()).map(|origin| (own.to_string(), origin)));
    }
    // With only a part of the fields, a change of another field would be reported without its name,
    // or not at all.
    if found.len() > REST {
        return rest;
    }
    let mut fields = BTreeMap::new();
    for (path, value) in found.into_iter().filter(|(path, _)| !named(path)) {
        let name = spelled(&path);
        if IDENTITY.contains(&name.as_str()) {
            continue;
        }
        rest.origins.extend(origin(&path).map(|origin| (name.clone(), origin)));
        fields.insert(name, kept(value));
    }
    Rest { fields: Some(fields), ..rest }
}

/// The rest of a deleted object. If it has too many fields to keep each, its summary is compared in
/// their place, with origins.
pub fn rest_of_whole(
    object: &Value,
    described: &BTreeMap<String, Value>,
    origin: impl Fn(&[Segment]) -> Option<Origin>,
) -> Rest {
    let mut rest = rest(object, &[], &origin);
    if rest.fields.is_none() {
        let paths = described.keys().filter_map(|name| Some((name, FieldPath::parse(name).ok()?)));
        rest.origins = paths
            .filter_map(|(name, path)| Some((name.clone(), origin(path.segments())?)))
            .collect();
    }
    rest
}

/// Values without members of their own, by the rule that finds differences.
fn leaves<'a>(at: &mut Vec<Segment>, value: &'a Value, found: &mut Vec<(Vec<Segment>, &'a Value)>) {
    match members(value).filter(|members| !members.is_empty()) {
        Some(members) => {
            for (segment, value) in members {
                at.push(segment);
                leaves(at, value, found);
                at.pop();
            }
        }
        None if value.is_null() => {}
        None => found.push((at.clone(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web",
                "namespace": "shop",
                "annotations": {"example.com/owner": "me"},
            },
            "spec": {"replicas": 3, "paused": null, "template": {"spec": {"containers": [
                {"name": "web", "image": "a", "args": ["x", "y"]}, {"name": "log", "image": "b"},
            ]}}},
        })
    }

    #[test]
    fn every_other_field_is_kept_by_its_path() {
        let own = ["spec.replicas", "spec.template.spec.containers[name=web].image"]
            .map(|path| FieldPath::parse(path).unwrap());
        let rest = rest(&object(), &own, |path| {
            (path.len() == 2).then(|| Origin::Manager("m".to_owned()))
        });
        let expect: BTreeMap<String, Value> = [
            ("metadata.annotations[\"example.com/owner\"]", json!("me")),
            ("spec.template.spec.containers[name=log].image", json!("b")),
            ("spec.template.spec.containers[name=log].name", json!("log")),
            ("spec.template.spec.containers[name=web].args", json!(["x", "y"])),
            ("spec.template.spec.containers[name=web].name", json!("web")),
        ]
        .map(|(path, value)| (path.to_owned(), value))
        .into();
        assert_eq!(rest.fields, Some(expect));
        assert_eq!(
            rest.origins.into_keys().collect::<Vec<_>>(),
            ["spec.replicas"],
            "the plan's own fields too"
        );
    }

    #[test]
    fn an_object_with_too_many_fields_is_kept_as_a_whole() {
        let data = |count: usize| {
            json!({"data": (0..count).map(|at| (format!("k{at}"),
        json!(at))).collect::<serde_json::Map<_, _>>()})
        };
        assert_eq!(rest(&data(REST), &[], |_| None).fields.map(|fields| fields.len()), Some(REST));
        assert_eq!(rest(&data(REST + 1), &[], |_| None).fields, None);
        // The summary of a deleted object still has its origins.
        let described = BTreeMap::from([("data".to_owned(), json!(["k0"]))]);
        let by = |path: &[Segment]| (path.len() == 1).then(|| Origin::Manager("m".to_owned()));
        let origins = |count| {
            rest_of_whole(&data(count), &described, by).origins.into_keys().collect::<Vec<_>>()
        };
        assert_eq!((origins(REST), origins(REST + 1)), (vec![], vec!["data".to_owned()]));
    }
}
