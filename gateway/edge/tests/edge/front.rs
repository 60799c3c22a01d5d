//! A `Front` for tests: its reply depends on the name of the tool alone. It counts the slow calls
//! that started and ended.

use crate::console_front;
use cofferdam_core::journey::ports::{
    Answered, Front, FrontCall, ProgressSink, Readiness, SignInRefusal, Unauthenticated,
};
use cofferdam_core::model::access::{Access, Authenticated, Credential, Scheme, TokenRefusal};
use cofferdam_core::model::answer::{
    Changed, Listed, Proof, Refusal, RefusalKind, Reply, Success, ToolListing, ToolListings,
};
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::console_role::{ConsolePerson, SignedIn};
use cofferdam_core::model::id::{CallId, PlanDigest, PolicyDigest};
use cofferdam_core::model::resource::{Content, Prompt, PromptError, PromptMessage, Resource};
use cofferdam_core::model::run::Phase;
use cofferdam_core::model::served::Served;
use cofferdam_core::model::sign_in::{
    AtIssuer, Challenge, FromIssuer, Session, SessionKeeper, SignedSignIn,
};
use cofferdam_core::model::task::{Task, TaskState};
use cofferdam_core::model::trust::Environment;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::approver::{ApproverAnswer, ApproverAsk};
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk};
use cofferdam_testkit::build::principal;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The one valid session of an approver.
pub const SESSION: &str = "session-of-bob";

/// The session of an auditor, who approves nothing.
pub const AUDITOR: &str = "session-of-an-auditor";

/// The session of an operator, who approves nothing.
pub const OPERATOR: &str = "session-of-an-operator";

/// SHA-256 of the secret of the one invitation, `secret`.
pub const INVITED: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

/// The one valid token.
pub const TOKEN: &str = "token-of-alice";

/// A question about a job with this wait is held until the test lets it go.
pub const HELD_MS: u64 = 44_000;

#[derive(Default)]
pub struct FakeFront {
    /// True if a token is needed.
    pub closed: bool,
    /// The number of further tools.
    pub extra: u32,
    /// True if `job` tells that the call still waits.
    pub follows: bool,
    /// Words that `job` tells besides.
    pub words: String,
    /// True if the list of calls breaks off after its first page.
    pub breaks: bool,
    /// True if the list of calls lags behind the ledger.
    pub lags: bool,
    /// True if no list and no call works.
    pub down: bool,
    /// True if one more tool may be seen; tests change it.
    pub more: Mutex<bool>,
    /// Tokens that are no longer valid.
    pub revoked: Mutex<bool>,
    /// Seconds since noon.
    pub passed: AtomicU32,
    /// Random numbers that were drawn.
    pub drawn: AtomicU32,
    /// Slow calls that started.
    pub started: AtomicU32,
    /// Slow calls and jobs that ended.
    pub finished: Arc<AtomicU32>,
    /// Lets held calls go on.
    pub let_go: tokio::sync::Notify,
    /// Lists wait while the test has this.
    pub lists: tokio::sync::RwLock<()>,
    /// HTTP requests in progress.
    pub active: AtomicU32,
    /// Events that the edge reported, with the number of each.
    pub counts: Mutex<BTreeMap<String, u32>>,
    /// The task of each waiting call, with its owner.
    pub tasks: Mutex<Vec<(String, Task)>>,
    /// The lines of passkeys that were enrolled.
    pub enrolled: Mutex<Vec<String>>,
    /// The last call that the Front got.
    pub last: Mutex<Option<FrontCall>>,
}

impl FakeFront {
    fn count(&self, event: String) {
        *self.counts.lock().unwrap().entry(event).or_default() += 1;
    }

    /// Counts a request of the console.
    pub fn count_console(&self, ask: &ConsoleAsk, person: &ConsolePerson) {
        self.count(format!("{} as {}", ask.word(), person.role));
    }

    /// Moves a task of this owner to another state.
    pub fn move_task(&self, owner: &str, call: &CallId, state: TaskState) {
        for (of, one) in &mut *self.tasks.lock().unwrap() {
            if of == owner && one.call == *call {
                let version = one.version + 1;
                *one = Task { version, ..task(state.clone()) };
            }
        }
    }
}

/// The task of the waiting call.
fn task(state: TaskState) -> Task {
    let message = match &state {
        TaskState::Waiting => "WAITING: a person has to sign",
        TaskState::Running => "RUNNING",
        TaskState::Ended(_) => "DONE",
        TaskState::Withdrawn => "WITHDRAWN",
    };
    let time = |text: &str| text.parse().unwrap();
    Task {
        call: id(),
        plan: PlanDigest::of(b"plan"),
        state,
        message: message.to_owned(),
        created: time("2026-11-30T09:00:00Z"),
        updated: time("2026-11-30T09:00:01Z"),
        kept_ms: Some(86_400_000),
        version: 1,
    }
}

