//! After people have signed: the journey again, from the stored arguments, as if nothing had been
//! decided yet. Only when it gives the same plan over the same state, and policy and floor are
//! satisfied by the signatures, is a permit signed. Never trusts the stored plan.

use super::World;
use super::call_record::CallRecord;
use super::read::ReadError;
use super::stages::{self, Checks, Ended, Planned, undecided};
use crate::journey::ports::{GuestError, Host, Recorder};
use crate::model::caller::{Caller, Standing};
use crate::model::delegation::SignedDelegation;
use crate::model::difference::Difference;
use crate::model::escape;
use crate::model::id::CallId;
use crate::model::job::StoredJob;
use crate::model::json;
use crate::model::reason::Denial;
use crate::model::record::{Entry, Event};
use crate::model::trust::{Approver, Trust};
use crate::policy::approvals::Approvals;
use crate::protocol::RoleError;
use crate::protocol::gateway_recorder::{Propose, Proposed};
use crate::stage::discover::{FoundCall, RawCall};
use crate::stage::judge::Verdict;
use crate::stage::preview::PreviewedPlan;
use crate::stage::seal::SealedPlan;
use crate::stage::validate::ValidCall;
use crate::stage::{enqueue, validate};
use crate::text;
use crate::tool::load::LoadedTool;
use crate::tool::schema::ArgumentsError;
use jiff::Timestamp;

/// The end of one try to resume an approved call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// No approved call came in time.
    Nothing,
    /// The call is queued.
    Permitted(CallId),
    /// The call differs from the approved one by now, or is not allowed any more.
    Withdrawn {
        /// The id of the call.
        call: CallId,
        /// Stable code of the cause.
        code: String,
        /// The cause, in one sentence.
        detail: String,
    },
}

/// The cause for which an approved call is not carried out.
struct Withdrawal {
    code: String,
    detail: String,
}

/// Ends the approved call, or keeps it for another try.
enum Stop {
    Withdraw(Withdrawal),
    Later(RoleError),
}

impl Stop {
    fn withdraw(code: &str, detail: impl Into<String>) -> Self {
        Self::Withdraw(Withdrawal { code: code.to_owned(), detail: detail.into() })
    }

    fn later(error: &GuestError) -> Self {
        Self::Later(RoleError::Unavailable(error.to_string()))
    }

    fn denied(denial: Denial) -> Self {
        Self::withdraw(&denial.rule, denial.why)
    }
}

/// Takes the next approved call, waiting up to `wait_ms`, and resumes it.
pub async fn resume<H: Host>(host: &H, world: &World, wait_ms: u64) -> Result<Resumed, RoleError> {
    match next_approved(host.recorder(), wait_ms).await? {
        Some(job) => resume_job(host, world, job).await,
        None => Ok(Resumed::Nothing),
    }
}

/// Takes the next approved call, waiting up to `wait_ms`; `None` if none came in time.
pub async fn next_approved(
    recorder: &impl Recorder,
    wait_ms: u64,
) -> Result<Option<StoredJob>, RoleError> {
    match recorder.propose(Propose::NextApproved { wait_ms }).await? {
        Proposed::Approved { job, statements } => {
            Ok(job.map(|job| StoredJob { statements, ..*job }))
        }
        _ => Err(RoleError::Unavailable(
            "the recorder gave a response to another request".to_owned(),
        )),
    }
}

/// Runs the journey of an approved call again. An error means that nothing was decided: the call
/// is offered again.
pub async fn resume_job<H: Host>(
    host: &H,
    world: &World,
    job: StoredJob,
) -> Result<Resumed, RoleError> {
    let caller = Caller {
        call: job.call.clone(),
        principal: job.principal.clone(),
        time: job.created,
        trace: job.trace.clone(),
    };
    let mut record = CallRecord::new(host, world, caller.clone());
    let (propose, resumed) = match permit(&mut record, &job, caller).await {
        Ok(propose) => (propose, Resumed::Permitted(job.call.clone())),
        Err(Stop::Later(error)) => return Err(error),
        Err(Stop::Withdraw(Withdrawal { code, detail })) => {
            let event = Event::Ended { ending: "denied".to_owned(), code: code.clone() };
            let entry = Entry { event, ..record.entry() }
                .with("why", serde_json::json!(detail).to_string());
            let propose =
                Propose::Withdraw { call: job.call.clone(), detail: detail.clone(), entry };
            (propose, Resumed::Withdrawn { call: job.call.clone(), code, detail })
        }
    };
    match host.recorder().propose(propose).await? {
        Proposed::Recorded(_) => Ok(resumed),
        _ => Err(RoleError::Unavailable(
            "the recorder gave a response to another request".to_owned(),
        )),
    }
}

