//! A question before a person signs it: its times, its own rule, its environment and policy, and
//! that its preview is about its plan. Command and page use the same check. Compares no
//! digest: the text of the question does.

use super::approval::{ApprovalError, check_times};
use crate::model::document::Document;
use crate::model::escape::legible;
use crate::model::facts::facts_of;
use crate::model::id::PolicyDigest;
use crate::model::job::StoredJob;
use crate::model::json;
use crate::model::preview::Preview;
use crate::model::reason::ApprovalRule;
use crate::model::trust::Environment;
use jiff::Timestamp;

/// A question that no person should sign.
#[derive(Debug, thiserror::Error)]
pub enum AskedError {
    /// Its times are not valid.
    #[error("it is not signed: {0}")]
    Times(ApprovalError),
    /// It has no rule.
    #[error("it does not say whose signatures it needs; it is not signed")]
    NoRule,
    /// It would be open longer than its rule says.
    #[error(
        "an approval of it would be good for {seconds} seconds, and its own rule says {most}; it is \
         not signed, and the recorder has to be looked at"
    )]
    Long {
        /// The seconds from the question to its end.
        seconds: u64,
        /// The seconds of the rule.
        most: u64,
    },
    /// The plan or the preview cannot be read.
    #[error("its plan or preview is not readable: {0}; it is not signed")]
    Unreadable(String),
    /// An operation has no preview, or two.
    #[error("operation {0} has no preview of its own; it is not signed")]
    NoPreview(u32),
    /// The preview of an operation is about another object.
    #[error("operation {0} is about {1}, its preview about another object; it is not signed")]
    OtherObject(u32, String),
    /// The preview has an operation that the plan does not have.
    #[error("the preview tells of an operation {0} that the plan does not have; it is not signed")]
    Stray(u32),
    /// It is about another environment.
    #[error(
        "this is about the environment `{0}`, not `{1}` of the trust file here; it is not signed"
    )]
    Environment(String, String),
    /// It was asked under another policy.
    #[error("the policy changed since it was asked; the agent has to ask again")]
    Policy,
}

/// Checks a question by the reader's own environment and policy, where the reader has them.
///
/// # Errors
/// The first condition that does not hold.
pub fn check_asked(
    job: &StoredJob,
    own: Option<(&Environment, PolicyDigest)>,
    now: Timestamp,
) -> Result<(), AskedError> {
    check_end(job.created, job.expires, job.approval.as_ref(), now)?;
    let unreadable = |error: &dyn std::fmt::Display| AskedError::Unreadable(error.to_string());
    let (plan, _) = Document::read(&job.plan).map_err(|error| unreadable(&error))?;
    let preview: Preview =
        json::strict_into(job.preview.as_bytes()).map_err(|error| unreadable(&error))?;
    about_the_plan(&plan, &preview)?;
    let Some((environment, policy)) = own else { return Ok(()) };
    if job.environment != *environment {
        let [asked, own] = [&job.environment, environment].map(|one| legible(&one.name));
        return Err(AskedError::Environment(asked, own));
    }
    if job.policy == policy { Ok(()) } else { Err(AskedError::Policy) }
}

/// Refuses a question that would be open longer than its signed text says, or longer than the limit
/// for every question.
fn check_end(
    asked: Timestamp,
    expires: Timestamp,
    rule: Option<&ApprovalRule>,
    now: Timestamp,
) -> Result<(), AskedError> {
    let seconds = check_times(asked, expires, now).map_err(AskedError::Times)?;
    let most = rule.ok_or(AskedError::NoRule)?.expires_seconds;
    if seconds > most { Err(AskedError::Long { seconds, most }) } else { Ok(()) }
}

