//! Approval: who may sign what, quorum, rejection, the way back to the gateway, erasing.

use crate::world::*;
use cofferdam_core::model::call::Rejected;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::{Found, Resolution};
use cofferdam_core::model::permit::SignedPermit;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::model::statement::{SignedStatement, Verdict};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{FreshPreview, Operate, Operated};
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use cofferdam_recorder::Recorder;
use std::cell::Cell;

async fn approved(recorder: &Recorder) -> Option<CallId> {
    match recorder.propose(Propose::NextApproved { wait_ms: 0 }).await.unwrap() {
        Proposed::Approved { job, .. } => job.map(|job| job.call),
        other => panic!("{other:?}"),
    }
}

pub fn permit(call: &CallId, expires: jiff::Timestamp) -> Propose {
    let permit = SignedPermit { permit: "{}".to_owned(), signature: String::new() };
    Propose::Permit {
        call: call.clone(),
        permit,
        entry: Entry::of(Event::Intended, Some(call.clone()), "agent"),
        expires,
    }
}

#[tokio::test]
async fn a_quorum_signs_the_gateway_decides_again_and_it_runs_once() {
    let world = World::new();
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(rule(2, &["*"])));
    enqueue(&recorder, &proposed, None).await.unwrap();
    let job = stored(&recorder, &proposed.call).await;
    assert_eq!(job.nonce.len(), 32, "the question's nonce is the recorder's");
    assert!(next(&recorder.runner()).await.is_none());
    assert!(matches!(
        recorder.propose(permit(&job.call, job.expires)).await,
        Err(RoleError::Refused(_))
    ));
    let approve = statement(&job, Verdict::Approve);
    assert_eq!(
        hand_in(&recorder, &job.call, sign("bob", &approve)).await,
        Ok(("bob".to_owned(), 1))
    );
    assert!(
        matches!(
            hand_in(&recorder, &job.call, sign("bob", &approve)).await,
            Err(RoleError::Refused(_))
        ),
        "one person signs once"
    );
    assert_eq!(approved(&recorder).await, None);
    assert_eq!(
        hand_in(&recorder, &job.call, sign("carl", &approve)).await,
        Ok(("carl".to_owned(), 0))
    );
    assert_eq!(approved(&recorder).await, Some(job.call.clone()));
    assert_eq!(approved(&recorder).await, None, "offered once");
    world.pass(31_000);
    assert_eq!(
        approved(&recorder).await,
        Some(job.call.clone()),
        "and again when nothing came of it"
    );
    recorder.gateway_gone().await;
    assert_eq!(approved(&recorder).await, Some(job.call.clone()), "or when the gateway is another");
    let later = job.expires + jiff::SignedDuration::from_mins(5);
    let first = recorder.propose(permit(&job.call, later)).await;
    assert!(matches!(first, Ok(Proposed::Recorded(_))), "{first:?}");
    assert_eq!(recorder.propose(permit(&job.call, later)).await, first, "the same request");
    let Propose::Permit { call, entry, expires, .. } = permit(&job.call, later) else { panic!() };
    let other = SignedPermit { permit: "{}".to_owned(), signature: "other".to_owned() };
    let second = Propose::Permit { call, permit: other, entry, expires };
    assert!(matches!(recorder.propose(second).await, Err(RoleError::Refused(_))));
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    assert_eq!(
        (leased.job.statements.len(), leased.job.permit.is_some(), leased.job.expires),
        (2, true, later)
    );
    run(&seat, &leased).await;
    assert!(next(&seat).await.is_none());
    assert!(matches!(
        hand_in(&recorder, &job.call, sign("carl", &approve)).await,
        Err(RoleError::Refused(_))
    ));
}

