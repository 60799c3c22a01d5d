//! The share of a policy's own lines that its tests reach. Lines of the library and of tests do not
//! count: the library's own tests run with every policy, and would hide a policy without tests.

use serde_json::Value;

/// The required share, in percent.
pub const LEAST: f64 = 90.0;

/// The most places in one report.
const PLACES: usize = 20;

/// The lines of one policy that its tests reach.
#[derive(Debug, PartialEq)]
pub struct Coverage {
    /// The share of lines that tests reach, in percent. 100 for a policy without lines.
    pub share: f64,
    /// Lines that no test reaches, as `FILE:FIRST-LAST` below the stage; at most 20.
    pub missing: Vec<String>,
}

impl Coverage {
    /// Reads the report of `opa test --coverage` for the policy in this folder. `None` if the
    /// report has another form.
    pub fn of(report: &Value, folder: &str) -> Option<Self> {
        let (mut reached, mut all, mut missing) = (0.0, 0.0, Vec::new());
        for (file, facts) in report.get("files")?.as_object()? {
            let own = file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
            if !own || file.ends_with("_test.rego") {
                continue;
            }
            let count = |key| facts.get(key).and_then(Value::as_f64).unwrap_or_default();
            reached += count("covered_lines");
            all += count("covered_lines") + count("not_covered_lines");
            let places = facts.get("not_covered").and_then(Value::as_array);
            missing.extend(places.into_iter().flatten().filter_map(|place| {
                let row = |pointer| place.pointer(pointer).and_then(Value::as_u64);
                Some(format!("{file}:{}-{}", row("/start/row")?, row("/end/row")?))
            }));
        }
        missing.dedup();
        missing.truncate(PLACES);
        let share = if all > 0.0 { 100.0 * reached / all } else { 100.0 };
        Some(Self { share, missing })
    }
}

#[cfg(test)]
mod tests {
    use super::Coverage;
    use serde_json::json;

    #[test]
    fn lines_of_the_library_and_of_tests_do_not_count() {
        let place = json!([{"start": {"row": 7, "col": 1}, "end": {"row": 9, "col": 2}}]);
        let report = json!({"coverage": 97.0, "files": {
            "lib/list.rego": {"covered_lines": 300},
            "team/mine_test.rego": {"covered_lines": 300},
            "teams/other.rego": {"covered_lines": 300},
            "team/mine.rego": {"covered_lines": 1, "not_covered_lines": 3, "not_covered": place},
        }});
        let missing = vec!["team/mine.rego:7-9".to_owned()];
        assert_eq!(Coverage::of(&report, "team"), Some(Coverage { share: 25.0, missing }));
        assert_eq!(Coverage::of(&report, "none").unwrap().share, 100.0);
        assert_eq!(Coverage::of(&json!({}), "team"), None);
    }
}
