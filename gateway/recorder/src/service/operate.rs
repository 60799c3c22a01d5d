//! The requests of operator commands. A request that changes state or reads payloads becomes a
//! ledger entry. A person's signature is checked here, with the recorder's own trust file.

use super::calls::{Wanted, checked, filter_text};
use super::{Recorder, misplaced_answer};
use crate::settings::LONGEST_WAIT_MS;
use crate::store::change::{Change, Done, Signature};
use crate::waiters::locked;
use cofferdam_core::model::call_filter::CallFilter;
use cofferdam_core::model::escape::unseen;
use cofferdam_core::model::id::{CallId, StatementDigest};
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::limit::PURPOSE;
use cofferdam_core::model::record::{Entry, Event, OPERATOR};
use cofferdam_core::model::retention::Retained;
use cofferdam_core::model::run::Phase;
use cofferdam_core::model::statement::{Statement, Verdict};
use cofferdam_core::policy::approval::{ApprovalError, Question, check_signer, verify};
use cofferdam_core::policy::approvals::Approvals;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::Proposed;
use cofferdam_core::protocol::operator_recorder::{Notice, Operate, Operated, RetentionState};
use cofferdam_core::text::question;
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The most jobs in one response.
const JOBS: u32 = 1_000;

/// The time limit of a reload: every component of a large set is compiled.
const RELOAD: Duration = Duration::from_secs(240);

/// The fewest characters of a call id's beginning: fewer are rarely unique.
const BEGINNING: usize = 4;

/// The command that lists calls.
const AUDIT: &str = "audit";

/// Checks the beginning of a call id.
fn beginning(call: &str) -> Result<(), RoleError> {
    let valid = (BEGINNING..=CallId::LENGTH).contains(&call.len())
        && call.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if valid {
        Ok(())
    } else {
        Err(RoleError::Refused(format!(
            "`{call}` names no call: give a call id, or at least its first {BEGINNING} characters"
        )))
    }
}

/// The reason why a call cannot be signed.
pub(super) fn not_waiting(call: &CallId, phase: Phase) -> String {
    match phase {
        Phase::Closed => format!("the call `{call}` is closed already; it can no longer be signed"),
        phase => format!(
            "the call `{call}` waits for no signature any more: it is {}",
            phase.word().replace('_', " ")
        ),
    }
}

