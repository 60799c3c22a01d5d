//! The reply to a job that ended otherwise than by success: above all, the operations that are in
//! effect.

use super::call::{proof, sentence};
use crate::model::answer::{Changed, Effect, Refusal, RefusalKind, Standing};
use crate::model::escape::{line, quoted};
use crate::model::facts::LET_OUT;
use crate::model::job::{Found, JobView, OperationRecord, Planned, Resolution};
use crate::model::run::Outcome;
use std::collections::BTreeMap;

/// The remedy where no obstacle is known. A key belongs to its first call for ever.
const AGAIN: &str =
    "The same call again, with another idempotency key or none: it is checked and decided again.";

/// The remedy where the reply has the cause.
const ONCE_GONE: &str = "The same call again once that cause is gone, with another idempotency \
                         key or none: it is checked and decided again.";

/// The refusal for such a job.
pub(super) fn unsuccessful(job: &JobView, outcome: Outcome) -> Refusal {
    let (kind, verb, next) = match outcome {
        Outcome::Succeeded | Outcome::Failed => {
            (RefusalKind::Unsuccessful, "FAILED", "Look at the infrastructure, then ask again.")
        }
        Outcome::Refused => (
            RefusalKind::Unsuccessful,
            "REFUSED",
            "Look at the infrastructure, then ask again; it is decided again.",
        ),
        Outcome::Rejected => (
            RefusalKind::Denied,
            "REJECTED",
            "Do not ask for the same again; tell your user what the approver said.",
        ),
        Outcome::Expired => {
            (RefusalKind::Unsuccessful, "EXPIRED", "Ask again if it is still wanted.")
        }
        Outcome::Cancelled => {
            (RefusalKind::Unsuccessful, "CANCELLED", "Ask again if it is still wanted.")
        }
        Outcome::Dead => (
            RefusalKind::Unsuccessful,
            "DEAD",
            "Tell your user; an operator has to look at the runners.",
        ),
        Outcome::Indeterminate => (
            RefusalKind::Unsuccessful,
            "UNKNOWN",
            "Do not repeat it; tell your user that a person has to look.",
        ),
        Outcome::Held => (
            RefusalKind::Unsuccessful,
            "HELD",
            "Do not repeat it; tell your user what holds it. It then goes by itself.",
        ),
    };
    let allowed = match outcome {
        Outcome::Rejected => "What the approvers agree to.",
        Outcome::Indeterminate => "Looks at what it was about.",
        Outcome::Held => "Looks at what it was about: it was asked for as approved.",
        Outcome::Expired | Outcome::Cancelled => AGAIN,
        Outcome::Succeeded | Outcome::Failed | Outcome::Refused | Outcome::Dead => ONCE_GONE,
    };
    let (by, otherwise) = match outcome {
        // Decided again after the approval, it was found to be another call, or the infrastructure
        // another: no runner came into it.
        Outcome::Refused if !job.claimed => {
            ("the gateway", "it could not be carried out as it was approved")
        }
        Outcome::Rejected => ("an approver", "a person rejected it"),
        Outcome::Expired => {
            ("its deadline", "it was not approved in time, or no runner took it in time")
        }
        Outcome::Cancelled if job.cancellation.is_some() => {
            ("an operator", "an operator cancelled it")
        }
        Outcome::Cancelled => ("its agent", "it was withdrawn"),
        Outcome::Dead => ("the recorder", "runners were lost too often before they acted"),
        Outcome::Indeterminate => ("the runner", "an effect may or may not have happened"),
        Outcome::Held => ("the runner", "it was asked for, and something holds it"),
        Outcome::Succeeded | Outcome::Failed | Outcome::Refused => {
            ("the runner", "the runner gave no reason")
        }
    };
    if let Some(resolution) = &job.resolution {
        return resolved(job, resolution);
    }
    Refusal {
        kind,
        verb,
        proof: proof(job),
        rule: by.to_owned(),
        environment: job.environment.clone(),
        changed: changed(job, outcome),
        why: sentence(if job.detail.is_empty() { otherwise } else { &job.detail }),
        allowed: allowed.to_owned(),
        next: next.to_owned(),
    }
}

/// The refusal for an indeterminate outcome that an operator resolved.
fn resolved(job: &JobView, resolution: &Resolution) -> Refusal {
    let next = match resolution.found {
        Found::Succeeded => "Go on; do not repeat it.",
        Found::Failed => "Look at the infrastructure, then ask again if it is still wanted.",
    };
    Refusal {
        kind: RefusalKind::Unsuccessful,
        verb: "RESOLVED",
        proof: proof(job),
        rule: "an operator".to_owned(),
        environment: job.environment.clone(),
        changed: Changed::Resolved(resolution.found),
        why: format!("They say: {}", quoted(&resolution.because)),
        allowed: AGAIN.to_owned(),
        next: next.to_owned(),
    }
}

