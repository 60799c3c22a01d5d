//! The rows of the parts: a policy decision, a tool's fresh sandbox and plan, a claim. Reads the
//! estimates that `cargo bench --bench sandbox --bench claim` left, and measures nothing itself.

use super::table::Table;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A row: what, the benchmarks whose median times it shows, the wanted value.
type Row = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const ROWS: [Row; 4] = [
    (
        "fresh policy decision, policy `example`",
        &[("deny", "policy example/deny, fresh"), ("allow", "policy example/allow, fresh")],
        "≤ 45 µs, ≤ 90 µs",
    ),
    (
        "fresh policy decision, policy `single`",
        &[("deny", "policy single/deny, fresh"), ("allow", "policy single/allow, fresh")],
        "≤ 45 µs, ≤ 90 µs",
    ),
    (
        "fresh sandbox and plan, shipped tools mixed",
        &[("a plan", "tool/fresh sandbox and plan, shipped tools mixed")],
        "≤ 10 µs",
    ),
    (
        "durable claim",
        &[("10 queued", "claim/queued/10"), ("30,000 queued", "claim/queued/30000")],
        "≤ 200 µs, flat",
    ),
];

/// Adds the rows from criterion's folder.
pub fn rows(table: &mut Table, folder: &Path) {
    for (what, benchmarks, wanted) in ROWS {
        let times = benchmarks.iter().map(|(name, benchmark)| {
            let path = folder.join(benchmark).join("new/estimates.json");
            match fs::read_to_string(path).ok().and_then(|text| micros(&text)) {
                Some(micros) => format!("{name} {micros:.1} µs"),
                None => format!("{name} not measured"),
            }
        });
        table.row(what, times.collect::<Vec<_>>().join(", "), wanted);
    }
}

/// The median of criterion's estimates, in microseconds.
fn micros(estimates: &str) -> Option<f64> {
    let estimates: Value = serde_json::from_str(estimates).ok()?;
    Some(estimates["median"]["point_estimate"].as_f64()? / 1_000.0)
}

#[test]
fn a_median_is_in_microseconds() {
    let text = r#"{"mean": {"point_estimate": 1.0}, "median": {"point_estimate": 64300.5}}"#;
    assert_eq!(micros(text), Some(64.3005));
    assert_eq!(micros("{}"), None);
    assert_eq!(micros("no JSON"), None);
}
