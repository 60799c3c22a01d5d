//! The contents of logs and traces: each field of a log line is on the list of telemetry names,
//! and a source sets each attribute and changes each metric. Reads sources; starts no role.

use super::{Breach, Page, check, finds, page, pages};
use std::collections::{BTreeMap, BTreeSet};

/// The file with both lists.
const LISTS: &str = "gateway/core/src/protocol/telemetry_names.rs";

/// Where the metrics are declared.
const METRICS: &str = "gateway/telemetry/src/metrics.rs";

/// Macros that write a line of the log.
const LINES: [&str; 5] = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];

/// Fields that name the subject of a line: a person finds every line about it with one search.
const SUBJECTS: [&str; 11] =
    ["address", "agent", "call", "client", "kind", "name", "path", "peer", "role", "tool", "what"];

#[test]
fn every_field_of_a_log_line_is_shown() {
    let allowed = logged();
    assert!(
        allowed.contains("call") && allowed.len() > 20,
        "the list LOGGED is not read: {allowed:?}"
    );
    let rule = |page: &Page| unshown(page, &allowed);
    check(&pages(&["gateway"], ".rs"), rule);
    finds(
        rule,
        "a.rs",
        "tracing::warn!(%call, fault = %a(b, c), detail = \"x, y = z\", \"words, {n}\", n = 1);",
        0,
    );
    finds(rule, "a.rs", "tracing::warn!(\n    secret = 1,\n    ?call.other, \"words\");", 2);
    finds(rule, "a.rs", "tracing::info!(secret = 1)", 1);
    finds(rule, "a.rs", "tracing::info!(\"secret = {a}\")", 0);
    finds(rule, "a.rs", "tracing::info_span!(\"name\", secret = 1)", 0);
}

#[test]
fn every_warning_and_error_names_its_subject() {
    let named = logged();
    assert!(
        SUBJECTS.iter().all(|subject| named.contains(*subject)),
        "a log line would withhold one of {SUBJECTS:?}"
    );
    check(&pages(&["gateway"], ".rs"), nameless);
    finds(
        nameless,
        "a.rs",
        "tracing::warn!(%call, \"words\"); tracing::error!(role = %name, \"words\");",
        0,
    );
    finds(
        nameless,
        "a.rs",
        "tracing::warn!(\n    path = %a.display(),\n    %fault,\n    \"words\");",
        0,
    );
    finds(nameless, "a.rs", "tracing::error!(\"the file {path} cannot be read\")", 1);
    finds(
        nameless,
        "a.rs",
        "tracing::error!(%fault, \"words\"); tracing::warn!(error = \"path = 1\", \"words\")",
        2,
    );
    finds(nameless, "a.rs", "tracing::info!(\"words\")", 0);
}

#[test]
fn every_attribute_on_the_list_is_set_by_a_source() {
    let attributes = attributes();
    assert!(attributes.len() > 10, "the list ATTRIBUTES is not read: {attributes:?}");
    let sources: Vec<Page> = pages(&["gateway"], ".rs").into_iter().filter(is_source).collect();
    let unset: Vec<_> = attributes
        .iter()
        .filter(|(constant, name)| !sources.iter().any(|source| sets(source, constant, name)))
        .collect();
    assert!(
        unset.is_empty(),
        "no source sets {unset:?}; set them at a span, or take them off the list in {LISTS}"
    );
    let source = |text: &str| Page { path: "gateway/a/src/a.rs".into(), text: text.into() };
    let sets = |text: &str| sets(&source(text), "CALL", "cofferdam.call");
    assert!(sets("info_span!(\"job\", cofferdam.call = %call)"));
    assert!(sets("use telemetry_names::CALL;\ninfo_span!(\"job\", { CALL } = %call)"));
    assert!(!sets("const CALL: u8 = 1;"));
    assert!(!sets("use telemetry_names::CALLS;"));
}

#[test]
fn every_declared_metric_is_changed_by_a_source() {
    let declared = metrics();
    assert!(declared.len() > 20, "the metrics are not read: {declared:?}");
    let sources: Vec<Page> = pages(&["gateway"], ".rs")
        .into_iter()
        .filter(|page| page.path != METRICS && page.path.contains("/src/"))
        .collect();
    let unused: Vec<_> = declared
        .iter()
        .filter(|metric| !sources.iter().any(|source| has_word(&source.text, metric)))
        .collect();
    assert!(unused.is_empty(), "no source changes {unused:?}; {METRICS} declares them");
}

/// Returns whether a page sets an attribute: by its name, or by its constant from the list.
fn sets(page: &Page, constant: &str, name: &str) -> bool {
    page.text.contains(name)
        || page.text.contains("telemetry_names") && has_word(&page.text, constant)
}

