//! A person's approval: a statement that the approver's own machine made from what it showed,
//! signed with the key they have (SSHSIG), or that a page showed, signed with a passkey. Never trusts a digest that another role computed, and no
//! answer of an agent's client is an approval.

pub(super) mod signer;

use crate::model::delegation::SignedDelegation;
use crate::model::id::{CallId, PlanDigest, PolicyDigest, PreviewDigest};
use crate::model::json;
use crate::model::json::JsonError;
use crate::model::limit;
use crate::model::person::people;
use crate::model::person::same_person;
use crate::model::principal_name::identities;
use crate::model::reason::ApprovalRule;
use crate::model::statement::NAMESPACE;
use crate::model::statement::STATEMENT_SCHEMA;
use crate::model::statement::SignedStatement;
use crate::model::statement::Statement;
use crate::model::subject::Subject;
use crate::model::trust::{Approver, Environment, Trust};
use crate::policy::delegation;
use crate::policy::passkey::PasskeyError;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// A signature that is not an approval.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// The text is not a statement.
    #[error("the statement is not readable: {0}")]
    Statement(#[from] JsonError),
    /// The text is not an SSH signature of this namespace.
    #[error("the signature is not an SSH signature in the namespace `{NAMESPACE}`")]
    Signature,
    /// The passkey's assertion does not count.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// The trust file does not have the key.
    #[error(
        "the signing key is not enrolled; an operator enrols it with `cofferdam approver add NAME \
         --key FILE`, or a passkey with `cofferdam approver invite NAME`"
    )]
    Unknown,
    /// The signature names another kind of key than the enrolled one.
    #[error(
        "the signature calls itself `{signature}`, and the enrolled key is of the kind `{key}`; \
         sign again with the enrolled key"
    )]
    Kind {
        /// The kind that the signature gives itself.
        signature: String,
        /// The kind of the enrolled key.
        key: String,
    },
    /// The owner of the security key did not touch it.
    #[error(
        "the security key was not touched; sign again and touch it (a key that was made with `-O \
         no-touch-required` cannot approve)"
    )]
    Untouched,
    /// The signature is over another value.
    #[error("the approval is for another {0}; a new approval is needed")]
    Other(&'static str),
    /// The approval came after its time.
    #[error("the approval expired at {0}; ask again")]
    Expired(Timestamp),
    /// The statement is of a version without the time of the question.
    #[error(
        "the approval does not say when it was asked for: an older version of Cofferdam signed \
         it; ask again"
    )]
    Undated,
    /// The time of the question is still to come.
    #[error(
        "the approval is for a question of {0}, which is still to come; compare the clocks of the \
         machines"
    )]
    Early(Timestamp),
    /// The approval is for longer than any may be.
    #[error("the approval is for {0} seconds, and at most {most} are allowed; ask again", most = limit::APPROVAL_SECONDS_MOST)]
    Long(u64),
    /// The approver is a party of the call.
    #[error("`{0}` asked for this and cannot approve it; another enrolled person has to")]
    Party(String),
    /// The approver is one of the further people, and signed before their time.
    #[error(
        "policy lets `{name}` sign only from {after} seconds after the question on, and this \
         signature names no such time; sign again after that time"
    )]
    NotYet {
        /// The name of the approver.
        name: String,
        /// Seconds from the question on.
        after: u64,
    },
    /// No delegation lets the approver sign in this place.
    #[error(
        "`{name}` signed in the place of `{absent}`, and no delegation permits that now; `{absent}` \
         makes one with `cofferdam approver delegate`"
    )]
    NotDelegated {
        /// The name of the approver.
        name: String,
        /// The name of the absent approver.
        absent: String,
    },
    /// Policy does not name the approver.
    #[error("policy does not name `{0}` as an approver of this")]
    NotNamed(String),
    /// Policy names the approver in another spelling.
    #[error(
        "policy names `{named}`, and this key is enrolled for `{name}`; an operator enrols it \
         under exactly the name that policy uses"
    )]
    NamedOtherwise {
        /// The name by which the approver is enrolled.
        name: String,
        /// The name in policy.
        named: String,
    },
}

