//! Pages promise only what a test holds: each guarantee names a test that is there, or says
//! `unproved`; each decision that is cited exists.

use super::{Breach, Page, check, finds, lines, page, pages, root};
use std::collections::BTreeSet;
use std::fs;

/// The word of a row that nothing proves yet.
const UNPROVED: &str = "unproved";

#[test]
fn every_guarantee_names_its_test() {
    let rows = |page: &Page| table(page, "| guarantee |").len();
    assert!(
        rows(&page("README.md")) >= 14,
        "the guarantees of README.md are gone, or their table has another head"
    );
    assert!(
        table(&page("SECURITY.md"), "| taken over |").len() >= 12,
        "the compromise table of SECURITY.md is gone, or it has another head"
    );
    check(&[page("README.md")], |page| proved(page, "| guarantee |"));
    check(&[page("SECURITY.md")], |page| proved(page, "| taken over |"));
    let row = |cell: &str| format!("| guarantee | test |\n|---|---|\n| a | {cell} |\n");
    finds(|page| proved(page, "| guarantee |"), "a.md", &row("unproved"), 0);
    finds(|page| proved(page, "| guarantee |"), "a.md", &row("trust us"), 1);
    finds(
        |page| proved(page, "| guarantee |"),
        "a.md",
        &row("`tests/it/tidy/pages.rs::every_guarantee_names_its_test`"),
        0,
    );
    finds(
        |page| proved(page, "| guarantee |"),
        "a.md",
        &row("`tests/it/tidy/pages.rs::every_guarantee`"),
        1,
    );
    finds(|page| proved(page, "| guarantee |"), "a.md", &row("`tests/it/nowhere.rs::a`"), 1);
    finds(
        |page| proved(page, "| guarantee |"),
        "a.md",
        &row("`tests/it/nowhere.rs::a` unproved"),
        0,
    );
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

/// The last cell of each row names tests as `FILE::FUNCTION`, all of which exist, or says that
/// nothing proves it yet.
fn proved(page: &Page, head: &str) -> Vec<Breach> {
    let mut faults = Vec::new();
    for (number, cells) in table(page, head) {
        let cell = cells.last().copied().unwrap_or_default();
        if cell.contains(UNPROVED) {
            continue;
        }
        let named: Vec<_> =
            cell.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        if named.is_empty() {
            faults.push((
                number,
                format!(
                    "`{cell}` names no test; write `FILE::FUNCTION` in backticks, or `{UNPROVED}`"
                ),
            ));
        }
        faults.extend(
            named
                .into_iter()
                .filter(|name| !exists(name))
                .map(|name| (number, format!("there is no test `{name}`"))),
        );
    }
    faults
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

#[test]
fn links_between_pages_lead_somewhere() {
    let written: Vec<_> = pages(&["."], ".md")
        .into_iter()
        .filter(|page| !page.path.starts_with("examples/"))
        .collect();
    check(&written, links);
    finds(links, "README.md", "[a](SECURITY.md) [b](https://example.com) [c](#d)", 0);
    finds(links, "README.md", "[a](nowhere.md)", 1);
    finds(links, "gateway/DECISIONS.md", "[a](../README.md#speed)", 0);
}

fn links(page: &Page) -> Vec<Breach> {
    let here = root().join(&page.path);
    let folder = here.parent().unwrap();
    let mut faults = Vec::new();
    for (number, line) in lines(page) {
        for (at, _) in line.match_indices("](") {
            let to: String = line[at + 2..].chars().take_while(|sign| *sign != ')').collect();
            let file = to.split('#').next().unwrap_or_default();
            if !file.is_empty() && !to.contains("://") && !folder.join(file).exists() {
                faults.push((number, format!("the link to `{to}` leads nowhere")));
            }
        }
    }
    faults
}
