//! A small whole world for the core's own tests: a tool, a policy, a tree of objects, a recorder
//! and a runner, each a few lines, each doing its part for real. Never leaves the tests.

#[path = "../../../tests/testkit/src/authenticator.rs"]
pub mod authenticator;

use crate::journey::ports::{GuestError, Host, Judge, Planner, Recorder, Viewer, no_progress};
use crate::journey::{Lists, Mode, World, ask};
use crate::model::call::{EndedCall, OwnCall, Rejected};
use crate::model::caller::{Caller, Principal, Standing};
use crate::model::ceiling::{Ceiling, Definition, Example, Grant};
use crate::model::delegation::SignedDelegation;
use crate::model::id::{
    ArgumentsDigest, CallId, ComponentDigest, ObjectDigest, PlanDigest, PolicyDigest,
};
use crate::model::job::{JobView, OperationRecord, Planned, StoredJob};
use crate::model::left_out::LeftOut;
use crate::model::operation::{Action, Draft, Operation, Step, ToolRefusal};
use crate::model::permit::verifying_key_text;
use crate::model::preview::{Expect, Preview, PreviewedOperation};
use crate::model::record::{Entry, Event, Recorded};
use crate::model::run::{Outcome, Phase};
use crate::model::statement::{NAMESPACE, STATEMENT_SCHEMA, SignedStatement, Statement, Verdict};
use crate::model::trust::{
    Approver, Environment, Floor, RoleKeys, Trust, TrustedExecutor, TrustedTool,
};
use crate::protocol::RoleError;
use crate::protocol::gateway_recorder::{Counts, Propose, Proposed, StoredTask, UsedKey};
use crate::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use crate::protocol::operator_recorder::FreshPreview;
use crate::stage::discover::RawCall;
use crate::stage::readmit;
use crate::stage::readmit::{Inadmissible, LeasedPlan};
use crate::tool::catalog::Catalog;
use crate::tool::load::LoadedTool;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A Monday, at noon.
pub fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

pub fn environment() -> Environment {
    Environment { name: "staging".into(), id: "5f2d".into() }
}

fn digest() -> ComponentDigest {
    ComponentDigest::of(b"tool")
}

fn ceiling() -> Ceiling {
    let grant = |action, fields: &[&str]| Grant {
        action,
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
        namespaces: vec!["*".into()],
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    };
    Ceiling {
        grants: vec![
            grant(Action::Patch, &["spec.replicas"]),
            grant(Action::Delete, &[]),
            grant(Action::Read, &["spec.replicas"]),
        ],
        executors: vec!["sequential".into()],
    }
}

pub fn definition() -> Definition {
    Definition {
        name: "deployment_scale".into(),
        version: "0.1.0".into(),
        title: "Scale".into(),
        description: "Scales a Deployment.".into(),
        input_schema: json!({
            "type": "object", "additionalProperties": false, "required": ["namespace", "name",
            "replicas"],
            "properties": {"namespace": {"type": "string"}, "name": {"type": "string"},
            "replicas": {"type": "integer", "maximum": 1000}}
        }),
        output_schema: json!({"type": "object"}),
        ceiling: ceiling(),
        examples: vec![Example {
            title: "Five".into(),
            arguments: json!({"namespace": "team-a", "name": "web", "replicas": 5}),
            draft: json!({"summary": "x", "executor": null, "operations": []}),
        }],
    }
}

pub fn trust() -> Trust {
    Trust {
        environment: environment(),
        keys: RoleKeys {
            gateway: verifying_key_text(&gateway_key().verifying_key()),
            recorder: String::new(),
        },
        policy: PolicyDigest::of(b"policy"),
        floor: Floor { actions: vec![Action::Delete], namespaces: vec!["prod".into()] },
        self_approval: false,
        tools: vec![TrustedTool {
            name: "deployment_scale".into(),
            version: "0.1.0".into(),
            digest: digest(),
            ceiling: ceiling(),
        }],
        executors: vec![TrustedExecutor {
            name: "sequential".into(),
            digest: ComponentDigest::of(b"executor"),
        }],
        commands: vec![],
        approvers: ["bob", "alice"]
            .into_iter()
            .map(|name| Approver {
                name: name.into(),
                key: person(name).public_key().to_openssh().unwrap(),
            })
            .collect(),
        delegations: vec![],
        console: vec![],
        replaced: vec![],
    }
}

