//! The statement that an approver signs. Plain data: `policy::approval` verifies it.

use super::id::{CallId, PlanDigest, PolicyDigest, PreviewDigest, ShownDigest, StatementDigest};
use super::json::{self, JsonError};
use super::subject::Subject;
use super::trust::Environment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The SSHSIG namespace of approvals; `ssh-keygen -Y verify -n` takes it.
pub const NAMESPACE: &str = "approval@cofferdam.dev";

/// The schema name of [`Statement`].
pub const STATEMENT_SCHEMA: &str = "cofferdam.approval.v1";

/// The verdict of an approver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The plan may run.
    Approve,
    /// The plan must not run.
    Reject,
}

/// The document that an approver signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Always [`STATEMENT_SCHEMA`].
    pub schema: String,
    /// The id of the call.
    pub call: CallId,
    /// The approver's verdict.
    pub verdict: Verdict,
    /// The person's reason; empty when approving without one. Shown to the agent after a
    /// rejection.
    pub reason: String,
    /// Digest of the plan that the approver was shown.
    pub plan: PlanDigest,
    /// Digest of the preview that the approver was shown.
    pub preview: PreviewDigest,
    /// Digest of the text that the approver was shown.
    pub shown: ShownDigest,
    /// The subject of the call.
    pub subject: Subject,
    /// The environment of the call.
    pub environment: Environment,
    /// The policy that asked for a person.
    pub policy: PolicyDigest,
    /// 128 random bits in hexadecimal, chosen by the recorder for this question.
    pub nonce: String,
    /// The time of the question, as the approver was shown. Absent in statements of versions that
    /// did not bound an approval's time; those do not count any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Timestamp>,
    /// The time from which further people may sign, if the person signed after it. A signature of
    /// one of them counts only with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated: Option<Timestamp>,
    /// The absent approver in whose place the person signs, by a delegation; none for themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<String>,
    /// The time after which the signature does not count. At most
    /// [`crate::model::limit::APPROVAL_SECONDS_MOST`] after `issued`, and at most as long as policy's own rule says.
    pub expires: Timestamp,
}

impl Statement {
    /// Canonical JSON: the bytes that are signed.
    pub fn canonical(&self) -> Result<(String, StatementDigest), JsonError> {
        let text = json::canonical(self)?;
        let digest = StatementDigest::of(text.as_bytes());
        Ok((text, digest))
    }
}

/// A statement with its signature, as it is stored and passed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// The statement's canonical JSON, exactly as signed.
    pub statement: String,
    /// The SSHSIG in its armoured form, or the text of a passkey's assertion over the statement's
    /// digest.
    pub signature: String,
}
