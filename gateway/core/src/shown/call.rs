//! What an agent reads: all that a model needs is in the text, because clients drop the rest.

use super::ending::unsuccessful;
use super::{changes, named, operation, previewed, rights};
use crate::answer::{Changed, Proof, Refusal, RefusalKind, Reply, Success};
use crate::decide::{ApprovalRule, Denial, OperationFacts, Reason};
use crate::job::JobView;
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
    refused(RefusalKind::Denied, verb, proof, environment, &denial.rule, (&denial.why, &denial.allowed, NEXT_OTHER))
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

/// Every operation was done.
pub fn succeeded(job: &JobView, facts: Option<&[OperationFacts]>) -> Success {
    let mut lines = vec![format!("DONE {} in {}", job.call, line(&job.environment.name))];
    let done: Vec<_> = job.operations.iter().filter(|record| !record.undo).collect();
    for record in &done {
        let fact = facts.and_then(|facts| facts.iter().find(|fact| fact.index == record.index));
        lines.push(fact.map_or_else(|| format!("operation {}", record.index), named));
        match &record.after {
            Some(after) => {
                // What a task was given is the agent's own; said again, a large input would take the place of the result.
                let found = after.iter().filter(|(path, _)| !path.starts_with(TASK));
                let found = found.map(|(path, value)| (path.clone(), value.clone())).collect();
                lines.extend(changes(&record.before, &found).into_iter().map(|text| format!("  {text}")));
            }
            None => lines.push(format!("  {UNRECORDED}")),
        }
    }
    lines.push(format!("Plan: {}", job.plan));
    lines.push(format!("Ledger: {}", job.ledger));
    let operations: Vec<_> =
        done.iter().map(|record| json!({"index": record.index, "before": record.before, "after": record.after})).collect();
    Success {
        text: whole(lines),
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
            format!("Needed: {}, until {}.", signers(job.approval.as_ref()), whole_seconds(job.expires)),
        ],
        phase => vec![format!("RUNNING {} in {environment}", job.call), format!("Now: {phase}.")],
    };
    if let Some(words) = &job.progress {
        lines.push(format!("The executor says: {}", crate::text::quoted(words)));
    }
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
    Success {
        text: whole(lines),
        structured: json!({"call": job.call, "phase": job.phase, "outcome": null, "plan": job.plan, "ledger": job.ledger}),
        proof: proof(job),
        complete: false,
    }
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

/// A text within the limit: what does not fit is told by a shorter text, never cut in the middle.
fn whole(lines: Vec<String>) -> String {
    let text = lines.join("\n");
    if text.len() <= limit::TEXT {
        return text;
    }
    let ends: Vec<_> = lines.iter().filter(|line| !line.starts_with("  ")).cloned().collect();
    let short = ends.join("\n");
    if short.len() <= limit::TEXT {
        format!("{short}\nThe values are too long to show here; `cofferdam show` has them.")
    } else {
        lines.into_iter().take(1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ArgumentsDigest, CallId, PlanDigest};
    use crate::job::OperationRecord;
    use std::collections::BTreeMap;

    #[test]
    fn a_large_input_does_not_hide_a_tasks_result() {
        let after = [("task.input", json!("x".repeat(limit::TEXT))), ("result", json!("all is well")), ("exit_code", json!(0))];
        let after = after.into_iter().map(|(path, value)| (path.to_owned(), value)).collect();
        let job = JobView {
            call: CallId::parse("abcdefghijklmnopqrstuvwxyz").unwrap(),
            tool: "task_run".to_owned(),
            plan: PlanDigest::of(b"plan"),
            arguments: ArgumentsDigest::of(b"arguments"),
            phase: Phase::Closed,
            outcome: Some(Outcome::Succeeded),
            detail: String::new(),
            operations: vec![OperationRecord { index: 0, undo: false, before: BTreeMap::new(), after: Some(after) }],
            progress: None,
            approval: None,
            reasons: Vec::new(),
            environment: Environment { name: "lab".to_owned(), id: "0f0c1ad89ad24e2b8f866a2f3c6e6b5d".to_owned() },
            ledger: 0,
            expires: jiff::Timestamp::UNIX_EPOCH,
            version: 1,
        };
        let text = succeeded(&job, None).text;
        assert!(text.contains("result: (absent) → \"all is well\"") && !text.contains("too long"), "{text}");
    }
}
