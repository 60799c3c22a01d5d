//! The form of files: first line, length, homes of unsafe code, and no path of one machine.

use super::{Breach, Page, check, finds, lines, pages};

/// The folders with Rust code.
const RUST: [&str; 4] = ["gateway", "plugins", "tests", "fuzz"];

/// The largest number of lines of a file with one idea. A longer file gives the reason on its own
/// line.
const LINES: usize = 520;

/// The homes of unsafe code: the loader of compiled artefacts, the allocator of guests, and the one
/// call that ignores signals.
const UNSAFE_HOMES: [&str; 3] =
    ["gateway/sandbox/", "plugins/sdk/", "gateway/process/src/signal.rs"];

/// This file, which contains the patterns that it searches for.
const THIS: &str = "tests/it/tidy/source.rs";

#[test]
fn every_file_opens_with_what_it_is() {
    check(&pages(&RUST, ".rs"), head);
    finds(head, "a.rs", "//! Says it.\n", 0);
    finds(head, "a.rs", "use a;\n//! Late.\n", 1);
    finds(head, "a.rs", "//!\n", 1);
    finds(head, "a.rs", "", 1);
}

fn head(page: &Page) -> Vec<Breach> {
    let says =
        page.text.lines().next().is_some_and(|line| {
            line.strip_prefix("//! ").is_some_and(|words| words.trim().len() > 1)
        });
    if says {
        vec![]
    } else {
        vec![(1, "begin with `//!` and what this file is, and what it never does".to_owned())]
    }
}

#[test]
fn long_files_say_why() {
    check(&pages(&RUST, ".rs"), length);
    finds(length, "gateway/a.rs", &"x\n".repeat(LINES), 0);
    finds(length, "gateway/a.rs", &"x\n".repeat(LINES + 1), 1);
    finds(
        length,
        "gateway/a.rs",
        &format!("//! A.\n// LONG: one table.\n{}", "x\n".repeat(LINES)),
        0,
    );
    finds(length, "gateway/a/tests.rs", &"x\n".repeat(LINES + 1), 0);
}

/// Ignores tests at the end of a file: a move would not make it clearer.
fn length(page: &Page) -> Vec<Breach> {
    let is_test = page.path.ends_with("tests.rs")
        || page.path.ends_with("testing.rs")
        || page.path.starts_with("tests/")
        || page.path.contains("/tests/");
    let written = page.text.lines().take_while(|line| *line != "mod tests {").count();
    if is_test || written <= LINES || page.text.contains("// LONG: ") {
        vec![]
    } else {
        vec![(
            0,
            format!("{written} lines; split it by idea, or say why not in a line `// LONG: …`"),
        )]
    }
}

#[test]
fn pages_have_no_text_that_their_template_does_not_escape() {
    check(&pages(&["gateway/edge"], ".rs"), unescaped);
    finds(unescaped, "a.rs", "html! { (maud::PreEscaped(words)) }", 1);
    finds(unescaped, "a.rs", "html! { (words) }", 0);
}

/// The type of `maud` that escapes nothing. All words of a page come through the template, which
/// escapes them.
fn unescaped(page: &Page) -> Vec<Breach> {
    lines(page)
        .filter(|(_, line)| line.contains("PreEscaped"))
        .map(|(number, _)| (number, "give the text to the template, which escapes it".to_owned()))
        .collect()
}

#[test]
fn unsafe_code_stands_in_three_places() {
    check(&pages(&RUST, ".rs"), unsafe_code);
    finds(unsafe_code, "gateway/core/src/a.rs", "let a = unsafe { b() };", 1);
    finds(unsafe_code, "gateway/core/src/a.rs", "#[expect(unsafe_code, reason = \"no\")]", 1);
    finds(unsafe_code, "gateway/core/src/a.rs", "// nothing unsafe { here }", 0);
    finds(unsafe_code, "gateway/sandbox/src/a.rs", "let a = unsafe { b() };", 0);
}

fn unsafe_code(page: &Page) -> Vec<Breach> {
    if page.path == THIS || UNSAFE_HOMES.iter().any(|home| page.path.starts_with(home)) {
        return vec![];
    }
    let forms = [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe trait",
        "unsafe extern",
        "unsafe(",
        "unsafe_code",
    ];
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let here = lines(page).filter(|(_, line)| forms.iter().any(|form| code(line).contains(form)));
    here.map(|(number, _)| {
        (number, format!("unsafe code stands in {} alone", UNSAFE_HOMES.join(" and ")))
    })
    .collect()
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    check(&pages(&RUST, ".rs"), lint);
    finds(lint, "a.rs", "#[allow(dead_code)]", 1);
    finds(lint, "a.rs", "#[expect(dead_code)]", 1);
    finds(lint, "a.rs", "#[expect(dead_code, reason = \"the table is whole\")]", 0);
    finds(lint, "a.rs", "#[expect(\n    dead_code,\n    reason = \"the table is whole\"\n)]", 0);
}