pub fn gateway_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A person's SSH key.
pub fn person(name: &str) -> ssh_key::PrivateKey {
    let seed: [u8; 32] = *ComponentDigest::of(name.as_bytes()).as_bytes();
    ssh_key::PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&seed))
}

/// A statement with one thing changed, signed by this person as if it were what they were shown.
pub fn resigned(
    signed: &SignedStatement,
    name: &str,
    change: impl Fn(&mut Statement),
) -> SignedStatement {
    let mut statement: Statement = serde_json::from_str(&signed.statement).unwrap();
    change(&mut statement);
    let (text, _) = statement.canonical().unwrap();
    let signature =
        person(name).sign(NAMESPACE, ssh_key::HashAlg::Sha512, text.as_bytes()).unwrap();
    SignedStatement {
        statement: text,
        signature: signature.to_pem(ssh_key::LineEnding::LF).unwrap(),
    }
}

pub fn agent() -> Principal {
    Principal {
        name: "agent-7".into(),
        anonymous: false,
        roles: vec!["operator".into()],
        person: Some("alice".into()),
        act: Vec::new(),
    }
}

pub fn world() -> World {
    let trust = trust();
    let tool = LoadedTool::load(definition(), digest(), &trust.tools[0]).unwrap();
    World {
        catalog: Catalog::new(vec![tool], &trust).unwrap(),
        policy: trust.policy,
        trust,
        key: gateway_key(),
        lists: Lists::default(),
    }
}

pub fn raw(host: &Bench, arguments: Value) -> RawCall {
    let mut calls = host.calls.lock().unwrap();
    *calls += 1;
    let caller =
        Caller { call: CallId::from_random(*calls), principal: agent(), time: noon(), trace: None };
    RawCall {
        caller,
        tool: "deployment_scale".into(),
        arguments,
        key: None,
        wait_ms: 1000,
        person_ms: 1000,
    }
}

pub fn scale(namespace: &str, replicas: i64) -> Value {
    json!({"namespace": namespace, "name": "web", "replicas": replicas})
}

/// Replicas for which [`tool`] plans a delete.
pub const DELETES: i64 = -1;
/// Replicas for which [`tool`] plans a read.
pub const READS: i64 = 100;
/// Replicas for which [`tool`] plans a field that its ceiling does not have.
pub const BEYOND_CEILING: i64 = 666;
/// Replicas for which [`tool`] refuses the arguments.
pub const TOOL_REFUSES: i64 = 667;
/// Replicas for which [`tool`] takes too long.
pub const TOOL_FAILS: i64 = 668;
/// The namespace for which policy gives an output with an unknown member.
pub const UNKNOWN_MEMBER: &str = "odd";
/// The namespace for which policy gives an obligation that the host does not know.
pub const UNKNOWN_OBLIGATION: &str = "obliged";

