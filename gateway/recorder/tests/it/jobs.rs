//! Proposing: joining, idempotency, ownership, waiting, and the disk.

use crate::world::*;
use cofferdam_core::model::ceiling::Ceiling;
use cofferdam_core::model::id::{
    CallId, ComponentDigest, Fence, PlanDigest, PolicyDigest, StatementDigest, TrustDigest,
};
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::record::{Entry, Event, Recorded};
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::model::trust::TrustedTool;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated, OwnedJob};
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use cofferdam_recorder::Recorder;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_job_goes_all_the_way_and_its_story_is_told() {
    let world = World::new();
    let recorder = world.open().await;
    let job = world.job(1, "agent", "scale", None);
    assert!(matches!(enqueue(&recorder, &job, None).await, Ok(Proposed::Recorded(_))));
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    assert_eq!(
        (leased.phase, leased.fence.0, leased.job.call.clone()),
        (Phase::Leased, 1, job.call.clone())
    );
    run(&seat, &leased).await;
    let view = view(&recorder, &job).await;
    assert_eq!(
        (view.phase, view.outcome, view.operations.len()),
        (Phase::Closed, Some(Outcome::Succeeded), 1)
    );
    let told = recorder
        .operate(1000, Operate::Show { call: job.call.as_str()[..8].to_owned() })
        .await
        .unwrap();
    let Operated::Story { entries, .. } = told else { panic!() };
    let kinds: Vec<_> = entries
        .iter()
        .map(|entry| serde_json::to_value(&entry.event).unwrap()["kind"].clone())
        .collect();
    assert_eq!(
        kinds,
        ["intended", "leased", "moved", "moved", "started", "done", "finished", "closed"]
    );
    assert_eq!(entries[4].payloads["before"]["spec.replicas"], 2);
    assert_eq!(entries[0].payloads["arguments"]["name"], "web");
    assert_eq!(view.ledger, entries[6].index, "the entry of its outcome");
    let listed = listed(&recorder, None).await;
    assert_eq!(
        (listed.len(), listed[0].job.operations.len()),
        (1, 0),
        "what was done is in its story alone"
    );
}

