//! The merge of one server into a client's configuration. Other servers, unknown members, comments
//! and the layout stay. A text that cannot be read whole is refused, never repaired.

use super::client::{Entry, JsonEntry};
use anyhow::{Context as _, Result, bail};
use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

/// Members that say how to reach a server. One that is not in the new entry is removed: with two
/// ways, each client takes another one.
const WAYS: [&str; 7] = ["type", "command", "args", "url", "httpUrl", "serverUrl", "headers"];

/// Returns the text with the entry. The result is the same text if it has the entry already.
///
/// # Errors
/// The text cannot be parsed, or a member on the way is not an object.
pub fn merged(text: &str, name: &str, entry: &Entry) -> Result<String> {
    match entry {
        Entry::Json(entry) => json(text, name, entry),
        Entry::Toml(members) => toml(text, name, members),
        Entry::Text(text) => Ok(text.clone()),
    }
}

fn json(text: &str, name: &str, entry: &JsonEntry) -> Result<String> {
    let options = ParseOptions {
        allow_comments: entry.comments,
        allow_trailing_commas: entry.comments,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let given = if text.trim().is_empty() { "{\n}\n" } else { text };
    if !entry.comments {
        // The parser below takes comments whatever its options say.
        serde_json::from_str::<serde::de::IgnoredAny>(given).context("it is not JSON")?;
    }
    let root = CstRootNode::parse(given, &options)
        .with_context(|| format!("it is not {}", if entry.comments { "JSONC" } else { "JSON" }))?;
    let whole = root.object_value().context("it is not a JSON object")?;
    let servers = whole
        .object_value_or_create(entry.servers)
        .with_context(|| format!("`{}` is not an object", entry.servers))?;
    let server = servers
        .object_value_or_create(name)
        .with_context(|| format!("`{}.{name}` is not an object", entry.servers))?;
    for way in WAYS.into_iter().filter(|way| entry.members.iter().all(|(key, _)| key != way)) {
        if let Some(old) = server.get(way) {
            old.remove();
        }
    }
    for (key, value) in &entry.members {
        put(&server, key, value);
    }
    if let Some((id, input)) = &entry.input {
        let inputs = whole.array_value_or_create("inputs").context("`inputs` is not an array")?;
        let has = |known: Value| known.get("id").and_then(Value::as_str) == Some(id);
        if !inputs.elements().iter().filter_map(|known| known.to_serde_value()).any(has) {
            let members = input.iter().map(|(key, value)| ((*key).to_owned(), cst(value)));
            inputs.append(CstInputValue::Object(members.collect()));
        }
    }
    let merged = root.to_string();
    check(&merged, name, entry)?;
    Ok(merged)
}

/// Reads the result as a client does. A key that is there twice has two meanings.
fn check(merged: &str, name: &str, entry: &JsonEntry) -> Result<()> {
    let read = CstRootNode::parse(merged, &ParseOptions::default())
        .ok()
        .and_then(|root| root.to_serde_value())
        .context("a number or a text in it cannot be read")?;
    let server = read.get(entry.servers).and_then(|servers| servers.get(name));
    let is = |(key, value): &(&str, Value)| {
        let found = server.and_then(|server| server.get(key));
        match value {
            Value::Object(members) => members
                .iter()
                .all(|(key, value)| found.and_then(|found| found.get(key)) == Some(value)),
            value => found == Some(value),
        }
    };
    match entry.members.iter().all(is) {
        true => Ok(()),
        false => bail!("a key is there twice on the way to `{}.{name}`", entry.servers),
    }
}

/// Puts a member into an object. An object is merged; an equal value stays as it is written.
fn put(object: &CstObject, key: &str, value: &Value) {
    let Some(old) = object.get(key) else {
        object.append(key, cst(value));
        return;
    };
    let known = old.value().and_then(|old| old.to_serde_value());
    match (old.object_value(), value) {
        _ if known.as_ref() == Some(value) => {}
        (Some(inner), Value::Object(members)) => {
            for (key, value) in members {
                put(&inner, key, value);
            }
        }
        _ => old.set_value(cst(value)),
    }
}

fn cst(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(cst).collect()),
        Value::Object(members) => CstInputValue::Object(
            members.iter().map(|(key, value)| (key.clone(), cst(value))).collect(),
        ),
    }
}

fn toml(text: &str, name: &str, members: &[(&'static str, String)]) -> Result<String> {
    const SERVERS: &str = "mcp_servers";
    let mut whole: DocumentMut = text.parse().context("it is not TOML")?;
    let servers = whole.entry(SERVERS).or_insert_with(|| {
        let mut servers = Table::new();
        servers.set_implicit(true);
        Item::Table(servers)
    });
    let servers =
        servers.as_table_like_mut().with_context(|| format!("`{SERVERS}` is not a table"))?;
    let server = servers
        .entry(name)
        .or_insert_with(|| Item::Table(Table::new()))
        .as_table_like_mut()
        .with_context(|| format!("`{SERVERS}.{name}` is not a table"))?;
    // A comment belongs to the key after it, and must outlive this key.
    let mut comments = String::new();
    for way in WAYS.into_iter().filter(|way| members.iter().all(|(key, _)| key != way)) {
        let above = server.key(way).and_then(|key| key.leaf_decor().prefix()?.as_str());
        comments.extend(above.filter(|above| above.contains('#')));
        server.remove(way);
    }
    for (key, text) in members {
        set(server, key, text);
    }
    let first = members.first().and_then(|(key, _)| server.key_mut(key));
    if let Some(mut first) = first.filter(|_| !comments.is_empty()) {
        let own = first.leaf_decor().prefix().and_then(|own| own.as_str()).unwrap_or_default();
        let above = format!("{comments}{own}");
        first.leaf_decor_mut().set_prefix(above);
    }
    Ok(whole.to_string())
}

fn set(table: &mut dyn TableLike, key: &str, text: &str) {
    if table.get(key).and_then(Item::as_str) != Some(text) {
        table.insert(key, value(text));
    }
}
