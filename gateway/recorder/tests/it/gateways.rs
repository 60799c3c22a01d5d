//! Several gateways at one recorder: the same set, a rolling reload, and one that leaves.

use crate::reload::{other, permit, tool};
use crate::world::*;
use cofferdam_core::model::callers::GivenToken;
use cofferdam_core::model::id::{CallId, PolicyDigest, TokenDigest, TrustDigest};
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_recorder::{GatewaySeat, KEPT_MS, Recorder, RecorderContext};
use sqlx::Connection as _;

/// A recorder and a trust file with the policy and the tool of the world's jobs.
async fn opened(world: &World) -> (Recorder, Trust) {
    {
        let mut trust = world.trust.lock().unwrap();
        trust.policy = PolicyDigest::of(b"policy");
        trust.tools = vec![tool()];
    }
    let trust = world.trust.lock().unwrap().clone();
    (world.open().await, trust)
}

async fn serves(gateway: &GatewaySeat, trust: &Trust) {
    let (digest, trust) = (TrustDigest::of(trust.policy.as_bytes()), Box::new(trust.clone()));
    let limits = RoleLimits::default();
    let answer = gateway.propose(Propose::Serving { digest, trust, limits }).await;
    assert_eq!(answer, Ok(Proposed::Done));
}

async fn announces(gateway: &GatewaySeat, trust: &Trust) {
    let (digest, trust) = (TrustDigest::of(trust.policy.as_bytes()), Box::new(trust.clone()));
    assert_eq!(gateway.propose(Propose::Reload { digest, trust }).await, Ok(Proposed::Done));
}

/// The call that is offered to this gateway for a decision.
async fn offered(gateway: &GatewaySeat) -> Option<CallId> {
    match gateway.propose(Propose::NextApproved { wait_ms: 0 }).await.unwrap() {
        Proposed::Approved { job, .. } => job.map(|job| job.call),
        answer => panic!("{answer:?}"),
    }
}

async fn phase(recorder: &Recorder, job: &StoredJob) -> Phase {
    view(recorder, job).await.phase
}

/// True if the job was taken from the queue at some time.
async fn was_reopened(recorder: &Recorder, job: &StoredJob) -> bool {
    let reopened =
        |event: &Event| matches!(event, Event::Moved { phase: Phase::AwaitingApproval, .. });
    crate::resume::entries(recorder, &job.call).await.iter().any(reopened)
}

fn under(job: StoredJob, trust: &Trust) -> StoredJob {
    StoredJob { policy: trust.policy, ..job }
}

#[tokio::test]
async fn a_call_is_offered_to_one_gateway_and_to_another_one_when_that_one_leaves() {
    let world = World::new();
    let (recorder, trust) = opened(&world).await;
    let (one, two) = (recorder.gateway(), recorder.gateway());
    serves(&one, &trust).await;
    serves(&two, &trust).await;
    let mut calls = Vec::new();
    for number in 1..=2 {
        let asked = world.job(number, "agent", &number.to_string(), Some(rule(1, &["*"])));
        enqueue(&recorder, &asked, None).await.unwrap();
        let job = stored(&recorder, &asked.call).await;
        let signed = sign("bob", &statement(&job, Verdict::Approve));
        hand_in(&recorder, &job.call, signed).await.unwrap();
        calls.push(job.call);
    }
    assert_eq!(offered(&one).await.as_ref(), calls.first());
    assert_eq!(offered(&two).await.as_ref(), calls.last(), "not the call of the other gateway");
    assert_eq!((offered(&one).await, offered(&two).await), (None, None));
    one.left().await;
    assert_eq!(offered(&two).await.as_ref(), calls.first(), "at once, and only that one");
    assert_eq!(offered(&two).await, None);
}

#[tokio::test]
async fn a_rolling_reload_decides_each_job_of_the_old_policy_once_more_and_no_other() {
    let world = World::new();
    let (recorder, old) = opened(&world).await;
    let new = other(&world);
    let (one, two) = (recorder.gateway(), recorder.gateway());
    serves(&one, &old).await;
    serves(&two, &old).await;
    let first = world.job(1, "agent-1", "1", None);
    enqueue(&recorder, &first, None).await.unwrap();
    announces(&one, &new).await;
    serves(&one, &new).await;
    // The other gateway serves the old policy: jobs of both are claimed.
    let second = under(world.job(2, "agent-2", "2", None), &new);
    let third = world.job(3, "agent-3", "3", None);
    for job in [&second, &third] {
        enqueue(&recorder, job, None).await.unwrap();
    }
    serves(&two, &old).await;
    assert_eq!((offered(&one).await, offered(&two).await), (None, None));
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    assert_eq!(leased.job.call, first.call);
    report(&seat, &leased, prepared()).await.unwrap();
    announces(&two, &new).await;
    assert_eq!(offered(&two).await, None, "its next set decides");
    serves(&two, &new).await;
    assert_eq!(offered(&two).await, Some(third.call.clone()));
    assert_eq!(offered(&one).await, None);
    let permitted = two.propose(permit(&third, new.policy, third.expires)).await;
    assert!(matches!(permitted, Ok(Proposed::Recorded(_))), "{permitted:?}");
    assert_eq!((offered(&one).await, offered(&two).await), (None, None), "it is decided");
    for (job, reopened) in [(&first, false), (&second, false), (&third, true)] {
        assert_eq!(was_reopened(&recorder, job).await, reopened, "{}", job.call);
    }
    let rest = [next(&recorder.runner()).await, next(&recorder.runner()).await];
    let claimed: Vec<_> = rest.into_iter().flatten().map(|leased| leased.job.call).collect();
    assert_eq!(claimed, [second.call, third.call], "jobs of both are claimed");
}

