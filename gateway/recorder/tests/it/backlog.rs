//! The bound of the queue: a new job is refused before it is stored, and no other request is.

use crate::world::*;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::permit::SignedPermit;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::run::Phase;
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_recorder::{Recorder, RecorderContext};

async fn bounded(world: &World, max_queued: u64) -> Recorder {
    Recorder::open(RecorderContext { max_queued, ..world.settings() }).await.unwrap()
}

async fn entries(recorder: &Recorder) -> u64 {
    match recorder.propose(Propose::Head).await.unwrap() {
        Proposed::Head { size, .. } => size,
        other => panic!("{other:?}"),
    }
}

async fn refused(recorder: &Recorder, job: &StoredJob) -> u64 {
    match enqueue(recorder, job, Some(key_for(job, job.call.as_str()))).await {
        Err(RoleError::Busy { retry_after_seconds, .. }) => retry_after_seconds,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_full_queue_refuses_a_new_job_alone_and_takes_it_after_it_drained() {
    let world = World::new();
    let recorder = bounded(&world, 2).await;
    let [first, second, third] =
        [1, 2, 3].map(|number| world.job(number, "agent", &format!("plan {number}"), None));
    enqueue(&recorder, &first, Some(key_for(&first, "first"))).await.unwrap();
    enqueue(&recorder, &second, None).await.unwrap();
    let before = entries(&recorder).await;
    assert_eq!(refused(&recorder, &third).await, 30, "no runner came yet: nothing is measured");
    assert_eq!(entries(&recorder).await, before, "nothing was stored");
    // The same call, with and without a key, joins its job.
    let again = world.job(4, "agent", "plan 2", None);
    let joined = enqueue(&recorder, &again, None).await;
    assert_eq!(joined, Ok(Proposed::Joined { call: second.call.clone() }));
    let again = world.job(5, "agent", "plan 1", None);
    let joined = enqueue(&recorder, &again, Some(key_for(&again, "first"))).await;
    assert_eq!(joined, Ok(Proposed::Joined { call: first.call.clone() }));
    // Another call's end is recorded, and a question is asked.
    end(&recorder, 6).await.unwrap();
    let question = world.job(7, "agent", "delete", Some(rule(1, &["*"])));
    enqueue(&recorder, &question, None).await.unwrap();
    // A restart counts the queue again.
    recorder.close().await;
    let recorder = bounded(&world, 2).await;
    assert_eq!(refused(&recorder, &third).await, 30);
    let Operated::Status { warns, .. } = recorder.operate(1000, Operate::Status).await.unwrap()
    else {
        panic!()
    };
    assert!(warns.iter().any(|warning| warning.contains("`runner.max_queued`")), "{warns:?}");
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    run(&seat, &leased).await;
    let key = key_for(&third, third.call.as_str());
    let taken = enqueue(&recorder, &third, Some(key)).await;
    assert!(matches!(taken, Ok(Proposed::Recorded(_))), "the same request: {taken:?}");
}

#[tokio::test]
async fn a_job_that_would_wait_longer_than_half_of_its_permit_is_refused() {
    const JOBS: u128 = 100;
    let world = World::new();
    let recorder = world.open().await;
    for number in 1..=JOBS {
        let job = world.job(number, "agent", &format!("plan {number}"), None);
        enqueue(&recorder, &job, None).await.unwrap();
    }
    let seat = recorder.runner();
    // A job in five seconds: 90 jobs wait for 450 seconds, and a permit lasts 600.
    for _ in 0..10 {
        world.pass(5_000);
        let leased = next(&seat).await.unwrap();
        run(&seat, &leased).await;
    }
    let late = world.job(JOBS + 1, "agent", "late", None);
    // Nine pauses between ten claims: 4.5 seconds for each job.
    assert_eq!(refused(&recorder, &late).await, 105);
    for _ in 0..30 {
        world.pass(1_000);
        let leased = next(&seat).await.unwrap();
        run(&seat, &leased).await;
    }
    let taken = enqueue(&recorder, &late, Some(key_for(&late, late.call.as_str()))).await;
    assert!(matches!(taken, Ok(Proposed::Recorded(_))), "{taken:?}");
}

#[tokio::test]
async fn a_signed_call_stays_waiting_while_the_queue_is_full() {
    let world = World::new();
    let recorder = bounded(&world, 1).await;
    enqueue(&recorder, &world.job(1, "agent", "plan", None), None).await.unwrap();
    let question = world.job(2, "agent", "delete", Some(rule(1, &["*"])));
    enqueue(&recorder, &question, None).await.unwrap();
    let job = stored(&recorder, &question.call).await;
    let signed = sign("bob", &statement(&job, Verdict::Approve));
    assert_eq!(hand_in(&recorder, &job.call, signed).await, Ok(("bob".to_owned(), 0)));
    let permit = || Propose::Permit {
        call: job.call.clone(),
        permit: SignedPermit { permit: "{}".to_owned(), signature: String::new() },
        entry: Entry::of(Event::Intended, Some(job.call.clone()), "agent"),
        expires: job.expires,
    };
    let before = entries(&recorder).await;
    assert!(matches!(recorder.propose(permit()).await, Err(RoleError::Busy { .. })));
    assert_eq!(entries(&recorder).await, before);
    assert_eq!(view(&recorder, &job).await.phase, Phase::AwaitingApproval);
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    run(&seat, &leased).await;
    recorder.propose(permit()).await.unwrap();
    assert_eq!(next(&seat).await.unwrap().job.call, job.call);
}
