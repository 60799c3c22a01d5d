//! Runs each test of a policy on OPA's interpreter and in the compiled module. Both record every
//! policy output that the tests use, and the outputs must be equal. Never judges the content of a
//! test.

use super::opa::{Opa, output_text};
use super::refusal;
use super::sources::Sources;
use crate::command::plugin::{Bench, Policy};
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_core::protocol::role_guest::{Trial, Tried};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The two entry points of the library, rewritten to print each output with its input.
const RECORDING: [(&str, &str); 2] = [
    (
        "lib/entry_call.rego",
        "package cofferdam.call\n\ndecision := answer if {\n\tanswer := \
         decided\n\tprint(\"@answer\", json.marshal([\"call\", answer, [q | q := input]]))\n}\n",
    ),
    (
        "lib/entry_list.rego",
        "package cofferdam.list\n\nvisible := answer if {\n\tanswer := seen\n\tprint(\"@answer\", \
         json.marshal([\"list\", answer, [q | q := input]]))\n}\n",
    ),
];

/// The mark before a printed output.
const MARK: &str = "@answer ";

/// The most tests in one module: each is an entry point, and the table of entry points is bounded.
const AT_ONCE: usize = 300;

/// The most differences in an error.
const TOLD: usize = 10;

/// The most characters of one output in an error.
const WORDS: usize = 600;

/// The time limit of one test in the interpreter, on a busy machine.
const TIMEOUT: &str = "60s";

/// The result of one test in `opa test`.
#[derive(Debug, Deserialize)]
struct Test {
    package: String,
    name: String,
    location: Place,
    #[serde(default)]
    fail: bool,
    #[serde(default)]
    skip: bool,
    #[serde(default)]
    error: Option<Value>,
    /// The printed text, as Base64.
    #[serde(default)]
    output: Option<String>,
    #[serde(default)]
    sub_results: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct Place {
    file: String,
    row: u64,
}

/// One test rule with all of its bodies.
#[derive(Debug)]
struct Case {
    place: Place,
    name: String,
    passed: bool,
    /// The names of the test's parts.
    parts: BTreeSet<String>,
    answers: BTreeSet<Answer>,
}

/// One policy output with its input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Answer {
    question: String,
    answer: String,
}

/// Runs every test in both; returns their number.
///
/// # Errors
/// `differs`: names each test with both answers.
pub fn compare(sources: &Sources, opa: &Opa, bench: &Bench, capabilities: &str) -> Result<usize> {
    let recording = sources.copied()?;
    for (file, text) in RECORDING {
        let place = recording.path().join(file);
        if !place.is_file() {
            return Err(refusal(
                "check",
                format!(
                    "the library lacks `{file}`: take `lib/` and this program from one version"
                ),
            ));
        }
        std::fs::write(place, text).context("cannot write the recording library")?;
    }
    let opa = opa.in_folder(recording.path());
    let cases = interpreted(sources, &opa)?;
    let data = document(sources, &opa)?;
    let mut lines = Vec::new();
    let all: Vec<(&String, &Case)> = cases.iter().collect();
    for some in all.chunks(AT_ONCE) {
        let policy = module(sources, &opa, bench, (recording.path(), capabilities), some, &data)?;
        let trials: Vec<Trial> = some
            .iter()
            .map(|(entrypoint, _)| Trial {
                entrypoint: (*entrypoint).clone(),
                input: None,
                test: true,
            })
            .collect();
        for ((_, case), tried) in some.iter().zip(policy.attempt(&trials)?) {
            if let Some(difference) = difference(case, &tried) {
                lines.push(format!(
                    "{}:{}: {}\n{difference}",
                    sources.shown(&case.place.file),
                    case.place.row,
                    case.name
                ));
            }
        }
    }
    if lines.is_empty() {
        return Ok(cases.len());
    }
    let more = lines.len().saturating_sub(TOLD);
    lines.truncate(TOLD);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let detail = format!(
        "the interpreter and the compiled module answer differently, so the tests say nothing \
         about what will be decided:\n{}\nthey differ in numbers with fractions, in division, in \
         numbers read from texts and in `strings.replace_n`: compare whole numbers, leave others \
         out of messages, read amounts with `data.cofferdam.quantity`, and use `replace` \
         (policies/README.md)",
        lines.join("\n")
    );
    Err(refusal("differs", detail))
}

