//! The requests of the gateway: propose jobs, record ends of calls, read and end jobs of one
//! principal. Never moves a job under a lease.

use super::serving::{RELOAD, set_entry};
use super::{Recorder, misplaced_answer};
use crate::gateways::ONE;
use crate::leases::Via;
use crate::settings::{LONGEST_WAIT_MS, OFFER_MS};
use crate::store::SameCall;
use crate::store::change::{Change, Done};
use crate::waiters::locked;
use cofferdam_core::model::callers::GivenToken;
use cofferdam_core::model::id::{CallId, PlanDigest, PolicyDigest, PreviewDigest, TokenDigest};
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::limit::{ASKING_SECONDS, CALLS, CLOCK_SECONDS, SERVED};
use cofferdam_core::model::record::{Entry, Event, Recorded};
use cofferdam_core::model::run::Phase;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Counts, IdempotencyKey, Propose, Proposed};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The time limit of runners that check a job while another set is loaded. A runner takes the set in
/// use some milliseconds after its claim; it has the phase `leased` until its namespace is made.
const ADMISSION: Duration = Duration::from_secs(5);

/// The pause between two looks at these runners.
const ADMISSION_PAUSE: Duration = Duration::from_millis(10);

/// The most characters of an idempotency key.
const KEY: usize = 128;

impl Recorder {
    /// Handles a request of the one gateway of a recorder that gives no seats to gateways.
    /// # Errors
    /// The refusal of the request.
    pub async fn propose(&self, propose: Propose) -> Result<Proposed, RoleError> {
        self.propose_by((ONE, Via::Local), propose).await
    }

    /// Handles the end of the connection of that gateway.
    pub async fn gateway_gone(&self) {
        self.gateway_left((ONE, Via::Local)).await;
    }

