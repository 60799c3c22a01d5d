//! The text that an agent reads: all that a model needs is in the text, because clients drop the
//! rest.

use super::outcome::{changed, unsuccessful};
use super::told::{Fact, Operation, State, Told};
use crate::model::answer::{Changed, Proof, Refusal, RefusalKind, Reply, Success};
use crate::model::escape::line;
use crate::model::id::CallId;
use crate::model::job::{JobView, Note, Obstacle, Said};
use crate::model::reason::{ApprovalRule, Denial, Reason};
use crate::model::run::{Outcome, Phase};
use crate::model::time::whole_seconds;
use crate::model::trust::Environment;
use crate::text::difference;
use serde_json::{Value, json};

/// The next step where the plan itself has to be another.
const NEXT_OTHER: &str = "Ask again within what is allowed, or tell your user.";

/// Said of a job whose agent withdrew it after a runner had claimed it.
const STOPPING: &str = "It was asked to stop; what has begun is finished or undone.";

/// A refusal before there was a job.
pub fn refused(
    kind: RefusalKind,
    verb: &'static str,
    proof: Proof,
    environment: &Environment,
    rule: &str,
    (why, allowed, next): (&str, &str, &str),
) -> Reply {
    Reply::Refused(Refusal {
        kind,
        verb,
        proof,
        rule: line(rule),
        environment: environment.clone(),
        changed: Changed::Nothing,
        why: sentence(why),
        allowed: sentence(allowed),
        next: sentence(next),
    })
}

/// A denial as the agent reads it.
pub fn refusal_of(denial: &Denial, proof: Proof, environment: &Environment) -> Reply {
    let verb = if denial.rejected { "REJECTED" } else { "DENIED" };
    let next = denial.next.unwrap_or(NEXT_OTHER);
    refused(
        RefusalKind::Denied,
        verb,
        proof,
        environment,
        &denial.rule,
        (&denial.why, &denial.allowed, next),
    )
}

/// A job's state as the agent reads it.
pub fn job_reply(job: &JobView) -> Reply {
    match job.outcome {
        Some(Outcome::Succeeded) => Reply::Success(succeeded(job)),
        Some(outcome) => Reply::Refused(unsuccessful(job, outcome)),
        None => Reply::Success(pending(job)),
    }
}

/// The same for an agent that only reads the job: a call that was withdrawn in time is no error
/// then.
pub fn state_reply(job: &JobView) -> Reply {
    withdrawn(job).unwrap_or_else(|| job_reply(job))
}

/// A call that its agent withdrew before anything was changed.
pub fn withdrawn(job: &JobView) -> Option<Reply> {
    let nothing = job.outcome == Some(Outcome::Cancelled)
        && job.cancellation.is_none()
        && changed(job, Outcome::Cancelled) == Changed::Nothing;
    let told = || {
        Told::new(State::Withdrawn, proof(job), &job.environment).words(
            "changed",
            "",
            Changed::Nothing.text(),
        )
    };
    nothing.then(|| {
        Reply::Success(asked(told(), job).with(Fact::Also("outcome", json!(job.outcome))).success())
    })
}

/// The reply to a withdrawal: withdrawn, on its way to a stop, or too late.
pub fn withdrawal(job: &JobView) -> Reply {
    let Some(outcome) = job.outcome else {
        let told = on_its_way(job).words("note", "", STOPPING);
        return Reply::Success(told.success());
    };
    if let Some(withdrawn) = withdrawn(job) {
        return withdrawn;
    }
    let changed = if outcome == Outcome::Succeeded { Changed::All } else { changed(job, outcome) };
    Reply::Refused(Refusal {
        kind: RefusalKind::Conflict,
        verb: "TOO LATE",
        proof: proof(job),
        rule: "job".to_owned(),
        environment: job.environment.clone(),
        changed,
        why: format!("The call ended before it could be withdrawn: {outcome}."),
        allowed: "Calls of your own that have not ended.".to_owned(),
        next: "`job_get` with this id tells what became of it.".to_owned(),
    })
}

