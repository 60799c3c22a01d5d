//! Sample output in pages is real: that of README is from the golden transcript of a journey, and
//! the steps of docs/demo.md are those that the demo checks. A cut line ends with `…`.

use super::{Breach, Page, check, finds, lines, page, pages};
use crate::transcript::{named, numbered};

#[test]
fn output_in_readme_is_from_the_golden_transcript() {
    check(&[page("README.md")], from_golden);
    finds(
        from_golden,
        "a.md",
        "```text\nDENIED CALL by replicas-limit in shop\nNothing was changed.\n```\n",
        0,
    );
    finds(from_golden, "a.md", "```text\nDENIED CALL by no-limit in shop\n```\n", 1);
    finds(from_golden, "a.md", "```text\n a ──▶ b\n```\n", 0);
}

/// Lines of `text` blocks, but for a picture, are lines of the transcript in their order.
fn from_golden(found: &Page) -> Vec<Breach> {
    let golden = page("tests/golden/journey.txt").text;
    let mut faults = Vec::new();
    for (number, block) in blocks(found, "text") {
        if block.contains("──▶") {
            continue;
        }
        let mut rest = golden.lines();
        for (at, line) in block.lines().enumerate() {
            let line = numbered(&named(line));
            if !rest.any(|golden| golden == line) {
                faults.push((
                    number + at + 1,
                    format!("`{line}` is not in tests/golden/journey.txt, or not in this order"),
                ));
            }
        }
    }
    faults
}

/// Fenced blocks of a kind, with the line of their fence.
fn blocks(page: &Page, kind: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut fenced, mut wanted) = (false, false);
    for (number, line) in lines(page) {
        if let Some(rest) = line.strip_prefix("```") {
            fenced = !fenced;
            wanted = fenced && rest == kind;
            if wanted {
                found.push((number, String::new()));
            }
        } else if wanted && let Some((_, block)) = found.last_mut() {
            block.push_str(line);
            block.push('\n');
        }
    }
    found
}

#[test]
fn steps_of_the_demo_are_those_that_it_checks() {
    let scripts: String = pages(&["scripts"], ".py").into_iter().map(|page| page.text).collect();
    let checked: Vec<&str> = scripts.split('"').collect();
    let steps = |page: &Page| -> Vec<Breach> {
        let told = lines(page)
            .filter_map(|(number, line)| Some((number, line.trim_start().strip_prefix("✓ ")?)));
        let unknown = told.filter(|(_, step)| !checked.iter().any(|text| matches(text, step)));
        unknown
            .map(|(number, step)| (number, format!("no script of the demo checks `{step}`")))
            .collect()
    };
    check(&[page("docs/demo.md")], steps);
    finds(steps, "a.md", "  ✓ git sees 2 changed lines\n", 0);
    finds(steps, "a.md", "  ✓ git is content\n", 1);
}

#[test]
fn metrics_of_the_operators_page_are_declared() {
    let declared = page("gateway/telemetry/src/metrics.rs").text;
    let names: Vec<String> = declared
        .split('"')
        .filter(|text| text.starts_with("cofferdam."))
        .map(underscored)
        .collect();
    assert!(names.len() > 10, "the list of metrics has another form");
    let unknown = |page: &Page| -> Vec<Breach> {
        let mut breaches = Vec::new();
        for (number, line) in lines(page) {
            for code in line.split('`').skip(1).step_by(2) {
                if code.starts_with("cofferdam_") && !names.contains(&declared_name(code)) {
                    breaches.push((number, format!("there is no metric `{code}`")));
                }
            }
        }
        breaches
    };
    check(&[page("docs/operating.md")], unknown);
    let real = "`cofferdam_ready` `cofferdam_jobs_closed_total{outcome=\"dead\"}`";
    finds(unknown, "a.md", real, 0);
    finds(unknown, "a.md", "`cofferdam_jobs_total`", 1);
}

/// A name of OpenTelemetry, with the separators of Prometheus.
fn underscored(name: &str) -> String {
    name.replace('.', "_")
}

/// The name of a Prometheus metric, without its labels and the ending of its kind or unit.
fn declared_name(code: &str) -> String {
    let name = code.split('{').next().unwrap_or_default();
    let ending = ["_total", "_bytes", "_seconds"].iter().find_map(|end| name.strip_suffix(end));
    ending.unwrap_or(name).to_owned()
}

/// The number of fixed characters of a Python string that identify a step.
const TELLING: usize = 8;

/// True if a Python string, with `{…}` for any text, can produce this text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts =
        pattern.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest));
    let fixed: usize = parts.clone().map(str::len).sum();
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut open = false;
    for part in parts {
        open = part.is_empty();
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    fixed >= TELLING && (open || rest.is_empty())
}
