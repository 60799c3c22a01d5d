//! Plain English in pages: words that are hard for readers, and clauses where a noun is clearer.
//! Finds words and beginnings only; a reader judges the sentence.

use super::{Breach, Page, check, finds, lines, pages};

/// Words that pages do not use; docs/glossary.md names others for them.
const WORDS: [&str; 9] =
    ["anybody", "anew", "everybody", "lately", "mend", "nobody", "somebody", "someone", "whoever"];

/// Beginnings of a sentence whose subject is a clause.
const BEGINNINGS: [&str; 3] = ["What ", "Whether ", "Who "];

/// Pages that show such words as samples.
const SAMPLES: [&str; 2] = ["docs/glossary.md", "CONTRIBUTING.md"];

#[test]
fn pages_use_plain_words() {
    let places = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs",
        "deploy/README.md",
        "policies/README.md",
    ];
    let read: Vec<Page> = pages(&places, ".md")
        .into_iter()
        .filter(|page| !SAMPLES.contains(&page.path.as_str()))
        .collect();
    check(&read, hard);
    finds(hard, "a.md", "Nobody decided. What it is, a page says.\n", 2);
    finds(hard, "a.md", "- Who it is\n", 1);
    finds(
        hard,
        "a.md",
        "It says what it is: `nobody`. Recommended amendments.\n## What is protected\n",
        0,
    );
    finds(hard, "a.md", "```text\nnobody\n```\n", 0);
}

fn hard(page: &Page) -> Vec<Breach> {
    let mut faults = Vec::new();
    let mut fenced = false;
    for (number, line) in lines(page) {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if fenced || fence || line.starts_with('#') {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect();
        let words = prose.split(|sign: char| !sign.is_alphabetic()).map(str::to_lowercase);
        faults.extend(
            words
                .filter(|word| WORDS.contains(&word.as_str()))
                .map(|word| (number, format!("write another word for `{word}`"))),
        );
        let sentences =
            prose.split(". ").map(|sentence| sentence.trim_start_matches(['-', '|', ' ', '*']));
        let clauses =
            sentences.filter(|sentence| BEGINNINGS.iter().any(|begin| sentence.starts_with(begin)));
        faults.extend(clauses.map(|sentence| (number, format!("begin with a noun: `{sentence}`"))));
    }
    faults
}