/// Decides the approved call again, and gives the request that stores its permit.
async fn permit<H: Host>(
    record: &mut CallRecord<'_, H>,
    job: &StoredJob,
    caller: Caller,
) -> Result<Propose, Stop> {
    let world = record.world();
    match record.host().standing(&job.principal).await {
        Standing::Same => {}
        Standing::Removed => {
            return Err(Stop::withdraw("agent-removed", "the agent was removed since it asked"));
        }
        Standing::Changed => {
            let why = "the roles of the agent, or the person it works for, were changed since it \
                       asked; ask again";
            return Err(Stop::withdraw("agent-changed", why));
        }
    }
    if job.environment != world.trust.environment {
        return Err(Stop::withdraw(
            "environment-differs",
            "it was asked for in another environment",
        ));
    }
    // A job that had a permit was decided by a policy that was replaced. Signatures name the policy
    // of their question, so those for another policy do not count.
    let decided = job.permit.is_some();
    let replaced = job.policy != world.policy;
    if replaced && !decided {
        return Err(Stop::withdraw(
            "policy-differs",
            "the policy changed since a person was asked; ask again",
        ));
    }
    let arguments = json::strict(job.arguments.as_bytes())
        .map_err(|error| Stop::withdraw("arguments", error.to_string()))?;
    let raw =
        RawCall { caller, tool: job.tool.clone(), arguments, key: None, wait_ms: 0, person_ms: 0 };
    let mut checks = ApprovedCall { job, replaced, approvals: None, meanwhile: Vec::new() };
    let Planned { asking, sealed, .. } = stages::to_plan(record, raw, &mut checks).await?;
    match stages::to_verdict(record, asking, sealed, &mut checks).await? {
        Verdict::Approved(approved) => {
            record.set_reasons(approved.reasons());
            if let Some(why) = approved.stopped_by(&checks.meanwhile) {
                return Err(Stop::withdraw("world-differs", why));
            }
            enqueue::permit(approved, &world.key, record.entry())
                .map_err(|error| Stop::Later(RoleError::Unavailable(error.to_string())))
        }
        Verdict::Needed(_) if replaced => Err(Stop::withdraw(
            "approval-needed",
            "the policy was replaced before it ran, and the new one needs a person's approval; \
             ask again",
        )),
        Verdict::Needed(_) => {
            Err(Stop::withdraw("approval-missing", "the signatures are not those that are needed"))
        }
        Verdict::Denied(_, denial) => Err(Stop::denied(denial)),
    }
}

/// The checks of an approved call: tool, plan and preview are those that people approved, and
/// enough of their signatures count.
struct ApprovedCall<'a> {
    job: &'a StoredJob,
    /// True if it was decided by another policy.
    replaced: bool,
    approvals: Option<Approvals>,
    /// Changes of the same objects since the approval, outside what the approval is over.
    meanwhile: Vec<Difference>,
}

