//! The extension `io.modelcontextprotocol/tasks` of revision 2026-07-28: a call that is not over
//! soon is answered with a task, if its client declared the extension with the request. A task is
//! the job of a call, and its id is the call's id: a name, not a right, so each request is
//! authorized. Stores nothing: the recorder has the job before the answer.

use super::message::{self, Message};
use super::question::{self, Question};
use super::revision::{self, CAPABILITIES_META, Era};
use super::{Responder, form};
use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::excerpt;
use crate::render;
use crate::submit::{PendingReply, Submission};
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::answer::{RefusalKind, Reply};
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::task::{Task, TaskState};
use hyper::HeaderMap;
use serde_json::{Map, Value, json};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tracing::Span;

/// The name of the extension.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// Milliseconds for which a call of a client with tasks is held for its job. Most jobs end within
/// it, and then the answer is the result. A person takes longer, so a question is not held at all.
pub const HOLD_MS: u64 = 2_000;

/// Suggested milliseconds between two polls of a job that runs.
const POLL_MS: u64 = 1_000;

/// The same while a person decides.
const POLL_PERSON_MS: u64 = 5_000;

/// A result on its way, in the form of MCP.
pub type PendingResult = Pin<Box<dyn Future<Output = Result<Map<String, Value>, Deny>> + Send>>;

/// Returns whether the client declared the extension with this request.
pub fn declared(meta: &Map<String, Value>) -> bool {
    let capabilities = meta.get(CAPABILITIES_META).and_then(|all| all.get("extensions"));
    capabilities.and_then(|extensions| extensions.get(EXTENSION)).is_some_and(Value::is_object)
}

/// What the client of a call takes besides its result.
#[derive(Debug, Default)]
pub struct Taker {
    /// The caller; `None` if the client takes nothing else.
    pub principal: Option<Principal>,
    /// True if the client takes a task.
    pub tasks: bool,
    /// The question to open the page of the call, if the client can be asked.
    pub question: Option<Question>,
}

impl<F: Front> Edge<F> {
    /// The result of a held call. If the call waits for a person, the client may be asked to open
    /// its page first. If its job is not over, the result may be a task.
    pub fn result_or_task(&self, held: PendingReply, era: Era, taker: Taker) -> PendingResult {
        let (front, states) = (Arc::clone(&self.front), Arc::clone(&self.states));
        Box::pin(async move {
            let reply = held.await?;
            let Taker { principal, tasks, question } = taker;
            let waits = match (&reply, principal) {
                (Reply::Success(success), Some(principal))
                    if !success.complete && (tasks || question.is_some()) =>
                {
                    Some((principal, success.proof.call.clone()))
                }
                _ => None,
            };
            if let Some((principal, call)) = waits
                // Without its state the answer is that of clients that take nothing else.
                && let Ok(Some(task)) = front.task(&principal, &call).await
                && !task.is_over()
            {
                if task.state == TaskState::Waiting
                    && let Some(question) = &question
                    && let Some(asked) =
                        question::ask(&*front, &states, &principal, question, &task)
                {
                    return Ok(asked);
                }
                if tasks {
                    let mut result = described(&task);
                    result.insert("resultType".into(), json!("task"));
                    return Ok(result);
                }
            }
            render::tool_result(reply, form(era))
        })
    }

    /// Serves `tasks/get`, `tasks/update` and `tasks/cancel`.
    pub async fn tasks(
        &self,
        headers: &HeaderMap,
        principal: Principal,
        message: &Message,
        responder: &Responder,
        span: &Span,
    ) -> Result<Map<String, Value>, Deny> {
        let call = asked(headers, message)?;
        let task = self.task(&principal, &call).await?;
        match message.method.as_str() {
            "tasks/get" => Ok(responder.detailed(&task)),
            "tasks/update" => match message.params.get("inputResponses") {
                // Nothing is asked of the client, so every response is to an unknown request.
                Some(Value::Object(_)) => Ok(Map::new()),
                _ => Err(Deny::Params("`inputResponses` must be an object".into())),
            },
            _ if task.is_over() => Ok(Map::new()),
            _ => self.cancel_task(principal, call, span).await,
        }
    }

    /// Withdraws the call of a task: at once if nothing has begun; otherwise it is asked to stop.
    async fn cancel_task(
        &self,
        principal: Principal,
        call: CallId,
        span: &Span,
    ) -> Result<Map<String, Value>, Deny> {
        let id = call.to_string();
        match self.submit(Submission::Cancel { principal, call }, span.clone()).await? {
            Reply::Unavailable { reason } => Err(Deny::Unavailable(reason)),
            Reply::Refused(refusal) if refusal.kind == RefusalKind::Absent => {
                Err(Deny::UnknownTask(id))
            }
            // A withdrawal that came too late is acknowledged, too: the task tells its end.
            _ => Ok(Map::new()),
        }
    }

    /// The caller's own task of this id, within the caller's share.
    pub async fn task(&self, principal: &Principal, call: &CallId) -> Result<Task, Deny> {
        let _used = self.shares.call(principal)?;
        let _place = self.calls.enter(false)?;
        match self.front.task(principal, call).await {
            Ok(Some(task)) => Ok(task),
            Ok(None) => Err(Deny::UnknownTask(call.to_string())),
            Err(error) => {
                tracing::error!(agent = principal.name, %error, "a task could not be read");
                Err(Deny::Unavailable("tasks cannot be read now; try again later".into()))
            }
        }
    }
}

/// The id in a request about a task, after the checks that need no task.
fn asked(headers: &HeaderMap, message: &Message) -> Result<CallId, Deny> {
    let id = message::text(&message.params, "taskId")?;
    revision::name_matches(headers, id, Era::Modern)?;
    if !declared(&message.meta) {
        return Err(Deny::NoTasks);
    }
    CallId::parse(id).map_err(|_| Deny::UnknownTask(excerpt(id)))
}

impl Responder {
    /// The task with everything that belongs to its state.
    pub fn detailed(&self, task: &Task) -> Map<String, Value> {
        let mut detailed = described(task);
        if let TaskState::Ended(reply) = &task.state {
            match render::tool_result((**reply).clone(), form(self.era)) {
                Ok(result) => detailed.insert("result".into(), self.modern(result)),
                Err(deny) => detailed.insert("error".into(), render::rpc_error_of(&deny)),
            };
        }
        detailed
    }
}

/// The members that every task has.
fn described(task: &Task) -> Map<String, Value> {
    let status = match &task.state {
        TaskState::Waiting | TaskState::Running => "working",
        TaskState::Withdrawn => "cancelled",
        // A reply that is an error of JSON-RPC would have been one for `tools/call`, too.
        TaskState::Ended(reply) => match **reply {
            Reply::Busy { .. }
            | Reply::OverLimit { .. }
            | Reply::Unavailable { .. }
            | Reply::UnknownTool { .. } => "failed",
            _ => "completed",
        },
    };
    let mut described = Map::new();
    described.insert("taskId".into(), json!(task.call));
    described.insert("status".into(), json!(status));
    described.insert("statusMessage".into(), json!(task.message));
    described.insert("createdAt".into(), json!(format!("{:.3}", task.created)));
    described.insert("lastUpdatedAt".into(), json!(format!("{:.3}", task.updated)));
    described.insert("ttlMs".into(), json!(task.kept_ms));
    if !task.is_over() {
        let poll = if task.state == TaskState::Waiting { POLL_PERSON_MS } else { POLL_MS };
        described.insert("pollIntervalMs".into(), json!(poll));
    }
    described
}
