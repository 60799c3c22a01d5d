//! Checks a running `serve` by its readiness. Sends one request and changes nothing.

use crate::command::http::{Request, send};
use crate::config::Edge;
use crate::serve::health::{self, Findings};
use cofferdam_core::model::escape::line;
use serde_json::Value;

/// Asks the running `serve` for its readiness.
pub(super) fn running(edge: &Edge, found: &mut Findings) {
    match send(
        edge,
        &Request { method: "GET", path: "/readyz", token: None, key: None, body: None },
    ) {
        Ok(answer) => {
            let listed = |key: &str| -> Vec<&str> {
                let list = answer.body.get(key).and_then(Value::as_array);
                list.into_iter().flatten().filter_map(Value::as_str).collect()
            };
            let missing = listed("missing");
            let restart = listed("restart_needed");
            if !restart.is_empty() {
                found.less(
                    "restart",
                    format!("needed: {}", restart.join("; ")),
                    "start `cofferdam serve` again to use it",
                );
            }
            for warning in listed("warnings") {
                if let Some(files) = warning.strip_prefix(health::UNLOADED) {
                    found.less("reload", format!("needed: {}", line(files)), "");
                } else if !is_known(warning, found) {
                    found.warn("serve", line(warning), "");
                }
            }
            for stuck in listed("stuck") {
                found.less("stuck", line(stuck), "the job continues when the cause is removed");
            }
            match missing.as_slice() {
                [] if answer.status == 200 => {
                    found.good("serve", "is running, and calls can be carried out")
                }
                [] => found.bad(
                    "serve",
                    format!("runs, and returns {} for `/readyz`", answer.status),
                    "read its log",
                ),
                causes => {
                    let new: Vec<_> =
                        causes.iter().filter(|cause| !is_known(cause, found)).collect();
                    if new.is_empty() {
                        found.less("serve", "runs, and calls fail because of the errors above", "");
                    }
                    new.iter().for_each(|cause| found.bad("serve", line(cause), ""));
                }
            }
        }
        Err(error) => found.bad(
            "serve",
            format!("runs, and does not respond: {error:#}"),
            "read its log; it may still be starting",
        ),
    }
}

/// Returns whether a finding already has this line of the running `serve`. Each error is listed
/// once, with one remedy. The note that the old state is in use until the next start is added to
/// the finding.
fn is_known(told: &str, found: &mut Findings) -> bool {
    let Some(finding) = found.0.iter_mut().find(|finding| finding.is_told_by(told)) else {
        return false;
    };
    let effect = health::NEXT.trim_end_matches(": ");
    if told.starts_with(health::NEXT) && !finding.detail.contains(effect) {
        finding.detail = format!("{}: {effect}", finding.detail);
    }
    true
}
