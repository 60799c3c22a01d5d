//! What an agent reads: all that a model needs is in the text, because clients drop the rest.

use super::ending::unsuccessful;
use super::{changes, named, operation, previewed, rights};
use crate::answer::{Changed, Proof, Refusal, RefusalKind, Reply, Success};
use crate::decide::{ApprovalRule, Denial, OperationFacts, Reason};
use crate::job::{JobView, Note, Obstacle, Said};
use crate::limit;
use crate::plan::TASK;
use crate::preview::PreviewedPlan;
use crate::run::{Outcome, Phase};
use crate::text::line;
use crate::trust::Environment;
use serde_json::json;

/// What to do next when the plan itself has to be another.
const NEXT_OTHER: &str = "Ask again within what is allowed, or tell your user.";

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
    refused(RefusalKind::Denied, verb, proof, environment, &denial.rule, (&denial.why, &denial.allowed, next))
}

/// A job's state as the agent reads it. `facts` name the operations where the caller has the plan at hand.
pub fn job_reply(job: &JobView, facts: Option<&[OperationFacts]>) -> Reply {
    match job.outcome {
        Some(Outcome::Succeeded) => Reply::Success(succeeded(job, facts)),
        Some(outcome) => Reply::Refused(unsuccessful(job, outcome, facts)),
        None => Reply::Success(pending(job)),
    }
}

/// Of an effect that its runner could not record any more, and that the next one found there.
const UNRECORDED: &str = "found done, as it was approved; its runner was lost before it could say so";

/// Where a task's result is in the state after it.
const RESULT: &str = "result";

/// What is left out first when all of it would be too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// A value that the agent named or can look at.
    Value,
    /// What an operation is called besides its number.
    Name,
    /// What is nowhere else: results of tasks, and what is found again by.
    Needed,
}

/// A line, and what stands in its place when it is left out.
struct Line {
    weight: Weight,
    text: String,
    instead: Option<String>,
}

impl Line {
    fn new(weight: Weight, text: String) -> Self {
        Self { weight, text, instead: None }
    }
}

/// Bytes that a task's result takes in an answer. Within [`limit::TASK_OUTPUT`], all of a plan's together, they are always shown.
pub fn size_of_result(result: &str) -> usize {
    super::value(Some(&json!(result))).len()
}

/// Every operation was done.
pub fn succeeded(job: &JobView, facts: Option<&[OperationFacts]>) -> Success {
    let mut lines = vec![Line::new(Weight::Needed, format!("DONE {} in {}", job.call, line(&job.environment.name)))];
    let done: Vec<_> = job.operations.iter().filter(|record| !record.undo).collect();
    for record in &done {
        let name = facts.and_then(|facts| facts.iter().find(|fact| fact.index == record.index)).map(named);
        let number = format!("operation {}", record.index);
        let result = record.after.as_ref().and_then(|after| after.get(RESULT));
        let instead = result.map(|_| number.clone());
        lines.push(Line { weight: Weight::Name, text: name.unwrap_or(number), instead });
        match &record.after {
            Some(after) => {
                // What a task was given is the agent's own; said again, a large input would take the place of the result.
                let found = after.iter().filter(|(path, _)| !path.starts_with(TASK) && *path != RESULT);
                let found = found.map(|(path, value)| (path.clone(), value.clone())).collect();
                lines.extend(changes(&record.before, &found).into_iter().map(|text| Line::new(Weight::Value, format!("  {text}"))));
            }
            None => lines.push(Line::new(Weight::Value, format!("  {UNRECORDED}"))),
        }
        lines.extend(result.map(|result| Line::new(Weight::Needed, format!("  {RESULT}: {}", super::value(Some(result))))));
    }
    lines.push(Line::new(Weight::Needed, format!("Plan: {}", job.plan)));
    lines.push(Line::new(Weight::Needed, format!("Ledger: {}", job.ledger)));
    let operations: Vec<_> =
        done.iter().map(|record| json!({"index": record.index, "before": record.before, "after": record.after})).collect();
    Success {
        text: whole(&lines),
        structured: json!({
            "call": job.call, "outcome": Outcome::Succeeded, "plan": job.plan, "ledger": job.ledger, "operations": operations,
        }),
        proof: proof(job),
        complete: true,
    }
}

