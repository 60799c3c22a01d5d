//! Approvers on other machines, by the gateway's socket: they read and sign only calls that are for
//! their signature, and learn nothing of others.

use crate::people::permit;
use crate::reload::{other, set};
use crate::world::*;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::model::trust::Approver;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::approver::{ApproverAnswer, ApproverAsk, SignaturesNow};
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_recorder::Recorder;
use cofferdam_testkit::build::approver;
use std::sync::atomic::Ordering;

async fn ask(
    recorder: &Recorder,
    approver: &str,
    ask: ApproverAsk,
) -> Result<ApproverAnswer, RoleError> {
    match recorder.propose(Propose::Approver { approver: approver.to_owned(), ask }).await? {
        Proposed::Approver { told } => Ok(*told),
        other => panic!("{other:?}"),
    }
}

async fn waiting(recorder: &Recorder, approver: &str) -> Vec<CallId> {
    match ask(recorder, approver, ApproverAsk::Waiting).await.unwrap() {
        ApproverAnswer::Waiting { waiting, .. } => {
            waiting.into_iter().map(|question| question.call).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Every request about one call.
fn all(
    call: &CallId,
    signed: cofferdam_core::model::statement::SignedStatement,
) -> [ApproverAsk; 5] {
    let call = || call.clone();
    [
        ApproverAsk::Question { call: call() },
        ApproverAsk::Preview { call: call() },
        ApproverAsk::Sign { call: call(), signed },
        ApproverAsk::Follow { call: call(), wait_ms: 0 },
        ApproverAsk::Watch { call: call(), known: 0, wait_ms: 0 },
    ]
}

#[tokio::test]
async fn a_call_that_is_not_for_a_person_looks_like_one_that_does_not_exist() {
    let world = World::new();
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(rule(1, &["bob"])));
    enqueue(&recorder, &proposed, None).await.unwrap();
    // A call without a question: it is for no signature.
    let permitted = world.job(2, "agent", "scale", None);
    enqueue(&recorder, &permitted, None).await.unwrap();
    let job = stored(&recorder, &proposed.call).await;
    let signed = sign("bob", &statement(&job, Verdict::Approve));
    let unknown = call(77);
    let refusal = async |who: &str, asked: ApproverAsk, call: &CallId| {
        let told = ask(&recorder, who, asked).await.unwrap_err();
        assert!(matches!(told, RoleError::NotFound(_)), "{who}: {told:?}");
        told.to_string().replace(call.as_str(), "ID")
    };
    let RoleError::NotFound(same) =
        ask(&recorder, "bob", ApproverAsk::Question { call: unknown.clone() }).await.unwrap_err()
    else {
        panic!()
    };
    let same = format!("not found: {}", same.replace(unknown.as_str(), "ID"));
    // Not named by policy; the person of the agent; the agent itself; not enrolled.
    for who in ["carl", "ann", "agent", "eve", "", "*"] {
        assert_eq!(waiting(&recorder, who).await, [], "{who}");
        for asked in all(&job.call, signed.clone()) {
            assert_eq!(refusal(who, asked, &job.call).await, same, "{who}");
        }
    }
    for of in [&permitted.call, &unknown] {
        for asked in all(of, signed.clone()) {
            assert_eq!(refusal("bob", asked, of).await, same);
        }
    }
    assert_eq!(waiting(&recorder, "bob").await, [job.call]);
}

#[tokio::test]
async fn an_approver_reads_signs_and_follows_and_each_use_is_an_entry() {
    let world = World::new();
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(rule(2, &["bob", "carl"])));
    enqueue(&recorder, &proposed, None).await.unwrap();
    let call = proposed.call.clone();
    let shown =
        async |who: &str| match ask(&recorder, who, ApproverAsk::Question { call: call.clone() })
            .await
            .unwrap()
        {
            ApproverAnswer::Question(question) => *question,
            other => panic!("{other:?}"),
        };
    let question = shown("bob").await;
    assert_eq!(question.signers, Vec::<String>::new());
    assert_eq!(shown("bob").await, question);
    let signed = |who: &str| sign(who, &statement(&question.job, Verdict::Approve));
    let hand = async |who: &str, of: &str| {
        let signed = signed(of);
        ask(&recorder, who, ApproverAsk::Sign { call: call.clone(), signed }).await
    };
    let RoleError::Refused(other) = hand("bob", "carl").await.unwrap_err() else { panic!() };
    assert!(other.contains("the signature is of `carl`, and `bob` signed in"), "{other}");
    assert_eq!(
        hand("bob", "bob").await,
        Ok(ApproverAnswer::Signed { approver: "bob".into(), missing: 1 })
    );
    // The second person sees the first one's signature.
    assert_eq!(shown("carl").await.signers, ["bob"]);
    assert_eq!(
        hand("carl", "carl").await,
        Ok(ApproverAnswer::Signed { approver: "carl".into(), missing: 0 })
    );
    let Operated::Story { entries, .. } =
        recorder.operate(1000, Operate::Show { call: call.to_string() }).await.unwrap()
    else {
        panic!()
    };
    let of_people = entries.iter().filter_map(|entry| match &entry.event {
        Event::Administered { what, by } => Some(format!("{what} by {by}")),
        Event::Signed { approver, .. } => Some(format!("signed by {approver}")),
        _ => None,
    });
    assert_eq!(
        of_people.collect::<Vec<_>>(),
        ["approver sign by bob", "signed by bob", "approver sign by carl", "signed by carl"]
    );
    let Proposed::Head { size, .. } = recorder.propose(Propose::Head).await.unwrap() else {
        panic!()
    };
    // The start, the question, one show of an operator, two of approvers, and the four above. A
    // signature that does not count, and a second read within an hour, are no entries.
    assert_eq!(size, 1 + 1 + 1 + 2 + 4);
}

#[tokio::test]
async fn a_list_is_bounded_names_calls_of_this_person_alone_and_says_that_there_are_more() {
    let world = World::new();
    let recorder = world.open().await;
    // The person's calls are the oldest, behind many for others.
    for number in 0..52 {
        let mine = world.job(number, &format!("agent{number}"), "delete", Some(rule(1, &["bob"])));
        enqueue(&recorder, &mine, None).await.unwrap();
    }
    for number in 100..220 {
        let other = format!("agent{number}");
        let other = world.job(number, &other, "delete", Some(rule(1, &["carl"])));
        enqueue(&recorder, &other, None).await.unwrap();
    }
    let list = async |who: &str| match ask(&recorder, who, ApproverAsk::Waiting).await.unwrap() {
        ApproverAnswer::Waiting { waiting, more } => {
            (waiting.into_iter().map(|question| question.call).collect::<Vec<_>>(), more)
        }
        other => panic!("{other:?}"),
    };
    let newest: Vec<CallId> = (2..52).rev().map(call).collect();
    assert_eq!(list("bob").await, (newest, true));
    assert_eq!(list("ann").await, (Vec::new(), false));
}

#[tokio::test]
async fn a_call_that_has_its_signatures_is_not_shown_while_it_is_decided_once_more() {
    let world = World::new();
    world.trust.lock().unwrap().policy = cofferdam_core::model::id::PolicyDigest::of(b"policy");
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(rule(1, &["bob"])));
    enqueue(&recorder, &proposed, None).await.unwrap();
    let job = stored(&recorder, &proposed.call).await;
    hand_in(&recorder, &job.call, sign("bob", &statement(&job, Verdict::Approve))).await.unwrap();
    recorder.propose(permit(&job.call, job.expires)).await.unwrap();
    // The policy is replaced: the call is decided once more, and asks no person.
    set(&recorder, &other(&world), true).await;
    assert_eq!(waiting(&recorder, "bob").await, []);
    for asked in [
        ApproverAsk::Question { call: job.call.clone() },
        ApproverAsk::Preview { call: job.call.clone() },
    ] {
        let RoleError::Refused(told) = ask(&recorder, "bob", asked).await.unwrap_err() else {
            panic!()
        };
        assert!(told.contains("waits for no signature any more"), "{told}");
    }
}

