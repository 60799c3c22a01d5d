//! The end of a container's log: its newest lines that fit. Never the rest, never a stream.

use crate::api::{ApiError, Cluster};
use crate::error_text::foreign;
use crate::look_error::LookError;
use cofferdam_backend::refusal::Refusal;
use cofferdam_core::model::limit;
use cofferdam_core::model::operation::Target;
use serde_json::{Value, json};

/// Bytes of one request for a log. The API server cuts at the end, which is the newest part; after
/// an answer of this size the request is repeated with fewer lines.
const BYTES: usize = limit::RESULT;

/// Bytes of a reply that are left for everything but logs.
const REST: usize = 4 * 1024;

/// Bytes of JSON that each log of a plan may have, so that all of them together fit one reply.
pub(super) fn share(looks: usize) -> usize {
    limit::TEXT.saturating_sub(REST) / looks.max(1)
}

/// Reads a log: `{"lines": ["…"], "truncated": bool}`, oldest first. Truncated if requested lines
/// are left out, or a line is cut. `most` bounds the lines, in bytes of JSON.
pub(super) async fn read(
    cluster: &Cluster,
    target: &Target,
    container: Option<&str>,
    lines: u32,
    most: usize,
) -> Result<Value, LookError> {
    let path = format!("{}/log", super::place(target)?);
    let container = container.map(|name| format!("&container={name}")).unwrap_or_default();
    let mut ask = lines;
    loop {
        let query = format!("tailLines={ask}&limitBytes={BYTES}{container}");
        let answer = cluster.text(&path, &query).await.map_err(|error| told(error, target))?;
        if answer.len() < BYTES || ask <= 1 {
            let (shown, cut) = newest(&answer, most);
            return Ok(json!({"lines": shown, "truncated": cut || ask < lines}));
        }
        ask /= 2;
    }
}

/// The error of a missing log. The API server says `bad request` if a container has not started, or
/// a pod has several.
fn told(error: ApiError, target: &Target) -> LookError {
    match &error {
        ApiError::Refused { status: 400, message, .. } => {
            let reason = format!("{target} has no such log now: {}", foreign(message));
            Refusal::new(
                "conflict",
                reason,
                "name one of its containers, or wait until it has started",
            )
            .into()
        }
        _ => LookError::of(error, &format!("read the log of {target}")),
    }
}

/// The newest lines that fit into so many bytes of JSON, oldest first, and whether anything is
/// missing. A last line that alone is too long is cut.
fn newest(log: &str, most: usize) -> (Vec<String>, bool) {
    let mut left = most;
    let mut shown = Vec::new();
    let mut lines = log.lines().rev();
    for line in lines.by_ref() {
        // One byte for the comma.
        let size = Value::from(line).to_string().len() + 1;
        match left.checked_sub(size) {
            Some(rest) => left = rest,
            None => {
                if shown.is_empty() {
                    shown.push(cut(line, left));
                }
                shown.reverse();
                return (shown, true);
            }
        }
        shown.push(line.to_owned());
    }
    shown.reverse();
    (shown, false)
}

/// The beginning of a line, in so many bytes of JSON.
fn cut(line: &str, most: usize) -> String {
    // Two quotes, the comma, and the mark that something is missing.
    let mut left = most.saturating_sub(3 + '…'.len_utf8());
    let fits = |c: &char| {
        // A character alone, without its quotes.
        let size = Value::from(c.to_string()).to_string().len().saturating_sub(2);
        left.checked_sub(size).map(|rest| left = rest).is_some()
    };
    line.chars().take_while(fits).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(log: &str, most: usize, expect: &[&str], cut: bool) {
        let (lines, truncated) = newest(log, most);
        assert_eq!(
            (lines.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), truncated),
            (expect, cut)
        );
        let size: usize =
            lines.iter().map(|line| Value::from(line.as_str()).to_string().len() + 1).sum();
        assert!(size <= most, "{size} of {most}");
    }

    #[test]
    fn the_newest_lines_that_fit_are_shown() {
        check("", 10, &[], false);
        check("a\nb\nc\n", 100, &["a", "b", "c"], false);
        check("a\r\n\nb", 100, &["a", "", "b"], false);
        check("aaa\nbbb\nccc\n", 13, &["bbb", "ccc"], true);
        // An escaped character counts as it is sent: six bytes each.
        check("\u{1b}\u{1b}\u{1b}\nx", 15, &["x"], true);
        check("aaaaaaaaaaaaaaaaaaaa", 12, &["aaaaaa…"], true);
        check("\u{1b}\u{1b}\u{1b}", 14, &["\u{1b}…"], true);
    }

    #[test]
    fn all_logs_of_a_plan_fit_one_reply() {
        for looks in [1, 2, 64] {
            assert!(looks * share(looks) < limit::TEXT);
        }
        assert!(share(0) < limit::TEXT);
    }

    #[test]
    fn a_container_that_has_not_started_is_no_fault_of_the_cluster() {
        let target = Target {
            group: String::new(),
            version: "v1".into(),
            kind: "Pod".into(),
            namespace: "shop".into(),
            name: "web".into(),
        };
        let error = |status| ApiError::Refused {
            status,
            reason: "BadRequest".into(),
            message: "container \"web\" is waiting to start".into(),
        };
        let LookError::Refused(refusal) = told(error(400), &target) else { panic!("not refused") };
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (
                "conflict",
                "Pod web in namespace shop has no such log now: \"container 'web' is waiting to \
                 start\""
            )
        );
        assert!(matches!(told(error(401), &target), LookError::Unavailable(_)));
    }
}