    /// Handles a request of a gateway.
    pub(super) async fn propose_by(
        &self,
        (seat, via): (u64, Via),
        propose: Propose,
    ) -> Result<Proposed, RoleError> {
        match propose {
            Propose::End { entry, again } => {
                // The room is for new entries: the first request may be recorded already.
                if !again {
                    self.check_room()?;
                }
                if !matches!(entry.event, Event::Ended { .. }) {
                    return Err(RoleError::Refused(
                        "the gateway may record the ending of a call, and no other event by itself"
                            .to_owned(),
                    ));
                }
                let again = self.is_repeated(again, entry.call.as_ref());
                let entry = Arc::new(entry);
                let end = if again { Change::EndAgain(entry) } else { Change::End(entry) };
                self.recorded(end).await
            }
            Propose::Enqueue { job, entry, key, seen } => {
                self.enqueue(via, job, entry, (key, seen)).await
            }
            Propose::Same { principal, plan, policy } => {
                let of = SameCall { principal, plan: plan.to_string(), policy: policy.to_string() };
                let found = self.inner.reader.same(&of, self.now().as_millisecond()).await?;
                let (job, ended_ms) =
                    found.map_or((None, 0), |(job, ended_ms)| (Some(Box::new(job)), ended_ms));
                Ok(Proposed::Same { job, ended_ms })
            }
            Propose::Ended { principal, call } => {
                Ok(Proposed::Ended { ended: self.inner.reader.ended(&call, &principal).await? })
            }
            Propose::Console { person, ask } => {
                Ok(Proposed::Console { told: Box::new(self.console(&person, ask).await?) })
            }
            Propose::Reload { digest, trust } => {
                self.check_room()?;
                let before = {
                    let mut gateways = locked(&self.inner.shared.gateways);
                    gateways.announce(seat, digest, trust.policy);
                    gateways.digest(seat)
                };
                let entry = Arc::new(set_entry(RELOAD, before, digest));
                self.submit(Change::End(entry)).await?;
                // Before a runner has the new policy.
                self.reopen(via).await?;
                self.admitted(trust.policy).await?;
                Ok(Proposed::Done)
            }
            Propose::Serving { digest, trust, limits } => {
                self.serving((seat, via), (digest, Arc::new(*trust)), limits).await
            }
            Propose::Tokens { given, ended } => self.tokens(given, ended, true).await,
            Propose::Served { mut callers } => {
                callers.truncate(SERVED);
                self.submit(Change::Served(callers)).await?;
                Ok(Proposed::Done)
            }
            Propose::Key { principal, key } => {
                Ok(Proposed::Key { used: self.inner.reader.key(&principal, &key).await? })
            }
            Propose::Rejection { principal, plan } => {
                let denied = locked(&self.inner.shared.rejected)
                    .as_ref()
                    .is_none_or(|known| known.contains(&(principal.clone(), plan.to_string())));
                if !denied {
                    return Ok(Proposed::Rejection { rejected: None });
                }
                let now = self.now().as_millisecond();
                Ok(Proposed::Rejection {
                    rejected: self.inner.reader.rejection(&principal, &plan, now).await?,
                })
            }
            Propose::Job { principal, call, beyond, wait_ms } => {
                self.job(&principal, &call, beyond, wait_ms).await
            }
            Propose::Task { principal, call } => {
                let kept = self.inner.settings.retention.closed_jobs;
                let kept_ms = kept.map(|seconds| seconds.saturating_mul(1_000));
                let task = self.inner.reader.task(&call, &principal, kept_ms).await?;
                Ok(Proposed::Task(Box::new(task)))
            }
            Propose::Plan { principal, call } => {
                Ok(Proposed::Plan { plan: self.inner.reader.plan(&call, &principal).await? })
            }
            Propose::Calls { principal, open, limit } => {
                let (calls, more) =
                    self.inner.reader.calls(&principal, open, limit.min(CALLS)).await?;
                Ok(Proposed::Calls { calls, more })
            }
            Propose::Cancel { principal, call } => {
                self.submit(Change::Cancel { principal: principal.clone(), call: call.clone() })
                    .await?;
                self.job(&principal, &call, 0, 0).await
            }
            Propose::NextApproved { wait_ms } => self.next_approved((seat, via), wait_ms).await,
            Propose::NextPreview { wait_ms } => self.next_look(wait_ms).await,
            Propose::Previewed { call, seen } => {
                self.inner.shared.looks.answer(&call, &seen);
                Ok(Proposed::Done)
            }
            Propose::Approver { approver, ask } => {
                let told = Box::new(self.approver(&approver, ask).await?);
                Ok(Proposed::Approver { told })
            }
            Propose::Permit { call, permit, entry, expires } => {
                self.check_room_for(&call, |phase| phase != Phase::AwaitingApproval).await?;
                about(&entry, &call, entry.event == Event::Intended)?;
                self.recorded(Change::Permit {
                    call,
                    permit: Box::new(permit),
                    entry: Box::new(entry),
                    expires,
                })
                .await
            }
            Propose::Withdraw { call, detail, entry } => {
                about(&entry, &call, matches!(entry.event, Event::Ended { .. }))?;
                self.recorded(Change::Withdraw { call, detail, entry: Box::new(entry) }).await
            }
            Propose::Invited { digest } => self.invited(&digest).await,
            Propose::Enrol { digest, passkey } => self.enrol(digest, passkey).await,
            Propose::Runners => {
                Ok(Proposed::Runners { there: self.has_runners(), stuck: self.stuck().await })
            }
            Propose::OverLimit { agents } => {
                locked(&self.inner.shared.over_limits).add(agents, Instant::now());
                Ok(Proposed::Done)
            }
            Propose::Health => {
                let mut health = self.health();
                if let Proposed::Health { warns, .. } = &mut health {
                    warns.extend(self.failing_receivers().await);
                }
                Ok(health)
            }
            Propose::Counts => {
                let reader = &self.inner.reader;
                let (phases, outcomes, answers) =
                    (reader.phases().await?, reader.outcomes().await?, reader.answers().await?);
                let entries = self.inner.shared.head.borrow().0;
                let receivers = self.deliveries().await;
                Ok(Proposed::Counts(Counts { phases, outcomes, answers, entries, receivers }))
            }
            Propose::Head => {
                let (size, checkpoint) = self.inner.shared.head.borrow().clone();
                Ok(Proposed::Head { size, checkpoint })
            }
        }
    }

    /// Registers the tokens of an agents file. `only`: there is no other agents file.
    pub(super) async fn tokens(
        &self,
        given: Vec<GivenToken>,
        ended: Vec<TokenDigest>,
        only: bool,
    ) -> Result<Proposed, RoleError> {
        match self.submit(Change::Tokens { given, ended, only }).await? {
            Done::EndedTokens(tokens) => Ok(Proposed::EndedTokens { tokens }),
            _ => Err(misplaced_answer()),
        }
    }