impl Recorder {
    /// Handles a request of an operator command of this operating-system user.
    pub async fn operate(&self, uid: u32, operate: Operate) -> Result<Operated, RoleError> {
        let by = uid.to_string();
        self.note_use(&by, &operate).await?;
        match operate {
            Operate::Jobs { waiting, limit, before } => {
                before.as_deref().map_or(Ok(()), beginning)?;
                Ok(Operated::Jobs {
                    jobs: self
                        .inner
                        .reader
                        .jobs(waiting, limit.min(JOBS), before.as_deref())
                        .await?,
                })
            }
            Operate::Calls { filter, before, limit } => {
                checked(&filter).map_err(RoleError::Refused)?;
                let wanted = Wanted { filter: &filter, signer: None };
                Ok(Operated::Calls(self.call_page(wanted, before.as_ref(), limit).await?))
            }
            Operate::CallChanges { filter, beyond, wait_ms } => {
                checked(&filter).map_err(RoleError::Refused)?;
                let wanted = Wanted { filter: &filter, signer: None };
                Ok(Operated::CallChanges(self.call_changes(wanted, beyond, wait_ms).await?))
            }
            Operate::Show { call } => {
                beginning(&call)?;
                let story = self.inner.reader.story(&call).await?;
                Ok(Operated::Story {
                    call: story.call,
                    job: story.job.map(Box::new),
                    view: story.view.map(Box::new),
                    entries: story.entries,
                    removed: story.removed,
                })
            }
            Operate::Sign { call, signed } => {
                let signature = self.checked(call, signed, by).await?;
                let approver = signature.approver.clone();
                match self.submit(Change::Sign(Box::new(signature))).await? {
                    Done::Signed(missing) => Ok(Operated::Signed { approver, missing }),
                    _ => Err(misplaced_answer()),
                }
            }
            operate @ (Operate::Invite { .. }
            | Operate::Invitations
            | Operate::EndInvitation { .. }) => self.invitations(operate, by).await,
            Operate::Preview { call } => {
                self.question(&call).await?;
                Ok(Operated::Previewed(self.inner.shared.looks.ask(&call).await))
            }
            Operate::Follow { call, wait_ms } => self.follow(&call, wait_ms).await,
            Operate::Callers => Ok(Operated::Callers {
                served: self.inner.reader.served().await?,
                ended: self.inner.reader.ended_tokens().await?,
            }),
            Operate::Status => self.status().await,
            Operate::Reload => self.reload().await,
            Operate::Resolve { call, found, because } => {
                if !(1..=PURPOSE).contains(&because.chars().count()) || unseen(&because).is_some() {
                    return Err(RoleError::Refused(format!(
                        "give your evidence in 1 to {PURPOSE} visible characters; the agent \
                         reads it"
                    )));
                }
                self.submit(Change::Resolve { call, found, because, by }).await?;
                Ok(Operated::Done)
            }
            Operate::Stop { calls, because } => self.stop(calls, because, by, OPERATOR).await,
            Operate::LiftStop { calls } => self.lift_stop(calls, by, OPERATOR).await,
            Operate::Stops => self.stops(0).await,
            Operate::TestReceiver { receiver } => {
                Ok(Operated::Tested { error: self.test_receiver(receiver).await? })
            }
            Operate::Approvals { from, end } => {
                let (payloads, next) = self.inner.reader.approval_payloads(from, end).await?;
                Ok(Operated::Approvals { payloads, next })
            }
            Operate::Erase { call } => {
                self.submit(Change::Erase { call, by }).await?;
                Ok(Operated::Done)
            }
        }
    }

    /// Records a request that changes state or reads payloads, whatever its result. Reading states
    /// (`jobs`, `status`, progress of a job) is not recorded: it would fill a quiet ledger, and
    /// must work with a full disk.
    async fn note_use(&self, by: &str, operate: &Operate) -> Result<(), RoleError> {
        let (command, request, call) = match operate {
            Operate::Jobs { .. }
            | Operate::Follow { .. }
            | Operate::Callers
            | Operate::Status
            | Operate::Stops
            | Operate::Invitations => return Ok(()),
            // One entry for each filter within an hour, whatever the number of pages.
            Operate::Calls { filter, .. } | Operate::CallChanges { filter, .. }
                if self.knows_audit(by, filter) =>
            {
                return Ok(());
            }
            // Their own entries say more.
            Operate::Invite { .. }
            | Operate::EndInvitation { .. }
            | Operate::Stop { .. }
            | Operate::LiftStop { .. } => return Ok(()),
            Operate::Calls { filter, .. } | Operate::CallChanges { filter, .. } => {
                (AUDIT, json!({ "ask": AUDIT, "filter": filter }), None)
            }
            Operate::Show { call } => ("show", json!({ "ask": "show", "call": call }), None),
            Operate::Preview { call } => ("look", json!({ "ask": "look", "call": call }), None),
            Operate::Sign { call, .. } => ("sign", json!({ "ask": "sign" }), Some(call)),
            Operate::Resolve { call, .. } => ("resolve", json!({ "ask": "resolve" }), Some(call)),
            Operate::TestReceiver { receiver } => {
                ("notify", json!({ "ask": "notify", "receiver": receiver }), None)
            }
            Operate::Approvals { from, end } => {
                ("export", json!({ "ask": "export", "from": from, "end": end }), None)
            }
            Operate::Erase { call } => ("erase", json!({ "ask": "erase", "call": call }), None),
            Operate::Reload => ("reload", json!({ "ask": "reload" }), None),
        };
        // A signature for an unknown call must not add an entry under its id.
        let call = match call {
            Some(call) => self.inner.reader.job(call).await?.is_some().then(|| call.clone()),
            None => None,
        };
        let event = Event::Administered { what: format!("{OPERATOR}{command}"), by: by.to_owned() };
        let entry = Entry::of(event, call, "").with("request", request.to_string());
        self.submit(Change::End(entry.into())).await?;
        if let Operate::Calls { filter, .. } | Operate::CallChanges { filter, .. } = operate {
            let (word, now_ms) = (format!("{AUDIT} {}", filter_text(filter)), self.now());
            locked(&self.inner.shared.reads).add(by, &word, None, now_ms.as_millisecond());
        }
        Ok(())
    }

