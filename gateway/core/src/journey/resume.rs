//! After people have signed: the journey again, from the stored arguments, as if nothing had been
//! decided yet. Only when it gives the same plan over the same state, and policy and floor are
//! satisfied by the signatures, is a permit signed. Never trusts what it stored.

use super::{Scene, World, list};
use crate::journey::ports::{GuestError, Host, Judge, Planner, Recorder, Viewer};
use crate::model::caller::{Caller, Standing};
use crate::model::id::CallId;
use crate::model::job::StoredJob;
use crate::model::json;
use crate::model::reason::Denial;
use crate::model::record::{Entry, Event};
use crate::model::trust::{Approver, Trust};
use crate::policy::approvals::Approvals;
use crate::policy::digest::CALL_ENTRYPOINT;
use crate::protocol::RoleError;
use crate::protocol::gateway_recorder::{Propose, Proposed};
use crate::protocol::gateway_viewer::{Look, Looked};
use crate::stage::discover::RawCall;
use crate::stage::enqueue;
use crate::stage::judge::Verdict;
use crate::stage::question::Asking;
use crate::stage::{discover, judge, preview, question, seal, validate};
use crate::text;

/// What became of an approved call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// There was none in time.
    Nothing,
    /// It is queued.
    Permitted(CallId),
    /// It is not what was approved any more, or not allowed any more.
    Withdrawn {
        /// The call.
        call: CallId,
        /// Stable code.
        code: String,
        /// One sentence.
        detail: String,
    },
}

/// Why an approved call is not carried out.
struct Withdrawal {
    code: String,
    detail: String,
}

/// Either ends the approved call, or leaves it for another try.
enum Stop {
    Withdraw(Withdrawal),
    Later(RoleError),
}

impl Stop {
    fn withdraw(code: &str, detail: impl Into<String>) -> Self {
        Self::Withdraw(Withdrawal { code: code.to_owned(), detail: detail.into() })
    }

    fn later(fault: &GuestError) -> Self {
        Self::Later(RoleError::Unavailable(fault.to_string()))
    }

    fn denied(denial: Denial) -> Self {
        Self::withdraw(&denial.rule, denial.why)
    }
}

/// Takes the next approved call, waiting up to `wait_ms`. A fault means that nothing was decided:
/// call again.
pub async fn resume<H: Host>(host: &H, world: &World, wait_ms: u64) -> Result<Resumed, RoleError> {
    let (mut job, statements) =
        match host.recorder().propose(Propose::NextApproved { wait_ms }).await? {
            Proposed::Approved { job: Some(job), statements } => (*job, statements),
            Proposed::Approved { job: None, .. } => return Ok(Resumed::Nothing),
            _ => {
                return Err(RoleError::Unavailable(
                    "the recorder gave another answer than was asked for".to_owned(),
                ));
            }
        };
    job.statements = statements;
    let caller = Caller {
        call: job.call.clone(),
        principal: job.principal.clone(),
        time: job.created,
        trace: job.trace.clone(),
    };
    let mut scene = Scene::new(host, world, caller.clone());
    let (propose, resumed) = match again(&mut scene, &job, caller).await {
        Ok(propose) => (propose, Resumed::Permitted(job.call.clone())),
        Err(Stop::Later(fault)) => return Err(fault),
        Err(Stop::Withdraw(Withdrawal { code, detail })) => {
            let event = Event::Ended { ending: "denied".to_owned(), code: code.clone() };
            let entry =
                Entry { event, ..scene.entry() }.with("why", serde_json::json!(detail).to_string());
            let propose =
                Propose::Withdraw { call: job.call.clone(), detail: detail.clone(), entry };
            (propose, Resumed::Withdrawn { call: job.call.clone(), code, detail })
        }
    };
    match host.recorder().propose(propose).await? {
        Proposed::Recorded(_) => Ok(resumed),
        _ => Err(RoleError::Unavailable(
            "the recorder gave another answer than was asked for".to_owned(),
        )),
    }
}

