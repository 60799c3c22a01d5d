//! One signature of a ledger: over its exact statement, by a person whom the rule names, about the
//! question and within its time. Never trusts an entry for what a payload proves.

use super::error::{ApprovalCode, ApprovalError};
use super::payloads::Payload;
use super::{DELEGATION, People, Question, RULE, SIGNED, Signer};
use crate::ledger::leaf::{Leaf, commitment};
use crate::ledger::note::origin;
use cofferdam_core::model::delegation::SignedDelegation;
use cofferdam_core::model::id::StatementDigest;
use cofferdam_core::model::passkey::Passkey;
use cofferdam_core::model::person::same_person;
use cofferdam_core::model::reason::ApprovalRule;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::statement::{SignedStatement, Statement, Verdict};
use cofferdam_core::policy::approval::{
    self, check_escalated, check_times, is_party, verify_alone,
};
use cofferdam_core::policy::delegation;
use jiff::Timestamp;
use serde::Deserialize;

/// The payload of a signature.
#[derive(Debug, Deserialize)]
struct Signed {
    statement: String,
    signature: String,
}

/// Checks one signature, and counts it for its call.
pub(super) fn signature(
    name: &str,
    question: &mut Question<'_>,
    leaf: &Leaf,
    payload: &Payload,
    trusted: &People,
) -> Result<(), ApprovalError> {
    let Event::Signed { statement: digest, approver: recorded, verdict, stands_for } = &leaf.event
    else {
        return Ok(());
    };
    let refuse = |code: ApprovalCode| code.about(leaf, "");
    for (name, text) in &payload.payloads {
        if leaf.commitments.get(name) != Some(&commitment(&payload.key, text)) {
            return Err(ApprovalCode::PayloadChanged.about(leaf, &format!("`{name}`")));
        }
    }
    if let Some(name) = leaf.commitments.keys().find(|name| !payload.payloads.contains_key(*name)) {
        return Err(ApprovalCode::SignatureMissing.about(leaf, &format!("`{name}`")));
    }
    let text =
        payload.payloads.get(SIGNED).ok_or_else(|| refuse(ApprovalCode::SignatureMissing))?;
    let unreadable = |_| refuse(ApprovalCode::PayloadUnreadable);
    let Signed { statement, signature } = serde_json::from_str(text).map_err(unreadable)?;
    if StatementDigest::of(statement.as_bytes()) != *digest {
        return Err(refuse(ApprovalCode::StatementChanged));
    }
    let signed = SignedStatement { statement, signature };
    let (approver, statement) = verify_alone(&signed, &trusted.approvers).map_err(|error| {
        let code = match &error {
            approval::ApprovalError::Unknown => ApprovalCode::KeyUnknown,
            _ => ApprovalCode::SignatureBad,
        };
        code.about(leaf, &error.to_string())
    })?;
    let asked = question.asked.ok_or_else(|| refuse(ApprovalCode::NotAsked))?;
    about(&statement, name, leaf, asked).map_or(Ok(()), |code| Err(refuse(code)))?;
    let approves = statement.verdict == Verdict::Approve;
    if *verdict != if approves { "approve" } else { "reject" } {
        return Err(refuse(ApprovalCode::OtherVerdict));
    }
    if !same_person(&approver.name, recorded) {
        return Err(ApprovalCode::OtherApprover.about(leaf, &format!("`{}`", approver.name)));
    }
    let voice = statement.stands_for.as_ref().unwrap_or(&approver.name);
    if statement.stands_for != *stands_for {
        return Err(ApprovalCode::OtherApprover.about(leaf, "in the place of another person"));
    }
    // In another's place, no party of the call signs, and for no party.
    let own = trusted.self_approval && stands_for.is_none();
    for name in [&approver.name, voice] {
        if is_party(name, &statement.subject, own) {
            return Err(refuse(ApprovalCode::Party));
        }
    }
    if stands_for.is_some() {
        let text = payload.payloads.get(DELEGATION).map(String::as_str).unwrap_or_default();
        delegated((voice, &approver.name), text, (&statement, leaf), trusted)?;
    }
    let (seconds, escalated) = in_time(&statement, leaf)?;
    let found = &mut question.found;
    if let Some(text) = payload.payloads.get(RULE) {
        let rule: ApprovalRule = serde_json::from_str(text).map_err(unreadable)?;
        if !rule.names(voice, escalated) {
            return Err(refuse(ApprovalCode::NotNamed));
        }
        if found.needed.is_some_and(|known| known != rule.quorum) {
            return Err(refuse(ApprovalCode::OtherRule));
        }
        if seconds > rule.expires_seconds {
            return Err(refuse(ApprovalCode::TooLong));
        }
        found.needed = Some(rule.quorum);
    }
    let signer = Signer {
        name: approver.name.clone(),
        stands_for: stands_for.clone(),
        passkey: Passkey::read(&approver.key).is_some(),
        entry: leaf.index,
        expires: statement.expires,
    };
    if approves {
        found.approved.push(signer)
    } else {
        found.denied.push(signer)
    }
    Ok(())
}

