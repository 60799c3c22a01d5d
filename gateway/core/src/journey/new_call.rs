//! A new call: its own checks between the stages, its job, and the reply for each way to end. Each
//! ending is recorded before the agent learns it.

use super::call_record::CallRecord;
use super::read::read_reply;
use super::stages::{self, Checks, Ended, Planned, undecided};
use super::{Mode, Wait, World, follow, same, unrecorded};
use crate::journey::ports::{Host, ProgressSink, Recorder};
use crate::model::answer::{RefusalKind, Reply};
use crate::model::escape;
use crate::model::id::CallId;
use crate::policy::approvals::Approvals;
use crate::protocol::RoleError;
use crate::protocol::gateway_recorder::{IdempotencyKey, Propose, Proposed};
use crate::stage::discover::{FoundCall, RawCall};
use crate::stage::judge::Verdict;
use crate::stage::preview::PreviewedPlan;
use crate::stage::seal::SealedPlan;
use crate::stage::validate::ValidCall;
use crate::stage::{askable, enqueue, validate};
use crate::text;
use crate::tool::load::LoadedTool;
use crate::tool::schema::ArgumentsError;
use jiff::Timestamp;
use serde_json::json;

/// How often a call is decided again because the same call was carried out meanwhile.
const ROUNDS: usize = 3;

/// Runs one call to its reply. While its job is waited for, `progress` gets a line for each step.
pub async fn ask<H: Host>(
    host: &H,
    world: &World,
    raw: RawCall,
    mode: Mode,
    progress: &ProgressSink,
) -> Reply {
    let mut record = CallRecord::new(host, world, raw.caller.clone());
    let wait = Wait { ms: raw.wait_ms, person_ms: raw.person_ms, progress };
    let checks = NewCall { mode, wait, client_key: raw.key.clone(), key: None };
    match run(&mut record, raw, checks).await {
        Ok(reply) | Err(reply) => reply,
    }
}

async fn run<H: Host>(
    record: &mut CallRecord<'_, H>,
    raw: RawCall,
    mut checks: NewCall<'_>,
) -> Result<Reply, Reply> {
    let planned = match stages::to_plan(record, raw, &mut checks).await {
        Ok(planned) => planned,
        Err(ended) => return Err(reply(record, ended).await),
    };
    record.set_reasons(&planned.reasons);
    if planned.sealed.plan().changes() {
        return change(record, planned, checks).await;
    }
    match checks.mode {
        Mode::Call => read_reply(record, &planned.call, &planned.sealed).await,
        Mode::Preview => Ok(record.preview_of_read(&planned.sealed).await),
    }
}

/// Leads a change to the job that carries it out: a new job, or the job of the same earlier call.
async fn change<H: Host>(
    record: &mut CallRecord<'_, H>,
    Planned { call, asking, mut sealed, .. }: Planned,
    mut checks: NewCall<'_>,
) -> Result<Reply, Reply> {
    let wait = checks.wait;
    for _ in 0..ROUNDS {
        let seen = match (checks.mode, &checks.key) {
            // A call with a key joins by its key alone.
            (Mode::Preview, _) | (Mode::Call, Some(_)) => None,
            (Mode::Call, None) => same::same(record, &sealed, wait).await?,
        };
        let verdict = match stages::to_verdict(record, asking.clone(), sealed, &mut checks).await {
            Ok(verdict) => askable::askable(verdict, &record.world().trust),
            Err(ended) => return Err(reply(record, ended).await),
        };
        if checks.mode == Mode::Preview {
            return Ok(record.preview_reply(verdict).await);
        }
        let key = checks.key.clone();
        let (propose, plan) = to_propose(record, &call, verdict, (key, seen)).await?;
        // From here on the call runs by itself: a lost client no longer cancels it.
        let joined = match record.host().recorder().propose(propose).await {
            Ok(Proposed::Recorded(_)) => record.call().clone(),
            Ok(Proposed::Joined { call }) if checks.key.is_some() => call,
            Ok(Proposed::Joined { .. }) => {
                sealed = plan.into_sealed();
                continue;
            }
            Err(RoleError::Busy { why, retry_after_seconds }) => {
                return Err(record.busy(&why, retry_after_seconds).await);
            }
            Err(RoleError::OverLimit { why, retry_after_seconds, .. }) => {
                return Err(Reply::OverLimit { reason: why, retry_after_seconds });
            }
            Err(RoleError::Stopped { why }) => return Err(record.stopped(why).await),
            Ok(_) | Err(_) => return Err(unconfirmed()),
        };
        let (host, world) = (record.host(), record.world());
        return Ok(follow::outcome(host, world, record.principal(), &joined, wait).await);
    }
    Err(record
        .unavailable(
            "same-call",
            "the same call was carried out each time",
            "the same call is being carried out",
        )
        .await)
}

/// The request to the recorder that stores the job, or the question to people.
async fn to_propose<H: Host>(
    record: &CallRecord<'_, H>,
    call: &ValidCall,
    verdict: Verdict,
    (key, seen): (Option<IdempotencyKey>, Option<CallId>),
) -> Result<(Propose, PreviewedPlan), Reply> {
    let base = record.entry();
    let queued = match verdict {
        Verdict::Denied(_, denial) => return Err(record.deny(denial).await),
        Verdict::Approved(approved) => enqueue::enqueue(approved, call, &record.world().key, base)
            .map(|queued| queued.into_propose(key, seen)),
        Verdict::Needed(needed) => enqueue::ask_people(needed, call, record.host().random(), base)
            .map(|asked| asked.into_propose(key, seen)),
    };
    match queued {
        Ok(queued) => Ok(queued),
        Err(error) => Err(record
            .unavailable("permit", &error.to_string(), "the permit cannot be written")
            .await),
    }
}

