//! Follows a signed call for a few seconds. Promises nothing: the report is the present state, and
//! the checks before the run.

use super::source::Source;
use cofferdam_core::model::difference::Difference;
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::protocol::approver::ApproverAnswer;
use cofferdam_core::text::difference;
use std::time::{Duration, Instant};

/// The longest single request to the recorder.
const LOOK: Duration = Duration::from_secs(20);

/// The state of a signed call.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// The state for programs: `done`, `refused`, `failed`, `ended`, `uncertain`, `checked`,
    /// `queued`, `running`, `needs_signatures`, `denied` or `unknown`.
    pub state: &'static str,
    /// The state for people: a sentence after a colon.
    pub text: String,
    /// The phase of the job, if it is known.
    pub phase: Option<Phase>,
    /// The outcome of the job, once it has one.
    pub outcome: Option<Outcome>,
    /// The text of the outcome.
    pub detail: String,
    /// Changes by others to the same objects since the preview.
    pub meanwhile: Vec<Difference>,
}

/// Follows a call with complete signatures, for at most `wait`.
pub fn follow(source: &Source<'_>, call: &CallId, wait: Duration) -> Followed {
    let until = Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(Instant::now()).min(LOOK);
        let wait_ms = u64::try_from(left.as_millis()).unwrap_or(0);
        match source.follow(call, wait_ms) {
            Ok(ApproverAnswer::Followed { outcome: None, .. }) if Instant::now() < until => {}
            Ok(ApproverAnswer::Followed { phase, outcome, detail, meanwhile }) => {
                return describe(phase, outcome, detail, meanwhile);
            }
            Ok(_) => return unknown("the server returned an unexpected response"),
            Err(error) => return unknown(&format!("{error:#}")),
        }
    }
}

fn unknown(why: &str) -> Followed {
    let text = format!("it was signed; its result is not known yet ({})", legible(why));
    Followed {
        state: "unknown",
        text,
        phase: None,
        outcome: None,
        detail: String::new(),
        meanwhile: Vec::new(),
    }
}

fn describe(
    phase: Phase,
    outcome: Option<Outcome>,
    detail: String,
    meanwhile: Vec<Difference>,
) -> Followed {
    let why = if detail.is_empty() { String::new() } else { format!(": {}", legible(&detail)) };
    let (state, text) = match (outcome, phase) {
        (Some(Outcome::Succeeded), _) => match difference::sentence(&meanwhile) {
            Some(changed) => (
                "done",
                format!("it ran, and succeeded. Since you were asked: {}.", legible(&changed)),
            ),
            None => ("done", "it ran, and succeeded.".to_owned()),
        },
        (Some(Outcome::Refused), _) => {
            ("refused", format!("it was refused and did not run{why}. The agent has to ask again."))
        }
        (Some(Outcome::Failed), _) => ("failed", format!("it ran, and failed{why}.")),
        (Some(Outcome::Rejected | Outcome::Expired | Outcome::Cancelled), _) => (
            "ended",
            format!(
                "it did not run: it is {}{why}.",
                outcome.map(|outcome| outcome.to_string()).unwrap_or_default()
            ),
        ),
        (Some(Outcome::Dead | Outcome::Indeterminate), _) => (
            "uncertain",
            format!(
                "its real outcome is not known{why}; read the infrastructure, then record it \
                 with `cofferdam resolve`."
            ),
        ),
        (Some(Outcome::Held), _) => ("held", format!("it was asked for, and is held{why}.")),
        (None, Phase::AwaitingApproval) => (
            "checked",
            "it has all signatures, and is checked again. It is queued only if nothing of it \
             changed."
                .to_owned(),
        ),
        (None, Phase::Queued) => {
            ("queued", "it is queued. A runner checks it once more before it runs.".to_owned())
        }
        (None, phase) => ("running", format!("it is {} now.", phase.word().replace('_', " "))),
    };
    Followed { state, text, phase: Some(phase), outcome, detail, meanwhile }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_told_as_it_is() {
        let check = |phase, outcome, detail: &str, state: &str, words: &str| {
            let followed = describe(phase, outcome, detail.to_owned(), Vec::new());
            assert_eq!(followed.state, state);
            assert!(followed.text.contains(words), "{}", followed.text);
        };
        check(Phase::Closed, Some(Outcome::Succeeded), "done", "done", "succeeded.");
        let drift = "`spec.replicas` of web was 3 and is 4";
        check(
            Phase::Closed,
            Some(Outcome::Refused),
            drift,
            "refused",
            "did not run: `spec.replicas` of web was 3 and is 4. The agent",
        );
        check(Phase::Closed, Some(Outcome::Failed), "", "failed", "it ran, and failed.");
        check(
            Phase::Closed,
            Some(Outcome::Rejected),
            "bob said no",
            "ended",
            "it is rejected: bob said no.",
        );
        check(Phase::Closed, Some(Outcome::Indeterminate), "", "uncertain", "not known");
        let held = "Deployment web was asked to be deleted, and is held by the finalizer `a/b`";
        check(
            Phase::Closed,
            Some(Outcome::Held),
            held,
            "held",
            "is held: Deployment web was asked to be deleted",
        );
        check(Phase::AwaitingApproval, None, "", "checked", "only if nothing of it changed");
        check(Phase::Queued, None, "", "queued", "checks it once more");
        check(Phase::Acting, None, "", "running", "it is acting now");
    }
}
