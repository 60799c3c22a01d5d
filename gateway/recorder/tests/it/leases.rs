//! Leases: fences, lost runners, requeueing, recovery, expiry.

use crate::world::*;
use cofferdam_core::model::id::PlanDigest;
use cofferdam_core::model::job::{Said, StoredJob};
use cofferdam_core::model::limit::{NOTE, NOTES_AT_ONCE, NOTES_KEPT};
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::run::{ATTEMPTS, Outcome, Phase};
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed, RunnerEvent};
use cofferdam_recorder::ledger::verify::verify;
use serde_json::{Value, json};
use sqlx::Connection as _;

/// How long anything may take on a loaded machine before a test gives up.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Waits until the recorder noticed a closed socket.
pub async fn noticed(
    recorder: &cofferdam_recorder::Recorder,
    job: &cofferdam_core::model::job::StoredJob,
    phase: Phase,
) {
    let began = std::time::Instant::now();
    while began.elapsed() < PATIENCE {
        if view(recorder, job).await.phase == phase {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it stayed {}", view(recorder, job).await.phase);
}

#[tokio::test]
async fn a_runner_that_lost_its_lease_can_write_nothing() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let slow = recorder.runner();
    let first = next(&slow).await.unwrap();
    report(&slow, &first, prepared()).await.unwrap();
    world.pass(31_000);
    recorder.sweep().await;
    assert_eq!(view(&recorder, &job).await.phase, Phase::Queued);
    let fresh = recorder.runner();
    let second = next(&fresh).await.unwrap();
    assert!(second.fence > first.fence);
    assert_eq!((&first.earlier[..], &second.earlier[..]), (&[][..], &[first.fence][..]));
    for event in
        [prepared(), RunnerEvent::Acting, started(0), done(0), finished(Outcome::Succeeded), gone()]
    {
        assert_eq!(report(&slow, &first, event).await, Err(RoleError::Fenced));
    }
    let beat = Claim::Heartbeat { call: first.job.call.clone(), fence: first.fence };
    assert_eq!(slow.claim(beat).await, Err(RoleError::Fenced));
    // Nor can a runner speak of a job it never claimed, or under a fence it was never given.
    let stranger = recorder.runner();
    assert_eq!(report(&stranger, &second, prepared()).await, Err(RoleError::Fenced));
    let guess = Claim::Move {
        call: second.job.call.clone(),
        fence: stale(&second),
        events: vec![prepared()],
        number: None,
    };
    assert_eq!(fresh.claim(guess).await, Err(RoleError::Fenced));
    run(&fresh, &second).await;
}

#[tokio::test]
async fn the_events_of_one_report_are_recorded_in_order_or_not_at_all() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    let all = |events: Vec<RunnerEvent>| Claim::Move {
        call: leased.job.call.clone(),
        fence: leased.fence,
        events,
        number: None,
    };
    let version = view(&recorder, &job).await.version;
    let before = [prepared(), RunnerEvent::Acting, started(0)];
    for last in [Some(started(0)), Some(done(1)), Some(gone()), None] {
        let events = match last {
            Some(last) => before.iter().cloned().chain([last]).collect(),
            None => Vec::new(),
        };
        assert!(matches!(seat.claim(all(events)).await, Err(RoleError::Refused(_))));
        let now = view(&recorder, &job).await;
        assert_eq!((now.phase, now.version), (Phase::Leased, version));
    }
    // A refused report left nothing behind: neither the start of the operation nor an entry.
    let Ok(Claimed::Recorded(first)) = seat.claim(all(before.to_vec())).await else { panic!() };
    assert_eq!(view(&recorder, &job).await.phase, Phase::Acting);
    let end = vec![done(0), finished(Outcome::Succeeded)];
    let Ok(Claimed::Recorded(second)) = seat.claim(all(end)).await else { panic!() };
    assert_eq!(second.index, first.index + 2);
    seat.claim(all(vec![gone()])).await.unwrap();
    assert_eq!(view(&recorder, &job).await.outcome, Some(Outcome::Succeeded));
}

