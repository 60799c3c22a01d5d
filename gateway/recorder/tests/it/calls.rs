//! The list of calls: filters against a plain scan, pages while calls arrive, the states of a job, and
//! the words that erasure and retention take along.

use crate::ledger::on_the_store;
use crate::world::*;
use cofferdam_core::model::call_filter::CallFilter;
use cofferdam_core::model::call_row::{CallChanges, CallCursor, CallPage, CallRow};
use cofferdam_core::model::call_state::CallState;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::document::Document;
use cofferdam_core::model::id::{CallId, ComponentDigest, PlanDigest};
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::json::canonical;
use cofferdam_core::model::object_name::ObjectName;
use cofferdam_core::model::operation::{Operation, Step, Target};
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::retention::Retention;
use cofferdam_core::model::run::Outcome;
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::Propose;
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use cofferdam_recorder::{Recorder, RecorderContext};
use cofferdam_testkit::build::principal;
use serde_json::json;
use std::collections::BTreeSet;

pub const DAY: i64 = 24 * 60 * MINUTE;

/// A call of these tests.
#[derive(Debug, Clone)]
pub struct Made {
    pub number: u128,
    pub agent: &'static str,
    pub person: Option<&'static str>,
    pub tool: Option<&'static str>,
    pub object: Option<&'static str>,
    pub ending: &'static str,
}

/// The plan of a call: it reads one Deployment in `shop`.
fn plan(world: &World, summary: &str, object: &str) -> String {
    let target = Target {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "shop".to_owned(),
        name: object.to_owned(),
    };
    let operation = Operation::Read { target, fields: vec!["spec.replicas".to_owned()] };
    let (document, _) = Document::read(&world.job(1, "agent", summary, None).plan).unwrap();
    let operations = vec![Step { operation, after: vec![], reversible: false }];
    canonical(&Document { operations, ..document }).unwrap()
}

/// The entry of a call's first event, with the payloads of a real one.
fn first(world: &World, made: &Made, event: Event) -> Entry {
    let subject = Principal { person: made.person.map(str::to_owned), ..principal(made.agent) };
    let mut entry = Entry::of(event, Some(call(made.number)), made.agent)
        .with("subject", json!(subject.subject()).to_string())
        .with("reasons", json!([{ "id": "the-rule" }]).to_string());
    entry.tool = made.tool.map(|tool| (tool.to_owned(), ComponentDigest::of(b"tool")));
    if let Some(object) = made.object {
        let plan = plan(world, &format!("the summary of {}", made.number), object);
        entry.plan = Some(PlanDigest::of(plan.as_bytes()));
        entry = entry.with("plan", plan);
    }
    entry
}

/// Records a call that ends without a job.
pub async fn record(world: &World, recorder: &Recorder, made: &Made) {
    let event = Event::Ended { ending: made.ending.to_owned(), code: "the-code".to_owned() };
    recorder
        .propose(Propose::End { entry: first(world, made, event), again: false })
        .await
        .unwrap();
}

/// Stores a job with the payloads of a real one.
pub async fn store(world: &World, recorder: &Recorder, job: &mut StoredJob, object: &'static str) {
    job.plan = plan(world, "the summary of the job", object);
    job.plan_digest = PlanDigest::of(job.plan.as_bytes());
    let made = Made {
        number: 0,
        agent: "agent",
        person: Some("ann"),
        tool: Some("deployment_scale"),
        object: None,
        ending: "",
    };
    let event = if job.permit.is_some() { Event::Intended } else { Event::Asked };
    let mut entry = first(world, &made, event).with("plan", job.plan.clone());
    (entry.call, entry.plan) = (Some(job.call.clone()), Some(job.plan_digest));
    let job = Box::new(job.clone());
    recorder.propose(Propose::Enqueue { job, entry, key: None, seen: None }).await.unwrap();
}

pub async fn page(
    recorder: &Recorder,
    filter: &CallFilter,
    before: Option<CallCursor>,
    limit: u32,
) -> CallPage {
    let ask = Operate::Calls { filter: filter.clone(), before, limit };
    match recorder.operate(1000, ask).await.unwrap() {
        Operated::Calls(page) => page,
        other => panic!("{other:?}"),
    }
}

/// All rows, in pages of this many.
async fn all(recorder: &Recorder, filter: &CallFilter, limit: u32) -> Vec<CallRow> {
    let (mut rows, mut before) = (Vec::new(), None);
    loop {
        let page = page(recorder, filter, before, limit).await;
        assert!(page.rows.len() <= limit as usize);
        assert_eq!(page.through, page.entries, "the list knows the whole ledger");
        rows.extend(page.rows);
        before = page.before;
        if before.is_none() {
            return rows;
        }
    }
}

