//! Requests whose answer was lost with the connection: repeated on another connection or to the next
//! recorder, each gets its first answer. One lease, one entry, no second effect.

use crate::people::permit;
use crate::world::*;
use cofferdam_core::model::claim_token::ClaimToken;
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::model::job::{LeasedJob, Obstacle, StoredJob};
use cofferdam_core::model::record::{Entry, Event, Recorded};
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed, RunnerEvent};
use cofferdam_recorder::ledger::verify::verify;
use cofferdam_recorder::{KEPT_MS, Recorder, RecorderContext, RunnerSeat};

fn token(number: u128) -> ClaimToken {
    ClaimToken::from_random(number)
}

/// What stands between a request and the same request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    /// The connection was lost, and the runner has another one.
    Connection,
    /// The recorder was stopped, and the next one opened the store.
    Recorder,
}

const BETWEEN: [Between; 2] = [Between::Connection, Between::Recorder];

/// A recorder that keeps the leases of the one before.
async fn open(world: &World) -> Recorder {
    Recorder::open(RecorderContext { keeps_leases: true, ..world.settings() }).await.unwrap()
}

/// The recorder and the seat of the same runner after the interruption.
async fn again(
    world: &World,
    between: Between,
    recorder: Recorder,
    seat: RunnerSeat,
) -> (Recorder, RunnerSeat) {
    let recorder = match between {
        Between::Connection => recorder,
        Between::Recorder => {
            recorder.hand_over();
            recorder.close().await;
            open(world).await
        }
    };
    let next = recorder.linked_runner();
    // The old connection ends after the new one began: a link notices late.
    drop(seat);
    (recorder, next)
}

async fn claim(seat: &RunnerSeat, token: ClaimToken) -> Option<Box<LeasedJob>> {
    match seat.claim(Claim::Next { wait_ms: 0, token: Some(token) }).await.unwrap() {
        Claimed::Leased { job } => job,
        other => panic!("{other:?}"),
    }
}

fn resume(job: &LeasedJob, token: ClaimToken) -> Claim {
    Claim::Resume { call: job.job.call.clone(), fence: job.fence, token }
}

fn moved(job: &LeasedJob, number: u64, events: &[RunnerEvent]) -> Claim {
    let (call, fence) = (job.job.call.clone(), job.fence);
    Claim::Move { call, fence, events: events.to_vec(), number: Some(number) }
}

async fn size(recorder: &Recorder) -> u64 {
    match recorder.propose(Propose::Head).await.unwrap() {
        Proposed::Head { size, .. } => size,
        other => panic!("{other:?}"),
    }
}

/// The entries of one call.
pub async fn entries(recorder: &Recorder, call: &CallId) -> Vec<Event> {
    use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
    match recorder.operate(1000, Operate::Show { call: call.to_string() }).await.unwrap() {
        Operated::Story { entries, .. } => entries.into_iter().map(|entry| entry.event).collect(),
        other => panic!("{other:?}"),
    }
}

