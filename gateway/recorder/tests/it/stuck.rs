//! Jobs that cannot go on: kept apart with their cause, tried again with a growing pause by one
//! runner at a time, no obstacle to others, and given up by a person alone.

use crate::world::*;
use cofferdam_core::model::difference::{Difference, Drifted};
use cofferdam_core::model::job::{Found, LeasedJob, Obstacle, StoredJob, Stuck, StuckJob};
use cofferdam_core::model::limit::OBSTACLE;
use cofferdam_core::model::operation::Target;
use cofferdam_core::model::run::{ATTEMPTS, Outcome, Phase};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed, RunnerEvent};
use cofferdam_recorder::{Recorder, RunnerSeat};

fn obstacle(cause: &str) -> Obstacle {
    Obstacle::new(cause, "make it writable")
}

async fn let_go(seat: &RunnerSeat, job: &LeasedJob, cause: &str) -> Result<Claimed, RoleError> {
    seat.claim(Claim::LetGo {
        call: job.job.call.clone(),
        fence: job.fence,
        obstacle: obstacle(cause),
    })
    .await
}

async fn acting(seat: &RunnerSeat) -> Box<LeasedJob> {
    let leased = next(seat).await.unwrap();
    for event in [prepared(), RunnerEvent::Acting, started(0), done(0)] {
        report(seat, &leased, event).await.unwrap();
    }
    leased
}

async fn entries(recorder: &Recorder) -> u64 {
    match recorder.propose(Propose::Head).await.unwrap() {
        Proposed::Head { size, .. } => size,
        other => panic!("{other:?}"),
    }
}

async fn listed(recorder: &Recorder) -> Vec<StuckJob> {
    match recorder.propose(Propose::Runners).await.unwrap() {
        Proposed::Runners { stuck, .. } => stuck,
        other => panic!("{other:?}"),
    }
}

async fn resolve(
    recorder: &Recorder,
    job: &StoredJob,
    found: Found,
) -> Result<Operated, RoleError> {
    let because = "the tree is thrown away".to_owned();
    recorder.operate(1000, Operate::Resolve { call: job.call.clone(), found, because }).await
}

#[tokio::test]
async fn a_stuck_job_keeps_its_cause_takes_no_place_and_fills_no_ledger() {
    let world = World::new();
    let recorder = world.open().await;
    let (job, other) = (world.job(1, "agent", "scale", None), world.job(2, "agent", "other", None));
    enqueue(&recorder, &job, None).await.unwrap();
    let seat = recorder.runner();
    let first = acting(&seat).await;
    let began = world.now();
    assert_eq!(let_go(&seat, &first, "`web.yaml` cannot be replaced").await, Ok(Claimed::Released));
    assert_eq!(report(&seat, &first, done(0)).await, Err(RoleError::Fenced), "its lease is over");
    let seen = view(&recorder, &job).await;
    let stuck =
        |tries| Stuck { obstacle: obstacle("`web.yaml` cannot be replaced"), since: began, tries };
    assert_eq!((seen.phase, seen.outcome, seen.stuck), (Phase::Acting, None, Some(stuck(1))));
    assert_eq!(
        listed(&recorder).await,
        [StuckJob { call: job.call.clone(), phase: Phase::Acting, stuck: stuck(1) }]
    );
    // During its pause no runner can claim it; a job behind it can be claimed.
    enqueue(&recorder, &other, None).await.unwrap();
    let free = recorder.runner();
    run(&free, &next(&free).await.unwrap()).await;
    assert!(next(&free).await.is_none());
    // Tries leave no entries, whatever comes of them: a further obstacle, or a runner that is lost.
    let before = entries(&recorder).await;
    let mut pauses = Vec::new();
    for tries in 2..12 {
        let seat = recorder.runner();
        let mut pause = 0;
        let again = loop {
            match next(&seat).await {
                Some(again) => break again,
                None => world.pass(500),
            }
            pause += 500;
        };
        pauses.push(pause);
        assert_eq!((again.phase, again.given_up.clone()), (Phase::Acting, None));
        let_go(&seat, &again, "`web.yaml` cannot be replaced").await.unwrap();
        assert_eq!(view(&recorder, &job).await.stuck, Some(stuck(tries)));
    }
    assert_eq!(
        pauses,
        [1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000]
    );
    assert_eq!(entries(&recorder).await, before);
    // The cause is gone: it ends as it would have, under the lease that did it.
    world.pass(10_000);
    let seat = recorder.runner();
    let last = next(&seat).await.unwrap();
    assert!(last.fence > first.fence);
    report(&seat, &last, finished(Outcome::Succeeded)).await.unwrap();
    let seen = view(&recorder, &job).await;
    assert_eq!(
        (seen.outcome, seen.stuck, listed(&recorder).await),
        (Some(Outcome::Succeeded), None, vec![])
    );
    report(&seat, &last, gone()).await.unwrap();
    assert_eq!(entries(&recorder).await, before + 3, "leased, finished, closed");
}

