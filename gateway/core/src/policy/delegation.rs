//! Delegations that count: signed by the absent approver, within their time, to another enrolled
//! person. A delegate never passes a delegation on, and no delegation lets a party of a call approve.

use super::approval::{ApprovalError, check_signer, is_party, signer};
use super::passkey::Assertion;
use crate::model::delegation::{
    DELEGATION_NAMESPACE, DELEGATION_SCHEMA, DELEGATION_SECONDS_MOST, Delegation, SignedDelegation,
};
use crate::model::json::{self, JsonError};
use crate::model::limit::CLOCK_SECONDS;
use crate::model::person::same_person;
use crate::model::reason::ApprovalRule;
use crate::model::subject::Subject;
use crate::model::trust::{Approver, Environment, Trust};
use jiff::Timestamp;

/// A delegation that does not count.
#[derive(Debug, thiserror::Error)]
pub enum DelegationError {
    /// The text is not a delegation in canonical JSON.
    #[error("the delegation is not readable; make it again with `cofferdam approver delegate`")]
    Text(#[from] JsonError),
    /// No key of the absent approver signed it.
    #[error(
        "the delegation is not signed with an enrolled key of `{0}`; they sign it with `cofferdam \
         approver delegate`"
    )]
    Signature(String),
    /// The delegate is not enrolled, or is the same person.
    #[error("`{0}` is no other enrolled approver; an operator enrols them first")]
    Delegate(String),
    /// It is of another environment.
    #[error("the delegation is for the environment `{0}`; make one for this environment")]
    Environment(String),
    /// It ends before it begins, or is for too long.
    #[error("a delegation ends after its begin and at most 30 days later; make a shorter one")]
    Length,
}

impl DelegationError {
    /// The code of this refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Signature(_) => "signature",
            Self::Delegate(_) => "delegate",
            Self::Environment(_) => "environment",
            Self::Length => "length",
        }
    }
}

/// Checks everything of a delegation but its time.
///
/// # Errors
/// Text, signature, people, environment or length are not as they have to be.
pub fn verify(
    signed: &SignedDelegation,
    approvers: &[Approver],
    environment: &Environment,
) -> Result<Delegation, DelegationError> {
    let found: Delegation = json::strict_into(signed.delegation.as_bytes())?;
    let unsigned = || DelegationError::Signature(found.from.clone());
    if json::canonical(&found)? != signed.delegation || found.schema != DELEGATION_SCHEMA {
        return Err(unsigned());
    }
    // A passkey signs a digest that a page chose, and never a delegation.
    if Assertion::is_text_of_one(&signed.signature) {
        return Err(unsigned());
    }
    let owner =
        signer::signer_in(DELEGATION_NAMESPACE, &signed.delegation, &signed.signature, approvers)
            .map_err(|_| unsigned())?;
    if owner.name != found.from {
        return Err(unsigned());
    }
    if found.environment != *environment {
        return Err(DelegationError::Environment(found.environment.name));
    }
    let known = approvers.iter().any(|approver| approver.name == found.to);
    if !known || same_person(&found.from, &found.to) {
        return Err(DelegationError::Delegate(found.to));
    }
    let seconds = found.until.duration_since(found.issued).as_secs();
    if !(1..=DELEGATION_SECONDS_MOST).contains(&seconds) {
        return Err(DelegationError::Length);
    }
    Ok(found)
}

/// True if a delegation holds at this time.
pub fn holds(delegation: &Delegation, now: Timestamp) -> bool {
    delegation.issued.as_second() <= now.as_second().saturating_add(CLOCK_SECONDS)
        && now < delegation.until
}

/// The delegations to this person that count now, each with its signed form. The signature comes
/// last: its check costs most.
fn open_to<'a>(
    to: &'a str,
    trust: &'a Trust,
    now: Timestamp,
) -> impl Iterator<Item = (Delegation, &'a SignedDelegation)> {
    trust.delegations.iter().filter_map(move |signed| {
        let told: Delegation = json::strict_into(signed.delegation.as_bytes()).ok()?;
        if told.to != to || !holds(&told, now) {
            return None;
        }
        let found = verify(signed, &trust.approvers, &trust.environment).ok()?;
        Some((found, signed))
    })
}

/// The delegation by which a person signs in the place of the absent one now.
///
/// # Errors
/// No delegation of the trust file permits it.
pub fn between<'a>(
    (name, absent): (&'a str, &str),
    trust: &'a Trust,
    now: Timestamp,
) -> Result<&'a SignedDelegation, ApprovalError> {
    let found = open_to(name, trust, now).find(|(found, _)| found.from == absent);
    found.map(|(_, signed)| signed).ok_or_else(|| ApprovalError::NotDelegated {
        name: name.to_owned(),
        absent: absent.to_owned(),
    })
}

/// The people in whose place this person may sign at this time, sorted.
pub fn absent(to: &str, trust: &Trust, now: Timestamp) -> Vec<String> {
    let mut names: Vec<String> = open_to(to, trust, now).map(|(found, _)| found.from).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Refuses parties of a call, also the person for whom the agent works where the trust file lets
/// that person approve: such a person approves only where policy names them.
///
/// # Errors
/// The delegate or the absent approver is a party of the call.
pub fn check_parties((name, absent): (&str, &str), subject: &Subject) -> Result<(), ApprovalError> {
    let party = [name, absent].into_iter().find(|name| is_party(name, subject, false));
    party.map_or(Ok(()), |party| Err(ApprovalError::Party(party.to_owned())))
}

/// Refuses a signature in the place of an absent approver that could not count now.
///
/// # Errors
/// Policy does not name the absent approver, no delegation holds, or one of both is a party.
pub fn check_place(
    (name, absent): (&str, &str),
    rule: (&ApprovalRule, u64),
    subject: &Subject,
    trust: &Trust,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    check_parties((name, absent), subject)?;
    check_signer(absent, rule, subject, trust)?;
    between((name, absent), trust, now).map(drop)
}

/// The person in whose place an enrolled person signs a question: `None` for themselves, where
/// policy names them. Those whose voices are there already come last.
///
/// # Errors
/// Policy names neither this person nor one who delegated to them, or they asked for the call.
pub fn stands_for(
    name: &str,
    rule: (&ApprovalRule, u64),
    subject: &Subject,
    (trust, now): (&Trust, Timestamp),
    voices: &[String],
) -> Result<Option<String>, ApprovalError> {
    let own = match check_signer(name, rule, subject, trust) {
        Ok(()) => return Ok(None),
        Err(own) => own,
    };
    let may = |absent: &String| {
        check_parties((name, absent), subject).is_ok()
            && check_signer(absent, rule, subject, trust).is_ok()
    };
    let taken = |absent: &String| voices.iter().any(|voice| same_person(voice, absent));
    let able = absent(name, trust, now).into_iter().filter(may);
    able.min_by_key(taken).map(Some).ok_or(own)
}

#[cfg(test)]
mod tests;
