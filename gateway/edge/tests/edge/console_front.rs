//! The console's part of the Front for tests: the answers of a recorder that checks the role, and a
//! set of one tool. Words of agents and tools come from the test.

use crate::front::{AUDITOR, FakeFront, OPERATOR, SESSION, id};
use cofferdam_core::model::budget::Budgets;
use cofferdam_core::model::call_row::{CallChanges, CallCursor, CallPage, CallRow};
use cofferdam_core::model::call_state::CallState;
use cofferdam_core::model::ceiling::{Ceiling, Example, Grant};
use cofferdam_core::model::console_role::{ConsolePerson, ConsoleRole, SignInKind, SignedIn};
use cofferdam_core::model::id::{CallId, ComponentDigest, PolicyDigest, TrustDigest};
use cofferdam_core::model::object_name::ObjectName;
use cofferdam_core::model::operation::Action;
use cofferdam_core::model::reason::ApprovalRule;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::served::{Served, ServedChange, ServedPolicy, ServedTool};
use cofferdam_core::model::story::StoryEntry;
use cofferdam_core::model::trust::{Environment, Floor};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::approver::WaitingQuestion;
use cofferdam_core::protocol::console::{
    AgentRow, CallProof, CallStory, ConsoleAnswer, ConsoleAsk, ConsoleRefusal, EntryProof,
    Overview, WaitingCall,
};
use cofferdam_core::protocol::operator_recorder::{Disk, Notice};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// The session of a person with each of these roles, and the roles.
pub const SESSIONS: [(&str, &[ConsoleRole]); 4] = [
    (SESSION, &[ConsoleRole::Approver]),
    (AUDITOR, &[ConsoleRole::Auditor]),
    (OPERATOR, &[ConsoleRole::Operator]),
    ("session-of-both", &[ConsoleRole::Approver, ConsoleRole::Auditor]),
];

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The person of a session.
pub fn person(session: &str) -> Option<SignedIn> {
    let (_, roles) = SESSIONS.into_iter().find(|(known, _)| *known == session)?;
    Some(SignedIn { name: "bob".into(), roles: roles.to_vec(), by: SignInKind::Passkey })
}

/// The call number `number`, newest with the highest number.
pub fn row(front: &FakeFront, number: u64, state: CallState) -> CallRow {
    CallRow {
        call: if number == 0 { id() } else { CallId::from_random(u128::from(number)) },
        at: time("2026-11-30T11:00:00Z"),
        changed: time("2026-11-30T11:00:05Z"),
        agent: format!("release{}", front.words),
        person: Some(format!("ada{}", front.words)),
        tool: Some(format!("scale{}", front.words)),
        summary: Some(format!("Scale web to 3{}", front.words)),
        environment: "staging".into(),
        objects: vec![ObjectName::parse("deployment/shop/web").unwrap()],
        state,
        resolved: None,
        rule: Some(format!("replicas-limit{}", front.words)),
        signers: vec!["bob".into()],
        first: number,
        ledger: number + 1,
        erased: false,
    }
}