#[tokio::test]
async fn a_lease_lasts_as_long_as_the_configuration_says() {
    for seconds in [3, 300] {
        let world = World::new();
        let context =
            cofferdam_recorder::RecorderContext { lease_seconds: seconds, ..world.settings() };
        let recorder = cofferdam_recorder::Recorder::open(context).await.unwrap();
        let job = world.job(1, "agent", "scale", None);
        enqueue(&recorder, &job, None).await.unwrap();
        let seat = recorder.runner();
        let leased = next(&seat).await.unwrap();
        assert_eq!(leased.lease_seconds, seconds, "the runner beats by it");
        let ms = i64::try_from(seconds).unwrap() * 1_000;
        world.pass(ms - 1);
        recorder.sweep().await;
        assert_eq!(view(&recorder, &job).await.phase, Phase::Leased);
        world.pass(1);
        recorder.sweep().await;
        assert_eq!(view(&recorder, &job).await.phase, Phase::Queued);
        recorder.close().await;
    }
}

#[tokio::test]
async fn heartbeats_keep_a_lease_and_a_closed_socket_ends_it_at_once() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    for _ in 0..5 {
        world.pass(20_000);
        recorder.sweep().await;
        let beat = Claim::Heartbeat { call: job.call.clone(), fence: leased.fence };
        assert_eq!(seat.claim(beat).await, Ok(Claimed::Lease { cancelled: false }));
    }
    drop(seat);
    noticed(&recorder, &job, Phase::Queued).await;
}

#[tokio::test]
async fn a_job_that_kills_runners_dies_by_way_of_teardown() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let mut earlier = Vec::new();
    for attempt in 1..=ATTEMPTS {
        let seat = recorder.runner();
        let leased = next(&seat).await.unwrap();
        earlier.push(leased.fence);
        report(&seat, &leased, prepared()).await.unwrap();
        drop(seat);
        noticed(
            &recorder,
            &job,
            if attempt < ATTEMPTS { Phase::Queued } else { Phase::TearingDown },
        )
        .await;
    }
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    assert_eq!((leased.phase, leased.outcome), (Phase::TearingDown, Some(Outcome::Dead)));
    assert_eq!(leased.earlier, earlier);
    report(&seat, &leased, gone()).await.unwrap();
    assert_eq!(view(&recorder, &job).await.phase, Phase::Closed);
}

#[tokio::test]
async fn what_was_lost_while_acting_is_recovered_before_anything_new_and_never_started_twice() {
    let world = World::new();
    let recorder = world.open().await;
    let (older, job) = (world.job(1, "agent", "older", None), world.job(2, "agent", "scale", None));
    enqueue(&recorder, &job, None).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    for event in [prepared(), RunnerEvent::Acting, started(0)] {
        report(&seat, &leased, event).await.unwrap();
    }
    enqueue(&recorder, &older, None).await.unwrap();
    world.pass(31_000);
    recorder.sweep().await;
    let seat = recorder.runner();
    let again = next(&seat).await.unwrap();
    assert_eq!(again.job.call, job.call, "what was lost goes first");
    assert_eq!((again.phase, again.outcome, again.operations.len()), (Phase::Acting, None, 1));
    assert!(again.fence > leased.fence && again.operations[0].after.is_none());
    assert!(matches!(report(&seat, &again, started(0)).await, Err(RoleError::Refused(_))));
    assert!(matches!(report(&seat, &again, prepared()).await, Err(RoleError::Refused(_))));
    report(&seat, &again, finished(Outcome::Indeterminate)).await.unwrap();
    assert!(matches!(
        report(&seat, &again, finished(Outcome::Succeeded)).await,
        Err(RoleError::Refused(_))
    ));
    assert_eq!(view(&recorder, &job).await.outcome, Some(Outcome::Indeterminate));
    report(&seat, &again, gone()).await.unwrap();
    assert_eq!(next(&seat).await.unwrap().job.call, older.call);
}