pub fn job_uri(call: &CallId) -> String {
    format!("cofferdam://call/{call}/job")
}

fn resource(uri: &str) -> Resource {
    Resource {
        uri: uri.to_owned(),
        name: "job".into(),
        title: "State of a call".into(),
        description: "The state of a call.".into(),
        media: "text/plain",
    }
}

/// The end of the waiting call.
pub fn ended(tool: &str) -> TaskState {
    TaskState::Ended(Box::new(match tool {
        "done" => success("DONE", json!({"replicas": 3}), true),
        "failed" => refusal(RefusalKind::Unsuccessful, "FAILED", Changed::Undone),
        _ => Reply::Unavailable { reason: "the recorder does not answer".into() },
    }))
}

pub fn id() -> CallId {
    CallId::from_random(0x0123_4567_89ab_cdef)
}

fn proof() -> Proof {
    Proof { call: id(), plan: Some(PlanDigest::of(b"plan")), ledger: Some(41) }
}

fn success(text: &str, structured: Value, complete: bool) -> Reply {
    Reply::Success(Success { text: text.to_owned(), structured, proof: proof(), complete })
}

fn refusal(kind: RefusalKind, verb: &'static str, changed: Changed) -> Reply {
    Reply::Refused(Refusal {
        kind,
        verb,
        proof: proof(),
        rule: "replicas.limit".into(),
        environment: Environment { name: "staging".into(), id: "e1".into() },
        changed,
        why: "40 replicas are more than 10".into(),
        allowed: "up to 10 replicas".into(),
        next: "ask for fewer replicas".into(),
    })
}

fn tool(name: &str) -> ToolListing {
    ToolListing {
        name: name.to_owned(),
        title: format!("Tool {name}"),
        description: format!("Does {name} in staging."),
        input_schema: json!({"type": "object", "properties": {"purpose": {"type": "string",
        "maxLength": 300}}}),
        output_schema: json!({"type": "object", "$defs": {"n": {"type": "integer"}},
        "properties": {"replicas": {"$ref": "#/$defs/n"}}}),
        read_only: false,
        destructive: true,
        idempotent: true,
    }
}

impl Front for FakeFront {
    async fn authenticate(
        &self,
        credential: Credential<'_>,
    ) -> Result<Authenticated, Unauthenticated> {
        let scoped = |access| Ok(Authenticated { principal: principal("alice"), access });
        match credential.token {
            Some(TOKEN) if !*self.revoked.lock().unwrap() => scoped(Access::Call),
            Some("reads") => scoped(Access::Read),
            Some("no-scope") => scoped(Access::None),
            Some("expired") => Err(Unauthenticated::Expired),
            Some("ended") => Err(Unauthenticated::Ended),
            Some("unregistered") => Err(Unauthenticated::Unregistered),
            Some("over") => Err(Unauthenticated::Refused(TokenRefusal::Expired)),
            Some("early") => Err(Unauthenticated::Refused(TokenRefusal::Early)),
            Some("elsewhere") => Err(Unauthenticated::Refused(TokenRefusal::Audience)),
            Some("unfit") => Err(Unauthenticated::Refused(TokenRefusal::Unfit)),
            Some("forged") => Err(Unauthenticated::Refused(TokenRefusal::Unknown)),
            Some("of-a-certificate") => Err(Unauthenticated::Refused(TokenRefusal::Certificate)),
            // Bound to a key: right with this proof, for this request.
            Some("bound") => {
                let shown =
                    (credential.scheme, credential.proof, credential.method, credential.path);
                match shown {
                    (Scheme::Dpop, Some("right"), "POST", "/mcp") => scoped(Access::Call),
                    _ => Err(Unauthenticated::Refused(TokenRefusal::Proof)),
                }
            }
            // For clients of this machine alone.
            Some("waiting") if credential.client.is_some_and(|client| client.is_loopback()) => {
                Err(Unauthenticated::Waiting(32))
            }
            Some("issuer-away") => Err(Unauthenticated::Unavailable),
            Some(_) => Err(Unauthenticated::Unknown),
            None if self.closed => Err(Unauthenticated::Missing),
            None => {
                Ok(Authenticated::unscoped(Principal { anonymous: true, ..principal("anonymous") }))
            }
        }
    }