impl<H: Host> Checks<H> for ApprovedCall<'_> {
    type Ending = Stop;

    fn check_tool(&self, tool: &LoadedTool) -> Result<(), Stop> {
        if tool.digest() == self.job.tool_digest {
            return Ok(());
        }
        let since = if self.job.permit.is_some() { "it was decided" } else { "a person was asked" };
        Err(Stop::withdraw("tool-differs", format!("the tool changed since {since}; ask again")))
    }

    fn validate(&self, found: FoundCall) -> Result<ValidCall, ArgumentsError> {
        let (caller, tool, _) = found.into_parts();
        validate::again(caller, tool, &self.job.arguments, self.job.purpose.clone())
    }

    async fn check_call(&mut self, _: &CallRecord<'_, H>, _: &ValidCall) -> Result<(), Stop> {
        Ok(())
    }

    async fn check_plan(&self, _: &CallRecord<'_, H>, sealed: &SealedPlan) -> Result<(), Stop> {
        if sealed.digest() == self.job.plan_digest && sealed.text() == self.job.plan {
            return Ok(());
        }
        let why = "the tool gives another plan than the one that was allowed; ask again";
        Err(Stop::withdraw("plan-differs", why))
    }

    fn check_preview(
        &mut self,
        record: &CallRecord<'_, H>,
        plan: PreviewedPlan,
        now: Timestamp,
    ) -> Result<PreviewedPlan, Stop> {
        let job = self.job;
        // The approver's state has to be there still: the object, the plan's own fields and, for a
        // delete, the whole object.
        let (plan, meanwhile) = plan
            .agreed(&job.preview, job.preview_digest)
            .map_err(|why| Stop::withdraw("world-differs", format!("{why}; ask again")))?;
        // Without a question there are no signatures. Those under a replaced policy do not count.
        if self.replaced || job.approval.is_none() {
            self.meanwhile = meanwhile;
            return Ok(plan);
        }
        let enrolled = record.host().approvers().map_err(Stop::Later)?;
        let delegations = record.host().delegations().map_err(Stop::Later)?;
        let trust = without_removed(&record.world().trust, &enrolled, &delegations);
        let approvals = Approvals::count(job, text::shown_digest(job), &trust, now)
            .map_err(|rejected| Stop::withdraw("rejected", rejected.to_string()))?;
        if let Some(rule) = job.approval.as_ref().filter(|rule| !approvals.satisfy(rule)) {
            let why = approvals.shortcoming(rule).unwrap_or_else(|| {
                format!(
                    "{} of {} needed signatures are there",
                    approvals.approvers().len(),
                    rule.quorum
                )
            });
            return Err(Stop::withdraw("approval-missing", why));
        }
        (self.approvals, self.meanwhile) = (Some(approvals), meanwhile);
        Ok(plan)
    }

    fn approvals(&self) -> Option<&Approvals> {
        self.approvals.as_ref()
    }
}

/// The loaded trust without the keys and delegations that were removed since. One that was added counts from the
/// next load on.
fn without_removed(pinned: &Trust, now: &[Approver], delegations: &[SignedDelegation]) -> Trust {
    let mut trust = pinned.clone();
    trust.approvers.retain(|approver| now.contains(approver));
    trust.delegations.retain(|delegation| delegations.contains(delegation));
    trust
}

/// A new try is worth it where the cause is this machine at this moment: a person's signature
/// outlives it. In each other case the approved call is withdrawn.
impl From<Ended<Stop>> for Stop {
    fn from(ended: Ended<Stop>) -> Self {
        match ended {
            Ended::Check(stop) => stop,
            Ended::NoList(error) | Ended::NoDraft(error) | Ended::NoDecision(error)
                if passing(&error) =>
            {
                Self::later(&error)
            }
            Ended::NoList(error) => Self::withdraw("policy-list", error.to_string()),
            Ended::UnknownTool(_) => {
                Self::withdraw("unknown-tool", "the tool is not there for this agent any more")
            }
            Ended::BadArguments(error) => Self::withdraw("arguments", error.to_string()),
            Ended::Declined(refusal) => Self::withdraw("tool", escape::line(&refusal.reason)),
            Ended::NoDraft(error) => {
                Self::withdraw(&format!("tool-{}", error.code), "the tool gave no plan")
            }
            Ended::BadPlan(error) => Self::withdraw(error.code(), error.to_string()),
            Ended::NoDecision(error) => Self::denied(undecided(&error)),
            Ended::Denied(denial) => Self::denied(denial),
            Ended::Unread(ReadError::Refused { code, reason, .. }) => Self::withdraw(&code, reason),
            Ended::Unread(ReadError::OtherResponse) => Self::Later(RoleError::Unavailable(
                "the viewer gave a response to another request".to_owned(),
            )),
            Ended::Unread(ReadError::Unavailable(error)) => Self::Later(error),
            Ended::ForeignPreview(error) => Self::withdraw("world-differs", error.to_string()),
        }
    }
}

/// True if the error is about this machine at this moment more than about the plan. The question's
/// own expiry ends the tries.
fn passing(error: &GuestError) -> bool {
    matches!(error.code.as_str(), "busy" | "time" | "engine")
}
