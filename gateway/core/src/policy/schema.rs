//! `policies/schema/`: JSON Schemas of the policy input and output, made from the types so
//! that an author's typo fails in `opa check --schema`. Never written by hand: `UPDATE_EXPECT=1
//! cargo test -p cofferdam-core policy::schema` writes them.

use super::input::{Input, ListInput};
use super::output::Output;
use expect_test::{ExpectFile, expect_file};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

const GENERATED: &str = "Generated from the Rust types in gateway/core/src/policy by \
                         `UPDATE_EXPECT=1 cargo test -p cofferdam-core policy::schema`; do not \
                         edit.";

/// Draft 7 without references, in the form of the types as they are written: every key required, no
/// other allowed. `opa` reads no `oneOf`, so each becomes `anyOf`, or an `enum` where it lists
/// words.
fn document<T: JsonSchema>() -> String {
    let mut settings = SchemaSettings::draft07().for_serialize();
    settings.inline_subschemas = true;
    let schema: Schema = settings.into_generator().into_root_schema_for::<T>();
    let mut value = Value::from(schema);
    plain(&mut value);
    if let Value::Object(map) = &mut value {
        map.insert("$comment".to_owned(), json!(GENERATED));
    }
    let mut text = serde_json::to_string_pretty(&value).unwrap();
    text.push('\n');
    text
}

fn plain(value: &mut Value) {
    match value {
        Value::Object(map) => {
            one_of(map);
            map.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

fn one_of(map: &mut Map<String, Value>) {
    let Some(Value::Array(cases)) = map.remove("oneOf") else { return };
    let words: Option<Vec<Value>> = cases.iter().map(|case| case.get("const").cloned()).collect();
    match words {
        Some(words) => {
            map.insert("type".to_owned(), json!("string"));
            map.insert("enum".to_owned(), Value::Array(words));
        }
        None => {
            map.insert("anyOf".to_owned(), Value::Array(cases));
        }
    }
}

fn check<T: JsonSchema>(expect: ExpectFile) {
    expect.assert_eq(&document::<T>());
}

#[test]
fn the_published_schemas_are_those_of_the_types() {
    check::<Input>(expect_file!["../../../../policies/schema/input.json"]);
    check::<ListInput>(expect_file!["../../../../policies/schema/list_input.json"]);
    check::<Output>(expect_file!["../../../../policies/schema/output.json"]);
}