async fn row(recorder: &Recorder, call: &CallId) -> CallRow {
    let rows = all(recorder, &CallFilter::default(), 100).await;
    rows.into_iter().find(|row| row.call == *call).unwrap()
}

async fn changes(
    recorder: &Recorder,
    filter: &CallFilter,
    beyond: u64,
    wait_ms: u64,
) -> CallChanges {
    let ask = Operate::CallChanges { filter: filter.clone(), beyond, wait_ms };
    match recorder.operate(1000, ask).await.unwrap() {
        Operated::CallChanges(changes) => changes,
        other => panic!("{other:?}"),
    }
}

fn object(name: &str) -> Option<ObjectName> {
    ObjectName::of("deployment", "shop", name)
}

/// Calls of every combination, a minute apart.
async fn filled(world: &World, recorder: &Recorder) -> Vec<(Made, jiff::Timestamp)> {
    let mut made = Vec::new();
    let mut number = 0;
    for agent in ["release-bot", "repair-bot"] {
        for person in [Some("ann"), Some("bob"), None] {
            for (tool, object) in [
                (Some("deployment_scale"), Some("web")),
                (Some("deployment_scale"), Some("api")),
                (Some("deployment_read"), Some("web")),
                (Some("deployment_read"), None),
                (None, None),
            ] {
                for ending in ["denied", "looked", "refused"] {
                    number += 1;
                    let one = Made { number, agent, person, tool, object, ending };
                    record(world, recorder, &one).await;
                    made.push((one, world.now()));
                    world.pass(MINUTE);
                }
            }
        }
    }
    made
}

#[tokio::test]
async fn each_filter_gives_the_calls_of_a_plain_scan() {
    let world = World::new();
    let recorder = world.open().await;
    let made = filled(&world, &recorder).await;
    let times: Vec<_> = made.iter().map(|(_, at)| *at).collect();
    let mut compared = 0;
    for agent in [None, Some("release-bot"), Some("other-bot")] {
        for person in [None, Some("bob")] {
            for tool in [None, Some("deployment_scale"), Some("deployment_read")] {
                for name in [None, Some("web"), Some("other")] {
                    for states in [
                        vec![],
                        vec![CallState::Denied],
                        vec![CallState::Denied, CallState::Looked],
                        vec![CallState::Queued],
                    ] {
                        for (since, until) in [
                            (None, None),
                            (Some(times[10]), Some(times[60])),
                            (Some(times[89]), None),
                            (None, Some(times[0])),
                        ] {
                            let wanted = |(one, at): &&(Made, jiff::Timestamp)| {
                                agent.is_none_or(|agent| one.agent == agent)
                                    && person.is_none_or(|person| one.person == Some(person))
                                    && tool.is_none_or(|tool| one.tool == Some(tool))
                                    && name.is_none_or(|name| one.object == Some(name))
                                    && (states.is_empty()
                                        || states.iter().any(|state| state.word() == one.ending))
                                    && since.is_none_or(|since| *at >= since)
                                    && until.is_none_or(|until| *at < until)
                            };
                            let expected: Vec<CallId> = made
                                .iter()
                                .rev()
                                .filter(wanted)
                                .map(|(one, _)| call(one.number))
                                .collect();
                            let filter = CallFilter {
                                agent: agent.map(str::to_owned),
                                person: person.map(str::to_owned),
                                tool: tool.map(str::to_owned),
                                object: name.and_then(object),
                                states: states.clone(),
                                since,
                                until,
                            };
                            let found = all(&recorder, &filter, 7).await;
                            let found: Vec<CallId> =
                                found.into_iter().map(|row| row.call).collect();
                            assert_eq!(found, expected, "{filter:?}");
                            compared += usize::from(!expected.is_empty());
                        }
                    }
                }
            }
        }
    }
    assert!(compared > 80, "{compared} filters match a call");
    recorder.close().await;
}

