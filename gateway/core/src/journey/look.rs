//! The part of the journey that looks: a plan's preview, and the result of a plan that only looks. Never looks itself: the viewer does.

use super::scene::Scene;
use crate::answer::{RefusalKind, Reply, Success};
use crate::decide::Verdict;
use crate::exchange::look::{Look, Looked};
use crate::hash::SealedPlan;
use crate::ports::{Host, Viewer};
use crate::preview::{self, Preview, PreviewedPlan};
use crate::validate::ValidCall;
use crate::{limit, shown};
use serde_json::{Value, json};

/// What the plan would change, from the viewer.
pub(super) async fn previewed<H: Host>(scene: &mut Scene<'_, H>, sealed: SealedPlan) -> Result<PreviewedPlan, Reply> {
    let shown = look_at(scene, &sealed).await?;
    match preview::preview(sealed, shown) {
        Ok(plan) => {
            scene.seen(&plan);
            Ok(plan)
        }
        Err(fault) => Err(scene.unavailable("preview", &fault.to_string(), "the preview is not of this plan").await),
    }
}

async fn look_at<H: Host>(scene: &Scene<'_, H>, sealed: &SealedPlan) -> Result<Preview, Reply> {
    let tool = sealed.plan().tool();
    let look = Look::Preview { tool: tool.name.clone(), digest: tool.digest, operations: sealed.operations().to_vec() };
    match scene.host().viewer().look(look).await {
        Ok(Looked::Preview { preview }) => Ok(preview),
        other => Err(unseen(scene, other).await),
    }
}

/// A look that did not give what was asked for.
pub(super) async fn unseen<H: Host>(scene: &Scene<'_, H>, looked: Result<Looked, crate::exchange::Fault>) -> Reply {
    match looked {
        Ok(Looked::Refused { code, reason, remedy }) => {
            scene
                .refuse(RefusalKind::Declined, "DECLINED", "refused", &code, (&reason, &remedy, "Look around first, then ask again."))
                .await
        }
        Ok(_) => scene.unavailable("viewer", "another answer than was asked for", "the infrastructure cannot be looked at").await,
        Err(fault) => scene.unavailable("viewer", &fault.to_string(), "the infrastructure cannot be looked at").await,
    }
}

/// A plan that looks, done and answered at once: no job, no executor, no namespace.
pub(super) async fn looked<H: Host>(scene: &Scene<'_, H>, call: &ValidCall, sealed: &SealedPlan) -> Result<Reply, Reply> {
    let tool = sealed.plan().tool();
    let results = if sealed.operations().is_empty() {
        Vec::new()
    } else {
        let look = Look::Read { tool: tool.name.clone(), digest: tool.digest, operations: sealed.operations().to_vec() };
        match scene.host().viewer().look(look).await {
            Ok(Looked::Results { results }) if results.len() == sealed.operations().len() => results,
            other => return Err(unseen(scene, other).await),
        }
    };
    let structured = json!({ "results": results });
    let body = structured.to_string();
    let unfit = match call.tool().output().check(&structured) {
        _ if body.len() > limit::RESULT.min(limit::TEXT) => Some(("result-size", "the result is too large to be shown whole".to_owned())),
        Err(fault) => Some(("output-schema", format!("the result is not of the form the tool promises: {fault}"))),
        Ok(()) => None,
    };
    if let Some((code, why)) = unfit {
        let words = (why.as_str(), "A narrower look.", "Ask for less at once, or tell your user.");
        return Err(scene.refuse(RefusalKind::Declined, "FAILED", "failed", code, words).await);
    }
    let ending = if sealed.operations().is_empty() { "answered" } else { "looked" };
    // The result itself is not kept: it is the infrastructure's, and a ledger is no copy of it.
    let proof = scene.with("result_digest", &json!(crate::id::ShownDigest::of(body.as_bytes()).to_string())).end(ending, "allowed").await?;
    let shown = if sealed.operations().is_empty() { sealed.plan().summary().to_owned() } else { body };
    let text = shown::looked(&shown, &proof, &scene.world().trust.environment);
    Ok(Reply::Success(Success { text, structured, proof, complete: true }))
}

/// The words of a decision, for a preview.
fn words(verdict: &Verdict) -> String {
    let rules = |reasons: &[crate::decide::Reason]| reasons.iter().map(|reason| reason.id.clone()).collect::<Vec<_>>().join(", ");
    match verdict {
        Verdict::Approved(approved) => format!("allowed by {}", rules(approved.reasons())),
        Verdict::Needed(needed) => {
            let rule = needed.rule();
            format!("needs a person: {} of {} ({})", rule.quorum, rule.approvers.join(", "), rules(needed.reasons()))
        }
        Verdict::Denied(_, denial) => format!("denied by {}: {}", denial.rule, denial.why),
    }
}

impl<H: Host> Scene<'_, H> {
    /// A preview, told and recorded.
    pub(super) async fn previewed(&self, verdict: Verdict) -> Reply {
        let decision = words(&verdict);
        let (word, plan) = match &verdict {
            Verdict::Approved(approved) => ("allow", approved.plan()),
            Verdict::Needed(needed) => ("require_approval", needed.plan()),
            Verdict::Denied(plan, _) => ("deny", plan),
        };
        let text = shown::words_of_preview(plan, &decision);
        let structured = json!({
            "call": self.call(), "plan": plan.sealed().digest(), "preview": plan.preview(), "decision": word,
            "rights": crate::rights::of_plan(plan.sealed().facts()),
        });
        self.told(word, text, structured).await
    }

    /// A preview of a plan that looks: there is nothing to change.
    pub(super) async fn previewed_look(&self, sealed: &SealedPlan) -> Reply {
        let lines: Vec<_> = sealed.facts().iter().map(|fact| format!("  {}", shown::operation(fact))).collect();
        let summary = crate::text::quoted(sealed.plan().summary());
        // A look runs as the viewer: no job and no Role is made for it.
        let needed: Vec<_> = shown::rights(sealed.facts()).into_iter().map(|text| format!("  {text}")).collect();
        let text = format!(
            "Summary (the tool's words): {summary}\nOperations:\n{}\nRights (the viewer's; no job gets any):\n{}\nDecision: allowed; it changes nothing",
            lines.join("\n"),
            needed.join("\n")
        );
        let rights = crate::rights::of_plan(sealed.facts());
        let structured = json!({"call": self.call(), "plan": sealed.digest(), "preview": null, "decision": "allow", "rights": rights});
        self.told("allow", text, structured).await
    }

    async fn told(&self, code: &str, text: String, structured: Value) -> Reply {
        match self.end("previewed", code).await {
            Ok(proof) => {
                let environment = crate::text::line(&self.world().trust.environment.name);
                let ledger = proof.ledger.map(|index| format!("\nLedger: {index}")).unwrap_or_default();
                let plan = proof.plan.map(|plan| format!("\nPlan: {plan}")).unwrap_or_default();
                let text = format!("PREVIEW {} in {environment}\nNothing was changed.\n{text}{plan}{ledger}", self.call());
                Reply::Success(Success { text, structured, proof, complete: true })
            }
            Err(reply) => reply,
        }
    }
}