/// The tests by entry point, as the interpreter runs them.
fn interpreted(sources: &Sources, opa: &Opa) -> Result<BTreeMap<String, Case>> {
    let output = opa.run(
        &[
            "test",
            "--format",
            "json",
            "--timeout",
            TIMEOUT,
            "--ignore",
            "testdata",
            "lib",
            &sources.name,
        ],
        "",
    )?;
    let tests: Vec<Test> = serde_json::from_slice(&output.stdout)
        .map_err(|_| refusal("test", sources.shown_lines(&output_text(&output))))?;
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    for test in tests.into_iter().filter(|test| !test.skip) {
        // A rule with several bodies is several tests in OPA, and one rule in the module.
        let rule = test.name.split('#').next().unwrap_or_default();
        let package =
            test.package.trim_start_matches("data.").replace("[\"", ".").replace("\"]", "");
        let entrypoint = format!("{}/{rule}", package.replace('.', "/"));
        let printed = test
            .output
            .as_deref()
            .map(|text| STANDARD.decode(text))
            .transpose()
            .context("the answer of `opa test` is not readable")?;
        let printed = String::from_utf8_lossy(&printed.unwrap_or_default()).into_owned();
        let name = rule.to_owned();
        let case = cases.entry(entrypoint).or_insert_with(|| Case {
            place: test.location.clone(),
            name,
            passed: true,
            parts: BTreeSet::new(),
            answers: BTreeSet::new(),
        });
        case.passed &= !test.fail && test.error.is_none();
        case.parts.extend(test.sub_results.into_keys());
        case.answers.extend(answers(printed.lines()));
    }
    Ok(cases)
}

/// The data document as the module will have it.
fn document(sources: &Sources, opa: &Opa) -> Result<String> {
    Ok(opa.data(&sources.name)?.map_or_else(|| "{}".to_owned(), |data| data.to_string()))
}

/// The module with these tests as its entry points.
fn module(
    sources: &Sources,
    opa: &Opa,
    bench: &Bench,
    (folder, capabilities): (&Path, &str),
    cases: &[(&String, &Case)],
    data: &str,
) -> Result<Policy> {
    let bundle = folder.join("tests.tar.gz");
    let place = bundle.to_string_lossy();
    let mut arguments = vec![
        "build",
        "-t",
        "wasm",
        "--prune-unused",
        "--wasm-include-print",
        "--ignore",
        "testdata",
    ];
    arguments.extend(["--capabilities", capabilities, "-o", &place]);
    arguments.extend(cases.iter().flat_map(|(entrypoint, _)| ["-e", entrypoint.as_str()]));
    arguments.extend(["lib", &sources.name]);
    let output = opa.run(&arguments, "")?;
    if !output.status.success() {
        return Err(refusal(
            "test",
            format!(
                "the tests cannot be compiled:\n{}",
                sources.shown_lines(&output_text(&output))
            ),
        ));
    }
    let bytes = super::compiled::member(&bundle, "policy.wasm")?;
    bench.trial(&bytes, data).context("the module of the tests")
}

/// The recorded outputs among the printed lines of a test.
fn answers<'a>(printed: impl Iterator<Item = &'a str>) -> BTreeSet<Answer> {
    printed.filter_map(|line| line.strip_prefix(MARK)).map(written).collect()
}

/// `[KIND, ANSWER, [QUESTION]]`, in a normal form: the order of keys and the notation of numbers do
/// not count. An undefined input is an empty list.
fn written(text: &str) -> Answer {
    match serde_json::from_str::<Value>(text)
        .ok()
        .as_ref()
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        Some([kind, answer, question]) => {
            Answer { question: plain(&json!([kind, question])), answer: plain(answer) }
        }
        // A number outside of JSON.
        _ => Answer { question: text.to_owned(), answer: text.to_owned() },
    }
}