/// The tool: a patch of the replicas, except for the numbers above.
pub fn tool(arguments: &str) -> Result<Result<Draft, ToolRefusal>, GuestError> {
    let arguments: Value = serde_json::from_str(arguments).unwrap();
    let target = json!({"group": "apps", "version": "v1", "kind": "Deployment",
    "namespace": arguments["namespace"], "name": arguments["name"]});
    let draft = |executor: Value, mut operation: Value| {
        operation["after"] = json!([]);
        operation["reversible"] = json!(false);
        Ok(Ok(serde_json::from_value(
            json!({"summary": "Scale web", "executor": executor, "operations": [operation]}),
        )
        .unwrap()))
    };
    match arguments["replicas"].as_i64().unwrap() {
        DELETES => draft(json!("sequential"), json!({"action": "delete", "target": target})),
        READS => draft(
            Value::Null,
            json!({"action": "read", "target": target, "fields": ["spec.replicas"]}),
        ),
        BEYOND_CEILING => draft(
            json!("sequential"),
            json!({"action": "patch", "target": target, "changes": [{"path": "spec.paused",
            "value": true}]}),
        ),
        TOOL_REFUSES => {
            Ok(Err(ToolRefusal { reason: "no such number".into(), remedy: "Give another.".into() }))
        }
        TOOL_FAILS => {
            Err(GuestError { code: "time".into(), detail: "the tool took too long".into() })
        }
        replicas => draft(
            json!("sequential"),
            json!({"action": "patch", "target": target, "changes": [{"path": "spec.replicas",
            "value": replicas}]}),
        ),
    }
}

/// The policy: at most 20 replicas; `asks-*` namespaces need bob, `asks-two` any two; an approval
/// for `asks-young` is good for 300 seconds of its 600.
pub fn policy(input: &str) -> Result<String, GuestError> {
    let input: Value = serde_json::from_str(input).unwrap();
    let reason = |id: &str, message: &str| {
        json!([{"id": id, "message": message,
    "remedy": "at most 20 replicas", "audience": "user"}])
    };
    let covers: Vec<_> = input["plan"]["operations"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|operation| operation["index"].clone())
        .collect();
    let namespace = input["arguments"]["namespace"].as_str().unwrap_or_default();
    let mut output = json!({
        "schema": "cofferdam.decision.v1", "effect": "allow", "covers": covers,
        "reasons": reason("operators", "operators may scale"),
        "obligations": [], "approval": null
    });
    match namespace {
        "trap" => {
            return Err(GuestError {
                code: "trap".into(),
                detail: "division by zero in limits.rego".into(),
            });
        }
        UNKNOWN_MEMBER => output["surprise"] = json!(true),
        "uncovered" => output["covers"] = json!([]),
        UNKNOWN_OBLIGATION => {
            output["obligations"] = json!([{"id": "o", "type": "redact", "properties": {}}])
        }
        "still" | "asks-still" => {
            output["obligations"] =
                json!([{"id": "o", "type": "unchanged", "properties": {"scope": "object"}}])
        }
        "still-file" => {
            output["obligations"] =
                json!([{"id": "o", "type": "unchanged", "properties": {"scope": "file"}}])
        }
        "still-more" => {
            output["obligations"] =
                json!([{"id": "o", "type": "unchanged", "properties": {"scope": "object", "x": 1}}])
        }
        "still-none" => {
            output["obligations"] = json!([{"id": "o", "type": "unchanged", "properties": {}}])
        }
        _ => {}
    }
    if input["arguments"]["replicas"]
        .as_i64()
        .is_some_and(|replicas| replicas > 20 && replicas != READS)
    {
        output["effect"] = json!("deny");
        output["reasons"] = reason("replicas-limit", "40 replicas are more than 20");
    } else if namespace.starts_with("asks-") && input["context"]["approval"].is_null() {
        output["effect"] = json!("require_approval");
        let (quorum, approvers) = if namespace == "asks-two" { (2, "*") } else { (1, "bob") };
        output["approval"] =
            json!({"quorum": quorum, "approvers": [approvers], "expires_seconds": 600});
    }
    let signatures = input["context"]["approval"]["signatures"].as_array().into_iter().flatten();
    let old = |signature: &Value| signature["age_seconds"].as_u64().is_none_or(|age| age > 300);
    if namespace == "asks-young" && signatures.into_iter().any(old) {
        output["effect"] = json!("deny");
        output["reasons"] = reason("stale-approval", "the approval is older than 300 seconds");
    }
    Ok(output.to_string())
}

