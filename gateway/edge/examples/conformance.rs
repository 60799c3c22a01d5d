//! A server for the official MCP conformance suite: the real edge before a Front that has the
//! suite's fixtures: tools, tasks, resources and prompts, as far as they are texts. It is nothing
//! more: it plans nothing, decides nothing and changes nothing.
//!
//! `tests/it/conformance.rs` runs the suite against it. By hand:
//!
//! ```text
//! cargo run -p cofferdam-edge --example conformance -- 127.0.0.1:3921
//! node …/conformance/dist/index.js server --url http://127.0.0.1:3921/mcp --requirements 2026-07-28
//! ```

use cofferdam_core::journey::ports::{
    Answered, Front, FrontCall, ProgressSink, Readiness, SignInRefusal, Unauthenticated,
};
use cofferdam_core::model::access::{Authenticated, Credential};
use cofferdam_core::model::answer::{
    Changed, Listed, Proof, Refusal, RefusalKind, Reply, Success, ToolListing, ToolListings,
};
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::console_role::{ConsolePerson, SignedIn};
use cofferdam_core::model::id::{CallId, PlanDigest, PolicyDigest};
use cofferdam_core::model::resource::{Content, Prompt, PromptError, PromptMessage, Resource};
use cofferdam_core::model::served::Served;
use cofferdam_core::model::sign_in::{
    AtIssuer, Challenge, FromIssuer, Session, SessionKeeper, SignedSignIn,
};
use cofferdam_core::model::task::{Task, TaskState};
use cofferdam_core::model::trust::Environment;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::approver::{ApproverAnswer, ApproverAsk};
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk};
use cofferdam_edge::{Calls, EdgeSettings, serve};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Default)]
struct Fixtures {
    tasks: Mutex<Vec<Fixture>>,
    /// Counts the changes of the list of tools: with an odd number there is one more tool.
    changes: AtomicUsize,
}

/// A job that does nothing until its time is over.
struct Fixture {
    call: CallId,
    created: Timestamp,
    ends: Timestamp,
    end: TaskState,
}

impl Fixture {
    fn task(&self) -> Task {
        let over = self.end == TaskState::Withdrawn || Timestamp::now() >= self.ends;
        Task {
            call: self.call.clone(),
            plan: PlanDigest::of(b"plan"),
            state: if over { self.end.clone() } else { TaskState::Running },
            message: if over { "it is over" } else { "it goes on" }.to_owned(),
            created: self.created,
            updated: if over { self.ends } else { self.created },
            kept_ms: None,
            version: 1 + u64::from(over),
        }
    }
}

impl Fixtures {
    fn tasks(&self) -> MutexGuard<'_, Vec<Fixture>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a job that ends after this time with this reply.
    fn begin(&self, time: Duration, end: Reply) -> Reply {
        let mut tasks = self.tasks();
        let call = CallId::from_random(100 + u128::try_from(tasks.len()).unwrap_or_default());
        let created = Timestamp::now();
        let end = TaskState::Ended(Box::new(end));
        tasks.push(Fixture { call: call.clone(), created, ends: created + time, end });
        Reply::Success(Success {
            text: format!("RUNNING {call}"),
            structured: json!({"call": call}),
            proof: Proof { call, ..proof() },
            complete: false,
        })
    }
}

fn proof() -> Proof {
    Proof { call: CallId::from_random(7), plan: Some(PlanDigest::of(b"plan")), ledger: Some(1) }
}

fn declined() -> Reply {
    Reply::Refused(Refusal {
        kind: RefusalKind::Declined,
        verb: "DECLINED",
        proof: proof(),
        rule: "tool".into(),
        environment: Environment { name: "suite".into(), id: "0".into() },
        changed: Changed::Nothing,
        why: "this tool intentionally returns an error for testing".into(),
        allowed: "nothing".into(),
        next: "call another tool".into(),
    })
}

