//! The runner's own admission: the runner checks everything again that the gateway decided, and
//! trusts no other role. Pure: the runner derives the draft, the preview and the policy's output
//! with its own means and hands them in, in this order:
//!
//! [`open`] (permit, trust, environment, time) → [`Opened::derive`] (the same plan from the
//! runner's own copy of the tool) → [`Derived::question`] (the same state, the approvals, the input
//! to the runner's own policy) → [`Question::admit`] → [`LeasedPlan`].
//!
//! Never accepts a digest, a fact or a decision that came with the job.

use super::judge::{Verdict, judge};
use super::question::question;
use crate::model::difference::Difference;
use crate::model::id::{CallId, PlanDigest};
use crate::model::job::StoredJob;
use crate::model::json;
use crate::model::operation::Draft;
use crate::model::permit::Permit;
use crate::model::preview::Preview;
use crate::model::reason::Denial;
use crate::model::time::whole_seconds;
use crate::model::trust::{Trust, TrustedTool};
use crate::policy::approvals::Approvals;
use crate::stage::preview::PreviewedPlan;
use crate::stage::question::Asking;
use crate::stage::seal::SealedPlan;
use crate::stage::{preview, seal};
use crate::text;
use jiff::Timestamp;

/// The refusal of a job by its runner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Inadmissible {
    /// Stable code: `permit-missing`, `permit-signature`, `permit-expired`, `permit-differs`,
    /// `environment-differs`, `policy-differs`, `tool-unknown`, `tool-differs`,
    /// `executor-unknown`, `command-unknown`, `arguments-malformed`, `plan-refused`,
    /// `plan-differs`, `world-differs`, `approval-missing`, `rejected`, `policy-denies`.
    pub code: &'static str,
    /// The cause, in one sentence.
    pub detail: String,
}

fn no(code: &'static str, detail: impl Into<String>) -> Inadmissible {
    Inadmissible { code, detail: detail.into() }
}

/// A job with a valid permit for this role's own environment, policy and tool.
#[derive(Debug)]
#[must_use]
pub struct Opened<'a> {
    job: StoredJob,
    permit: Permit,
    trust: &'a Trust,
    tool: &'a TrustedTool,
    arguments: serde_json::Value,
}

/// A job whose plan was derived again and is the permitted one.
#[derive(Debug)]
#[must_use]
pub struct Derived<'a> {
    opened: Opened<'a>,
    sealed: SealedPlan,
}

/// A job whose state is the permitted one, with the question to the runner's own policy.
#[derive(Debug)]
#[must_use]
pub struct Question<'a> {
    permit: Permit,
    trust: &'a Trust,
    plan: PreviewedPlan,
    meanwhile: Vec<Difference>,
    asking: Asking,
    approvals: Option<Approvals>,
    now: Timestamp,
    input: String,
}

/// A plan that this runner may carry out, once, under its lease. Proof: made by [`Question::admit`]
/// alone.
#[derive(Debug)]
#[must_use]
pub struct LeasedPlan {
    plan: PreviewedPlan,
    permit: Permit,
    meanwhile: Vec<Difference>,
    unchanged: bool,
}

