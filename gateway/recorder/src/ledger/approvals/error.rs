//! The errors of approvals in a ledger: a code for programs, and a sentence with its remedy.

use crate::ledger::leaf::Leaf;
use cofferdam_core::model::id::CallId;
use std::fmt;

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalCode {
    /// A payload does not fit the commitment in its entry.
    PayloadChanged,
    /// A payload, or its line, cannot be read.
    PayloadUnreadable,
    /// A payload belongs to no signature of this ledger.
    PayloadStray,
    /// The statement has another digest than its entry.
    StatementChanged,
    /// The payload of a signature is not there, and no entry says that it was erased.
    SignatureMissing,
    /// No key of the caller made the signature.
    KeyUnknown,
    /// The signature is not one over this statement.
    SignatureBad,
    /// A call was asked about twice, with different questions.
    OtherQuestion,
    /// A call was decided or acted before its question.
    AskedLate,
    /// No entry asked for the signature.
    NotAsked,
    /// The statement is about another call.
    OtherCall,
    /// The statement or the decision is about another plan.
    OtherPlan,
    /// The statement or the decision is about another preview.
    OtherPreview,
    /// The statement is about another policy.
    OtherPolicy,
    /// The statement is about another requester.
    OtherRequester,
    /// The statement is about another environment.
    OtherEnvironment,
    /// The entry has another verdict than the statement.
    OtherVerdict,
    /// The entry names another person than the owner of the key.
    OtherApprover,
    /// Two signatures of one call name rules with different numbers of people.
    OtherRule,
    /// The rule does not name the signer, or only from a later time on.
    NotNamed,
    /// No delegation lets the signer sign in the place of the absent approver.
    NotDelegated,
    /// The signature is for longer than the rule allows.
    TooLong,
    /// The signature came after the decision.
    SignedLate,
    /// The signer asked for the call.
    Party,
    /// The entry is outside the time of the statement.
    OutOfTime,
    /// The call was decided without the signatures that it needs.
    QuorumMissing,
    /// The call was decided although a person denied it.
    Denied,
    /// The call acted without a decision after its question.
    NotDecided,
}

impl ApprovalCode {
    /// The code, for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PayloadChanged => "payload-changed",
            Self::PayloadUnreadable => "payload-unreadable",
            Self::PayloadStray => "payload-stray",
            Self::StatementChanged => "statement-changed",
            Self::SignatureMissing => "signature-missing",
            Self::KeyUnknown => "key-unknown",
            Self::SignatureBad => "signature-bad",
            Self::OtherQuestion => "other-question",
            Self::AskedLate => "asked-late",
            Self::NotAsked => "not-asked",
            Self::OtherCall => "other-call",
            Self::OtherPlan => "other-plan",
            Self::OtherPreview => "other-preview",
            Self::OtherPolicy => "other-policy",
            Self::OtherRequester => "other-requester",
            Self::OtherEnvironment => "other-environment",
            Self::OtherVerdict => "other-verdict",
            Self::OtherApprover => "other-approver",
            Self::OtherRule => "other-rule",
            Self::NotNamed => "not-named",
            Self::NotDelegated => "not-delegated",
            Self::TooLong => "too-long",
            Self::SignedLate => "signed-late",
            Self::Party => "party",
            Self::OutOfTime => "out-of-time",
            Self::QuorumMissing => "quorum-missing",
            Self::Denied => "denied",
            Self::NotDecided => "not-decided",
        }
    }

    /// The description, without details.
    const fn text(self) -> &'static str {
        match self {
            Self::PayloadChanged => "the payload is not the one that the entry commits to",
            Self::PayloadUnreadable => "the payload is not readable; export the ledger again",
            Self::PayloadStray => "the payload belongs to no signature of this ledger",
            Self::StatementChanged => "the statement is not the one of the entry",
            Self::SignatureMissing => {
                "the signature is not among the payloads, and no entry says that it was erased; \
                 export the ledger again"
            }
            Self::KeyUnknown => {
                "none of the given approvers made the signature; give the keys of that time, also \
                 of people who were removed since"
            }
            Self::SignatureBad => "the signature does not count",
            Self::OtherQuestion => "an earlier question of the call is another one",
            Self::AskedLate => "the call was decided or acted before its question",
            Self::NotAsked => "no earlier entry asked for a signature",
            Self::OtherCall => "the statement is about another call",
            Self::OtherPlan => "the plan is not the plan of the question",
            Self::OtherPreview => "the preview is not the preview of the question",
            Self::OtherPolicy => "the policy is not the policy of the question",
            Self::OtherRequester => "the requester is not the requester of the question",
            Self::OtherEnvironment => "the environment is not the environment of the ledger",
            Self::OtherVerdict => "the entry has another verdict than the statement",
            Self::OtherApprover => "the entry names another person than the owner of the key",
            Self::OtherRule => "an earlier signature of the call names another rule",
            Self::NotNamed => {
                "the rule of the question does not name the signer, or only from a later time on"
            }
            Self::NotDelegated => {
                "no delegation of that time lets the signer sign in the place of the absent approver"
            }
            Self::TooLong => "the signature counts for longer than the rule of the question allows",
            Self::SignedLate => "the call was decided before the signature",
            Self::Party => {
                "the signer asked for the call, or the agent works for the signer; write \
                 `self_approval = true` into the file of approvers if that is allowed"
            }
            Self::OutOfTime => "the entry is outside the time of the statement",
            Self::QuorumMissing => "the call was decided without the signatures that it needs",
            Self::Denied => "the call was decided although a person denied it",
            Self::NotDecided => "the call acted, and no entry decided it after its question",
        }
    }

    /// This error about an entry.
    pub(super) fn about(self, leaf: &Leaf, detail: &str) -> ApprovalError {
        ApprovalError {
            code: self,
            entry: Some(leaf.index),
            call: leaf.call.clone(),
            detail: detail.to_owned(),
        }
    }

    /// This error about a line of the payloads.
    pub(super) fn at_line(self, line: u64, entry: Option<u64>) -> ApprovalError {
        ApprovalError { code: self, entry, call: None, detail: format!("line {line}") }
    }
}

/// One error of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalError {
    /// Its kind.
    pub code: ApprovalCode,
    /// The entry.
    pub entry: Option<u64>,
    /// The call of the entry.
    pub call: Option<CallId>,
    /// Details; empty without any.
    pub detail: String,
}

impl fmt::Display for ApprovalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.text())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}