async fn listed(recorder: &Recorder, before: Option<String>) -> Vec<OwnedJob> {
    match recorder
        .operate(1000, Operate::Jobs { waiting: false, limit: 1000, before })
        .await
        .unwrap()
    {
        Operated::Jobs { jobs } => jobs,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_list_of_large_jobs_is_no_larger_than_an_answer_and_goes_on_before_its_last() {
    const JOBS: u128 = 100;
    /// Half of what a socket carries; the commas between jobs are beside it.
    const LIST: usize = (4 << 20) + 2 * JOBS as usize;
    let world = World::new();
    let recorder = world.open().await;
    for number in 1..=JOBS {
        let job = world.job(number, "agent", &format!("{number} {}", "x".repeat(64 * 1024)), None);
        assert!(matches!(enqueue(&recorder, &job, None).await, Ok(Proposed::Recorded(_))));
    }
    let (mut jobs, mut pages) = (BTreeSet::new(), 0);
    let mut page = listed(&recorder, None).await;
    while let Some(last) = page.last() {
        assert!(serde_json::to_vec(&page).unwrap().len() <= LIST);
        pages += 1;
        let before = last.job.call.to_string();
        jobs.extend(page.into_iter().map(|owned| owned.job.call));
        page = listed(&recorder, Some(before)).await;
    }
    assert!(jobs.len() == JOBS as usize && pages > 1, "{} jobs, {pages} pages", jobs.len());
}

async fn same(recorder: &Recorder, job: &StoredJob) -> Option<(CallId, u64)> {
    let ask = Propose::Same {
        principal: job.principal.name.clone(),
        plan: job.plan_digest,
        policy: job.policy,
    };
    match recorder.propose(ask).await.unwrap() {
        Proposed::Same { job, ended_ms } => job.map(|job| (job.call, ended_ms)),
        other => panic!("{other:?}"),
    }
}

/// Jobs run to their end beside readers. Each makes seven transitions that a reader may meet; one
/// torn answer fails.
const READ_BESIDE: u128 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_story_is_of_one_moment() {
    let world = World::new();
    let recorder = world.open().await;
    let seat = recorder.runner();
    let mut readers = tokio::task::JoinSet::new();
    for number in 1..=READ_BESIDE {
        let job = world.job(number, "agent", &format!("plan {number}"), None);
        enqueue(&recorder, &job, None).await.unwrap();
        let (recorder, call) = (recorder.clone(), job.call.clone());
        readers.spawn(async move {
            loop {
                let ask = Operate::Show { call: call.to_string() };
                let Ok(Operated::Story { view: Some(view), entries, .. }) =
                    recorder.operate(1000, ask).await
                else {
                    panic!("no story")
                };
                let told: Vec<u64> = entries.iter().map(|entry| entry.index).collect();
                // The view names the job's newest entry.
                assert!(
                    told.contains(&view.ledger),
                    "{} at entry {}, told {told:?}",
                    view.phase,
                    view.ledger
                );
                if view.phase == Phase::Closed {
                    return;
                }
            }
        });
        let leased = next(&seat).await.unwrap();
        run(&seat, &leased).await;
    }
    while let Some(read) = readers.join_next().await {
        read.unwrap();
    }
}

#[tokio::test]
async fn the_same_call_joins_while_there_is_no_outcome_and_for_a_minute_after_a_success() {
    let world = World::new();
    let recorder = world.open().await;
    let first = world.job(1, "agent", "scale", None);
    assert_eq!(same(&recorder, &first).await, None);
    enqueue(&recorder, &first, None).await.unwrap();
    let joined = Ok(Proposed::Joined { call: first.call.clone() });
    assert_eq!(enqueue(&recorder, &world.job(2, "agent", "scale", None), None).await, joined);
    assert_eq!(same(&recorder, &first).await, Some((first.call.clone(), 0)));
    // Another's and another plan are other calls.
    assert!(matches!(
        enqueue(&recorder, &world.job(3, "other", "scale", None), None).await,
        Ok(Proposed::Recorded(_))
    ));
    let mut other_policy = world.job(4, "agent", "scale", None);
    other_policy.policy = PolicyDigest::of(b"another");
    assert_eq!(
        same(&recorder, &other_policy).await,
        Some((first.call.clone(), 0)),
        "the policy was replaced after its decision"
    );
    let question = world.job(40, "agent", "question", Some(rule(1, &["*"])));
    enqueue(&recorder, &question, None).await.unwrap();
    assert!(same(&recorder, &question).await.is_some());
    let other = StoredJob { policy: PolicyDigest::of(b"another"), ..question };
    assert_eq!(same(&recorder, &other).await, None, "people were asked under another policy");
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    run(&seat, &leased).await;
    world.pass(12_000);
    assert_eq!(same(&recorder, &first).await, Some((first.call.clone(), 12_000)));
    let again = world.job(5, "agent", "scale", None);
    assert_eq!(
        enqueue(&recorder, &again, None).await,
        joined,
        "a proposer that did not look at it is told of it"
    );
    // Its objects were looked at and are others by now: a job of its own, which the next one joins.
    let seen = Some(first.call.clone());
    assert!(matches!(
        enqueue_after(&recorder, &again, None, seen.clone()).await,
        Ok(Proposed::Recorded(_))
    ));
    let joined = Ok(Proposed::Joined { call: again.call.clone() });
    assert_eq!(
        enqueue_after(&recorder, &world.job(6, "agent", "scale", None), None, seen).await,
        joined
    );
    let seat = recorder.runner();
    for leased in [next(&seat).await.unwrap()] {
        run(&seat, &leased).await;
    }
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    run(&seat, &leased).await;
    world.pass(60_000);
    assert!(same(&recorder, &first).await.is_some());
    world.pass(1);
    assert_eq!(same(&recorder, &first).await, None);
    assert!(matches!(
        enqueue(&recorder, &world.job(7, "agent", "scale", None), None).await,
        Ok(Proposed::Recorded(_))
    ));
}

#[tokio::test]
async fn what_did_not_succeed_is_not_joined_nor_is_a_question_that_ran_out() {
    let world = World::new();
    let recorder = world.open().await;
    let failed = world.job(1, "agent", "scale", None);
    enqueue(&recorder, &failed, None).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    for event in [prepared(), RunnerEvent::Acting, finished(Outcome::Failed)] {
        report(&seat, &leased, event).await.unwrap();
    }
    assert_eq!(same(&recorder, &failed).await, None);
    let asked = world.job(2, "agent", "delete", Some(rule(1, &["*"])));
    enqueue(&recorder, &asked, None).await.unwrap();
    assert_eq!(same(&recorder, &asked).await, Some((asked.call.clone(), 0)));
    world.pass(10 * MINUTE);
    assert_eq!(same(&recorder, &asked).await, None, "before any sweep");
}

#[tokio::test]
async fn a_key_joins_by_itself_alone_and_replays_with_the_same_ledger_entry() {
    let world = World::new();
    let recorder = world.open().await;
    let first = world.job(1, "agent", "scale", None);
    enqueue(&recorder, &first, Some(key_for(&first, "k1"))).await.unwrap();
    let second = world.job(2, "agent", "scale", None);
    assert!(matches!(
        enqueue(&recorder, &second, Some(key_for(&second, "k2"))).await,
        Ok(Proposed::Recorded(_))
    ));
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    for event in
        [prepared(), RunnerEvent::Acting, started(0), done(0), finished(Outcome::Succeeded)]
    {
        report(&seat, &leased, event).await.unwrap();
    }
    let told = view(&recorder, &first).await.ledger;
    report(&seat, &leased, gone()).await.unwrap();
    assert_eq!(view(&recorder, &first).await.ledger, told, "closing it changes no answer");
    let third = world.job(3, "agent", "scale", None);
    assert!(matches!(
        enqueue(&recorder, &third, Some(key_for(&third, "k3"))).await,
        Ok(Proposed::Recorded(_))
    ));
    let again = world.job(4, "agent", "scale", None);
    let replayed = enqueue(&recorder, &again, Some(key_for(&again, "k1"))).await;
    assert_eq!(replayed, Ok(Proposed::Joined { call: first.call.clone() }));
    // A call without a key joins what has no outcome, whatever key that has.
    assert_eq!(
        enqueue(&recorder, &again, None).await,
        Ok(Proposed::Joined { call: third.call.clone() })
    );
}

#[tokio::test]
async fn questions_under_another_policy_or_of_another_tool_are_closed_when_a_gateway_serves() {
    let world = World::new();
    let recorder = world.open().await;
    let ask = |number: u128, plan: &str| world.job(number, "agent", plan, Some(rule(1, &["*"])));
    let (stays, mut old_policy, mut old_tool, mut no_tool) =
        (ask(1, "a"), ask(2, "b"), ask(3, "c"), ask(4, "d"));
    old_policy.policy = PolicyDigest::of(b"before");
    old_tool.tool_digest = ComponentDigest::of(b"before");
    no_tool.tool = "removed".to_owned();
    for job in [&stays, &old_policy, &old_tool, &no_tool] {
        enqueue(&recorder, job, None).await.unwrap();
    }
    let waiting = Propose::Job {
        principal: "agent".to_owned(),
        call: old_policy.call.clone(),
        beyond: 1,
        wait_ms: 20_000,
    };
    let waiting = tokio::spawn({
        let recorder = recorder.clone();
        async move { recorder.propose(waiting).await }
    });
    let mut trust = world.trust.lock().unwrap().clone();
    trust.policy = stays.policy;
    let ceiling = Ceiling { grants: vec![], executors: vec![] };
    let (name, version, digest) =
        ("deployment_scale".to_owned(), "1.0.0".to_owned(), ComponentDigest::of(b"tool"));
    trust.tools = vec![TrustedTool { name, version, digest, ceiling }];
    let digest = TrustDigest::of(b"another trust");
    let serving =
        Propose::Serving { digest, trust: Box::new(trust), limits: RoleLimits::default() };
    assert_eq!(recorder.propose(serving.clone()).await, Ok(Proposed::Done));
    let Proposed::Job { job: told, .. } = waiting.await.unwrap().unwrap() else { panic!() };
    assert_eq!(told.outcome, Some(Outcome::Refused), "who waits is told");
    for (job, why) in [
        (&old_policy, "the policy was replaced"),
        (&old_tool, "the tool was replaced"),
        (&no_tool, "the tool was removed"),
    ] {
        let view = view(&recorder, job).await;
        assert_eq!((view.phase, view.outcome), (Phase::Closed, Some(Outcome::Refused)));
        assert!(view.detail.starts_with(why), "{}", view.detail);
    }
    assert_eq!(view(&recorder, &stays).await.phase, Phase::AwaitingApproval);
    assert_eq!(recorder.propose(serving).await, Ok(Proposed::Done), "and again without effect");
}

#[tokio::test]
async fn how_a_call_ended_without_a_job_is_told_to_its_own_agent() {
    let world = World::new();
    let recorder = world.open().await;
    end(&recorder, 1).await.unwrap();
    let ask = |principal: &str| Propose::Ended { principal: principal.to_owned(), call: call(1) };
    let Proposed::Ended { ended: Some(ended) } = recorder.propose(ask("agent")).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(
        (ended.ending.as_str(), ended.code.as_str(), ended.ledger, ended.time),
        ("denied", "replicas-limit", 1, world.now())
    );
    assert_eq!(recorder.propose(ask("other")).await, Ok(Proposed::Ended { ended: None }));
}

#[tokio::test]
async fn many_proposers_with_one_key_make_one_job() {
    let world = World::new();
    let recorder = world.open().await;
    let mut asks = tokio::task::JoinSet::new();
    for number in 1..=50 {
        // Different plans, so that only the key can make them one.
        let job = world.job(number, "agent", &format!("plan {number}"), None);
        let recorder = recorder.clone();
        asks.spawn(
            async move { enqueue(&recorder, &job, Some(key_for(&job, "once"))).await.unwrap() },
        );
    }
    let answers = asks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Proposed::Recorded(_))).count(), 1);
    let Proposed::Key { used: Some(used) } = recorder
        .propose(Propose::Key { principal: "agent".to_owned(), key: "once".to_owned() })
        .await
        .unwrap()
    else {
        panic!()
    };
    assert!(answers.iter().all(|answer| matches!(answer, Proposed::Recorded(_))
        || *answer == Proposed::Joined { call: used.call.clone() }));
    let mut other = world.job(99, "agent", "plan", None);
    other.arguments = "{}".to_owned();
    let Err(RoleError::Refused(why)) =
        enqueue(&recorder, &other, Some(key_for(&other, "once"))).await
    else {
        panic!()
    };
    assert!(why.contains("other arguments"), "{why}");
    let free = recorder
        .propose(Propose::Key { principal: "other".to_owned(), key: "once".to_owned() })
        .await;
    assert_eq!(free, Ok(Proposed::Key { used: None }));
}

