//! Reading the output of policy, failing closed: an output of another form, or about other
//! operations, is a denial. Never evaluates Rego, and never weighs approvals.

use crate::model::escape::line;
use crate::model::facts::OperationFacts;
use crate::model::json;
use crate::model::limit;
use crate::model::reason::{ApprovalRule, Audience, Denial, Escalation, Reason};
use crate::policy::output::{Effect, OUTPUT_SCHEMA, Output};
use serde_json::Value;
use std::collections::BTreeSet;

/// An output that was read, with its limits intersected.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Never [`Effect::Deny`]: that is a [`Denial`].
    pub effect: Effect,
    /// The reasons of the decision.
    pub reasons: Vec<Reason>,
    /// The approval rule; there if, and only if, the effect is [`Effect::RequireApproval`].
    pub approval: Option<ApprovalRule>,
    /// Seconds of a permit, from 1 to [`limit::PERMIT_SECONDS`].
    pub seconds: i64,
    /// True if any change of an object stops the job.
    pub unchanged: bool,
}

/// Reads the output of policy over the operations of a plan.
///
/// # Errors
///
/// The output has another form, is not about exactly these operations, has an unknown obligation,
/// or denies.
pub fn read(output: &str, facts: &[OperationFacts]) -> Result<Read, Denial> {
    let malformed = |detail: &str| Denial::of_policy("policy-output", detail);
    if output.len() > limit::POLICY_OUTPUT {
        return Err(malformed("the output is too long"));
    }
    let output: Output =
        json::strict_into(output.as_bytes()).map_err(|error| malformed(&error.to_string()))?;
    if output.schema != OUTPUT_SCHEMA {
        return Err(malformed("the output is of another schema"));
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
            let good = |later: &Escalation| {
                (1..rule.expires_seconds).contains(&later.after_seconds)
                    && !later.approvers.is_empty()
            };
            if !rule.escalate.as_ref().is_none_or(good) {
                return Err(malformed(
                    "the approval rule escalates to no approvers, or at no time before its end",
                ));
            }
        }
        (Effect::RequireApproval, None) => {
            return Err(malformed("the output asks for people without a rule"));
        }
        (_, Some(_)) => return Err(malformed("the output allows and has an approval rule")),
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
                    line(&obligation.kind)
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

/// Checks that every operation is covered, and that no other index is.
fn covered(covers: &[u32], facts: &[OperationFacts]) -> Result<(), Denial> {
    let covers: BTreeSet<_> = covers.iter().copied().collect();
    if let Some(odd) = covers.iter().find(|index| !facts.iter().any(|fact| fact.index == **index)) {
        return Err(Denial::of_policy(
            "policy-output",
            &format!("the output covers operation {odd}, which there is not"),
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
        if text.is_empty() { otherwise.to_owned() } else { line(text) }
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