#[tokio::test]
async fn jobs_of_a_gateway_that_leaves_are_decided_by_those_that_stay() {
    let world = World::new();
    let (recorder, old) = opened(&world).await;
    let new = other(&world);
    let (one, two) = (recorder.gateway(), recorder.gateway());
    serves(&one, &old).await;
    serves(&two, &new).await;
    let job = world.job(1, "agent", "1", None);
    enqueue(&recorder, &job, None).await.unwrap();
    assert_eq!((offered(&one).await, offered(&two).await), (None, None), "it is in the queue");
    one.left().await;
    assert_eq!(offered(&two).await, Some(job.call.clone()));
    // The last gateway that leaves takes no set with it: it starts again.
    let permitted = two.propose(permit(&job, new.policy, job.expires)).await;
    assert!(matches!(permitted, Ok(Proposed::Recorded(_))), "{permitted:?}");
    two.left().await;
    assert_eq!(phase(&recorder, &job).await, Phase::Queued);
    let next_one = recorder.gateway();
    assert_eq!(offered(&next_one).await, None);
    serves(&next_one, &new).await;
    assert_eq!(offered(&next_one).await, None, "its set has the policy of the job");
}

#[tokio::test]
async fn a_question_lasts_while_a_gateway_supports_it_and_that_one_decides_it() {
    let world = World::new();
    let (recorder, old) = opened(&world).await;
    let new = other(&world);
    let (one, two) = (recorder.gateway(), recorder.gateway());
    serves(&one, &old).await;
    serves(&two, &old).await;
    let asked: Vec<_> = (1..=2)
        .map(|number| world.job(number, "agent", &number.to_string(), Some(rule(1, &["*"]))))
        .collect();
    for job in &asked {
        enqueue(&recorder, job, None).await.unwrap();
    }
    announces(&one, &new).await;
    serves(&one, &new).await;
    let job = stored(&recorder, &asked[0].call).await;
    let signed = sign("bob", &statement(&job, Verdict::Approve));
    hand_in(&recorder, &job.call, signed).await.unwrap();
    assert_eq!(offered(&one).await, None, "it would have to refuse what a person signed");
    assert_eq!(offered(&two).await, Some(job.call.clone()));
    assert_eq!(view(&recorder, &asked[1]).await.outcome, None);
    announces(&two, &new).await;
    serves(&two, &new).await;
    let closed = view(&recorder, &asked[1]).await;
    assert_eq!(closed.outcome, Some(Outcome::Refused), "no gateway supports it any more");
}

/// A gateway, the tokens of its file, those that its commands ended, and those that are refused.
type Row<'a> = (&'a GatewaySeat, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

#[tokio::test]
async fn a_token_that_one_of_several_agents_files_lacks_has_not_ended() {
    let world = World::new();
    let (recorder, _) = opened(&world).await;
    let digest = |name: &str| TokenDigest::of(name.as_bytes());
    let given = |names: &[&str]| {
        names
            .iter()
            .map(|name| GivenToken { agent: (*name).to_owned(), token: digest(name) })
            .collect()
    };
    let (one, two) = (recorder.linked_gateway(), recorder.linked_gateway());
    let table: [Row<'_>; 6] = [
        (&one, &["a", "b"], &[], &[]),
        (&two, &["a"], &[], &[]),
        // The file of the other host lacks it, because it is changed later.
        (&one, &["a", "b"], &[], &[]),
        // A command ended it there.
        (&two, &["a"], &["b"], &[]),
        (&one, &["a", "b"], &[], &["b"]),
        // On one host there is one file.
        (&recorder.gateway(), &["b"], &[], &["b"]),
    ];
    for (gateway, names, ended, refused) in table {
        let ended = ended.iter().map(|name| digest(name)).collect();
        let answer = gateway.propose(Propose::Tokens { given: given(names), ended }).await;
        let tokens = refused.iter().map(|name| digest(name)).collect();
        assert_eq!(answer, Ok(Proposed::EndedTokens { tokens }), "{names:?}");
    }
    let back = one.propose(Propose::Tokens { given: given(&["a"]), ended: vec![] }).await;
    assert_eq!(back, Ok(Proposed::EndedTokens { tokens: vec![digest("a")] }), "it was missing");
}