async fn closes_sound(world: &World, recorder: Recorder) {
    recorder.close().await;
    let report = verify(&world.ledger(), &World::key(), None, None).unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_the_same_lease_again() {
    for between in BETWEEN {
        let world = World::new();
        let recorder = open(&world).await;
        let job = world.job(1, "agent", "scale", None);
        enqueue(&recorder, &job, None).await.unwrap();
        let seat = recorder.linked_runner();
        let first = claim(&seat, token(1)).await.unwrap();
        let (recorder, seat) = again(&world, between, recorder, seat).await;
        let other = recorder.linked_runner();
        assert!(claim(&other, token(2)).await.is_none(), "{between:?}: the job is taken");
        assert_eq!(claim(&seat, token(1)).await.as_ref(), Some(&first), "{between:?}");
        assert_eq!(entries(&recorder, &job.call).await.len(), 2, "{between:?}: one lease");
        run(&seat, &first).await;
        assert_eq!(view(&recorder, &job).await.outcome, Some(Outcome::Succeeded));
        closes_sound(&world, recorder).await;
    }
}

#[tokio::test]
async fn a_report_whose_answer_was_lost_is_recorded_once_at_every_step_of_a_job() {
    let steps: [&[RunnerEvent]; 6] = [
        &[prepared()],
        &[RunnerEvent::Acting],
        &[started(0)],
        &[done(0)],
        &[finished(Outcome::Succeeded)],
        &[gone()],
    ];
    for between in BETWEEN {
        let world = World::new();
        let mut recorder = open(&world).await;
        let job = world.job(1, "agent", "scale", None);
        enqueue(&recorder, &job, None).await.unwrap();
        let mut seat = recorder.linked_runner();
        let leased = claim(&seat, token(1)).await.unwrap();
        for (number, events) in (1..).zip(steps) {
            let report = moved(&leased, number, events);
            let first = seat.claim(report.clone()).await.unwrap();
            let known = entries(&recorder, &job.call).await;
            (recorder, seat) = again(&world, between, recorder, seat).await;
            let before = seat.claim(report.clone()).await;
            assert_eq!(before, Err(RoleError::Fenced), "{between:?}: the lease comes first");
            let taken = seat.claim(resume(&leased, token(1))).await;
            assert_eq!(taken, Ok(Claimed::Lease { cancelled: false }), "{between:?} {number}");
            assert_eq!(seat.claim(report).await, Ok(first), "{between:?} {number}");
            assert_eq!(entries(&recorder, &job.call).await, known, "{between:?} {number}");
        }
        let view = view(&recorder, &job).await;
        assert_eq!((view.outcome, view.phase), (Some(Outcome::Succeeded), Phase::Closed));
        assert_eq!(view.operations.len(), 1);
        closes_sound(&world, recorder).await;
    }
}

#[tokio::test]
async fn only_the_newest_report_comes_again() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let seat = recorder.linked_runner();
    let leased = claim(&seat, token(1)).await.unwrap();
    let acting = [prepared(), RunnerEvent::Acting];
    seat.claim(moved(&leased, 1, &acting)).await.unwrap();
    seat.claim(moved(&leased, 4, &[started(0)])).await.unwrap();
    let old = seat.claim(moved(&leased, 1, &acting)).await;
    assert!(matches!(old, Err(RoleError::Refused(_))), "{old:?}");
    let unnumbered = report(&seat, &leased, started(0)).await;
    assert!(matches!(unnumbered, Err(RoleError::Refused(_))), "{unnumbered:?}");
    // A refused report has no number: the next one may have it.
    let early = seat.claim(moved(&leased, 5, &[gone()])).await;
    assert!(matches!(early, Err(RoleError::Refused(_))), "{early:?}");
    seat.claim(moved(&leased, 5, &[done(0), finished(Outcome::Succeeded)])).await.unwrap();
    assert_eq!(view(&recorder, &job).await.phase, Phase::TearingDown);
}

#[tokio::test]
async fn a_job_that_was_let_go_is_let_go_once() {
    for between in BETWEEN {
        let world = World::new();
        let recorder = open(&world).await;
        let job = world.job(1, "agent", "scale", None);
        enqueue(&recorder, &job, None).await.unwrap();
        let seat = recorder.linked_runner();
        let leased = claim(&seat, token(1)).await.unwrap();
        let let_go = Claim::LetGo {
            call: job.call.clone(),
            fence: leased.fence,
            obstacle: Obstacle::new("no room", "free some"),
        };
        assert_eq!(seat.claim(let_go.clone()).await, Ok(Claimed::Released));
        let known = entries(&recorder, &job.call).await;
        let (recorder, seat) = again(&world, between, recorder, seat).await;
        seat.claim(resume(&leased, token(1))).await.unwrap();
        assert_eq!(seat.claim(let_go).await, Ok(Claimed::Released), "{between:?}");
        assert_eq!(entries(&recorder, &job.call).await, known, "{between:?}");
        let event = seat.claim(moved(&leased, 1, &[prepared()])).await;
        assert_eq!(event, Err(RoleError::Fenced), "{between:?}: the lease is over");
    }
}

