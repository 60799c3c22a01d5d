//! Refuses keywords at the root of the input schema that the APIs of models refuse. With one such
//! tool in the list, an agent cannot use any tool. `cofferdam build` and `accept` refuse the same
//! keywords. The rest of the schema is not checked here.

use serde_json::Value;

/// The keywords that an input schema must not have at its root.
const ROOT: [&str; 11] = [
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "$ref",
    "$dynamicRef",
    "enum",
    "const",
];

/// The error of a schema with such a keyword. `None` for a text that is not JSON, which another
/// check reports.
pub(super) fn combinator(text: &str) -> Option<String> {
    let schema: Value = serde_json::from_str(text).ok()?;
    let keyword = ROOT.into_iter().find(|keyword| schema.get(keyword).is_some())?;
    Some(format!(
        "it has `{keyword}` at its root, and the APIs of models then refuse every tool of the \
         list; describe the choice in words, leave `{keyword}` out, and refuse in `plan` what \
         does not go together"
    ))
}

#[cfg(test)]
mod tests {
    use super::{ROOT, combinator};
    use crate::check::faults;
    use crate::tool::{Definition, Refusal};

    #[test]
    fn a_combinator_at_the_root_of_arguments_is_a_fault() {
        let refuse = |_: &str| Err(Refusal { reason: "no".into(), remedy: "none".into() });
        let about = |schema: &str| {
            let definition = Definition::new("hello", "0.1.0").input(schema);
            faults(&definition, refuse).into_iter().find(|fault| fault.contains("at its root, and"))
        };
        for keyword in ROOT {
            let found =
                about(&format!(r#"{{"type": "object", "{keyword}": []}}"#)).unwrap_or_default();
            assert!(
                found.starts_with(&format!("input schema: it has `{keyword}` at its root")),
                "{keyword}: {found}"
            );
        }
        for schema in [
            r#"{"type": "object"}"#,
            r#"{"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}]}}}"#,
            "{",
        ] {
            assert_eq!((about(schema), combinator(schema)), (None, None), "{schema}");
        }
    }
}