/// The stages once more.
async fn again<H: Host>(
    scene: &mut Scene<'_, H>,
    job: &StoredJob,
    caller: Caller,
) -> Result<Propose, Stop> {
    let (host, world) = (scene.host(), scene.world());
    match host.standing(&job.principal).await {
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
    let trust = &world.trust;
    if job.environment != trust.environment {
        return Err(Stop::withdraw(
            "environment-differs",
            "it was asked for in another environment",
        ));
    }
    if job.policy != world.policy {
        return Err(Stop::withdraw(
            "policy-differs",
            "the policy changed since a person was asked; ask again",
        ));
    }
    let arguments = json::strict(job.arguments.as_bytes())
        .map_err(|fault| Stop::withdraw("arguments", fault.to_string()))?;
    let resources = world.catalog.get(&job.tool).map(|tool| tool.resource()).into_iter().collect();
    let visible = list::visible(host, world, &job.principal, resources).await.map_err(|fault| {
        if passing(&fault) {
            Stop::later(&fault)
        } else {
            Stop::withdraw("policy-list", fault.to_string())
        }
    })?;
    let raw =
        RawCall { caller, tool: job.tool.clone(), arguments, key: None, wait_ms: 0, person_ms: 0 };
    let found = discover::discover(raw, &world.catalog, &visible).ok_or_else(|| {
        Stop::withdraw("unknown-tool", "the tool is not there for this agent any more")
    })?;
    if found.tool().digest() != job.tool_digest {
        return Err(Stop::withdraw(
            "tool-differs",
            "the tool changed since a person was asked; ask again",
        ));
    }
    scene.found(found.tool());
    let (caller, tool, _) = found.into_parts();
    let call = validate::again(caller, tool, &job.arguments, job.purpose.clone())
        .map_err(|fault| Stop::withdraw("arguments", fault.to_string()))?;
    scene.valid(&call);
    let draft = match host.planner().plan(call.tool().digest(), call.canonical()).await {
        Ok(Ok(draft)) => draft,
        Ok(Err(refusal)) => {
            return Err(Stop::withdraw("tool", crate::model::escape::line(&refusal.reason)));
        }
        Err(fault) if passing(&fault) => return Err(Stop::later(&fault)),
        Err(fault) => {
            return Err(Stop::withdraw(&format!("tool-{}", fault.code), "the tool gave no plan"));
        }
    };
    let sealed =
        seal::seal(draft, call.tool().trusted(), trust, call.arguments(), &trust.environment)
            .map_err(|fault| Stop::withdraw(fault.code(), fault.to_string()))?;
    scene.sealed(&sealed);
    if sealed.digest() != job.plan_digest || sealed.text() != job.plan {
        return Err(Stop::withdraw(
            "plan-differs",
            "the tool gives another plan than the one that was approved; ask again",
        ));
    }
    let asking = Asking { call: job.call.clone(), ..super::asking(world, &call) };
    scene.asked();
    let question =
        question::on_sight_question(&asking, &sealed, host.now()).map_err(Stop::denied)?;
    judge::judge_on_sight(&evaluate(host, &question).await?, &sealed).map_err(Stop::denied)?;

    let look = Look::Preview {
        tool: job.tool.clone(),
        digest: job.tool_digest,
        operations: sealed.operations().to_vec(),
    };
    let shown = match host.viewer().look(look).await.map_err(Stop::Later)? {
        Looked::Preview { preview } => preview,
        Looked::Refused { code, reason, .. } => return Err(Stop::withdraw(&code, reason)),
        Looked::Results { .. } => {
            return Err(Stop::Later(RoleError::Unavailable(
                "the viewer gave another answer than was asked for".to_owned(),
            )));
        }
    };
    let plan = preview::preview(sealed, shown)
        .map_err(|fault| Stop::withdraw("world-differs", fault.to_string()))?;
    scene.seen(&plan);
    // What the person saw has to be there still: the object, the plan's own fields and, for a
    // delete, the whole object.
    let (plan, meanwhile) = plan
        .agreed(&job.preview, job.preview_digest)
        .map_err(|what| Stop::withdraw("world-differs", format!("{what}; ask again")))?;
    let now = host.now();
    let current = without_removed(trust, &host.approvers().map_err(Stop::Later)?);
    let approvals = Approvals::count(job, text::shown_digest(job), &current, now)
        .map_err(|rejected| Stop::withdraw("rejected", rejected.to_string()))?;
    if let Some(rule) = job.approval.as_ref().filter(|rule| !approvals.satisfy(rule)) {
        let fault = approvals.shortcoming(rule);
        let detail = fault.unwrap_or_else(|| {
            format!(
                "{} of {} needed signatures are there",
                approvals.approvers().len(),
                rule.quorum
            )
        });
        return Err(Stop::withdraw("approval-missing", detail));
    }
    let question =
        question::question(&asking, &plan, Some(&approvals), now).map_err(Stop::denied)?;
    let output = evaluate(host, &question).await?;
    match judge::judge(&output, plan, asking, &trust.floor, Some(&approvals), now) {
        Verdict::Approved(approved) => {
            scene.reasons(approved.reasons());
            if let Some(why) = approved.stopped_by(&meanwhile) {
                return Err(Stop::withdraw("world-differs", why));
            }
            enqueue::permit(approved, &world.key, scene.entry())
                .map_err(|fault| Stop::Later(RoleError::Unavailable(fault.to_string())))
        }
        Verdict::Needed(_) => {
            Err(Stop::withdraw("approval-missing", "the signatures are not those that are needed"))
        }
        Verdict::Denied(_, denial) => Err(Stop::denied(denial)),
    }
}

/// The trust of the start without the keys that were removed since. One that was added counts from
/// the next start on.
fn without_removed(pinned: &Trust, now: &[Approver]) -> Trust {
    let mut trust = pinned.clone();
    trust.approvers.retain(|approver| now.contains(approver));
    trust
}

async fn evaluate<H: Host>(host: &H, question: &str) -> Result<String, Stop> {
    host.judge().evaluate(CALL_ENTRYPOINT, question).await.map_err(|fault| {
        if passing(&fault) {
            Stop::later(&fault)
        } else {
            Stop::denied(Denial::of_policy(&format!("policy-{}", fault.code), &fault.detail))
        }
    })
}

/// Whether a fault says more about this machine at this moment than about the plan: a person's
/// signature outlives it. The question's own expiry ends the tries.
fn passing(fault: &GuestError) -> bool {
    matches!(fault.code.as_str(), "busy" | "time" | "engine")
}