#[tokio::test]
async fn a_lease_is_resumed_with_its_own_token_fence_and_call_alone() {
    let world = World::new();
    let recorder = open(&world).await;
    for number in 1..=2 {
        let job = world.job(number, &format!("agent-{number}"), &format!("{number}"), None);
        enqueue(&recorder, &job, None).await.unwrap();
    }
    let seat = recorder.linked_runner();
    let (first, old) = (claim(&seat, token(1)).await.unwrap(), recorder.runner());
    let plain = next(&old).await.unwrap();
    drop(seat);
    let call = |job: &LeasedJob| job.job.call.clone();
    let attacks = [
        ("another token", resume(&first, token(2))),
        ("another call", Claim::Resume { call: call(&plain), fence: first.fence, token: token(1) }),
        (
            "a later fence",
            Claim::Resume { call: call(&first), fence: plain.fence, token: token(1) },
        ),
        ("a guessed fence", Claim::Resume { call: call(&first), fence: Fence(0), token: token(1) }),
        ("a claim without a token", resume(&plain, token(1))),
        (
            "an unknown call",
            Claim::Resume { call: CallId::from_random(9), fence: first.fence, token: token(1) },
        ),
    ];
    for (what, attack) in attacks {
        let thief = recorder.linked_runner();
        assert_eq!(thief.claim(attack).await, Err(RoleError::Fenced), "{what}");
        let report = thief.claim(moved(&first, 1, &[prepared()])).await;
        assert_eq!(report, Err(RoleError::Fenced), "{what}");
    }
    let own = recorder.linked_runner();
    own.claim(resume(&first, token(1))).await.unwrap();
    let second = own.claim(resume(&plain, token(1))).await;
    assert!(matches!(second, Err(RoleError::Refused(_))), "one runner, one job: {second:?}");
    run(&own, &first).await;
}

#[tokio::test]
async fn a_lease_that_is_not_resumed_in_time_is_lost_and_stays_lost() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let seat = recorder.linked_runner();
    let leased = claim(&seat, token(1)).await.unwrap();
    seat.claim(moved(&leased, 1, &[prepared()])).await.unwrap();
    drop(seat);
    world.pass(KEPT_MS - 1);
    recorder.sweep().await;
    assert_eq!(view(&recorder, &job).await.phase, Phase::Prepared, "a link may come back");
    world.pass(1);
    recorder.sweep().await;
    assert_eq!(view(&recorder, &job).await.phase, Phase::Queued);
    let late = recorder.linked_runner();
    assert_eq!(late.claim(resume(&leased, token(1))).await, Err(RoleError::Fenced));
    let report = late.claim(moved(&leased, 1, &[prepared()])).await;
    assert_eq!(report, Err(RoleError::Fenced), "not even the newest report comes again");
    let next = claim(&late, token(1)).await.unwrap();
    assert!(next.fence > leased.fence, "the same runner may claim it anew");
}

#[tokio::test]
async fn a_report_again_is_refused_after_its_lease_was_lost_on_the_same_connection() {
    for (pause, is_lost) in [(0, false), (10 * 60_000, true)] {
        let world = World::new();
        let (recorder, job) = world.queued().await;
        let seat = recorder.linked_runner();
        let leased = claim(&seat, token(1)).await.unwrap();
        for (number, event) in [(1, prepared()), (2, RunnerEvent::Acting), (3, started(0))] {
            seat.claim(moved(&leased, number, &[event])).await.unwrap();
        }
        world.pass(pause);
        recorder.sweep().await;
        let again = seat.claim(moved(&leased, 3, &[started(0)])).await;
        assert_eq!(again == Err(RoleError::Fenced), is_lost, "{again:?}");
        assert_eq!(view(&recorder, &job).await.phase, Phase::Acting, "{pause}");
    }
}

#[tokio::test]
async fn a_link_that_comes_back_in_time_keeps_the_lease_for_as_long_as_heartbeats_do() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let seat = recorder.linked_runner();
    let leased = claim(&seat, token(1)).await.unwrap();
    drop(seat);
    world.pass(KEPT_MS - 1);
    let seat = recorder.linked_runner();
    seat.claim(resume(&leased, token(1))).await.unwrap();
    world.pass(29_999);
    recorder.sweep().await;
    assert_eq!(view(&recorder, &job).await.phase, Phase::Leased);
    world.pass(1);
    recorder.sweep().await;
    assert_eq!(view(&recorder, &job).await.phase, Phase::Queued);
}

