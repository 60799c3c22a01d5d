//! The requests of an approver from another machine, passed on by the gateway. The approver's right
//! is checked here, with the recorder's own trust file, and so is each signature. A call that the
//! person cannot approve gets the same answer as an unknown one.

use super::operate::not_waiting;
use super::{Recorder, misplaced_answer};
use crate::settings::{LONGEST_WAIT_MS, TrustNow};
use crate::store::change::{Change, Done};
use crate::store::{WaitingRow, summary};
use crate::waiters::locked;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::person::same_person;
use cofferdam_core::model::record::{APPROVER, Entry, Event};
use cofferdam_core::model::run::Phase;
use cofferdam_core::model::statement::SignedStatement;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::policy::approval::ApprovalError;
use cofferdam_core::policy::approvals::Approvals;
use cofferdam_core::policy::delegation::{absent, stands_for};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::approver::{
    ApproverAnswer, ApproverAsk, QUESTIONS, Question, SignaturesNow, WaitingQuestion,
};
use cofferdam_core::protocol::operator_recorder::Operated;
use cofferdam_core::text::shown_digest;
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Waiting calls whose rules are read for one list: a hundred agents with all their questions.
const RULES: u32 = 10_000;

/// Jobs that are read for one list, one at a time: those whose rule names the approver, and which
/// may still be the approver's own.
const JOBS: usize = 1_000;

impl Recorder {
    /// Handles a request of an approver.
    pub(super) async fn approver(
        &self,
        approver: &str,
        ask: ApproverAsk,
    ) -> Result<ApproverAnswer, RoleError> {
        let trust = self.trusted()?.trust;
        let word = ask.word();
        match ask {
            ApproverAsk::Waiting => {
                let (waiting, more) = self.waiting_for(approver, &trust).await?;
                Ok(ApproverAnswer::Waiting { waiting, more })
            }
            ApproverAsk::Question { call } => {
                let job = self.waiting(approver, &call, &trust).await?;
                self.note_read(approver, word, &call).await?;
                let now = self.now();
                let (signers, voices) = Approvals::count(&job, shown_digest(&job), &trust, now)
                    .map(|approvals| (approvals.signers(), approvals.approvers()))
                    .unwrap_or_default();
                let stands_for = voice(approver, &job, (&trust, now), &voices).ok().flatten();
                Ok(ApproverAnswer::Question(Box::new(Question { job, signers, stands_for })))
            }
            ApproverAsk::Preview { call } => {
                self.waiting(approver, &call, &trust).await?;
                self.note_read(approver, word, &call).await?;
                Ok(ApproverAnswer::Previewed(self.inner.shared.looks.ask(&call).await))
            }
            ApproverAsk::Sign { call, signed } => {
                self.waiting(approver, &call, &trust).await?;
                self.sign_as(approver, call, signed).await
            }
            ApproverAsk::Follow { call, wait_ms } => {
                self.asked_of(approver, &call, &trust).await?;
                let Operated::Followed { phase, outcome, detail, meanwhile } =
                    self.follow(&call, wait_ms).await?
                else {
                    return Err(misplaced_answer());
                };
                Ok(ApproverAnswer::Followed { phase, outcome, detail, meanwhile })
            }
            ApproverAsk::Watch { call, known, wait_ms } => {
                let now = self.signatures(approver, &call, known, wait_ms).await?;
                Ok(ApproverAnswer::Signatures(now))
            }
        }
    }

    /// The waiting calls for this person, and whether there may be more. Each job is read after its
    /// rule named the person, and dropped before the next one.
    pub(super) async fn waiting_for(
        &self,
        approver: &str,
        trust: &Trust,
    ) -> Result<(Vec<WaitingQuestion>, bool), RoleError> {
        let rows = self.inner.reader.waiting(RULES).await?;
        let unread = rows.len() >= usize::try_from(RULES).unwrap_or(usize::MAX);
        let now = self.now();
        let mut names = absent(approver, trust, now);
        names.push(approver.to_owned());
        let named = |row: &WaitingRow| names.iter().any(|name| row.rule.names(name, u64::MAX));
        let (mut waiting, mut read) = (Vec::new(), 0);
        for WaitingRow { call, .. } in rows.into_iter().filter(named) {
            if waiting.len() >= QUESTIONS || read >= JOBS {
                return Ok((waiting, true));
            }
            read += 1;
            let found = self.inner.reader.job(&call).await?;
            let own = found.filter(|(job, phase)| {
                *phase == Phase::AwaitingApproval && may_sign(approver, job, (trust, now))
            });
            waiting.extend(own.map(|(job, _)| listed(job)));
        }
        Ok((waiting, unread))
    }

    /// The trust file as it is now.
    pub(super) fn trusted(&self) -> Result<TrustNow, RoleError> {
        (self.inner.settings.trust)()
            .map_err(|error| RoleError::Unavailable(format!("the trust file: {error}")))
    }

    /// The job of a call that this person may sign, or could have signed.
    async fn asked_of(
        &self,
        approver: &str,
        call: &CallId,
        trust: &Trust,
    ) -> Result<(StoredJob, Phase), RoleError> {
        let found = self.inner.reader.job(call).await?;
        let now = self.now();
        found.filter(|(job, _)| may_sign(approver, job, (trust, now))).ok_or_else(|| {
            RoleError::NotFound(format!(
                "no call `{call}` is for your signature; `cofferdam approve --server URL` lists \
                 those that are"
            ))
        })
    }