/// Checks the delegation of a signature: of the absent approver, to the signer, at that time.
fn delegated(
    (from, to): (&str, &str),
    text: &str,
    (statement, leaf): (&Statement, &Leaf),
    trusted: &People,
) -> Result<(), ApprovalError> {
    let refuse = |why: &str| ApprovalCode::NotDelegated.about(leaf, why);
    let time: Timestamp =
        leaf.time.parse().map_err(|_| ApprovalCode::OutOfTime.about(leaf, "no time"))?;
    let signed: SignedDelegation =
        serde_json::from_str(text).map_err(|_| refuse("it is not among the payloads"))?;
    let found = delegation::verify(&signed, &trusted.approvers, &statement.environment)
        .map_err(|error| refuse(&error.to_string()))?;
    let holds = found.from == from && found.to == to && delegation::holds(&found, time);
    if holds { Ok(()) } else { Err(refuse("it is for other people or another time")) }
}

/// The first difference between a statement and the entries of its call.
fn about(statement: &Statement, name: &str, leaf: &Leaf, asked: &Leaf) -> Option<ApprovalCode> {
    let same = [
        (leaf.call.as_ref() == Some(&statement.call), ApprovalCode::OtherCall),
        (
            leaf.plan == Some(statement.plan) && asked.plan == Some(statement.plan),
            ApprovalCode::OtherPlan,
        ),
        (asked.preview == Some(statement.preview), ApprovalCode::OtherPreview),
        (asked.policy == Some(statement.policy), ApprovalCode::OtherPolicy),
        (asked.principal == statement.subject.id, ApprovalCode::OtherRequester),
        (origin(&statement.environment.id) == name, ApprovalCode::OtherEnvironment),
    ];
    same.into_iter().find_map(|(same, code)| (!same).then_some(code))
}

/// The signature has to come between the question and its end, by the ledger's own time. Returns the
/// seconds for which it counts, and those from the question to the time after which it says to be
/// made; 0 without one.
fn in_time(statement: &Statement, leaf: &Leaf) -> Result<(u64, u64), ApprovalError> {
    let out = |why: &str| ApprovalCode::OutOfTime.about(leaf, why);
    let time: Timestamp = leaf.time.parse().map_err(|_| out("the entry has no time"))?;
    let issued = statement.issued.ok_or_else(|| out("the statement has no time"))?;
    let told = |error: approval::ApprovalError| out(&error.to_string());
    let seconds = check_times(issued, statement.expires, time).map_err(told)?;
    let escalated = statement.escalated.map(|since| check_escalated(issued, since, time));
    Ok((seconds, escalated.transpose().map_err(told)?.unwrap_or(0)))
}
