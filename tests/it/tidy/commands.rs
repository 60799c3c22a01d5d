//! Every command of a page is known. Our programs parse their command lines in their own tests;
//! this test checks scripts with their options, and programs of others. Runs nothing.

use super::shell::commands;
use super::{Breach, Page, check, finds, pages, root};
use std::fs;

/// Programs of others that pages show, and how each command is known to work.
const OTHERS: [(&str, &str); 28] = [
    ("cd", "the shell"),
    ("chmod", "POSIX"),
    ("cp", "tests/it/readme.rs"),
    ("curl", "tests/it/journey.rs sends the same requests"),
    ("docker", "needs a registry"),
    ("export", "tests/it/readme.rs"),
    ("git", "tests/it/readme.rs"),
    ("install", "POSIX"),
    ("jq", "prints a member as canonical JSON"),
    ("just", "runs the scripts"),
    ("kind", "makes a cluster; any cluster will do"),
    ("kubectl", "the tests of deploy/ apply the same manifests by the API"),
    ("mdbook", "builds this book"),
    ("mkdir", "POSIX"),
    ("npm", "made tests/guests/quickjs"),
    ("npx", "made tests/guests/quickjs"),
    ("pg_dump", "needs a server; the tests give its role the same rights"),
    ("psql", "tests/testkit/src/postgres runs the same scripts"),
    ("scp", "needs a server"),
    ("sha256sum", "coreutils"),
    ("ssh", "needs a server"),
    ("ssh-keygen", "tests/it/approver.rs"),
    ("sudo", "needs root"),
    ("systemctl", "needs systemd; the unit is checked by a test"),
    ("tr", "POSIX"),
    ("useradd", "needs root"),
    ("pip", "scripts/setup runs it"),
    ("uv", "makes the lists in scripts/python"),
];

/// Their own tests parse these.
const OURS: [&str; 2] = ["cofferdam", "cofferdam-runner"];

#[test]
fn every_command_of_a_page_is_known() {
    check(&pages(&["."], ".md"), known);
    let block = |text: &str| format!("```sh\n{text}\n```\n");
    finds(known, "a.md", &block("scripts/demo --kubernetes --stay"), 0);
    finds(known, "a.md", &block("scripts/demo --cluster"), 1);
    finds(known, "a.md", &block("scripts/nothing"), 1);
    finds(known, "a.md", &block("cofferdam serve && frobnicate"), 1);
    finds(known, "a.md", &block("target/debug/cofferdam serve"), 0);
    finds(known, "a.md", &block("cargo bench --package cofferdam-sandbox --bench sandbox"), 0);
    finds(known, "a.md", &block("cargo bench --package cofferdam-nothing --bench sandbox"), 1);
}

fn known(page: &Page) -> Vec<Breach> {
    let faults =
        commands(&page.text).into_iter().filter_map(|(line, words)| Some((line, unknown(&words)?)));
    faults.collect()
}

/// The cause, if cargo is given a package or a benchmark that does not exist.
fn cargo_unknown(words: &[String]) -> Option<String> {
    let benches = || pages(&["gateway", "tests"], ".rs").into_iter().map(|page| page.path);
    let manifests = || pages(&["gateway", "tests", "plugins"], "Cargo.toml").into_iter();
    words.windows(2).find_map(|pair| {
        let [option, name] = pair else { return None };
        let exists = match option.as_str() {
            "--bench" => benches().any(|path| path.ends_with(&format!("benches/{name}.rs"))),
            "--package" => {
                manifests().any(|page| page.text.contains(&format!("\nname = \"{name}\"\n")))
            }
            _ => true,
        };
        (!exists).then(|| format!("cargo knows no `{option} {name}` here"))
    })
}

/// The cause, if a command is not known.
fn unknown(words: &[String]) -> Option<String> {
    let (program, rest) = words.split_first()?;
    if let Some(script) = program.strip_prefix("scripts/") {
        let Ok(text) = fs::read_to_string(root().join("scripts").join(script)) else {
            return Some(format!("there is no `{program}`"));
        };
        let missing =
            rest.iter().find(|word| word.starts_with("--") && !text.contains(word.as_str()))?;
        return Some(format!("`{program}` does not know `{missing}`"));
    }
    if program == "cargo" {
        return cargo_unknown(rest);
    }
    let name = program.rsplit('/').next().unwrap_or(program);
    let is_known = OURS.contains(&name) || OTHERS.iter().any(|(other, _)| *other == name);
    (!is_known)
        .then(|| format!("add `{program}` to the list of tests/it/tidy/commands.rs, with a reason"))
}
