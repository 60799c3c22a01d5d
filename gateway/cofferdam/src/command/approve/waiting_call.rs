//! A waiting call, checked and rendered by this command. Trusts only its stored bytes, after their
//! digests match.

use super::source::{Found, Source};
use super::status;
use crate::command::ssh::{self, Signer};
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::document::Document;
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::facts::facts_of;
use cofferdam_core::model::id::ShownDigest;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::json;
use cofferdam_core::model::preview::Preview;
use cofferdam_core::model::reason::ApprovalRule;
use cofferdam_core::model::statement::{STATEMENT_SCHEMA, Statement, Verdict};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::policy::approval::{ApprovalError, check_signer, check_times};
use cofferdam_core::text::seconds;
use cofferdam_core::text::{in_full, question};
use jiff::Timestamp;

/// A call that waits for a person, checked and rendered.
pub struct WaitingCall {
    /// The trust file that the roles use; `None` on another machine.
    pub trust: Option<Trust>,
    /// The job of the call.
    pub job: StoredJob,
    /// The digest of the shown text.
    pub digest: ShownDigest,
    /// The people who approved so far.
    pub signers: Vec<String>,
    shown: String,
}

impl WaitingCall {
    /// Gets the call from its place, and checks and renders it.
    pub fn find(source: &Source<'_>, id: &str) -> Result<Self> {
        Self::check(source.find(id)?, Timestamp::now())
    }

    /// Checks and renders a call. Without a trust file, environment and policy are what the text
    /// says; the gateway, the recorder and the runner compare them with their own.
    pub fn check(found: Found, now: Timestamp) -> Result<Self> {
        let Found { job, trust, signers } = found;
        check_end(job.created, job.expires, job.approval.as_ref(), now)?;
        // Parses plan and preview strictly and computes their digests. If they do not match,
        // nothing is shown or signed.
        let (shown, digest) =
            question(&job).context("it cannot be shown truthfully, so it is not signed")?;
        let (plan, _) = Document::read(&job.plan)?;
        let preview: Preview = json::strict_into(job.preview.as_bytes())?;
        about_the_plan(&plan, &preview)?;
        let signers = trust.as_ref().map_or(signers, |trust| status::signers(&job, trust));
        if let Some(trust) = &trust {
            if job.environment != trust.environment {
                bail!(
                    "this is about the environment `{}`, not `{}` of your trust file; it is not \
                     signed",
                    legible(&job.environment.name),
                    legible(&trust.environment.name)
                );
            }
            if job.policy != trust.policy {
                bail!("the policy changed since it was asked; the agent has to ask again");
            }
        }
        Ok(Self { trust, job, digest, signers, shown })
    }

    /// Prints the text that is signed; before it, with `full`, every value; after it, the facts
    /// that are not signed.
    pub fn show(&self, source: Option<&Source<'_>>, full: bool) -> Result<()> {
        if full {
            let lines = in_full(&self.job).context("its plan or preview is not readable")?;
            eprintln!("In full; the text that is signed follows, and is made of the same:\n");
            lines.iter().for_each(|line| eprintln!("  {line}"));
            eprintln!();
        }
        eprintln!("{}", self.shown);
        status::lines(source, self, Timestamp::now()).iter().for_each(|line| eprintln!("{line}"));
        eprintln!();
        Ok(())
    }

    /// The statement of this verdict over what this command shows.
    pub fn statement(&self, verdict: Verdict, reason: String) -> Statement {
        let job = &self.job;
        Statement {
            schema: STATEMENT_SCHEMA.to_owned(),
            call: job.call.clone(),
            verdict,
            reason,
            plan: job.plan_digest,
            preview: job.preview_digest,
            shown: self.digest,
            subject: job.principal.subject(),
            environment: job.environment.clone(),
            policy: job.policy,
            nonce: job.nonce.clone(),
            // Not the time of the signature: a signature from elsewhere needs the same statement
            // again.
            issued: Some(job.created),
            expires: job.expires,
        }
    }

    /// Refuses, before the text is shown, a person whose signature cannot count. Another machine
    /// does not know the enrolled keys; there the server has refused such a person already.
    pub fn check_signer(&self, signer: &Signer) -> Result<()> {
        let Some(trust) = &self.trust else { return Ok(()) };
        let name = ssh::owner(&signer.public(), &trust.approvers).ok_or(ApprovalError::Unknown)?;
        let named =
            self.job.approval.as_ref().map(|rule| rule.approvers.as_slice()).unwrap_or_default();
        Ok(check_signer(name, named, &self.job.principal.subject(), trust)?)
    }

    /// The end of the question, in whole seconds.
    pub fn ends(&self) -> String {
        seconds(self.job.expires)
    }
}

/// Refuses a question that would be open longer than its signed text says, or longer than the limit
/// for every question.
fn check_end(
    asked: Timestamp,
    expires: Timestamp,
    rule: Option<&ApprovalRule>,
    now: Timestamp,
) -> Result<()> {
    let seconds = check_times(asked, expires, now).context("it is not signed")?;
    let Some(rule) = rule else {
        bail!("it does not say whose signatures it needs; it is not signed")
    };
    if seconds > rule.expires_seconds {
        bail!(
            "an approval of it would be good for {seconds} seconds, and its own rule says {}; it \
             is not signed, and the recorder has to be looked at",
            rule.expires_seconds
        );
    }
    Ok(())
}

/// Refuses a preview of other objects than those of the plan, or without one of them: the person
/// would sign an unseen change.
fn about_the_plan(plan: &Document, preview: &Preview) -> Result<()> {
    let facts = facts_of(&plan.operations)?;
    for fact in facts.iter().filter(|fact| !fact.namespace.is_empty()) {
        let seen =
            preview.operations.iter().filter(|seen| seen.index == fact.index).collect::<Vec<_>>();
        let [seen] = seen.as_slice() else {
            bail!("operation {} has no preview of its own; it is not signed", fact.index)
        };
        let target = &seen.target;
        let same = (&target.group, &target.version, &target.kind, &target.namespace, &target.name)
            == (&fact.group, &fact.version, &fact.kind, &fact.namespace, &fact.name);
        if !same {
            bail!(
                "operation {} is about {} {}, its preview about another object; it is not signed",
                fact.index,
                fact.kind,
                legible(&fact.name)
            );
        }
    }
    if let Some(stray) =
        preview.operations.iter().find(|seen| !facts.iter().any(|fact| fact.index == seen.index))
    {
        bail!(
            "the preview tells of an operation {} that the plan does not have; it is not signed",
            stray.index
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_would_last_too_long_is_not_signed() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let rule = |seconds| ApprovalRule {
            quorum: 1,
            approvers: vec!["*".to_owned()],
            expires_seconds: seconds,
        };
        let check = |asked: &str, expires: &str, seconds, expect: &str| {
            let told =
                check_end(at(asked), at(expires), Some(&rule(seconds)), at("2026-11-23T12:00:00Z"));
            let told = told.map_or_else(|error| format!("{error:#}"), |()| "good".to_owned());
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
}
