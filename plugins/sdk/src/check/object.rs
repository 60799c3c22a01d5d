//! The field paths of a whole object, as the host finds them. A ceiling must name each.

use crate::tool::key;
use serde_json::Value;
use std::collections::BTreeSet;

/// The kind of an object, and the paths of its fields.
pub(super) struct Found {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) leaves: Vec<String>,
}

/// Reads an object.
///
/// # Errors
/// The object is not JSON, or has no `apiVersion` or `kind`.
pub(super) fn read(text: &str) -> Result<Found, String> {
    let object: Value =
        serde_json::from_str(text).map_err(|fault| format!("its object is not JSON: {fault}"))?;
    let word = |name: &str| {
        object.get(name).and_then(Value::as_str).ok_or(format!("its object has no `{name}`"))
    };
    let (api, kind) = (word("apiVersion")?, word("kind")?);
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    let mut leaves = Vec::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => value
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| !matches!(name.as_str(), "name" | "namespace"))
                .for_each(|(name, value)| collect(&key("metadata", name), value, &mut leaves)),
            name => collect(name, value, &mut leaves),
        }
    }
    Ok(Found { group: group.into(), version: version.into(), kind: kind.into(), leaves })
}

/// The members of a list are named by `name` if each has one of its own. Any other list is one
/// field, and so is an empty map.
fn collect(at: &str, value: &Value, leaves: &mut Vec<String>) {
    match value {
        Value::Object(members) if !members.is_empty() && !members.contains_key("$host") => {
            members.iter().for_each(|(name, member)| collect(&key(at, name), member, leaves));
        }
        Value::Array(items) if named(items) => {
            for item in items {
                let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
                collect(&format!("{at}[name={name}]"), item, leaves);
            }
        }
        _ => leaves.push(at.into()),
    }
}

fn named(items: &[Value]) -> bool {
    let names: Option<BTreeSet<&str>> =
        items.iter().map(|item| item.get("name").and_then(Value::as_str)).collect();
    names.is_some_and(|names| !names.is_empty() && names.len() == items.len())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn leaves_are_those_of_the_host() {
        let text = r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"a.b/c": "d"}}, "spec": {
            "replicas": 2, "selector": {}, "containers": [{"name": "web", "args": ["a"], "mounts": [{"name": "a"}, {"name": "a"}]}]}}"#;
        let found = read(text).map_err(|fault| panic!("{fault}")).unwrap();
        assert_eq!(
            (found.group.as_str(), found.version.as_str(), found.kind.as_str()),
            ("apps", "v1", "Deployment")
        );
        let container = "spec.containers[name=web]";
        let expect = [
            r#"metadata.labels["a.b/c"]"#.to_owned(),
            format!("{container}.args"),
            format!("{container}.mounts"),
            format!("{container}.name"),
            "spec.replicas".to_owned(),
            "spec.selector".to_owned(),
        ];
        assert_eq!(found.leaves, expect);
        assert!(read("{}").is_err());
    }
}
