//! Reloads: each is an entry, and an operator's request is answered by its own end.

use crate::leases::noticed;
use crate::world::*;
use cofferdam_core::model::ceiling::Ceiling;
use cofferdam_core::model::id::{ComponentDigest, PolicyDigest, TrustDigest};
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::permit::SignedPermit;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::model::trust::{Trust, TrustedTool};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Loaded, Notice, Operate, Operated, Reload};
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use cofferdam_recorder::{Recorder, RecorderContext};
use std::sync::Arc;

/// The index of the next entry.
async fn next_index(recorder: &Recorder, number: u128) -> u64 {
    match end(recorder, number).await {
        Ok(Proposed::Recorded(recorded)) => recorded.index + 1,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reload_is_an_entry_before_and_after_and_a_gateway_that_starts_again_is_none() {
    let world = World::new();
    let recorder = world.open().await;
    let mut index = next_index(&recorder, 1).await;
    let table: [(&[u8], bool, u64); 8] = [
        // The digest of the recorder's own trust file, with which it started.
        (b"trust", false, 0),
        (b"new", true, 1),
        (b"new", false, 1),
        (b"new", false, 0),
        // A reload of the same files.
        (b"new", true, 1),
        (b"new", false, 1),
        // An announced set that is not used: that is an entry too.
        (b"broken", true, 1),
        (b"new", false, 1),
    ];
    for (number, (text, announced, entries)) in (2..).zip(table) {
        let trust = Box::new(world.trust.lock().unwrap().clone());
        let digest = TrustDigest::of(text);
        let propose = if announced {
            Propose::Reload { digest, trust }
        } else {
            Propose::Serving { digest, trust, limits: RoleLimits::default() }
        };
        assert_eq!(recorder.propose(propose).await, Ok(Proposed::Done));
        let now = next_index(&recorder, number).await;
        assert_eq!(now - index - 1, entries, "{number}");
        index = now;
    }
}

#[tokio::test]
async fn a_request_for_a_reload_is_answered_by_no_earlier_one() {
    let world = World::new();
    let (asked, mut asks) = tokio::sync::mpsc::unbounded_channel();
    let reload = Arc::new(move |request| asked.send(request).unwrap());
    let recorder = Recorder::open(RecorderContext { reload, ..world.settings() }).await.unwrap();
    let loaded = Loaded::of(&world.trust.lock().unwrap(), TrustDigest::of(b"trust"), world.now());
    let know = |request, refused: Option<&str>| {
        let refused = refused.map(str::to_owned);
        let reload = Some(Reload { request, at: world.now(), refused });
        recorder.know(Notice { loaded: Some(loaded.clone()), reload, ..Notice::default() });
    };
    let mut last = 0;
    for refused in [None, Some("the tool `t` is gone")] {
        let waiting = tokio::spawn({
            let recorder = recorder.clone();
            async move { recorder.operate(1000, Operate::Reload).await }
        });
        let request = asks.recv().await.unwrap();
        assert!(request > last, "{request} {last}");
        // The end of an earlier reload.
        know(request - 1, Some("an earlier one"));
        tokio::task::yield_now().await;
        know(request, refused);
        let refused = refused.map(str::to_owned);
        let loaded = loaded.clone();
        assert_eq!(waiting.await.unwrap(), Ok(Operated::Reloaded { loaded, refused }));
        last = request;
    }
}

/// A policy that replaces that of the world's jobs.
pub fn other(world: &World) -> Trust {
    Trust { policy: PolicyDigest::of(b"other"), ..world.trust.lock().unwrap().clone() }
}

/// The call that is offered for a decision, if there is one.
async fn offered(recorder: &Recorder) -> Option<StoredJob> {
    match recorder.propose(Propose::NextApproved { wait_ms: 0 }).await.unwrap() {
        Proposed::Approved { job, .. } => job.map(|job| *job),
        answer => panic!("{answer:?}"),
    }
}

pub async fn set(recorder: &Recorder, trust: &Trust, announced: bool) {
    let (digest, trust) = (TrustDigest::of(trust.policy.as_bytes()), Box::new(trust.clone()));
    let propose = if announced {
        Propose::Reload { digest, trust }
    } else {
        Propose::Serving { digest, trust, limits: RoleLimits::default() }
    };
    assert_eq!(recorder.propose(propose).await, Ok(Proposed::Done));
}

pub fn permit(job: &StoredJob, policy: PolicyDigest, expires: jiff::Timestamp) -> Propose {
    let mut entry = Entry::of(Event::Intended, Some(job.call.clone()), "agent");
    entry.policy = Some(policy);
    let permit = SignedPermit { permit: "{}".to_owned(), signature: String::new() };
    Propose::Permit { call: job.call.clone(), permit, entry, expires }
}

/// A recorder whose own trust file has the policy of the world's jobs, with one queued job.
async fn queued(world: &World) -> (Recorder, Trust, StoredJob) {
    world.trust.lock().unwrap().policy = PolicyDigest::of(b"policy");
    let recorder = world.open().await;
    let job = world.job(1, "agent", "scale", None);
    assert!(matches!(enqueue(&recorder, &job, None).await, Ok(Proposed::Recorded(_))));
    let trust = world.trust.lock().unwrap().clone();
    (recorder, trust, job)
}

#[tokio::test]
async fn a_queued_job_is_withheld_until_the_new_policy_decided_it() {
    let world = World::new();
    let (recorder, _, first) = queued(&world).await;
    let (seat, new) = (recorder.runner(), other(&world));
    set(&recorder, &new, true).await;
    // A call that began before the reload.
    let second = world.job(2, "agent", "restart", None);
    assert!(matches!(enqueue(&recorder, &second, None).await, Ok(Proposed::Recorded(_))));
    assert_eq!(next(&seat).await, None, "no runner gets a permit of the old policy");
    assert_eq!(offered(&recorder).await, None, "the old policy decides nothing more");
    set(&recorder, &new, false).await;
    for job in [first, second] {
        assert_eq!(next(&seat).await, None);
        let again = offered(&recorder).await.unwrap();
        assert_eq!((&again.call, again.permit.is_some()), (&job.call, true));
        let expires = world.now() + jiff::SignedDuration::from_mins(5);
        let done = recorder.propose(permit(&job, new.policy, expires)).await;
        assert!(matches!(done, Ok(Proposed::Recorded(_))), "{done:?}");
        assert_eq!(stored(&recorder, &job.call).await.policy, new.policy);
        let own = recorder.runner();
        let leased = next(&own).await.unwrap();
        assert_eq!((&leased.job.call, leased.job.policy), (&job.call, new.policy));
        run(&own, &leased).await;
    }
}

#[tokio::test]
async fn a_reload_that_is_not_used_leaves_queued_jobs_to_the_policy_before() {
    let world = World::new();
    let (recorder, old, job) = queued(&world).await;
    set(&recorder, &other(&world), true).await;
    set(&recorder, &old, false).await;
    assert_eq!(offered(&recorder).await.map(|job| job.call), Some(job.call.clone()));
    let expires = world.now() + jiff::SignedDuration::from_mins(5);
    let done = recorder.propose(permit(&job, old.policy, expires)).await;
    assert!(matches!(done, Ok(Proposed::Recorded(_))), "{done:?}");
    assert_eq!(next(&recorder.runner()).await.unwrap().job.policy, old.policy);
}

#[tokio::test]
async fn calls_that_people_signed_are_decided_before_queued_jobs_of_a_replaced_policy() {
    let world = World::new();
    let (recorder, _, queued) = queued(&world).await;
    let new = Trust { tools: vec![tool()], ..other(&world) };
    set(&recorder, &new, true).await;
    set(&recorder, &new, false).await;
    let mut asked = world.job(2, "other", "delete", Some(rule(1, &["*"])));
    asked.policy = new.policy;
    enqueue(&recorder, &asked, None).await.unwrap();
    let signed = sign("bob", &statement(&stored(&recorder, &asked.call).await, Verdict::Approve));
    let signing = Operate::Sign { call: asked.call.clone(), signed };
    let done = recorder.operate(1000, signing).await;
    assert!(matches!(done, Ok(Operated::Signed { missing: 0, .. })), "{done:?}");
    for job in [asked, queued] {
        assert_eq!(offered(&recorder).await.map(|job| job.call), Some(job.call));
    }
}

#[tokio::test]
async fn a_question_of_a_call_that_began_before_a_reload_is_closed_at_once() {
    let world = World::new();
    let recorder = world.open().await;
    let new = Trust { tools: vec![tool()], ..other(&world) };
    set(&recorder, &new, true).await;
    set(&recorder, &new, false).await;
    let asks = |number| world.job(number, "agent", &number.to_string(), Some(rule(1, &["*"])));
    let (old, mut other_tool, mut present) = (asks(1), asks(2), asks(3));
    (other_tool.policy, present.policy) = (new.policy, new.policy);
    other_tool.tool_digest = ComponentDigest::of(b"before");
    let table =
        [(old, "the policy was replaced"), (other_tool, "the tool was replaced"), (present, "")];
    for (job, why) in table {
        enqueue(&recorder, &job, None).await.unwrap();
        let view = view(&recorder, &job).await;
        assert_eq!(view.outcome.is_some(), !why.is_empty(), "{view:?}");
        assert!(view.detail.starts_with(why), "{view:?}");
    }
}

/// The tool of the world's jobs.
pub fn tool() -> TrustedTool {
    let ceiling = Ceiling { grants: vec![], executors: vec![] };
    let (name, version) = ("deployment_scale".to_owned(), "1.0.0".to_owned());
    TrustedTool { name, version, digest: ComponentDigest::of(b"tool"), ceiling }
}

#[tokio::test]
async fn a_job_that_is_decided_once_more_is_no_question_to_people() {
    let world = World::new();
    let (recorder, _, job) = queued(&world).await;
    set(&recorder, &other(&world), true).await;
    let waiting = Operate::Jobs { waiting: true, limit: 10, before: None };
    assert_eq!(recorder.operate(1000, waiting).await, Ok(Operated::Jobs { jobs: vec![] }));
    let signed = sign("bob", &statement(&stored(&recorder, &job.call).await, Verdict::Approve));
    let refused = recorder.operate(1000, Operate::Sign { call: job.call.clone(), signed }).await;
    assert!(matches!(refused, Err(RoleError::Refused(_))), "{refused:?}");
    // Agents and operators read that it is queued.
    assert_eq!(view(&recorder, &job).await.phase, Phase::Queued);
    let Ok(Proposed::Counts(counts)) = recorder.propose(Propose::Counts).await else { panic!() };
    let count = |phase| counts.phases.get(&phase).copied().unwrap_or(0);
    assert_eq!((count(Phase::AwaitingApproval), count(Phase::Queued)), (0, 1));
    let look = recorder.operate(1000, Operate::Preview { call: job.call.clone() }).await;
    assert!(matches!(look, Err(RoleError::Refused(_))), "{look:?}");
}

#[tokio::test]
async fn a_reload_waits_for_a_runner_that_checks_a_job_of_the_policy_before() {
    let world = World::new();
    let (recorder, _, _) = queued(&world).await;
    let new = other(&world);
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    let announcing = tokio::spawn({
        let (recorder, new) = (recorder.clone(), new.clone());
        async move { set(&recorder, &new, true).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(!announcing.is_finished(), "the runner has not admitted it yet");
    report(&seat, &leased, prepared()).await.unwrap();
    announcing.await.unwrap();
    set(&recorder, &new, false).await;
    assert_eq!(offered(&recorder).await, None, "the runner has it");
    for event in [RunnerEvent::Acting, started(0), done(0), finished(Outcome::Succeeded), gone()] {
        report(&seat, &leased, event).await.unwrap();
    }
}

#[tokio::test]
async fn a_job_of_a_lost_runner_is_decided_once_more_and_its_namespace_is_removed() {
    let world = World::new();
    let (recorder, _, job) = queued(&world).await;
    let new = other(&world);
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    report(&seat, &leased, prepared()).await.unwrap();
    drop(seat);
    noticed(&recorder, &job, Phase::Queued).await;
    set(&recorder, &new, true).await;
    set(&recorder, &new, false).await;
    assert_eq!(offered(&recorder).await.map(|job| job.call), Some(job.call.clone()));
    let event = Event::Ended { ending: "denied".to_owned(), code: "replicas-limit".to_owned() };
    let entry = Entry::of(event, Some(job.call.clone()), "agent");
    let detail = "40 replicas are more than 20".to_owned();
    let withdraw = Propose::Withdraw { call: job.call.clone(), detail, entry };
    assert!(matches!(recorder.propose(withdraw).await, Ok(Proposed::Recorded(_))));
    assert_eq!(view(&recorder, &job).await.outcome, Some(Outcome::Refused));
    let seat = recorder.runner();
    let last = next(&seat).await.unwrap();
    assert_eq!((last.phase, last.outcome), (Phase::TearingDown, Some(Outcome::Refused)));
    assert_eq!(last.earlier.len(), 1, "{:?}", last.earlier);
}