    /// True if this list for this user is in the ledger already, within the last hour.
    fn knows_audit(&self, by: &str, filter: &CallFilter) -> bool {
        let (word, now_ms) = (format!("{AUDIT} {}", filter_text(filter)), self.now());
        locked(&self.inner.shared.reads).is_known(by, &word, None, now_ms.as_millisecond())
    }

    /// The job of a question to people.
    async fn question(&self, call: &CallId) -> Result<StoredJob, RoleError> {
        let absent = || RoleError::NotFound(format!("no call `{call}`"));
        match self.inner.reader.job(call).await?.ok_or_else(absent)? {
            (job, Phase::AwaitingApproval) => Ok(job),
            (_, phase) => Err(RoleError::Refused(not_waiting(call, phase))),
        }
    }

    /// Checks a signature: it is for exactly this question, and the recorder's trust file has the
    /// person's key.
    pub(super) async fn checked(
        &self,
        call: CallId,
        signed: cofferdam_core::model::statement::SignedStatement,
        by: String,
    ) -> Result<Signature, RoleError> {
        let refused = |error: ApprovalError| RoleError::Refused(error.to_string());
        let job = self.question(&call).await?;
        let now = (self.inner.settings.trust)()
            .map_err(|error| RoleError::Unavailable(format!("the trust file: {error}")))?;
        if job.environment != now.trust.environment {
            return Err(refused(ApprovalError::Other("environment")));
        }
        let asked = Question {
            call: &call,
            plan: job.plan_digest,
            preview: job.preview_digest,
            subject: &job.principal.subject(),
            environment: &job.environment,
            policy: job.policy,
            now: self.now(),
        };
        let verified = verify(&signed, &asked, &now.trust).map_err(refused)?;
        let approver = verified.approver().to_owned();
        let Statement { nonce, expires, verdict, reason, shown, escalated, .. } =
            verified.statement();
        // The text as the recorder renders it: a signature over another text does not count.
        let (_, ours) = question(&job).map_err(|error| RoleError::Refused(error.to_string()))?;
        if *shown != ours {
            return Err(refused(ApprovalError::Other("text than the one that is shown")));
        }
        if *nonce != job.nonce {
            return Err(refused(ApprovalError::Other("question")));
        }
        if *expires != job.expires {
            return Err(refused(ApprovalError::Other("expiry")));
        }
        let rule =
            job.approval.as_ref().ok_or_else(|| refused(ApprovalError::Other("question")))?;
        // The statement names the time that the recorder itself knows, or none.
        if let Some(since) = *escalated {
            if rule.escalates(job.created) != Some(since) {
                return Err(refused(ApprovalError::Other("time of escalation")));
            }
            if since > self.now() {
                return Err(refused(ApprovalError::Early(since)));
            }
        }
        let rule = (rule, verified.escalated_seconds());
        // The rule names the person in whose place the approver signed.
        let voice = verified.voice().to_owned();
        check_signer(&voice, rule, &job.principal.subject(), &now.trust).map_err(refused)?;
        let delegation = verified.delegation().cloned();
        let (verdict, reason): (Verdict, String) = (*verdict, reason.clone());
        let digest = StatementDigest::of(signed.statement.as_bytes());
        // A stored approval whose key or right was removed since: its person may sign again.
        let void = Approvals::count(&job, Some(ours), &now.trust, self.now())
            .map(|approvals| approvals.void().to_vec())
            .unwrap_or_default();
        let trust = now.digest;
        Ok(Signature {
            call,
            approver,
            voice,
            delegation,
            verdict,
            reason,
            digest,
            signed,
            void,
            trust,
            by,
        })
    }