#[tokio::test]
async fn a_cancelled_job_does_not_act() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    report(&seat, &leased, prepared()).await.unwrap();
    recorder
        .propose(Propose::Cancel { principal: "agent".to_owned(), call: job.call.clone() })
        .await
        .unwrap();
    let beat = Claim::Heartbeat { call: job.call.clone(), fence: leased.fence };
    assert_eq!(seat.claim(beat).await, Ok(Claimed::Lease { cancelled: true }));
    assert!(matches!(
        report(&seat, &leased, RunnerEvent::Acting).await,
        Err(RoleError::Refused(_))
    ));
    // Before acting nothing can have succeeded, and what people decide no runner reports.
    for outcome in [Outcome::Succeeded, Outcome::Indeterminate, Outcome::Rejected, Outcome::Dead] {
        assert!(matches!(
            report(&seat, &leased, finished(outcome)).await,
            Err(RoleError::Refused(_))
        ));
    }
    report(&seat, &leased, finished(Outcome::Cancelled)).await.unwrap();
    report(&seat, &leased, gone()).await.unwrap();
    assert_eq!(view(&recorder, &job).await.outcome, Some(Outcome::Cancelled));
}

#[tokio::test]
async fn a_job_that_no_runner_took_expires_and_one_that_may_have_left_something_is_torn_down_first()
{
    let world = World::new();
    let recorder = world.open().await;
    let (fresh, used) = (world.job(1, "agent", "fresh", None), world.job(2, "agent", "used", None));
    enqueue(&recorder, &used, None).await.unwrap();
    let seat = recorder.runner();
    next(&seat).await.unwrap();
    drop(seat);
    noticed(&recorder, &used, Phase::Queued).await;
    enqueue(&recorder, &fresh, None).await.unwrap();
    world.pass(11 * MINUTE);
    let seat = recorder.runner();
    recorder.sweep().await;
    assert_eq!(view(&recorder, &fresh).await.phase, Phase::Closed);
    let view = view(&recorder, &used).await;
    assert_eq!((view.phase, view.outcome), (Phase::TearingDown, Some(Outcome::Expired)));
    let leased = next(&seat).await.unwrap();
    assert_eq!(leased.phase, Phase::TearingDown);
    report(&seat, &leased, gone()).await.unwrap();
}

#[tokio::test]
async fn a_waiting_runner_gets_the_job_as_soon_as_it_is_there_and_one_alone() {
    let world = World::new();
    let recorder = world.open().await;
    let mut runners = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let seat = recorder.runner();
        runners.spawn(async move {
            // Longer than any machine takes: each is to be woken.
            let answer = seat.claim(Claim::Next { wait_ms: 60_000, token: None }).await.unwrap();
            let Claimed::Leased { job: Some(job) } = answer else { panic!("it waited in vain") };
            assert!(matches!(
                seat.claim(Claim::Next { wait_ms: 0, token: None }).await,
                Err(RoleError::Refused(_))
            ));
            (job.job.call.clone(), seat)
        });
    }
    // The next job is there only once the last was taken: a second runner that had it too would
    // leave one over.
    let mut taken = Vec::new();
    for number in 1..=4 {
        let job = world.job(number, "agent", &format!("plan {number}"), None);
        enqueue(&recorder, &job, None).await.unwrap();
        taken.push(runners.join_next().await.unwrap().unwrap());
        assert_eq!(taken.last().unwrap().0, job.call);
    }
}

/// A job that deletes this Deployment.
fn about(world: &World, number: u128, agent: &str, name: &str) -> StoredJob {
    let mut job = world.job(number, agent, &format!("plan {number}"), None);
    let mut plan: Value = serde_json::from_str(&job.plan).unwrap();
    let target = json!({"group": "apps", "version": "v1", "kind": "Deployment",
    "namespace": "team-a", "name": name});
    plan["operations"] =
        json!([{"action": "delete", "target": target, "after": [], "reversible": false}]);
    job.plan = cofferdam_core::model::json::canonical(&plan).unwrap();
    job.plan_digest = PlanDigest::of(job.plan.as_bytes());
    job
}