/// Returns whether a text has this word, with no letter, digit or `_` beside it.
fn has_word(text: &str, word: &str) -> bool {
    let inside = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(inside) && !text[at + word.len()..].starts_with(inside)
    })
}

/// Neither the lists themselves, nor a test.
fn is_source(page: &Page) -> bool {
    !page.path.starts_with("gateway/telemetry/")
        && page.path != LISTS
        && page.path.contains("/src/")
        && !page.path.contains("tests")
}

/// The constants of all declared metrics.
fn metrics() -> Vec<String> {
    let text = page(METRICS).text;
    let list = text.lines().skip_while(|line| *line != "metrics! {").skip(1);
    list.take_while(|line| *line != "}")
        .filter_map(|line| line.strip_prefix("    ")?.split_once(": "))
        .filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// The texts between a line that contains `head` and the next `];`.
fn members(head: &str) -> Vec<String> {
    let page = page(LISTS);
    let list = page
        .text
        .lines()
        .skip_while(|line| !line.contains(head))
        .skip(1)
        .take_while(|line| *line != "];");
    list.map(|line| line.trim().trim_end_matches(',').to_owned()).collect()
}

fn logged() -> BTreeSet<String> {
    members("pub const LOGGED")
        .into_iter()
        .map(|name| name.trim_matches('"').to_owned())
        .chain(["message".to_owned()])
        .collect()
}

/// The list of attributes: the constant and the name of each.
fn attributes() -> Vec<(String, String)> {
    let page = page(LISTS);
    let constants: BTreeMap<&str, &str> = page
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = \""))
        .map(|(constant, value)| (constant, value.trim_end_matches("\";")))
        .collect();
    members("pub const ATTRIBUTES")
        .into_iter()
        .map(|constant| (constant.clone(), constants[constant.as_str()].to_owned()))
        .collect()
}

/// Fields of log lines that are not on the list: a line would show them as withheld.
fn unshown(page: &Page, allowed: &BTreeSet<String>) -> Vec<Breach> {
    let mut faults = Vec::new();
    for (number, _, fields) in log_lines(page) {
        for field in fields.into_iter().filter(|field| !allowed.contains(field)) {
            faults.push((
                number,
                format!(
                    "a log line shows `{field}` as withheld; use a name on the list LOGGED of \
                     {LISTS}"
                ),
            ));
        }
    }
    faults
}

/// Warnings and errors without a field that names their subject.
fn nameless(page: &Page) -> Vec<Breach> {
    let trouble = |head: &str| head == "error!(" || head == "warn!(";
    let named = |fields: &[String]| fields.iter().any(|field| SUBJECTS.contains(&field.as_str()));
    let found =
        log_lines(page).into_iter().filter(|(_, head, fields)| trouble(head) && !named(fields));
    found
        .map(|(number, ..)| {
            (number, format!("name the subject of this line in one of the fields {SUBJECTS:?}"))
        })
        .collect()
}

/// Each log line of a page: its number, its macro, and its fields.
fn log_lines(page: &Page) -> Vec<(usize, &'static str, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in page.text.match_indices("tracing::") {
        let rest = &page.text[at + "tracing::".len()..];
        if let Some(head) = LINES.iter().find(|head| rest.starts_with(**head)) {
            let number = page.text[..at].matches('\n').count() + 1;
            found.push((number, *head, fields(&rest[head.len()..])));
        }
    }
    found
}

/// Names of the fields before the words of a line.
fn fields(arguments: &str) -> Vec<String> {
    let parts = split(arguments);
    let named = parts.iter().take_while(|part| !part.starts_with('"'));
    named.filter(|part| !part.is_empty()).map(|part| name(part)).collect()
}

/// The name of one field: `call` of `%call`, `fault` of `fault = %other`.
fn name(part: &str) -> String {
    let left = part.split_once('=').map_or(part, |(left, _)| left);
    left.trim().trim_start_matches(['%', '?']).to_owned()
}

/// The arguments of a macro, split at its own commas, up to its closing parenthesis.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth) = (Vec::new(), String::new(), 0_u32);
    let (mut quoted, mut escaped) = (false, false);
    for sign in text.chars() {
        if quoted {
            quoted = sign != '"' || escaped;
            escaped = sign == '\\' && !escaped;
        } else {
            match sign {
                '"' => quoted = true,
                '(' | '[' | '{' => depth += 1,
                ')' if depth == 0 => break,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    parts.push(std::mem::take(&mut part).trim().to_owned());
                    continue;
                }
                _ => {}
            }
        }
        part.push(sign);
    }
    parts.push(part.trim().to_owned());
    parts
}