    /// Handles the end of a gateway's connection: its offered calls are offered again at once, and
    /// jobs of a policy that no gateway has any more are decided once more.
    pub(super) async fn gateway_left(&self, (seat, via): (u64, Via)) {
        let now = self.now().as_millisecond();
        let left = locked(&self.inner.shared.gateways).leave((seat, via), now);
        self.end_sets(left).await;
        self.offer_again(seat);
    }

    /// Offers the calls again that were offered to this gateway.
    pub(super) fn offer_again(&self, seat: u64) {
        locked(&self.inner.shared.offers).retain(|_, (offered, _)| *offered != seat);
        self.inner.shared.approved.send_replace(());
    }

    /// Waits until no runner checks a job of another policy, at most [`ADMISSION`]. A runner that
    /// took the next set after its claim would refuse the job.
    async fn admitted(&self, policy: PolicyDigest) -> Result<(), RoleError> {
        let until = Instant::now() + ADMISSION;
        while self.inner.reader.admits_other(&policy).await? && Instant::now() < until {
            tokio::time::sleep(ADMISSION_PAUSE).await;
        }
        Ok(())
    }

    async fn recorded(&self, change: Change) -> Result<Proposed, RoleError> {
        match self.submit(change).await? {
            Done::Recorded(recorded) => Ok(Proposed::Recorded(recorded)),
            _ => Err(misplaced_answer()),
        }
    }

    async fn enqueue(
        &self,
        via: Via,
        job: Box<StoredJob>,
        entry: Entry,
        (key, seen): (Option<IdempotencyKey>, Option<CallId>),
    ) -> Result<Proposed, RoleError> {
        self.check_room_for(&job.call, |_| true).await?;
        check_job(&job, &entry, key.as_ref(), self.now())?;
        let replaced = self.asks_under_another(&job).filter(|_| {
            let now = self.now().as_millisecond();
            locked(&self.inner.shared.gateways).is_settled(via, now)
        });
        match self.submit(Change::Enqueue { job, entry: Box::new(entry), key, seen }).await? {
            Done::Recorded(Recorded { index }) => {
                if let Some(trusts) = replaced {
                    self.submit(Change::Retire(trusts, None)).await?;
                }
                Ok(Proposed::Recorded(Recorded { index }))
            }
            Done::Joined(call) => Ok(Proposed::Joined { call }),
            _ => Err(misplaced_answer()),
        }
    }

    /// The trust files in use, if a job is a question of a call that was decided with another policy
    /// or tool than any of theirs: it is closed at once, so that no person signs in vain.
    fn asks_under_another(&self, job: &StoredJob) -> Option<Vec<Arc<Trust>>> {
        let trusts = locked(&self.inner.shared.gateways).trusts();
        let serves = |trust: &Arc<Trust>| {
            let tool = trust.tool(&job.tool).map(|tool| tool.digest);
            job.policy == trust.policy && tool == Some(job.tool_digest)
        };
        let other = !trusts.is_empty() && !trusts.iter().any(serves);
        (other && job.permit.is_none()).then_some(trusts)
    }