/// The question that an approval has to be about.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The id of the call.
    pub call: &'a CallId,
    /// The digest of the plan.
    pub plan: PlanDigest,
    /// The digest of the preview.
    pub preview: PreviewDigest,
    /// The subject of the call.
    pub subject: &'a Subject,
    /// The environment of the call.
    pub environment: &'a Environment,
    /// The digest of the policy.
    pub policy: PolicyDigest,
    /// The time to judge by: the caller's own clock.
    pub now: Timestamp,
}

/// A checked signature, with its approver and statement. Made here alone.
#[derive(Debug)]
pub struct VerifiedStatement {
    approver: String,
    issued: Timestamp,
    seconds: u64,
    escalated: u64,
    delegation: Option<SignedDelegation>,
    statement: Statement,
}

impl VerifiedStatement {
    /// The name of the approver.
    pub fn approver(&self) -> &str {
        &self.approver
    }

    /// The name that the rule of the question has to have: of the approver, or of the absent one in
    /// whose place they signed.
    pub fn voice(&self) -> &str {
        self.statement.stands_for.as_ref().unwrap_or(&self.approver)
    }

    /// The delegation by which the approver signed in another's place.
    pub fn delegation(&self) -> Option<&SignedDelegation> {
        self.delegation.as_ref()
    }

    /// The time of the question, as the approver was shown.
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// The seconds from the question to the end of the approval.
    pub fn seconds(&self) -> u64 {
        self.seconds
    }

    /// Seconds from the question to the time after which the approver says to have signed; 0 if the
    /// question had not escalated.
    pub fn escalated_seconds(&self) -> u64 {
        self.escalated
    }

    /// The statement that the approver signed.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }
}

/// Checks one signature against the reader's own trust file and the reader's own copy of the
/// question.
pub fn verify(
    signed: &SignedStatement,
    question: &Question<'_>,
    trust: &Trust,
) -> Result<VerifiedStatement, ApprovalError> {
    let (approver, statement) = verify_alone(signed, &trust.approvers)?;
    let approver = approver.name.clone();
    let same = [
        (statement.call == *question.call, "call"),
        (statement.plan == question.plan, "plan"),
        (statement.preview == question.preview, "state of the infrastructure"),
        (statement.subject == *question.subject, "requester"),
        (statement.environment == *question.environment, "environment"),
        (statement.policy == question.policy, "policy"),
    ];
    if let Some((_, what)) = same.iter().find(|(same, _)| !same) {
        return Err(ApprovalError::Other(what));
    }
    let issued = statement.issued.ok_or(ApprovalError::Undated)?;
    let seconds = check_times(issued, statement.expires, question.now)?;
    let escalated = match statement.escalated {
        Some(since) => check_escalated(issued, since, question.now)?,
        None => 0,
    };
    check_party(&approver, question.subject, trust)?;
    let delegation = match &statement.stands_for {
        None => None,
        Some(absent) => {
            delegation::check_parties((&approver, absent), question.subject)?;
            let place = (approver.as_str(), absent.as_str());
            Some(delegation::between(place, trust, question.now)?.clone())
        }
    };
    Ok(VerifiedStatement { approver, issued, seconds, escalated, delegation, statement })
}

/// Seconds from the question to the time from which further people sign.
///
/// # Errors
/// The time is still to come: no person can have signed after it.
pub fn check_escalated(
    issued: Timestamp,
    since: Timestamp,
    now: Timestamp,
) -> Result<u64, ApprovalError> {
    if since.as_second() > now.as_second().saturating_add(limit::CLOCK_SECONDS) {
        return Err(ApprovalError::Early(since));
    }
    Ok(u64::try_from(since.duration_since(issued).as_secs()).unwrap_or(0))
}

/// Checks one signature by enrolled keys alone, for a reader who has no question. Says nothing of
/// time or policy.
///
/// # Errors
/// The statement has another form or schema, or no enrolled key made the signature as it has to.
pub fn verify_alone<'a>(
    signed: &SignedStatement,
    approvers: &'a [Approver],
) -> Result<(&'a Approver, Statement), ApprovalError> {
    let statement: Statement = json::strict_into(signed.statement.as_bytes())?;
    if json::canonical(&statement)? != signed.statement {
        return Err(ApprovalError::Other("spelling of the statement"));
    }
    let approver = signer::signer_in(NAMESPACE, &signed.statement, &signed.signature, approvers)?;
    if statement.schema == STATEMENT_SCHEMA {
        Ok((approver, statement))
    } else {
        Err(ApprovalError::Other("kind of statement"))
    }
}

