//! The rule of the decision: the effect of the policy output, failing closed, and the floor
//! that no policy lowers. The only place where an [`ApprovedPlan`] is made. Never evaluates Rego
//! itself.

mod floor;
mod output;

pub use output::{Read, read};

use crate::model::difference::Difference;
use crate::model::id::CallId;
use crate::model::limit;
use crate::model::permit::{PERMIT_SCHEMA, Permit};
use crate::model::reason::ApprovalRule;
use crate::model::reason::Denial;
use crate::model::reason::Reason;
use crate::model::trust::Floor;
use crate::policy::approvals::Approvals;
use crate::policy::output::Effect;
use crate::stage::preview::PreviewedPlan;
use crate::stage::question::Asking;
use crate::stage::seal::SealedPlan;
use crate::text::difference::sentence;
use jiff::{SignedDuration, Timestamp};

/// The end of a sentence about the change that stops a job.
const UNCHANGED: &str = "policy obliges to stop over any change of the object; ask again";

/// A plan that may run: policy allowed every operation, and where a person was needed, enough have
/// signed. Proof: cannot be copied or made up.
#[derive(Debug)]
#[must_use]
pub struct ApprovedPlan {
    plan: PreviewedPlan,
    asking: Asking,
    reasons: Vec<Reason>,
    approvers: Vec<String>,
    unchanged: bool,
    issued: Timestamp,
    expires: Timestamp,
}

/// A plan that people have to sign first.
#[derive(Debug)]
#[must_use]
pub struct ApprovalNeeded {
    plan: PreviewedPlan,
    asking: Asking,
    reasons: Vec<Reason>,
    rule: ApprovalRule,
}

/// The result of the precheck, over the plan alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Precheck {
    /// The rules that permit the plan so far.
    pub reasons: Vec<Reason>,
}

/// The verdict over a plan and its preview.
#[derive(Debug)]
pub enum Verdict {
    /// The plan may run.
    Approved(ApprovedPlan),
    /// People have to sign.
    Needed(ApprovalNeeded),
    /// The plan may not run.
    Denied(PreviewedPlan, Denial),
}

/// Judges a plan before its preview: a plan that is denied here never reaches the infrastructure.
/// For a plan that reads or answers, this is the decision.
pub fn precheck(output: &str, sealed: &SealedPlan) -> Result<Precheck, Denial> {
    let read = read(output, sealed.facts())?;
    if !sealed.plan().changes() && read.effect == Effect::RequireApproval {
        return Err(Denial::of(
            "approval-unsupported",
            "policy asks for approval of a call that only reads; only changes can be approved"
                .to_owned(),
        ));
    }
    Ok(Precheck { reasons: read.reasons })
}

/// Judges a plan over its preview.
pub fn judge(
    output: &str,
    plan: PreviewedPlan,
    asking: Asking,
    floor: &Floor,
    approvals: Option<&Approvals>,
    now: Timestamp,
) -> Verdict {
    match weigh(output, &plan, &asking, floor, approvals) {
        Err(denial) => Verdict::Denied(plan, denial),
        Ok(Weighed::Allow { reasons, seconds, unchanged }) => {
            let approvers = approvals.map(Approvals::approvers).unwrap_or_default();
            Verdict::Approved(ApprovedPlan {
                plan,
                asking,
                reasons,
                approvers,
                unchanged,
                issued: now,
                expires: later(now, seconds),
            })
        }
        Ok(Weighed::Ask { reasons, rule }) => {
            Verdict::Needed(ApprovalNeeded { plan, asking, reasons, rule })
        }
    }
}

enum Weighed {
    Allow { reasons: Vec<Reason>, seconds: i64, unchanged: bool },
    Ask { reasons: Vec<Reason>, rule: ApprovalRule },
}

