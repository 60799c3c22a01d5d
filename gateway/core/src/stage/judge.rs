//! The rule of the decision: what policy's answer means to the host, failing closed, and the floor
//! that no policy lowers. The only place where an [`ApprovedPlan`] is made. Never evaluates Rego
//! itself.

use crate::model::difference::Difference;
use crate::model::facts::OperationFacts;
use crate::model::id::CallId;
use crate::model::json;
use crate::model::limit;
use crate::model::permit::{PERMIT_SCHEMA, Permit};
use crate::model::reason::ApprovalRule;
use crate::model::reason::Audience;
use crate::model::reason::Denial;
use crate::model::reason::Reason;
use crate::model::trust::Floor;
use crate::policy::approvals::Approvals;
use crate::policy::output::Effect;
use crate::policy::output::OUTPUT_SCHEMA;
use crate::policy::output::Output;
use crate::stage::preview::PreviewedPlan;
use crate::stage::question::Asking;
use crate::stage::seal::SealedPlan;
use crate::text::difference::sentence;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeSet;

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
    /// The rules that let it through so far.
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

/// Judges a plan on sight: denied here, it never reaches the infrastructure. For a plan that looks
/// or answers, this is the decision.
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

/// Judges a plan over what it would change.
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
    let floor = reached(facts, floor, &asking.subject.kind);
    // INVARIANT: whichever asks, policy or the floor, has to be satisfied by signatures; policy's
    // `allow` never lowers the floor.
    let floor_rule = floor.as_ref().map(|_| ApprovalRule {
        quorum: 1,
        approvers: vec!["*".to_owned()],
        expires_seconds: limit::APPROVAL_SECONDS,
    });
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
        // A second question about what was already signed is a denial: people are not asked in
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

/// An output that was read, with its limits intersected.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Never [`Effect::Deny`]: that is a [`Denial`].
    pub effect: Effect,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Who has to sign; there if, and only if, the effect is [`Effect::RequireApproval`].
    pub approval: Option<ApprovalRule>,
    /// Seconds of a permit, from 1 to [`limit::PERMIT_SECONDS`].
    pub seconds: i64,
    /// Any change of an object stops the job.
    pub unchanged: bool,
}

/// Reads an answer over the operations of a plan.
///
/// # Errors
/// The answer has another form, is not about exactly these operations, obliges to something unknown,
/// or denies.
pub fn read(output: &str, facts: &[OperationFacts]) -> Result<Read, Denial> {
    let malformed = |detail: &str| Denial::of_policy("policy-output", detail);
    if output.len() > limit::POLICY_OUTPUT {
        return Err(malformed("the answer is too long"));
    }
    let output: Output =
        json::strict_into(output.as_bytes()).map_err(|error| malformed(&error.to_string()))?;
    if output.schema != OUTPUT_SCHEMA {
        return Err(malformed("the answer is of another schema"));
    }
    if output.effect == Effect::Deny {
        return Err(denied(output.reasons));
    }
    covered(&output.covers, facts)?;
    match (output.effect, &output.approval) {
        (Effect::RequireApproval, Some(rule)) => {
            let stands = (1..=limit::APPROVAL_SECONDS_MOST).contains(&rule.expires_seconds);
            if rule.quorum == 0 || rule.approvers.is_empty() || !stands {
                return Err(malformed(
                    "the approval rule names no quorum, no approvers, or no time within a week",
                ));
            }
        }
        (Effect::RequireApproval, None) => {
            return Err(malformed("the answer asks for people without a rule"));
        }
        (_, Some(_)) => return Err(malformed("the answer allows and has an approval rule")),
        (_, None) => {}
    }
    let (mut seconds, mut unchanged) = (limit::PERMIT_SECONDS, false);
    for obligation in &output.obligations {
        let members = obligation.properties.as_object().filter(|members| members.len() == 1);
        let given = |name: &str| members.and_then(|members| members.get(name));
        let (ttl, scope) =
            (given("seconds").and_then(Value::as_i64), given("scope").and_then(Value::as_str));
        match (obligation.kind.as_str(), ttl, scope) {
            // The tighter wins; no obligation widens.
            ("ttl", Some(ttl), _) if ttl >= 1 => seconds = seconds.min(ttl),
            ("unchanged", _, Some("object")) => unchanged = true,
            _ => {
                let why = format!(
                    "policy obliges to `{}`, which this host cannot carry out",
                    crate::model::escape::line(&obligation.kind)
                );
                return Err(Denial::of("obligation-unsupported", why));
            }
        }
    }
    Ok(Read {
        effect: output.effect,
        reasons: output.reasons,
        approval: output.approval,
        seconds,
        unchanged,
    })
}

