//! People at the console, by the gateway's socket: each role sees what it may see, and a person whom
//! the recorder's trust file does not know sees nothing, whatever the gateway says.

use crate::calls::{Made, record, store};
use crate::world::*;
use cofferdam_core::model::answer::Reply;
use cofferdam_core::model::call_filter::CallFilter;
use cofferdam_core::model::call_row::CallCursor;
use cofferdam_core::model::callers::ServedCaller;
use cofferdam_core::model::console_role::{ConsoleEntry, ConsolePerson, ConsoleRole, SignInKind};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::Cancellation;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::run::Outcome;
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk, ConsoleRefusal};
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::Operate;
use cofferdam_core::text::state_reply;
use cofferdam_recorder::ledger::prove::verify_proof;
use cofferdam_recorder::{Recorder, RecorderContext};
use sqlx::Connection as _;

pub fn person(name: &str, role: ConsoleRole) -> ConsolePerson {
    ConsolePerson { name: name.to_owned(), role, by: SignInKind::Passkey }
}

/// A person in a role of the trust file.
fn enrolled(world: &World, name: &str, role: ConsoleRole) -> ConsolePerson {
    let entry = ConsoleEntry { name: name.to_owned(), role, key: String::new() };
    world.trust.lock().unwrap().console.push(entry);
    person(name, role)
}

pub async fn ask(recorder: &Recorder, person: &ConsolePerson, ask: ConsoleAsk) -> ConsoleAnswer {
    match recorder.propose(Propose::Console { person: person.clone(), ask }).await.unwrap() {
        Proposed::Console { told } => *told,
        other => panic!("{other:?}"),
    }
}