/// A value with its keys sorted and its numbers in one form.
fn plain(value: &Value) -> String {
    match value {
        Value::Number(number) => {
            number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string())
        }
        Value::Array(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(",")),
        Value::Object(object) => {
            let sorted: BTreeMap<&String, &Value> = object.iter().collect();
            let pairs: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", json!(key), plain(value)))
                .collect();
            format!("{{{}}}", pairs.join(","))
        }
        other => other.to_string(),
    }
}

/// The difference in words; `None` if the module has each output of the interpreter. The module may
/// have more, because the interpreter stops early.
fn difference(case: &Case, tried: &Tried) -> Option<String> {
    let answered = answers(tried.printed.iter().map(String::as_str));
    if let Some(missing) = case.answers.iter().find(|answer| !answered.contains(answer)) {
        let other = answered
            .iter()
            .find(|answer| answer.question == missing.question && !case.answers.contains(answer));
        let other =
            other.or_else(|| answered.iter().find(|answer| answer.question == missing.question));
        let error = tried
            .fault
            .as_ref()
            .map_or_else(|| "no answer".to_owned(), |(code, detail)| format!("{code}: {detail}"));
        let (interpreter, module) =
            (describe(&missing.answer), other.map_or(error, |other| describe(&other.answer)));
        return Some(format!("  interpreter: {interpreter}\n  module:      {module}"));
    }
    let passed = passed(case, tried);
    if passed == case.passed {
        return None;
    }
    let word = |passed| if passed { "the test passes" } else { "the test fails" };
    let error = match (&tried.fault, passed) {
        (Some((code, detail)), false) if code != "undefined" => format!(" ({code}: {detail})"),
        _ => String::new(),
    };
    Some(format!("  interpreter: {}\n  module:      {}{error}", word(case.passed), word(passed)))
}

fn passed(case: &Case, tried: &Tried) -> bool {
    match tried.answer.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        Some(Value::Bool(passed)) => passed,
        Some(Value::Object(parts)) => case.parts.iter().all(|part| parts.contains_key(part)),
        Some(Value::Array(parts)) => {
            case.parts.iter().all(|part| parts.iter().any(|given| given == part))
        }
        Some(_) => true,
        None => false,
    }
}

/// A short form of an output: effect, covers and reasons.
fn describe(answer: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(answer) else {
        return answer.chars().take(WORDS).collect();
    };
    let decision = &value;
    let text = |pointer: &str| decision.pointer(pointer).map(Value::to_string).unwrap_or_default();
    let short = match decision.get("effect").and_then(Value::as_str) {
        Some(effect) => {
            let reasons = decision.get("reasons").and_then(Value::as_array).into_iter().flatten();
            let words = |reason: &Value, key: &str| {
                reason.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let reasons: Vec<String> = reasons
                .map(|reason| {
                    format!(
                        "{}: {} ({})",
                        words(reason, "id"),
                        words(reason, "message"),
                        words(reason, "remedy")
                    )
                })
                .collect();
            let (covers, obligations, approval) =
                (text("/covers"), text("/obligations"), text("/approval"));
            format!(
                "{effect}, covers {covers}, obligations {obligations}, approval {approval}; {}",
                reasons.join("; ")
            )
        }
        None => decision.to_string(),
    };
    short.chars().take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_compared_by_meaning() {
        let same = [
            (r#"["call",{"a":1,"b":[]},[{"x":2}]]"#, r#"["call",{"b":[],"a":1.0},[{"x":2e0}]]"#),
            (r#"["call",{"m":"a<b"},[{}]]"#, r#"["call",{"m":"a\u003cb"},[{}]]"#),
            (r#"["list",[],[]]"#, r#"["list", [], []]"#),
        ];
        for (one, other) in same {
            assert_eq!(written(one), written(other));
        }
        let differ = [
            (r#"["call",{"m":"0.1"},[]]"#, r#"["call",{"m":"0.10"},[]]"#),
            (r#"["call",{"m":0.1},[]]"#, r#"["call",{"m":0.10000000001},[]]"#),
            (r#"["call",{},[{"x":1}]]"#, r#"["call",{},[{"x":2}]]"#),
            (r#"["call",{"m":1e400},[]]"#, r#"["call",{},[]]"#),
        ];
        for (one, other) in differ {
            assert_ne!(written(one), written(other));
        }
    }
}
