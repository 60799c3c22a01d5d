//! Emergency stops in the store: results, jobs, permits and claims that they refuse, and those that
//! they do not.

use crate::people::permit;
use crate::world::*;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::model::stop::{STOPS, StopScope};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use cofferdam_recorder::Recorder;

async fn stop(recorder: &Recorder, calls: StopScope) -> Result<Operated, RoleError> {
    recorder.operate(7, Operate::Stop { calls, because: "a drill".to_owned() }).await
}

async fn lift(recorder: &Recorder, calls: StopScope) -> Result<Operated, RoleError> {
    recorder.operate(7, Operate::LiftStop { calls }).await
}

fn is_stopped<T>(answer: &Result<T, RoleError>) -> bool {
    matches!(answer, Err(RoleError::Stopped { why }) if why.ends_with(": a drill"))
}

async fn ending(recorder: &Recorder, ending: &str) -> Result<Proposed, RoleError> {
    let event = Event::Ended { ending: ending.to_owned(), code: "rule".to_owned() };
    let entry = Entry::of(event, Some(call(99)), "agent");
    recorder.propose(Propose::End { entry, again: false }).await
}

#[tokio::test]
async fn results_jobs_and_permits_are_refused_and_ends_are_recorded() {
    let world = World::new();
    let recorder = world.open().await;
    let asked = world.job(1, "agent", "delete", Some(rule(1, &["*"])));
    enqueue(&recorder, &asked, None).await.unwrap();
    let question = stored(&recorder, &asked.call).await;
    stop(&recorder, StopScope::Agent("agent".to_owned())).await.unwrap();
    for result in ["answered", "looked", "previewed"] {
        assert!(is_stopped(&ending(&recorder, result).await), "{result}");
    }
    for end in ["denied", "refused", "failed", "busy"] {
        assert!(ending(&recorder, end).await.is_ok(), "{end}");
    }
    let new = world.job(2, "agent", "scale", None);
    assert!(is_stopped(&enqueue(&recorder, &new, None).await));
    let signed = sign("bob", &statement(&question, Verdict::Approve));
    hand_in(&recorder, &asked.call, signed).await.unwrap();
    let permitted = || recorder.propose(permit(&asked.call, asked.expires));
    assert!(is_stopped(&permitted().await));
    assert!(enqueue(&recorder, &world.job(3, "other", "scale", None), None).await.is_ok());
    lift(&recorder, StopScope::Agent("agent".to_owned())).await.unwrap();
    assert!(permitted().await.is_ok() && enqueue(&recorder, &new, None).await.is_ok());
    assert!(ending(&recorder, "answered").await.is_ok());
}

#[tokio::test]
async fn a_queued_job_waits_and_a_leased_one_ends_before_it_acts_also_after_a_restart() {
    let world = World::new();
    let (recorder, first) = world.queued().await;
    let second = world.job(2, "agent-2", "2", None);
    enqueue(&recorder, &second, None).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    assert_eq!(leased.job.call, first.call);
    let Operated::Stops { stops, ended, held } = stop(&recorder, StopScope::All).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((stops.len(), ended, held), (1, 1, 1));
    assert!(next(&recorder.runner()).await.is_none(), "the other one waits");
    report(&seat, &leased, prepared()).await.unwrap();
    let acting = report(&seat, &leased, RunnerEvent::Acting).await;
    assert_eq!(acting, Err(RoleError::Refused("the job was cancelled".to_owned())));
    report(&seat, &leased, finished(Outcome::Cancelled)).await.unwrap();
    report(&seat, &leased, gone()).await.unwrap();
    recorder.close().await;
    let recorder = world.open().await;
    assert!(next(&recorder.runner()).await.is_none(), "a stop outlives a restart");
    assert!(is_stopped(&ending(&recorder, "answered").await));
    lift(&recorder, StopScope::All).await.unwrap();
    assert_eq!(next(&recorder.runner()).await.unwrap().job.call, second.call);
    assert_eq!(view(&recorder, &first).await.phase, Phase::Closed);
}

#[tokio::test]
async fn stops_are_made_once_bounded_and_in_the_ledger() {
    let world = World::new();
    let recorder = world.open().await;
    let tool = |number: usize| StopScope::Tool(format!("tool-{number}"));
    stop(&recorder, tool(0)).await.unwrap();
    let refused = |answer: Result<Operated, RoleError>, words: &str| {
        let Err(RoleError::Refused(why)) = &answer else { panic!("{answer:?}") };
        assert!(why.contains(words), "{why}");
    };
    refused(stop(&recorder, tool(0)).await, "it is stopped already");
    refused(lift(&recorder, tool(1)).await, "is not stopped");
    refused(stop(&recorder, StopScope::Agent(String::new())).await, "give a name");
    for number in 1..STOPS {
        stop(&recorder, tool(number)).await.unwrap();
    }
    refused(stop(&recorder, tool(STOPS)).await, "lift one");
    lift(&recorder, tool(0)).await.unwrap();
    let Operated::Status { entries, warns, .. } =
        recorder.operate(7, Operate::Status).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(warns.iter().filter(|line| line.contains("cofferdam resume")).count(), STOPS - 1);
    // The start, and an entry for each change: none for what was refused.
    assert_eq!(entries, 1 + STOPS as u64 + 1);
}