#[tokio::test]
async fn a_row_says_who_what_where_and_by_which_rule() {
    let world = World::new();
    let recorder = world.open().await;
    let made = Made {
        number: 1,
        agent: "release-bot",
        person: Some("ann"),
        tool: Some("deployment_scale"),
        object: Some("web"),
        ending: "denied",
    };
    record(&world, &recorder, &made).await;
    let found = row(&recorder, &call(1)).await;
    assert_eq!(
        found,
        CallRow {
            call: call(1),
            at: world.now(),
            changed: world.now(),
            agent: "release-bot".into(),
            person: Some("ann".into()),
            tool: Some("deployment_scale".into()),
            summary: Some("the summary of 1".into()),
            environment: "test".into(),
            objects: vec![object("web").unwrap()],
            state: CallState::Denied,
            resolved: None,
            rule: Some("the-code".into()),
            signers: vec![],
            first: found.first,
            ledger: found.first,
            erased: false,
        }
    );
    recorder.close().await;
}

#[tokio::test]
async fn pages_lose_and_double_no_call_while_calls_arrive() {
    let world = World::new();
    let recorder = world.open().await;
    let mut number = 0;
    let mut more = async |count: u128| {
        for _ in 0..count {
            number += 1;
            let one = Made {
                number,
                agent: "agent",
                person: None,
                tool: None,
                object: None,
                ending: "looked",
            };
            record(&world, &recorder, &one).await;
            // Several calls of one millisecond.
            if number % 5 == 0 {
                world.pass(1);
            }
        }
    };
    more(40).await;
    for filter in [
        CallFilter::default(),
        CallFilter { states: vec![CallState::Looked], ..CallFilter::default() },
    ] {
        let known: Vec<CallId> =
            all(&recorder, &filter, 500).await.into_iter().map(|row| row.call).collect();
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = page(&recorder, &filter, before, 6).await;
            found.extend(page.rows.into_iter().map(|row| row.call));
            before = page.before;
            more(4).await;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(found, known);
    }
    recorder.close().await;
}

#[tokio::test]
async fn a_job_has_one_row_from_its_question_to_its_outcome() {
    let world = World::new();
    let recorder = world.open().await;
    let mut job = world.job(1, "agent", "delete", Some(rule(1, &["bob"])));
    store(&world, &recorder, &mut job, "web").await;
    let state = async || row(&recorder, &job.call).await.state;
    assert_eq!(state().await, CallState::AwaitingApproval);
    let signed = sign("bob", &statement(&stored(&recorder, &job.call).await, Verdict::Approve));
    hand_in(&recorder, &job.call, signed).await.unwrap();
    recorder.propose(crate::people::permit(&job.call, job.expires)).await.unwrap();
    assert_eq!(state().await, CallState::Queued);
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    assert_eq!(state().await, CallState::Leased);
    for (event, expected) in [
        (prepared(), CallState::Prepared),
        (RunnerEvent::Acting, CallState::Acting),
        (started(0), CallState::Acting),
        (done(0), CallState::Acting),
        (finished(Outcome::Succeeded), CallState::Succeeded),
        (gone(), CallState::Succeeded),
    ] {
        report(&seat, &leased, event).await.unwrap();
        assert_eq!(state().await, expected);
    }
    let found = row(&recorder, &job.call).await;
    assert_eq!(found.signers, ["bob"]);
    assert_eq!(found.rule.as_deref(), Some("the-rule"));
    assert!(found.ledger > found.first);
    assert_eq!(all(&recorder, &CallFilter::default(), 10).await.len(), 1);
    recorder.close().await;
}

#[tokio::test]
async fn an_ending_that_a_gateway_makes_up_changes_no_call_in_the_list() {
    let world = World::new();
    let recorder = world.open().await;
    let mut asked = world.job(1, "agent", "delete", Some(rule(1, &["bob"])));
    store(&world, &recorder, &mut asked, "web").await;
    let made_up = |number, ending| Made {
        number,
        agent: "other",
        person: None,
        tool: None,
        object: None,
        ending,
    };
    // About a call that has a job, a call that ended, and with a word that is no ending.
    end(&recorder, 70).await.unwrap();
    for ending in ["succeeded", "looked", "denied"] {
        record(&world, &recorder, &made_up(1, ending)).await;
        record(&world, &recorder, &made_up(70, ending)).await;
    }
    record(&world, &recorder, &made_up(80, "succeeded")).await;
    let waiting = row(&recorder, &asked.call).await;
    assert_eq!((waiting.state, waiting.agent.as_str()), (CallState::AwaitingApproval, "agent"));
    assert_eq!(waiting.rule.as_deref(), Some("the-rule"));
    let denied = row(&recorder, &call(70)).await;
    assert_eq!((denied.state, denied.agent.as_str()), (CallState::Denied, "agent"));
    assert_eq!(row(&recorder, &call(80)).await.state, CallState::Failed);
    let signed = sign("bob", &statement(&stored(&recorder, &asked.call).await, Verdict::Reject));
    hand_in(&recorder, &asked.call, signed).await.unwrap();
    assert_eq!(row(&recorder, &asked.call).await.state, CallState::Rejected);
    // A call that ended gets no job.
    let late = world.job(70, "agent", "scale", None);
    let taken = enqueue(&recorder, &late, None).await.unwrap_err();
    assert!(taken.to_string().contains("is taken"), "{taken}");
    recorder.close().await;
}

