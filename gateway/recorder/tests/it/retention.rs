//! Retention: each kind of rows goes after its time, open work and every proof stay, and a removal is
//! told apart from a loss.

use crate::ledger::{on_the_store, refused, refuses};
use crate::world::*;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::{Found, StoredJob};
use cofferdam_core::model::record::Event;
use cofferdam_core::model::retention::{Retained, Retention};
use cofferdam_core::model::run::Outcome;
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Counts, Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{
    Operate, Operated, Removal, RetentionState, StoryEntry,
};
use cofferdam_recorder::ledger::prove::{prove, verify_proof};
use cofferdam_recorder::ledger::verify::verify;
use cofferdam_recorder::{Recorder, RecorderContext};

const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Ten days of payloads, and the usual times of the others.
fn ten_days() -> Retention {
    Retention { payloads: Some(10 * 86_400), ..Retention::usual() }
}

async fn open(world: &World, retention: Retention) -> Recorder {
    Recorder::open(RecorderContext { retention, ..world.settings() }).await.unwrap()
}

/// Sweeps until no old row is left.
async fn sweep_all(recorder: &Recorder) {
    for _ in 0..8 {
        recorder.sweep().await;
    }
}

async fn finish(recorder: &Recorder, job: &StoredJob, key: Option<&str>) {
    enqueue(recorder, job, key.map(|key| key_for(job, key))).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    run(&seat, &leased).await;
}

async fn story(recorder: &Recorder, call: &CallId) -> (Vec<StoryEntry>, Vec<Removal>, bool) {
    match recorder.operate(1000, Operate::Show { call: call.to_string() }).await.unwrap() {
        Operated::Story { entries, removed, job, .. } => (entries, removed, job.is_some()),
        other => panic!("{other:?}"),
    }
}

fn payloads(entries: &[StoryEntry]) -> usize {
    entries.iter().map(|entry| entry.payloads.len()).sum()
}

