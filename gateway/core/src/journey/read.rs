//! The part of the journey that reads: the preview of a change, and the result of a plan that only
//! reads. The viewer reads the infrastructure; this file asks it.

use super::call_record::CallRecord;
use super::output_fit::fitted;
use crate::journey::ports::{Host, Viewer};
use crate::model::answer::{RefusalKind, Reply};
use crate::model::left_out::LeftOut;
use crate::model::limit;
use crate::model::operation::Step;
use crate::model::preview::{Preview, are_bounded};
use crate::model::reason::{Audience, Reason};
use crate::protocol::RoleError;
use crate::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use crate::stage::judge::Verdict;
use crate::stage::preview::PreviewedPlan;
use crate::stage::seal::SealedPlan;
use crate::stage::validate::ValidCall;
use crate::text;
use crate::text::{Decided, ShownPlan};
use serde_json::json;

/// Bytes of the text around the results of a read: its first and last lines.
const AROUND: usize = 1_024;

/// A read without a result.
pub(super) enum ReadError {
    /// The viewer refused, for the agent to read.
    Refused {
        /// Stable code of the refusal.
        code: String,
        /// The cause, in one sentence.
        reason: String,
        /// The remedy, in one sentence.
        remedy: String,
    },
    /// The viewer gave a response to another request.
    OtherResponse,
    /// The viewer does not respond, or cannot read now.
    Unavailable(RoleError),
}

impl From<Result<ReadResponse, RoleError>> for ReadError {
    fn from(response: Result<ReadResponse, RoleError>) -> Self {
        match response {
            Ok(ReadResponse::Refused { code, reason, remedy }) => {
                Self::Refused { code, reason, remedy }
            }
            Ok(_) => Self::OtherResponse,
            Err(error) => Self::Unavailable(error),
        }
    }
}

/// Asks the viewer for the state before and after the plan.
pub(super) async fn read_preview<H: Host>(
    host: &H,
    sealed: &SealedPlan,
) -> Result<Preview, ReadError> {
    match host.viewer().read(preview_request(sealed, sealed.operations().to_vec())).await {
        Ok(ReadResponse::Preview { preview }) => Ok(preview),
        other => Err(other.into()),
    }
}

/// The request for a preview of these operations of a plan.
pub(super) fn preview_request(sealed: &SealedPlan, operations: Vec<Step>) -> ReadRequest {
    let tool = sealed.plan().tool();
    ReadRequest::Preview { tool: tool.name.clone(), digest: tool.digest, operations }
}

/// Carries out a plan that only reads, and replies at once: no job, no executor, no run namespace.
pub(super) async fn read_reply<H: Host>(
    record: &CallRecord<'_, H>,
    call: &ValidCall,
    sealed: &SealedPlan,
) -> Result<Reply, Reply> {
    let tool = sealed.plan().tool();
    let (results, mut left_out, given) = if sealed.operations().is_empty() {
        (Vec::new(), LeftOut::default(), Vec::new())
    } else {
        let look = ReadRequest::Read {
            tool: tool.name.clone(),
            digest: tool.digest,
            operations: sealed.operations().to_vec(),
        };
        match record.host().viewer().read(look).await {
            Ok(ReadResponse::Results { results, left_out, given })
                if results.len() == sealed.operations().len()
                    && left_out.is_bounded()
                    && are_bounded(&given) =>
            {
                (results, left_out, given)
            }
            other => return Err(record.unread(other.into()).await),
        }
    };
    let (results, form) = match fitted(call.tool().output(), results, &mut left_out) {
        Ok(results) => (results, Ok(())),
        Err(error) => (Vec::new(), Err(error)),
    };
    let presented = text::presented(&results, sealed.facts());
    // Clients check results with the listed schema; a tool that promises another form keeps it.
    let results = if call.tool().listed().check(&json!({ "results": presented })).is_ok() {
        presented
    } else {
        results
    };
    let body = json!({ "results": results }).to_string();
    let given: Vec<String> = given.iter().map(text::remark_words).collect();
    let around = AROUND + given.iter().map(|words| words.len() + AROUND / 32).sum::<usize>();
    let around = around
        + left_out.places.iter().map(|place| place.words().len() + AROUND / 32).sum::<usize>();
    let unfit = match form {
        _ if body.len() > limit::RESULT.min(limit::TEXT.saturating_sub(around)) => {
            Some(("result-size", "the result is too large to be shown whole".to_owned()))
        }
        Err(error) => Some((
            "output-schema",
            format!("the result is not of the form the tool promises: {error}"),
        )),
        Ok(()) => None,
    };
    if let Some((code, why)) = unfit {
        let words = (why.as_str(), "A narrower read.", "Ask for less at once, or tell your user.");
        return Err(record.refuse(RefusalKind::Declined, "FAILED", "failed", code, words).await);
    }
    let ending = if sealed.operations().is_empty() { "answered" } else { "looked" };
    // The result itself is not recorded: the ledger is not a copy of the infrastructure.
    let proof = record
        .with(
            "result_digest",
            &json!(crate::model::id::ShownDigest::of(body.as_bytes()).to_string()),
        )
        .end(ending, "allowed")
        .await?;
    let summary = sealed.operations().is_empty().then(|| sealed.plan().summary());
    Ok(Reply::Success(text::read_results(
        results,
        (&left_out, given),
        summary,
        proof,
        &record.world().trust.environment,
    )))
}

