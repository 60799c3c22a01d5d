//! axe-core in a page: the rules for accessibility that a program can check. The script is installed
//! outside of the tree (`scripts/setup tests`), pinned by its lock file, and never shipped.

use super::Browser;
use serde_json::Value;
use std::path::PathBuf;

/// The script, as `scripts/build-clients axe` installs it.
const SCRIPT: &str = "axe-4.14.1/node_modules/axe-core/axe.min.js";

/// Runs all rules. Fails if the page was scanned by nothing, so that no answer is no success.
const RUN: &str = "return axe.run(document, {resultTypes: ['violations', 'passes']}).then((found) => ({
    passes: found.passes.length,
    violations: found.violations.map((one) => `${one.id} (${one.impact}): ${one.help}: ` +
        one.nodes.map((node) => node.html.slice(0, 200) + ' ' +
            node.any.concat(node.all, node.none).map((check) => check.message).join('; ')).join(' | ')),
}))";

/// The text of axe-core.
pub fn script() -> String {
    let clients = std::env::var_os("COFFERDAM_CLIENTS").map(PathBuf::from);
    let file = clients.expect("COFFERDAM_CLIENTS is not set: run `scripts/test`").join(SCRIPT);
    std::fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("{}: {error}; `scripts/build-clients axe` installs axe-core", file.display())
    })
}

/// Puts the script into the page that is open.
pub fn load(browser: &Browser, script: &str) {
    browser.run(&format!("{script}; return true"));
    assert_eq!(browser.run("return typeof axe?.run"), Value::from("function"));
}

/// The violations in the page that is open, one text each.
pub fn violations(browser: &Browser) -> Vec<String> {
    let found = browser.run(RUN);
    assert!(found["passes"].as_u64().unwrap_or(0) >= 10, "axe-core checked nothing: {found}");
    let texts = found["violations"].as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}
