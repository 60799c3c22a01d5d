//! Checks the sources of a policy: packages, builtins, types, patterns and format. Each error names
//! the file and the remedy. Runs no test.

use super::opa::{Opa, error_line, error_text, errors, output_text, place};
use super::refusal;
use super::replacements::instead;
use super::sources::Sources;
use super::syntax::{Constant, File, Rules};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The package whose rules decide.
const RULES: &str = "cofferdam.policy";

/// The most errors in one report.
const ERRORS: &str = "50";

/// The pattern of files with tests.
const TESTS: &str = "*_test.rego";

/// Checks the staged sources; returns the capabilities of tests, which may also print.
pub fn check(sources: &Sources, opa: &Opa) -> Result<String> {
    let files = parsed(sources, opa, &sources.rego()?)?;
    packages(sources, opa, &files)?;
    let (schema, capabilities) =
        (sources.policies.join("schema"), sources.policies.join("capabilities.json"));
    let (schema, known) = (schema.to_string_lossy(), capabilities.to_string_lossy());
    typed(
        sources,
        opa,
        &["--strict", "--schema", &schema, "--capabilities", &known, "--ignore", TESTS],
    )?;
    let of_tests = with_print(
        &std::fs::read_to_string(&capabilities).with_context(|| format!("no `{known}`"))?,
        opa,
    )?;
    let place = sources.root().join("capabilities_of_tests.json");
    std::fs::write(&place, &of_tests).context("cannot write the capabilities of tests")?;
    let place = place.to_string_lossy().into_owned();
    typed(sources, opa, &["--capabilities", &place])?;
    patterns(sources, opa, &files)?;
    let output = opa.run(&["fmt", "--list", "lib", &sources.name], "")?;
    let unformatted = output_text(&output);
    if !unformatted.is_empty() {
        return Err(refusal(
            "format",
            format!(
                "run `opa fmt -w` on: {}",
                sources.shown_lines(&unformatted).replace('\n', " ")
            ),
        ));
    }
    Ok(place)
}

fn parsed(sources: &Sources, opa: &Opa, places: &[String]) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for place in places {
        let output =
            opa.run(&["parse", "--format", "json", "--json-include", "locations", place], "")?;
        if !output.status.success() {
            let words = match errors(&output) {
                Some(_) => error_text(&output),
                None => format!("{place}: {}", output_text(&output)),
            };
            return Err(refusal("check", sources.shown_lines(&words)));
        }
        let module = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`{place}`: the answer of `opa` is not readable"))?;
        files.push(File { place: place.clone(), module });
    }
    Ok(files)
}

/// Refuses rules in the packages of the library: such a rule could cover operations that no rule of
/// an author covers.
fn packages(sources: &Sources, opa: &Opa, files: &[File]) -> Result<()> {
    let mut library = Vec::new();
    for entry in std::fs::read_dir(sources.root().join("lib")).context("cannot list the library")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rego") && !(name.ends_with("_test.rego") && name != "world_test.rego") {
            library.push(format!("lib/{name}"));
        }
    }
    let closed: BTreeSet<String> =
        parsed(sources, opa, &library)?.iter().map(File::package).collect();
    match files.iter().find(|file| closed.contains(&file.package())) {
        None if !files.iter().any(|file| file.package() == RULES) => {
            let detail = format!(
                "no .rego file in {} begins with `package {RULES}`, so no rule would count; write \
                 the rules in that package",
                sources.shown(&format!("{}/", sources.name))
            );
            Err(refusal("package", detail))
        }
        Some(file) => {
            let (place, package) = (sources.shown(&file.place), file.package());
            let detail = format!(
                "{place}: the package `{package}` is the library's; write rules in \
                 `cofferdam.policy`, or in a package of another name"
            );
            Err(refusal("package", detail))
        }
        None => Ok(()),
    }
}

