//! `UPDATE_EXAMPLES=1 cargo test` writes the drafts of `plan` into the examples. It searches for
//! the old draft as a whole file in `examples/`, and as a literal after the example's title in
//! `src/`. If it finds no such text, it changes nothing and reports it.

use super::draft_json;
use crate::tool::Draft;
use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Replaces the draft of the example. Returns the path of the changed file.
///
/// # Errors
/// No file has the text of the example, or the file cannot be read or written.
pub fn update(
    crate_folder: &Path,
    title: &str,
    old: &str,
    draft: &Draft,
) -> Result<PathBuf, String> {
    let text = pretty(&draft_json(draft));
    let cannot =
        |path: &Path, fault: io::Error| format!("cannot use `{}`: {fault}", path.display());
    for path in files(&crate_folder.join("examples"), "json") {
        if fs::read_to_string(&path).is_ok_and(|held| held == old) {
            fs::write(&path, format!("{text}\n")).map_err(|fault| cannot(&path, fault))?;
            return Ok(path);
        }
    }
    for path in files(&crate_folder.join("src"), "rs") {
        let source = fs::read_to_string(&path).map_err(|fault| cannot(&path, fault))?;
        if let Some(written) = replaced(&source, title, old, &text) {
            fs::write(&path, written).map_err(|fault| cannot(&path, fault))?;
            return Ok(path);
        }
    }
    Err("its draft is no literal behind its title in `src/`, and no file in `examples/`; paste \
         the one that was found"
        .into())
}

/// Every file with this ending below a folder, sorted by name. Empty if there is no such folder.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    let (folders, mut plain): (Vec<_>, Vec<_>) = found.into_iter().partition(|path| path.is_dir());
    plain.retain(|path| path.extension().is_some_and(|found| found == ending));
    plain.into_iter().chain(folders.iter().flat_map(|folder| files(folder, ending))).collect()
}

/// Replaces the literal of the old draft: the first one after the title. The title may occur in
/// other places too.
fn replaced(source: &str, title: &str, old: &str, text: &str) -> Option<String> {
    let title = format!("\"{title}\"");
    let literals = [format!("r#\"{old}\"#"), format!("r\"{old}\""), format!("\"{old}\"")];
    let nearest = source
        .match_indices(&title)
        .flat_map(|(at, _)| {
            let behind = at + title.len();
            let rest = source.get(behind..).unwrap_or_default();
            literals
                .iter()
                .filter_map(move |literal| Some((rest.find(literal)?, behind, literal.len())))
        })
        // If two literals begin at one place, the longer one is right.
        .min_by_key(|(distance, behind, length)| (*distance, *behind, usize::MAX - length))?;
    let (distance, behind, length) = nearest;
    let start = behind + distance;
    let (before, after) = (source.get(..start)?, source.get(start + length..)?);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let body = text.replace('\n', &format!("\n{indent}"));
    let hashes = "#".repeat(
        (1..).find(|count| !body.contains(&format!("\"{}", "#".repeat(*count)))).unwrap_or(1),
    );
    Some(format!("{before}r{hashes}\"{body}\"{hashes}{after}"))
}

fn pretty(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    // A value always has a text.
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_else(|_| value.to_string()),
        Err(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::replaced;

    fn check(source: &str, old: &str, expect: Option<&str>) {
        assert_eq!(
            replaced(source, "A greeting", old, "{\n    \"a\": \"b\"\n}").as_deref(),
            expect
        );
    }

    #[test]
    fn the_literal_behind_the_title_is_replaced() {
        check(
            "  .example(\n    \"Other\", \"{}\", \"{}\")\n  .example(\n    \"A greeting\",\n    r#\"{}\"#,\n  )",
            "{}",
            Some(
                "  .example(\n    \"Other\", \"{}\", \"{}\")\n  .example(\n    \"A greeting\",\n    r#\"{\n        \"a\": \"b\"\n    }\"#,\n  )",
            ),
        );
        // The title of the tool may be equal to the title of the example.
        check(
            ".title(\"A greeting\")\n.example(\"A greeting\", \"{1}\", \"{}\")",
            "{}",
            Some(
                ".title(\"A greeting\")\n.example(\"A greeting\", \"{1}\", r#\"{\n    \"a\": \
                 \"b\"\n}\"#)",
            ),
        );
        check(".example(\"A greeting\", ARGUMENTS, DRAFT)", "{}", None);
    }

    #[test]
    fn a_draft_that_would_end_the_literal_gets_a_longer_one() {
        let found = replaced(".example(\"t\", \"{}\")", "t", "{}", "{\"a\": \"x\"#\"}");
        assert_eq!(found.as_deref(), Some(".example(\"t\", r##\"{\"a\": \"x\"#\"}\"##)"));
    }
}