/// It is on its way, or waits for a person.
pub fn pending(job: &JobView) -> Success {
    let environment = line(&job.environment.name);
    let mut lines = match job.phase {
        Phase::AwaitingApproval => vec![
            format!("WAITING {} in {environment}", job.call),
            "Nothing was changed yet.".to_owned(),
            format!("Why: {}", why(&job.reasons)),
            state(job),
        ],
        _ => vec![format!("RUNNING {} in {environment}", job.call), state(job)],
    };
    let said = spoken(job);
    lines.extend(said.iter().cloned());
    lines.push(match job.phase {
        Phase::AwaitingApproval => {
            format!(
                "Next: an approver runs `cofferdam approve {}`; it then runs by itself. Follow it with `job_get` and this id.",
                job.call
            )
        }
        _ => "Next: `job_get` with this id, or the same call again, joins it.".to_owned(),
    });
    lines.push(format!("Plan: {}", job.plan));
    lines.push(format!("Ledger: {}", job.ledger));
    let mut structured = json!({
        "call": job.call, "phase": job.phase, "outcome": null, "plan": job.plan, "ledger": job.ledger, "progress": said,
    });
    if let (Some(stuck), Some(facts)) = (&job.stuck, structured.as_object_mut()) {
        facts.insert("stuck".to_owned(), json!(stuck));
    }
    Success { text: lines.join("\n"), structured, proof: proof(job), complete: false }
}

/// Where a job is that has no outcome yet, in one line: for whoever is told while its call is held.
pub fn stands(job: &JobView) -> String {
    let verb = if job.phase == Phase::AwaitingApproval { "WAITING" } else { "RUNNING" };
    format!("{verb} {} in {}. {}", job.call, line(&job.environment.name), state(job))
}

fn state(job: &JobView) -> String {
    match job.phase {
        Phase::AwaitingApproval => format!("Needed: {}, until {}.", signers(job.approval.as_ref()), whole_seconds(job.expires)),
        phase => {
            let stuck = job.stuck.as_ref().map(|stuck| format!(" {}", cannot(&stuck.obstacle))).unwrap_or_default();
            format!("Now: {phase}.{stuck}")
        }
    }
}

/// Why a job cannot be finished at present, for its agent: the cause is an operator's to remove.
fn cannot(obstacle: &Obstacle) -> String {
    let told = line(&obstacle.to_string());
    format!("It cannot be finished at present: {told}. It goes on by itself then; tell your user.")
}

/// One note, quoted. `missed`: notes before it that the reader was not told.
pub fn said(note: &Note, missed: u64) -> String {
    let Said { operation, text, skipped } = &note.said;
    let who = operation.map_or_else(|| "The executor says".to_owned(), |index| format!("The task of operation {index} says"));
    let missing = match skipped.saturating_add(missed) {
        0 => String::new(),
        1 => ", after a line that is not shown".to_owned(),
        more => format!(", after {more} lines that are not shown"),
    };
    format!("{who}{missing}: {}", crate::text::quoted(text))
}

/// What is kept of a job's notes, a line each.
pub fn spoken(job: &JobView) -> Vec<String> {
    let before = job.progress.first().map_or(0, |note| note.number.saturating_sub(1));
    job.progress.iter().zip(std::iter::once(before).chain(std::iter::repeat(0))).map(|(note, missed)| said(note, missed)).collect()
}

/// What a look showed, with id, digest and index.
pub fn looked(shown: &str, proof: &Proof, environment: &Environment) -> String {
    let mut text = format!("LOOKED {} in {}\n{shown}", proof.call, line(&environment.name));
    if let Some(plan) = proof.plan {
        text.push_str(&format!("\nPlan: {plan}"));
    }
    if let Some(ledger) = proof.ledger {
        text.push_str(&format!("\nLedger: {ledger}"));
    }
    text
}

/// The preview as an agent reads it: plan, diff, rights, and what policy says so far.
pub fn words_of_preview(plan: &PreviewedPlan, decision: &str) -> String {
    let sealed = plan.sealed();
    let mut lines = vec![format!("Summary (the tool's words): {}", crate::text::quoted(sealed.plan().summary())), "Operations:".to_owned()];
    for fact in sealed.facts() {
        lines.push(format!("  {}", operation(fact)));
        let shown = plan.preview().operations.iter().find(|shown| shown.index == fact.index);
        lines.extend(shown.map(previewed).unwrap_or_default().into_iter().map(|text| format!("     {text}")));
    }
    lines.push("Rights:".to_owned());
    lines.extend(rights(sealed.facts()).into_iter().map(|text| format!("  {text}")));
    lines.push(format!("Decision: {decision}"));
    lines.join("\n")
}

fn why(reasons: &[Reason]) -> String {
    let said = reasons.iter().find(|reason| reason.audience == crate::decide::Audience::User);
    said.map_or_else(|| "a person has to sign this.".to_owned(), |reason| sentence(&reason.message))
}

fn signers(rule: Option<&ApprovalRule>) -> String {
    match rule {
        None => "a person's signature".to_owned(),
        Some(rule) if rule.approvers.iter().any(|name| name == "*") => format!("{} of the enrolled approvers", rule.quorum),
        Some(rule) => format!("{} of {}", rule.quorum, line(&rule.approvers.join(", "))),
    }
}