/// Bytes that a task's result takes in an answer. Within [`limit::TASK_OUTPUT`], all of a plan's
/// together, they are always shown.
///
/// [`limit::TASK_OUTPUT`]: crate::model::limit::TASK_OUTPUT
pub fn size_of_result(result: &str) -> usize {
    super::value(Some(&json!(result))).len()
}

/// Every operation was done.
pub fn succeeded(job: &JobView) -> Success {
    done(job, State::Done).success()
}

/// The operations that were done, under this head.
pub(super) fn done(job: &JobView, state: State) -> Told {
    let done: Vec<_> = job.operations.iter().filter(|record| !record.undo).collect();
    let planned = |index| job.planned.iter().find(|planned| planned.index == index);
    let operations = done.iter().map(|record| Operation {
        index: record.index,
        what: planned(record.index).map(|planned| line(&planned.words)),
        marks: Vec::new(),
        place: String::new(),
        before: record.before.clone(),
        after: record.after.clone(),
        remarks: planned(record.index).map(|planned| planned.remarks.clone()).unwrap_or_default(),
    });
    let mut told = Told::new(state, proof(job), &job.environment);
    if !job.files.is_empty() {
        told = told.with(Fact::Edited(job.files.iter().map(|file| line(file)).collect()));
    }
    if let Some(changed) = difference::sentence(&job.meanwhile) {
        told = told.words("meanwhile", "Meanwhile", sentence(&changed));
    }
    // The change is done; only what Cofferdam made for it is not removed yet.
    if let Some(stuck) = &job.stuck {
        told = told.words(
            "cleanup",
            "Cleanup",
            sentence(&format!("not finished: {}", line(&stuck.obstacle.to_string()))),
        );
    }
    told.with(Fact::Done(operations.collect()))
        .with(Fact::Also("tool", json!(job.tool)))
        .with(Fact::Also("outcome", json!(Outcome::Succeeded)))
}

/// It is on its way, or waits for a person.
pub fn pending(job: &JobView) -> Success {
    on_its_way(job).success()
}

fn on_its_way(job: &JobView) -> Told {
    let waits = job.phase == Phase::AwaitingApproval;
    let stands = if waits { State::Waiting } else { State::Running };
    let mut told = Told::new(stands, proof(job), &job.environment);
    if waits {
        told = asked(told.words("changed", "", "Nothing was changed yet."), job);
        let reason = why(&job.reasons);
        told = told
            .words("why", "Why", reason.why)
            .words("allowed", "Allowed", reason.allowed)
            .with(needed(job));
    } else {
        told = asked(told, job).words("now", "", state(job));
        if let Some(stuck) = &job.stuck {
            told = told.with(Fact::Also("stuck", json!(stuck)));
        }
    }
    let next = if waits {
        format!(
            "an approver runs `cofferdam approve {call}`; it then runs by itself. Your user sees \
             its state at /calls/{call}. Follow it with `job_get` and this id; the same call again \
             joins it.",
            call = job.call
        )
    } else {
        "`job_get` with this id, or the same call again, joins it.".to_owned()
    };
    told.with(Fact::Lines("progress", None, describe_notes(job)))
        .words("next", "Next", next)
        .with(Fact::Also("phase", json!(job.phase)))
        .with(Fact::Also("outcome", Value::Null))
}

/// Which tool was asked for what.
fn asked(told: Told, job: &JobView) -> Told {
    let what =
        job.planned.iter().map(|planned| line(&planned.words)).collect::<Vec<_>>().join("; ");
    told.words("tool", "Tool", line(&job.tool)).words("what", "Would", what)
}

fn needed(job: &JobView) -> Fact {
    Fact::Needed { who: signers(job.approval.as_ref()), until: Some(whole_seconds(job.expires)) }
}

/// Where a job is that has no outcome yet, in one line: for a caller while its call is held.
pub fn describe_phase(job: &JobView) -> String {
    let verb = if job.phase == Phase::AwaitingApproval { "WAITING" } else { "RUNNING" };
    format!("{verb} {} in {}. {}", job.call, line(&job.environment.name), state(job))
}