/// Everything outside the core, in memory.
pub struct Bench {
    /// Namespace → replicas of `web`.
    pub objects: Mutex<BTreeMap<String, i64>>,
    /// The ledger entries, oldest first.
    pub entries: Mutex<Vec<Entry>>,
    /// Jobs with their state.
    pub jobs: Mutex<Vec<(StoredJob, JobView)>>,
    /// The idempotency keys that were used.
    pub keys: Mutex<BTreeMap<String, UsedKey>>,
    /// A person's reason against everything.
    pub rejection: Mutex<Option<String>>,
    /// How often something else than the replicas of any object was changed.
    pub elsewhere: Mutex<u64>,
    /// The field manager that wrote last, as a cluster tells it.
    pub writer: Mutex<Option<String>>,
    pub seen: Mutex<Vec<(CallId, FreshPreview)>>,
    /// How the caller of a call that waited stands.
    pub standing: Mutex<Standing>,
    /// The approvers by the trust file as it is now.
    pub approvers: Mutex<Result<Vec<Approver>, RoleError>>,
    /// The recorder does not answer.
    pub down: Mutex<bool>,
    /// The next guests fail with these codes, from the last: `plan`, `call`, `list` or `enqueue`,
    /// and the code.
    pub failing: Mutex<Vec<(&'static str, &'static str)>>,
    calls: Mutex<u128>,
}