#[tokio::test]
async fn no_caller_sees_ends_or_joins_a_job_of_another() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let (principal, call) = ("other".to_owned(), job.call.clone());
    for ask in [
        Propose::Job { principal: principal.clone(), call: call.clone(), beyond: 0, wait_ms: 0 },
        Propose::Task { principal: principal.clone(), call: call.clone() },
        Propose::Plan { principal: principal.clone(), call: call.clone() },
        Propose::Cancel { principal, call },
    ] {
        assert!(matches!(recorder.propose(ask).await, Err(RoleError::NotFound(_))));
    }
}

#[tokio::test]
async fn a_task_has_the_times_of_its_call_and_of_its_newest_entry() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let (principal, call) = ("agent".to_owned(), job.call.clone());
    let ask = Propose::Task { principal: principal.clone(), call: call.clone() };
    let task = async || match recorder.propose(ask.clone()).await {
        Ok(Proposed::Task(task)) => (task.created, task.updated, task.stopping, task.job.outcome),
        other => panic!("{other:?}"),
    };
    let began = world.now();
    assert_eq!(task().await, (began, began, false, None));
    world.pass(5_000);
    let plan = Propose::Plan { principal: principal.clone(), call: call.clone() };
    assert_eq!(recorder.propose(plan).await, Ok(Proposed::Plan { plan: Some(job.plan) }));
    recorder.propose(Propose::Cancel { principal, call }).await.unwrap();
    assert_eq!(task().await, (began, world.now(), false, Some(Outcome::Cancelled)));
}