#[tokio::test]
async fn a_signature_that_is_not_for_this_question_by_whom_policy_names_is_refused() {
    let world = World::new();
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(rule(1, &["ann", "bob"])));
    enqueue(&recorder, &proposed, None).await.unwrap();
    let job = stored(&recorder, &proposed.call).await;
    let good = statement(&job, Verdict::Approve);
    let mut nonce = good.clone();
    nonce.nonce = "0".repeat(32);
    let mut expiry = good.clone();
    expiry.expires = good.expires + jiff::SignedDuration::from_mins(60);
    let mut plan = good.clone();
    plan.plan = cofferdam_core::model::id::PlanDigest::of(b"another");
    let mut shown = good.clone();
    shown.shown = cofferdam_core::model::id::ShownDigest::of(b"what a lying screen showed");
    let swapped = SignedStatement { statement: sign("bob", &plan).statement, ..sign("bob", &good) };
    for (signed, why) in [
        (sign("bob", &nonce), "another question"),
        (sign("bob", &expiry), "another expiry"),
        (sign("bob", &plan), "another plan"),
        (sign("bob", &shown), "another text"),
        (swapped, "not enrolled"),
        (sign("carl", &good), "does not name"),
        (sign("ann", &good), "cannot approve it"),
        (sign("mallory", &good), "not enrolled"),
    ] {
        let Err(RoleError::Refused(told)) = hand_in(&recorder, &job.call, signed).await else {
            panic!("{why}")
        };
        assert!(told.contains(why), "{told}");
    }
    // A person who was struck from the trust file counts no more, without a restart.
    world.trust.lock().unwrap().approvers.retain(|approver| approver.name != "bob");
    assert!(matches!(
        hand_in(&recorder, &job.call, sign("bob", &good)).await,
        Err(RoleError::Refused(_))
    ));
    world.pass(11 * MINUTE);
    assert!(matches!(
        hand_in(&recorder, &job.call, sign("bob", &good)).await,
        Err(RoleError::Refused(_))
    ));
    recorder.sweep().await;
    assert_eq!(view(&recorder, &job).await.outcome, Some(Outcome::Expired));
}

#[tokio::test]
async fn two_spellings_of_one_person_sign_once() {
    let world = World::new();
    for name in ["bob@example.com", "Bob"] {
        let key = ssh_key(name).public_key().to_openssh().unwrap();
        world
            .trust
            .lock()
            .unwrap()
            .approvers
            .push(cofferdam_core::model::trust::Approver { name: name.to_owned(), key });
    }
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(rule(2, &["*"])));
    enqueue(&recorder, &proposed, None).await.unwrap();
    let job = stored(&recorder, &proposed.call).await;
    let approve = statement(&job, Verdict::Approve);
    assert_eq!(
        hand_in(&recorder, &job.call, sign("bob", &approve)).await,
        Ok(("bob".to_owned(), 1))
    );
    for name in ["bob@example.com", "Bob"] {
        let told =
            format!("`{name}` has signed this already, as `bob`: both names count as one person");
        assert_eq!(
            hand_in(&recorder, &job.call, sign(name, &approve)).await,
            Err(RoleError::Refused(told))
        );
    }
    assert_eq!(approved(&recorder).await, None);
    assert_eq!(
        hand_in(&recorder, &job.call, sign("carl", &approve)).await,
        Ok(("carl".to_owned(), 0))
    );
}

#[tokio::test]
async fn a_rejection_ends_the_job_and_is_remembered_for_its_time() {
    let world = World::new();
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(rule(2, &["*"])));
    enqueue(&recorder, &proposed, None).await.unwrap();
    let job = stored(&recorder, &proposed.call).await;
    let reject = sign("bob", &statement(&job, Verdict::Reject));
    assert_eq!(hand_in(&recorder, &job.call, reject).await, Ok(("bob".to_owned(), 0)));
    let view = view(&recorder, &job).await;
    assert_eq!(
        (view.phase, view.outcome, view.detail.as_str()),
        (Phase::Closed, Some(Outcome::Rejected), "not during the freeze")
    );
    let ask = Propose::Rejection { principal: "agent".to_owned(), plan: job.plan_digest };
    let (at, until) = (world.now(), world.now() + jiff::SignedDuration::from_hours(1));
    let rejected = Rejected {
        approver: "bob".to_owned(),
        reason: "not during the freeze".to_owned(),
        at,
        until,
    };
    assert_eq!(
        recorder.propose(ask.clone()).await,
        Ok(Proposed::Rejection { rejected: Some(rejected) })
    );
    let other = Propose::Rejection { principal: "other".to_owned(), plan: job.plan_digest };
    assert_eq!(recorder.propose(other).await, Ok(Proposed::Rejection { rejected: None }));
    world.pass(61 * MINUTE);
    assert_eq!(recorder.propose(ask).await, Ok(Proposed::Rejection { rejected: None }));
}

