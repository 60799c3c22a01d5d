//! A recorder in a temporary folder with a clock that stands until it is told to move, and the
//! people and jobs of the tests.

use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::document::{Document, PLAN_SCHEMA, ToolName};
use cofferdam_core::model::id::{
    ArgumentsDigest, CallId, ComponentDigest, Fence, PlanDigest, PolicyDigest, TrustDigest,
};
use cofferdam_core::model::job::{JobView, LeasedJob, StoredJob};
use cofferdam_core::model::permit::SignedPermit;
use cofferdam_core::model::preview::Preview;
use cofferdam_core::model::reason::ApprovalRule;
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::model::run::Outcome;
use cofferdam_core::model::statement::{
    NAMESPACE, STATEMENT_SCHEMA, SignedStatement, Statement, Verdict,
};
use cofferdam_core::model::trust::{Floor, Trust};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{IdempotencyKey, Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Disk, Operate, Operated};
use cofferdam_core::protocol::role_settings::{DatabaseSettings, DatabaseTls};
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed, RunnerEvent};
use cofferdam_core::text::question;
use cofferdam_recorder::{Database, Recorder, RecorderContext, RunnerSeat, TrustNow};
use cofferdam_testkit::build::{approver, principal, trust};
pub use cofferdam_testkit::build::{environment, ssh_key};
use cofferdam_testkit::postgres;
use ed25519_dalek::{SigningKey, VerifyingKey};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub const MINUTE: i64 = 60_000;

/// The variable that puts the stores of all worlds into PostgreSQL.
const POSTGRES: &str = "COFFERDAM_TEST_POSTGRES";

/// The settings of a database of a test.
pub fn database(of: &postgres::Database) -> Database {
    Database {
        settings: DatabaseSettings {
            host: "127.0.0.1".to_owned(),
            port: of.server().port(),
            user: of.name().to_owned(),
            database: of.name().to_owned(),
            password_file: None,
            ca_file: None,
            tls: DatabaseTls::Off,
        },
        password: Some(of.password().to_owned()),
        ca: None,
        holder: format!("test {}", std::process::id()),
    }
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub clock: Arc<AtomicI64>,
    pub free: Arc<AtomicU64>,
    pub trust: Arc<Mutex<Trust>>,
    /// The database of the store; `None` for a file.
    pub database: Option<postgres::Database>,
    seed: Arc<AtomicU64>,
}

impl World {
    pub fn new() -> Self {
        let trust = Trust {
            floor: Floor::conservative(),
            approvers: ["ann", "bob", "carl"].map(approver).to_vec(),
            console: vec![],
            replaced: vec![],
            ..trust(environment())
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(AtomicI64::new(1_800_000_000_000)),
            free: Arc::new(AtomicU64::new(50)),
            trust: Arc::new(Mutex::new(trust)),
            database: std::env::var_os(POSTGRES).map(|_| postgres::Server::shared().database()),
            seed: Arc::new(AtomicU64::new(0)),
        }
    }

    /// A world whose store is a database of a real server.
    pub fn in_postgres(server: &postgres::Server) -> Self {
        Self { database: Some(server.database()), ..Self::new() }
    }

    /// Another recorder of the same database, on a machine of its own.
    pub fn beside(&self) -> Self {
        Self { database: self.database.clone(), ..Self::new() }
    }

    pub fn key() -> VerifyingKey {
        SigningKey::from_bytes(&[5; 32]).verifying_key()
    }

    pub fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    pub fn settings(&self) -> RecorderContext {
        let (clock, free, trust, seed) =
            (self.clock.clone(), self.free.clone(), self.trust.clone(), self.seed.clone());
        RecorderContext {
            store: self.folder.path().join("store"),
            database: self.database.as_ref().map(database),
            stands_by: Arc::new(|| ()),
            ledger: self.ledger(),
            environment: environment().id,
            key: SigningKey::from_bytes(&[5; 32]),
            clock: Arc::new(move || {
                Timestamp::from_millisecond(clock.load(Ordering::SeqCst)).unwrap()
            }),
            random: Arc::new(move || {
                Ok(*ArgumentsDigest::of(&seed.fetch_add(1, Ordering::SeqCst).to_be_bytes())
                    .as_bytes())
            }),
            free: Arc::new(move || {
                Ok(Disk { free_bytes: free.load(Ordering::SeqCst), reserve_bytes: 10 })
            }),
            trust: Arc::new(move || {
                Ok(TrustNow {
                    trust: trust.lock().unwrap().clone(),
                    digest: TrustDigest::of(b"trust"),
                })
            }),
            reload: Arc::new(|_| ()),
            lease_seconds: 30,
            keeps_leases: false,
            max_queued: cofferdam_recorder::QUEUED,
            budgets: cofferdam_core::model::budget::Budgets::unlimited(),
            retention: cofferdam_core::model::retention::Retention::usual(),
            receivers: Vec::new(),
            oidc_roles: Vec::new(),
        }
    }