#[tokio::test]
async fn the_next_recorder_keeps_leases_with_a_token_and_ends_them_where_all_runners_ended() {
    for keeps_leases in [true, false] {
        let world = World::new();
        let recorder = open(&world).await;
        for number in 1..=2 {
            let job = world.job(number, &format!("agent-{number}"), &format!("{number}"), None);
            enqueue(&recorder, &job, None).await.unwrap();
        }
        let (seat, old) = (recorder.linked_runner(), recorder.runner());
        let leased = claim(&seat, token(1)).await.unwrap();
        let plain = next(&old).await.unwrap();
        recorder.hand_over();
        drop((seat, old));
        recorder.close().await;
        let context = RecorderContext { keeps_leases, ..world.settings() };
        let recorder = Recorder::open(context).await.unwrap();
        let phase = async |job: &StoredJob| view(&recorder, job).await.phase;
        assert_eq!(phase(&plain.job).await, Phase::Queued, "without a token it is lost");
        let expected = if keeps_leases { Phase::Leased } else { Phase::Queued };
        assert_eq!(phase(&leased.job).await, expected, "{keeps_leases}");
        if keeps_leases {
            world.pass(KEPT_MS - 1);
            recorder.sweep().await;
            assert_eq!(phase(&leased.job).await, Phase::Leased, "a runner that is there resumes");
            world.pass(1);
            recorder.sweep().await;
            assert_eq!(phase(&leased.job).await, Phase::Queued);
        }
    }
}

#[tokio::test]
async fn a_new_job_whose_answer_was_lost_is_stored_once() {
    for between in BETWEEN {
        for (key, approval) in [(None, None), (Some("k"), None), (None, Some(rule(1, &["*"])))] {
            let world = World::new();
            let recorder = open(&world).await;
            let job = world.job(1, "agent", "scale", approval.clone());
            let keyed = || key.map(|key| key_for(&job, key));
            let first = enqueue(&recorder, &job, keyed()).await.unwrap();
            assert!(matches!(first, Proposed::Recorded(_)));
            let seat = recorder.runner();
            let (recorder, _seat) = again(&world, between, recorder, seat).await;
            assert_eq!(enqueue(&recorder, &job, keyed()).await, Ok(first), "{between:?} {key:?}");
            assert_eq!(entries(&recorder, &job.call).await.len(), 1, "{between:?} {key:?}");
            // The id of a call names one request for ever.
            for other in [
                world.job(1, "other", "scale", approval.clone()),
                world.job(1, "agent", "delete", approval.clone()),
            ] {
                let taken = enqueue(&recorder, &other, None).await;
                assert!(matches!(taken, Err(RoleError::Refused(_))), "{taken:?}");
            }
        }
    }
}

#[tokio::test]
async fn two_of_the_same_request_at_once_are_one_job() {
    let world = World::new();
    let recorder = world.open().await;
    let job = world.job(1, "agent", "scale", None);
    let (first, second) =
        tokio::join!(enqueue(&recorder, &job, None), enqueue(&recorder, &job, None));
    assert_eq!(first, second);
    assert_eq!(entries(&recorder, &job.call).await.len(), 1);
}

#[tokio::test]
async fn an_end_whose_answer_was_lost_is_recorded_once_and_another_end_is_not_taken_for_it() {
    for between in BETWEEN {
        let world = World::new();
        let recorder = open(&world).await;
        let entry = |code: &str| {
            let event = Event::Ended { ending: "denied".to_owned(), code: code.to_owned() };
            Entry::of(event, Some(call(1)), "agent")
        };
        let first = recorder.propose(Propose::End { entry: entry("a"), again: false }).await;
        let known = size(&recorder).await;
        let seat = recorder.runner();
        let (recorder, _seat) = again(&world, between, recorder, seat).await;
        let starts = size(&recorder).await - known;
        let second = recorder.propose(Propose::End { entry: entry("a"), again: true }).await;
        assert_eq!(second, first, "{between:?}");
        assert_eq!(size(&recorder).await, known + starts, "{between:?}");
        // Without a first answer, the request again is the first one.
        let other = recorder.propose(Propose::End { entry: entry("b"), again: true }).await;
        assert!(matches!(other, Ok(Proposed::Recorded(_))) && other != first, "{other:?}");
        assert_eq!(size(&recorder).await, known + starts + 1, "{between:?}");
    }
}

#[tokio::test]
async fn an_end_whose_first_request_is_late_is_recorded_once() {
    let world = World::new();
    let recorder = open(&world).await;
    let end = |again| {
        let event = Event::Ended { ending: "denied".to_owned(), code: "rule".to_owned() };
        Propose::End { entry: Entry::of(event, Some(call(1)), "agent"), again }
    };
    let first = recorder.propose(end(true)).await.unwrap();
    assert_eq!(recorder.propose(end(false)).await, Ok(first), "it waited in the old socket");
    assert_eq!(entries(&recorder, &call(1)).await.len(), 1);
}