#[tokio::test]
async fn without_room_for_an_entry_an_approver_reads_nothing() {
    let world = World::new();
    let proposed = world.job(1, "agent", "delete", Some(rule(1, &["bob"])));
    let recorder = world.open().await;
    enqueue(&recorder, &proposed, None).await.unwrap();
    let read = ApproverAsk::Question { call: proposed.call.clone() };
    assert!(ask(&recorder, "bob", read.clone()).await.is_ok());
    recorder.close().await;
    // The disk is looked at once a second, and at the first request.
    world.free.store(5, Ordering::SeqCst);
    let recorder = world.open().await;
    let told = ask(&recorder, "bob", read).await;
    assert!(matches!(told, Err(RoleError::Unavailable(_))), "{told:?}");
}

#[tokio::test]
async fn a_denial_ends_the_call_and_a_removed_approver_loses_the_right_at_once() {
    let world = World::new();
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(rule(1, &["*"])));
    enqueue(&recorder, &proposed, None).await.unwrap();
    let job = stored(&recorder, &proposed.call).await;
    world.trust.lock().unwrap().approvers.retain(|approver| approver.name != "carl");
    assert_eq!(waiting(&recorder, "carl").await, []);
    let signed = sign("bob", &statement(&job, Verdict::Reject));
    let sign = ApproverAsk::Sign { call: job.call.clone(), signed };
    assert!(ask(&recorder, "bob", sign.clone()).await.is_ok());
    let followed =
        ask(&recorder, "bob", ApproverAsk::Follow { call: job.call.clone(), wait_ms: 0 }).await;
    let Ok(ApproverAnswer::Followed { phase, outcome, detail, .. }) = followed else { panic!() };
    assert_eq!((phase, outcome), (Phase::Closed, Some(Outcome::Rejected)));
    assert_eq!(detail, "not during the freeze");
    for asked in [ApproverAsk::Question { call: job.call.clone() }, sign] {
        let RoleError::Refused(told) = ask(&recorder, "bob", asked).await.unwrap_err() else {
            panic!()
        };
        assert!(told.contains("is closed already"), "{told}");
    }
    assert_eq!(waiting(&recorder, "bob").await, []);
}

