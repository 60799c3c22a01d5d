//! Replies to repeated calls and questions: a change that was just made, a call without a job, a
//! change that a person rejected. Never shows another principal's call.

use super::call::done;
use super::told::{Fact, State, Told};
use crate::model::answer::{Changed, Proof, Refusal, Reply, Success};
use crate::model::call::{EndedCall, Rejected};
use crate::model::escape::{line, quoted};
use crate::model::id::CallId;
use crate::model::job::JobView;
use crate::model::limit::ALREADY_MS;
use crate::model::run::Outcome;
use crate::model::time::whole_seconds;
use crate::model::trust::Environment;
use serde_json::json;

/// The scope of the comparison before a call is answered as already done.
const COMPARED: &str = "The fields that it set are as it left them, and what it deleted is \
                        absent; other fields were not compared.";

/// The same call was carried out `ended_ms` milliseconds ago, and the fields that it set are as it
/// left them.
pub fn already_done(job: &JobView, ended_ms: u64) -> Success {
    let seconds = ended_ms / 1_000;
    let unit = if seconds == 1 { "second" } else { "seconds" };
    let next = format!(
        "The same call is carried out again {} seconds after that one ended.",
        ALREADY_MS / 1_000
    );
    done(job, State::AlreadyDone(format!("{seconds} {unit} ago")))
        .with(Fact::Also("already_done", json!({"seconds_ago": seconds, "next": next})))
        .words("compared", "Compared", COMPARED)
        .words("next", "Next", next)
        .success()
}

/// The outcome that an earlier call with the same idempotency key had before this one came.
pub fn replayed(job: &JobView) -> Reply {
    const NEW_KEY: &str = "Ask with a new idempotency key to have it carried out again.";
    if job.outcome == Some(Outcome::Succeeded) {
        return Reply::Success(done(job, State::Replayed).words("next", "Next", NEW_KEY).success());
    }
    match super::job_reply(job) {
        Reply::Refused(refusal) => Reply::Refused(Refusal {
            why: format!("An earlier call with this idempotency key ended so. {}", refusal.why),
            allowed: "The same call with a new idempotency key: it is checked and decided again."
                .to_owned(),
            ..refusal
        }),
        reply => reply,
    }
}

/// A call of the caller's own that left no job.
pub fn ended(call: &CallId, ended: &EndedCall, environment: &Environment) -> Success {
    if ended.ending == "removed" {
        return removed(call, ended, environment);
    }
    let tool = ended
        .tool
        .as_deref()
        .map_or_else(|| "an unknown tool".to_owned(), |tool| format!("`{}`", line(tool)));
    let code = line(&ended.code);
    let what = match ended.ending.as_str() {
        "looked" | "answered" => format!("A read by {tool}, answered at once."),
        "previewed" => format!("A preview of {tool}; the decision would have been `{code}`."),
        "denied" => format!("A call of {tool}, denied by `{code}`."),
        "refused" => format!("A call of {tool}, refused by `{code}`."),
        "busy" => format!("An allowed call of {tool} that came while the queue was full."),
        _ => format!("A call of {tool} that failed: `{code}`."),
    };
    let time = whole_seconds(ended.time);
    let proof = Proof { call: call.clone(), plan: ended.plan, ledger: Some(ended.ledger) };
    Told::new(State::Ended, proof, environment)
        .words("changed", "", Changed::Nothing.text())
        .words("what", "What", what)
        .words("time", "When", format!("{time}; it left no job."))
        .words("next", "Next", "Make the call again if you still need it.")
        .with(Fact::Also("ending", json!(ended.ending)))
        .with(Fact::Also("rule", json!(ended.code)))
        .with(Fact::Also("tool", json!(ended.tool)))
        .success()
}

/// A call of the caller's own whose closed job was removed.
fn removed(call: &CallId, ended: &EndedCall, environment: &Environment) -> Success {
    let tool = ended.tool.as_deref().map(|tool| format!(" of `{}`", line(tool)));
    let outcome = Outcome::from_word(&ended.code);
    let outcome = outcome.map_or_else(|| line(&ended.code), |outcome| outcome.to_string());
    let proof = Proof { call: call.clone(), plan: ended.plan, ledger: Some(ended.ledger) };
    Told::new(State::Ended, proof, environment)
        .words("what", "What", format!("A job{} that {outcome}.", tool.unwrap_or_default()))
        .words(
            "removed",
            "Removed",
            format!(
                "The details of the job, by retention, at {}; the ledger keeps its entries.",
                whole_seconds(ended.time)
            ),
        )
        .words("next", "Next", "Tell your user the id if the details matter.")
        .with(Fact::Also("ending", json!(ended.ending)))
        .with(Fact::Also("outcome", json!(ended.code)))
        .with(Fact::Also("tool", json!(ended.tool)))
        .success()
}

/// Why the same call is not asked again: a person denied it.
pub fn rejected(rejected: &Rejected) -> String {
    let reason = if rejected.reason.is_empty() {
        String::new()
    } else {
        format!(" ({})", quoted(&rejected.reason))
    };
    let who = if rejected.approver.is_empty() {
        "an approver".to_owned()
    } else {
        format!("the approver {}", line(&rejected.approver))
    };
    let clock = |time: jiff::Timestamp| time.strftime("%H:%M UTC").to_string();
    format!(
        "{who} denied this same change at {}{reason}; it can be asked again after {}",
        clock(rejected.at),
        clock(rejected.until)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{noon, some_view};
    use expect_test::expect;

    #[test]
    fn what_was_done_a_moment_ago_is_told_as_that_call() {
        let told = |ms| already_done(&some_view(), ms).text;
        expect![[r#"
            ALREADY DONE as abcdefghijklmnopqrstuvwxyz, 12 seconds ago; nothing was done now
            Environment: lab
            Compared: The fields that it set are as it left them, and what it deleted is absent; other fields were not compared.
            Next: The same call is carried out again 60 seconds after that one ended.
            Plan: sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525
            Ledger: 0"#]]
        .assert_eq(&told(12_400));
        assert!(told(1_999).contains(", 1 second ago;"));
    }

    #[test]
    fn each_ending_says_what_the_call_was() {
        let told = |ending: &str, code: &str| {
            let (ending, code, tool) =
                (ending.to_owned(), code.to_owned(), Some("deployment_scale".to_owned()));
            let ended = EndedCall { ending, code, tool, plan: None, time: noon(), ledger: 7 };
            let view = some_view();
            super::ended(&view.call, &ended, &view.environment).text
        };
        expect![[r#"
            ENDED abcdefghijklmnopqrstuvwxyz in lab
            Nothing was changed.
            What: A call of `deployment_scale`, denied by `replicas-limit`.
            When: 2026-11-23T12:00:00Z; it left no job.
            Next: Make the call again if you still need it.
            Ledger: 7"#]]
        .assert_eq(&told("denied", "replicas-limit"));
        expect![[r#"
            ENDED abcdefghijklmnopqrstuvwxyz in lab
            What: A job of `deployment_scale` that succeeded.
            Removed: The details of the job, by retention, at 2026-11-23T12:00:00Z; the ledger keeps its entries.
            Next: Tell your user the id if the details matter.
            Ledger: 7"#]]
        .assert_eq(&told("removed", "succeeded"));
        for (ending, words) in [
            ("looked", "A read by `deployment_scale`"),
            ("previewed", "A preview of"),
            ("busy", "while the queue was full."),
            ("failed", "that failed: `c`"),
        ] {
            assert!(told(ending, "c").contains(words), "{}", told(ending, "c"));
        }
    }
}