impl Bench {
    pub fn new() -> Self {
        let obliged =
            [UNKNOWN_OBLIGATION, "still", "asks-still", "still-file", "still-more", "still-none"];
        let namespaces =
            ["team-a", "prod", "asks-b", "asks-two", "asks-young", UNKNOWN_MEMBER, "uncovered"]
                .into_iter()
                .chain(obliged);
        let objects = namespaces.map(|name| (name.to_owned(), 3)).collect();
        Self {
            objects: Mutex::new(objects),
            entries: Mutex::default(),
            jobs: Mutex::default(),
            keys: Mutex::default(),
            rejection: Mutex::default(),
            elsewhere: Mutex::default(),
            writer: Mutex::default(),
            seen: Mutex::default(),
            standing: Mutex::new(Standing::Same),
            approvers: Mutex::new(Ok(trust().approvers)),
            down: Mutex::default(),
            failing: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// The error that waits for this guest.
    fn fails(&self, guest: &str) -> Result<(), GuestError> {
        let mut failing = self.failing.lock().unwrap();
        match failing.pop_if(|(next, _)| *next == guest) {
            Some((_, code)) => Err(GuestError { code: code.into(), detail: "as told".into() }),
            None => Ok(()),
        }
    }

    /// Another client changes the infrastructure.
    pub fn meddle(&self, namespace: &str, replicas: i64) {
        self.objects.lock().unwrap().insert(namespace.to_owned(), replicas);
    }

    pub fn preview(&self, operations: &[Step]) -> ReadResponse {
        let objects = self.objects.lock().unwrap();
        let mut shown = Vec::new();
        for (index, step) in operations.iter().enumerate() {
            let target = step.operation.target().unwrap().clone();
            let Some(replicas) = objects.get(&target.namespace) else {
                let text = |text: &str| text.to_owned();
                return ReadResponse::Refused {
                    code: text("not-found"),
                    reason: format!("there is no {target}"),
                    remedy: text("List the workloads."),
                };
            };
            let field = |value: Value| BTreeMap::from([("spec.replicas".to_owned(), value)]);
            let after = match &step.operation {
                Operation::Patch { changes, .. } => field(changes[0].value.clone().unwrap()),
                _ => BTreeMap::new(),
            };
            let digest = ObjectDigest::of(
                format!("{replicas} {}", self.elsewhere.lock().unwrap()).as_bytes(),
            );
            shown.push(PreviewedOperation {
                index: u32::try_from(index).unwrap(),
                expect: Expect::Present { uid: target.namespace.clone(), digest },
                target,
                before: field(json!(replicas)),
                after,
                place: "team/web.yaml:7".into(),
                remarks: vec![],
                rest: crate::model::preview::Rest {
                    fields: Some(BTreeMap::from([(
                        "metadata.generation".to_owned(),
                        json!(*self.elsewhere.lock().unwrap()),
                    )])),
                    origins: {
                        let writer = self
                            .writer
                            .lock()
                            .unwrap()
                            .clone()
                            .map(crate::model::preview::Origin::Manager);
                        writer
                            .map(|writer| ("spec.replicas".to_owned(), writer))
                            .into_iter()
                            .collect()
                    },
                },
            });
        }
        ReadResponse::Preview { preview: Preview { operations: shown } }
    }

    /// The runner: admits by itself, then acts.
    pub fn admit(
        &self,
        job: StoredJob,
        trust: &Trust,
        now: Timestamp,
    ) -> Result<LeasedPlan, Inadmissible> {
        let opened = readmit::open(job, trust, now)?;
        let draft = tool(opened.arguments()).unwrap().unwrap();
        let derived = opened.derive(draft)?;
        let ReadResponse::Preview { preview } = self.preview(derived.sealed().operations()) else {
            panic!("gone")
        };
        let question = derived.question(preview, now)?;
        let output = policy(question.input()).unwrap();
        question.admit(&output)
    }

    fn run(&self, job: &StoredJob) -> JobView {
        let mut view = view(job, Phase::Closed);
        match self.admit(job.clone(), &trust(), noon()) {
            Ok(leased) => {
                for (shown, step) in
                    leased.preview().operations.iter().zip(leased.sealed().operations())
                {
                    let mut objects = self.objects.lock().unwrap();
                    match &step.operation {
                        Operation::Patch { changes, target } => {
                            objects.insert(
                                target.namespace.clone(),
                                changes[0].value.as_ref().unwrap().as_i64().unwrap(),
                            );
                        }
                        _ => {
                            objects.remove(&shown.target.namespace);
                        }
                    }
                    view.operations.push(OperationRecord {
                        index: shown.index,
                        undo: false,
                        before: shown.before.clone(),
                        after: Some(shown.after.clone()),
                    });
                }
                view.meanwhile = leased.meanwhile().to_vec();
                view.outcome = Some(Outcome::Succeeded);
                view.files = vec!["team/web.yaml".to_owned()];
            }
            Err(error) => {
                view.outcome = Some(Outcome::Refused);
                view.detail = error.to_string();
            }
        }
        view
    }

    /// A person signs what is shown for a job.
    pub fn sign(&self, job: &StoredJob, name: &str, verdict: Verdict) -> SignedStatement {
        let reason = if verdict == Verdict::Reject { "not today".into() } else { String::new() };
        self.sign_with(job, name, |said| (said.verdict, said.reason) = (verdict, reason))
    }

    /// A person approves a job, in a statement that is changed first.
    pub fn sign_with(
        &self,
        job: &StoredJob,
        name: &str,
        change: impl FnOnce(&mut Statement),
    ) -> SignedStatement {
        let mut statement = Statement {
            schema: STATEMENT_SCHEMA.into(),
            call: job.call.clone(),
            verdict: Verdict::Approve,
            reason: String::new(),
            plan: job.plan_digest,
            preview: job.preview_digest,
            shown: crate::text::question(job).unwrap().1,
            subject: job.principal.subject(),
            environment: job.environment.clone(),
            policy: job.policy,
            nonce: job.nonce.clone(),
            issued: Some(job.created),
            escalated: None,
            stands_for: None,
            expires: "2026-11-23T12:10:00Z".parse().unwrap(),
        };
        change(&mut statement);
        let (text, _) = statement.canonical().unwrap();
        let signature =
            person(name).sign(NAMESPACE, ssh_key::HashAlg::Sha512, text.as_bytes()).unwrap();
        SignedStatement {
            statement: text,
            signature: signature.to_pem(ssh_key::LineEnding::LF).unwrap(),
        }
    }

    fn record(&self, entry: Entry) -> Recorded {
        let mut entries = self.entries.lock().unwrap();
        entries.push(entry);
        Recorded { index: u64::try_from(entries.len() - 1).unwrap() }
    }

    fn answer(&self, propose: Propose) -> Result<Proposed, RoleError> {
        if *self.down.lock().unwrap() {
            return Err(RoleError::Unavailable("away".into()));
        }
        let found = |call: &CallId| {
            let jobs = self.jobs.lock().unwrap();
            let found = jobs
                .iter()
                .find(|(job, _)| job.call == *call)
                .ok_or(RoleError::NotFound(call.to_string()));
            found.map(|(_, view)| Proposed::Job { job: Box::new(view.clone()) })
        };
        Ok(match propose {
            Propose::End { entry, .. } | Propose::Withdraw { entry, .. } => {
                Proposed::Recorded(self.record(entry))
            }
            Propose::Enqueue { .. } if self.fails("queue").is_err() => {
                let why = "4000 jobs wait for a runner".to_owned();
                return Err(RoleError::Busy { why, retry_after_seconds: 120 });
            }
            Propose::Permit { .. } if self.fails("queue").is_err() => {
                let why = "4000 jobs wait for a runner".to_owned();
                return Err(RoleError::Busy { why, retry_after_seconds: 120 });
            }
            Propose::Enqueue { job, entry, key, .. } => {
                let recorded = self.record(entry);
                let mut state = if job.permit.is_some() {
                    self.run(&job)
                } else {
                    view(&job, Phase::AwaitingApproval)
                };
                state.ledger = recorded.index;
                if let Some(key) = key {
                    self.keys.lock().unwrap().insert(
                        key.key,
                        UsedKey {
                            call: job.call.clone(),
                            tool: key.tool,
                            arguments: key.arguments,
                        },
                    );
                }
                self.jobs.lock().unwrap().push((*job, state));
                // The store has it, and its answer is lost.
                self.fails("enqueue")
                    .map_err(|_| RoleError::Unavailable("the answer was lost".into()))?;
                Proposed::Recorded(recorded)
            }
            Propose::Key { key, .. } => {
                Proposed::Key { used: self.keys.lock().unwrap().get(&key).cloned() }
            }
            Propose::Rejection { .. } => {
                let until = noon() + jiff::SignedDuration::from_hours(1);
                let rejected = self.rejection.lock().unwrap().clone();
                let rejected = rejected.map(|reason| Rejected {
                    approver: "bob".into(),
                    reason,
                    at: noon(),
                    until,
                });
                Proposed::Rejection { rejected }
            }
            Propose::Same { plan, policy, .. } => {
                let jobs = self.jobs.lock().unwrap();
                let counts = |outcome| matches!(outcome, None | Some(Outcome::Succeeded));
                let same = |(job, view): &&(StoredJob, JobView)| {
                    job.plan_digest == plan && job.policy == policy && counts(view.outcome)
                };
                Proposed::Same {
                    job: jobs.iter().rev().find(same).map(|(_, view)| Box::new(view.clone())),
                    ended_ms: 12_000,
                }
            }
            Propose::Ended { call, .. } => {
                let entries = self.entries.lock().unwrap();
                let ended =
                    entries.iter().zip(0u64..).find_map(|(entry, ledger)| match &entry.event {
                        Event::Ended { ending, code } if entry.call.as_ref() == Some(&call) => {
                            Some(EndedCall {
                                ending: ending.clone(),
                                code: code.clone(),
                                tool: entry.tool.as_ref().map(|(name, _)| name.clone()),
                                plan: entry.plan,
                                time: noon(),
                                ledger,
                            })
                        }
                        _ => None,
                    });
                Proposed::Ended { ended }
            }
            Propose::Tokens { .. } => Proposed::EndedTokens { tokens: Vec::new() },
            Propose::Served { .. } => Proposed::Done,
            Propose::Job { call, .. } | Propose::Cancel { call, .. } => found(&call)?,
            Propose::Plan { call, .. } => {
                let jobs = self.jobs.lock().unwrap();
                let job = jobs.iter().find(|(job, _)| job.call == call);
                let (job, _) = job.ok_or(RoleError::NotFound(call.to_string()))?;
                Proposed::Plan { plan: Some(job.plan.clone()) }
            }
            Propose::Task { principal, call } => {
                let jobs = self.jobs.lock().unwrap();
                let own = |(job, _): &&(StoredJob, JobView)| {
                    job.call == call && job.principal.name == principal
                };
                let (job, view) =
                    jobs.iter().find(own).ok_or(RoleError::NotFound(call.to_string()))?;
                let (created, updated) = (job.created, noon());
                let job = view.clone();
                Proposed::Task(Box::new(StoredTask {
                    job,
                    created,
                    updated,
                    stopping: false,
                    kept_ms: None,
                }))
            }
            Propose::NextApproved { .. } => {
                let jobs = self.jobs.lock().unwrap();
                let next = jobs.iter().find(|(job, view)| {
                    view.phase == Phase::AwaitingApproval && !job.statements.is_empty()
                });
                let statements = next.map(|(job, _)| job.statements.clone()).unwrap_or_default();
                Proposed::Approved { job: next.map(|(job, _)| Box::new(job.clone())), statements }
            }
            Propose::Permit { call, permit, entry, expires } => {
                let recorded = self.record(entry);
                let mut jobs = self.jobs.lock().unwrap();
                let (job, state) = jobs.iter_mut().find(|(job, _)| job.call == call).unwrap();
                (job.permit, job.expires) = (Some(permit), expires);
                *state = self.run(job);
                Proposed::Recorded(recorded)
            }
            Propose::Calls { principal, open, limit } => {
                let jobs = self.jobs.lock().unwrap();
                let own = jobs.iter().rev().filter(|(job, view)| {
                    job.principal.name == principal && !(open && view.outcome.is_some())
                });
                let mut calls: Vec<_> = own.map(|(job, view)| own_call(job, view)).collect();
                let more = calls.len() > limit as usize;
                calls.truncate(limit as usize);
                Proposed::Calls { calls, more }
            }
            Propose::NextPreview { .. } => {
                let jobs = self.jobs.lock().unwrap();
                let next = jobs.iter().find(|(_, view)| view.phase == Phase::AwaitingApproval);
                Proposed::ToPreview { job: next.map(|(job, _)| Box::new(job.clone())) }
            }
            Propose::Previewed { call, seen } => {
                self.seen.lock().unwrap().push((call, seen));
                Proposed::Done
            }
            Propose::Serving { .. } | Propose::Reload { .. } | Propose::OverLimit { .. } => {
                Proposed::Done
            }
            Propose::Console { .. } | Propose::Approver { .. } => {
                return Err(RoleError::Unavailable("no approver asks in these tests".into()));
            }
            Propose::Invited { .. } | Propose::Enrol { .. } => {
                return Err(RoleError::Refused("no person is invited in these tests".into()));
            }
            Propose::Runners => Proposed::Runners { there: true, stuck: Vec::new() },
            Propose::Health => Proposed::Health { refuses: None, warns: vec![], repaired: vec![] },
            Propose::Counts => Proposed::Counts(Counts::default()),
            Propose::Head => Proposed::Head { size: 0, checkpoint: String::new() },
        })
    }
}

/// Some job's view, closed and without an end.
pub fn some_view() -> JobView {
    JobView {
        call: CallId::parse("abcdefghijklmnopqrstuvwxyz").unwrap(),
        tool: "tool".to_owned(),
        plan: PlanDigest::of(b"plan"),
        arguments: ArgumentsDigest::of(b"arguments"),
        phase: Phase::Closed,
        outcome: None,
        detail: String::new(),
        meanwhile: Vec::new(),
        resolution: None,
        cancellation: None,
        stuck: None,
        files: Vec::new(),
        claimed: true,
        planned: Vec::new(),
        operations: Vec::new(),
        progress: Vec::new(),
        approval: None,
        reasons: Vec::new(),
        environment: Environment {
            name: "lab".to_owned(),
            id: "0f0c1ad89ad24e2b8f866a2f3c6e6b5d".to_owned(),
        },
        ledger: 0,
        expires: Timestamp::UNIX_EPOCH,
        version: 1,
    }
}

fn own_call(job: &StoredJob, view: &JobView) -> OwnCall {
    let what = view.planned.iter().map(|planned| planned.words.clone()).collect();
    OwnCall {
        call: job.call.clone(),
        tool: job.tool.clone(),
        what,
        phase: view.phase,
        outcome: view.outcome,
        asked: job.created,
    }
}

fn view(job: &StoredJob, phase: Phase) -> JobView {
    JobView {
        call: job.call.clone(),
        tool: job.tool.clone(),
        plan: job.plan_digest,
        arguments: ArgumentsDigest::of(job.arguments.as_bytes()),
        phase,
        planned: Planned::all(job),
        approval: job.approval.clone(),
        reasons: job.reasons.clone(),
        environment: job.environment.clone(),
        expires: job.expires,
        ..some_view()
    }
}

impl Planner for Bench {
    async fn plan(
        &self,
        _: ComponentDigest,
        arguments: &str,
    ) -> Result<Result<Draft, ToolRefusal>, GuestError> {
        self.fails("plan")?;
        tool(arguments)
    }
}

impl Judge for Bench {
    async fn evaluate(&self, entrypoint: &str, input: &str) -> Result<String, GuestError> {
        if entrypoint == crate::policy::digest::CALL_ENTRYPOINT {
            self.fails("call")?;
            return policy(input);
        }
        self.fails("list")?;
        let input: Value = serde_json::from_str(input).unwrap();
        let operator = input["subject"]["properties"]["roles"] == json!(["operator"]);
        Ok(if operator { r#"["deployment_scale","invented"]"# } else { "[]" }.to_owned())
    }
}

impl Viewer for Bench {
    async fn read(&self, request: ReadRequest) -> Result<ReadResponse, RoleError> {
        Ok(match request {
            ReadRequest::Preview { operations, .. } => self.preview(&operations),
            ReadRequest::Read { .. } => ReadResponse::Results {
                results: vec![json!({"fields": {"spec.replicas": 3}})],
                left_out: LeftOut::default(),
                given: vec![],
            },
        })
    }
}

impl Recorder for Bench {
    async fn propose(&self, propose: Propose) -> Result<Proposed, RoleError> {
        self.answer(propose)
    }
}

impl Host for Bench {
    type Planner = Self;
    type Judge = Self;
    type Viewer = Self;
    type Recorder = Self;
    fn planner(&self) -> &Self {
        self
    }
    fn judge(&self) -> &Self {
        self
    }
    fn viewer(&self) -> &Self {
        self
    }
    fn recorder(&self) -> &Self {
        self
    }
    fn now(&self) -> Timestamp {
        noon()
    }
    fn random(&self) -> u128 {
        42
    }
    async fn standing(&self, _: &Principal) -> Standing {
        *self.standing.lock().unwrap()
    }
    fn approvers(&self) -> Result<Vec<Approver>, RoleError> {
        self.approvers.lock().unwrap().clone()
    }
    fn delegations(&self) -> Result<Vec<SignedDelegation>, RoleError> {
        Ok(Vec::new())
    }
}

/// Runs a future that never waits for anything.
pub fn now_or_never<F: Future>(future: F) -> F::Output {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("the test world never waits"),
    }
}

/// A world with one call that waits for bob.
pub fn asked() -> Bench {
    let host = Bench::new();
    let asks = raw(&host, scale("asks-b", 5));
    let _waiting = now_or_never(ask(&host, &world(), asks, Mode::Call, &no_progress));
    host
}

/// A job that waits for bob.
pub fn waiting() -> StoredJob {
    asked().jobs.lock().unwrap()[0].0.clone()
}