#[tokio::test]
async fn of_stuck_jobs_one_at_a_time_is_tried() {
    let world = World::new();
    let recorder = world.open().await;
    for number in 1..=3 {
        let job = world.job(number, "agent", &format!("plan {number}"), None);
        enqueue(&recorder, &job, None).await.unwrap();
        let seat = recorder.runner();
        let leased = acting(&seat).await;
        let_go(&seat, &leased, "read-only").await.unwrap();
    }
    world.pass(1_000);
    let (seat, other) = (recorder.runner(), recorder.runner());
    let tried = next(&seat).await.unwrap();
    assert!(next(&other).await.is_none(), "a second place is kept for others");
    let_go(&seat, &tried, "read-only").await.unwrap();
    assert_ne!(next(&other).await.unwrap().job.call, tried.job.call);
}

#[tokio::test]
async fn a_waiting_runner_is_woken_when_a_stuck_job_is_due() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let seat = recorder.runner();
    let leased = acting(&seat).await;
    let_go(&seat, &leased, "read-only").await.unwrap();
    let waiting =
        tokio::spawn(async move { seat.claim(Claim::Next { wait_ms: 60_000, token: None }).await });
    world.pass(1_000);
    let Ok(Ok(Claimed::Leased { job: Some(again) })) = waiting.await else {
        panic!("it was not woken")
    };
    assert_eq!(again.job.call, job.call);
}

#[tokio::test]
async fn what_cannot_begin_goes_back_to_the_queue_with_its_cause_and_dies_of_it() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    for attempt in 1..=ATTEMPTS {
        world.pass(10_000);
        let seat = recorder.runner();
        let leased = next(&seat).await.unwrap();
        assert_eq!(view(&recorder, &job).await.stuck, None, "a first run is no further try");
        let_go(&seat, &leased, "the API server is away").await.unwrap();
        let seen = view(&recorder, &job).await;
        if attempt < ATTEMPTS {
            assert_eq!(
                (seen.phase, seen.stuck.map(|stuck| stuck.tries)),
                (Phase::Queued, Some(attempt))
            );
        } else {
            assert_eq!(
                (seen.phase, seen.outcome, seen.stuck),
                (Phase::TearingDown, Some(Outcome::Dead), None)
            );
            assert!(
                seen.detail
                    .ends_with("; the last one says: the API server is away; make it writable"),
                "{}",
                seen.detail
            );
        }
    }
}

#[tokio::test]
async fn a_person_gives_up_what_is_stuck_once_and_learns_the_end() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let seat = recorder.runner();
    let leased = acting(&seat).await;
    let refused = resolve(&recorder, &job, Found::Failed).await;
    assert!(
        matches!(&refused, Err(RoleError::Refused(why)) if why.contains("no outcome yet: it is acting")),
        "{refused:?}"
    );
    let_go(&seat, &leased, "read-only").await.unwrap();
    let refused = resolve(&recorder, &job, Found::Succeeded).await;
    assert!(
        matches!(&refused, Err(RoleError::Refused(why)) if why.contains("`--as failed` gives it up")),
        "{refused:?}"
    );
    resolve(&recorder, &job, Found::Failed).await.unwrap();
    let refused = resolve(&recorder, &job, Found::Failed).await;
    assert!(
        matches!(&refused, Err(RoleError::Refused(why)) if why.contains("given up already")),
        "{refused:?}"
    );
    // At once, and the runner is told what the person said.
    let again = next(&seat).await.unwrap();
    assert_eq!(
        again.given_up.as_ref().map(|given| given.because.as_str()),
        Some("the tree is thrown away")
    );
    report(&seat, &again, finished(Outcome::Indeterminate)).await.unwrap();
    let seen = view(&recorder, &job).await;
    assert_eq!(
        (seen.outcome, seen.resolution.map(|given| given.found)),
        (Some(Outcome::Indeterminate), Some(Found::Failed))
    );
}

