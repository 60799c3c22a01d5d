//! Approvals of one call: the signatures that count, by the reader's own trust file, clock and text
//! of the question. Never counts a person twice.

use super::approval;
use super::input::{ApprovalFacts, SignatureFacts};
use crate::model::id::{PlanDigest, PreviewDigest, ShownDigest};
use crate::model::job::StoredJob;
use crate::model::person::{people, same_person};
use crate::model::reason::ApprovalRule;
use crate::model::statement::{SignedStatement, Verdict};
use crate::model::time::whole_seconds;
use crate::model::trust::Trust;
use crate::policy::approval::{ApprovalError, Question};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Verified approvals of exactly one plan over one state. Made here alone.
#[derive(Debug)]
pub struct Approvals {
    approvers: BTreeMap<String, Times>,
    plan: PlanDigest,
    preview: PreviewDigest,
    now: Timestamp,
    faults: Vec<String>,
    void: Vec<String>,
}

/// The signer and the times of one approval.
#[derive(Debug, Clone)]
struct Times {
    /// The person who signed: themselves, or in the place of an absent one.
    signer: String,
    /// The time of the question.
    issued: Timestamp,
    /// The time at which the approval ends.
    expires: Timestamp,
    /// Seconds from `issued` to `expires`, rounded up.
    seconds: u64,
    /// Seconds from `issued` to the time after which the person says to have signed; 0 if the
    /// question had not escalated.
    escalated: u64,
}

/// An approver rejected the plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{approver} rejected it: {reason}")]
pub struct Rejected {
    /// The name of the approver.
    pub approver: String,
    /// The reason in the words of the approver.
    pub reason: String,
}

impl Approvals {
    /// Counts the signatures of a job that are valid by the reader's own trust file. A signature
    /// that does not count is kept with its cause, and is no error: the expired key of one approver
    /// must not void the signature of another. A rejection ends the count. `shown` is the digest of
    /// the text that the reader itself would show.
    pub fn count(
        job: &StoredJob,
        shown: Option<ShownDigest>,
        trust: &Trust,
        now: Timestamp,
    ) -> Result<Self, Rejected> {
        let subject = job.principal.subject();
        let question = Question {
            call: &job.call,
            plan: job.plan_digest,
            preview: job.preview_digest,
            subject: &subject,
            environment: &trust.environment,
            policy: job.policy,
            now,
        };
        let (plan, preview) = (job.plan_digest, job.preview_digest);
        let mut found = Self {
            approvers: BTreeMap::new(),
            plan,
            preview,
            now,
            faults: Vec::new(),
            void: Vec::new(),
        };
        for signed in &job.statements {
            match approval::verify(signed, &question, trust)
                .and_then(|verified| same(verified, job, shown))
            {
                Ok(verified) if verified.statement().verdict == Verdict::Reject => {
                    return Err(Rejected {
                        approver: verified.approver().to_owned(),
                        reason: verified.statement().reason.clone(),
                    });
                }
                Ok(verified) => {
                    let (issued, expires) = (verified.issued(), verified.statement().expires);
                    let (seconds, escalated) = (verified.seconds(), verified.escalated_seconds());
                    let signer = verified.approver().to_owned();
                    let times = Times { signer, issued, expires, seconds, escalated };
                    found.add(verified.voice(), times, signed);
                }
                Err(error) => {
                    found.faults.push(error.to_string());
                    found.void.push(signed.signature.clone());
                }
            }
        }
        Ok(found)
    }

    /// Counts one approval. A person has one voice, also in the place of others.
    fn add(&mut self, voice: &str, times: Times, signed: &SignedStatement) {
        let again = |(known, by): (&String, &Times)| {
            !same_person(known, voice) && same_person(&by.signer, &times.signer)
        };
        if self.approvers.iter().any(again) {
            self.faults.push(format!("`{}` signed twice, and counts once", times.signer));
            self.void.push(signed.signature.clone());
        } else {
            self.approvers.insert(voice.to_owned(), times);
        }
    }