    pub async fn open(&self) -> Recorder {
        Recorder::open(self.settings()).await.unwrap()
    }

    /// An open recorder, and a job that waits in its queue.
    pub async fn queued(&self) -> (Recorder, StoredJob) {
        let recorder = self.open().await;
        let job = self.job(1, "agent", "scale", None);
        enqueue(&recorder, &job, None).await.unwrap();
        (recorder, job)
    }

    pub fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.clock.load(Ordering::SeqCst)).unwrap()
    }

    /// A job of this agent with this plan, permitted unless people are asked.
    pub fn job(
        &self,
        number: u128,
        agent: &str,
        plan: &str,
        approval: Option<ApprovalRule>,
    ) -> StoredJob {
        let permit = SignedPermit { permit: "{}".to_owned(), signature: String::new() };
        let document = Document {
            schema: PLAN_SCHEMA.to_owned(),
            tool: ToolName {
                name: "deployment_scale".to_owned(),
                version: "1.0.0".to_owned(),
                digest: ComponentDigest::of(b"tool"),
            },
            executor: None,
            arguments: serde_json::json!({ "name": "web" }),
            summary: plan.to_owned(),
            operations: vec![],
            environment: environment(),
        };
        let plan = cofferdam_core::model::json::canonical(&document).unwrap();
        let (preview, preview_digest) = Preview { operations: vec![] }.seal().unwrap();
        StoredJob {
            call: call(number),
            principal: Principal { person: Some("ann".to_owned()), ..principal(agent) },
            tool: "deployment_scale".to_owned(),
            tool_digest: ComponentDigest::of(b"tool"),
            arguments: "{\"name\":\"web\"}".to_owned(),
            purpose: Some("because".to_owned()),
            plan_digest: PlanDigest::of(plan.as_bytes()),
            plan,
            preview,
            preview_digest,
            environment: environment(),
            policy: PolicyDigest::of(b"policy"),
            reasons: vec![],
            permit: approval.is_none().then_some(permit),
            approval,
            nonce: String::new(),
            statements: vec![],
            trace: None,
            created: self.now(),
            expires: self.now() + jiff::SignedDuration::from_mins(10),
        }
    }
}

pub fn rule(quorum: u32, approvers: &[&str]) -> ApprovalRule {
    ApprovalRule::of(quorum, approvers.iter().map(|name| (*name).to_owned()).collect(), 600)
}

pub fn call(number: u128) -> CallId {
    CallId::from_random(number)
}

pub fn entry(job: &StoredJob) -> Entry {
    let event = if job.permit.is_some() { Event::Intended } else { Event::Asked };
    let mut entry = Entry::of(event, Some(job.call.clone()), &job.principal.name)
        .with("arguments", job.arguments.clone());
    entry.plan = Some(job.plan_digest);
    entry
}

pub fn key_for(job: &StoredJob, key: &str) -> IdempotencyKey {
    IdempotencyKey {
        key: key.to_owned(),
        tool: job.tool.clone(),
        arguments: ArgumentsDigest::of(job.arguments.as_bytes()),
    }
}

pub async fn enqueue(
    recorder: &Recorder,
    job: &StoredJob,
    key: Option<IdempotencyKey>,
) -> Result<Proposed, RoleError> {
    enqueue_after(recorder, job, key, None).await
}

/// The same, by a proposer who looked at what the job `seen` left.
pub async fn enqueue_after(
    recorder: &Recorder,
    job: &StoredJob,
    key: Option<IdempotencyKey>,
    seen: Option<CallId>,
) -> Result<Proposed, RoleError> {
    recorder
        .propose(Propose::Enqueue { job: Box::new(job.clone()), entry: entry(job), key, seen })
        .await
}

