//! The record of a call so far, and its endings. An ending is recorded first; the caller learns it
//! after the recorder acknowledged it.

use super::{World, unrecorded};
use crate::journey::ports::{Host, Recorder};
use crate::model::answer::{Proof, RefusalKind, Reply};
use crate::model::caller::{Caller, Principal};
use crate::model::id::CallId;
use crate::model::reason::{Denial, Reason};
use crate::model::record::{Entry, Event};
use crate::protocol::RoleError;
use crate::protocol::gateway_recorder::{Propose, Proposed};
use crate::stage::preview::PreviewedPlan;
use crate::stage::seal::SealedPlan;
use crate::stage::validate::ValidCall;
use crate::text;
use crate::tool::load::LoadedTool;
use crate::tool::schema::ArgumentsError;
use serde_json::{Value, json};

/// The record of one call: the ledger entry that each stage adds to.
pub(super) struct CallRecord<'a, H> {
    host: &'a H,
    world: &'a World,
    caller: Caller,
    entry: Entry,
}

impl<'a, H: Host> CallRecord<'a, H> {
    pub(super) fn new(host: &'a H, world: &'a World, caller: Caller) -> Self {
        let event = Event::Ended { ending: String::new(), code: String::new() };
        let mut entry = Entry::of(event, Some(caller.call.clone()), &caller.principal.name);
        entry.trace = caller
            .trace
            .as_ref()
            .and_then(|trace| trace.0.get(3..35))
            .unwrap_or_default()
            .to_owned();
        let entry = entry.with("subject", json!(caller.principal.subject()).to_string());
        Self { host, world, caller, entry }
    }

