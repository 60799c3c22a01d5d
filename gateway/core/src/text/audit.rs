//! Lists of calls as comma-separated values (RFC 4180), for spreadsheets: the same for the console and
//! `cofferdam audit --csv`. Words of agents and tools are data there: no cell begins a formula.

use crate::model::call_row::CallRow;
use crate::model::escape::line;

/// The names of the columns.
const COLUMNS: [&str; 15] = [
    "call",
    "at",
    "changed",
    "agent",
    "person",
    "tool",
    "state",
    "resolved",
    "rule",
    "environment",
    "objects",
    "signers",
    "summary",
    "ledger",
    "erased",
];

/// The characters with which a spreadsheet begins a formula, also in their wide forms.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// The first line, with its line break.
pub fn csv_head() -> String {
    record(COLUMNS.map(str::to_owned))
}

/// The line of a call, with its line break. Several objects or signers are apart by `; `. A cell
/// whose first visible character could begin a formula gets an apostrophe before it, and
/// characters that a person cannot see are escaped.
pub fn csv_line(row: &CallRow) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let objects: Vec<&str> = row.objects.iter().map(|object| object.as_str()).collect();
    record([
        row.call.to_string(),
        row.at.to_string(),
        row.changed.to_string(),
        row.agent.clone(),
        text(&row.person),
        text(&row.tool),
        row.state.to_string(),
        row.resolved.map(|found| found.to_string()).unwrap_or_default(),
        text(&row.rule),
        row.environment.clone(),
        objects.join("; "),
        row.signers.join("; "),
        text(&row.summary),
        row.ledger.to_string(),
        row.erased.to_string(),
    ])
}

fn record(cells: [String; COLUMNS.len()]) -> String {
    let cells = cells.map(|text| cell(&text));
    format!("{}\r\n", cells.join(","))
}

/// One cell. Every cell with a character that some spreadsheet separates cells by is quoted.
fn cell(text: &str) -> String {
    let mut text = line(text);
    if text.trim_start().starts_with(FORMULA) {
        text.insert(0, '\'');
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/' | '@');
    if text.chars().all(plain) { text } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::call_state::CallState;
    use crate::model::id::CallId;
    use crate::model::job::Found;
    use crate::model::object_name::ObjectName;
    use expect_test::expect;
    use jiff::Timestamp;

    fn row() -> CallRow {
        CallRow {
            call: CallId::parse("abcdefghijklmnopqrstuvwxyz").unwrap(),
            at: "2026-11-30T15:00:00.123Z".parse().unwrap(),
            changed: Timestamp::UNIX_EPOCH,
            agent: "release-bot".to_owned(),
            person: Some("ann@example.com".to_owned()),
            tool: Some("deployment_scale".to_owned()),
            summary: Some("scale \"web\", then wait".to_owned()),
            environment: "staging".to_owned(),
            objects: ["deployment/shop/api", "deployment/shop/web"]
                .map(|name| ObjectName::parse(name).unwrap())
                .to_vec(),
            state: CallState::Indeterminate,
            resolved: Some(Found::Failed),
            rule: Some("replicas-limit".to_owned()),
            signers: vec!["bob".to_owned(), "carl".to_owned()],
            first: 7,
            ledger: 12,
            erased: false,
        }
    }

    #[test]
    fn a_list_is_a_table_of_quoted_cells() {
        let erased = CallRow {
            person: None,
            tool: None,
            summary: None,
            objects: vec![],
            resolved: None,
            rule: None,
            signers: vec![],
            erased: true,
            ..row()
        };
        let text = [csv_head(), csv_line(&row()), csv_line(&erased)].concat();
        assert!(text.ends_with("\r\n"));
        expect![[r#"
            call,at,changed,agent,person,tool,state,resolved,rule,environment,objects,signers,summary,ledger,erased
            abcdefghijklmnopqrstuvwxyz,2026-11-30T15:00:00.123Z,1970-01-01T00:00:00Z,release-bot,ann@example.com,deployment_scale,indeterminate,failed,replicas-limit,staging,"deployment/shop/api; deployment/shop/web","bob; carl","scale ""web"", then wait",12,false
            abcdefghijklmnopqrstuvwxyz,2026-11-30T15:00:00.123Z,1970-01-01T00:00:00Z,release-bot,,,indeterminate,,,staging,,,,12,true
        "#]].assert_eq(&text.replace("\r\n", "\n"));
    }

    #[test]
    fn no_cell_begins_a_formula_or_another_cell() {
        for (given, expected) in [
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("  =1", "\"'  =1\""),
            ("\u{a0}=1", "\"'\u{a0}=1\""),
            ("\t=1", "\"\\u{9}=1\""),
            ("\r\n=1", "\"\\u{d}\\u{a}=1\""),
            ("＝1", "\"'＝1\""),
            ("a,=1", "\"a,=1\""),
            ("a;=1", "\"a;=1\""),
            ("a\",=1", "\"a\"\",=1\""),
            ("\u{202e}=1", "\"\\u{202e}=1\""),
            ("ann@example.com", "ann@example.com"),
            ("", ""),
        ] {
            assert_eq!(cell(given), expected, "{given:?}");
        }
    }
}