pub async fn end(recorder: &Recorder, number: u128) -> Result<Proposed, RoleError> {
    let event = Event::Ended { ending: "denied".to_owned(), code: "replicas-limit".to_owned() };
    let entry = Entry::of(event, Some(call(number)), "agent")
        .with("arguments", "{\"replicas\":40}".to_owned());
    recorder.propose(Propose::End { entry, again: false }).await
}

pub async fn view(recorder: &Recorder, job: &StoredJob) -> JobView {
    let ask = Propose::Job {
        principal: job.principal.name.clone(),
        call: job.call.clone(),
        beyond: 0,
        wait_ms: 0,
    };
    match recorder.propose(ask).await.unwrap() {
        Proposed::Job { job } => *job,
        other => panic!("{other:?}"),
    }
}

pub async fn next(seat: &RunnerSeat) -> Option<Box<LeasedJob>> {
    match seat.claim(Claim::Next { wait_ms: 0, token: None }).await.unwrap() {
        Claimed::Leased { job } => job,
        other => panic!("{other:?}"),
    }
}

pub async fn report(
    seat: &RunnerSeat,
    job: &LeasedJob,
    event: RunnerEvent,
) -> Result<Claimed, RoleError> {
    seat.claim(Claim::Move {
        call: job.job.call.clone(),
        fence: job.fence,
        events: vec![event],
        number: None,
    })
    .await
}

pub fn prepared() -> RunnerEvent {
    RunnerEvent::Prepared { namespace: "cofferdam-x".to_owned(), uid: "1".to_owned() }
}

pub fn started(operation: u32) -> RunnerEvent {
    RunnerEvent::Started {
        operation,
        undo: false,
        before: BTreeMap::from([("spec.replicas".to_owned(), 2.into())]),
    }
}

pub fn done(operation: u32) -> RunnerEvent {
    RunnerEvent::Done {
        operation,
        undo: false,
        after: BTreeMap::from([("spec.replicas".to_owned(), 3.into())]),
    }
}

pub fn finished(outcome: Outcome) -> RunnerEvent {
    RunnerEvent::Finished {
        outcome,
        code: "done".to_owned(),
        detail: "done".to_owned(),
        files: Vec::new(),
        meanwhile: Vec::new(),
    }
}

pub fn gone() -> RunnerEvent {
    RunnerEvent::Gone { namespace: "cofferdam-x".to_owned() }
}

/// Runs a claimed job to its end.
pub async fn run(seat: &RunnerSeat, job: &LeasedJob) {
    for event in
        [prepared(), RunnerEvent::Acting, started(0), done(0), finished(Outcome::Succeeded), gone()]
    {
        report(seat, job, event).await.unwrap();
    }
}

pub async fn stored(recorder: &Recorder, call: &CallId) -> StoredJob {
    match recorder.operate(1000, Operate::Show { call: call.to_string() }).await.unwrap() {
        Operated::Story { job: Some(job), .. } => *job,
        other => panic!("{other:?}"),
    }
}

/// The statement that a person signs for this job.
pub fn statement(job: &StoredJob, verdict: Verdict) -> Statement {
    Statement {
        schema: STATEMENT_SCHEMA.to_owned(),
        call: job.call.clone(),
        verdict,
        reason: "not during the freeze".to_owned(),
        plan: job.plan_digest,
        preview: job.preview_digest,
        shown: question(job).unwrap().1,
        subject: job.principal.subject(),
        environment: job.environment.clone(),
        policy: job.policy,
        nonce: job.nonce.clone(),
        issued: Some(job.created),
        escalated: None,
        stands_for: None,
        expires: job.expires,
    }
}

pub fn sign(name: &str, statement: &Statement) -> SignedStatement {
    let (text, _) = statement.canonical().unwrap();
    let signature =
        ssh_key(name).sign(NAMESPACE, ssh_key::HashAlg::Sha512, text.as_bytes()).unwrap();
    SignedStatement {
        statement: text,
        signature: signature.to_pem(ssh_key::LineEnding::LF).unwrap(),
    }
}

pub async fn hand_in(
    recorder: &Recorder,
    call: &CallId,
    signed: SignedStatement,
) -> Result<(String, u32), RoleError> {
    match recorder.operate(1000, Operate::Sign { call: call.clone(), signed }).await? {
        Operated::Signed { approver, missing } => Ok((approver, missing)),
        other => panic!("{other:?}"),
    }
}

pub fn stale(job: &LeasedJob) -> Fence {
    Fence(job.fence.0 - 1)
}
