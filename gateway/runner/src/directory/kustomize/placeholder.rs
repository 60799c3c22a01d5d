//! Values that another program fills in: `${VAR}` of Flux and `envsubst`, `{{ }}` of Helm and of
//! Argo CD's sets.

use serde_json::Value;

/// The first placeholder in a text: `${TAG}`, `${REPLICAS:=3}`, `{{ .Values.tag }}`. A dollar sign
/// that is written twice is a dollar sign: `$${HOME}` is none.
pub fn placeholder(text: &str) -> Option<&str> {
    let variable = variable(text);
    let template = text.find("{{").and_then(|from| text.get(from..).and_then(|rest| rest.find("}}").map(|to| (from, from + to + 2))));
    let (from, to) = [variable, template].into_iter().flatten().min()?;
    text.get(from..to)
}

/// Where the first variable begins and ends.
fn variable(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("${")) {
        let from = at + found;
        let dollars = bytes.get(..from).unwrap_or_default().iter().rev().take_while(|byte| **byte == b'$').count();
        let name = text.get(from + 2..).and_then(|rest| rest.chars().next());
        let named = name.is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        if let Some(length) = text.get(from..).and_then(|rest| rest.find('}'))
            && dollars % 2 == 0
            && named
        {
            return Some((from, from + length + 1));
        }
        at = from + 2;
    }
    None
}

/// The first placeholder in a value, keys included.
pub fn first(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => placeholder(text).map(str::to_owned),
        Value::Array(items) => items.iter().find_map(first),
        Value::Object(map) => map.iter().find_map(|(key, value)| placeholder(key).map(str::to_owned).or_else(|| first(value))),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// All placeholders in a value.
pub fn all(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => {
            let (mut found, mut rest) = (Vec::new(), text.as_str());
            while let Some(one) = placeholder(rest) {
                found.push(one.to_owned());
                rest = rest.find(one).and_then(|at| rest.get(at + one.len()..)).unwrap_or_default();
            }
            found
        }
        Value::Array(items) => items.iter().flat_map(all).collect(),
        Value::Object(map) => map.iter().flat_map(|(key, value)| all(&Value::String(key.clone())).into_iter().chain(all(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_text() {
        let check = |text: &str, expect: Option<&str>| assert_eq!(placeholder(text), expect, "{text}");
        check("${web_replicas:=3}", Some("${web_replicas:=3}"));
        check("registry.example.com/web:${TAG}", Some("${TAG}"));
        check("{{ .Values.tag }}", Some("{{ .Values.tag }}"));
        check("a-{{x}}-${Y}", Some("{{x}}"));
        check("echo \"$${HOME}\" ${CLUSTER}", Some("${CLUSTER}"));
        check("$${HOME}", None);
        check("$$${HOME}", Some("${HOME}"));
        check("$HOME", None);
        check("${}", None);
        check("${1}", None);
        check("${OPEN", None);
        check("{{ open", None);
        check("}} {{", None);
        check("plain", None);
        check("", None);
    }

    #[test]
    fn all_placeholders_of_a_value_are_found() {
        let value = serde_json::json!({"a": ["x ${A} ${B}", 3], "${C}": null});
        let mut found = all(&value);
        found.sort();
        assert_eq!(found, ["${A}", "${B}", "${C}"]);
        assert!(first(&value).is_some());
    }
}