#[tokio::test]
async fn many_jobs_of_one_caller_about_one_object_hold_up_no_other_caller() {
    let world = World::new();
    let recorder = world.open().await;
    for number in 1..=70 {
        enqueue(&recorder, &about(&world, number, "greedy", "web"), None).await.unwrap();
    }
    let other = about(&world, 100, "other", "api");
    enqueue(&recorder, &other, None).await.unwrap();
    let (one, two, three) = (recorder.runner(), recorder.runner(), recorder.runner());
    assert_eq!(next(&one).await.unwrap().job.call, call(1));
    assert_eq!(next(&two).await.unwrap().job.call, other.call);
    assert!(next(&three).await.is_none(), "a second job about an object waits for the first");
}

/// A backlog of two objects and several callers: at each moment one job of an object runs, each is
/// claimed in the order of its number, and none is forgotten, whatever ends the one before it.
#[tokio::test]
async fn each_job_of_a_long_queue_is_claimed_in_its_turn() {
    let world = World::new();
    let recorder = world.open().await;
    const JOBS: u128 = 60;
    let name = |number: u128| if number.is_multiple_of(3) { "api" } else { "web" };
    for number in 1..=JOBS {
        let job = about(&world, number, &format!("agent {}", number % 5), name(number));
        enqueue(&recorder, &job, None).await.unwrap();
    }
    let (mut ended, mut newest) = (std::collections::BTreeSet::new(), [0, 0]);
    while ended.len() < usize::try_from(JOBS).unwrap() {
        let seats = [recorder.runner(), recorder.runner(), recorder.runner()];
        let mut held = Vec::new();
        for seat in &seats {
            held.extend(next(seat).await.map(|job| (seat, job)));
        }
        assert!((1..=2).contains(&held.len()), "one for each object");
        for (seat, leased) in held {
            let number = (1..=JOBS).find(|number| call(*number) == leased.job.call).unwrap();
            let object = usize::from(name(number) == "api");
            assert!(number > newest[object], "{number} came after {}", newest[object]);
            newest[object] = number;
            run(seat, &leased).await;
            ended.insert(number);
            // The job after it is withdrawn before it is claimed.
            let after = (number + 1..=JOBS).find(|other| name(*other) == name(number));
            if let Some(after) = after.filter(|_| number.is_multiple_of(4)) {
                let principal = format!("agent {}", after % 5);
                let withdraw = Propose::Cancel { principal, call: call(after) };
                recorder.propose(withdraw).await.unwrap();
                ended.insert(after);
            }
        }
    }
    assert!(next(&recorder.runner()).await.is_none());
    recorder.close().await;
}

/// A question that was asked before two other jobs, and is permitted while the first of them runs.
#[tokio::test]
async fn a_job_that_was_permitted_late_comes_before_later_ones_about_its_object() {
    let world = World::new();
    let recorder = world.open().await;
    let mut asked = about(&world, 1, "agent", "web");
    asked.approval = Some(rule(1, &["*"]));
    let permit = asked.permit.take().unwrap();
    enqueue(&recorder, &asked, None).await.unwrap();
    for number in [2, 3] {
        enqueue(&recorder, &about(&world, number, "agent", "web"), None).await.unwrap();
    }
    let seat = recorder.runner();
    let running = next(&seat).await.unwrap();
    assert_eq!(running.job.call, call(2));
    let question = stored(&recorder, &asked.call).await;
    let approve = sign("bob", &statement(&question, Verdict::Approve));
    hand_in(&recorder, &asked.call, approve).await.unwrap();
    asked.permit = Some(permit.clone());
    let permitted = Propose::Permit {
        call: asked.call.clone(),
        permit,
        entry: entry(&asked),
        expires: asked.expires,
    };
    recorder.propose(permitted).await.unwrap();
    assert!(next(&recorder.runner()).await.is_none(), "the object is busy");
    run(&seat, &running).await;
    for number in [1, 3] {
        let seat = recorder.runner();
        let leased = next(&seat).await.unwrap();
        assert_eq!(leased.job.call, call(number));
        assert!(next(&recorder.runner()).await.is_none(), "the object is busy");
        run(&seat, &leased).await;
    }
}