    pub(super) fn host(&self) -> &'a H {
        self.host
    }

    pub(super) fn world(&self) -> &'a World {
        self.world
    }

    pub(super) fn call(&self) -> &CallId {
        &self.caller.call
    }

    /// The tool's name, once it was found; empty before.
    pub(super) fn tool(&self) -> &str {
        self.entry.tool.as_ref().map_or("", |(name, _)| name)
    }

    pub(super) fn principal(&self) -> &Principal {
        &self.caller.principal
    }

    pub(super) fn entry(&self) -> Entry {
        self.entry.clone()
    }

    // Each stage adds its value.

    pub(super) fn set_tool(&mut self, tool: &LoadedTool) {
        self.entry.tool = Some((tool.name().to_owned(), tool.digest()));
    }

    pub(super) fn set_arguments(&mut self, call: &ValidCall) {
        self.payload("arguments", call.canonical().to_owned());
        self.payload("purpose", json!(call.purpose()).to_string());
    }

    pub(super) fn set_plan(&mut self, sealed: &SealedPlan) {
        self.entry.plan = Some(sealed.digest());
        self.payload("plan", sealed.text().to_owned());
    }

    pub(super) fn set_policy(&mut self) {
        self.entry.policy = Some(self.world.policy);
    }

    pub(super) fn set_reasons(&mut self, reasons: &[Reason]) {
        self.payload("reasons", json!(reasons).to_string());
    }

    pub(super) fn set_preview(&mut self, plan: &PreviewedPlan) {
        self.entry.preview = Some(plan.digest());
        self.payload("preview", plan.text().to_owned());
    }

    fn payload(&mut self, name: &str, json: String) {
        self.entry.payloads.insert(name.to_owned(), json);
    }

    /// The same record with one more payload.
    pub(super) fn with(&self, name: &str, value: &Value) -> CallRecord<'a, H> {
        let mut record = self.copy();
        record.payload(name, value.to_string());
        record
    }

    /// The same record, for an ending.
    pub(super) fn copy(&self) -> CallRecord<'a, H> {
        let (caller, entry) = (self.caller.clone(), self.entry.clone());
        CallRecord { host: self.host, world: self.world, caller, entry }
    }

    // The endings of a call.

    /// Records an ending. Returns the proof for the reply.
    pub(super) async fn end(self, ending: &str, code: &str) -> Result<Proof, Reply> {
        match self.propose_end(ending, code).await {
            Ok(proof) => Ok(proof),
            Err(RoleError::OverLimit { why, retry_after_seconds, .. }) => {
                Err(Reply::OverLimit { reason: why, retry_after_seconds })
            }
            // A result that an operator stopped never reaches the agent; the denial does.
            Err(RoleError::Stopped { why }) => Err(self.stopped(why).await),
            Err(_) => Err(unrecorded()),
        }
    }

    async fn propose_end(&self, ending: &str, code: &str) -> Result<Proof, RoleError> {
        let event = Event::Ended { ending: ending.to_owned(), code: code.to_owned() };
        let entry = Entry { event, ..self.entry.clone() };
        let (call, plan) = (self.caller.call.clone(), entry.plan);
        match self.host.recorder().propose(Propose::End { entry, again: false }).await? {
            Proposed::Recorded(recorded) => Ok(Proof { call, plan, ledger: Some(recorded.index) }),
            _ => Err(RoleError::Unavailable("an answer to another request".to_owned())),
        }
    }

    /// Records the denial of a call that an operator stopped, and replies with it.
    pub(super) async fn stopped(&self, why: String) -> Reply {
        let denial = Denial::stopped(why);
        let denied = self.with("reasons", &json!(denial.reasons));
        match denied.propose_end("denied", &denial.rule).await {
            Ok(proof) => text::refusal_of(&denial, proof, &self.world.trust.environment),
            Err(_) => unrecorded(),
        }
    }

    /// Records a refusal before there was a job, and replies with it.
    pub(super) async fn refuse(
        &self,
        kind: RefusalKind,
        verb: &'static str,
        ending: &str,
        rule: &str,
        words: (&str, &str, &str),
    ) -> Reply {
        match self.with("why", &json!(words.0)).end(ending, rule).await {
            Ok(proof) => {
                text::refused(kind, verb, proof, &self.world.trust.environment, rule, words)
            }
            Err(reply) => reply,
        }
    }

    /// Records a denial by policy, the floor, or the host itself, and replies with it.
    pub(super) async fn deny(&self, denial: Denial) -> Reply {
        match self.with("reasons", &json!(denial.reasons)).end("denied", &denial.rule).await {
            Ok(proof) => text::refusal_of(&denial, proof, &self.world.trust.environment),
            Err(reply) => reply,
        }
    }

    /// Records that the call cannot be decided, where that is possible. The agent gets `reason`,
    /// the ledger gets `detail`.
    pub(super) async fn unavailable(&self, code: &str, detail: &str, reason: &str) -> Reply {
        match self.with("fault", &json!(detail)).end("failed", code).await {
            // The agent gets the short reason alone: the error may name Cofferdam's own identities.
            // The ledger has the error under this id.
            Ok(proof) => Reply::Unavailable {
                reason: format!(
                    "{reason}; try again later, or tell your user the call's id, {}",
                    proof.call
                ),
            },
            Err(reply) => reply,
        }
    }

    /// Records that the queue is too long for one more job. Never a denial: the same call is
    /// accepted later.
    pub(super) async fn busy(&self, why: &str, retry_after_seconds: u64) -> Reply {
        match self.with("why", &json!(why)).end("busy", "queue-full").await {
            Ok(_) => Reply::Busy { reason: why.to_owned(), retry_after_seconds },
            Err(reply) => reply,
        }
    }

    pub(super) async fn unknown_tool(&self, name: &str) -> Reply {
        // The name may be of any length; the ledger keeps the length of a possible name.
        let named: String = name.chars().take(64).collect();
        match self.with("asked", &json!(named)).end("refused", "unknown-tool").await {
            Ok(_) => Reply::UnknownTool { name: name.to_owned() },
            Err(reply) => reply,
        }
    }

    pub(super) async fn bad_arguments(&self, error: ArgumentsError) -> Reply {
        match self.with("why", &json!(error.to_string())).end("refused", "arguments").await {
            Ok(_) => Reply::BadArguments { path: error.path, reason: error.reason },
            Err(reply) => reply,
        }
    }
}
