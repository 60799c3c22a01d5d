//! Checks that this binary accepts the command lines in the pages of this repository. Runs no
//! command.

#[path = "../../../../tests/it/tidy/shell.rs"]
mod shell;

use super::{HELP, parse};
use std::path::Path;

/// Pages that name this binary.
const PAGES: [&str; 9] = [
    "README.md",
    "SECURITY.md",
    "deploy/README.md",
    "docs/kubernetes/install.md",
    "docs/kubernetes/operations.md",
    "docs/kubernetes/options.md",
    "docs/kubernetes/self-check.md",
    "docs/threat-model.md",
    "docs/trees.md",
];

#[test]
fn pages_show_command_lines_that_are_taken() {
    let mut checked = 0;
    for page in PAGES {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page))
                .unwrap();
        for (line, words) in shell::commands(&text) {
            let words: Vec<String> =
                words.into_iter().map(|word| word.replace("$digest", "sha256:0")).collect();
            if words[0] == "cofferdam-runner" {
                checked += 1;
                assert!(
                    parse(&words[1..]).is_ok(),
                    "{page}:{line}: `{}`: {:?}",
                    words.join(" "),
                    parse(&words[1..]).err()
                );
            }
        }
        for (line, words) in shell::inline(&text, "cofferdam-runner") {
            checked += 1;
            let unknown = words.iter().skip(1).find(|word| {
                (word.starts_with("--") || *word == &words[1]) && !HELP.contains(word.as_str())
            });
            assert_eq!(unknown, None, "{page}:{line}: `{}`", words.join(" "));
        }
    }
    assert!(checked > 5, "only {checked} commands were found in the pages");
}