/// The effects of a job that ended otherwise than by success: the second line.
pub fn changed(job: &JobView, outcome: Outcome) -> Changed {
    if job.environment.is_cluster() {
        in_cluster(job, outcome)
    } else {
        in_directory(&job.operations, outcome)
    }
}

/// Effects become visible all at once or not at all, and `done` records before that are of the
/// job's private copy. A runner calls a job failed, refused or cancelled only when it knows that
/// nothing of it is in effect; if it cannot know, it says indeterminate.
fn in_directory(records: &[OperationRecord], outcome: Outcome) -> Changed {
    let mut effects = records.iter().filter(|record| !record.undo).peekable();
    if outcome == Outcome::Indeterminate {
        Changed::Unknown
    } else if effects.peek().is_some() && effects.all(|record| undone(records, record.index)) {
        Changed::Undone
    } else {
        Changed::Nothing
    }
}

/// Every effect is visible at once: an operation that was done and not undone is in effect, however
/// the job ended. An operation that was begun and has no end did not happen, unless the runner says
/// that it cannot know. Objects in the run namespace go away with it and are no effect; a program
/// that ran there with egress may have changed what it reached.
fn in_cluster(job: &JobView, outcome: Outcome) -> Changed {
    let records = &job.operations;
    let planned = |index: u32| job.planned.iter().find(|planned| planned.index == index);
    let lasting =
        |record: &&OperationRecord| planned(record.index).is_none_or(|planned| !planned.ephemeral);
    let words = |index| planned(index).map(|planned| line(&planned.words));
    let effect =
        |record: &OperationRecord| Effect { index: record.index, words: words(record.index) };
    // An undo that was begun keeps its operation open.
    let open = |record: &OperationRecord| {
        record.after.is_none()
            || records
                .iter()
                .any(|other| other.undo && other.index == record.index && other.after.is_none())
    };
    let effects: Vec<_> = records.iter().filter(|record| !record.undo).filter(lasting).collect();
    let standing = effects.iter().filter(|record| !undone(records, record.index));
    let (unknown, in_effect): (Vec<_>, Vec<_>) = if outcome == Outcome::Indeterminate {
        standing.partition(|record| open(record))
    } else {
        (Vec::new(), standing.filter(|record| record.after.is_some()).collect())
    };
    if !in_effect.is_empty() || !unknown.is_empty() {
        let told = |records: Vec<&&OperationRecord>| {
            records.into_iter().map(|record| effect(record)).collect()
        };
        Changed::Partly(Box::new(Standing { in_effect: told(in_effect), unknown: told(unknown) }))
    } else if outcome == Outcome::Indeterminate || was_let_out(records, planned) {
        Changed::Unknown
    } else if effects.iter().any(|record| undone(records, record.index)) {
        Changed::Undone
    } else {
        Changed::Nothing
    }
}

/// True if a program ran in the run namespace after egress to addresses was opened, which Cofferdam
/// cannot observe.
fn was_let_out<'a>(
    records: &[OperationRecord],
    planned: impl Fn(u32) -> Option<&'a Planned>,
) -> bool {
    let opened = |record: &OperationRecord| {
        record.after.iter().flat_map(BTreeMap::keys).any(|path| path.starts_with(LET_OUT))
    };
    let ran = |record: &OperationRecord| {
        planned(record.index).is_some_and(|planned| planned.executes_code && planned.ephemeral)
    };
    records.iter().any(opened) && records.iter().any(ran)
}