/// The checks of a new call: its idempotency key, and an earlier rejection of its plan.
struct NewCall<'a> {
    mode: Mode,
    wait: Wait<'a>,
    /// The key as the client gave it.
    client_key: Option<String>,
    /// The key of a call, once the recorder does not know it.
    key: Option<IdempotencyKey>,
}

impl<H: Host> Checks<H> for NewCall<'_> {
    type Ending = Reply;

    fn check_tool(&self, _: &LoadedTool) -> Result<(), Reply> {
        Ok(())
    }

    fn validate(&self, found: FoundCall) -> Result<ValidCall, ArgumentsError> {
        validate::validate(found)
    }

    /// Answers with the earlier call of the idempotency key; refuses a key of another request.
    async fn check_call(
        &mut self,
        record: &CallRecord<'_, H>,
        call: &ValidCall,
    ) -> Result<(), Reply> {
        let (Mode::Call, Some(key)) = (self.mode, self.client_key.take()) else { return Ok(()) };
        let principal = record.principal().name.clone();
        let ask = Propose::Key { principal, key: key.clone() };
        let used = match record.host().recorder().propose(ask).await {
            Ok(Proposed::Key { used }) => used,
            _ => return Err(unrecorded()),
        };
        let tool = call.tool().name();
        let Some(used) = used else {
            let arguments = call.digest();
            self.key = Some(IdempotencyKey { key, tool: tool.to_owned(), arguments });
            return Ok(());
        };
        if used.tool == tool && used.arguments == call.digest() {
            let (host, world) = (record.host(), record.world());
            let principal = record.principal();
            return Err(follow::replay(host, world, principal, &used.call, self.wait).await);
        }
        let why =
            format!("the idempotency key was used for other arguments, in call {}", used.call);
        let words = (
            why.as_str(),
            "The same arguments with this key, or other arguments with another.",
            "Use a new key for a new request.",
        );
        Err(record
            .refuse(RefusalKind::Conflict, "REFUSED", "refused", "idempotency-key", words)
            .await)
    }

    /// Refuses a change that an approver rejected for this agent, while the rejection is in effect.
    async fn check_plan(
        &self,
        record: &CallRecord<'_, H>,
        sealed: &SealedPlan,
    ) -> Result<(), Reply> {
        if !sealed.plan().changes() || self.mode != Mode::Call {
            return Ok(());
        }
        let principal = record.principal().name.clone();
        let ask = Propose::Rejection { principal, plan: sealed.digest() };
        let rejected = match record.host().recorder().propose(ask).await {
            Ok(Proposed::Rejection { rejected: None }) => return Ok(()),
            Ok(Proposed::Rejection { rejected: Some(rejected) }) => rejected,
            _ => return Err(unrecorded()),
        };
        let why = text::rejected(&rejected);
        let words = (
            why.as_str(),
            "What the approvers agree to.",
            "Do not ask for the same again; tell your user what the approver said.",
        );
        Err(record.refuse(RefusalKind::Denied, "REJECTED", "denied", "an approver", words).await)
    }

    fn check_preview(
        &mut self,
        _: &CallRecord<'_, H>,
        plan: PreviewedPlan,
        _: Timestamp,
    ) -> Result<PreviewedPlan, Reply> {
        Ok(plan)
    }

    fn approvals(&self) -> Option<&Approvals> {
        None
    }
}

/// Records how a new call ended before its verdict, and gives the agent's reply.
async fn reply<H: Host>(record: &CallRecord<'_, H>, ended: Ended<Reply>) -> Reply {
    match ended {
        Ended::Check(reply) => reply,
        Ended::UnknownTool(name) => record.unknown_tool(&name).await,
        Ended::BadArguments(error) => record.bad_arguments(error).await,
        Ended::Denied(denial) => record.deny(denial).await,
        Ended::NoDecision(error) => record.deny(undecided(&error)).await,
        Ended::Unread(error) => record.unread(error).await,
        Ended::NoList(error) => {
            let reason = "policy cannot say which tools you may see";
            record.unavailable("policy-list", &error.to_string(), reason).await
        }
        Ended::ForeignPreview(error) => {
            let reason = "the preview is not of this plan";
            record.unavailable("preview", &error.to_string(), reason).await
        }
        Ended::Declined(refusal) => {
            let (why, remedy) = (escape::line(&refusal.reason), escape::line(&refusal.remedy));
            let words = (why.as_str(), remedy.as_str(), "Ask again with other arguments.");
            let tool = record.tool();
            record.refuse(RefusalKind::Declined, "DECLINED", "refused", tool, words).await
        }
        Ended::NoDraft(error) => {
            let rule = format!("tool-{}", error.code);
            let words = (
                "the tool gave no plan",
                "Nothing of this tool until it is repaired.",
                "Tell your user: an operator sees more with `cofferdam show`.",
            );
            record
                .with("fault", &json!(error.to_string()))
                .refuse(RefusalKind::Declined, "FAILED", "failed", &rule, words)
                .await
        }
        Ended::BadPlan(error) => {
            let why = error.to_string();
            let words = (
                why.as_str(),
                error.allowed(),
                "Tell your user: the tool's author or an operator has to look at it.",
            );
            record.refuse(RefusalKind::Declined, "REFUSED", "refused", error.code(), words).await
        }
    }
}

/// The reply when the recorder failed while it wrote: it may have the job all the same, and the job
/// may be carried out.
fn unconfirmed() -> Reply {
    let reason = "it is not known whether the call was recorded; nothing was executed yet. The \
                  same call again joins it where it was";
    Reply::Unavailable { reason: reason.to_owned() }
}