async fn state(recorder: &Recorder, what: Retained) -> RetentionState {
    match recorder.operate(1000, Operate::Status).await.unwrap() {
        Operated::Status { retention, .. } => {
            *retention.iter().find(|state| state.what == what).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

async fn counts(recorder: &Recorder) -> Counts {
    match recorder.propose(Propose::Counts).await.unwrap() {
        Proposed::Counts(counts) => counts,
        other => panic!("{other:?}"),
    }
}

async fn used(recorder: &Recorder, key: &str) -> bool {
    let ask = Propose::Key { principal: "agent".to_owned(), key: key.to_owned() };
    match recorder.propose(ask).await.unwrap() {
        Proposed::Key { used } => used.is_some(),
        other => panic!("{other:?}"),
    }
}

fn sound(world: &World) -> Vec<String> {
    let report = verify(&world.ledger(), &World::key(), None, None).unwrap();
    assert!(report.is_sound(), "{:?}", report.errors);
    for index in 0..report.size {
        let proof = prove(&world.ledger(), &World::key(), index).unwrap();
        assert_eq!(verify_proof(&proof, &World::key()).unwrap().index, index);
    }
    report.removed
}

#[tokio::test]
async fn a_key_goes_after_its_time_and_is_a_new_key_then() {
    let world = World::new();
    let recorder = open(&world, ten_days()).await;
    finish(&recorder, &world.job(1, "agent", "plan 1", None), Some("done")).await;
    world.pass(7 * DAY - HOUR);
    sweep_all(&recorder).await;
    assert!(used(&recorder, "done").await, "not old enough");
    // A question may wait for longer than a key is kept.
    let question = StoredJob {
        expires: world.now() + jiff::SignedDuration::from_hours(24 * 30),
        ..world.job(2, "agent", "delete", Some(rule(1, &["*"])))
    };
    enqueue(&recorder, &question, Some(key_for(&question, "open"))).await.unwrap();
    world.pass(HOUR);
    sweep_all(&recorder).await;
    assert!(!used(&recorder, "done").await);
    world.pass(8 * DAY);
    sweep_all(&recorder).await;
    assert!(used(&recorder, "open").await, "its job is open");
    let cancel = Propose::Cancel { principal: "agent".into(), call: question.call.clone() };
    recorder.propose(cancel).await.unwrap();
    world.pass(7 * DAY - HOUR);
    sweep_all(&recorder).await;
    assert!(used(&recorder, "open").await, "its job ended in the time of a key");
    world.pass(2 * HOUR);
    sweep_all(&recorder).await;
    assert!(!used(&recorder, "open").await);
    assert_eq!(state(&recorder, Retained::IdempotencyKeys).await.removed, 2);
    let again = world.job(3, "agent", "plan 1", None);
    let taken = enqueue(&recorder, &again, Some(key_for(&again, "done"))).await;
    assert!(matches!(taken, Ok(Proposed::Recorded(_))), "{taken:?}");
}

#[tokio::test]
async fn a_rejection_goes_when_it_is_no_longer_in_effect() {
    let world = World::new();
    let recorder = open(&world, Retention { rejections: Some(3_600), ..ten_days() }).await;
    let asked = world.job(1, "agent", "delete", Some(rule(1, &["*"])));
    enqueue(&recorder, &asked, None).await.unwrap();
    let job = stored(&recorder, &asked.call).await;
    let signed = sign("bob", &statement(&job, Verdict::Reject));
    hand_in(&recorder, &job.call, signed).await.unwrap();
    let rejected = async || {
        let plan = job.plan_digest;
        match recorder.propose(Propose::Rejection { principal: "agent".into(), plan }).await {
            Ok(Proposed::Rejection { rejected }) => rejected.is_some(),
            other => panic!("{other:?}"),
        }
    };
    world.pass(HOUR - 1);
    sweep_all(&recorder).await;
    assert!(rejected().await);
    world.pass(HOUR);
    sweep_all(&recorder).await;
    assert!(!rejected().await);
    assert_eq!(state(&recorder, Retained::Rejections).await.removed, 1);
}

#[tokio::test]
async fn a_closed_job_goes_and_its_owner_is_told_the_outcome_and_the_date() {
    let world = World::new();
    let recorder = open(&world, ten_days()).await;
    let done = world.job(1, "agent", "plan 1", None);
    finish(&recorder, &done, Some("key")).await;
    let asked = world.job(2, "agent", "delete", Some(rule(1, &["*"])));
    enqueue(&recorder, &asked, None).await.unwrap();
    let job = stored(&recorder, &asked.call).await;
    let signed = sign("bob", &statement(&job, Verdict::Reject));
    hand_in(&recorder, &job.call, signed).await.unwrap();
    // An outcome that is not known stays until a person resolved it.
    let unknown = world.job(3, "agent", "plan 3", None);
    enqueue(&recorder, &unknown, None).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    for event in [prepared(), started(0), finished(Outcome::Indeterminate), gone()] {
        let acting =
            matches!(event, cofferdam_core::protocol::runner_recorder::RunnerEvent::Started { .. });
        if acting {
            let event = cofferdam_core::protocol::runner_recorder::RunnerEvent::Acting;
            report(&seat, &leased, event).await.unwrap();
        }
        report(&seat, &leased, event).await.unwrap();
    }
    let before = counts(&recorder).await;
    world.pass(90 * DAY + HOUR);
    sweep_all(&recorder).await;
    let after = counts(&recorder).await;
    assert_eq!(
        (before.outcomes, before.answers),
        (after.outcomes, after.answers),
        "no count goes back"
    );
    assert_eq!(state(&recorder, Retained::ClosedJobs).await.removed, 2);
    let ended = |principal: &str, call: &CallId| Propose::Ended {
        principal: principal.to_owned(),
        call: call.clone(),
    };
    let Proposed::Ended { ended: Some(told) } =
        recorder.propose(ended("agent", &done.call)).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(
        (told.ending.as_str(), told.code.as_str(), told.time),
        ("removed", "succeeded", world.now())
    );
    let other = recorder.propose(ended("other", &done.call)).await.unwrap();
    assert_eq!(other, Proposed::Ended { ended: None }, "the call of another principal");
    let (entries, removed, has_job) = story(&recorder, &done.call).await;
    let at = |what| Removal { what, at: world.now() };
    assert_eq!(removed, [at(Retained::Payloads), at(Retained::ClosedJobs)]);
    assert!(!has_job && payloads(&entries) == 0 && entries.len() == 8);
    assert!(matches!(
        recorder.operate(1000, Operate::Follow { call: done.call.clone(), wait_ms: 0 }).await,
        Err(RoleError::NotFound(_))
    ));
    assert_eq!(view(&recorder, &unknown).await.outcome, Some(Outcome::Indeterminate));
    let (entries, removed, job) = story(&recorder, &unknown.call).await;
    assert!(payloads(&entries) > 0 && removed.is_empty() && job, "a person has to find out");
    let resolve = Operate::Resolve {
        call: unknown.call.clone(),
        found: Found::Succeeded,
        because: "I looked".to_owned(),
    };
    recorder.operate(1000, resolve).await.unwrap();
    world.pass(89 * DAY);
    sweep_all(&recorder).await;
    assert_eq!(payloads(&story(&recorder, &unknown.call).await.0), 0, "resolved for ten days");
    assert_eq!(view(&recorder, &unknown).await.outcome, Some(Outcome::Indeterminate));
    world.pass(2 * DAY);
    sweep_all(&recorder).await;
    assert_eq!(state(&recorder, Retained::ClosedJobs).await.removed, 3);
    recorder.close().await;
    assert!(
        sound(&world).iter().any(|told| told.starts_with("3 closed jobs")),
        "{:?}",
        sound(&world)
    );
    // A restart verifies everything, and finds no loss.
    for _ in 0..2 {
        let recorder = open(&world, ten_days()).await;
        assert_eq!(refuses(&recorder).await, None);
        recorder.close().await;
    }
}

#[tokio::test]
async fn payloads_go_in_the_order_of_the_ledger_and_an_open_job_keeps_its_own() {
    let world = World::new();
    let recorder = open(&world, ten_days()).await;
    let open_job = StoredJob {
        expires: world.now() + jiff::SignedDuration::from_hours(24 * 30),
        ..world.job(1, "agent", "delete", Some(rule(1, &["*"])))
    };
    enqueue(&recorder, &open_job, None).await.unwrap();
    let done = world.job(2, "agent", "plan 2", None);
    finish(&recorder, &done, None).await;
    end(&recorder, 3).await.unwrap();
    world.pass(9 * DAY);
    end(&recorder, 4).await.unwrap();
    sweep_all(&recorder).await;
    assert_eq!(state(&recorder, Retained::Payloads).await.removed, 0);
    world.pass(DAY + HOUR);
    sweep_all(&recorder).await;
    for (call, kept, has_job) in [
        (&open_job.call, true, true),
        (&done.call, false, false),
        (&call(3), false, false),
        (&call(4), true, false),
    ] {
        let (entries, removed, job) = story(&recorder, call).await;
        assert_eq!(
            (payloads(&entries) > 0, job, removed.is_empty()),
            (kept, has_job, kept),
            "{call}"
        );
    }
    assert_eq!(view(&recorder, &done).await.outcome, Some(Outcome::Succeeded), "its state stays");
    let removed = state(&recorder, Retained::Payloads).await;
    assert_eq!(
        (removed.newest, removed.next),
        (Some(world.now()), Some(world.now() + jiff::SignedDuration::from_hours(1)))
    );
    // The job of the question ends; ten days later its payloads go too.
    let cancel = Propose::Cancel { principal: "agent".into(), call: open_job.call.clone() };
    recorder.propose(cancel).await.unwrap();
    world.pass(10 * DAY);
    sweep_all(&recorder).await;
    let (entries, removed, _) = story(&recorder, &open_job.call).await;
    let at = world.now();
    assert_eq!((payloads(&entries), removed), (0, vec![Removal { what: Retained::Payloads, at }]));
    recorder.close().await;
    let store =
        std::fs::read(cofferdam_recorder::database(&world.folder.path().join("store"))).unwrap();
    assert!(!store.windows(13).any(|bytes| bytes == b"spec.replicas"), "no byte of it is left");
    assert!(sound(&world)[0].contains("payloads of entries, before entry "), "{:?}", sound(&world));
    // A loss beside it is told apart: of the first entry that retention did not reach.
    let removed = &sound(&world)[0];
    assert!(removed.contains("payloads of entries, before entry "), "{removed}");
    let recorder = open(&world, ten_days()).await;
    let Ok(Proposed::Recorded(kept)) = end(&recorder, 5).await else { panic!() };
    recorder.close().await;
    on_the_store(&world, "UPDATE leaves SET payloads = NULL WHERE payloads IS NOT NULL").await;
    let recorder = open(&world, ten_days()).await;
    let why = refused(&recorder).await;
    assert!(why.contains("lacks the payloads of entry"), "{why} {kept:?}");
}

/// The store forgets the same rows each time. Only an entry tells a removal from a loss.
#[tokio::test]
async fn payloads_that_are_gone_without_an_entry_stop_new_work() {
    let losses = [
        "UPDATE leaves SET payloads = NULL, key = NULL WHERE idx = 3",
        "UPDATE leaves SET payloads = NULL WHERE idx = 3",
        "UPDATE leaves SET payloads = NULL, key = NULL WHERE idx >= 3",
    ];
    for loss in losses {
        let world = World::new();
        let recorder = open(&world, ten_days()).await;
        for number in 1..=6 {
            end(&recorder, number).await.unwrap();
        }
        recorder.operate(1000, Operate::Erase { call: call(1) }).await.unwrap();
        recorder.close().await;
        let kept = open(&world, ten_days()).await;
        kept.sweep().await;
        assert_eq!(refuses(&kept).await, None, "an operator erased entry 1");
        kept.close().await;
        on_the_store(&world, loss).await;
        let recorder = open(&world, ten_days()).await;
        let why = refused(&recorder).await;
        assert!(why.contains("lacks the payloads of entry 3"), "{why}");
        assert!(matches!(end(&recorder, 100).await, Err(RoleError::Unavailable(_))));
        recorder.close().await;
        sound(&world);
    }
}

#[tokio::test]
async fn old_rows_go_in_small_changes_and_a_restart_in_between_goes_on() {
    const CALLS: u128 = 1_000;
    let world = World::new();
    let recorder = open(&world, Retention { payloads: None, ..ten_days() }).await;
    for number in 1..=CALLS {
        end(&recorder, number).await.unwrap();
    }
    world.pass(11 * DAY);
    // For ever: nothing goes.
    sweep_all(&recorder).await;
    recorder.close().await;
    assert_eq!(sound(&world), Vec::<String>::new());
    // Every commit of the recorder fails after its second removal: it stops in the middle.
    let first = open(&world, ten_days()).await;
    first.sweep().await;
    let state_first = state(&first, Retained::Payloads).await;
    assert_eq!(state_first.removed, u64::try_from(CALLS).unwrap());
    let removals = async |recorder: &Recorder| {
        let Proposed::Head { size, .. } = recorder.propose(Propose::Head).await.unwrap() else {
            panic!()
        };
        size
    };
    let size = removals(&first).await;
    first.sweep().await;
    assert_eq!(removals(&first).await, size, "nothing is left, and nothing is recorded");
    first.close().await;
    let told: Vec<u64> = removed_counts(&world);
    assert_eq!((told.len(), told.iter().sum()), (4, 1_000_u64), "at most 256 entries in a change");
    assert!(told.iter().all(|count| *count <= 256));
    // The position is in the store: as if the start came after the second change.
    on_the_store(&world, "UPDATE payloads_end SET entry = 512").await;
    let second = open(&world, ten_days()).await;
    assert_eq!(refuses(&second).await, None);
    second.sweep().await;
    assert_eq!(state(&second, Retained::Payloads).await.removed, 1_000, "none is counted twice");
}

/// The numbers in the entries of retention.
fn removed_counts(world: &World) -> Vec<u64> {
    let report = verify(&world.ledger(), &World::key(), None, None).unwrap();
    let proven = (0..report.size).map(|index| {
        let proof = prove(&world.ledger(), &World::key(), index).unwrap();
        let entry = verify_proof(&proof, &World::key()).unwrap().entry;
        let entry: serde_json::Value = serde_json::from_str(&entry).unwrap();
        serde_json::from_value::<Event>(entry["event"].clone()).unwrap()
    });
    proven
        .filter_map(|event| match event {
            Event::Removed { count, .. } => Some(count),
            _ => None,
        })
        .collect()
}