/// The signatures of a question, as this person sees them.
async fn signatures(
    recorder: &Recorder,
    (who, call): (&str, &CallId),
    known: u32,
    wait_ms: u64,
) -> Result<SignaturesNow, RoleError> {
    let asked = ApproverAsk::Watch { call: call.clone(), known, wait_ms };
    match ask(recorder, who, asked).await? {
        ApproverAnswer::Signatures(now) => Ok(now),
        other => panic!("{other:?}"),
    }
}

fn now(signers: &[&str], missing: u32, waits: bool) -> SignaturesNow {
    let signers = signers.iter().map(|name| (*name).to_owned()).collect();
    SignaturesNow { signers, missing, waits }
}

#[tokio::test]
async fn a_signature_reaches_the_person_who_looks_and_no_other() {
    let world = World::new();
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(rule(2, &["*"])));
    enqueue(&recorder, &proposed, None).await.unwrap();
    let job = stored(&recorder, &proposed.call).await;
    let carl = ("carl", &job.call);
    assert_eq!(signatures(&recorder, carl, 0, 0).await.unwrap(), now(&[], 2, true));
    let approve = statement(&job, Verdict::Approve);
    let (seen, signed) = tokio::join!(
        signatures(&recorder, carl, 0, 600_000),
        hand_in(&recorder, &job.call, sign("bob", &approve)),
    );
    assert_eq!((seen.unwrap(), signed.unwrap().1), (now(&["bob"], 1, true), 1));
    // For the person behind the agent it does not exist.
    let told = signatures(&recorder, ("ann", &job.call), 0, 0).await;
    assert!(matches!(told, Err(RoleError::NotFound(_))), "{told:?}");
    let reject = statement(&job, Verdict::Reject);
    let (seen, _) = tokio::join!(
        signatures(&recorder, carl, 1, 600_000),
        hand_in(&recorder, &job.call, sign("carl", &reject)),
    );
    let seen = seen.unwrap();
    assert_eq!((seen.waits, seen.missing), (false, 0));
}

#[tokio::test]
async fn a_signature_of_a_removed_key_is_dropped_and_the_persons_other_key_signs_in_its_place() {
    let world = World::new();
    let phone = Approver { name: "bob".to_owned(), ..approver("the phone of bob") };
    world.trust.lock().unwrap().approvers.push(phone);
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(rule(2, &["*"])));
    enqueue(&recorder, &proposed, None).await.unwrap();
    let job = stored(&recorder, &proposed.call).await;
    let approve = statement(&job, Verdict::Approve);
    let hand = async |key: &str| hand_in(&recorder, &job.call, sign(key, &approve)).await;
    assert_eq!(hand("the phone of bob").await, Ok(("bob".to_owned(), 1)));
    let Err(RoleError::Refused(told)) = hand("bob").await else { panic!() };
    assert_eq!(told, "`bob` has signed this already");
    // The phone is lost, and its key is removed.
    let lost = approver("the phone of bob").key;
    world.trust.lock().unwrap().approvers.retain(|approver| approver.key != lost);
    let carl = ("carl", &job.call);
    assert_eq!(signatures(&recorder, carl, 1, 600_000).await.unwrap(), now(&[], 2, true));
    let Err(RoleError::Refused(told)) = hand("the phone of bob").await else { panic!() };
    assert!(told.contains("is not enrolled"), "{told}");
    assert_eq!(hand("carl").await, Ok(("carl".to_owned(), 1)));
    assert_eq!(hand("bob").await, Ok(("bob".to_owned(), 0)));
    let signed = stored(&recorder, &proposed.call).await.statements;
    assert_eq!(signed.len(), 2, "the void signature is gone: {signed:?}");
}
