//! Further people: they see and sign a question from its time on, and people are told of it once.

use crate::world::*;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::reason::{ApprovalRule, Escalation};
use cofferdam_core::model::statement::{SignedStatement, Verdict};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::approver::{ApproverAnswer, ApproverAsk};
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_recorder::Recorder;

/// Bob may sign, and from five minutes on Carl and Ann too.
pub fn escalating() -> ApprovalRule {
    let approvers = vec!["carl".to_owned(), "ann".to_owned()];
    let later = Escalation { after_seconds: 300, approvers };
    ApprovalRule { escalate: Some(later), ..rule(1, &["bob"]) }
}

async fn sees(recorder: &Recorder, approver: &str, call: &CallId) -> bool {
    let ask = ApproverAsk::Question { call: call.clone() };
    let asked = Propose::Approver { approver: approver.to_owned(), ask };
    let seen = recorder.propose(asked).await.is_ok();
    let asked = Propose::Approver { approver: approver.to_owned(), ask: ApproverAsk::Waiting };
    let Proposed::Approver { told } = recorder.propose(asked).await.unwrap() else { panic!() };
    let ApproverAnswer::Waiting { waiting, .. } = *told else { panic!() };
    assert_eq!(waiting.iter().any(|question| question.call == *call), seen);
    seen
}

/// An approval of this person that says to be made so many seconds after the question, or nothing.
fn signed(name: &str, job: &StoredJob, after: Option<i64>) -> SignedStatement {
    let escalated = after.map(|after| job.created + jiff::SignedDuration::from_secs(after));
    let mut said = statement(job, Verdict::Approve);
    said.escalated = escalated;
    sign(name, &said)
}

#[tokio::test]
async fn further_people_see_and_sign_a_question_from_its_time_on() {
    let world = World::new();
    let recorder = world.open().await;
    let proposed = world.job(1, "agent", "delete", Some(escalating()));
    enqueue(&recorder, &proposed, None).await.unwrap();
    let job = stored(&recorder, &proposed.call).await;
    let refused = async |name: &str, after: Option<i64>, why: &str| {
        let told = hand_in(&recorder, &job.call, signed(name, &job, after)).await;
        let Err(RoleError::Refused(told)) = told else { panic!("{name} {after:?}: {told:?}") };
        assert!(told.contains(why), "{name} {after:?}: {told}");
    };
    world.pass(4 * MINUTE);
    assert!(sees(&recorder, "bob", &job.call).await);
    assert!(!sees(&recorder, "carl", &job.call).await);
    refused("carl", None, "only from 300 seconds after the question on").await;
    refused("carl", Some(300), "which is still to come").await;
    world.pass(MINUTE);
    assert!(sees(&recorder, "carl", &job.call).await);
    assert!(!sees(&recorder, "ann", &job.call).await, "the person behind the agent gains nothing");
    // A signature from before the time, and one that names another time.
    refused("carl", None, "only from 300 seconds after the question on").await;
    refused("carl", Some(299), "for another time of escalation").await;
    refused("bob", Some(1), "for another time of escalation").await;
    refused("ann", Some(300), "asked for this and cannot approve it").await;
    let good = hand_in(&recorder, &job.call, signed("carl", &job, Some(300))).await;
    assert_eq!(good, Ok(("carl".to_owned(), 0)));
    // The end of the question is the end for all.
    let other = world.job(2, "agent", "scale", Some(escalating()));
    enqueue(&recorder, &other, None).await.unwrap();
    let other = stored(&recorder, &other.call).await;
    world.pass(11 * MINUTE);
    let late = hand_in(&recorder, &other.call, signed("carl", &other, Some(300))).await;
    assert!(matches!(late, Err(RoleError::Refused(_))), "{late:?}");
}

#[tokio::test]
async fn a_question_that_is_dated_back_is_refused_where_it_escalates() {
    let world = World::new();
    let recorder = world.open().await;
    let dated = async |number: u128, minutes: i64, rule: ApprovalRule| {
        let mut job = world.job(number, "agent", &format!("plan {number}"), Some(rule));
        job.created -= jiff::SignedDuration::from_mins(minutes);
        enqueue(&recorder, &job, None).await
    };
    for (number, minutes) in [(1, 5), (2, 3), (3, -1)] {
        let told = dated(number, minutes, escalating()).await;
        let Err(RoleError::Refused(told)) = told else { panic!("{minutes}: {told:?}") };
        assert!(told.contains("its question is not of this time"), "{told}");
    }
    assert!(dated(4, 1, escalating()).await.is_ok());
    assert!(dated(5, 5, rule(1, &["bob"])).await.is_ok(), "without escalation it widens nothing");
}
