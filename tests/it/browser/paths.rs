//! The pages that the edge serves, from its own table of paths: a new page cannot be forgotten.

use super::Browser;
use crate::tidy::root;
use serde_json::json;
use std::collections::BTreeSet;

/// The files with the table.
const TABLES: [&str; 2] = ["gateway/edge/src/path.rs", "gateway/edge/src/path"];

/// The patterns of all paths.
pub fn patterns() -> BTreeSet<String> {
    let mut files = Vec::new();
    for table in TABLES.map(|table| root().join(table)) {
        if table.is_dir() {
            let entries = std::fs::read_dir(table).unwrap();
            files.extend(entries.map(|entry| entry.unwrap().path()));
        } else if table.exists() {
            files.push(table);
        }
    }
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    let all: BTreeSet<String> = texts.flat_map(|text| patterns_in(&text)).collect();
    assert!(all.contains("/approve/{id}") && all.contains("/enrol"), "{all:?}");
    all
}

/// The patterns of an arm: `=> "/approve/{id}"`.
fn patterns_in(text: &str) -> Vec<String> {
    let arms = text.lines().filter_map(|line| line.split_once("=> \"/"));
    arms.filter_map(|(_, rest)| Some(format!("/{}", rest.split_once('"')?.0))).collect()
}

/// Whether a page for people is at this path. Asks for the head alone, as some paths stream, and
/// without a sign-in, as Chromium would ask for a password in a window of its own.
pub fn is_page(browser: &Browser, path: &str) -> bool {
    let script = format!(
        "return fetch({}, {{method: 'HEAD', headers: {{accept: 'text/html'}},
            credentials: 'omit', redirect: 'manual',
            signal: AbortSignal.timeout(10000)}}).then((answer) =>
            answer.headers.get('content-type') ?? '', String)",
        json!(path)
    );
    let media = browser.run(&script);
    let media = media.as_str().unwrap();
    assert!(media.is_empty() || media.contains('/'), "HEAD {path}: {media}");
    media.starts_with("text/html")
}