fn lint(page: &Page) -> Vec<Breach> {
    if page.path == THIS {
        return vec![];
    }
    let mut faults = Vec::new();
    for (number, line) in lines(page) {
        let line = line.trim_start();
        if line.starts_with("#[allow(") || line.starts_with("#![allow(") {
            faults.push((
                number,
                "write `#[expect(…, reason = \"…\")]` instead of `#[allow(…)]`".to_owned(),
            ));
        }
        if line.starts_with("#[expect(") || line.starts_with("#![expect(") {
            let whole: String = page
                .text
                .lines()
                .skip(number - 1)
                .take_while(|line| !line.trim_end().ends_with(")]"))
                .take(8)
                .collect();
            let last = page
                .text
                .lines()
                .skip(number - 1)
                .find(|line| line.trim_end().ends_with(")]"))
                .unwrap_or_default();
            if !whole.contains("reason = ") && !last.contains("reason = ") {
                faults.push((number, "say the reason: `reason = \"…\"`".to_owned()));
            }
        }
    }
    faults
}

#[test]
fn no_page_knows_the_machine_it_was_written_on() {
    check(&pages(&["."], ""), machine);
    finds(machine, "a.md", "see /root/x", 1);
    finds(machine, "a.md", "see `/work/main`", 1);
    finds(machine, "a.sh", "tar -C \"$work/x\" homework/x ./work/x", 0);
}

/// Finds a home or a work folder at the beginning of a path.
fn machine(page: &Page) -> Vec<Breach> {
    if page.path == THIS {
        return vec![];
    }
    let begins = |line: &str, folder: &str| {
        line.match_indices(folder).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|sign| !(sign.is_alphanumeric() || "_-.}/$*".contains(sign)))
        })
    };
    let here = lines(page)
        .filter(|(_, line)| ["/root/", "/work/"].iter().any(|folder| begins(line, folder)));
    here.map(|(number, _)| {
        (number, "a path of one machine; write it from the root of the tree".to_owned())
    })
    .collect()
}

/// The canonical form writes a float that is no number as `null`, so two values would have one
/// digest. A value that is hashed has no field for one.
#[test]
fn no_hashed_type_has_a_float() {
    check(&pages(&["gateway/core/src"], ".rs"), float);
    finds(float, "gateway/core/src/model/a.rs", "    pub share: f64,", 1);
    finds(float, "gateway/core/src/model/a.rs", "    pub parts: Vec<f32>,", 1);
    finds(float, "gateway/core/src/model/a.rs", "    // no f64 here", 0);
    finds(float, "gateway/core/src/model/a.rs", "    pub half64: u8,", 0);
    finds(float, "gateway/core/src/model/json.rs", "let largest = LARGEST_INTEGER as f64;", 0);
}

fn float(page: &Page) -> Vec<Breach> {
    // The reader and the writer of JSON numbers, which refuse and write them by RFC 8785.
    if page.path.starts_with("gateway/core/src/model/json") {
        return vec![];
    }
    let is_float = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        code.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .any(|word| ["f32", "f64"].contains(&word))
    };
    let here = lines(page).filter(|(_, line)| is_float(line));
    here.map(|(number, _)| (number, "hash whole numbers or text, never a float".to_owned()))
        .collect()
}

#[test]
fn names_of_functions_have_no_person_without_a_role() {
    check(&pages(&RUST, ".rs"), plain_name);
    for word in ["no", "any", "some"] {
        let bad = format!("    async fn refuses_{word}body_else() {{\n");
        finds(plain_name, "gateway/a.rs", &bad, 1);
        finds(plain_name, "gateway/a.rs", &format!("fn {word}body() {{\n"), 1);
        finds(plain_name, "gateway/a.rs", &format!("fn {word}_body() {{\n"), 0);
    }
}

/// A name says which role or person it means: `no_caller_…`, `another_client_…`.
fn plain_name(page: &Page) -> Vec<Breach> {
    let vague = |line: &str| {
        let name = line.split_once("fn ")?.1.split(['(', '<']).next()?;
        let word = name.split('_').find(|word| {
            word.strip_suffix("body").is_some_and(|start| ["no", "any", "some"].contains(&start))
        })?;
        Some(format!("`{name}`: name the role or the person in place of `{word}`"))
    };
    lines(page).filter_map(|(number, line)| Some((number, vague(line)?))).collect()
}
