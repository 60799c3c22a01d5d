//! Budgets of a principal: refused before anything is stored, kept over a restart, new on the next
//! day, and never those of another principal.

use crate::world::*;
use cofferdam_core::model::budget::Budgets;
use cofferdam_core::model::id::TrustDigest;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_recorder::{Recorder, RecorderContext};

const DAY_MS: i64 = 86_400_000;

async fn with(world: &World, budgets: Budgets) -> Recorder {
    Recorder::open(RecorderContext { budgets, ..world.settings() }).await.unwrap()
}

/// The limit that a response names; empty if it was accepted.
fn over(answer: Result<Proposed, RoleError>) -> (String, u64) {
    match answer {
        Ok(Proposed::Recorded(_)) => (String::new(), 0),
        Err(RoleError::OverLimit { limit, retry_after_seconds, .. }) => {
            (limit, retry_after_seconds)
        }
        other => panic!("{other:?}"),
    }
}

/// The words of a response over a limit.
fn words(answer: Result<Proposed, RoleError>) -> String {
    match answer {
        Err(RoleError::OverLimit { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_budget_tells_its_remedy() {
    let raise = "if the work needs more, an operator can raise the limit";
    let rows = [
        (
            Budgets { waiting_approvals: 0, ..Budgets::unlimited() },
            "has 0 calls that wait for a person, its limit; `calls_list` shows them, and \
             `job_cancel` withdraws one"
                .to_owned(),
        ),
        (
            Budgets { jobs_per_day: 0, ..Budgets::unlimited() },
            format!("had 0 jobs today, its limit; {raise}"),
        ),
        (
            Budgets { ledger_bytes_per_day: 0, ..Budgets::unlimited() },
            format!("wrote 0 MiB into the ledger today, its limit; {raise}"),
        ),
    ];
    for (budgets, expected) in rows {
        let world = World::new();
        let recorder = with(&world, budgets).await;
        let job = world.job(1, "agent", "plan", Some(rule(1, &["*"])));
        assert_eq!(words(enqueue(&recorder, &job, None).await), expected);
    }
}

async fn denied(recorder: &Recorder, number: u128, agent: &str, bytes: usize) -> (String, u64) {
    let event = Event::Ended { ending: "denied".to_owned(), code: "replicas-limit".to_owned() };
    let entry = Entry::of(event, Some(call(number)), agent).with("plan", "y".repeat(bytes));
    over(recorder.propose(Propose::End { entry, again: false }).await)
}

async fn job(world: &World, recorder: &Recorder, number: u128, agent: &str) -> (String, u64) {
    let job = world.job(number, agent, &format!("plan {number}"), None);
    over(enqueue(recorder, &job, None).await)
}

async fn entries(recorder: &Recorder) -> u64 {
    match recorder.propose(Propose::Head).await.unwrap() {
        Proposed::Head { size, .. } => size,
        other => panic!("{other:?}"),
    }
}

/// Seconds from the clock of a world to the end of its day.
fn until_midnight(world: &World) -> u64 {
    u64::try_from(86_400 - world.now().as_second().rem_euclid(86_400)).unwrap()
}

#[tokio::test]
async fn jobs_of_a_day_are_counted_over_a_restart() {
    let world = World::new();
    let budgets = Budgets { jobs_per_day: 2, ..Budgets::unlimited() };
    let recorder = with(&world, budgets).await;
    let accepted = (String::new(), 0);
    assert_eq!(job(&world, &recorder, 1, "agent").await, accepted);
    assert_eq!(job(&world, &recorder, 2, "agent").await, accepted);
    let refused = ("jobs_per_day".to_owned(), until_midnight(&world));
    let before = entries(&recorder).await;
    assert_eq!(job(&world, &recorder, 3, "agent").await, refused);
    assert_eq!(entries(&recorder).await, before, "nothing was stored");
    // The same call joins its job, and the end of a call without a job is recorded.
    let again = world.job(4, "agent", "plan 2", None);
    assert!(matches!(enqueue(&recorder, &again, None).await, Ok(Proposed::Joined { .. })));
    assert_eq!(denied(&recorder, 5, "agent", 10).await, accepted);
    let Operated::Status { warns, .. } = recorder.operate(1000, Operate::Status).await.unwrap()
    else {
        panic!()
    };
    let named = "agent `agent` was over its limit `jobs_per_day`";
    assert!(warns.iter().any(|warning| warning.contains(named)), "{warns:?}");
    recorder.close().await;

    let recorder = with(&world, budgets).await;
    assert_eq!(job(&world, &recorder, 6, "agent").await, refused, "after a restart");
    assert_eq!(job(&world, &recorder, 7, "other").await, accepted, "another agent");
    world.pass(DAY_MS);
    assert_eq!(job(&world, &recorder, 8, "agent").await, accepted, "on the next day");
}

#[tokio::test]
async fn bytes_of_a_day_are_counted_over_a_restart() {
    let world = World::new();
    let budgets = Budgets { ledger_bytes_per_day: 6_000, ..Budgets::unlimited() };
    let recorder = with(&world, budgets).await;
    let accepted = (String::new(), 0);
    for number in 1..=3 {
        assert_eq!(denied(&recorder, number, "agent", 1_000).await, accepted);
    }
    let refused = ("ledger_mib_per_day".to_owned(), until_midnight(&world));
    let before = entries(&recorder).await;
    assert_eq!(denied(&recorder, 4, "agent", 10).await, refused);
    assert_eq!(job(&world, &recorder, 5, "agent").await, refused);
    assert_eq!(entries(&recorder).await, before, "nothing was stored");
    recorder.close().await;

    let recorder = with(&world, budgets).await;
    assert_eq!(denied(&recorder, 6, "agent", 10).await, refused, "after a restart");
    assert_eq!(denied(&recorder, 7, "other", 10).await, accepted, "another agent");
    world.pass(DAY_MS);
    assert_eq!(denied(&recorder, 8, "agent", 10).await, accepted, "on the next day");
}

#[tokio::test]
async fn reloads_and_starts_have_no_budget() {
    let world = World::new();
    let budgets = Budgets { ledger_bytes_per_day: 1, ..Budgets::unlimited() };
    for _start in 0..2 {
        let recorder = with(&world, budgets).await;
        for _request in 0..2 {
            let before = entries(&recorder).await;
            let trust = Box::new(world.trust.lock().unwrap().clone());
            let reload = Propose::Reload { digest: TrustDigest::of(b"trust"), trust };
            assert_eq!(recorder.propose(reload).await, Ok(Proposed::Done));
            assert!(entries(&recorder).await > before);
        }
        recorder.close().await;
    }
}

#[tokio::test]
async fn calls_that_wait_for_a_person_are_bounded() {
    let world = World::new();
    let budgets = Budgets { waiting_approvals: 2, ..Budgets::unlimited() };
    let recorder = with(&world, budgets).await;
    let ask = async |number, agent| {
        let job = world.job(number, agent, &format!("plan {number}"), Some(rule(1, &["*"])));
        over(enqueue(&recorder, &job, None).await)
    };
    let accepted = (String::new(), 0);
    assert_eq!(ask(1, "agent").await, accepted);
    assert_eq!(ask(2, "agent").await, accepted);
    assert_eq!(ask(3, "agent").await, ("waiting_approvals".to_owned(), 60));
    assert_eq!(ask(4, "other").await, accepted, "another agent");
    assert_eq!(job(&world, &recorder, 5, "agent").await, accepted, "a job without a question");
    let cancel = Propose::Cancel { principal: "agent".to_owned(), call: call(1) };
    recorder.propose(cancel).await.unwrap();
    assert_eq!(ask(6, "agent").await, accepted, "after a question was withdrawn");
}

#[tokio::test]
async fn a_budget_of_a_role_takes_the_place_of_the_usual_one() {
    let world = World::new();
    let usual = Budgets { jobs_per_day: 1, ledger_bytes_per_day: 1, ..Budgets::unlimited() };
    let recorder = with(&world, usual).await;
    let data = r#"{"agent_limits": {"robot": {"jobs_per_day": 2, "ledger_mib_per_day": 1}}}"#;
    let limits = RoleLimits::read(data).unwrap();
    let trust = Box::new(world.trust.lock().unwrap().clone());
    let serving = Propose::Serving { digest: TrustDigest::of(b"trust"), trust, limits };
    recorder.propose(serving).await.unwrap();
    let of = |number, role: &str| {
        let agent = format!("agent with {role}");
        let mut job = world.job(number, &agent, &format!("plan {number}"), None);
        job.principal.roles = vec![role.to_owned()];
        job
    };
    let ends = async |number, role: &str| {
        let subject = serde_json::json!(of(number, role).principal.subject()).to_string();
        let event = Event::Ended { ending: "denied".to_owned(), code: "replicas-limit".to_owned() };
        let entry = Entry::of(event, Some(call(number)), &format!("agent with {role}"));
        over(
            recorder
                .propose(Propose::End { entry: entry.with("subject", subject), again: false })
                .await,
        )
        .0
    };
    for number in 1..=2 {
        assert_eq!(over(enqueue(&recorder, &of(number, "robot"), None).await).0, "");
    }
    assert_eq!(over(enqueue(&recorder, &of(3, "robot"), None).await).0, "jobs_per_day");
    assert_eq!(ends(4, "robot").await, "");
    assert_eq!(over(enqueue(&recorder, &of(5, "viewer"), None).await).0, "");
    assert_eq!(over(enqueue(&recorder, &of(6, "viewer"), None).await).0, "jobs_per_day");
    assert_eq!(ends(7, "viewer").await, "ledger_mib_per_day");
}