#[tokio::test]
async fn a_request_that_was_carried_out_gets_its_answer_on_a_full_disk_too() {
    let world = World::new();
    let recorder = open(&world).await;
    let job = world.job(1, "agent", "scale", None);
    let asked = world.job(2, "agent", "delete", Some(rule(1, &["*"])));
    let queued = enqueue(&recorder, &job, None).await.unwrap();
    enqueue(&recorder, &asked, None).await.unwrap();
    let question = stored(&recorder, &asked.call).await;
    let signed = sign("bob", &statement(&question, Verdict::Approve));
    hand_in(&recorder, &asked.call, signed).await.unwrap();
    let permitted = recorder.propose(permit(&asked.call, asked.expires)).await.unwrap();
    let ended = end(&recorder, 3).await.unwrap();
    world.free.store(5, std::sync::atomic::Ordering::SeqCst);
    world.pass(2_000);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(enqueue(&recorder, &job, None).await, Ok(queued));
    assert_eq!(recorder.propose(permit(&asked.call, asked.expires)).await, Ok(permitted));
    let Proposed::Recorded(_) = ended else { panic!("{ended:?}") };
    for refused in [
        enqueue(&recorder, &world.job(4, "agent", "scale", None), None).await,
        end(&recorder, 5).await,
    ] {
        assert!(matches!(refused, Err(RoleError::Unavailable(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_permit_whose_answer_was_lost_queues_the_job_once() {
    for between in BETWEEN {
        let world = World::new();
        let recorder = open(&world).await;
        let proposed = world.job(1, "agent", "delete", Some(rule(1, &["*"])));
        enqueue(&recorder, &proposed, None).await.unwrap();
        let job = stored(&recorder, &proposed.call).await;
        let signed = sign("bob", &statement(&job, Verdict::Approve));
        hand_in(&recorder, &job.call, signed).await.unwrap();
        let first = recorder.propose(permit(&job.call, job.expires)).await.unwrap();
        let seat = recorder.runner();
        let (recorder, seat) = again(&world, between, recorder, seat).await;
        assert_eq!(recorder.propose(permit(&job.call, job.expires)).await, Ok(first.clone()));
        let leased = claim(&seat, token(1)).await.unwrap();
        let running = recorder.propose(permit(&job.call, job.expires)).await;
        assert_eq!(running, Ok(first), "{between:?}: also while it runs");
        assert!(claim(&recorder.linked_runner(), token(2)).await.is_none(), "it runs once");
        run(&seat, &leased).await;
        let intended = |event: &&Event| **event == Event::Intended;
        assert_eq!(entries(&recorder, &job.call).await.iter().filter(intended).count(), 1);
    }
}

#[tokio::test]
async fn a_withdrawal_whose_answer_was_lost_ends_the_job_once() {
    for between in BETWEEN {
        let world = World::new();
        let recorder = open(&world).await;
        let proposed = world.job(1, "agent", "delete", Some(rule(1, &["*"])));
        enqueue(&recorder, &proposed, None).await.unwrap();
        let job = stored(&recorder, &proposed.call).await;
        let signed = sign("bob", &statement(&job, Verdict::Approve));
        hand_in(&recorder, &job.call, signed).await.unwrap();
        let withdraw = |detail: &str| {
            let event = Event::Ended { ending: "refused".to_owned(), code: "gone".to_owned() };
            let entry = Entry::of(event, Some(job.call.clone()), "agent");
            Propose::Withdraw { call: job.call.clone(), detail: detail.to_owned(), entry }
        };
        let first = recorder.propose(withdraw("it is gone")).await;
        assert!(matches!(first, Ok(Proposed::Recorded(Recorded { .. }))), "{first:?}");
        let known = entries(&recorder, &job.call).await;
        let seat = recorder.runner();
        let (recorder, _seat) = again(&world, between, recorder, seat).await;
        assert_eq!(recorder.propose(withdraw("it is gone")).await, first, "{between:?}");
        assert_eq!(entries(&recorder, &job.call).await, known, "{between:?}");
        let other = recorder.propose(withdraw("something else")).await;
        assert!(matches!(other, Err(RoleError::Refused(_))), "{other:?}");
    }
}