fn story(front: &FakeFront) -> CallStory {
    let words = &front.words;
    let reasons = json!([{"id": format!("replicas-limit{words}"), "audience": "user",
        "message": format!("40 replicas are more than 10{words}"), "remedy": format!("ask for fewer{words}")}]);
    let payloads: BTreeMap<String, Value> = [
        (
            "subject",
            json!({"type": "agent", "id": format!("release{words}"),
            "properties": {"roles": ["deployer"], "for": format!("ada{words}"), "act": []}}),
        ),
        ("purpose", json!(format!("faster{words}"))),
        ("arguments", json!({"value": words})),
        ("reasons", reasons),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    CallStory {
        call: id(),
        job: None,
        view: None,
        entries: vec![StoryEntry {
            index: 7,
            time: time("2026-11-30T11:00:00Z"),
            event: Event::Ended { ending: "denied".into(), code: format!("replicas-limit{words}") },
            payloads,
        }],
        removed: Vec::new(),
    }
}

fn overview(front: &FakeFront) -> Overview {
    Overview {
        phases: BTreeMap::new(),
        entries: 42,
        checkpoint: "cofferdam.dev/e1\n42\nAAAA\n".into(),
        disk: Some(Disk { free_bytes: 5 << 30, reserve_bytes: 1 << 30 }),
        refuses: None,
        warns: vec![format!("the disk is nearly full{}; remove files", front.words)],
        repaired: Vec::new(),
        supervisor: Notice::default(),
        roles: BTreeMap::from([("runner".into(), 2), ("viewer".into(), 0)]),
        stuck: Vec::new(),
        retention: Vec::new(),
        receivers: Vec::new(),
        indexed: 41,
    }
}

/// The answer of a recorder.
pub fn answer(
    front: &FakeFront,
    person: &ConsolePerson,
    ask: ConsoleAsk,
) -> Result<ConsoleAnswer, RoleError> {
    if front.down {
        return Err(RoleError::Unavailable("the recorder is away".into()));
    }
    let refused = |code, why: &str| Ok(ConsoleAnswer::Refused { code, why: why.to_owned() });
    let unknown =
        || refused(ConsoleRefusal::UnknownCall, "there is no call of this id that you may see");
    front.count_console(&ask, person);
    match ask {
        ConsoleAsk::Calls { before: Some(_), .. } if front.breaks => {
            Err(RoleError::Unavailable("the recorder is away".into()))
        }
        ConsoleAsk::Calls { filter, before, limit } => {
            let entries = if front.lags { 45 } else { 42 };
            let all = [CallState::Denied, CallState::Succeeded, CallState::AwaitingApproval];
            let numbered = (0_u64..).zip(all);
            let from = before.as_ref().map_or(0, |place: &CallCursor| place.place().1 + 1);
            let mut rows: Vec<CallRow> = numbered
                .map(|(number, state)| row(front, number, state))
                .filter(|row| filter.states.is_empty() || filter.states.contains(&row.state))
                .filter(|row| row.first >= from)
                .collect();
            // A page of two, so that there is a next one.
            rows.truncate(usize::try_from(limit).unwrap().min(2));
            let last = rows.last().map_or(3, |row| row.first);
            let before = (last < 2 && filter.states.is_empty()).then(|| CallCursor::after(1, last));
            Ok(ConsoleAnswer::Calls(CallPage { rows, before, through: 42, entries }))
        }
        ConsoleAsk::Changes { beyond, .. } => {
            let told = front.passed.load(Ordering::SeqCst) > 0 && beyond < 43;
            let rows = if told { vec![row(front, 9, CallState::Denied)] } else { Vec::new() };
            let left = if told { vec![id()] } else { Vec::new() };
            Ok(ConsoleAnswer::Changes(CallChanges {
                rows,
                left,
                through: if told { 43 } else { beyond },
            }))
        }
        ConsoleAsk::Story { call } | ConsoleAsk::Proof { call } if call != id() => unknown(),
        ConsoleAsk::Story { .. } => Ok(ConsoleAnswer::Story(Box::new(story(front)))),
        ConsoleAsk::Proof { .. } => Ok(ConsoleAnswer::Proof(CallProof {
            key: format!("ed25519:{}", "0".repeat(64)),
            proofs: vec![EntryProof { index: 7, proof: "c2sp.org/tlog-proof@v1\n".into() }],
            more: false,
        })),
        ConsoleAsk::Waiting => {
            let question = WaitingQuestion {
                call: id(),
                tool: format!("scale{}", front.words),
                summary: format!("Scale web{}", front.words),
                agent: format!("release{}", front.words),
                person: Some(format!("ada{}", front.words)),
                asked: time("2026-11-30T11:50:00Z"),
                expires: time("2026-11-30T12:30:00Z"),
                approval: Some(ApprovalRule::of(2, vec!["bob".into(), "carl".into()], 2_400)),
            };
            let waiting = vec![WaitingCall { question, signers: vec!["bob".into()] }];
            Ok(ConsoleAnswer::Waiting { waiting, more: false })
        }
        ConsoleAsk::Agents | ConsoleAsk::Overview if !person.role.sees_all() => {
            refused(ConsoleRefusal::NotForRole, "an approver sees no such page")
        }
        ConsoleAsk::Agents => Ok(ConsoleAnswer::Agents {
            agents: vec![AgentRow {
                name: format!("release{}", front.words),
                roles: vec![format!("deployer{}", front.words)],
                person: Some(format!("ada{}", front.words)),
                used: time("2026-11-30T11:58:00Z"),
                budgets: Budgets::usual(),
                jobs_today: 3,
                bytes_today: 5_000,
                waiting: 1,
            }],
            more: false,
        }),
        ConsoleAsk::Overview => Ok(ConsoleAnswer::Overview(Box::new(overview(front)))),
        ConsoleAsk::Cancel { .. } if !person.role.may_cancel() => {
            refused(ConsoleRefusal::MayNotCancel, "only an operator may cancel a call")
        }
        ConsoleAsk::Cancel { call, .. } if call != id() => unknown(),
        ConsoleAsk::Cancel { .. } => Ok(ConsoleAnswer::Cancelled { at_once: true }),
    }
}

/// The set of one tool.
pub fn served(front: &FakeFront) -> Served {
    let words = &front.words;
    let grant = Grant {
        action: Action::Patch,
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
        namespaces: vec!["team-*".into()],
        fields: vec!["spec.replicas".into()],
    };
    Served {
        environment: Environment { name: "staging".into(), id: "e1".into() },
        trust: TrustDigest::of(b"trust"),
        tools: vec![ServedTool {
            name: "scale".into(),
            version: "1.2.0".into(),
            digest: ComponentDigest::of(b"scale"),
            title: format!("Scale{words}"),
            description: format!("Scales a deployment{words}"),
            input_schema: json!({"type": "object", "properties": {"name": {"type": "string",
                "description": format!("Its name{words}")}}}),
            output_schema: json!({"type": "object", "properties": {}}),
            ceiling: Ceiling { grants: vec![grant], executors: vec!["sequential".into()] },
            narrowed: vec!["patch apps/v1 Deployment spec.paused in any namespace".into()],
            change: Some(ServedChange {
                version: "1.1.0".into(),
                digest: ComponentDigest::of(b"older"),
                added: vec!["patch apps/v1 Deployment spec.replicas in team-*".into()],
                removed: Vec::new(),
            }),
            examples: vec![Example {
                title: format!("Scale to 3{words}"),
                arguments: json!({"name": words}),
                draft: json!({"summary": format!("Scale web{words}")}),
            }],
        }],
        executors: Vec::new(),
        commands: Vec::new(),
        policy: ServedPolicy {
            digest: PolicyDigest::of(b"policy"),
            rules: Some("# The rules\npackage cofferdam.policy\n".into()),
            data: json!({"agent_limits": {"deployer": {"calls": 8}}}),
            floor: Floor::conservative(),
            self_approval: false,
            approvers: vec!["bob".into()],
        },
    }
}