/// Runs `opa check`. The error for a missing builtin names its replacement.
fn typed(sources: &Sources, opa: &Opa, options: &[&str]) -> Result<()> {
    let fixed = ["check", "--format", "json", "--max-errors", ERRORS, "--ignore", "testdata"];
    let arguments: Vec<&str> =
        fixed.into_iter().chain(options.iter().copied()).chain(["lib", &sources.name]).collect();
    let output = opa.run(&arguments, "")?;
    if output.status.success() {
        return Ok(());
    }
    let Some(errors) = errors(&output) else {
        return Err(refusal("check", sources.shown_lines(&output_text(&output))));
    };
    let (mut lines, mut builtin) = (Vec::new(), false);
    for error in &errors {
        let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
        match message
            .strip_prefix("undefined function ")
            .and_then(|name| Some((name, instead(name)?)))
        {
            Some((name, words)) => {
                builtin = true;
                // The internal name of `print`.
                let name = name.trim_start_matches("internal.");
                lines.push(format!(
                    "{}: the builtin `{name}` is not there in a compiled policy; {words}",
                    place(error).unwrap_or_default()
                ));
            }
            None => lines.push(error_line(error)),
        }
    }
    lines.dedup();
    if lines.iter().any(|line| line.starts_with("lib/")) {
        // The library reads the members of the policy's sets.
        lines.push(
            "an error in the library comes from a rule of the policy whose member has another \
             form; compare `allow`, `covers` and `approval` with docs/writing-policies.md"
                .to_owned(),
        );
    }
    let lines = sources.shown_lines(&lines.join("\n"));
    Err(refusal(if builtin { "builtin" } else { "check" }, lines))
}

/// The capabilities of tests: with the builtins for printing.
fn with_print(capabilities: &str, opa: &Opa) -> Result<String> {
    let mut known: Value =
        serde_json::from_str(capabilities).context("capabilities.json is not readable")?;
    let all = opa.json(&["capabilities", "--current"], "")?;
    let print =
        all.get("builtins").and_then(Value::as_array).into_iter().flatten().filter(|builtin| {
            matches!(builtin.get("name").and_then(Value::as_str), Some("print" | "internal.print"))
        });
    if let Some(builtins) = known.get_mut("builtins").and_then(Value::as_array_mut) {
        builtins.extend(print.cloned());
    }
    Ok(known.to_string())
}

/// The builtins with a pattern, and the index of that argument.
const PATTERNS: [(&str, usize); 2] = [("regex.match", 0), ("regex.find_all_string_submatch_n", 0)];

/// Checks constant patterns: an invalid pattern matches nothing, and tests may not notice it.
fn patterns(sources: &Sources, opa: &Opa, files: &[File]) -> Result<()> {
    let data = opa.data(&sources.name)?.unwrap_or(Value::Null);
    if data.get("cofferdam").is_some() {
        let detail = format!(
            "the data of {}: `cofferdam` would stand in the place of the library's rules, which \
             have that name; give these data another name",
            sources.shown(&format!("{}/", sources.name))
        );
        return Err(refusal("data", detail));
    }
    let rules = Rules { files, data: &data };
    let constants = |(builtin, index): (&str, usize)| {
        rules.calls(builtin, index).into_iter().flat_map(|call| rules.constants(call)).collect()
    };
    let regexes: BTreeSet<Constant> =
        PATTERNS.into_iter().flat_map(|of| -> BTreeSet<Constant> { constants(of) }).collect();
    let globs: BTreeSet<Constant> = constants(("glob.match", 0));
    let mut lines = Vec::new();
    for (found, query) in [
        (regexes, "[p | some p in input; not regex.is_valid(p)]"),
        (globs, "[p | some p in input; count([1 | _ = glob.match(p, [], \"\")]) == 0]"),
    ] {
        if found.is_empty() {
            continue;
        }
        let texts: Vec<&str> = found.iter().map(|constant| constant.text.as_str()).collect();
        let answer = opa.json(
            &["eval", "--format", "json", "--stdin-input", query],
            &json!(texts).to_string(),
        )?;
        let bad = answer
            .pointer("/result/0/expressions/0/value")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        for constant in found.iter().filter(|constant| bad.iter().any(|bad| bad == &constant.text))
        {
            let place = sources.shown(&constant.place);
            lines.push(format!(
                "{place}: the pattern `{}` cannot be read{}",
                constant.text,
                why(opa, &constant.text)?
            ));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    lines.push(
        "such a pattern matches nothing; patterns are RE2 (https://github.com/google/re2/wiki/Syntax), which has no look-around".to_owned(),
    );
    Err(refusal("pattern", lines.join("\n")))
}

/// The error of OPA for an invalid regular expression.
fn why(opa: &Opa, pattern: &str) -> Result<String> {
    let query = "regex.match(input, \"\")";
    let output = opa.run(
        &["eval", "--strict-builtin-errors", "--format", "json", "--stdin-input", query],
        &json!(pattern).to_string(),
    )?;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let words = answer.pointer("/errors/0/message").and_then(Value::as_str).unwrap_or_default();
    Ok(words.rsplit_once("regexp: ").map_or(String::new(), |(_, words)| format!(" ({words})")))
}
