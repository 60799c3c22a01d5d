//! Pages promise only what a test proves: each guarantee names an existing test or says `unproved`,
//! and each cited decision exists.

use super::{Breach, Page, check, finds, lines, page, pages, root};
use std::collections::BTreeSet;
use std::fs;

/// The mark of a promise without a test.
const UNPROVED: &str = "unproved";

/// The page of the guarantees.
const GUARANTEES: &str = "docs/guarantees.md";

/// The page of the parts that an attacker could control.
const PARTS: &str = "docs/threat-model.md";

#[test]
fn every_guarantee_names_its_test() {
    let promises = |page: &Page| page.text.lines().filter(|line| line.starts_with("- ")).count();
    assert!(
        promises(&page(GUARANTEES)) >= 57,
        "guarantees are gone, or their list has another form"
    );
    check(&[page(GUARANTEES)], guaranteed);
    let item = |tests: &str| format!("## A\n\n- It holds,\n  always.\n  - {tests}\n");
    finds(guaranteed, "a.md", &item("unproved"), 0);
    finds(guaranteed, "a.md", &item("trust us"), 1);
    finds(guaranteed, "a.md", "## A\n\n- It holds.\n", 1);
    finds(guaranteed, "a.md", &item("`tests/it/tidy/pages.rs::every_guarantee_names_its_test`"), 0);
    finds(guaranteed, "a.md", &item("`tests/it/tidy/pages.rs::every_guarantee`"), 1);
    finds(guaranteed, "a.md", &item("`tests/it/nowhere.rs::a`"), 1);
}

/// Each item of the list names tests below it.
fn guaranteed(page: &Page) -> Vec<Breach> {
    named(page, |line| line.starts_with("- "))
}

#[test]
fn every_part_of_the_threat_model_names_its_test() {
    let parts = |page: &Page| page.text.lines().filter(|line| is_part(line)).count();
    assert!(parts(&taken_over()) >= 17, "parts of the threat model are gone, or have another form");
    check(&[taken_over()], |page| named(page, is_part));
    finds(
        |page| named(page, is_part),
        "a.md",
        "### A\n\n- **Tests:** `tests/it/tidy/pages.rs::is_part`\n",
        0,
    );
    finds(|page| named(page, is_part), "a.md", "### A\n\n- **Tests:** many\n### B\n", 2);
}

/// The attacks on approvals and their pages that must fail.
const ATTACKS: [&str; 14] = [
    "forged request",
    "page in a frame",
    "replayed assertion",
    "re-targeted assertion",
    "another origin",
    "no verified person",
    "forwarded link",
    "agent that opens every address",
    "wrong statement signed",
    "preview of other objects",
    "script in words of others",
    "host header",
    "stolen cookie",
    "guessed call ids",
];

#[test]
fn every_attack_on_approvals_names_what_stops_it_and_its_test() {
    let page = page(PARTS);
    let rows = table(&page, "| attack |");
    let told: Vec<&str> = rows.iter().filter_map(|(_, cells)| cells.first().copied()).collect();
    assert_eq!(told, ATTACKS, "the table of attacks is gone, or has other rows");
    check(&[page], |page| {
        let rows = table(page, "| attack |").into_iter();
        rows.flat_map(|(number, cells)| attack(number, &cells)).collect()
    });
    assert_eq!(attack(1, &["a", "b", "`tests/it/tidy/pages.rs::is_part`"]).len(), 0);
    assert_eq!(attack(1, &["a", "b", "`tests/it/tidy/pages.rs::nothing`"]).len(), 1);
    assert_eq!(attack(1, &["a", "", "none"]).len(), 2);
}

/// A row has what stops the attack, and existing tests.
fn attack(number: usize, cells: &[&str]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if cells.get(1).is_none_or(|stops| stops.is_empty()) {
        breaches.push((number, "say what stops the attack".to_owned()));
    }
    let tests: Vec<_> =
        cells.get(2).map(|cell| cell.split('`').skip(1).step_by(2).collect()).unwrap_or_default();
    if tests.is_empty() {
        breaches.push((number, "name a test as `FILE::FUNCTION`".to_owned()));
    }
    let missing = tests.into_iter().filter(|name| !exists(name));
    breaches.extend(missing.map(|name| (number, format!("there is no test `{name}`"))));
    breaches
}

/// The parts that an attacker could control, at the lines of the page.
fn taken_over() -> Page {
    let mut page = page(PARTS);
    let begin = page.text.find("\n## If a part is taken over\n").expect("the heading of the parts");
    let end = page.text[begin + 1..].find("\n## What").map_or(page.text.len(), |at| begin + 1 + at);
    page.text = "\n".repeat(page.text[..begin].matches('\n').count()) + &page.text[begin..end];
    page
}

fn is_part(line: &str) -> bool {
    line.starts_with("### ")
}