#[tokio::test]
async fn an_end_that_is_known_takes_the_place_of_giving_up() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let seat = recorder.runner();
    let leased = acting(&seat).await;
    let_go(&seat, &leased, "read-only").await.unwrap();
    resolve(&recorder, &job, Found::Failed).await.unwrap();
    let again = next(&seat).await.unwrap();
    let files = vec!["shop/web.yaml".to_owned()];
    let [group, version, kind, namespace, name] =
        ["apps", "v1", "Deployment", "shop", "web"].map(str::to_owned);
    let target = Target { group, version, kind, namespace, name };
    let meanwhile = vec![Difference { target, what: Drifted::Elsewhere }];
    let event = RunnerEvent::Finished {
        outcome: Outcome::Succeeded,
        code: "recovered".to_owned(),
        detail: "d".to_owned(),
        files: files.clone(),
        meanwhile: meanwhile.clone(),
    };
    report(&seat, &again, event).await.unwrap();
    let seen = view(&recorder, &job).await;
    assert_eq!(
        (seen.outcome, seen.resolution, seen.files),
        (Some(Outcome::Succeeded), None, files)
    );
    assert_eq!(
        (seen.detail.as_str(), seen.meanwhile),
        ("d", meanwhile),
        "apart from the words on the outcome"
    );
}

#[tokio::test]
async fn a_job_that_cannot_be_read_is_set_apart_and_the_next_one_runs() {
    let world = World::new();
    let recorder = world.open().await;
    let (job, other) = (world.job(1, "agent", "scale", None), world.job(2, "agent", "other", None));
    enqueue(&recorder, &job, None).await.unwrap();
    recorder.close().await;
    let path = world.folder.path().join("store/cofferdam.db");
    let mut database =
        <sqlx::SqliteConnection as sqlx::Connection>::connect(path.to_str().unwrap())
            .await
            .unwrap();
    sqlx::query("UPDATE jobs SET document = '{'").execute(&mut database).await.unwrap();
    sqlx::Connection::close(database).await.unwrap();
    let recorder = world.open().await;
    enqueue(&recorder, &other, None).await.unwrap();
    let seat = recorder.runner();
    assert_eq!(next(&seat).await.unwrap().job.call, other.call);
    let stuck = listed(&recorder).await;
    assert_eq!(stuck[0].call, job.call);
    assert!(stuck[0].stuck.obstacle.cause.contains("the store's job is not readable"), "{stuck:?}");
}

#[tokio::test]
async fn an_obstacle_is_bounded() {
    let world = World::new();
    let (recorder, _) = world.queued().await;
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    assert!(matches!(
        let_go(&seat, &leased, &"x".repeat(OBSTACLE + 1)).await,
        Err(RoleError::Refused(_))
    ));
    let_go(&seat, &leased, &"x".repeat(OBSTACLE)).await.unwrap();
}

/// How long a stuck job waits for its turn behind others.
const TURN_MS: i64 = 60_000;

#[tokio::test]
async fn a_job_that_waits_comes_before_one_that_is_stuck_for_a_minute() {
    let world = World::new();
    let recorder = world.open().await;
    let job = world.job(1, "agent", "held", None);
    enqueue(&recorder, &job, None).await.unwrap();
    let seat = recorder.runner();
    let leased = acting(&seat).await;
    report(&seat, &leased, finished(Outcome::Succeeded)).await.unwrap();
    let_go(&seat, &leased, "its namespace is held").await.unwrap();
    world.pass(1_000);
    // Both are due: with one place, the one that waits takes it.
    for number in 2..=4 {
        let other = world.job(number, "agent", &format!("plan {number}"), None);
        enqueue(&recorder, &other, None).await.unwrap();
        let seat = recorder.runner();
        let next = next(&seat).await.unwrap();
        assert_eq!(next.job.call, other.call);
        run(&seat, &next).await;
    }
    // Under a load without an end it has its turn all the same.
    world.pass(TURN_MS);
    enqueue(&recorder, &world.job(5, "agent", "plan 5", None), None).await.unwrap();
    let seat = recorder.runner();
    assert_eq!(next(&seat).await.unwrap().job.call, job.call);
}
