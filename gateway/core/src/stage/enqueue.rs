//! Enqueue: an approved plan becomes a durable job, and a question to people a durable question.
//! Intent before effect: the job goes to the recorder with its ledger entry, in one transaction.
//! Never makes a permit without an [`ApprovedPlan`].

use crate::model::caller::Caller;
use crate::model::id::CallId;
use crate::model::job::StoredJob;
use crate::model::json::JsonError;
use crate::model::permit::SignedPermit;
use crate::model::reason::{ApprovalRule, Reason};
use crate::model::record::{Entry, Event};
use crate::protocol::gateway_recorder::{IdempotencyKey, Propose};
use crate::stage::judge::{ApprovalNeeded, ApprovedPlan};
use crate::stage::preview::PreviewedPlan;
use crate::stage::question::Asking;
use crate::stage::validate::ValidCall;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;

/// A job with its permit, on its way to the recorder. Proof: made of an [`ApprovedPlan`] alone.
#[derive(Debug)]
#[must_use]
pub struct QueuedPlan {
    job: StoredJob,
    entry: Entry,
    plan: PreviewedPlan,
}

/// A job without a permit: a question to people.
#[derive(Debug)]
#[must_use]
pub struct AskedPlan {
    job: StoredJob,
    entry: Entry,
    plan: PreviewedPlan,
}

/// Signs the permit and makes the job. `base` is an entry that names the call.
pub fn enqueue(
    approved: ApprovedPlan,
    call: &ValidCall,
    key: &SigningKey,
    base: Entry,
) -> Result<QueuedPlan, JsonError> {
    let permit = approved.permit().sign(key)?;
    let reasons = approved.reasons().to_vec();
    let expires = approved.expires();
    let mut job = stored(
        approved.plan(),
        approved.asking(),
        call.caller(),
        call.canonical(),
        reasons,
        expires,
    );
    let entry = with_payloads(base, &job, Some(&permit))?;
    job.permit = Some(permit);
    Ok(QueuedPlan {
        job,
        entry: Entry { event: Event::Intended, ..entry },
        plan: approved.into_plan(),
    })
}

/// Makes the job that waits for people. `nonce` is 128 random bits.
pub fn ask_people(
    needed: ApprovalNeeded,
    call: &ValidCall,
    nonce: u128,
    base: Entry,
) -> Result<AskedPlan, JsonError> {
    let reasons = needed.reasons().to_vec();
    // Counted from the call on, as the signed text has it.
    let expires = needed.expires(call.caller().time);
    let mut job =
        stored(needed.plan(), needed.asking(), call.caller(), call.canonical(), reasons, expires);
    job.approval = Some(needed.rule().clone());
    job.nonce = crate::model::id::hex(&nonce.to_be_bytes());
    let entry = with_payloads(base, &job, None)?;
    Ok(AskedPlan { job, entry: Entry { event: Event::Asked, ..entry }, plan: needed.into_plan() })
}

/// The permit of a job that was approved by people: what the recorder needs to move it to the
/// queue.
pub fn permit(approved: ApprovedPlan, key: &SigningKey, base: Entry) -> Result<Propose, JsonError> {
    let permit = approved.permit().sign(key)?;
    let entry = base
        .with("permit", permit.permit.clone())
        .with("reasons", crate::model::json::canonical(&approved.reasons())?);
    let entry = Entry { event: Event::Intended, preview: Some(approved.plan().digest()), ..entry };
    Ok(Propose::Permit {
        call: approved.call().clone(),
        permit,
        entry,
        expires: approved.expires(),
    })
}

fn stored(
    plan: &PreviewedPlan,
    asking: &Asking,
    caller: &Caller,
    arguments: &str,
    reasons: Vec<Reason>,
    expires: Timestamp,
) -> StoredJob {
    let sealed = plan.sealed();
    let tool = sealed.plan().tool();
    StoredJob {
        call: asking.call.clone(),
        principal: caller.principal.clone(),
        tool: tool.name.clone(),
        tool_digest: tool.digest,
        arguments: arguments.to_owned(),
        purpose: asking.purpose.clone(),
        plan: sealed.text().to_owned(),
        plan_digest: sealed.digest(),
        preview: plan.text().to_owned(),
        preview_digest: plan.digest(),
        environment: asking.environment.clone(),
        policy: asking.policy,
        reasons,
        approval: None::<ApprovalRule>,
        nonce: String::new(),
        statements: Vec::new(),
        permit: None,
        trace: caller.trace.clone(),
        created: caller.time,
        expires,
    }
}

fn with_payloads(
    base: Entry,
    job: &StoredJob,
    permit: Option<&SignedPermit>,
) -> Result<Entry, JsonError> {
    let mut entry = base
        .with("plan", job.plan.clone())
        .with("preview", job.preview.clone())
        .with("reasons", crate::model::json::canonical(&job.reasons)?);
    if let Some(permit) = permit {
        entry = entry.with("permit", permit.permit.clone());
    }
    entry.preview = Some(job.preview_digest);
    Ok(entry)
}

impl QueuedPlan {
    /// The request to the recorder, and the plan for the caller's reply.
    pub fn into_propose(
        self,
        key: Option<IdempotencyKey>,
        seen: Option<CallId>,
    ) -> (Propose, PreviewedPlan) {
        (Propose::Enqueue { job: Box::new(self.job), entry: self.entry, key, seen }, self.plan)
    }
}

impl AskedPlan {
    /// The request to the recorder, and the plan for the caller's reply.
    pub fn into_propose(
        self,
        key: Option<IdempotencyKey>,
        seen: Option<CallId>,
    ) -> (Propose, PreviewedPlan) {
        (Propose::Enqueue { job: Box::new(self.job), entry: self.entry, key, seen }, self.plan)
    }
}