    /// Waits for a job; returns phase and outcome without payloads.
    pub(super) async fn follow(&self, call: &CallId, wait_ms: u64) -> Result<Operated, RoleError> {
        let until = Instant::now() + Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS));
        let mut changes = self.inner.shared.changes(call);
        let (job, _) = self
            .inner
            .reader
            .job(call)
            .await?
            .ok_or_else(|| RoleError::NotFound(format!("no call `{call}`")))?;
        loop {
            let view = self.inner.reader.view(call, &job.principal.name).await?;
            if view.outcome.is_some() || timeout_at(until, changes.changed()).await.is_err() {
                let (phase, outcome, detail, meanwhile) =
                    (view.phase, view.outcome, view.detail, view.meanwhile);
                return Ok(Operated::Followed { phase, outcome, detail, meanwhile });
            }
        }
    }

    /// Asks the supervisor for a reload, and waits for its end.
    async fn reload(&self) -> Result<Operated, RoleError> {
        let shared = &self.inner.shared;
        let until = Instant::now() + RELOAD;
        let mut noticed = shared.noticed.subscribe();
        // Greater than every number of a recorder before this one.
        let request = {
            let now = u64::try_from(self.now().as_millisecond()).unwrap_or_default();
            let mut last = locked(&shared.reload);
            *last = now.max(last.saturating_add(1));
            *last
        };
        (self.inner.settings.reload)(request);
        loop {
            let Notice { loaded, reload, .. } = locked(&shared.notice).clone();
            if let (Some(loaded), Some(reload)) = (loaded, reload)
                && reload.request >= request
            {
                return Ok(Operated::Reloaded { loaded, refused: reload.refused });
            }
            if timeout_at(until, noticed.changed()).await.is_err() {
                return Err(RoleError::Unavailable(
                    "the reload has not ended yet; `cofferdam status` shows what is loaded"
                        .to_owned(),
                ));
            }
        }
    }

    /// The state of retention. An unreadable store is reported elsewhere, with its cause.
    async fn retention(&self) -> Vec<RetentionState> {
        let removed = self.inner.reader.removed().await.unwrap_or_default();
        let next = *locked(&self.inner.shared.retain_at);
        let next = Timestamp::from_millisecond(next.max(self.now().as_millisecond())).ok();
        let state = |what| {
            let seconds = self.inner.settings.retention.seconds(what);
            let (count, newest) =
                removed.get(&what).map_or((0, None), |(count, at)| (*count, Some(*at)));
            let next = seconds.and(next);
            RetentionState { what, seconds, removed: count, newest, next }
        };
        Retained::ALL.map(state).to_vec()
    }

    /// Returns the status. Writes nothing: it must work with a full disk.
    pub(super) async fn status(&self) -> Result<Operated, RoleError> {
        let (entries, checkpoint) = self.inner.shared.head.borrow().clone();
        let roles = locked(&self.inner.shared.roles).clone();
        let (phases, unread) = match self.inner.reader.phases().await {
            Ok(phases) => (phases, None),
            Err(error) => (BTreeMap::new(), Some(RoleError::from(error).to_string())),
        };
        let Proposed::Health { refuses, warns, repaired } = self.health() else {
            return Err(misplaced_answer());
        };
        let (refuses, disk) = (refuses.or(unread), self.disk().ok());
        let supervisor = Box::new(locked(&self.inner.shared.notice).clone());
        let stuck = self.stuck().await;
        Ok(Operated::Status {
            phases,
            entries,
            checkpoint,
            disk,
            refuses,
            warns,
            repaired,
            supervisor,
            roles,
            stuck,
            retention: self.retention().await,
            receivers: self.deliveries().await,
        })
    }
}