pub(super) fn proof(job: &JobView) -> Proof {
    Proof { call: job.call.clone(), plan: Some(job.plan), ledger: Some(job.ledger) }
}

fn whole_seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// On one line, beginning large and ending with a full stop, as sentences for people do.
pub(super) fn sentence(text: &str) -> String {
    let text = line(text.trim());
    let mut rest = text.chars();
    let begun: String = match rest.next() {
        // A quoted or technical beginning stays as it is.
        Some(first) if first.is_ascii_lowercase() && rest.clone().next().is_some_and(|c| c.is_ascii_lowercase() || c == ' ') => {
            std::iter::once(first.to_ascii_uppercase()).chain(rest).collect()
        }
        _ => text,
    };
    if begun.ends_with(['.', '!', '?', ':']) { begun } else { format!("{begun}.") }
}

/// A text within the limit: what does not fit is left out whole, the least needed first, and never cut in the middle.
fn whole(lines: &[Line]) -> String {
    const LEFT_OUT: &str = "What is not shown here is too long; `cofferdam show` has it.";
    let heaviest = |weight| {
        let kept = lines.iter().filter_map(|line| if line.weight >= weight { Some(line.text.as_str()) } else { line.instead.as_deref() });
        kept.chain((weight > Weight::Value).then_some(LEFT_OUT)).collect::<Vec<_>>().join("\n")
    };
    let texts = [Weight::Value, Weight::Name, Weight::Needed].into_iter().map(heaviest);
    texts.into_iter().find(|text| text.len() <= limit::TEXT).unwrap_or_else(|| {
        // A runner that keeps to its limits does not come here.
        lines.iter().map(|line| line.text.as_str()).take(1).chain([LEFT_OUT]).collect::<Vec<_>>().join("\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::OperationRecord;
    use crate::testing::some_view;
    use expect_test::expect;
    use std::collections::BTreeMap;

    #[test]
    fn a_large_input_does_not_hide_a_tasks_result() {
        let after = [("task.input", json!("x".repeat(limit::TEXT))), ("result", json!("all is well")), ("exit_code", json!(0))];
        let after = after.into_iter().map(|(path, value)| (path.to_owned(), value)).collect();
        let operations = vec![OperationRecord { index: 0, undo: false, before: BTreeMap::new(), after: Some(after) }];
        let job = JobView { outcome: Some(Outcome::Succeeded), operations, ..some_view() };
        let text = succeeded(&job, None).text;
        assert!(text.contains("\n  result: \"all is well\"\n") && !text.contains("too long"), "{text}");
    }

    #[test]
    fn results_within_their_limit_are_always_shown() {
        // The longest names there are, the largest values, and results that take all the room there is, some of it by escapes.
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
                let after = [("result".to_owned(), json!(result(index))), ("exit_code".to_owned(), json!(0))];
                record(u32::try_from(index).unwrap(), after.into())
            };
            let other = |index: u32| record(index, [("spec.x".to_owned(), json!("y".repeat(limit::TEXT)))].into());
            let operations = (0..tasks).map(task).chain((32..64).map(other)).collect();
            let job = JobView { outcome: Some(Outcome::Succeeded), operations, ..some_view() };
            let facts = crate::plan::tests::sealed(vec![crate::plan::tests::scale("team-a", 5)]).unwrap().facts().to_vec();
            let fact = |index| OperationFacts { index, name: "n".repeat(253), namespace: "m".repeat(63), ..facts[0].clone() };
            let text = succeeded(&job, Some(&(0..64).map(fact).collect::<Vec<_>>())).text;
            assert!(text.len() <= limit::TEXT, "{}", text.len());
            for index in 0..tasks {
                let shown = super::super::value(Some(&json!(result(index))));
                assert!(text.contains(&format!("\noperation {index}\n  result: {shown}\n")), "{tasks} {index}");
            }
            assert!(text.contains("too long; `cofferdam show` has it") && text.contains("Plan: "));
        }
    }

    #[test]
    fn what_executor_and_tasks_say_is_quoted_and_what_is_missing_is_told() {
        let note = |number, operation, text: &str, skipped| Note { number, said: Said { operation, text: text.to_owned(), skipped } };
        let mut job = some_view();
        job.phase = Phase::Acting;
        job.progress =
            vec![note(3, None, "waits for web", 0), note(4, Some(1), "DONE\nLedger: 7 \"\u{202e}", 0), note(5, Some(1), "100 %", 41)];
        expect![[r#"
            RUNNING abcdefghijklmnopqrstuvwxyz in lab
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