/// Every operation has to be covered, and nothing that is not there.
fn covered(covers: &[u32], facts: &[OperationFacts]) -> Result<(), Denial> {
    let covers: BTreeSet<_> = covers.iter().copied().collect();
    if let Some(odd) = covers.iter().find(|index| !facts.iter().any(|fact| fact.index == **index)) {
        return Err(Denial::of_policy(
            "policy-output",
            &format!("the answer covers operation {odd}, which there is not"),
        ));
    }
    match facts.iter().find(|fact| !covers.contains(&fact.index)) {
        None => Ok(()),
        Some(fact) => Err(Denial::of(
            "not-covered",
            format!("no rule covers operation {}: {}", fact.index, crate::text::named(fact)),
        )),
    }
}

/// A denial in words that an agent may read. Without such words, the agent learns that policy
/// denies, and no more.
fn denied(reasons: Vec<Reason>) -> Denial {
    let said = reasons.iter().find(|reason| reason.audience == Audience::User);
    let words = |text: &str, otherwise: &str| {
        if text.is_empty() { otherwise.to_owned() } else { crate::model::escape::line(text) }
    };
    let (rule, why, allowed) = match said {
        Some(reason) => (reason.id.clone(), reason.message.clone(), reason.remedy.clone()),
        None => ("policy".to_owned(), String::new(), String::new()),
    };
    Denial {
        rule: words(&rule, "policy"),
        why: words(&why, "policy denies this and gives no reason that you may read"),
        allowed: words(&allowed, "nothing like this, as far as you may know"),
        next: None,
        reasons,
        rejected: false,
    }
}

/// Why the floor needs a person, whatever policy says.
fn reached(facts: &[OperationFacts], floor: &Floor, subject_kind: &str) -> Option<Reason> {
    let mut changes = facts.iter().filter(|fact| !fact.action.looks()).peekable();
    changes.peek()?;
    let reason = |message: String| Reason {
        id: "floor".to_owned(),
        message,
        remedy: "a person with an enrolled key has to approve it".to_owned(),
        audience: Audience::User,
    };
    // Anything but a known agent counts as anonymous.
    if subject_kind != "agent" {
        return Some(reason("the caller has no token, so every change needs approval".to_owned()));
    }
    changes.find_map(|fact| {
        let place = floor.namespaces.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => fact.namespace.starts_with(prefix),
            None => *pattern == fact.namespace,
        });
        if floor.actions.contains(&fact.action) {
            Some(reason(format!("the trust file wants a person for every {}", fact.action)))
        } else {
            place.then(|| {
                reason(format!(
                    "the trust file wants a person for every change in {}",
                    fact.namespace
                ))
            })
        }
    })
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

    /// For whom and what.
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

    /// Why this change of an object stops the job; none where policy lets it pass.
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

    /// The permit's words, to be signed.
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

    /// For whom and what.
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

    /// Until when the question stands that came at this time.
    pub fn expires(&self, asked: Timestamp) -> Timestamp {
        self.rule.ends(asked).unwrap_or(asked)
    }

    pub(crate) fn into_plan(self) -> PreviewedPlan {
        self.plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::plan::tests::{scale, sealed, step};
    use serde_json::json;

    #[test]
    fn a_denial_names_the_place_of_each_operation() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
        for (operation, place) in [
            (scale("team-a", 5), "patch Deployment web in namespace team-a"),
            (
                step(json!({"action": "apply", "place": "ephemeral", "object": object})),
                "apply ConfigMap c in the ephemeral namespace",
            ),
            (
                step(json!({"action": "egress", "to": "siblings"})),
                "egress to siblings from the ephemeral namespace",
            ),
        ] {
            let plan = sealed(vec![operation]).unwrap();
            let denial = covered(&[], plan.facts()).unwrap_err();
            assert!(format!("{denial:?}").contains(&format!("operation 0: {place}")), "{denial:?}");
            assert!(covered(&[0], plan.facts()).is_ok());
        }
    }
}
