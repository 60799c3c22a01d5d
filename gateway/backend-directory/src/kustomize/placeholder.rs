//! Placeholders that another program fills in: `${VAR}` of Flux and `envsubst`, `$(VAR)` of
//! kustomize, `{{ }}` of Helm and of Argo CD's sets, `<path:…>` of Argo CD's vault plug-in.

use serde_json::Value;

/// The first placeholder in a text: `${TAG}`, `${REPLICAS:=3}`, `{{ .Values.tag }}`. A doubled
/// dollar sign is an escaped one, so `$${HOME}` is not a placeholder.
pub fn placeholder(text: &str) -> Option<&str> {
    let enclosed = |begin: &str, end: &str| {
        let from = text.find(begin)?;
        let to = text.get(from..)?.find(end)?;
        Some((from, from + to + end.len()))
    };
    let found = [
        variable(text, ('{', '}')),
        variable(text, ('(', ')')),
        enclosed("{{", "}}"),
        enclosed("<path:", ">"),
    ];
    let (from, to) = found.into_iter().flatten().min()?;
    text.get(from..to)
}

/// Where the first variable in these brackets begins and ends. In round ones a name is in capitals:
/// `$(date)` is a shell's.
fn variable(text: &str, (open, close): (char, char)) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('$')) {
        let from = at + found;
        at = from + 1;
        let dollars = bytes
            .get(..from)
            .unwrap_or_default()
            .iter()
            .rev()
            .take_while(|byte| **byte == b'$')
            .count();
        let Some(rest) = text.get(at..).filter(|rest| rest.starts_with(open) && dollars % 2 == 0)
        else {
            continue;
        };
        let first = |character: char| {
            character == '_'
                || if open == '(' {
                    character.is_ascii_uppercase()
                } else {
                    character.is_ascii_alphabetic()
                }
        };
        let plain = |character: char| {
            character == '_' || character.is_ascii_uppercase() || character.is_ascii_digit()
        };
        let named = rest.chars().nth(1).is_some_and(first);
        if let Some(length) = closing(rest, (open, close))
            && named
            && (open == '{' || rest.get(1..length).is_some_and(|name| name.chars().all(plain)))
        {
            return Some((from, at + length + 1));
        }
    }
    None
}

/// The position of the closing bracket for the one that a text begins with. A default may have a
/// variable of its own.
fn closing(text: &str, (open, close): (char, char)) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// The first placeholder in a value, keys included.
pub fn first(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => placeholder(text).map(str::to_owned),
        Value::Array(items) => items.iter().find_map(first),
        Value::Object(map) => map
            .iter()
            .find_map(|(key, value)| placeholder(key).map(str::to_owned).or_else(|| first(value))),
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
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| all(&Value::String(key.clone())).into_iter().chain(all(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_text() {
        let check =
            |text: &str, expect: Option<&str>| assert_eq!(placeholder(text), expect, "{text}");
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
        check("${A:-${B:-x}}-y", Some("${A:-${B:-x}}"));
        check("${A/x/y} ${B}", Some("${A/x/y}"));
        check("--port=$(PORT)", Some("$(PORT)"));
        check("now=$(date +%s)", None);
        check("$$(PORT)", None);
        check("<path:kv/data/web#token>", Some("<path:kv/data/web#token>"));
        check("<b>", None);
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