/// A store of the version before the table of objects and before payloads in the row of an entry.
#[tokio::test]
async fn a_store_of_version_5_keeps_its_queue_its_payloads_and_their_erasure() {
    let world = World::new();
    let recorder = world.open().await;
    let denied = Event::Ended { ending: "denied".to_owned(), code: "replicas-limit".to_owned() };
    let told = Entry::of(denied, Some(call(9)), "agent").with("arguments", "\"marked\"".to_owned());
    recorder.propose(Propose::End { entry: told, again: false }).await.unwrap();
    for (number, name) in [(1, "web"), (2, "web"), (3, "api")] {
        enqueue(&recorder, &about(&world, number, "agent", name), None).await.unwrap();
    }
    recorder.close().await;
    let store = cofferdam_recorder::database(&world.folder.path().join("store"));
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&store);
    let mut old = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(AS_VERSION_5).execute(&mut old).await.unwrap();
    old.close().await.unwrap();
    let recorder = world.open().await;
    let (first, second, third) = (recorder.runner(), recorder.runner(), recorder.runner());
    assert_eq!(next(&first).await.unwrap().job.call, call(1));
    assert_eq!(next(&second).await.unwrap().job.call, call(3));
    assert!(next(&third).await.is_none(), "its object is busy");
    let show = Operate::Show { call: call(9).to_string() };
    let Operated::Story { entries, .. } = recorder.operate(0, show.clone()).await.unwrap() else {
        panic!()
    };
    assert_eq!(entries[0].payloads["arguments"], "marked");
    recorder.operate(0, Operate::Erase { call: call(9) }).await.unwrap();
    let Operated::Story { entries, .. } = recorder.operate(0, show).await.unwrap() else {
        panic!()
    };
    assert!(entries[0].payloads.is_empty());
    recorder.close().await;
    let stored = std::fs::read(store).unwrap();
    assert!(!stored.windows(6).any(|bytes| bytes == b"marked"), "no byte of it is left");
    assert!(verify(&world.ledger(), &World::key(), None, None).unwrap().is_sound());
}

/// What was erased from the row of an entry is in no file of the store.
#[tokio::test]
async fn an_erased_payload_leaves_no_byte() {
    let world = World::new();
    let recorder = world.open().await;
    for (number, size) in [(1, 10), (2, 20_000)] {
        let denied = Event::Ended { ending: "denied".to_owned(), code: "limit".to_owned() };
        let body = format!("\"{}\"", "marked".repeat(size));
        let told = Entry::of(denied, Some(call(number)), "agent").with("arguments", body);
        recorder.propose(Propose::End { entry: told, again: false }).await.unwrap();
        recorder.operate(0, Operate::Erase { call: call(number) }).await.unwrap();
    }
    recorder.close().await;
    let store = cofferdam_recorder::database(&world.folder.path().join("store"));
    let stored = std::fs::read(store).unwrap();
    assert!(!stored.windows(6).any(|bytes| bytes == b"marked"));
}

