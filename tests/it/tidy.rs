//! The repository's own rules, as tests: the form of files, the dependencies between crates, the
//! contents of each binary, and pages that promise only what a test proves. Reads files and cargo's
//! metadata. Starts no role and never changes a file.

mod arrows;
mod book;
mod clients;
mod commands;
mod contract;
mod english;
mod layers;
mod pages;
mod samples;
mod shell;
mod source;
mod supply;
mod telemetry;
mod tiers;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the tree: its path from the root with `/`, and its text.
struct Page {
    path: String,
    text: String,
}

/// A place that breaks a rule: line (0 for the whole file) and cause.
type Breach = (usize, String);

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// True for names of built files and of files of others.
fn skipped(name: &str) -> bool {
    name == "target" || name == "__pycache__" || (name.starts_with('.') && name != ".ci")
}

/// Every text file below these places whose path ends so, sorted by path.
fn pages(places: &[&str], ending: &str) -> Vec<Page> {
    fn walk(root: &Path, place: &Path, found: &mut Vec<Page>) {
        if place.is_dir() {
            for entry in fs::read_dir(place).unwrap() {
                let entry = entry.unwrap();
                if !skipped(&entry.file_name().to_string_lossy())
                    && !entry.file_type().unwrap().is_symlink()
                {
                    walk(root, &entry.path(), found);
                }
            }
        } else if let Ok(text) = fs::read_to_string(place) {
            found.push(Page {
                path: place.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
                text,
            });
        }
    }
    let (root, mut found) = (root(), Vec::new());
    for place in places {
        walk(&root, &root.join(place), &mut found);
    }
    found.retain(|page| page.path.ends_with(ending));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no `{ending}` beneath {places:?}: the rule would hold for nothing");
    found
}

fn page(path: &str) -> Page {
    let text =
        fs::read_to_string(root().join(path)).unwrap_or_else(|fault| panic!("`{path}`: {fault}"));
    Page { path: path.to_owned(), text }
}

/// Checks a rule on every page. Reports all errors at once.
fn check(pages: &[Page], rule: impl Fn(&Page) -> Vec<Breach>) {
    let mut told = String::new();
    for page in pages {
        for (line, fault) in rule(page) {
            writeln!(told, "  {}:{line}: {fault}", page.path).unwrap();
        }
    }
    assert!(told.is_empty(), "rules that do not hold:\n{told}");
}

/// Checks that a rule finds this number of errors in a text. A rule that misses a bad example would
/// find nothing.
fn finds(rule: impl Fn(&Page) -> Vec<Breach>, path: &str, text: &str, faults: usize) {
    let found = rule(&Page { path: path.to_owned(), text: text.to_owned() });
    assert_eq!(found.len(), faults, "{path}: {text}\n{found:?}");
}

/// Lines with their numbers, from 1.
fn lines(page: &Page) -> impl Iterator<Item = (usize, &str)> {
    page.text.lines().enumerate().map(|(index, line)| (index + 1, line))
}