fn weigh(
    output: &str,
    plan: &PreviewedPlan,
    asking: &Asking,
    floor: &Floor,
    approvals: Option<&Approvals>,
) -> Result<Weighed, Denial> {
    let facts = plan.sealed().facts();
    let mut read = read(output, facts)?;
    if let Some(approvals) = approvals
        && !approvals.are_of(plan.sealed().digest(), plan.digest())
    {
        return Err(Denial::of(
            "approval-other",
            "the approvals are of another plan or another state; ask again".to_owned(),
        ));
    }
    let wanted = read.approval.take();
    let floor = floor::reached(facts, floor, &asking.subject.kind);
    // INVARIANT: a demand of policy or of the floor has to be satisfied by signatures; policy's
    // `allow` never lowers the floor.
    let floor_rule =
        floor.as_ref().map(|_| ApprovalRule::of(1, vec!["*".to_owned()], limit::APPROVAL_SECONDS));
    if wanted.is_none() {
        read.reasons.extend(floor);
    }
    let Read { reasons, seconds, unchanged, .. } = read;
    match (wanted.or(floor_rule), approvals) {
        (None, _) => Ok(Weighed::Allow { reasons, seconds, unchanged }),
        (Some(rule), None) => Ok(Weighed::Ask { reasons, rule }),
        (Some(rule), Some(approvals)) if approvals.satisfy(&rule) => {
            Ok(Weighed::Allow { reasons, seconds, unchanged })
        }
        // A second question about the same plan is a denial: people are not asked in
        // circles.
        (Some(rule), Some(approvals)) => {
            let why = match approvals.shortcoming(&rule) {
                Some(error) => error,
                None => format!(
                    "{} of {} signatures are there of people whom policy names",
                    approvals.approvers().len(),
                    rule.quorum
                ),
            };
            Err(Denial::of("approval-missing", why))
        }
    }
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    // Out of range only beyond the year 9999: expired at once is the safe side.
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}

impl ApprovedPlan {
    /// The plan and its preview.
    pub fn plan(&self) -> &PreviewedPlan {
        &self.plan
    }

    /// The values that stay the same while the call is decided.
    pub fn asking(&self) -> &Asking {
        &self.asking
    }

    /// The id of the call.
    pub fn call(&self) -> &CallId {
        &self.asking.call
    }

    /// The reasons of the decision.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The reason for which a change of an object stops the job; `None` where policy lets it pass.
    pub(crate) fn stopped_by(&self, meanwhile: &[Difference]) -> Option<String> {
        let of_object: Vec<_> = meanwhile
            .iter()
            .filter(|difference| !difference.is_of_another_file())
            .cloned()
            .collect();
        sentence(&of_object)
            .filter(|_| self.unchanged)
            .map(|changed| format!("{changed}; {UNCHANGED}"))
    }

    /// True if policy obliges to stop over any change elsewhere in an object.
    pub fn unchanged(&self) -> bool {
        self.unchanged
    }

    /// The time at which the permit expires.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The permit, to be signed.
    pub fn permit(&self) -> Permit {
        Permit {
            schema: PERMIT_SCHEMA.to_owned(),
            call: self.asking.call.clone(),
            plan: self.plan.sealed().digest(),
            preview: self.plan.digest(),
            subject: self.asking.subject.clone(),
            purpose: self.asking.purpose.clone(),
            environment: self.asking.environment.clone(),
            policy: self.asking.policy,
            reasons: self.reasons.clone(),
            approvers: self.approvers.clone(),
            issued: self.issued,
            expires: self.expires,
        }
    }

    pub(crate) fn into_plan(self) -> PreviewedPlan {
        self.plan
    }
}

impl ApprovalNeeded {
    /// The plan and its preview.
    pub fn plan(&self) -> &PreviewedPlan {
        &self.plan
    }

    /// The values that stay the same while the call is decided.
    pub fn asking(&self) -> &Asking {
        &self.asking
    }

    /// The reasons of the decision.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The approval rule of the question.
    pub fn rule(&self) -> &ApprovalRule {
        &self.rule
    }

    /// The time at which a question that came at `asked` closes.
    pub fn expires(&self, asked: Timestamp) -> Timestamp {
        self.rule.ends(asked).unwrap_or(asked)
    }

    pub(crate) fn into_plan(self) -> PreviewedPlan {
        self.plan
    }
}