#[tokio::test]
async fn each_list_of_an_operator_is_one_entry_for_each_filter_also_from_the_second_page() {
    let world = World::new();
    let recorder = world.open().await;
    let lists = async || {
        let ask = Operate::Show { call: call(70).to_string() };
        let _ = recorder.operate(1000, ask).await;
        match recorder.operate(1000, Operate::Status).await.unwrap() {
            Operated::Status { entries, .. } => entries,
            other => panic!("{other:?}"),
        }
    };
    end(&recorder, 70).await.unwrap();
    let of = |agent: &str| CallFilter { agent: Some(agent.into()), ..CallFilter::default() };
    let end_of_time = || Some(CallCursor::after(i64::MAX, u64::MAX));
    let mut known = lists().await;
    // One entry is that of `show`.
    for (filter, before, changes_too, more) in [
        (CallFilter::default(), end_of_time(), false, 1),
        (CallFilter::default(), None, true, 0),
        (of("a"), end_of_time(), true, 1),
        (of("b"), None, false, 1),
        (of("a"), None, false, 0),
    ] {
        page(&recorder, &filter, before, 5).await;
        if changes_too {
            changes(&recorder, &filter, 0, 0).await;
        }
        let now = lists().await;
        assert_eq!(now - known - 1, more, "{filter:?}");
        known = now;
    }
    world.pass(61 * MINUTE);
    page(&recorder, &of("a"), None, 5).await;
    assert_eq!(lists().await - known - 1, 1);
    recorder.close().await;
}

#[tokio::test]
async fn a_list_that_is_followed_hears_of_new_calls_and_of_those_that_left() {
    let world = World::new();
    let recorder = world.open().await;
    let waiting = CallFilter { states: vec![CallState::AwaitingApproval], ..CallFilter::default() };
    let through = page(&recorder, &waiting, None, 10).await.through;
    // Another call is no news for this list, and the next request continues after it.
    end(&recorder, 70).await.unwrap();
    let other = changes(&recorder, &waiting, through, 0).await;
    assert_eq!((other.rows.len(), other.left.as_slice()), (0, [call(70)].as_slice()));
    let asked = {
        let recorder = recorder.clone();
        let (waiting, beyond) = (waiting.clone(), other.through);
        tokio::spawn(async move { changes(&recorder, &waiting, beyond, 60_000).await })
    };
    let mut job = world.job(1, "agent", "delete", Some(rule(1, &["bob"])));
    store(&world, &recorder, &mut job, "web").await;
    let news = asked.await.unwrap();
    assert_eq!(news.rows.iter().map(|row| &row.call).collect::<Vec<_>>(), [&job.call]);
    let signed = sign("bob", &statement(&stored(&recorder, &job.call).await, Verdict::Reject));
    hand_in(&recorder, &job.call, signed).await.unwrap();
    let news = changes(&recorder, &waiting, news.through, 60_000).await;
    assert_eq!((news.rows, news.left), (vec![], vec![job.call.clone()]));
    let all = changes(&recorder, &CallFilter::default(), 0, 0).await;
    let told: BTreeSet<CallId> = all.rows.into_iter().map(|row| row.call).collect();
    assert_eq!(told, BTreeSet::from([call(70), job.call]));
    recorder.close().await;
}