    /// Returns a job of the principal when its version is newer than `known`, or after the wait.
    async fn job(
        &self,
        principal: &str,
        call: &CallId,
        beyond: u64,
        wait_ms: u64,
    ) -> Result<Proposed, RoleError> {
        let until = Instant::now() + Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS));
        let mut changes = self.inner.shared.changes(call);
        loop {
            let view = self.inner.reader.view(call, principal).await?;
            if view.version > beyond || timeout_at(until, changes.changed()).await.is_err() {
                return Ok(Proposed::Job { job: Box::new(view) });
            }
        }
    }

    /// Returns the next approved call for this gateway that is not offered yet. It is offered again
    /// if it is not permitted or withdrawn in time.
    async fn next_approved(
        &self,
        (seat, via): (u64, Via),
        wait_ms: u64,
    ) -> Result<Proposed, RoleError> {
        let until = Instant::now() + Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS));
        let mut approved = self.inner.shared.approved.subscribe();
        loop {
            let now = self.now().as_millisecond();
            for call in self.inner.reader.approved(now).await? {
                // The announced set decides them, once it is in use.
                if locked(&self.inner.shared.gateways).announced(seat).is_some() {
                    break;
                }
                let Some(job) = self.inner.reader.undecided(&call).await? else { continue };
                // A gateway with the policy of the job decides it, if there is one.
                let gateways = || locked(&self.inner.shared.gateways);
                let decides = gateways().decides((seat, via), job.policy, now);
                let stopped = self.is_stopped(&job.tool, &job.principal.name);
                if decides && !stopped && self.offer(&call, seat, now) {
                    let statements = job.statements.clone();
                    return Ok(Proposed::Approved { job: Some(Box::new(job)), statements });
                }
            }
            let again = locked(&self.inner.shared.offers)
                .values()
                .map(|(_, at)| at)
                .min()
                .map(|at| u64::try_from(at.saturating_sub(now)).unwrap_or(0));
            let pause = again
                .map_or(until, |ms| until.min(Instant::now() + Duration::from_millis(ms.max(1))));
            if timeout_at(pause, approved.changed()).await.is_err() && Instant::now() >= until {
                return Ok(Proposed::Approved { job: None, statements: Vec::new() });
            }
        }
    }

    /// Returns the next call that needs a fresh preview.
    async fn next_look(&self, wait_ms: u64) -> Result<Proposed, RoleError> {
        let until = Instant::now() + Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS));
        let mut news = self.inner.shared.looks.news();
        loop {
            while let Some(call) = self.inner.shared.looks.next() {
                if let Some((job, Phase::AwaitingApproval)) = self.inner.reader.job(&call).await? {
                    return Ok(Proposed::ToPreview { job: Some(Box::new(job)) });
                }
            }
            if timeout_at(until, news.changed()).await.is_err() {
                return Ok(Proposed::ToPreview { job: None });
            }
        }
    }

    /// Marks a call as offered to a gateway; false if it is offered already.
    fn offer(&self, call: &CallId, seat: u64, now: i64) -> bool {
        let mut offers = locked(&self.inner.shared.offers);
        offers.retain(|_, (_, until)| *until > now);
        let free = !offers.contains_key(call);
        if free {
            offers.insert(call.clone(), (seat, now.saturating_add(OFFER_MS)));
        }
        free
    }
}

/// Checks that an entry is about its job and its event.
fn about(entry: &Entry, call: &CallId, fits: bool) -> Result<(), RoleError> {
    if entry.call.as_ref() == Some(call) && fits {
        Ok(())
    } else {
        Err(RoleError::Refused(format!("the entry does not say what happened to `{call}`")))
    }
}

/// Checks that the parts of a job belong together. The runner checks whether it may run.
fn check_job(
    job: &StoredJob,
    entry: &Entry,
    key: Option<&IdempotencyKey>,
    now: Timestamp,
) -> Result<(), RoleError> {
    let event = if job.permit.is_some() { Event::Intended } else { Event::Asked };
    about(
        entry,
        &job.call,
        entry.event == event
            && entry.principal == job.principal.name
            && entry.plan == Some(job.plan_digest),
    )?;
    let asked = job.approval.as_ref().is_some_and(|rule| rule.quorum > 0);
    let pieces = [
        (
            PlanDigest::of(job.plan.as_bytes()) == job.plan_digest,
            "the plan is not that of its digest",
        ),
        (
            PreviewDigest::of(job.preview.as_bytes()) == job.preview_digest,
            "the preview is not that of its digest",
        ),
        (job.statements.is_empty(), "signatures come from people, not with the job"),
        (job.permit.is_some() || asked, "it has neither a permit nor a question to people"),
        (job.expires > job.created, "it expires before it was made"),
        (
            is_new(job, now),
            "its question is not of this time; compare the clocks of gateway and recorder",
        ),
        (
            key.is_none_or(|key| fits(key, job)),
            "the idempotency key is not 1 to 128 visible ASCII characters for this tool and these \
             arguments",
        ),
    ];
    match pieces.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => {
            Err(RoleError::Refused(format!("the job `{}` is not of one piece: {what}", job.call)))
        }
        None => Ok(()),
    }
}

/// True if a question that escalates was asked just now, by the recorder's own clock: a gateway that
/// dates it back would let further people sign at once.
fn is_new(job: &StoredJob, now: Timestamp) -> bool {
    let age = now.as_second().saturating_sub(job.created.as_second());
    let escalates = job.approval.as_ref().is_some_and(|rule| rule.escalate.is_some());
    !escalates || (-CLOCK_SECONDS..=ASKING_SECONDS).contains(&age)
}

fn fits(key: &IdempotencyKey, job: &StoredJob) -> bool {
    let visible =
        (1..=KEY).contains(&key.key.len()) && key.key.bytes().all(|byte| byte.is_ascii_graphic());
    visible
        && key.tool == job.tool
        && key.arguments == cofferdam_core::model::id::ArgumentsDigest::of(job.arguments.as_bytes())
}