/// Stores a job by a request of this gateway.
async fn enqueue_by(gateway: &GatewaySeat, job: &StoredJob) {
    let (job, entry) = (Box::new(job.clone()), entry(job));
    let enqueue = Propose::Enqueue { job, entry, key: None, seen: None };
    let answer = gateway.propose(enqueue).await;
    assert!(matches!(answer, Ok(Proposed::Recorded(_))), "{answer:?}");
}

/// A question under the policy of a gateway, and the job of another one in the queue.
async fn asked_and_queued(world: &World, recorder: &Recorder) -> (StoredJob, StoredJob) {
    let asked = world.job(1, "agent-1", "1", Some(rule(1, &["*"])));
    let queued = world.job(2, "agent-2", "2", None);
    for job in [&asked, &queued] {
        enqueue(recorder, job, None).await.unwrap();
    }
    (asked, queued)
}

#[tokio::test]
async fn a_gateway_of_another_host_that_may_come_back_keeps_its_questions_and_jobs() {
    // Its link is away, or the recorder restarted and the other gateway reports first.
    for restarts in [false, true] {
        let world = World::new();
        let (recorder, old) = opened(&world).await;
        let new = other(&world);
        let (one, two) = (recorder.linked_gateway(), recorder.linked_gateway());
        serves(&one, &old).await;
        serves(&two, &new).await;
        let (asked, queued) = asked_and_queued(&world, &recorder).await;
        let (recorder, two) = if restarts {
            recorder.hand_over();
            recorder.close().await;
            let context = RecorderContext { keeps_leases: true, ..world.settings() };
            let recorder = Recorder::open(context).await.unwrap();
            let two = recorder.linked_gateway();
            (recorder, two)
        } else {
            one.left().await;
            (recorder, two)
        };
        world.pass(KEPT_MS - 1);
        serves(&two, &new).await;
        if restarts {
            // It repeats a request before its own report.
            let third = world.job(3, "agent-3", "3", Some(rule(1, &["*"])));
            enqueue_by(&recorder.linked_gateway(), &third).await;
        }
        recorder.sweep().await;
        assert_eq!(offered(&two).await, None, "{restarts}: the other one decides");
        assert!(!was_reopened(&recorder, &queued).await, "{restarts}");
        assert_eq!(view(&recorder, &asked).await.outcome, None, "{restarts}");
        world.pass(1);
        recorder.sweep().await;
        assert!(was_reopened(&recorder, &queued).await, "{restarts}: it did not come back");
        assert_eq!(offered(&two).await, Some(queued.call), "{restarts}");
        let closed = view(&recorder, &asked).await;
        assert_eq!(closed.outcome, Some(Outcome::Refused), "{restarts}");
    }
}

#[tokio::test]
async fn a_gateway_that_comes_back_in_time_finds_its_questions_and_jobs() {
    let world = World::new();
    let (recorder, old) = opened(&world).await;
    let new = other(&world);
    let (one, two) = (recorder.linked_gateway(), recorder.linked_gateway());
    serves(&one, &old).await;
    serves(&two, &new).await;
    let (asked, queued) = asked_and_queued(&world, &recorder).await;
    one.left().await;
    world.pass(KEPT_MS - 1);
    serves(&recorder.linked_gateway(), &old).await;
    world.pass(KEPT_MS);
    recorder.sweep().await;
    assert!(!was_reopened(&recorder, &queued).await);
    assert_eq!(view(&recorder, &asked).await.outcome, None);
}

#[tokio::test]
async fn each_announced_set_has_its_end_in_the_ledger() {
    // The gateway ends between the two: it starts again, or another one goes on.
    for goes_on in [false, true] {
        let world = World::new();
        let (recorder, old) = opened(&world).await;
        let new = other(&world);
        let one = recorder.gateway();
        serves(&one, &old).await;
        let two = recorder.gateway();
        if goes_on {
            serves(&two, &old).await;
        }
        announces(&one, &new).await;
        one.left().await;
        if !goes_on {
            serves(&recorder.gateway(), &new).await;
        }
        recorder.close().await;
        let store = cofferdam_recorder::database(&world.folder.path().join("store"));
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(store);
        let mut store = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        let words: Vec<String> = sqlx::query_scalar(
            "SELECT entry ->> '$.event.what' FROM leaves WHERE entry ->> '$.event.what' IN \
             ('reload', 'reloaded', 'not-loaded') ORDER BY idx",
        )
        .fetch_all(&mut store)
        .await
        .unwrap();
        let end = if goes_on { "not-loaded" } else { "reloaded" };
        assert_eq!(words, ["reload", end], "{goes_on}");
    }
}