/// The plan of a verdict, and the decision in the words of a preview.
fn decided(verdict: &Verdict) -> (&PreviewedPlan, Decided<'_>) {
    let rules = |reasons: &[Reason]| {
        reasons.iter().map(|reason| reason.id.clone()).collect::<Vec<_>>().join(", ")
    };
    match verdict {
        Verdict::Approved(approved) => {
            let rule = rules(approved.reasons());
            let words = format!("allowed by {rule}");
            (
                approved.plan(),
                Decided { decision: "allow", rule, words, reason: None, approval: None },
            )
        }
        Verdict::Needed(needed) => {
            let rule = rules(needed.reasons());
            let words = format!("needs a person, by {rule}");
            let said = needed.reasons().iter().find(|reason| reason.audience == Audience::User);
            let reason = said.map(|reason| (reason.message.as_str(), reason.remedy.as_str()));
            (
                needed.plan(),
                Decided {
                    decision: "require_approval",
                    rule,
                    words,
                    reason,
                    approval: Some(needed.rule()),
                },
            )
        }
        Verdict::Denied(plan, denial) => {
            let words = format!("denied by {}", denial.rule);
            let reason = Some((denial.why.as_str(), denial.allowed.as_str()));
            (
                plan,
                Decided {
                    decision: "deny",
                    rule: denial.rule.clone(),
                    words,
                    reason,
                    approval: None,
                },
            )
        }
    }
}

impl<H: Host> CallRecord<'_, H> {
    /// The reply to a call whose state could not be read.
    pub(super) async fn unread(&self, error: ReadError) -> Reply {
        let reason = "the infrastructure cannot be read";
        match error {
            ReadError::Refused { code, reason, remedy } => {
                let words =
                    (reason.as_str(), remedy.as_str(), "Read the objects first, then ask again.");
                self.refuse(RefusalKind::Declined, "DECLINED", "refused", &code, words).await
            }
            ReadError::OtherResponse => {
                self.unavailable("viewer", "a response to another request", reason).await
            }
            ReadError::Unavailable(error) => {
                self.unavailable("viewer", &error.to_string(), reason).await
            }
        }
    }

    /// Records a preview, and replies with it.
    pub(super) async fn preview_reply(&self, verdict: Verdict) -> Reply {
        let (plan, decided) = decided(&verdict);
        self.tell_preview(plan.sealed(), Some(plan.preview()), decided).await
    }

    /// Records the preview of a plan that only reads: there is nothing to change.
    pub(super) async fn preview_of_read(&self, sealed: &SealedPlan) -> Reply {
        let words = "allowed; it only reads".to_owned();
        self.tell_preview(
            sealed,
            None,
            Decided { decision: "allow", rule: String::new(), words, reason: None, approval: None },
        )
        .await
    }

    async fn tell_preview(
        &self,
        sealed: &SealedPlan,
        preview: Option<&Preview>,
        decided: Decided<'_>,
    ) -> Reply {
        let plan = ShownPlan {
            summary: sealed.plan().summary(),
            changes: sealed.plan().changes(),
            facts: sealed.facts(),
        };
        match self.copy().end("previewed", decided.decision).await {
            Ok(proof) => Reply::Success(text::shown_only(
                plan,
                preview,
                decided,
                proof,
                &self.world().trust.environment,
            )),
            Err(reply) => reply,
        }
    }
}
