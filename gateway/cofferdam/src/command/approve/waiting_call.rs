//! A waiting call, checked and rendered by this command. Trusts only its stored bytes, after their
//! digests match.

use super::source::{Found, Source};
use super::status;
use crate::command::ssh::{self, Signer};
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::id::ShownDigest;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::statement::{STATEMENT_SCHEMA, Statement, Verdict};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::policy::approval::ApprovalError;
use cofferdam_core::policy::asked::check_asked;
use cofferdam_core::policy::delegation::{check_place, stands_for};
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
    /// The absent approver in whose place the person chose to sign.
    pub place: Option<String>,
    /// The absent approver in whose place the person may sign, in the words of the server.
    offered: Option<String>,
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
        let Found { job, trust, signers, stands_for } = found;
        // Parses plan and preview strictly and computes their digests. If they do not match,
        // nothing is shown or signed.
        let (shown, digest) =
            question(&job).context("it cannot be shown truthfully, so it is not signed")?;
        let own = trust.as_ref().map(|trust| (&trust.environment, trust.policy));
        check_asked(&job, own, now)?;
        let signers = trust.as_ref().map_or(signers, |trust| status::signers(&job, trust, now));
        Ok(Self { trust, job, digest, signers, place: None, offered: stands_for, shown })
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
        if let Some(absent) = &self.place {
            eprintln!("Your signature counts in the place of {}.", legible(absent));
        }
        eprintln!();
        Ok(())
    }

    /// The statement of this verdict over what this command shows, by this person, at this time.
    pub fn statement(
        &self,
        (verdict, reason): (Verdict, String),
        name: Option<&str>,
        now: Timestamp,
    ) -> Statement {
        let job = &self.job;
        let voice = self.place.as_deref().or(name);
        let escalated =
            job.approval.as_ref().and_then(|rule| rule.escalated(voice, job.created, now));
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
            escalated,
            stands_for: self.place.clone(),
            expires: job.expires,
        }
    }

    /// Refuses, before the text is shown, a person whose signature cannot count. Another machine
    /// does not know the enrolled keys; there the server has refused such a person already. A person
    /// signs in another's place only by their own word.
    pub fn check_signer(&self, signer: &Signer) -> Result<()> {
        let (Some(trust), Some(rule)) = (&self.trust, &self.job.approval) else {
            return match &self.offered {
                Some(absent) if self.place.is_none() => bail!(
                    "the server says that you may sign this in the place of `{0}`, by their \
                     delegation; if you want that, add `--for {0}`",
                    legible(absent)
                ),
                _ => Ok(()),
            };
        };
        let name = ssh::owner(&signer.public(), &trust.approvers).ok_or(ApprovalError::Unknown)?;
        let (subject, now) = (self.job.principal.subject(), Timestamp::now());
        let age = u64::try_from(now.duration_since(self.job.created).as_secs()).unwrap_or(0);
        let rule = (rule, age);
        if let Some(absent) = &self.place {
            return Ok(check_place((name, absent), rule, &subject, trust, now)?);
        }
        match stands_for(name, rule, &subject, (trust, now), &[])? {
            None => Ok(()),
            Some(absent) => bail!(
                "policy does not name `{name}`, and you may sign this in the place of `{absent}`, \
                 by their delegation; if you want that, add `--for {absent}`"
            ),
        }
    }

    /// The end of the question, in whole seconds.
    pub fn ends(&self) -> String {
        seconds(self.job.expires)
    }
}
