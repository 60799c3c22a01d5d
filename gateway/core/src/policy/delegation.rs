//! Delegations that count: signed by the absent approver, within their time, to another enrolled
//! person. A delegate never passes a delegation on, and no delegation lets a party of a call approve.

use super::approval::{ApprovalError, check_signer, signer};
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

/// The delegation by which this person signs in the place of the absent one now.
pub fn between<'a>(
    (from, to): (&str, &str),
    trust: &'a Trust,
    now: Timestamp,
) -> Option<&'a SignedDelegation> {
    trust.delegations.iter().find(|signed| {
        verify(signed, &trust.approvers, &trust.environment)
            .is_ok_and(|found| found.from == from && found.to == to && holds(&found, now))
    })
}

/// The people in whose place this person may sign now, sorted, each once.
fn absent(to: &str, trust: &Trust, now: Timestamp) -> Vec<String> {
    let of = |signed: &SignedDelegation| {
        let found = verify(signed, &trust.approvers, &trust.environment).ok()?;
        (found.to == to && holds(&found, now)).then_some(found.from)
    };
    let mut names: Vec<String> = trust.delegations.iter().filter_map(of).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The person in whose place an enrolled person signs a question: `None` for themselves, where
/// policy names them.
///
/// # Errors
/// Policy names neither this person nor one who delegated to them, or they asked for the call.
pub fn stands_for(
    name: &str,
    (rule, seconds): (&ApprovalRule, u64),
    subject: &Subject,
    trust: &Trust,
    now: Timestamp,
) -> Result<Option<String>, ApprovalError> {
    let own = match check_signer(name, (rule, seconds), subject, trust) {
        Ok(()) => return Ok(None),
        Err(party @ ApprovalError::Party(_)) => return Err(party),
        Err(own) => own,
    };
    let may = |absent: &String| check_signer(absent, (rule, seconds), subject, trust).is_ok();
    absent(name, trust, now).into_iter().find(may).map(Some).ok_or(own)
}

#[cfg(test)]
mod tests;