pub fn refused(answer: ConsoleAnswer) -> ConsoleRefusal {
    match answer {
        ConsoleAnswer::Refused { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

pub fn calls() -> ConsoleAsk {
    ConsoleAsk::Calls { filter: CallFilter::default(), before: None, limit: 50 }
}

pub async fn listed(recorder: &Recorder, person: &ConsolePerson) -> Vec<CallId> {
    match ask(recorder, person, calls()).await {
        ConsoleAnswer::Calls(page) => page.rows.into_iter().map(|row| row.call).collect(),
        other => panic!("{other:?}"),
    }
}

/// Every request that a role may make or not, about this call.
pub fn every(call: &CallId) -> Vec<ConsoleAsk> {
    let filter = CallFilter::default;
    vec![
        calls(),
        ConsoleAsk::Changes { filter: filter(), beyond: 0, wait_ms: 0 },
        ConsoleAsk::Story { call: call.clone() },
        ConsoleAsk::Proof { call: call.clone() },
        ConsoleAsk::Waiting,
        ConsoleAsk::Agents,
        ConsoleAsk::Overview,
        ConsoleAsk::Cancel { call: call.clone(), because: "the wrong cluster".to_owned() },
    ]
}

/// A denied call, and two questions: the first is for bob, the second for carl.
pub async fn filled(world: &World, recorder: &Recorder) -> [CallId; 3] {
    let made = Made {
        number: 7,
        agent: "agent",
        person: Some("ann"),
        tool: None,
        object: Some("web"),
        ending: "denied",
    };
    record(world, recorder, &made).await;
    let mut first = world.job(1, "agent", "first", Some(rule(1, &["bob"])));
    store(world, recorder, &mut first, "web").await;
    let mut second = world.job(2, "agent", "second", Some(rule(1, &["carl"])));
    store(world, recorder, &mut second, "api").await;
    [call(7), first.call, second.call]
}

#[tokio::test]
async fn a_person_whom_the_trust_file_does_not_know_is_refused_everything() {
    let world = World::new();
    let recorder = world.open().await;
    let [_, first, _] = filled(&world, &recorder).await;
    for role in [ConsoleRole::Approver, ConsoleRole::Auditor, ConsoleRole::Operator] {
        for name in ["eve", "Bob", "", "*"] {
            for asked in every(&first) {
                let told = ask(&recorder, &person(name, role), asked).await;
                assert_eq!(refused(told), ConsoleRefusal::NotEnrolled, "{name} {role}");
            }
        }
    }
    // An approver is no auditor and no operator.
    for role in [ConsoleRole::Auditor, ConsoleRole::Operator] {
        for asked in every(&first) {
            let told = ask(&recorder, &person("bob", role), asked).await;
            assert_eq!(refused(told), ConsoleRefusal::NotEnrolled, "{role}");
        }
    }
    recorder.close().await;
}

#[tokio::test]
async fn an_approver_sees_own_questions_and_the_calls_that_they_signed() {
    let world = World::new();
    let recorder = world.open().await;
    let [denied, first, second] = filled(&world, &recorder).await;
    let (bob, carl) = (person("bob", ConsoleRole::Approver), person("carl", ConsoleRole::Approver));
    let waiting = async |who: &ConsolePerson| match ask(&recorder, who, ConsoleAsk::Waiting).await {
        ConsoleAnswer::Waiting { waiting, .. } => {
            waiting.into_iter().map(|call| call.question.call).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(waiting(&bob).await, std::slice::from_ref(&first));
    assert_eq!(listed(&recorder, &bob).await, []);
    let signed = sign("bob", &statement(&stored(&recorder, &first).await, Verdict::Reject));
    hand_in(&recorder, &first, signed).await.unwrap();
    assert_eq!(waiting(&bob).await, []);
    assert_eq!(listed(&recorder, &bob).await, std::slice::from_ref(&first));
    assert_eq!(listed(&recorder, &carl).await, []);
    // Each call that is not theirs has the answer of an unknown one.
    let foreign = async |who: &ConsolePerson, call: &CallId| {
        for asked in
            [ConsoleAsk::Story { call: call.clone() }, ConsoleAsk::Proof { call: call.clone() }]
        {
            let ConsoleAnswer::Refused { code, why } = ask(&recorder, who, asked).await else {
                panic!("{call}")
            };
            assert_eq!(code, ConsoleRefusal::UnknownCall);
            let same = "there is no call `ID` that you may see; look for it in the list of calls";
            assert_eq!(why.replace(call.as_str(), "ID"), same);
        }
    };
    for call in [&denied, &second, &call(99)] {
        foreign(&bob, call).await;
    }
    foreign(&carl, &first).await;
    for (who, call) in [(&bob, &first), (&carl, &second)] {
        let told = ask(&recorder, who, ConsoleAsk::Story { call: call.clone() }).await;
        let ConsoleAnswer::Story(story) = told else { panic!("{told:?}") };
        assert_eq!(story.call, *call);
        assert!(!story.entries.is_empty());
    }
    for (asked, code) in [
        (ConsoleAsk::Agents, ConsoleRefusal::NotForRole),
        (ConsoleAsk::Overview, ConsoleRefusal::NotForRole),
        (
            ConsoleAsk::Cancel { call: second.clone(), because: "no".into() },
            ConsoleRefusal::MayNotCancel,
        ),
    ] {
        assert_eq!(refused(ask(&recorder, &carl, asked).await), code);
    }
    recorder.close().await;
}

#[tokio::test]
async fn a_call_is_proved_entry_by_entry_by_the_published_ledger() {
    let world = World::new();
    let recorder = world.open().await;
    let [_, first, _] = filled(&world, &recorder).await;
    let bob = person("bob", ConsoleRole::Approver);
    let signed = sign("bob", &statement(&stored(&recorder, &first).await, Verdict::Reject));
    hand_in(&recorder, &first, signed).await.unwrap();
    let told = ask(&recorder, &bob, ConsoleAsk::Story { call: first.clone() }).await;
    let ConsoleAnswer::Story(story) = told else { panic!("{told:?}") };
    // The checkpoint of the newest entries is published within a second.
    let began = std::time::Instant::now();
    let proof = loop {
        let told = ask(&recorder, &bob, ConsoleAsk::Proof { call: first.clone() }).await;
        let ConsoleAnswer::Proof(proof) = told else { panic!("{told:?}") };
        if proof.proofs.len() == story.entries.len() {
            break proof;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{proof:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(!proof.more);
    assert_eq!(proof.key, cofferdam_core::model::permit::verifying_key_text(&World::key()));
    for (proof, entry) in proof.proofs.iter().zip(&story.entries) {
        assert_eq!(verify_proof(&proof.proof, &World::key()).unwrap().index, entry.index);
        assert_eq!(proof.index, entry.index);
    }
    assert!(story.entries.iter().any(|entry| matches!(entry.event, Event::Signed { .. })));
    recorder.close().await;
}

/// The requests of people in the ledger: request and person.
async fn noted(world: &World, recorder: Recorder) -> Vec<(String, String)> {
    recorder.close().await;
    let store = cofferdam_recorder::database(&world.folder.path().join("store"));
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(store);
    let mut store = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query_as(
        "SELECT entry ->> '$.event.what', entry ->> '$.event.by' FROM leaves WHERE entry ->> \
         '$.event.what' LIKE 'console %' ORDER BY idx",
    );
    let rows = rows.fetch_all(&mut store).await.unwrap();
    store.close().await.unwrap();
    rows
}

#[tokio::test]
async fn an_auditor_sees_every_call_and_changes_none_and_each_read_is_noted_once() {
    let world = World::new();
    let recorder = world.open().await;
    let auditor = enrolled(&world, "ada", ConsoleRole::Auditor);
    let [denied, first, second] = filled(&world, &recorder).await;
    for _ in 0..2 {
        assert_eq!(
            listed(&recorder, &auditor).await,
            [second.clone(), first.clone(), denied.clone()]
        );
        for call in [&denied, &first] {
            let told = ask(&recorder, &auditor, ConsoleAsk::Story { call: call.clone() }).await;
            let ConsoleAnswer::Story(story) = told else { panic!("{told:?}") };
            assert_eq!((&story.call, story.job.is_some()), (call, call == &first));
        }
        let told = ask(&recorder, &auditor, ConsoleAsk::Waiting).await;
        let ConsoleAnswer::Waiting { waiting, more: false } = told else { panic!("{told:?}") };
        assert_eq!(waiting.len(), 2);
        let told = ask(&recorder, &auditor, ConsoleAsk::Overview).await;
        let ConsoleAnswer::Overview(overview) = told else { panic!("{told:?}") };
        assert_eq!((overview.refuses, overview.phases.len()), (None, 1));
    }
    let cancel = ConsoleAsk::Cancel { call: first.clone(), because: "no".to_owned() };
    assert_eq!(refused(ask(&recorder, &auditor, cancel).await), ConsoleRefusal::MayNotCancel);
    let unknown = ConsoleAsk::Story { call: call(99) };
    assert_eq!(refused(ask(&recorder, &auditor, unknown).await), ConsoleRefusal::UnknownCall);
    // An hour later, a read is an entry again.
    world.pass(61 * MINUTE);
    ask(&recorder, &auditor, ConsoleAsk::Story { call: denied.clone() }).await;
    let words = ["calls", "story", "story", "waiting", "story"];
    let expected = words.map(|word| (format!("console {word}"), "ada".to_owned()));
    assert_eq!(noted(&world, recorder).await, expected);
}

#[tokio::test]
async fn a_person_of_an_issuer_is_never_taken_for_one_of_the_trust_file() {
    let world = World::new();
    let roles = vec![ConsoleRole::Auditor, ConsoleRole::Operator];
    let context = RecorderContext { oidc_roles: roles, ..world.settings() };
    let recorder = Recorder::open(context).await.unwrap();
    let auditor = enrolled(&world, "olga", ConsoleRole::Auditor);
    let of_issuer = |role| ConsolePerson { by: SignInKind::Oidc, ..person("olga", role) };
    let [denied, asked, _] = filled(&world, &recorder).await;
    // Each of them has an entry: another way of the sign-in, and another role.
    for who in [auditor, of_issuer(ConsoleRole::Auditor), of_issuer(ConsoleRole::Operator)] {
        for _ in 0..2 {
            ask(&recorder, &who, ConsoleAsk::Story { call: denied.clone() }).await;
        }
    }
    let cancel = ConsoleAsk::Cancel { call: asked.clone(), because: "no".to_owned() };
    ask(&recorder, &of_issuer(ConsoleRole::Operator), cancel).await;
    let told = view(&recorder, &stored(&recorder, &asked).await).await;
    assert_eq!(told.detail, "the operator `oidc:olga` cancelled it: no");
    let by: Vec<_> = noted(&world, recorder).await.into_iter().map(|(_, by)| by).collect();
    assert_eq!(by, ["olga", "oidc:olga", "oidc:olga", "oidc:olga"]);
}

#[tokio::test]
async fn each_list_at_the_console_is_an_entry_for_each_filter_and_for_older_pages() {
    let world = World::new();
    let recorder = world.open().await;
    let auditor = enrolled(&world, "ada", ConsoleRole::Auditor);
    let [denied, ..] = filled(&world, &recorder).await;
    let filter = |agent: &str| CallFilter { agent: Some(agent.into()), ..CallFilter::default() };
    let before = Some(CallCursor::after(i64::MAX, u64::MAX));
    for _ in 0..2 {
        for asked in [
            ConsoleAsk::Calls { filter: filter("a"), before: None, limit: 5 },
            ConsoleAsk::Changes { filter: filter("a"), beyond: 0, wait_ms: 0 },
            ConsoleAsk::Changes { filter: filter("b"), beyond: 0, wait_ms: 0 },
            ConsoleAsk::Calls { filter: filter("a"), before: before.clone(), limit: 5 },
            ConsoleAsk::Story { call: denied.clone() },
        ] {
            ask(&recorder, &auditor, asked).await;
        }
    }
    let words: Vec<_> = noted(&world, recorder).await.into_iter().map(|(what, _)| what).collect();
    assert_eq!(words, ["console calls", "console calls", "console older", "console story"]);
}

#[tokio::test]
async fn without_room_for_an_entry_no_payload_is_read() {
    let world = World::new();
    let recorder = world.open().await;
    let auditor = enrolled(&world, "ada", ConsoleRole::Auditor);
    let [_, first, _] = filled(&world, &recorder).await;
    world.free.store(5, std::sync::atomic::Ordering::SeqCst);
    recorder.sweep().await;
    for asked in [calls(), ConsoleAsk::Story { call: first }, ConsoleAsk::Waiting] {
        let person = auditor.clone();
        let told = recorder.propose(Propose::Console { person, ask: asked }).await;
        assert!(matches!(told, Err(RoleError::Unavailable(_))), "{told:?}");
    }
    // The state of the installation is told all the same.
    let told = ask(&recorder, &auditor, ConsoleAsk::Overview).await;
    let ConsoleAnswer::Overview(overview) = told else { panic!("{told:?}") };
    assert!(overview.refuses.is_some());
    recorder.close().await;
}

#[tokio::test]
async fn an_operator_cancels_a_call_and_its_agent_reads_who_and_why() {
    let world = World::new();
    let recorder = world.open().await;
    let operator = enrolled(&world, "olga", ConsoleRole::Operator);
    let [denied, asked, _] = filled(&world, &recorder).await;
    let cancel = async |call: &CallId, because: &str| {
        let ask_ = ConsoleAsk::Cancel { call: call.clone(), because: because.to_owned() };
        ask(&recorder, &operator, ask_).await
    };
    for because in ["", "two\nlines", &"a".repeat(301)] {
        assert_eq!(refused(cancel(&asked, because).await), ConsoleRefusal::Invalid);
    }
    // A question ends at once.
    let done = cancel(&asked, "the wrong cluster").await;
    assert_eq!(done, ConsoleAnswer::Cancelled { at_once: true });
    let told = view(&recorder, &stored(&recorder, &asked).await).await;
    let cancellation =
        Cancellation { by: "olga".to_owned(), because: "the wrong cluster".to_owned() };
    assert_eq!(told.outcome, Some(Outcome::Cancelled));
    assert_eq!(told.cancellation.as_ref(), Some(&cancellation));
    assert_eq!(told.detail, "the operator `olga` cancelled it: the wrong cluster");
    let Reply::Refused(refusal) = state_reply(&told) else { panic!("{told:?}") };
    assert!(refusal.text().contains(&format!(
        "CANCELLED {asked} by an operator in test\nNothing was changed.\nWhy: The operator `olga` \
         cancelled it: the wrong cluster."
    )));
    for (call, code) in [
        (&asked, ConsoleRefusal::NotOpen),
        (&denied, ConsoleRefusal::NotOpen),
        (&call(99), ConsoleRefusal::UnknownCall),
    ] {
        assert_eq!(refused(cancel(call, "again").await), code, "{call}");
    }
    // The runner of a job is asked to stop, and its words come after those of the operator.
    let running = world.job(5, "agent", "scale", None);
    enqueue(&recorder, &running, None).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    report(&seat, &leased, prepared()).await.unwrap();
    let done = cancel(&running.call, "the wrong hour").await;
    assert_eq!(done, ConsoleAnswer::Cancelled { at_once: false });
    assert_eq!(refused(cancel(&running.call, "again").await), ConsoleRefusal::NotOpen);
    report(&seat, &leased, finished(Outcome::Cancelled)).await.unwrap();
    report(&seat, &leased, gone()).await.unwrap();
    let told = view(&recorder, &running).await;
    assert_eq!(told.detail, "the operator `olga` cancelled it: the wrong hour; done");
    // Erasing takes the reason along.
    recorder.operate(0, Operate::Erase { call: running.call.clone() }).await.unwrap();
    let erased = view(&recorder, &running).await.cancellation.unwrap();
    assert_eq!((erased.by.as_str(), erased.because.as_str()), ("olga", ""));
    let cancels = noted(&world, recorder).await;
    assert_eq!(cancels.len(), 2, "{cancels:?}");
    assert!(cancels.iter().all(|(what, by)| what == "console cancel" && by == "olga"));
}

#[tokio::test]
async fn each_agent_is_shown_with_its_last_use_and_what_it_used_today() {
    let world = World::new();
    let recorder = world.open().await;
    let auditor = enrolled(&world, "ada", ConsoleRole::Auditor);
    filled(&world, &recorder).await;
    let caller = |name: &str, ms: i64| ServedCaller {
        name: name.to_owned(),
        roles: vec!["operator".to_owned()],
        person: Some("ann".to_owned()),
        used: world.now() - jiff::SignedDuration::from_millis(ms),
    };
    let callers = vec![caller("other", 5), caller("agent", 0)];
    recorder.propose(Propose::Served { callers }).await.unwrap();
    let told = ask(&recorder, &auditor, ConsoleAsk::Agents).await;
    let ConsoleAnswer::Agents { agents, more: false } = told else { panic!("{told:?}") };
    let shown: Vec<_> = agents
        .iter()
        .map(|agent| (agent.name.as_str(), agent.jobs_today, agent.waiting, agent.bytes_today > 0))
        .collect();
    assert_eq!(shown, [("agent", 2, 2, true), ("other", 0, 0, false)]);
    recorder.close().await;
}