/// From each line that begins a promise to the next one, the page names existing tests as
/// `FILE::FUNCTION`, or has the mark.
fn named(page: &Page, begins: impl Fn(&str) -> bool) -> Vec<Breach> {
    let mut faults = Vec::new();
    let mut promises: Vec<(usize, String)> = Vec::new();
    for (number, line) in lines(page) {
        if begins(line) {
            promises.push((number, String::new()));
        }
        if let Some((_, text)) = promises.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    for (number, text) in promises {
        let tests: Vec<_> =
            text.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        if tests.is_empty() && !text.contains(UNPROVED) {
            faults.push((
                number,
                format!("no test is named; write `FILE::FUNCTION` in backticks, or `{UNPROVED}`"),
            ));
        }
        faults.extend(
            tests
                .into_iter()
                .filter(|name| !exists(name))
                .map(|name| (number, format!("there is no test `{name}`"))),
        );
    }
    faults
}

#[test]
fn the_life_of_a_call_has_the_same_stages_and_files_in_both_places() {
    let mut core = page("gateway/core/src/lib.rs");
    let text = core.text.lines().map(|line| line.strip_prefix("//! ").unwrap_or_default());
    core.text = text.collect::<Vec<_>>().join("\n");
    let stages = |page: &Page| -> Vec<String> {
        let rows = table(page, "| stage |").into_iter();
        rows.filter_map(|(_, cells)| Some(cells.get(..2)?.join(" "))).collect()
    };
    let told = stages(&page("ARCHITECTURE.md"));
    assert!(told.len() >= 10, "the table of ARCHITECTURE.md is gone, or has another head");
    assert_eq!(told, stages(&core), "ARCHITECTURE.md and gateway/core/src/lib.rs differ");
    for file in told.iter().filter_map(|row| row.split('`').nth(1)) {
        assert!(root().join("gateway/core/src").join(file).exists(), "there is no `{file}`");
    }
}

/// Rows of the table with this head: line number and cells.
fn table<'a>(page: &'a Page, head: &str) -> Vec<(usize, Vec<&'a str>)> {
    let rows = lines(page)
        .skip_while(|(_, line)| !line.starts_with(head))
        .skip(2)
        .take_while(|(_, line)| line.starts_with('|'));
    rows.map(|(number, line)| (number, line.trim_matches('|').split('|').map(str::trim).collect()))
        .collect()
}

/// A test function in a Rust file, a rule in a Rego file, or a function in a Python or shell
/// script.
fn exists(name: &str) -> bool {
    let Some((file, function)) = name.split_once("::") else { return false };
    let Ok(text) = fs::read_to_string(root().join(file)) else { return false };
    let begins = |line: &str| {
        let line = line.trim_start();
        let rest = ["fn ", "async fn ", "async def ", "def "]
            .iter()
            .find_map(|word| line.strip_prefix(word))
            .or(file.ends_with(".rego").then_some(line));
        rest.and_then(|rest| rest.strip_prefix(function)).is_some_and(|rest| {
            !rest.starts_with(|sign: char| sign.is_alphanumeric() || sign == '_')
        })
    };
    text.lines().any(begins)
}

#[test]
fn decisions_are_numbered_and_cited_ones_exist() {
    let numbers = decisions();
    assert_eq!(
        numbers,
        (1..=numbers.len()).collect(),
        "gateway/DECISIONS.md is not numbered from 1 without gaps"
    );
    check(&pages(&["gateway", "plugins", "policies", "scripts", "tests"], ""), cited);
    let text = |number: usize| format!("// Decision {number} says why.");
    finds(cited, "a.rs", &text(1), 0);
    finds(cited, "a.rs", &text(999), 1);
    finds(cited, "a.rs", &format!("see DECISIONS.md {}", 998), 1);
}

fn decisions() -> BTreeSet<usize> {
    let first = |cells: Vec<&str>| cells.first().and_then(|cell| cell.parse().ok());
    table(&page("gateway/DECISIONS.md"), "| # | decision |")
        .into_iter()
        .filter_map(|(_, cells)| first(cells))
        .collect()
}

/// Numbers after `decision` or `DECISIONS.md`.
fn cited(page: &Page) -> Vec<Breach> {
    let numbers = decisions();
    let mut faults = Vec::new();
    for (number, line) in lines(page) {
        let line = line.to_lowercase();
        for word in ["decision ", "decisions.md ", "decisions.md, "] {
            for (at, _) in line.match_indices(word) {
                let digits: String =
                    line[at + word.len()..].chars().take_while(char::is_ascii_digit).collect();
                if digits.parse().is_ok_and(|cited: usize| !numbers.contains(&cited)) {
                    faults.push((
                        number,
                        format!("decision {digits} is not in gateway/DECISIONS.md"),
                    ));
                }
            }
        }
    }
    faults
}