#[tokio::test]
async fn a_principal_lists_its_own_calls_newest_first() {
    let world = World::new();
    let recorder = world.open().await;
    for (number, principal) in [(1, "agent"), (2, "other"), (3, "agent"), (4, "agent")] {
        enqueue(&recorder, &world.job(number, principal, &format!("plan {number}"), None), None)
            .await
            .unwrap();
    }
    let call = |number| world.job(number, "agent", &format!("plan {number}"), None).call;
    recorder
        .propose(Propose::Cancel { principal: "agent".to_owned(), call: call(3) })
        .await
        .unwrap();
    let list = async |principal: &str, open, limit| match recorder
        .propose(Propose::Calls { principal: principal.to_owned(), open, limit })
        .await
    {
        Ok(Proposed::Calls { calls, more }) => {
            (calls.into_iter().map(|own| own.call).collect::<Vec<_>>(), more)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(list("agent", false, 10).await, (vec![call(4), call(3), call(1)], false));
    assert_eq!(list("agent", true, 10).await, (vec![call(4), call(1)], false));
    assert_eq!(list("agent", false, 2).await, (vec![call(4), call(3)], true));
    assert_eq!(list("nobody", false, 10).await, (Vec::new(), false));
}

#[tokio::test]
async fn a_job_that_is_not_of_one_piece_is_refused() {
    let world = World::new();
    let recorder = world.open().await;
    let good = world.job(1, "agent", "scale", None);
    let mut other_plan = good.clone();
    other_plan.plan_digest = PlanDigest::of(b"another");
    let mut undecided = good.clone();
    undecided.permit = None;
    let mut signed = good.clone();
    signed.statements =
        vec![sign("bob", &statement(&good, cofferdam_core::model::statement::Verdict::Approve))];
    for job in [other_plan, undecided, signed] {
        assert!(matches!(enqueue(&recorder, &job, None).await, Err(RoleError::Refused(_))));
    }
    let asks = Propose::Enqueue {
        job: Box::new(good.clone()),
        entry: entry(&world.job(2, "agent", "scale", None)),
        key: None,
        seen: None,
    };
    assert!(matches!(recorder.propose(asks).await, Err(RoleError::Refused(_))));
    enqueue(&recorder, &good, None).await.unwrap();
    let mut taken = world.job(1, "other", "scale", None);
    taken.call = good.call.clone();
    assert!(matches!(enqueue(&recorder, &taken, None).await, Err(RoleError::Refused(_))));
}

#[tokio::test]
async fn a_waiting_reader_is_told_and_an_agent_may_withdraw() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let version = view(&recorder, &job).await.version;
    let wait = Propose::Job {
        principal: "agent".to_owned(),
        call: job.call.clone(),
        beyond: version,
        wait_ms: 20_000,
    };
    let waiting = tokio::spawn({
        let recorder = recorder.clone();
        async move { recorder.propose(wait).await }
    });
    let cancelled = recorder
        .propose(Propose::Cancel { principal: "agent".to_owned(), call: job.call.clone() })
        .await
        .unwrap();
    let Proposed::Job { job: told } = waiting.await.unwrap().unwrap() else { panic!() };
    assert_eq!((told.phase, told.outcome), (Phase::Closed, Some(Outcome::Cancelled)));
    assert_eq!(cancelled, Proposed::Job { job: told });
}

#[tokio::test]
async fn a_nearly_full_disk_takes_no_new_work_and_still_ends_the_old() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    world.free.store(9, Ordering::SeqCst);
    // The recorder looks at the disk once a second.
    recorder.sweep().await;
    assert!(matches!(
        enqueue(&recorder, &world.job(2, "agent", "more", None), None).await,
        Err(RoleError::Unavailable(_))
    ));
    assert!(matches!(end(&recorder, 3).await, Err(RoleError::Unavailable(_))));
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    run(&seat, &leased).await;
    assert_eq!(view(&recorder, &job).await.phase, Phase::Closed);
}