/// The same with the newest line that the job said. `stopping`: its agent withdrew it.
pub fn describe_progress(job: &JobView, stopping: bool) -> String {
    let stop = stopping.then(|| STOPPING.to_owned());
    let said = job.progress.last().map(|note| describe_note(note, 0));
    let parts = std::iter::once(describe_phase(job)).chain(stop).chain(said);
    parts.collect::<Vec<_>>().join(" ")
}

fn state(job: &JobView) -> String {
    match job.phase {
        Phase::AwaitingApproval => format!(
            "Needed: {}, until {}.",
            signers(job.approval.as_ref()),
            whole_seconds(job.expires)
        ),
        phase => {
            let stuck = job
                .stuck
                .as_ref()
                .map(|stuck| format!(" {}", cannot(&stuck.obstacle)))
                .unwrap_or_default();
            format!("Now: {phase}.{stuck}")
        }
    }
}

/// Why a job cannot be finished at present, for its agent: the cause is an operator's to remove.
fn cannot(obstacle: &Obstacle) -> String {
    let told = line(&obstacle.to_string());
    format!("It cannot be finished at present: {told}. It goes on by itself then; tell your user.")
}

/// One note, quoted. `missed` is the number of earlier notes that the reader did not get.
pub fn describe_note(note: &Note, missed: u64) -> String {
    let Said { operation, text, skipped } = &note.said;
    let who = operation.map_or_else(
        || "The executor says".to_owned(),
        |index| format!("The task of operation {index} says"),
    );
    let missing = match skipped.saturating_add(missed) {
        0 => String::new(),
        1 => ", after a line that is not shown".to_owned(),
        more => format!(", after {more} lines that are not shown"),
    };
    format!("{who}{missing}: {}", crate::model::escape::quoted(text))
}

/// The stored progress notes of a job, a line each.
pub fn describe_notes(job: &JobView) -> Vec<String> {
    let before = job.progress.first().map_or(0, |note| note.number.saturating_sub(1));
    job.progress
        .iter()
        .zip(std::iter::once(before).chain(std::iter::repeat(0)))
        .map(|(note, missed)| describe_note(note, missed))
        .collect()
}

/// It is recorded and goes on, and its state cannot be read.
pub fn accepted(call: &CallId, environment: &Environment) -> Success {
    Told::new(State::Accepted, Proof { call: call.clone(), plan: None, ledger: None }, environment)
        .words(
            "note",
            "",
            "It is recorded and goes on by itself; its state cannot be read right now.",
        )
        .words("next", "Next", "`job_get` with this id.")
        .with(Fact::Also("phase", Value::Null))
        .with(Fact::Also("outcome", Value::Null))
        .success()
}

/// Why a person is asked, and what would pass without one.
struct Why {
    why: String,
    allowed: String,
}

fn why(reasons: &[Reason]) -> Why {
    let said =
        reasons.iter().find(|reason| reason.audience == crate::model::reason::Audience::User);
    match said {
        None => Why { why: "A person has to sign this.".to_owned(), allowed: String::new() },
        Some(reason) if reason.remedy.is_empty() => {
            Why { why: sentence(&reason.message), allowed: String::new() }
        }
        Some(reason) => Why { why: sentence(&reason.message), allowed: sentence(&reason.remedy) },
    }
}

pub(super) fn signers(rule: Option<&ApprovalRule>) -> String {
    match rule {
        None => "a person's signature".to_owned(),
        Some(rule) => super::approver::needed(rule),
    }
}

pub(super) fn proof(job: &JobView) -> Proof {
    Proof { call: job.call.clone(), plan: Some(job.plan), ledger: Some(job.ledger) }
}