fn undone(records: &[OperationRecord], index: u32) -> bool {
    records.iter().any(|record| record.undo && record.index == index && record.after.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ceiling::EPHEMERAL;
    use crate::model::facts::OperationFacts;
    use crate::model::trust::Environment;
    use crate::stage::plan::tests::{deployment, scale, sealed, step};
    use crate::testing::some_view;
    use expect_test::{Expect, expect};
    use serde_json::json;

    const CLUSTER: &str = "0f0c1ad8-9ad2-4e2b-8f86-6a2f3c6e6b5d";
    const DIRECTORY: &str = "0f0c1ad89ad24e2b8f866a2f3c6e6b5d";

    /// A record: which operation, its undo or not, ended or not.
    type Row = (u32, bool, bool);

    fn second_line(id: &str, outcome: Outcome, rows: &[Row], facts: &[OperationFacts]) -> String {
        let record = |(index, undo, ended): &Row| OperationRecord {
            index: *index,
            undo: *undo,
            before: BTreeMap::new(),
            after: ended.then(BTreeMap::new),
        };
        let environment = Environment { name: "lab".to_owned(), id: id.to_owned() };
        let operations = rows.iter().map(record).collect();
        let job = JobView {
            outcome: Some(outcome),
            operations,
            planned: planned(facts),
            environment,
            ..some_view()
        };
        unsuccessful(&job, outcome).text().lines().nth(1).unwrap().to_owned()
    }

    fn planned(facts: &[OperationFacts]) -> Vec<Planned> {
        facts.iter().map(Planned::of).collect()
    }

    fn check(id: &str, outcome: Outcome, rows: &[Row], expect: Expect) {
        expect.assert_eq(&second_line(id, outcome, rows, &[]));
    }

    const DONE: Row = (0, false, true);
    const UNDONE: Row = (0, true, true);
    const BEGUN: Row = (1, false, false);

    #[test]
    fn a_directory_changes_all_at_once_or_not_at_all() {
        use Outcome::{Failed, Indeterminate};
        check(DIRECTORY, Failed, &[DONE, BEGUN], expect!["Nothing was changed."]);
        check(DIRECTORY, Failed, &[DONE, UNDONE], expect!["What was changed was undone."]);
        check(
            DIRECTORY,
            Indeterminate,
            &[DONE],
            expect!["It is not known whether anything was changed."],
        );
    }

    #[test]
    fn what_a_cluster_has_of_a_failed_job_is_listed() {
        use Outcome::{Cancelled, Dead, Failed, Indeterminate};
        check(CLUSTER, Failed, &[], expect!["Nothing was changed."]);
        check(CLUSTER, Dead, &[], expect!["Nothing was changed."]);
        check(CLUSTER, Failed, &[BEGUN], expect!["Nothing was changed."]);
        check(
            CLUSTER,
            Failed,
            &[DONE, BEGUN],
            expect![
                "In effect, not undone: operation 0. Nothing else is, nor anything in the job's \
                 own namespace."
            ],
        );
        check(
            CLUSTER,
            Cancelled,
            &[DONE],
            expect![
                "In effect, not undone: operation 0. Nothing else is, nor anything in the job's \
                 own namespace."
            ],
        );
        check(CLUSTER, Failed, &[DONE, BEGUN, UNDONE], expect!["What was changed was undone."]);
        check(
            CLUSTER,
            Failed,
            &[DONE, (1, false, true), UNDONE],
            expect![
                "In effect, not undone: operation 1. Nothing else is, nor anything in the job's \
                 own namespace."
            ],
        );
        check(
            CLUSTER,
            Indeterminate,
            &[],
            expect!["It is not known whether anything was changed."],
        );
        check(
            CLUSTER,
            Indeterminate,
            &[BEGUN],
            expect![
                "Not known whether in effect: operation 1. Nothing else is, nor anything in the \
                 job's own namespace."
            ],
        );
        check(
            CLUSTER,
            Indeterminate,
            &[DONE, BEGUN],
            expect![
                "In effect, not undone: operation 0. Not known whether in effect: operation 1. \
                 Nothing else is, nor anything in the job's own namespace."
            ],
        );
        check(
            CLUSTER,
            Indeterminate,
            &[DONE, (0, true, false)],
            expect![
                "Not known whether in effect: operation 0. Nothing else is, nor anything in the \
                 job's own namespace."
            ],
        );
        check(
            CLUSTER,
            Indeterminate,
            &[DONE, UNDONE],
            expect!["It is not known whether anything was changed."],
        );
    }

    #[test]
    fn operations_are_named_where_the_plan_is_known_and_those_of_the_ephemeral_namespace_are_none()
    {
        let delete = step(json!({"action": "delete", "target": deployment("team-a", "old-web")}));
        let sealed = sealed(vec![scale("team-a", 5), delete]).unwrap();
        let mut facts = sealed.facts().to_vec();
        let rows = [DONE, (1, false, true)];
        let told = |facts: &[OperationFacts]| second_line(CLUSTER, Outcome::Failed, &rows, facts);
        expect![
            "In effect, not undone: operation 0 (patch Deployment web in namespace team-a), \
             operation 1 (delete Deployment old-web in namespace team-a). Nothing else is."
        ]
        .assert_eq(&told(&facts));
        facts[1].namespace = EPHEMERAL.to_owned();
        expect![
            "In effect, not undone: operation 0 (patch Deployment web in namespace team-a). \
             Nothing else is."
        ]
        .assert_eq(&told(&facts));
        facts[0].namespace = EPHEMERAL.to_owned();
        expect!["Nothing was changed."].assert_eq(&told(&facts));
    }

    #[test]
    fn what_ran_and_was_let_out_may_have_changed_something() {
        let block = json!({"block": "203.0.113.0/24", "protocol": "tcp", "port": 443});
        let image = format!("registry.example.com/t@sha256:{}", "0a".repeat(32));
        let program = json!({"image": {"reference": image, "arguments": []}});
        let task = step(
            json!({"action": "task", "name": "t", "program": program, "input": "", "seconds": 5}),
        );
        let told = |to: serde_json::Value, rows: &[Row]| {
            let facts = sealed(vec![step(json!({"action": "egress", "to": to})), task.clone()])
                .unwrap()
                .facts()
                .to_vec();
            let record = |(index, undo, ended): &Row| {
                let after = facts[*index as usize]
                    .changes
                    .iter()
                    .map(|change| (change.path.clone(), json!(true)))
                    .collect();
                OperationRecord {
                    index: *index,
                    undo: *undo,
                    before: BTreeMap::new(),
                    after: ended.then_some(after),
                }
            };
            let environment = Environment { name: "lab".to_owned(), id: CLUSTER.to_owned() };
            let operations = rows.iter().map(record).collect();
            let job = JobView { operations, planned: planned(&facts), environment, ..some_view() };
            unsuccessful(&job, Outcome::Failed).text().lines().nth(1).unwrap().to_owned()
        };
        let addresses = json!({"addresses": block});
        expect!["Nothing was changed."].assert_eq(&told(addresses.clone(), &[DONE]));
        expect!["It is not known whether anything was changed."]
            .assert_eq(&told(addresses, &[DONE, BEGUN]));
        expect!["Nothing was changed."].assert_eq(&told(json!("siblings"), &[DONE, BEGUN]));
    }

    #[test]
    fn the_blame_is_whose_it_is() {
        use Outcome::{Cancelled, Dead, Expired, Failed, Indeterminate, Refused, Rejected};
        let check = |outcome, claimed, expect: Expect| {
            let text = unsuccessful(&JobView { claimed, ..some_view() }, outcome).text();
            let lines: Vec<_> = text
                .lines()
                .enumerate()
                .filter(|(index, _)| [0, 2].contains(index))
                .map(|(_, line)| line)
                .collect();
            expect.assert_eq(&lines.join("\n").replace("abcdefghijklmnopqrstuvwxyz ", ""));
        };
        check(
            Failed,
            true,
            expect!["FAILED by the runner in lab\nWhy: The runner gave no reason."],
        );
        check(
            Refused,
            true,
            expect!["REFUSED by the runner in lab\nWhy: The runner gave no reason."],
        );
        check(
            Refused,
            false,
            expect![
                "REFUSED by the gateway in lab\nWhy: It could not be carried out as it was \
                 approved."
            ],
        );
        check(
            Rejected,
            false,
            expect!["REJECTED by an approver in lab\nWhy: A person rejected it."],
        );
        check(
            Expired,
            false,
            expect![
                "EXPIRED by its deadline in lab\nWhy: It was not approved in time, or no runner \
                 took it in time."
            ],
        );
        check(Cancelled, false, expect!["CANCELLED by its agent in lab\nWhy: It was withdrawn."]);
        check(
            Dead,
            true,
            expect![
                "DEAD by the recorder in lab\nWhy: Runners were lost too often before they acted."
            ],
        );
        check(
            Indeterminate,
            true,
            expect!["UNKNOWN by the runner in lab\nWhy: An effect may or may not have happened."],
        );
    }

    #[test]
    fn what_a_person_found_out_takes_the_place_of_not_knowing() {
        let resolution = |found| Resolution {
            found,
            because: "web has 5 replicas\nDONE".to_owned(),
            by: "1000".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        let text = |found| {
            let job = JobView { resolution: Some(resolution(found)), ..some_view() };
            unsuccessful(&job, Outcome::Indeterminate).text()
        };
        expect![[r#"
            RESOLVED abcdefghijklmnopqrstuvwxyz by an operator in lab
            An operator resolved it: all of it was done.
            Why: They say: "web has 5 replicas\nDONE"
            Allowed: The same call again, with another idempotency key or none: it is checked and decided again.
            Next: Go on; do not repeat it."#]]
        .assert_eq(&text(Found::Succeeded));
        expect![[r#"
            RESOLVED abcdefghijklmnopqrstuvwxyz by an operator in lab
            An operator resolved it: not all of it was done.
            Why: They say: "web has 5 replicas\nDONE"
            Allowed: The same call again, with another idempotency key or none: it is checked and decided again.
            Next: Look at the infrastructure, then ask again if it is still wanted."#]]
        .assert_eq(&text(Found::Failed));
    }
}
