//! The outbox: each event is stored with its change, given to each receiver in the order of its call
//! until it is delivered, and tried again with a growing pause. A restart loses nothing.

use crate::world::*;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::{Found, Obstacle};
use cofferdam_core::model::notification::{
    NOTIFY_EVENTS, Notification, NotifyEvent, Receiver, ReceiverState,
};
use cofferdam_core::model::reason::ApprovalRule;
use cofferdam_core::model::run::Outcome;
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::courier_recorder::{Collect, Collected, Delivery, Unwritable};
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Notice, Operate, Operated};
use cofferdam_core::protocol::runner_recorder::{Claim, RunnerEvent};
use cofferdam_recorder::{Recorder, RecorderContext};
use std::sync::atomic::Ordering;

fn receiver(name: &str, events: &[NotifyEvent]) -> Receiver {
    Receiver { name: name.to_owned(), events: events.to_vec() }
}

/// A recorder with the receivers `ops`, which is told everything, and `pager`, which is told of
/// unknown outcomes.
async fn open(world: &World) -> Recorder {
    let receivers =
        vec![receiver("ops", &NOTIFY_EVENTS), receiver("pager", &[NotifyEvent::Indeterminate])];
    Recorder::open(RecorderContext { receivers, ..world.settings() }).await.unwrap()
}

async fn collect(recorder: &Recorder, name: &str) -> (Option<Delivery>, Option<Unwritable>) {
    let receiver = name.to_owned();
    match recorder.collect(Collect::Next { receiver, wait_ms: 0 }).await.unwrap() {
        Collected::Next { delivery, unwritable } => (delivery.map(|found| *found), unwritable),
        Collected::Noted => panic!("no notification"),
    }
}

async fn next_of(recorder: &Recorder, name: &str) -> Option<Delivery> {
    collect(recorder, name).await.0
}

async fn delivered(recorder: &Recorder, name: &str, delivery: &Delivery) {
    let report = Collect::Delivered { receiver: name.to_owned(), delivery: delivery.number };
    assert_eq!(recorder.collect(report).await, Ok(Collected::Noted));
}

async fn failed(recorder: &Recorder, name: &str, delivery: &Delivery) {
    asked_for_a_pause(recorder, name, delivery, 0).await;
}

async fn asked_for_a_pause(recorder: &Recorder, name: &str, delivery: &Delivery, ms: u64) {
    let (receiver, delivery, error) = (name.to_owned(), delivery.number, "no answer".to_owned());
    let report = Collect::Failed { receiver, delivery, error, retry_after_ms: ms };
    assert_eq!(recorder.collect(report).await, Ok(Collected::Noted));
}

/// A job whose outcome is not known.
async fn unknown_outcome(world: &World, recorder: &Recorder, number: u128) -> CallId {
    let job = world.job(number, "agent", &format!("plan {number}"), None);
    enqueue(recorder, &job, None).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    for event in [prepared(), RunnerEvent::Acting, started(0), finished(Outcome::Indeterminate)] {
        report(&seat, &leased, event).await.unwrap();
    }
    report(&seat, &leased, gone()).await.unwrap();
    job.call
}

#[tokio::test]
async fn people_are_told_once_when_further_people_may_sign() {
    let world = World::new();
    let recorder = open(&world).await;
    let asked = world.job(1, "agent", "plan 1", Some(crate::escalation::escalating()));
    enqueue(&recorder, &asked, None).await.unwrap();
    let answered = world.job(2, "agent", "plan 2", Some(crate::escalation::escalating()));
    enqueue(&recorder, &answered, None).await.unwrap();
    let job = stored(&recorder, &answered.call).await;
    hand_in(&recorder, &job.call, sign("bob", &statement(&job, Verdict::Approve))).await.unwrap();
    drain(&recorder, "ops").await;
    world.pass(5 * MINUTE - 1);
    recorder.sweep().await;
    assert_eq!(events(&recorder, "ops").await, []);
    world.pass(1);
    recorder.sweep().await;
    recorder.sweep().await;
    let told = drain(&recorder, "ops").await;
    let [escalated] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(escalated.event, NotifyEvent::Escalated);
    assert_eq!(escalated.call.as_ref().map(|of| &of.call), Some(&asked.call));
    assert_eq!(escalated.detail, "carl, ann");
}

/// Takes and delivers everything that waits.
async fn drain(recorder: &Recorder, name: &str) -> Vec<Notification> {
    let mut all = Vec::new();
    while let Some(found) = next_of(recorder, name).await {
        delivered(recorder, name, &found).await;
        all.push(found.notification);
    }
    all
}