#[tokio::test]
async fn the_gateway_may_say_no_after_approval() {
    let world = World::new();
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(rule(1, &["*"])));
    enqueue(&recorder, &proposed, None).await.unwrap();
    let job = stored(&recorder, &proposed.call).await;
    hand_in(&recorder, &job.call, sign("bob", &statement(&job, Verdict::Approve))).await.unwrap();
    let event = Event::Ended { ending: "refused".to_owned(), code: "state-changed".to_owned() };
    let entry = Entry::of(event, Some(job.call.clone()), "agent");
    let withdraw = Propose::Withdraw {
        call: job.call.clone(),
        detail: "the state is another by now".to_owned(),
        entry,
    };
    assert!(matches!(recorder.propose(withdraw).await, Ok(Proposed::Recorded(_))));
    assert_eq!(view(&recorder, &job).await.outcome, Some(Outcome::Refused));
    assert_eq!(approved(&recorder).await, None);
}

#[tokio::test]
async fn operators_see_everything_and_a_use_that_reads_payloads_is_an_entry() {
    let world = World::new();
    let recorder = world.open().await;
    enqueue(&recorder, &world.job(1, "agent", "scale", None), None).await.unwrap();
    enqueue(&recorder, &world.job(2, "agent", "delete", Some(rule(1, &["*"]))), None)
        .await
        .unwrap();
    let Operated::Jobs { jobs } = recorder
        .operate(1000, Operate::Jobs { waiting: true, limit: 10, before: None })
        .await
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(
        (jobs.len(), jobs[0].summary.as_str(), jobs[0].person.as_deref()),
        (1, "delete", Some("ann"))
    );
    let _gateway = recorder.role("gateway");
    let Operated::Status { phases, entries, checkpoint, disk, refuses, roles, .. } =
        recorder.operate(1000, Operate::Status).await.unwrap()
    else {
        panic!()
    };
    let disk = disk.map(|disk| (disk.free_bytes, disk.reserve_bytes));
    assert_eq!((disk, refuses, roles["gateway"]), (Some((50, 10)), None, 1));
    assert_eq!(
        (phases[&Phase::Queued], phases[&Phase::AwaitingApproval], entries),
        (1, 1, 3),
        "looks at states are no entries"
    );
    assert!(checkpoint.starts_with("cofferdam.dev/4f2a\n3\n"), "{checkpoint}");
    let asked = stored(&recorder, &call(2)).await;
    hand_in(&recorder, &asked.call, sign("bob", &statement(&asked, Verdict::Approve)))
        .await
        .unwrap();
    let Operated::Story { entries, .. } =
        recorder.operate(1000, Operate::Show { call: asked.call.to_string() }).await.unwrap()
    else {
        panic!()
    };
    let by = Event::Administered { what: "operator sign".to_owned(), by: "1000".to_owned() };
    assert_eq!(entries[1].event, by, "its command is named");
    let Proposed::Head { size, .. } = recorder.propose(Propose::Head).await.unwrap() else {
        panic!()
    };
    assert_eq!(size, 3 + 4, "two shows, one command to sign, and the signature");
    for bad in ["abc", "a_bc", "zzzzzzzz"] {
        assert!(recorder.operate(1000, Operate::Show { call: bad.to_owned() }).await.is_err());
    }
    assert!(
        recorder.operate(1000, Operate::Erase { call: jobs[0].job.call.clone() }).await.is_err(),
        "it is still open"
    );
}

fn resolve(call: &CallId, because: &str) -> Operate {
    Operate::Resolve { call: call.clone(), found: Found::Succeeded, because: because.to_owned() }
}