/// True if an approval of a question of this time, up to that time, could count now. Gives the
/// seconds between the two, rounded up: a rule is not exceeded by a part of a second.
pub fn check_times(
    issued: Timestamp,
    expires: Timestamp,
    now: Timestamp,
) -> Result<u64, ApprovalError> {
    if expires <= now {
        return Err(ApprovalError::Expired(expires));
    }
    if issued.as_second() > now.as_second().saturating_add(limit::CLOCK_SECONDS) {
        return Err(ApprovalError::Early(issued));
    }
    let length = expires.duration_since(issued);
    let part = i64::from(length.subsec_nanos() > 0);
    // One that ends before it begins is for no time at all, and was found expired or early above.
    let seconds = u64::try_from(length.as_secs().saturating_add(part)).unwrap_or(0);
    if seconds > limit::APPROVAL_SECONDS_MOST {
        Err(ApprovalError::Long(seconds))
    } else {
        Ok(seconds)
    }
}

/// True if a signature of this enrolled person could count for a question: refused for those who
/// asked, and for those whom policy does not name so many seconds after the question.
pub fn check_signer(
    name: &str,
    (rule, seconds): (&ApprovalRule, u64),
    subject: &Subject,
    trust: &Trust,
) -> Result<(), ApprovalError> {
    check_party(name, subject, trust)?;
    check_named(name, rule, seconds)
}

fn check_party(name: &str, subject: &Subject, trust: &Trust) -> Result<(), ApprovalError> {
    let asked = is_party(name, subject, trust.self_approval);
    if asked { Err(ApprovalError::Party(name.to_owned())) } else { Ok(()) }
}

/// True if this person asked for the call, by name or through the agent. With `self_approval`, the
/// person for whom the agent works is not among those.
pub fn is_party(name: &str, subject: &Subject, self_approval: bool) -> bool {
    parties(subject, self_approval).iter().any(|party| same_person(party, name))
}

/// Policy names people exactly: a rule that is wide when it excludes a person would be loose when
/// it admits one.
fn check_named(name: &str, rule: &ApprovalRule, seconds: u64) -> Result<(), ApprovalError> {
    if rule.names(name, seconds) {
        return Ok(());
    }
    if let Some(later) = rule.escalate.as_ref().filter(|_| rule.names(name, u64::MAX)) {
        return Err(ApprovalError::NotYet { name: name.to_owned(), after: later.after_seconds });
    }
    Err(match rule.everyone().find(|named| same_person(named, name)) {
        Some(named) => ApprovalError::NamedOtherwise {
            name: name.to_owned(),
            named: crate::model::escape::line(named),
        },
        None => ApprovalError::NotNamed(name.to_owned()),
    })
}

/// The parties of a call, who may not approve it: the agent, the client and the subject of its
/// access token, its `act` chain, and the person it works for unless the trust file lets that person
/// approve.
fn parties(subject: &Subject, self_approval: bool) -> Vec<String> {
    let person = subject.properties.person.clone();
    let allowed = |party: &String| {
        self_approval && person.as_ref().is_some_and(|person| same_person(person, party))
    };
    // The first name is the client's: a client never approves, also if it has the person's name.
    let mut own = identities(&subject.id).into_iter();
    let client = own.next();
    std::iter::once(subject.id.clone())
        .chain(client)
        .chain(own.filter(|party| !allowed(party)))
        .chain(subject.properties.act.iter().cloned())
        .chain(person.clone().filter(|_| !self_approval))
        .collect()
}

/// The enrolled people who may sign a question of this subject before its end, each once, whatever
/// number of keys or spellings they have.
pub fn eligible<'a>(rule: &ApprovalRule, subject: &Subject, trust: &'a Trust) -> BTreeSet<&'a str> {
    let may = |name: &&str| check_signer(name, (rule, u64::MAX), subject, trust).is_ok();
    people(trust.approvers.iter().map(|approver| approver.name.as_str()).filter(may))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests;
