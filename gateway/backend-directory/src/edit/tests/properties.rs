//! Generated edits of one object in each form of file: YAML with either line end and a byte order
//! mark, a member of a list, JSON on many lines and on one. Whatever is changed, only the named
//! value changes, and every other byte stays.

use crate::edit::{Position, patch};
use crate::read::Format;
use cofferdam_core::model::path::FieldPath;
use proptest::prelude::*;
use serde_json::{Value, json};

const OBJECT: &str = "# head\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web   # \
                      the name\n  labels: {app: web, tier: \"front\"}\nspec:\n  replicas: 3 # see \
                      the runbook\n  paused:\n  template:\n    spec:\n      containers:\n      # \
                      the one that serves\n      - name: web\n        image: 'r/web:1.0'   # \
                      pinned\n        args: [a, \"b\"]\n\n      - name: log\n        image: \
                      r/log:2\n  # the end\n";

const PATHS: [&str; 9] = [
    "spec.replicas",
    "spec.paused",
    "metadata.labels.tier",
    "metadata.labels.zone",
    "metadata.annotations.x",
    "spec.template.spec.containers[name=web].image",
    "spec.template.spec.containers[name=log].image",
    "spec.template.spec.containers[name=log].tty",
    "spec.template.metadata.labels.a",
];

/// The object in a form of file, between neighbours.
fn form(number: usize) -> (Format, String, Position) {
    let whole = Position { document: 1, items: vec![] };
    let yaml = format!("a: 1\n---\n{OBJECT}---\nb: [2] # b\n");
    let item =
        format!("- {}", OBJECT.trim_start_matches("# head\n").trim_end().replace('\n', "\n  "));
    let list =
        format!("apiVersion: v1\nkind: List\nitems:\n# first\n- {{a: 1}}\n{item}\n- c: 1 # c\n");
    let second = Position { document: 0, items: vec![1] };
    let value = Format::Yaml.read(OBJECT).unwrap().remove(0).root.value();
    let json = json!({"apiVersion": "v1", "items": [{"a": 1}, value], "kind": "List"});
    match number {
        0 => (Format::Yaml, yaml, whole),
        1 => (Format::Yaml, yaml.replace('\n', "\r\n"), whole),
        2 => (Format::Yaml, format!("\u{feff}{}", yaml.replace('\n', "\r\n")), whole),
        3 => (Format::Yaml, list, second),
        4 => (Format::Yaml, list.replace('\n', "\r\n"), second),
        5 => (Format::Json, serde_json::to_string_pretty(&json).unwrap(), second),
        6 => (
            Format::Json,
            serde_json::to_string_pretty(&json).unwrap().replace("  ", "\t").replace('\n', "\r\n"),
            second,
        ),
        _ => (Format::Json, json.to_string(), second),
    }
}

fn leaf() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        any::<i32>().prop_map(|number| Some(number.into())),
        any::<bool>().prop_map(|boolean| Some(boolean.into())),
        "[ -~]{0,12}".prop_map(|text| Some(text.into())),
        "[a-z:#'\" \n\t-]{0,12}".prop_map(|text| Some(text.into())),
        "(yes|012|1e3|null|- a|a: b|a #b|ä|\u{85}x|\\{\\{ x \\}\\}|\\$\\{X\\})"
            .prop_map(|text| Some(text.into())),
    ]
}

/// Bytes that differ: of the text before, and of the text after.
fn changed<'a>(before: &'a str, after: &'a str) -> (&'a [u8], &'a [u8]) {
    let (before, after) = (before.as_bytes(), after.as_bytes());
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let most = before.len().min(after.len()) - start;
    let end =
        before.iter().rev().zip(after.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    (&before[start..before.len() - end], &after[start..after.len() - end])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_edit_changes_only_the_named_value(number in 0..8_usize, path in 0..PATHS.len(),
    value in leaf()) {
        let (format, text, at) = form(number);
        let path = FieldPath::parse(PATHS[path]).unwrap();
        let before = format.read(&text).unwrap();
        let object = at.object(&before).unwrap().value();
        let mut meant = object.clone();
        path.set(&mut meant, value.clone()).unwrap();
        let after = patch(format, &text, &at, &[(path, value)]).unwrap();
        let read_back = format.read(&after).unwrap();
        prop_assert_eq!(at.object(&read_back).unwrap().value(), meant.clone());
        prop_assert_eq!(meant == object, after == text);
        let (old, new) = changed(&text, &after);
        let breaks = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        prop_assert!(breaks(old) <= 1 && old.len() <= 60, "{:?}", String::from_utf8_lossy(old));
        prop_assert!(text.contains("\r\n") || !after.contains('\r'));
        prop_assert!(!text.contains("\r\n") || breaks(after.as_bytes()) == after.matches("\r\n").count(), "{after:?}");
        prop_assert!(number < 7 || breaks(new) == 0);
    }
}