#[tokio::test]
async fn erasing_a_call_takes_its_words_out_of_the_list() {
    let world = World::new();
    let recorder = world.open().await;
    let made = |number| Made {
        number,
        agent: "agent",
        person: Some("ann"),
        tool: Some("deployment_scale"),
        object: Some("web"),
        ending: "denied",
    };
    record(&world, &recorder, &made(1)).await;
    record(&world, &recorder, &made(2)).await;
    let by_object = CallFilter { object: object("web"), ..CallFilter::default() };
    let by_person = CallFilter { person: Some("ann".into()), ..CallFilter::default() };
    assert_eq!(all(&recorder, &by_object, 10).await.len(), 2);
    // One that the list knows, and one that it does not know yet.
    record(&world, &recorder, &made(3)).await;
    for number in [1, 3] {
        recorder.operate(1000, Operate::Erase { call: call(number) }).await.unwrap();
    }
    for filter in [&by_object, &by_person] {
        let found: Vec<_> =
            all(&recorder, filter, 10).await.into_iter().map(|row| row.call).collect();
        assert_eq!(found, [call(2)], "{filter:?}");
    }
    for number in [1, 3] {
        let row = row(&recorder, &call(number)).await;
        assert_eq!((row.person, row.summary, row.objects), (None, None, vec![]));
        assert!(row.erased);
        assert_eq!((row.agent.as_str(), row.state), ("agent", CallState::Denied));
    }
    recorder.close().await;
    let store = world.folder.path().join("store");
    for file in std::fs::read_dir(store).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for word in ["the summary of 1", "the summary of 3"] {
            assert!(!bytes.windows(word.len()).any(|part| part == word.as_bytes()), "{word}");
        }
    }
}

#[tokio::test]
async fn retention_of_payloads_takes_the_words_of_closed_calls_out_of_the_list() {
    let world = World::new();
    let retention = Retention { payloads: Some(10 * 86_400), ..Retention::usual() };
    let recorder = Recorder::open(RecorderContext { retention, ..world.settings() }).await.unwrap();
    let made = Made {
        number: 5,
        agent: "agent",
        person: Some("ann"),
        tool: None,
        object: Some("web"),
        ending: "looked",
    };
    record(&world, &recorder, &made).await;
    let mut open = StoredJob {
        expires: world.now() + jiff::SignedDuration::from_hours(24 * 30),
        ..world.job(1, "agent", "delete", Some(rule(1, &["bob"])))
    };
    store(&world, &recorder, &mut open, "web").await;
    assert_eq!(row(&recorder, &call(5)).await.person.as_deref(), Some("ann"));
    world.pass(11 * DAY);
    for _ in 0..4 {
        recorder.sweep().await;
    }
    let gone = row(&recorder, &call(5)).await;
    assert_eq!((gone.person, gone.summary, gone.objects, gone.erased), (None, None, vec![], true));
    let kept = row(&recorder, &open.call).await;
    assert_eq!(kept.summary.as_deref(), Some("the summary of the job"));
    let cancel = Propose::Cancel { principal: "agent".into(), call: open.call.clone() };
    recorder.propose(cancel).await.unwrap();
    world.pass(11 * DAY);
    for _ in 0..4 {
        recorder.sweep().await;
    }
    let gone = row(&recorder, &open.call).await;
    assert_eq!((gone.person, gone.summary, gone.objects, gone.erased), (None, None, vec![], true));
    assert_eq!((gone.state, gone.rule), (CallState::Cancelled, None));
    recorder.close().await;
}

#[tokio::test]
async fn a_list_that_is_made_again_from_the_ledger_is_the_same() {
    let world = World::new();
    let recorder = world.open().await;
    filled(&world, &recorder).await;
    let mut job = world.job(1_000, "agent", "delete", Some(rule(1, &["bob"])));
    store(&world, &recorder, &mut job, "api").await;
    let signed = sign("bob", &statement(&stored(&recorder, &job.call).await, Verdict::Reject));
    hand_in(&recorder, &job.call, signed).await.unwrap();
    recorder.operate(1000, Operate::Erase { call: call(3) }).await.unwrap();
    let known = all(&recorder, &CallFilter::default(), 50).await;
    recorder.close().await;
    // As a store of an earlier version is after its upgrade.
    on_the_store(
        &world,
        "DELETE FROM calls; DELETE FROM call_objects; DELETE FROM call_signers; UPDATE calls_end \
         SET entry = 0;",
    )
    .await;
    let recorder = world.open().await;
    assert_eq!(all(&recorder, &CallFilter::default(), 50).await, known);
    recorder.close().await;
}

#[tokio::test]
async fn a_filter_that_no_call_can_match_is_refused() {
    let world = World::new();
    let recorder = world.open().await;
    let long = "a".repeat(257);
    for filter in [
        CallFilter { agent: Some(String::new()), ..CallFilter::default() },
        CallFilter { person: Some(long.clone()), ..CallFilter::default() },
        CallFilter { tool: Some(long), ..CallFilter::default() },
        CallFilter { states: vec![CallState::Busy; 2], ..CallFilter::default() },
    ] {
        let ask = Operate::Calls { filter, before: None, limit: 10 };
        let refused = recorder.operate(1000, ask).await.unwrap_err();
        assert!(matches!(refused, RoleError::Refused(_)), "{refused:?}");
    }
    recorder.close().await;
}