#[tokio::test]
async fn of_many_who_are_committed_together_one_that_cannot_be_recorded_fails_alone() {
    let world = World::new();
    let recorder = world.open().await;
    let mut asks = tokio::task::JoinSet::new();
    for number in 1..=100 {
        let recorder = recorder.clone();
        // A ledger entry has at most 65,535 bytes; a payload is not part of it, a name is.
        let principal = if number == 50 { "x".repeat(70_000) } else { "agent".to_owned() };
        let event = Event::Ended { ending: "denied".to_owned(), code: "replicas-limit".to_owned() };
        let entry =
            Entry::of(event, Some(call(number)), &principal).with("plan", "y".repeat(70_000));
        asks.spawn(async move { recorder.propose(Propose::End { entry, again: false }).await });
    }
    let mut answers = asks.join_all().await;
    let refused =
        answers.extract_if(.., |answer| matches!(answer, Err(RoleError::Refused(_)))).count();
    let indexes: BTreeSet<u64> =
        answers
            .iter()
            .map(|answer| {
                if let Ok(Proposed::Recorded(recorded)) = answer {
                    recorded.index
                } else {
                    u64::MAX
                }
            })
            .collect();
    assert_eq!((refused, indexes), (1, (1..=99).collect()));
}

#[tokio::test]
async fn the_gateway_records_endings_and_no_event_of_another_role() {
    let world = World::new();
    let recorder = world.open().await;
    let fence = Fence(1);
    let statement = StatementDigest::of(b"x");
    let forged = [
        Event::Asked,
        Event::Intended,
        Event::Signed {
            statement,
            approver: "ann".to_owned(),
            verdict: "approve".to_owned(),
            stands_for: None,
        },
        Event::Leased { fence },
        Event::Moved { phase: Phase::Closed, fence },
        Event::Started { operation: 0, undo: false, fence },
        Event::Done { operation: 0, undo: false, fence },
        Event::Finished { outcome: Outcome::Succeeded },
        Event::Resolved { found: cofferdam_core::model::job::Found::Succeeded, by: "0".to_owned() },
        Event::Closed { namespace: String::new() },
        Event::Administered { what: "operator".to_owned(), by: "0".to_owned() },
    ];
    for event in forged {
        let entry = Entry::of(event.clone(), Some(call(1)), "agent");
        assert!(
            matches!(
                recorder.propose(Propose::End { entry, again: false }).await,
                Err(RoleError::Refused(_))
            ),
            "{event:?}"
        );
    }
    assert_eq!(
        end(&recorder, 1).await,
        Ok(Proposed::Recorded(Recorded { index: 1 })),
        "nothing else was recorded"
    );
}