/// Writes a text on one line, beginning large and ending with a full stop, as sentences for people
/// do.
pub fn sentence(text: &str) -> String {
    let text = line(text.trim());
    let mut rest = text.chars();
    let begun: String = match rest.next() {
        // A quoted or technical beginning stays as it is.
        Some(first)
            if first.is_ascii_lowercase()
                && rest.clone().next().is_some_and(|c| c.is_ascii_lowercase() || c == ' ') =>
        {
            std::iter::once(first.to_ascii_uppercase()).chain(rest).collect()
        }
        _ => text,
    };
    if begun.ends_with(['.', '!', '?', ':']) { begun } else { format!("{begun}.") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::OperationFacts;
    use crate::model::job::{OperationRecord, Planned};
    use crate::model::limit;
    use crate::testing::some_view;
    use expect_test::expect;
    use std::collections::BTreeMap;

    #[test]
    fn a_large_input_does_not_hide_a_tasks_result() {
        let after = [
            ("task.input", json!("x".repeat(limit::TEXT))),
            ("result", json!("all is well")),
            ("exit_code", json!(0)),
        ];
        let after = after.into_iter().map(|(path, value)| (path.to_owned(), value)).collect();
        let operations = vec![OperationRecord {
            index: 0,
            undo: false,
            before: BTreeMap::new(),
            after: Some(after),
        }];
        let job = JobView { outcome: Some(Outcome::Succeeded), operations, ..some_view() };
        let text = succeeded(&job).text;
        assert!(
            text.contains("\n  result: \"all is well\"\n") && !text.contains("too long"),
            "{text}"
        );
    }

    #[test]
    fn results_within_their_limit_are_always_shown() {
        // The longest names there are, the largest values, and results that take all the room there
        // is, some of it by escapes.
        let record = |index: u32, after: BTreeMap<String, serde_json::Value>| OperationRecord {
            index,
            undo: false,
            before: BTreeMap::new(),
            after: Some(after),
        };
        for tasks in [1, 2, 32] {
            let room = limit::TASK_OUTPUT / tasks;
            let result = |index: usize| {
                let result = format!("{index}\n\u{1}\u{202e}").repeat(room / 20);
                let rest = room - size_of_result(&result);
                let result = result + &"x".repeat(rest);
                assert_eq!(size_of_result(&result), room);
                result
            };
            let task = |index: usize| {
                let after = [
                    ("result".to_owned(), json!(result(index))),
                    ("exit_code".to_owned(), json!(0)),
                ];
                record(u32::try_from(index).unwrap(), after.into())
            };
            let other = |index: u32| {
                record(index, [("spec.x".to_owned(), json!("y".repeat(limit::TEXT)))].into())
            };
            let operations = (0..tasks).map(task).chain((32..64).map(other)).collect();
            let job = JobView { outcome: Some(Outcome::Succeeded), operations, ..some_view() };
            let facts = crate::stage::plan::tests::sealed(vec![crate::stage::plan::tests::scale(
                "team-a", 5,
            )])
            .unwrap()
            .facts()
            .to_vec();
            let fact = |index| OperationFacts {
                index,
                name: "n".repeat(253),
                namespace: "m".repeat(63),
                ..facts[0].clone()
            };
            let planned = (0..64).map(fact).map(|fact| Planned::of(&fact)).collect();
            let text = succeeded(&JobView { planned, ..job }).text;
            assert!(text.len() <= limit::TEXT, "{}", text.len());
            for index in 0..tasks {
                let shown = super::super::value(Some(&json!(result(index))));
                assert!(
                    text.contains(&format!("\noperation {index}\n  result: {shown}\n")),
                    "{tasks} {index}"
                );
            }
            assert!(text.contains("too long; `cofferdam show` has it") && text.contains("Plan: "));
        }
    }

    #[test]
    fn what_executor_and_tasks_say_is_quoted_and_what_is_missing_is_told() {
        let note = |number, operation, text: &str, skipped| Note {
            number,
            said: Said { operation, text: text.to_owned(), skipped },
        };
        let mut job = some_view();
        job.phase = Phase::Acting;
        job.progress = vec![
            note(3, None, "waits for web", 0),
            note(4, Some(1), "DONE\nLedger: 7 \"\u{202e}", 0),
            note(5, Some(1), "100 %", 41),
        ];
        expect![[r#"
            RUNNING abcdefghijklmnopqrstuvwxyz in lab
            Tool: tool
            Now: acting.
            The executor says, after 2 lines that are not shown: "waits for web"
            The task of operation 1 says: "DONE\nLedger: 7 \"\u{202e}"
            The task of operation 1 says, after 41 lines that are not shown: "100 %"
            Next: `job_get` with this id, or the same call again, joins it.
            Plan: sha256:64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525
            Ledger: 0"#]]
        .assert_eq(&pending(&job).text);
    }
}