fn text_of(arguments: &Value, name: &str) -> String {
    arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn tool(name: &str, description: &str, input_schema: Value) -> ToolListing {
    ToolListing {
        name: name.to_owned(),
        title: description.to_owned(),
        description: description.to_owned(),
        input_schema,
        output_schema: Value::Null,
        read_only: true,
        destructive: false,
        idempotent: true,
    }
}

fn with_output(name: &str, description: &str, input_schema: Value) -> ToolListing {
    let output_schema = json!({"type": "object", "properties": {"replicas": {"type": "integer"}},
    "required": ["replicas"]});
    ToolListing { output_schema, ..tool(name, description, input_schema) }
}

/// The schema of a tool that takes any arguments.
fn open() -> Value {
    json!({"type": "object", "properties": {}})
}

fn resource(uri: &str, media: &'static str) -> Resource {
    Resource {
        uri: uri.to_owned(),
        name: "text".to_owned(),
        title: "A text".to_owned(),
        description: "A text of the suite.".to_owned(),
        media,
    }
}

fn said(text: String) -> Reply {
    Reply::Success(Success {
        structured: json!({"text": text}),
        text,
        proof: proof(),
        complete: true,
    })
}

impl Front for Fixtures {
    async fn authenticate(&self, _: Credential<'_>) -> Result<Authenticated, Unauthenticated> {
        Ok(Authenticated::unscoped(Principal {
            name: "suite".into(),
            anonymous: true,
            roles: Vec::new(),
            person: None,
            act: Vec::new(),
        }))
    }

    async fn list(&self, _principal: &Principal) -> Result<ToolListings, RoleError> {
        let none = json!({"type": "object", "properties": {}, "additionalProperties": false});
        let tools = vec![
            tool(
                "json_schema_2020_12_tool",
                "Has a schema with definitions",
                json!({
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "$defs": {
                        "address": {
                            "$anchor": "addressDef",
                            "type": "object",
                            "properties": {"street": {"type": "string"}, "city": {"type": "string"}}
                        }
                    },
                    "properties": {
                        "name": {"type": "string"},
                        "address": {"$ref": "#/$defs/address"},
                        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                        "phone": {"type": "string"},
                        "email": {"type": "string"}
                    },
                    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
                    "if": {"properties": {"contactMethod": {"const": "phone"}},
                    "required": ["contactMethod"]},
                    "then": {"required": ["phone"]},
                    "else": {"required": ["email"]},
                    "additionalProperties": false
                }),
            ),
            tool("test_error_handling", "Always refuses", none.clone()),
            tool("test_logging_tool", "Logs nothing to its client", none.clone()),
            tool("test_simple_text", "Answers with a sentence", none.clone()),
            tool("test_tool_with_progress", "Tells how it goes on", none.clone()),
            tool("test_trigger_tool_change", "Changes the list of tools", none.clone()),
            tool("confirm_delete", "Asks its client for nothing", open()),
            tool("failing_job", "Is a task that fails", none.clone()),
            tool("greet", "Says hello", open()),
            tool("protocol_error_job", "Is a task without an answer", none.clone()),
            tool("slow_compute", "Is a task that takes its time", open()),
            with_output("waits", "Answers that the call still waits", none.clone()),
            with_output("works", "Answers as its output schema says", none),
        ];
        let more = (self.changes.load(SeqCst) % 2 == 1).then(|| tool("changed", "Is new", open()));
        Ok(tools.into_iter().chain(more).map(Arc::new).collect())
    }

    async fn call(&self, call: FrontCall, progress: &ProgressSink) -> Reply {
        match call.tool.as_str() {
            "test_simple_text" | "test_logging_tool" => {
                said("This is a simple text response for testing.".into())
            }
            "test_tool_with_progress" => {
                for step in 1..=3 {
                    progress(format!("step {step} of 3"));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                said("This tool told its progress.".into())
            }
            "json_schema_2020_12_tool" => said(format!("called with {}", call.arguments)),
            "works" => Reply::Success(Success {
                text: "3".into(),
                structured: json!({"replicas": 3}),
                proof: proof(),
                complete: true,
            }),
            "waits" => Reply::Success(Success {
                text: "WAITING".into(),
                structured: json!({"phase": "queued"}),
                proof: proof(),
                complete: false,
            }),
            "test_error_handling" => declined(),
            "test_trigger_tool_change" => {
                self.changes.fetch_add(1, SeqCst);
                said("the list of tools changed".into())
            }
            "greet" => said(format!("Hello, {}!", text_of(&call.arguments, "name"))),
            "confirm_delete" => said("A person confirms elsewhere.".into()),
            "slow_compute" => {
                let seconds = call.arguments.get("seconds").and_then(Value::as_u64);
                match seconds.unwrap_or_default() {
                    0 => said("computed at once".into()),
                    seconds => self.begin(Duration::from_secs(seconds), said("computed".into())),
                }
            }
            "failing_job" => self.begin(Duration::from_millis(50), declined()),
            "protocol_error_job" => {
                let reason = "this job intentionally ends without an answer".to_owned();
                self.begin(Duration::from_millis(50), Reply::Unavailable { reason })
            }
            _ => Reply::UnknownTool { name: call.tool },
        }
    }

    async fn preview(&self, call: FrontCall) -> Reply {
        Reply::UnknownTool { name: call.tool }
    }

    async fn job(
        &self,
        _principal: &Principal,
        _call: &CallId,
        _wait_ms: u64,
        _hear: &ProgressSink,
    ) -> Reply {
        Reply::Unavailable { reason: "this server has no jobs".into() }
    }

    async fn task(&self, _: &Principal, call: &CallId) -> Result<Option<Task>, RoleError> {
        Ok(self.tasks().iter().find(|one| one.call == *call).map(Fixture::task))
    }

    fn resource_templates(&self) -> Vec<Resource> {
        vec![resource("test://template/{id}/data", "application/json")]
    }

    async fn resources(&self, _: &Principal) -> Result<Vec<Resource>, RoleError> {
        Ok(vec![resource("test://static-text", "text/plain")])
    }

    async fn resource(&self, _: &Principal, uri: &str) -> Result<Option<Content>, RoleError> {
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let (media, text) = match (uri, id) {
            ("test://static-text", _) => {
                ("text/plain", "This is the content of the static text resource.".to_owned())
            }
            (_, Some(id)) => {
                let data = json!({"id": id, "templateTest": true,
                "data": format!("Data for ID: {id}")});
                ("application/json", data.to_string())
            }
            _ => return Ok(None),
        };
        Ok(Some(Content { uri: uri.to_owned(), media, text }))
    }

    fn prompts(&self) -> Vec<Prompt> {
        let prompt = |name, arguments| Prompt {
            name,
            title: name,
            description: "A prompt of the suite.".to_owned(),
            arguments,
        };
        vec![
            prompt("test_prompt_with_arguments", vec![("arg1", "First."), ("arg2", "Second.")]),
            prompt("test_prompt_with_embedded_resource", vec![("resourceUri", "An address.")]),
            prompt("test_simple_prompt", Vec::new()),
        ]
    }

    async fn prompt(
        &self,
        _: &Principal,
        name: &str,
        arguments: &BTreeMap<String, String>,
    ) -> Result<Vec<PromptMessage>, PromptError> {
        let argument = |name: &'static str| {
            let error = || PromptError::Argument { name, error: "is missing".to_owned() };
            arguments.get(name).cloned().ok_or_else(error)
        };
        match name {
            "test_simple_prompt" => {
                Ok(vec![PromptMessage::Text("This is a simple prompt for testing.".into())])
            }
            "test_prompt_with_arguments" => Ok(vec![PromptMessage::Text(format!(
                "Prompt with arguments: arg1='{}', arg2='{}'",
                argument("arg1")?,
                argument("arg2")?
            ))]),
            "test_prompt_with_embedded_resource" => {
                let text = "Embedded resource content for testing.".to_owned();
                let content = Content { uri: argument("resourceUri")?, media: "text/plain", text };
                let text = "Please process the embedded resource above.".to_owned();
                Ok(vec![PromptMessage::Embedded(content), PromptMessage::Text(text)])
            }
            _ => Err(PromptError::Unknown(name.to_owned())),
        }
    }

    async fn call_ids(&self, _: &Principal, _: &str) -> Result<Vec<String>, RoleError> {
        Ok(Vec::new())
    }

    async fn calls(&self, _: &Principal, _: bool, _: u32) -> Reply {
        Reply::Listed(Listed { text: "none".into(), structured: json!({"calls": []}) })
    }

    async fn cancel(&self, _principal: &Principal, call: &CallId) -> Reply {
        for one in self.tasks().iter_mut().filter(|one| one.call == *call) {
            one.end = TaskState::Withdrawn;
        }
        said("withdrawn".into())
    }

    fn challenge(&self) -> Challenge {
        Challenge { challenge: String::new(), expires: Timestamp::now() }
    }

    fn sign_in(
        &self,
        _signed: &SignedSignIn,
        _is_own: &dyn Fn(&str) -> bool,
        _keeper: SessionKeeper,
    ) -> Result<Session, SignInRefusal> {
        Err(SignInRefusal::Refused("there are no approvers here".into()))
    }

    fn person(
        &self,
        _session: &str,
        _keeper: SessionKeeper,
    ) -> Result<Option<SignedIn>, SignInRefusal> {
        Ok(None)
    }

    fn sign_out(&self, _session: &str, _keeper: SessionKeeper) {}

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
        _approver: &str,
        _ask: ApproverAsk,
    ) -> Result<ApproverAnswer, RoleError> {
        Err(RoleError::Unavailable("there are no approvers here".into()))
    }

    async fn ask_at_console(
        &self,
        _person: &ConsolePerson,
        _ask: ConsoleAsk,
    ) -> Result<ConsoleAnswer, RoleError> {
        Err(RoleError::Unavailable("there is no console here".into()))
    }

    fn served(&self) -> Result<Arc<Served>, RoleError> {
        Err(RoleError::Unavailable("there is no console here".into()))
    }

    async fn invited(&self, _digest: &str) -> Result<String, RoleError> {
        Err(RoleError::Refused("no person is invited".to_owned()))
    }

    async fn enrol(&self, _digest: &str, _passkey: &str) -> Result<(), RoleError> {
        Err(RoleError::Refused("no person is invited".to_owned()))
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> u128 {
        // The suite attacks no key.
        u128::try_from(Timestamp::now().as_nanosecond()).unwrap_or_default()
    }

    fn instructions(&self) -> String {
        "A server for the conformance suite.".into()
    }

    fn environment(&self) -> String {
        "suite".into()
    }

    async fn ready(&self) -> Readiness {
        Readiness::default()
    }

    fn over_limit(&self, _: &str, _: &'static str) {}

    fn answered(&self, _: &Answered) {}

    fn active(&self, _: u32) {}

    fn mixed_revisions(&self, _: &str) {}

    async fn metrics(&self) -> String {
        String::new()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3921".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("MCP on http://{}/mcp", listener.local_addr()?);
    // The suite waits for news a second and a half.
    let settings =
        EdgeSettings { listen_pause: Duration::from_millis(50), ..EdgeSettings::local() };
    let calls = Calls::new(settings.calls);
    let drained =
        serve(listener, Arc::new(Fixtures::default()), settings, calls, std::future::pending())
            .await;
    println!("{drained:?}");
    Ok(())
}