    /// The same, while the call waits.
    async fn waiting(
        &self,
        approver: &str,
        call: &CallId,
        trust: &Trust,
    ) -> Result<StoredJob, RoleError> {
        match self.asked_of(approver, call, trust).await? {
            (job, Phase::AwaitingApproval) if job.permit.is_none() => Ok(job),
            // It has its signatures, and is decided once more.
            (_, Phase::AwaitingApproval) => {
                Err(RoleError::Refused(not_waiting(call, Phase::Queued)))
            }
            (_, phase) => Err(RoleError::Refused(not_waiting(call, phase))),
        }
    }

    /// Waits until other people than `known` signed, the question waits no more, or the wait is
    /// over. A key that is removed meanwhile ends the right to look.
    async fn signatures(
        &self,
        approver: &str,
        call: &CallId,
        known: u32,
        wait_ms: u64,
    ) -> Result<SignaturesNow, RoleError> {
        let until = Instant::now() + Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS));
        let mut changes = self.inner.shared.changes(call);
        loop {
            let trust = self.trusted()?.trust;
            let (job, phase) = self.asked_of(approver, call, &trust).await?;
            let waits = phase == Phase::AwaitingApproval && job.permit.is_none();
            let signers = counting(&job, &trust, self.now());
            let count = u32::try_from(signers.len()).unwrap_or(u32::MAX);
            let quorum = job.approval.as_ref().map_or(0, |rule| rule.quorum);
            let missing = if waits { quorum.saturating_sub(count) } else { 0 };
            if !waits || count != known || timeout_at(until, changes.changed()).await.is_err() {
                return Ok(SignaturesNow { signers, missing, waits });
            }
        }
    }

    /// Takes a signature, and records the request together with it. It has to be the signature of the person who signed in: a person hands in
    /// no signature of another one.
    async fn sign_as(
        &self,
        approver: &str,
        call: CallId,
        signed: SignedStatement,
    ) -> Result<ApproverAnswer, RoleError> {
        let signature = self.checked(call.clone(), signed, approver.to_owned()).await?;
        let signer = signature.approver.clone();
        if !same_person(&signer, approver) {
            return Err(RoleError::Refused(format!(
                "the signature is of `{signer}`, and `{approver}` signed in; each person hands in \
                 their own"
            )));
        }
        self.note_approver(approver, "sign", &call).await?;
        match self.submit(Change::Sign(Box::new(signature))).await? {
            Done::Signed(missing) => Ok(ApproverAnswer::Signed { approver: signer, missing }),
            _ => Err(misplaced_answer()),
        }
    }

    /// Records the first read of a call by this person, and again after an hour: a person who reads
    /// often fills no ledger. Without room for an entry, nothing is read.
    async fn note_read(
        &self,
        approver: &str,
        word: &'static str,
        call: &CallId,
    ) -> Result<(), RoleError> {
        self.check_room()?;
        let (reads, now_ms) = (&self.inner.shared.reads, self.now().as_millisecond());
        if locked(reads).is_known(approver, word, Some(call), now_ms) {
            return Ok(());
        }
        self.note_approver(approver, word, call).await?;
        locked(reads).add(approver, word, Some(call), now_ms);
        Ok(())
    }

    /// Records a request that reads payloads or changes state. The list and the progress are not
    /// recorded: they would fill a quiet ledger.
    async fn note_approver(
        &self,
        approver: &str,
        word: &str,
        call: &CallId,
    ) -> Result<(), RoleError> {
        let event =
            Event::Administered { what: format!("{APPROVER}{word}"), by: approver.to_owned() };
        let of = (word == "sign").then(|| call.clone());
        let request = json!({ "ask": word, "call": call });
        let entry = Entry::of(event, of, "").with("request", request.to_string());
        self.submit(Change::End(entry.into())).await.map(drop)
    }
}

/// The people whose stored approvals count for this question by this trust file, sorted. The others
/// lost their key or their right since.
pub(super) fn counting(job: &StoredJob, trust: &Trust, now: Timestamp) -> Vec<String> {
    Approvals::count(job, shown_digest(job), trust, now)
        .map(|approvals| approvals.signers())
        .unwrap_or_default()
}

/// True if this enrolled person is one of those whom the question of this job is for at this time.
pub(super) fn may_sign(approver: &str, job: &StoredJob, (trust, now): (&Trust, Timestamp)) -> bool {
    trust.approvers.iter().any(|known| known.name == approver)
        && job.environment == trust.environment
        && voice(approver, job, (trust, now), &[]).is_ok()
}

/// The person in whose place this person signs the question of a job; `None` for themselves. Of
/// several, one whose voice is not there yet.
fn voice(
    approver: &str,
    job: &StoredJob,
    (trust, now): (&Trust, Timestamp),
    voices: &[String],
) -> Result<Option<String>, ApprovalError> {
    let not_named = || ApprovalError::NotNamed(approver.to_owned());
    let rule = job.approval.as_ref().ok_or_else(not_named)?;
    let age = u64::try_from(now.duration_since(job.created).as_secs()).unwrap_or(0);
    let subject = job.principal.subject();
    stands_for(approver, (rule, age), &subject, (trust, now), voices)
}

/// A question in a list.
pub(super) fn listed(job: StoredJob) -> WaitingQuestion {
    WaitingQuestion {
        summary: summary(&job.plan),
        call: job.call,
        tool: job.tool,
        agent: job.principal.name,
        person: job.principal.person,
        asked: job.created,
        expires: job.expires,
        approval: job.approval,
    }
}