/// Checks the permit by the reader's own trust file and clock.
pub fn open(job: StoredJob, trust: &Trust, now: Timestamp) -> Result<Opened<'_>, Inadmissible> {
    let signed =
        job.permit.as_ref().ok_or_else(|| no("permit-missing", "the job has no permit"))?;
    let permit = signed
        .open(&trust.keys.gateway)
        .map_err(|error| no("permit-signature", error.to_string()))?;
    if permit.schema != crate::model::permit::PERMIT_SCHEMA {
        return Err(no("permit-signature", "the permit is of another schema"));
    }
    check_time(&permit, now)?;
    let same = [
        (permit.call == job.call, "call"),
        (permit.plan == job.plan_digest, "plan"),
        (permit.preview == job.preview_digest, "state"),
        (permit.subject == job.principal.subject(), "requester"),
        (permit.purpose == job.purpose, "purpose"),
        (permit.environment == job.environment, "environment"),
        (permit.policy == job.policy, "policy"),
    ];
    if let Some((_, what)) = same.iter().find(|(same, _)| !same) {
        return Err(no("permit-differs", format!("the permit is for another {what} than the job")));
    }
    if permit.environment != trust.environment {
        let (theirs, own) = (&permit.environment, &trust.environment);
        return Err(no(
            "environment-differs",
            format!(
                "the permit is for {} ({}), this is {} ({})",
                theirs.name, theirs.id, own.name, own.id
            ),
        ));
    }
    if permit.policy != trust.policy {
        return Err(no(
            "policy-differs",
            "the gateway decided by another policy than this runner accepts",
        ));
    }
    let tool = trust.tool(&job.tool).ok_or_else(|| {
        no("tool-unknown", format!("this runner's trust file has no tool `{}`", job.tool))
    })?;
    if tool.digest != job.tool_digest {
        return Err(no(
            "tool-differs",
            format!("the tool `{}` is another component than this runner accepts", job.tool),
        ));
    }
    let arguments = json::strict(job.arguments.as_bytes())
        .map_err(|error| no("arguments-malformed", error.to_string()))?;
    if json::canonical(&arguments).ok().as_deref() != Some(job.arguments.as_str()) {
        return Err(no(
            "arguments-malformed",
            "the stored arguments are not in their canonical form",
        ));
    }
    Ok(Opened { job, permit, trust, tool, arguments })
}

fn check_time(permit: &Permit, now: Timestamp) -> Result<(), Inadmissible> {
    if permit.expires <= now {
        return Err(no(
            "permit-expired",
            format!("the permit expired at {}", whole_seconds(permit.expires)),
        ));
    }
    // Issued after this clock, or for longer than any permit: a clock or a gateway is wrong.
    let longest = permit.issued.as_second().saturating_add(crate::model::limit::PERMIT_SECONDS);
    if permit.expires.as_second() > longest
        || permit.issued.as_second()
            > now.as_second().saturating_add(crate::model::limit::CLOCK_SECONDS)
    {
        return Err(no(
            "permit-expired",
            "the permit is from the future or for too long; compare the clocks of gateway and \
             runner",
        ));
    }
    Ok(())
}

impl<'a> Opened<'a> {
    /// The tool to run again: the runner's own.
    pub fn tool(&self) -> &TrustedTool {
        self.tool
    }

    /// The arguments as canonical JSON text.
    pub fn arguments(&self) -> &str {
        &self.job.arguments
    }

    /// The id of the call.
    pub fn call(&self) -> &CallId {
        &self.job.call
    }

    /// Seals the runner's own draft; the digest has to be the permitted one.
    pub fn derive(self, draft: Draft) -> Result<Derived<'a>, Inadmissible> {
        let sealed =
            seal::seal(draft, self.tool, self.trust, &self.arguments, &self.trust.environment)
                .map_err(|error| {
                    let code = match error.code() {
                        known @ ("executor-unknown" | "command-unknown") => known,
                        _ => "plan-refused",
                    };
                    no(code, error.to_string())
                })?;
        if sealed.digest() != self.permit.plan {
            return Err(no(
                "plan-differs",
                format!(
                    "the tool gives the plan {} here, permitted is {}",
                    sealed.digest(),
                    self.permit.plan
                ),
            ));
        }
        if !sealed.plan().changes() {
            return Err(no("plan-refused", "a plan that changes nothing is no job"));
        }
        Ok(Derived { opened: self, sealed })
    }
}

impl<'a> Derived<'a> {
    /// The plan, to read its changes now.
    pub fn sealed(&self) -> &SealedPlan {
        &self.sealed
    }