async fn events(recorder: &Recorder, name: &str) -> Vec<NotifyEvent> {
    drain(recorder, name).await.into_iter().map(|one| one.event).collect()
}

async fn state(recorder: &Recorder, name: &str) -> ReceiverState {
    match recorder.operate(1000, Operate::Status).await.unwrap() {
        Operated::Status { receivers, .. } => {
            receivers.into_iter().find(|state| state.name == name).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

fn ten_minutes() -> Option<ApprovalRule> {
    Some(rule(1, &["*"]))
}

async fn ask(world: &World, recorder: &Recorder, number: u128) -> CallId {
    let plan = format!("plan {number}");
    let job = world.job(number, "agent", &plan, ten_minutes());
    enqueue(recorder, &job, None).await.unwrap();
    job.call
}

#[tokio::test]
async fn a_question_is_told_when_it_comes_shortly_before_its_end_and_at_its_end() {
    let world = World::new();
    let recorder = open(&world).await;
    let call = ask(&world, &recorder, 1).await;
    recorder.sweep().await;
    let told = drain(&recorder, "ops").await;
    let [needed] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        (needed.event, needed.id.clone()),
        (NotifyEvent::ApprovalNeeded, format!("{call}.approval_needed"))
    );
    let of = needed.call.as_ref().unwrap();
    assert_eq!((of.summary.as_str(), of.agent.as_str(), of.quorum), ("plan 1", "agent", Some(1)));
    // Of ten minutes, two are left.
    world.pass(8 * MINUTE - 1);
    recorder.sweep().await;
    assert_eq!(events(&recorder, "ops").await, []);
    world.pass(1);
    recorder.sweep().await;
    recorder.sweep().await;
    assert_eq!(events(&recorder, "ops").await, [NotifyEvent::ApprovalExpiring]);
    world.pass(2 * MINUTE);
    recorder.sweep().await;
    let told = drain(&recorder, "ops").await;
    assert_eq!(told[0].event, NotifyEvent::Expired);
    assert!(told[0].detail.contains("not approved in time"), "{told:?}");
    assert!(next_of(&recorder, "pager").await.is_none(), "it asked for other events");
}

#[tokio::test]
async fn a_signed_question_does_not_end_soon() {
    let world = World::new();
    let recorder = open(&world).await;
    let call = ask(&world, &recorder, 1).await;
    assert_eq!(events(&recorder, "ops").await, [NotifyEvent::ApprovalNeeded]);
    let job = stored(&recorder, &call).await;
    hand_in(&recorder, &call, sign("bob", &statement(&job, Verdict::Approve))).await.unwrap();
    world.pass(9 * MINUTE);
    recorder.sweep().await;
    assert_eq!(events(&recorder, "ops").await, []);
}

#[tokio::test]
async fn an_unknown_outcome_and_a_stuck_job_are_told_once() {
    let world = World::new();
    let recorder = open(&world).await;
    enqueue(&recorder, &world.job(1, "agent", "scale", None), None).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    for event in [prepared(), RunnerEvent::Acting, started(0), finished(Outcome::Indeterminate)] {
        report(&seat, &leased, event).await.unwrap();
    }
    for name in ["ops", "pager"] {
        assert_eq!(events(&recorder, name).await, [NotifyEvent::Indeterminate], "{name}");
    }
    // Its teardown cannot be finished.
    let (mut job, mut seat) = (leased, seat);
    for tries in 1..=9 {
        let obstacle = Obstacle::new("the namespace stays", "remove its finalizers");
        let (call, fence) = (job.job.call.clone(), job.fence);
        seat.claim(Claim::LetGo { call, fence, obstacle }).await.unwrap();
        recorder.sweep().await;
        let told = drain(&recorder, "ops").await;
        assert_eq!(told.len(), usize::from(tries == 8), "after {tries} tries: {told:?}");
        if let [stuck] = told.as_slice() {
            assert_eq!(stuck.event, NotifyEvent::JobStuck);
            assert_eq!(stuck.detail, "the namespace stays; remove its finalizers");
        }
        world.pass(10_000);
        seat = recorder.runner();
        job = next(&seat).await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_delivery_comes_again_after_a_growing_pause_and_holds_up_no_other() {
    let world = World::new();
    let recorder = open(&world).await;
    let first = unknown_outcome(&world, &recorder, 1).await;
    let head = next_of(&recorder, "ops").await.unwrap();
    assert_eq!(head.notification.call.as_ref().unwrap().call, first);
    failed(&recorder, "ops", &head).await;
    // That of another call does not wait.
    let second = ask(&world, &recorder, 2).await;
    let other = next_of(&recorder, "ops").await.unwrap();
    assert_eq!(other.notification.call.as_ref().unwrap().call, second);
    delivered(&recorder, "ops", &other).await;
    let cancel = Propose::Cancel { principal: "agent".to_owned(), call: second };
    recorder.propose(cancel).await.unwrap();
    let mut pauses = Vec::new();
    world.pass(5_000);
    let again = next_of(&recorder, "ops").await.unwrap();
    assert_eq!(again, head, "the same id and the same number");
    for _ in 0..9 {
        failed(&recorder, "ops", &head).await;
        let mut pause = 0;
        while next_of(&recorder, "ops").await.is_none() {
            world.pass(1_000);
            pause += 1;
        }
        pauses.push(pause);
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
    let failing = state(&recorder, "ops").await;
    assert_eq!((failing.failed, failing.waiting), (10, 1));
    assert_eq!(failing.error.as_deref(), Some("no answer"));
    assert_eq!(events(&recorder, "ops").await, [NotifyEvent::Indeterminate]);
    let works = state(&recorder, "ops").await;
    assert_eq!((works.delivered, works.waiting, works.error), (2, 0, None));
}

#[tokio::test]
async fn notifications_of_one_call_keep_their_order() {
    let world = World::new();
    let recorder = open(&world).await;
    ask(&world, &recorder, 1).await;
    world.pass(8 * MINUTE);
    let head = next_of(&recorder, "ops").await.unwrap();
    failed(&recorder, "ops", &head).await;
    recorder.sweep().await;
    assert!(next_of(&recorder, "ops").await.is_none(), "the second one waits for the first");
    world.pass(5_000);
    assert_eq!(
        events(&recorder, "ops").await,
        [NotifyEvent::ApprovalNeeded, NotifyEvent::ApprovalExpiring]
    );
}

#[tokio::test]
async fn a_pause_that_a_receiver_asks_for_holds_for_all_that_waits_but_not_for_tests() {
    let world = World::new();
    let recorder = open(&world).await;
    unknown_outcome(&world, &recorder, 1).await;
    for (number, asked, kept) in [(10, 60_000, 60_000), (20, u64::MAX, 3_600_000), (30, 1, 5_000)] {
        while let Some(found) = next_of(&recorder, "pager").await {
            delivered(&recorder, "pager", &found).await;
        }
        unknown_outcome(&world, &recorder, number).await;
        unknown_outcome(&world, &recorder, number + 1).await;
        let first = next_of(&recorder, "pager").await.unwrap();
        asked_for_a_pause(&recorder, "pager", &first, asked).await;
        if asked > 1 {
            assert_eq!(next_of(&recorder, "pager").await, None, "the second one waits too");
            world.pass(kept - 1);
            assert_eq!(next_of(&recorder, "pager").await, None, "{asked}");
            world.pass(1);
            assert_eq!(next_of(&recorder, "pager").await, Some(first), "{asked}");
        } else {
            // The pause of a failure is longer, and is that of one notification.
            world.pass(1);
            let second = next_of(&recorder, "pager").await.unwrap();
            assert_ne!(second.number, first.number);
            delivered(&recorder, "pager", &second).await;
            world.pass(kept - 2);
            assert_eq!(next_of(&recorder, "pager").await, None);
            world.pass(1);
            assert_eq!(next_of(&recorder, "pager").await, Some(first));
        }
    }
    // Others are told meanwhile, and a person can test the receiver.
    unknown_outcome(&world, &recorder, 77).await;
    let found = next_of(&recorder, "pager").await.unwrap();
    asked_for_a_pause(&recorder, "pager", &found, 60_000).await;
    assert!(next_of(&recorder, "ops").await.is_some());
    let ask = Operate::TestReceiver { receiver: "pager".to_owned() };
    let courier = async {
        let test = loop {
            match next_of(&recorder, "pager").await {
                Some(found) => break found,
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!(test.notification.event, NotifyEvent::Test);
        delivered(&recorder, "pager", &test).await;
    };
    let (tested, ()) = tokio::join!(recorder.operate(1000, ask), courier);
    assert_eq!(tested, Ok(Operated::Tested { error: None }));
}

#[tokio::test]
async fn after_an_outage_no_question_is_told_that_was_answered_or_ended_meanwhile() {
    for (what, left) in [
        ("nothing", vec![NotifyEvent::ApprovalNeeded]),
        ("approved", vec![]),
        ("rejected", vec![]),
        ("cancelled", vec![]),
        ("expired", vec![NotifyEvent::Expired]),
        ("expired, and not swept yet", vec![]),
    ] {
        let world = World::new();
        let recorder = open(&world).await;
        let call = ask(&world, &recorder, 1).await;
        let tried = next_of(&recorder, "ops").await.unwrap();
        failed(&recorder, "ops", &tried).await;
        let job = stored(&recorder, &call).await;
        let answer = async |verdict| {
            hand_in(&recorder, &call, sign("bob", &statement(&job, verdict))).await.unwrap();
        };
        match what {
            "approved" => answer(Verdict::Approve).await,
            "rejected" => answer(Verdict::Reject).await,
            "cancelled" => {
                let principal = "agent".to_owned();
                let cancel = Propose::Cancel { principal, call: call.clone() };
                recorder.propose(cancel).await.unwrap();
            }
            "expired" => {
                world.pass(10 * MINUTE);
                recorder.sweep().await;
            }
            "expired, and not swept yet" => world.pass(10 * MINUTE),
            _ => {}
        }
        world.pass(5_000);
        assert_eq!(events(&recorder, "ops").await, left, "{what}");
        let state = state(&recorder, "ops").await;
        let delivered = u64::try_from(left.len()).unwrap();
        assert_eq!((state.delivered, state.waiting, state.dropped), (delivered, 0, 0), "{what}");
        assert_eq!(state.over, u64::from(what != "nothing"), "{what}");
        // The receiver works, so the failure before is over too.
        assert_eq!(state.error, None, "{what}");
    }
}

#[tokio::test]
async fn after_an_outage_no_unknown_outcome_is_told_that_a_person_resolved() {
    let world = World::new();
    let recorder = open(&world).await;
    let call = unknown_outcome(&world, &recorder, 1).await;
    let found = next_of(&recorder, "pager").await.unwrap();
    failed(&recorder, "pager", &found).await;
    assert_eq!(events(&recorder, "ops").await, [NotifyEvent::Indeterminate]);
    let because = "web has 3 replicas".to_owned();
    let resolve = Operate::Resolve { call, found: Found::Succeeded, because };
    assert_eq!(recorder.operate(1000, resolve).await, Ok(Operated::Done));
    world.pass(5_000);
    assert_eq!(events(&recorder, "pager").await, []);
    assert_eq!(state(&recorder, "pager").await.over, 1);
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_is_a_warning_until_it_works_again() {
    let world = World::new();
    let recorder = open(&world).await;
    let warnings = async || match recorder.propose(Propose::Health).await.unwrap() {
        Proposed::Health { warns, .. } => warns,
        other => panic!("{other:?}"),
    };
    ask(&world, &recorder, 1).await;
    assert_eq!(warnings().await, Vec::<String>::new());
    let found = next_of(&recorder, "ops").await.unwrap();
    failed(&recorder, "ops", &found).await;
    assert_eq!(
        warnings().await,
        ["notifications to `ops` fail, and 1 wait: no answer; `cofferdam notify test ops` tries \
          once more"]
    );
    world.pass(5_000);
    delivered(&recorder, "ops", &found).await;
    assert_eq!(warnings().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_restart_in_the_middle_loses_nothing_and_keeps_the_pause() {
    let world = World::new();
    let recorder = open(&world).await;
    ask(&world, &recorder, 1).await;
    ask(&world, &recorder, 2).await;
    let taken = next_of(&recorder, "ops").await.unwrap();
    failed(&recorder, "ops", &taken).await;
    let second = next_of(&recorder, "ops").await.unwrap();
    // It was sent, and its delivery was not reported.
    recorder.close().await;
    let recorder = open(&world).await;
    assert_eq!(next_of(&recorder, "ops").await, Some(second.clone()), "the same id again");
    delivered(&recorder, "ops", &second).await;
    assert!(next_of(&recorder, "ops").await.is_none());
    world.pass(5_000);
    assert_eq!(next_of(&recorder, "ops").await.unwrap(), taken);
    // A receiver that is not configured any more has nothing that waits.
    recorder.close().await;
    let pager = vec![receiver("pager", &NOTIFY_EVENTS)];
    let without = RecorderContext { receivers: pager, ..world.settings() };
    Recorder::open(without).await.unwrap().close().await;
    let recorder = open(&world).await;
    assert!(next_of(&recorder, "ops").await.is_none());
}

#[tokio::test]
async fn a_notification_is_given_up_after_a_day() {
    let world = World::new();
    let recorder = open(&world).await;
    ask(&world, &recorder, 1).await;
    let found = next_of(&recorder, "ops").await.unwrap();
    failed(&recorder, "ops", &found).await;
    world.pass(24 * 60 * MINUTE);
    failed(&recorder, "ops", &found).await;
    let after = state(&recorder, "ops").await;
    assert_eq!((after.dropped, after.waiting, after.failed), (1, 0, 2));
    // A second report of the same try changes nothing.
    failed(&recorder, "ops", &found).await;
    assert_eq!(state(&recorder, "ops").await, after);
}

#[tokio::test]
async fn a_courier_reads_and_ends_what_is_for_its_receivers_alone() {
    let world = World::new();
    let recorder = open(&world).await;
    ask(&world, &recorder, 1).await;
    let found = next_of(&recorder, "ops").await.unwrap();
    let stranger = Collect::Next { receiver: "eve".to_owned(), wait_ms: 0 };
    assert!(matches!(recorder.collect(stranger).await, Err(RoleError::Refused(_))));
    // Another receiver's number ends nothing.
    delivered(&recorder, "pager", &found).await;
    assert_eq!(next_of(&recorder, "ops").await, Some(found));
    let unknown = Operate::TestReceiver { receiver: "eve".to_owned() };
    let error = recorder.operate(1000, unknown).await.unwrap_err().to_string();
    assert!(error.contains("no receiver `eve`"), "{error}");
}

#[tokio::test]
async fn a_test_goes_to_one_receiver_once() {
    let world = World::new();
    let recorder = open(&world).await;
    let test = async |receiver: &str| {
        let ask = Operate::TestReceiver { receiver: receiver.to_owned() };
        match recorder.operate(1000, ask).await.unwrap() {
            Operated::Tested { error } => error,
            other => panic!("{other:?}"),
        }
    };
    let courier = async |error: Option<&str>| {
        let found = loop {
            match next_of(&recorder, "pager").await {
                Some(found) => break found,
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!(found.notification.event, NotifyEvent::Test);
        match error {
            Some(_) => failed(&recorder, "pager", &found).await,
            None => delivered(&recorder, "pager", &found).await,
        }
    };
    let (result, ()) = tokio::join!(test("pager"), courier(None));
    assert_eq!(result, None);
    let (result, ()) = tokio::join!(test("pager"), courier(Some("no answer")));
    assert_eq!(result.as_deref(), Some("no answer"));
    world.pass(60 * MINUTE);
    assert!(next_of(&recorder, "pager").await.is_none(), "a failed test is not repeated");
    assert!(next_of(&recorder, "ops").await.is_none());
}

#[tokio::test]
async fn a_ledger_that_takes_no_work_is_told_past_the_outbox() {
    let world = World::new();
    let recorder = open(&world).await;
    assert_eq!(collect(&recorder, "ops").await, (None, None));
    world.free.store(1, Ordering::SeqCst);
    let since = world.now();
    assert_eq!(collect(&recorder, "ops").await.1, None, "a short stop is no news");
    world.pass(5_000);
    let told = collect(&recorder, "ops").await.1.unwrap();
    assert_eq!(told.since, since);
    assert!(told.why.contains("free some space"), "{told:?}");
    world.free.store(50, Ordering::SeqCst);
    assert_eq!(collect(&recorder, "ops").await, (None, None));
}

#[tokio::test]
async fn a_missing_admission_policy_is_told_when_it_begins() {
    let world = World::new();
    let recorder = open(&world).await;
    let notice =
        |why: Option<&str>| Notice { unfenced: why.map(str::to_owned), ..Notice::default() };
    let told = async || {
        // The notification is stored by a task of its own.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        let wait = Collect::Next { receiver: "ops".to_owned(), wait_ms: 200 };
        match recorder.collect(wait).await.unwrap() {
            Collected::Next { delivery: Some(found), .. } => {
                delivered(&recorder, "ops", &found).await;
                Some(found.notification.detail)
            }
            _ => None,
        }
    };
    recorder.know(notice(Some("the admission policy `x` is missing")));
    assert_eq!(told().await.as_deref(), Some("the admission policy `x` is missing"));
    recorder.know(notice(Some("the admission policy `y` is missing")));
    assert_eq!(told().await, None);
    recorder.know(notice(None));
    recorder.know(notice(Some("the admission policy `x` is missing")));
    assert!(told().await.is_some());
}

#[tokio::test]
async fn an_erased_call_has_no_words_in_its_notifications() {
    let world = World::new();
    let recorder = open(&world).await;
    let call = ask(&world, &recorder, 1).await;
    world.pass(11 * MINUTE);
    recorder.sweep().await;
    recorder.operate(1000, Operate::Erase { call: call.clone() }).await.unwrap();
    let told = drain(&recorder, "ops").await;
    assert!(!told.is_empty());
    assert!(told.iter().all(|one| one.call.as_ref().unwrap().summary.is_empty()), "{told:?}");
}
