//! The links of pages: links and anchors lead to a target, the book lists each of its pages, README
//! is short, lines are narrow, and paths in pages exist.

use super::{Breach, Page, check, finds, lines, page, pages, root};
use std::collections::BTreeSet;
use std::fs;

/// The largest number of lines of README: a first page is read in three minutes.
const README: usize = 150;

/// The largest number of characters in a line of prose.
const WIDTH: usize = 100;

/// The folder of the book, which has no page elsewhere.
const BOOK: &str = "docs/";

/// Folders at the top that pages name in paths.
const TOP: [&str; 9] = [
    "gateway/",
    "plugins/",
    "policies/",
    "wit/",
    "tests/",
    "scripts/",
    "deploy/",
    "examples/",
    "docs/",
];

#[test]
fn links_lead_somewhere() {
    check(&ours(), links);
    finds(links, "README.md", "[a](SECURITY.md) [b](https://example.com) [c](#d)\n# D\n", 0);
    finds(links, "README.md", "[a](nowhere.md)", 1);
    finds(links, "README.md", "[a](SECURITY.md#nowhere) [b](#nowhere)", 2);
    finds(links, "docs/a.md", "[a](../README.md) [b](glossary.md)", 1);
    finds(links, "README.md", "```sh\n[a](nowhere.md)\n```", 0);
}

/// All pages for people, without the manifests of the example.
fn ours() -> Vec<Page> {
    pages(&["."], ".md").into_iter().filter(|page| !page.path.starts_with("examples/")).collect()
}

fn links(page: &Page) -> Vec<Breach> {
    let here = root().join(&page.path);
    let folder = here.parent().unwrap();
    let mut faults = Vec::new();
    for (number, line) in prose(page) {
        for (at, _) in line.match_indices("](") {
            let to: String = line[at + 2..].chars().take_while(|sign| *sign != ')').collect();
            if to.contains("://") {
                continue;
            }
            let (file, anchor) = to
                .split_once('#')
                .map_or((to.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { here.clone() } else { folder.join(file) };
            let leaves = page.path.starts_with(BOOK) && !file.is_empty() && !inside(&target);
            let text = if file.is_empty() {
                Some(page.text.clone())
            } else {
                fs::read_to_string(&target).ok()
            };
            if leaves {
                faults.push((
                    number,
                    format!("`{to}` leads out of the book; name the file in backticks instead"),
                ));
            } else if !file.is_empty() && !target.exists() {
                faults.push((number, format!("the link to `{to}` leads nowhere")));
            } else if anchor
                .is_some_and(|anchor| !text.is_some_and(|text| anchors(&text).contains(anchor)))
            {
                faults.push((number, format!("the page has no heading for `{to}`")));
            }
        }
    }
    faults
}

/// True if a path is in the folder of the book.
fn inside(target: &std::path::Path) -> bool {
    target
        .canonicalize()
        .is_ok_and(|target| target.starts_with(root().canonicalize().unwrap().join(BOOK)))
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept =
            title.chars().filter(|sign| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_'));
        kept.map(|sign| if sign == ' ' { '-' } else { sign }).collect()
    };
    headings.map(anchor).collect()
}

/// Lines outside of fenced blocks.
fn prose(page: &Page) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    lines(page).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

#[test]
fn the_book_lists_each_of_its_pages() {
    let summary = page("docs/SUMMARY.md");
    let listed: Vec<String> = lines(&summary)
        .filter_map(|(_, line)| Some(line.split_once("](")?.1.split_once(')')?.0.to_owned()))
        .collect();
    let written: BTreeSet<String> = pages(&["docs"], ".md")
        .into_iter()
        .map(|page| page.path.trim_start_matches(BOOK).to_owned())
        .filter(|path| path != "SUMMARY.md")
        .collect();
    assert_eq!(
        listed.iter().cloned().collect::<BTreeSet<_>>(),
        written,
        "docs/SUMMARY.md and the pages beneath docs/ differ"
    );
    assert_eq!(listed.len(), written.len(), "docs/SUMMARY.md lists a page twice");
}

#[test]
fn pages_are_short_and_narrow() {
    let readme = page("README.md").text.lines().count();
    assert!(
        readme <= README,
        "README.md has {readme} lines, at most {README}; move the rest to docs/"
    );
    let roots = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs",
        "deploy/README.md",
        "policies/README.md",
    ];
    check(&pages(&roots, ".md"), wide);
    finds(wide, "a.md", &"word ".repeat(21), 1);
    finds(wide, "a.md", &format!("| {} |", "word ".repeat(21)), 0);
    finds(wide, "a.md", &format!("- `{}`", "x".repeat(120)), 0);
}

/// Lines of prose that are too wide. Tables are ignored, and lines with one long word.
fn wide(page: &Page) -> Vec<Breach> {
    let too_wide = |line: &str| {
        let longest = line.split(' ').map(|word| word.chars().count()).max().unwrap_or_default();
        line.chars().count() > WIDTH && !line.starts_with('|') && longest < WIDTH * 2 / 3
    };
    let found = prose(page).filter(|(_, line)| too_wide(line));
    found
        .map(|(number, line)| {
            (number, format!("{} characters; at most {WIDTH}", line.chars().count()))
        })
        .collect()
}

#[test]
fn paths_in_pages_exist() {
    let read: Vec<Page> = ours()
        .into_iter()
        .filter(|page| page.path != "CHANGELOG.md" && page.path != "gateway/DECISIONS.md")
        .collect();
    check(&read, paths);
    finds(
        paths,
        "a.md",
        "`gateway/core/src/lib.rs` `gateway/core/` `tests/it/tidy/pages.rs::decisions`",
        0,
    );
    finds(paths, "a.md", "`gateway/nowhere.rs`", 1);
    finds(paths, "a.md", "`gateway/backend-*`, `scripts/demo --stay`", 0);
}

/// Paths in backticks, from the root or from the page's folder. A name with a star or an angle
/// bracket is a pattern; built files need not be there.
fn paths(page: &Page) -> Vec<Breach> {
    let mut faults = Vec::new();
    for (number, line) in prose(page) {
        for code in line.split('`').skip(1).step_by(2) {
            let path = code.split([' ', ':']).next().unwrap_or_default();
            let is_path = TOP.iter().any(|top| path.starts_with(top))
                && !path.contains(['*', '<', '{', '…', '$']);
            let is_built = path.split('/').any(|part| part == "target");
            let beside = root().join(&page.path).with_file_name(path);
            if is_path && !is_built && !root().join(path).exists() && !beside.exists() {
                faults.push((number, format!("there is no `{path}`")));
            }
        }
    }
    faults
}