/// Refuses a preview of other objects than those of the plan, or without one of them: the person
/// would sign an unseen change.
fn about_the_plan(plan: &Document, preview: &Preview) -> Result<(), AskedError> {
    let facts =
        facts_of(&plan.operations).map_err(|error| AskedError::Unreadable(error.to_string()))?;
    for fact in facts.iter().filter(|fact| !fact.namespace.is_empty()) {
        let mut seen = preview.operations.iter().filter(|seen| seen.index == fact.index);
        let (Some(one), None) = (seen.next(), seen.next()) else {
            return Err(AskedError::NoPreview(fact.index));
        };
        let target = &one.target;
        let same = (&target.group, &target.version, &target.kind, &target.namespace, &target.name)
            == (&fact.group, &fact.version, &fact.kind, &fact.namespace, &fact.name);
        if !same {
            let object = format!("{} {}", fact.kind, legible(&fact.name));
            return Err(AskedError::OtherObject(fact.index, object));
        }
    }
    let stray =
        preview.operations.iter().find(|seen| !facts.iter().any(|fact| fact.index == seen.index));
    stray.map_or(Ok(()), |stray| Err(AskedError::Stray(stray.index)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{noon, trust, waiting};

    #[test]
    fn a_question_that_would_last_too_long_is_not_signed() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let rule = |seconds| ApprovalRule::of(1, vec!["*".to_owned()], seconds);
        let check = |asked: &str, expires: &str, seconds, expect: &str| {
            let told =
                check_end(at(asked), at(expires), Some(&rule(seconds)), at("2026-11-23T12:00:00Z"));
            let told = told.map_or_else(|error| error.to_string(), |()| "good".to_owned());
            assert!(told.contains(expect), "{asked} {expires} {seconds}: {told}");
        };
        let (asked, week) = ("2026-11-23T11:59:00Z", 7 * 24 * 3_600);
        check(asked, "2026-11-23T12:59:00Z", 3_600, "good");
        check(asked, "2026-11-30T11:59:00Z", week, "good");
        check(asked, "2026-11-23T12:59:00.5Z", 3_600, "its own rule says 3600");
        check(asked, "2026-11-30T11:59:01Z", 2 * week, "at most 604800 are allowed");
        check(asked, "9999-01-01T00:00:00Z", u64::MAX, "at most 604800 are allowed");
        check(asked, "2026-11-23T12:00:00Z", 60, "expired at");
        check("2026-11-23T12:05:00Z", "2026-11-23T12:10:00Z", 3_600, "compare the clocks");
        assert!(
            check_end(at(asked), at("2026-11-23T12:59:00Z"), None, at("2026-11-23T12:00:00Z"))
                .is_err()
        );
    }

    #[test]
    fn a_question_is_about_its_own_plan_and_for_this_environment_and_policy() {
        let (job, trust) = (waiting(), trust());
        let own = Some((&trust.environment, job.policy));
        let judged = |job: &StoredJob| {
            check_asked(job, own, noon()).map_or_else(|error| error.to_string(), |()| "good".into())
        };
        assert_eq!(judged(&job), "good");
        let with = |change: &dyn Fn(&mut Preview)| {
            let mut preview: Preview = json::strict_into(job.preview.as_bytes()).unwrap();
            change(&mut preview);
            let (text, digest) = preview.seal().unwrap();
            StoredJob { preview: text, preview_digest: digest, ..job.clone() }
        };
        let mut elsewhere = job.clone();
        elsewhere.environment.name = "other".to_owned();
        let policy = PolicyDigest::of(b"another policy");
        for (changed, expect) in [
            (with(&|preview| preview.operations.clear()), "no preview of its own"),
            (with(&|preview| preview.operations[0].target.name = "other".into()), "another object"),
            (
                with(&|preview| {
                    let mut stray = preview.operations[0].clone();
                    stray.index += 90;
                    preview.operations.push(stray);
                }),
                "that the plan does not have",
            ),
            (elsewhere, "about the environment `other`"),
            (StoredJob { policy, ..job.clone() }, "the policy changed"),
        ] {
            let told = judged(&changed);
            assert!(told.contains(expect), "{expect}: {told}");
        }
        assert!(check_asked(&StoredJob { policy, ..job.clone() }, None, noon()).is_ok());
    }
}