    /// The approvals for the policy input; `None` when no signature counts, so that a policy which
    /// only asks whether there is an approval is not fooled.
    pub fn facts(&self) -> Option<ApprovalFacts> {
        let facts = || {
            let approvers = self.approvers();
            let signatures = approvers.iter().filter_map(|name| self.signature(name)).collect();
            ApprovalFacts { approvers, plan: self.plan, preview: self.preview, signatures }
        };
        (!self.approvers.is_empty()).then(facts)
    }

    fn signature(&self, name: &str) -> Option<SignatureFacts> {
        let Times { issued, expires, seconds, escalated, .. } = *self.approvers.get(name)?;
        // A question of a clock that is ahead by less than what clocks may differ is of this
        // second.
        let age_seconds = u64::try_from(self.now.duration_since(issued).as_secs()).unwrap_or(0);
        Some(SignatureFacts {
            approver: name.to_owned(),
            issued: whole_seconds(issued),
            expires: whole_seconds(expires),
            seconds,
            age_seconds,
            escalated_seconds: (escalated > 0).then_some(escalated),
        })
    }

    /// The people who signed, in words: `carl for bob` in the place of an absent one.
    pub fn signers(&self) -> Vec<String> {
        let told = |voice: String| match self.approvers.get(&voice) {
            Some(times) if times.signer != voice => format!("{} for {voice}", times.signer),
            _ => voice,
        };
        self.approvers().into_iter().map(told).collect()
    }

    /// The people whose voices are there, each once and under one name, sorted: the names that a
    /// rule has to have.
    pub fn approvers(&self) -> Vec<String> {
        let mut names: Vec<String> = people(self.names()).into_iter().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    /// The signatures of the job that do not count: their key or their person's right is gone, or
    /// they are of another question.
    pub fn void(&self) -> &[String] {
        &self.void
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.approvers.keys().map(String::as_str)
    }

    /// True if enough of those whom a rule names have signed, for no longer than it says.
    pub fn satisfy(&self, rule: &ApprovalRule) -> bool {
        let counts = |(name, times): &(&String, &Times)| {
            rule.names(name, times.escalated) && times.seconds <= rule.expires_seconds
        };
        let named = self.approvers.iter().filter(counts).map(|(name, _)| name.as_str());
        u32::try_from(people(named).len()).is_ok_and(|count| count >= rule.quorum && count > 0)
    }

    /// The first signature of one of the further people that was made before their time.
    fn early(&self, rule: &ApprovalRule) -> Option<ApprovalError> {
        let after = rule.escalate.as_ref()?.after_seconds;
        let is_early = |(name, times): &(&String, &Times)| {
            !rule.names(name, times.escalated) && rule.names(name, u64::MAX)
        };
        let (name, _) = self.approvers.iter().find(is_early)?;
        Some(ApprovalError::NotYet { name: name.clone(), after })
    }

    /// True if they are of this plan over this state.
    pub fn are_of(&self, plan: PlanDigest, preview: PreviewDigest) -> bool {
        self.plan == plan && self.preview == preview
    }

    /// The cause for which a signature did not count for this rule; `None` where each counted.
    pub fn shortcoming(&self, rule: &ApprovalRule) -> Option<String> {
        let long = || self.approvers.iter().find(|(_, times)| times.seconds > rule.expires_seconds);
        let told = |(name, times): (&String, &Times)| {
            format!(
                "the approval of `{name}` is for {} seconds, and policy allows {}; ask again",
                times.seconds, rule.expires_seconds
            )
        };
        let early = || self.early(rule).map(|error| error.to_string());
        self.faults.first().cloned().or_else(|| long().map(told)).or_else(early)
    }
}

/// Checks the rest after `approval::verify`: the nonce of this question, and the text that this
/// role itself would have shown.
fn same(
    verified: approval::VerifiedStatement,
    job: &StoredJob,
    shown: Option<ShownDigest>,
) -> Result<approval::VerifiedStatement, ApprovalError> {
    if verified.statement().nonce != job.nonce {
        return Err(ApprovalError::Other("question"));
    }
    if shown != Some(verified.statement().shown) {
        return Err(ApprovalError::Other("text than the one that is shown"));
    }
    Ok(verified)
}
