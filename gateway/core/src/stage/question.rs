//! The policy inputs, as JSON text: every key present, facts the host established,
//! never cut to fit. The gateway and the runner build them with the same functions, each from
//! its own knowledge.

use crate::model::facts::Resource;
use crate::model::id::{CallId, PolicyDigest};
use crate::model::preview::PreviewedOperation;
use crate::model::reason::Denial;
use crate::model::subject::Subject;
use crate::model::time::whole_minutes;
use crate::model::trust::Environment;
use crate::model::{json, limit};
use crate::policy::approvals::Approvals;
use crate::policy::input::ActionName;
use crate::policy::input::ApprovalFacts;
use crate::policy::input::AskPhase;
use crate::policy::input::Context;
use crate::policy::input::INPUT_SCHEMA;
use crate::policy::input::Input;
use crate::policy::input::ListInput;
use crate::policy::input::PlanFacts;
use crate::policy::input::PreviewFacts;
use crate::policy::output::OBLIGATIONS;
use crate::stage::preview::PreviewedPlan;
use crate::stage::seal::SealedPlan;
use crate::tool::facts;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// The values that stay the same while one call is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    /// The id of the call.
    pub call: CallId,
    /// The subject of the call.
    pub subject: Subject,
    /// The purpose that the agent gave.
    pub purpose: Option<String>,
    /// The canonical arguments.
    pub arguments: Value,
    /// The reader's own environment.
    pub environment: Environment,
    /// The digest of the reader's own policy.
    pub policy: PolicyDigest,
}

/// The policy input over the plan alone.
pub fn precheck_question(
    asking: &Asking,
    sealed: &SealedPlan,
    now: Timestamp,
) -> Result<String, Denial> {
    text(&input(asking, AskPhase::Plan, sealed, None, None, now))
}

/// The policy input over the plan and its preview, with the approvals that count.
pub fn question(
    asking: &Asking,
    plan: &PreviewedPlan,
    approvals: Option<&Approvals>,
    now: Timestamp,
) -> Result<String, Denial> {
    let operations =
        plan.preview().operations.iter().map(PreviewedOperation::without_rest).collect();
    let preview = PreviewFacts { digest: plan.digest(), operations };
    text(&input(
        asking,
        AskPhase::Preview,
        plan.sealed(),
        Some(preview),
        approvals.and_then(Approvals::facts),
        now,
    ))
}

/// The policy input over a listing.
pub fn list_question(
    subject: Subject,
    tools: Vec<Resource>,
    environment: &Environment,
    policy: PolicyDigest,
    now: Timestamp,
) -> Result<String, Denial> {
    let context = context(environment, policy, None, None, now);
    text(&ListInput {
        schema: INPUT_SCHEMA.to_owned(),
        phase: AskPhase::List,
        subject,
        tools,
        context,
    })
}

fn input(
    asking: &Asking,
    phase: AskPhase,
    sealed: &SealedPlan,
    preview: Option<PreviewFacts>,
    approval: Option<ApprovalFacts>,
    now: Timestamp,
) -> Input {
    let plan = sealed.plan();
    let namespaces: BTreeSet<_> = plan.facts().iter().map(|fact| fact.namespace.clone()).collect();
    Input {
        schema: INPUT_SCHEMA.to_owned(),
        phase,
        subject: asking.subject.clone(),
        action: ActionName { name: "tools/call".to_owned() },
        resource: facts::resource(plan.tool()),
        arguments: asking.arguments.clone(),
        plan: Some(PlanFacts {
            digest: sealed.digest(),
            executor: plan.executor().map(|executor| executor.name.clone()),
            operations: plan.facts().to_vec(),
            namespaces: namespaces.into_iter().collect(),
        }),
        preview,
        context: context(&asking.environment, asking.policy, asking.purpose.clone(), approval, now),
    }
}

/// The time and the place of a policy input. The time is in whole minutes, so that a list and a call
/// of one minute are decided alike, and equal questions are equal bytes. `purpose` is the agent's claim, `approval` the
/// signatures of people.
pub fn context(
    environment: &Environment,
    policy: PolicyDigest,
    purpose: Option<String>,
    approval: Option<ApprovalFacts>,
    now: Timestamp,
) -> Context {
    let utc = now.to_zoned(TimeZone::UTC);
    let minute =
        u32::try_from(i32::from(utc.hour()) * 60 + i32::from(utc.minute())).unwrap_or_default();
    Context {
        environment: environment.clone(),
        time: whole_minutes(now),
        weekday: utc.strftime("%A").to_string(),
        minute,
        purpose,
        approval,
        policy,
        supported_obligations: OBLIGATIONS.map(str::to_owned).to_vec(),
    }
}

fn text<T: Serialize>(question: &T) -> Result<String, Denial> {
    let text =
        json::canonical(question).map_err(|error| Denial::of("policy-input", error.to_string()))?;
    if text.len() > limit::POLICY_INPUT {
        let why = format!(
            "the question to policy has {} bytes; at most {} are asked",
            text.len(),
            limit::POLICY_INPUT
        );
        return Err(Denial::of("policy-input", why));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_questions_of_one_minute_are_the_same_bytes() {
        let asked = |time: &str| {
            let subject = testing::agent().subject();
            let (world, now) = (testing::world(), time.parse().unwrap());
            list_question(subject, Vec::new(), &world.trust.environment, world.policy, now).unwrap()
        };
        let first = asked("2026-11-24T10:07:00Z");
        assert!(first.contains(r#""time":"2026-11-24T10:07:00Z""#), "{first}");
        assert_eq!(first, asked("2026-11-24T10:07:59.999Z"));
        assert_ne!(first, asked("2026-11-24T10:08:00Z"));
        assert_ne!(first, asked("2026-11-24T10:06:59.999Z"));
    }
}