    async fn list(&self, _principal: &Principal) -> Result<ToolListings, RoleError> {
        let _open = self.lists.read().await;
        if self.down {
            return Err(RoleError::Unavailable(
                "the policy engine at its secret place is away".into(),
            ));
        }
        let numbered = (0..self.extra).map(|number| tool(&format!("tool_{number:03}")));
        // `preview` is a built-in tool: a tool of that name must not be listed twice.
        let more = self.more.lock().unwrap().then(|| tool("more"));
        let tools = [tool("scale"), tool("preview")].into_iter().chain(numbered).chain(more);
        Ok(tools.map(Arc::new).collect())
    }

    async fn call(&self, call: FrontCall, progress: &ProgressSink) -> Reply {
        *self.last.lock().unwrap() = Some(call.clone());
        match call.tool.as_str() {
            "scale" => success("SCALED web to 3", json!({"replicas": 3}), true),
            "waiting" => {
                let owner = call.principal.name.clone();
                let mut tasks = self.tasks.lock().unwrap();
                if !tasks.iter().any(|(of, task)| *of == owner && task.call == id()) {
                    tasks.push((owner, task(TaskState::Waiting)));
                }
                success("WAITING for a person", json!({"phase": "awaiting_approval"}), false)
            }
            // Its state cannot be read a moment later.
            "accepted" => success("ACCEPTED", json!({"phase": null}), false),
            "array" => success("three", json!([1, 2, 3]), true),
            "denied" => refusal(RefusalKind::Denied, "DENIED", Changed::Nothing),
            "declined" => refusal(RefusalKind::Declined, "DECLINED", Changed::Nothing),
            "conflict" => refusal(RefusalKind::Conflict, "CONFLICT", Changed::Nothing),
            "failed" => refusal(RefusalKind::Unsuccessful, "FAILED", Changed::Undone),
            "lost" => refusal(RefusalKind::Unsuccessful, "INDETERMINATE", Changed::Unknown),
            "bad" => Reply::BadArguments {
                path: "/replicas".into(),
                reason: "it must be at most 10".into(),
            },
            "down" => Reply::Unavailable { reason: "the recorder does not answer".into() },
            "crowd" => Reply::Busy {
                reason: "4000 jobs wait for a runner, for about 420 seconds, and the permit of \
                         this call would be good for 600 seconds"
                    .into(),
                retry_after_seconds: 120,
            },
            "spent" => Reply::OverLimit {
                reason: "had 20000 jobs today".into(),
                retry_after_seconds: 3_600,
            },
            "slow" => {
                self.started.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(300)).await;
                self.finished.fetch_add(1, Ordering::SeqCst);
                success("slow but done", json!({}), true)
            }
            // Held until the test lets it go.
            "held" => {
                self.started.fetch_add(1, Ordering::SeqCst);
                self.let_go.notified().await;
                self.finished.fetch_add(1, Ordering::SeqCst);
                success("held and done", json!({}), true)
            }
            // The job runs by itself. The last line and the end of the call come together.
            "talks" | "talks_and_fails" => {
                let finished = Arc::clone(&self.finished);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(150)).await;
                    finished.fetch_add(1, Ordering::SeqCst);
                });
                for line in ["RUNNING", "The executor says: \"one\"", "The executor says: \"two\""]
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    progress(line.to_owned());
                }
                match call.tool.as_str() {
                    "talks" => success("said it all", json!({"replicas": 3}), true),
                    _ => Reply::Unavailable { reason: "the recorder does not answer".into() },
                }
            }
            // Stored, then held for as long as the client may wait.
            "approved_later" => {
                self.started.fetch_add(1, Ordering::SeqCst);
                if call.wait_ms > 0 {
                    progress("WAITING for a person".to_owned());
                    self.let_go.notified().await;
                    self.finished.fetch_add(1, Ordering::SeqCst);
                }
                success("WAITING for a person", json!({"phase": "awaiting_approval"}), false)
            }
            "big" => success(&"x".repeat(8 << 20), json!({}), true),
            "panic" => panic!("on purpose"),
            _ => Reply::UnknownTool { name: call.tool },
        }
    }

    async fn preview(&self, call: FrontCall) -> Reply {
        *self.last.lock().unwrap() = Some(call.clone());
        success(
            &format!("PREVIEW of {} with {}", call.tool, call.arguments),
            json!({"decision": "allow"}),
            true,
        )
    }

    async fn job(
        &self,
        principal: &Principal,
        call: &CallId,
        wait_ms: u64,
        progress: &ProgressSink,
    ) -> Reply {
        if *call != id() {
            return refusal(RefusalKind::Absent, "NOT FOUND", Changed::Nothing);
        }
        if wait_ms == HELD_MS {
            self.started.fetch_add(1, Ordering::SeqCst);
            self.let_go.notified().await;
            self.finished.fetch_add(1, Ordering::SeqCst);
        } else if wait_ms > 0 {
            progress("RUNNING".to_owned());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        success(
            &format!("job of {}, held {wait_ms} ms{}", principal.name, self.words),
            json!({"phase": "closed"}),
            !self.follows,
        )
    }

    async fn task(&self, principal: &Principal, call: &CallId) -> Result<Option<Task>, RoleError> {
        if self.down {
            return Err(RoleError::Unavailable("the recorder is away".into()));
        }
        let tasks = self.tasks.lock().unwrap();
        let mut own = tasks.iter().filter(|(owner, _)| *owner == principal.name);
        Ok(own.find(|(_, task)| task.call == *call).map(|(_, task)| task.clone()))
    }

    fn resource_templates(&self) -> Vec<Resource> {
        vec![resource("cofferdam://call/{id}/job")]
    }

    async fn resources(&self, principal: &Principal) -> Result<Vec<Resource>, RoleError> {
        let tasks = self.tasks.lock().unwrap();
        let own = tasks.iter().filter(|(owner, _)| *owner == principal.name);
        Ok(own.map(|(_, task)| resource(&job_uri(&task.call))).collect())
    }

    async fn resource(
        &self,
        principal: &Principal,
        uri: &str,
    ) -> Result<Option<Content>, RoleError> {
        if self.down {
            return Err(RoleError::Unavailable("the recorder is away".into()));
        }
        let tasks = self.tasks.lock().unwrap();
        let mut own = tasks.iter().filter(|(owner, _)| *owner == principal.name);
        let found = own.find(|(_, task)| uri == job_uri(&task.call));
        Ok(found.map(|(_, task)| Content {
            uri: uri.to_owned(),
            media: "text/plain",
            text: task.message.clone(),
        }))
    }

    fn prompts(&self) -> Vec<Prompt> {
        vec![Prompt {
            name: "follow",
            title: "Follow a call",
            description: "Tells what became of a call.".into(),
            arguments: vec![("call", "The id of the call.")],
        }]
    }

    async fn prompt(
        &self,
        principal: &Principal,
        name: &str,
        arguments: &BTreeMap<String, String>,
    ) -> Result<Vec<PromptMessage>, PromptError> {
        if name != "follow" {
            return Err(PromptError::Unknown(name.to_owned()));
        }
        let absent = |error: &str| PromptError::Argument { name: "call", error: error.to_owned() };
        let call = arguments.get("call").ok_or_else(|| absent("is missing"))?;
        let uri = format!("cofferdam://call/{call}/job");
        let found = self.resource(principal, &uri).await.map_err(|_| PromptError::Unavailable)?;
        let content = found.ok_or_else(|| absent("names no call of yours"))?;
        Ok(vec![
            PromptMessage::Text(format!("What became of {call}?")),
            PromptMessage::Embedded(content),
        ])
    }

    async fn call_ids(&self, principal: &Principal, start: &str) -> Result<Vec<String>, RoleError> {
        let tasks = self.tasks.lock().unwrap();
        let own = tasks.iter().filter(|(owner, _)| *owner == principal.name);
        Ok(own.map(|(_, task)| task.call.to_string()).filter(|id| id.starts_with(start)).collect())
    }

    async fn calls(&self, principal: &Principal, open: bool, limit: u32) -> Reply {
        let text = format!("calls of {}: open {open}, limit {limit}", principal.name);
        Reply::Listed(Listed { text, structured: json!({"calls": []}) })
    }

    async fn cancel(&self, principal: &Principal, call: &CallId) -> Reply {
        self.move_task(&principal.name, call, TaskState::Withdrawn);
        success(&format!("withdrawn by {}", principal.name), json!({"outcome": "cancelled"}), true)
    }

    fn challenge(&self) -> Challenge {
        Challenge { challenge: "challenge".into(), expires: self.now() }
    }

    fn sign_in(
        &self,
        signed: &SignedSignIn,
        is_own: &dyn Fn(&str) -> bool,
        _keeper: SessionKeeper,
    ) -> Result<Session, SignInRefusal> {
        match signed.statement.as_str() {
            "often" => Err(SignInRefusal::Often),
            "away" => Err(SignInRefusal::Unavailable("no trust file".into())),
            server if is_own(server) => {
                Ok(Session { approver: "bob".into(), session: SESSION.into(), expires: self.now() })
            }
            _ => Err(SignInRefusal::Refused("for another server".into())),
        }
    }

    fn sign_out(&self, session: &str, _keeper: SessionKeeper) {
        self.count(format!("sign-out of {session}"));
    }

    fn trusted(&self) -> (Environment, PolicyDigest) {
        let environment = Environment { name: "staging".into(), id: "4f2a".into() };
        (environment, PolicyDigest::of(b"policy"))
    }

    fn people_issuer(&self) -> Option<String> {
        None
    }

    async fn start_at_issuer(
        &self,
        _redirect: &str,
        _next: &str,
    ) -> Result<AtIssuer, SignInRefusal> {
        Err(SignInRefusal::Refused("there is no issuer here".into()))
    }

    async fn return_from_issuer(
        &self,
        _returned: &FromIssuer,
        _redirect: &str,
        _keeper: SessionKeeper,
    ) -> Result<(Session, String), SignInRefusal> {
        Err(SignInRefusal::Refused("there is no issuer here".into()))
    }

    async fn ask_for_approver(
        &self,
        approver: &str,
        ask: ApproverAsk,
    ) -> Result<ApproverAnswer, RoleError> {
        self.count(format!("{} by {approver}", ask.word()));
        match ask {
            ApproverAsk::Waiting => {
                Ok(ApproverAnswer::Waiting { waiting: Vec::new(), more: false })
            }
            ApproverAsk::Question { call } if call != id() => {
                Err(RoleError::NotFound("no such call is for your signature".into()))
            }
            ApproverAsk::Follow { wait_ms, .. } => Ok(ApproverAnswer::Followed {
                phase: Phase::Queued,
                outcome: None,
                detail: format!("{wait_ms} ms"),
                meanwhile: Vec::new(),
            }),
            ApproverAsk::Sign { .. } => {
                Ok(ApproverAnswer::Signed { approver: approver.to_owned(), missing: 0 })
            }
            _ => Err(RoleError::Refused("it is closed already".into())),
        }
    }

    fn person(
        &self,
        session: &str,
        _keeper: SessionKeeper,
    ) -> Result<Option<SignedIn>, SignInRefusal> {
        if self.down {
            return Err(SignInRefusal::Unavailable("no trust file".into()));
        }
        let over = *self.revoked.lock().unwrap();
        Ok(console_front::person(session).filter(|_| !over))
    }

    async fn ask_at_console(
        &self,
        person: &ConsolePerson,
        ask: ConsoleAsk,
    ) -> Result<ConsoleAnswer, RoleError> {
        console_front::answer(self, person, ask)
    }

    fn served(&self) -> Result<Arc<Served>, RoleError> {
        Ok(Arc::new(console_front::served(self)))
    }

    async fn invited(&self, digest: &str) -> Result<String, RoleError> {
        match digest {
            INVITED if self.enrolled.lock().unwrap().is_empty() => Ok("bob".to_owned()),
            _ => Err(RoleError::Refused("this invitation was used".to_owned())),
        }
    }

    async fn enrol(&self, digest: &str, passkey: &str) -> Result<(), RoleError> {
        self.invited(digest).await?;
        self.enrolled.lock().unwrap().push(passkey.to_owned());
        Ok(())
    }

    fn now(&self) -> Timestamp {
        let noon: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        noon + SignedDuration::from_secs(self.passed.load(Ordering::SeqCst).into())
    }

    fn random(&self) -> u128 {
        u128::from(self.drawn.fetch_add(1, Ordering::SeqCst))
    }

    fn instructions(&self) -> String {
        "Changes to staging, decided by policy.".into()
    }

    fn environment(&self) -> String {
        "staging".into()
    }

    async fn ready(&self) -> Readiness {
        let missing = if self.down { vec!["policy does not answer".into()] } else { Vec::new() };
        Readiness { missing, ..Readiness::default() }
    }

    fn answered(&self, answered: &Answered) {
        let Answered { method, route, status, code, .. } = answered;
        self.count(format!("answered {method} {route} {status} {code}"));
    }

    fn active(&self, requests: u32) {
        self.active.store(requests, Ordering::SeqCst);
    }

    fn mixed_revisions(&self, client: &str) {
        self.count(format!("mixed revisions by {client}"));
    }

    fn over_limit(&self, agent: &str, limit: &'static str) {
        self.count(format!("{agent} over limit {limit}"));
    }

    async fn metrics(&self) -> String {
        let active = self.active.load(Ordering::SeqCst);
        let counts = self.counts.lock().unwrap();
        let lines = counts.iter().map(|(event, count)| format!("{event}: {count}\n"));
        format!("active: {active}\n") + &lines.collect::<String>()
    }
}