    /// Takes the runner's own preview, which has to be the permitted one, counts the approvals, and
    /// makes the question to the runner's own policy.
    pub fn question(self, preview: Preview, now: Timestamp) -> Result<Question<'a>, Inadmissible> {
        let Self { opened: Opened { job, permit, trust, arguments, .. }, sealed } = self;
        check_time(&permit, now)?;
        let plan = preview::preview(sealed, preview)
            .map_err(|error| no("world-differs", error.to_string()))?;
        let (plan, meanwhile) = plan
            .agreed(&job.preview, permit.preview)
            .map_err(|what| no("world-differs", format!("{what}; ask again")))?;
        let approvals = match (
            job.statements.is_empty(),
            Approvals::count(&job, text::shown_digest(&job), trust, now),
        ) {
            (_, Err(rejected)) => return Err(no("rejected", rejected.to_string())),
            (true, Ok(_)) => None,
            (false, Ok(approvals)) => Some(approvals),
        };
        // The rule that came with the job only ever narrows: the runner's own policy is asked
        // besides.
        if let (Some(rule), Some(approvals)) = (&job.approval, &approvals)
            && !approvals.satisfy(rule)
        {
            let error = approvals.shortcoming(rule);
            return Err(no(
                "approval-missing",
                error.unwrap_or_else(|| {
                    "the signatures are not those that were asked for".to_owned()
                }),
            ));
        }
        let asking = Asking {
            call: job.call.clone(),
            subject: permit.subject.clone(),
            purpose: permit.purpose.clone(),
            arguments,
            environment: trust.environment.clone(),
            policy: trust.policy,
        };
        let input = question(&asking, &plan, approvals.as_ref(), now).map_err(denied)?;
        Ok(Question { permit, trust, plan, meanwhile, asking, approvals, now, input })
    }
}

impl Question<'_> {
    /// The question for the entry point [`crate::policy::digest::CALL_ENTRYPOINT`] of the runner's
    /// own policy.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Concludes: the output of the runner's own policy has to allow the plan, with the approvals
    /// that count here.
    pub fn admit(self, output: &str) -> Result<LeasedPlan, Inadmissible> {
        let Self { permit, trust, plan, meanwhile, asking, approvals, now, .. } = self;
        match judge(output, plan, asking, &trust.floor, approvals.as_ref(), now) {
            Verdict::Approved(approved) => {
                if let Some(why) = approved.stopped_by(&meanwhile) {
                    return Err(no("world-differs", why));
                }
                let unchanged = approved.unchanged();
                Ok(LeasedPlan { plan: approved.into_plan(), permit, meanwhile, unchanged })
            }
            Verdict::Needed(needed) => {
                let rules: Vec<_> =
                    needed.reasons().iter().map(|reason| reason.id.as_str()).collect();
                Err(no(
                    "approval-missing",
                    format!("a person's signature is missing; {} requires it", rules.join(", ")),
                ))
            }
            Verdict::Denied(_, denial) => Err(denied(denial)),
        }
    }
}

fn denied(denial: Denial) -> Inadmissible {
    let code =
        if denial.rule.starts_with("approval-") { "approval-missing" } else { "policy-denies" };
    no(code, format!("{} by {}", denial.why, denial.rule))
}

impl LeasedPlan {
    /// The plan and the state it is permitted over.
    pub fn plan(&self) -> &PreviewedPlan {
        &self.plan
    }

    /// The sealed plan of the job.
    pub fn sealed(&self) -> &SealedPlan {
        self.plan.sealed()
    }

    /// The preview that was permitted.
    pub fn preview(&self) -> &Preview {
        self.plan.preview()
    }

    /// The changes of the same objects since the decision, outside the permitted parts: for the
    /// outcome.
    pub fn meanwhile(&self) -> &[Difference] {
        &self.meanwhile
    }

    /// True if policy obliges to stop over any change elsewhere in an object, up to the effect.
    pub fn unchanged(&self) -> bool {
        self.unchanged
    }

    /// The id of the call.
    pub fn call(&self) -> &CallId {
        &self.permit.call
    }

    /// The digest of the plan.
    pub fn digest(&self) -> PlanDigest {
        self.permit.plan
    }

    /// The permit: logs and metrics are made from it.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// True if it may still begin; asked again right before the permit is consumed.
    pub fn is_current(&self, now: Timestamp) -> bool {
        now < self.permit.expires
    }
}

#[cfg(test)]
mod tests;