/// Makes the schema of version 5.
const AS_VERSION_5: &str = "
    DROP INDEX jobs_queue; DROP INDEX jobs_recover; DROP INDEX jobs_stuck; DROP INDEX jobs_leased;
    DROP INDEX jobs_expires; DROP INDEX jobs_counts; DROP INDEX jobs_principal;
    DROP INDEX jobs_principal_open;
    INSERT INTO payloads (leaf, name, key, body) SELECT idx, one.key, leaves.key, one.value
        FROM leaves, json_each(leaves.payloads) AS one;
    DROP TABLE tiles; ALTER TABLE leaves DROP COLUMN payloads; ALTER TABLE leaves DROP COLUMN key;
    DROP INDEX idempotency_made; DROP INDEX jobs_ended;
    ALTER TABLE idempotency DROP COLUMN made; DROP TABLE removed; DROP TABLE removed_counts;
    DROP TABLE payloads_end;
    DROP TABLE job_objects; ALTER TABLE jobs DROP COLUMN blocked;
    DROP TABLE usage; DROP INDEX jobs_waiting; DROP TABLE tokens; DROP TABLE callers;
    DROP TABLE outbox; DROP TABLE outbox_counts; DROP INDEX jobs_expiring; DROP TABLE invitations;
    DROP INDEX jobs_escalating; ALTER TABLE jobs DROP COLUMN escalates;
    ALTER TABLE jobs DROP COLUMN told_expiring; ALTER TABLE jobs DROP COLUMN told_stuck;
    DROP TABLE calls; DROP TABLE call_objects; DROP TABLE call_signers; DROP TABLE calls_end;
    DROP TABLE stops;
    ALTER TABLE jobs DROP COLUMN cancellation; ALTER TABLE jobs DROP COLUMN claim;
    ALTER TABLE jobs DROP COLUMN moved; ALTER TABLE jobs DROP COLUMN moved_entry;
    PRAGMA user_version = 5;";

#[tokio::test]
async fn notes_are_numbered_bounded_and_in_no_ledger() {
    let world = World::new();
    let recorder = world.open().await;
    let job = world.job(1, "agent", "task", None);
    enqueue(&recorder, &job, None).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    let tell = async |texts: Vec<String>| {
        let said =
            texts.into_iter().map(|text| Said { operation: Some(2), text, skipped: 0 }).collect();
        seat.claim(Claim::Progress { call: job.call.clone(), fence: leased.fence, said }).await
    };
    let before = view(&recorder, &job).await;
    let each = |from: usize, to: usize| {
        (from..=to).map(|number| format!("line {number}")).collect::<Vec<_>>()
    };
    assert_eq!(tell(each(1, 3)).await, Ok(Claimed::Lease { cancelled: false }));
    let seen = view(&recorder, &job).await;
    let told: Vec<_> = seen
        .progress
        .iter()
        .map(|note| (note.number, note.said.operation, note.said.text.as_str()))
        .collect();
    assert_eq!(told, [(1, Some(2), "line 1"), (2, Some(2), "line 2"), (3, Some(2), "line 3")]);
    assert!(
        seen.version > before.version && seen.ledger == before.ledger,
        "waiting callers are woken, and nothing is recorded"
    );
    tell(each(4, 23)).await.unwrap();
    let kept = view(&recorder, &job).await.progress;
    assert_eq!((kept.len(), kept[0].number, kept.last().unwrap().number), (NOTES_KEPT, 4, 23));
    for beyond in [each(1, NOTES_AT_ONCE + 1), vec!["x".repeat(NOTE + 1)]] {
        assert!(matches!(tell(beyond).await, Err(RoleError::Refused(_))));
    }
    assert_eq!(view(&recorder, &job).await.progress, kept);
}

#[tokio::test]
async fn runners_are_missed_when_none_came_for_a_while() {
    let world = World::new();
    let recorder = world.open().await;
    let there = async || match recorder.propose(Propose::Runners).await {
        Ok(Proposed::Runners { there, .. }) => there,
        other => panic!("{other:?}"),
    };
    assert!(!there().await, "none was there yet");
    let viewer = recorder.role("gateway");
    assert!(!there().await);
    let runner = recorder.role("runner");
    assert!(there().await);
    world.pass(60_000);
    assert!(there().await);
    drop((runner, viewer));
    // One ends with its job, and the next is starting.
    world.pass(5_000);
    assert!(there().await);
    world.pass(1);
    assert!(!there().await);
}