#[tokio::test]
async fn an_unknown_outcome_is_resolved_once_by_a_person_beside_the_outcome() {
    let world = World::new();
    let recorder = world.open().await;
    let job = world.job(1, "agent", "delete", None);
    enqueue(&recorder, &job, None).await.unwrap();
    let refused = async |ask: Operate, why: &str| match recorder.operate(1000, ask).await {
        Err(RoleError::Refused(said) | RoleError::NotFound(said)) => {
            assert!(said.contains(why), "{said}")
        }
        other => panic!("{other:?}"),
    };
    refused(resolve(&job.call, "I looked"), "has no outcome yet: it is queued").await;
    refused(resolve(&call(7), "I looked"), "no job").await;
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    for event in [prepared(), RunnerEvent::Acting, started(0), finished(Outcome::Indeterminate)] {
        report(&seat, &leased, event).await.unwrap();
    }
    for (because, why) in [
        ("", "1 to 300 visible"),
        ("a\nb", "1 to 300 visible"),
        (&"x".repeat(301), "1 to 300 visible"),
    ] {
        refused(resolve(&job.call, because), why).await;
    }
    // Also while its namespace still goes: that may take a person too.
    assert_eq!(recorder.operate(1000, resolve(&job.call, "web is gone")).await, Ok(Operated::Done));
    refused(resolve(&job.call, "web is gone"), "resolved already").await;
    report(&seat, &leased, gone()).await.unwrap();
    let seen = view(&recorder, &job).await;
    let expected = Resolution {
        found: Found::Succeeded,
        because: "web is gone".into(),
        by: "1000".into(),
        at: world.now(),
    };
    assert_eq!(
        (seen.outcome, seen.phase, seen.resolution),
        (Some(Outcome::Indeterminate), Phase::Closed, Some(expected))
    );

    // An entry of its own, beside that of the command, and what was said is a payload.
    let Operated::Story { entries, .. } =
        recorder.operate(1000, Operate::Show { call: job.call.to_string() }).await.unwrap()
    else {
        panic!()
    };
    let resolved: Vec<_> =
        entries.iter().filter(|entry| matches!(entry.event, Event::Resolved { .. })).collect();
    assert_eq!(resolved[0].event, Event::Resolved { found: Found::Succeeded, by: "1000".into() });
    assert_eq!(
        (resolved.len(), &resolved[0].payloads["because"]),
        (1, &serde_json::json!("web is gone"))
    );

    // The same plan again is another call, and what is known cannot be resolved.
    let again = world.job(2, "agent", "delete", None);
    assert!(matches!(enqueue(&recorder, &again, None).await, Ok(Proposed::Recorded(_))));
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    run(&seat, &leased).await;
    refused(resolve(&again.call, "I looked"), "only what is indeterminate").await;
    recorder.operate(1000, Operate::Erase { call: job.call.clone() }).await.unwrap();
    assert_eq!(view(&recorder, &job).await.resolution.unwrap().because, "", "erased with the rest");
}

#[tokio::test]
async fn a_look_goes_to_the_gateway_and_back_and_a_job_is_followed() {
    let world = World::new();
    let recorder = world.open().await;
    let job = world.job(1, "agent", "delete", Some(rule(1, &["*"])));
    enqueue(&recorder, &job, None).await.unwrap();
    let look = || recorder.operate(1000, Operate::Preview { call: job.call.clone() });
    // One look answers both that wait for it; one that is asked for later is a look of its own.
    let answered = Cell::new(false);
    let seen = || FreshPreview::Not { why: "as told".to_owned() };
    let gateway = async {
        let mut looks = 0;
        while !answered.get() {
            let Ok(Proposed::ToPreview { job: next }) =
                recorder.propose(Propose::NextPreview { wait_ms: 20 }).await
            else {
                panic!()
            };
            let Some(asked) = next else { continue };
            assert_eq!((&asked.call, &asked.plan), (&job.call, &job.plan));
            assert_eq!(
                recorder
                    .propose(Propose::Previewed { call: asked.call.clone(), seen: seen() })
                    .await,
                Ok(Proposed::Done)
            );
            looks += 1;
        }
        looks
    };
    let both = async {
        let both = tokio::join!(look(), look());
        answered.set(true);
        both
    };
    let ((one, other), looks) = tokio::join!(both, gateway);
    assert_eq!((one, other), (Ok(Operated::Previewed(seen())), Ok(Operated::Previewed(seen()))));
    assert!((1..=2).contains(&looks), "{looks} looks for two that asked");
    let follow = |call| recorder.operate(1000, Operate::Follow { call, wait_ms: 0 });
    let waits = Operated::Followed {
        phase: Phase::AwaitingApproval,
        outcome: None,
        detail: String::new(),
        meanwhile: Vec::new(),
    };
    assert_eq!(follow(job.call.clone()).await, Ok(waits));
    let reject = sign("bob", &statement(&stored(&recorder, &job.call).await, Verdict::Reject));
    hand_in(&recorder, &job.call, reject).await.unwrap();
    let Ok(Operated::Followed { phase, outcome, .. }) = follow(job.call.clone()).await else {
        panic!()
    };
    assert_eq!((phase, outcome), (Phase::Closed, Some(Outcome::Rejected)));
    // What waits for no person is not looked at.
    let refused = look().await.unwrap_err();
    assert!(
        matches!(&refused, RoleError::Refused(why) if why.contains("can no longer be signed")),
        "{refused:?}"
    );
    let missing = follow(CallId::parse("abcdefghijklmnopqrstuvwxyz").unwrap()).await;
    assert!(matches!(missing, Err(RoleError::NotFound(_))), "{missing:?}");
}
