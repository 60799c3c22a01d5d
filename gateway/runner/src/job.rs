//! One process claims one job, admits it, carries it out in a run of its own, and ends. Every
//! effect comes after its own durable `started`, under a lease that is checked before it. Never
//! retries an effect, and never trusts the contents of a stored job.

mod end;
mod executor;
mod recover;
#[cfg(test)]
mod tests;
mod wasm_task;

use crate::admit::{Components, Unadmitted, admit};
use crate::guest_process::{Guests, Start};
use crate::lease::{ClaimedBy, Lease, Recorder, Stopped};
use crate::trust_file::{TrustFile, TrustFileError};
use cofferdam_backend::effect_error::EffectError;
use cofferdam_backend::host_values::Host;
use cofferdam_backend::outcome::{Ending, Settled, UNWRITABLE};
use cofferdam_backend::{Backend, BackendError, Left, Lost, Run};
use cofferdam_core::model::difference::Difference;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::{LeasedJob, Obstacle};
use cofferdam_core::model::run::{JobStep, Outcome, Phase};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed, RunnerEvent};
use cofferdam_core::protocol::{RoleError, UNREADABLE};
use cofferdam_core::stage::drift;
use cofferdam_core::stage::readmit::LeasedPlan;
use cofferdam_process::writable::obstacle;
use executor::JobContext;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use tracing::Instrument as _;

/// Milliseconds that the recorder keeps one request for a job open; then the request is repeated.
const WAIT_MS: u64 = 30_000;

/// How long to wait before a recorder that is away is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest wait for a connection to the recorder before a runner looks if it is to end.
const CONNECTED: Duration = Duration::from_secs(1);

/// How long to wait before a cluster is looked at again that has too much to clean up.
const CONGESTED: Duration = Duration::from_secs(5);

/// Why a runner ends without having closed its job: another one takes it over under a higher fence.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The recorder does not respond, or another runner has the lease.
    #[error("the job cannot be recorded: {0}")]
    Recorder(#[from] RoleError),
    /// The lease was lost before an effect.
    #[error("the lease was lost; another runner takes the job over")]
    Lost,
    /// The infrastructure, or this machine.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl ActError {
    /// The obstacle of the job; `None` if another runner has the job by now, or the recorder cannot
    /// be told.
    fn obstacle(&self) -> Option<Obstacle> {
        match self {
            Self::Recorder(_) | Self::Lost => None,
            Self::Backend(error) => error.obstacle(),
        }
    }
}

/// The connections and files of one runner.
pub struct Runner<R, S, B> {
    /// Its socket to the recorder.
    pub recorder: Arc<R>,
    /// The processes that run components.
    pub guests: Guests<S>,
    /// Its own copies of tools, executors and policy.
    pub components: Components,
    /// Its own trust file; read again for each job.
    pub trust_file: TrustFile,
    /// The infrastructure that it changes.
    pub backend: B,
    /// Folder of the marks that drills leave.
    pub marks: PathBuf,
    /// The clock of the runner.
    pub now: fn() -> Timestamp,
    /// The claim of the one job of this process.
    pub claim: Mutex<ClaimedBy>,
    /// A source of 128 random bits.
    pub random: fn() -> u128,
    /// A drill: it ends itself right after this step of a job's first run.
    pub drill: Option<JobStep>,
    /// How a drill ends it: at once, without a word.
    pub end: fn(),
    /// Told once the outcome is recorded and only the namespace is left to remove: another runner
    /// may take this one's place.
    pub leaving: Box<dyn Fn() + Send + Sync>,
}

impl<R: Recorder, S: Start, B: Backend> Runner<R, S, B> {
    /// Claims one job and sees it through. Returns which it was.
    pub async fn run(&self) -> Result<CallId, ActError> {
        loop {
            if let Some(leased) = self.claim(|| false).await? {
                return self.see_through(leased).await;
            }
        }
    }

    /// Waits for a job, as long as it takes; none once the wait is `over`. Dropping this is safe: a
    /// job that was claimed meanwhile goes to another runner. First starts and reads what every job
    /// needs, so that the job does not wait for it.
    pub async fn claim(&self, over: impl Fn() -> bool) -> Result<Option<LeasedJob>, ActError> {
        self.backend.ready()?;
        self.guests.start_ahead();
        self.backend.read_ahead();
        // Requested at least once: a job may have been enqueued just before.
        loop {
            self.backend.ready()?;
            match self.backend.backpressure((self.now)()).await {
                Ok(None) => {}
                Ok(Some(_)) if over() => return Ok(None),
                Ok(Some(why)) => {
                    tracing::warn!(what = "claims", error = why, "claims no job for now");
                    tokio::time::sleep(CONGESTED).await;
                    continue;
                }
                Err(_) if over() => return Ok(None),
                // Infrastructure that cannot be read now cannot be changed now.
                Err(error) => {
                    tracing::warn!(
                        what = "infrastructure",
                        error = %error,
                        "the infrastructure cannot be read; claims no job for now"
                    );
                    tokio::time::sleep(CONGESTED).await;
                    continue;
                }
            }
            let next = Claim::Next { wait_ms: WAIT_MS, token: self.claimed_by().token };
            // Over one connection and no other: the lease is known on the one that gave it.
            let connected = timeout(CONNECTED, self.recorder.next_connection()).await.ok();
            let claimed = match connected {
                Some(connection) => self.recorder.claim_on(connection, &next).await,
                None => Ok(None),
            };
            match claimed {
                Ok(Some(Claimed::Leased { job: Some(job) })) => {
                    self.own(|claim| claim.connection = connected);
                    return Ok(Some(*job));
                }
                Ok(_) | Err(RoleError::Unavailable(_)) if over() => return Ok(None),
                Ok(_) => {}
                // A recorder of version 1.0 knows no token.
                Err(RoleError::Refused(why))
                    if why.starts_with(UNREADABLE) && self.claimed_by().token.is_some() =>
                {
                    self.own(|claim| claim.token = None);
                }
                // The recorder restarts, and the supervisor hands over a new socket. The next one
                // gives a job that this claim got already.
                Err(RoleError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sees a claimed job through to its end. Returns which it was.
    pub async fn see_through(&self, leased: LeasedJob) -> Result<CallId, ActError> {
        let LeasedJob { fence, phase, lease_seconds, .. } = leased;
        let job = &leased.job;
        let call = job.call.clone();
        let (recorder, one) = (Arc::clone(&self.recorder), (call.clone(), fence));
        let lease = Lease::keep(recorder, one, self.claimed_by(), lease_seconds);
        let span = tracing::info_span!(
            "process job",
            otel.kind = "consumer",
            traceparent = job.trace.as_ref().map(|trace| trace.0.as_str()),
            cofferdam.call = %call,
            cofferdam.job.fence = fence.0,
            gen_ai.tool.name = %job.tool,
        );
        let work = async {
            tracing::info!(%call, %fence, %phase, tool = %job.tool, "claimed a job");
            let step = |step: JobStep| self.step(&call, step);
            step(JobStep::Claimed);
            match phase {
                Phase::Leased => self.first(&lease, &leased, &step).await,
                _ => self.recover(&lease, &leased, &step).await,
            }
        };
        let Err(error) = work.instrument(span).await else { return Ok(call) };
        // A job that cannot go on is given up, so that it blocks neither this runner nor other
        // jobs.
        let Some(obstacle) = error.obstacle() else { return Err(error) };
        tracing::error!(%call, %fence, "the job cannot go on at present: {obstacle}");
        lease.let_go(obstacle).await?;
        Ok(call)
    }

    fn claimed_by(&self) -> ClaimedBy {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn own(&self, change: impl FnOnce(&mut ClaimedBy)) {
        change(&mut self.claim.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A drill ends the process here, once a job: the mark that it did is kept in a file.
    fn step(&self, call: &CallId, step: JobStep) {
        tracing::debug!(%call, name = ?step, "step done");
        if self.drill != Some(step) {
            return;
        }
        // A closed job is not claimed again, so the mark would stay.
        if step == JobStep::ClosedRecorded
            || std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(self.mark(call))
                .is_ok()
        {
            (self.end)();
        }
    }

    fn mark(&self, call: &CallId) -> PathBuf {
        self.marks.join(format!("drilled-{call}"))
    }

    /// A job's first run under this lease: check, prepare, act, clean up.
    async fn first(
        &self,
        lease: &Lease<R>,
        leased: &LeasedJob,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<(), ActError> {
        self.backend.ready()?;
        let lost = Lost::of(leased);
        // A runner that was lost before it could record its namespace may have left one.
        if let Err(error) = self.backend.sweep(&lost).await {
            return self.cannot_begin(lease, &lost, error, step).await;
        }
        self.guests.start_ahead();
        // The target namespaces of its rights: admission compares the stored preview with the
        // runner's own.
        let targets = lost.targets();
        let trust = match trust(&self.trust_file) {
            Ok(trust) => trust,
            Err(obstacle) => return self.cannot_begin(lease, &lost, obstacle.into(), step).await,
        };
        let admission = admit(
            leased.job.clone(),
            &trust,
            &self.components,
            &self.guests,
            &self.backend,
            self.now,
        );
        let plan = match admission
            .instrument(tracing::info_span!("admit", cofferdam.stage = "admit"))
            .await
        {
            Ok(plan) => plan,
            Err(Unadmitted::Inadmissible(no)) => {
                let ending = Ending::new(Outcome::Refused, no.code, no.detail);
                return self.finish(lease, ending.into(), Left::Nothing, &targets, step).await;
            }
            Err(Unadmitted::Backend(error)) => {
                return self.cannot_begin(lease, &lost, error, step).await;
            }
        };
        step(JobStep::Admitted);
        let name = format!("cofferdam-run-{}-{}", lease.call(), lease.fence());
        // A runner that was paused for long creates nothing under a lease that another runner has
        // by now.
        if lease.confirm().await == Some(Stopped::Lost) {
            return Err(ActError::Lost);
        }
        let making = self.backend.create_run(lease.call(), lease.fence(), &plan, (self.now)());
        let mut run = match making
            .instrument(tracing::info_span!("prepare", cofferdam.stage = "prepare"))
            .await
        {
            Ok(run) => run,
            Err(error) => {
                let ending = match &error {
                    EffectError::Unwritable(obstacle) => Ending::unable(
                        UNWRITABLE,
                        obstacle,
                        &self.backend.remaining(&BTreeSet::new()),
                    ),
                    _ => Ending::new(Outcome::Failed, "namespace-failed", error),
                };
                return self
                    .finish(lease, ending.into(), Left::Perhaps(&name), &targets, step)
                    .await;
            }
        };
        step(JobStep::NamespaceMade);
        let name = run.name();
        let uid = run.uid().map_or_else(|| format!("{:032x}", (self.random)()), str::to_owned);
        let prepared = RunnerEvent::Prepared { namespace: name.clone(), uid };
        if B::COMMITS {
            // Nothing happens before the commit record, and a sweep finds the copy by its name.
            lease.defer(prepared);
        } else if let Err(error) = lease.report(prepared).await {
            // Only this runner knows the run, and removes it at once.
            if error == RoleError::Fenced {
                self.backend.remove(lease.call(), &Left::Own(&run), &targets).await?;
            }
            return Err(error.into());
        }
        step(JobStep::NamespaceRecorded);
        let acting = self.act(lease, &plan, &trust, &mut run, step);
        let settled =
            acting.instrument(tracing::info_span!("act", cofferdam.stage = "act")).await?;
        self.finish(lease, settled, Left::Own(&run), &targets, step).await
    }

    /// Ends a job that cannot begin. An obstacle on this machine ends the job as failed: nothing
    /// was changed, and its agent can call again. For an error of the infrastructure the job waits.
    async fn cannot_begin(
        &self,
        lease: &Lease<R>,
        lost: &Lost<'_>,
        error: BackendError,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<(), ActError> {
        let BackendError::Here(obstacle) = error else { return Err(error.into()) };
        tracing::error!(call = %lease.call(), "a job cannot begin: {obstacle}");
        let ending =
            Ending::unable("cannot-begin", &obstacle, &self.backend.remaining(&BTreeSet::new()));
        self.record(lease, ending.into(), step).await?;
        let namespace = self.backend.sweep(lost).await?;
        self.close(lease, recover::swept(namespace.as_deref()), &lost.targets(), step).await
    }

    /// From the consumed permit to the committed effect.
    async fn act(
        &self,
        lease: &Lease<R>,
        plan: &LeasedPlan,
        trust: &Trust,
        run: &mut B::Run,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<Settled, ActError> {
        let started = (self.now)();
        if !plan.is_current(started) {
            return Ok(Ending::new(
                Outcome::Refused,
                "permit-expired",
                "the permit expired before anything was done",
            )
            .into());
        }
        if lease.stopped().await == Some(Stopped::Cancelled) {
            return Ok(self.cancelled(&BTreeSet::new()).into());
        }
        let executor = match self.components.executor(plan) {
            Ok(executor) => executor,
            Err(no) => return Ok(Ending::new(Outcome::Refused, no.code, no.detail).into()),
        };
        if B::COMMITS {
            // Recorded with the first operation: nothing happens before the commit record.
            lease.defer(RunnerEvent::Acting);
        } else {
            match lease.report(RunnerEvent::Acting).await {
                Ok(_) => step(JobStep::ActingRecorded),
                Err(RoleError::Refused(_)) => return Ok(self.cancelled(&BTreeSet::new()).into()),
                Err(error) => return Err(error.into()),
            }
        }
        let host = Host::new(lease.call().clone(), started);
        let context = JobContext { lease, plan, commands: &trust.commands, host: &host, step };
        if let Some(ending) = self.run_executor(&context, run, &executor).await? {
            return Ok(ending.meanwhile(&meanwhile(plan, run)).into());
        }
        step(JobStep::ExecutorFinished);
        // With a commit nothing has happened yet. Otherwise every effect has happened, and a
        // cancellation comes too late.
        if B::COMMITS {
            match lease.confirm().await {
                Some(Stopped::Cancelled) => return Ok(self.cancelled(&BTreeSet::new()).into()),
                Some(Stopped::Lost) => return Err(ActError::Lost),
                None => {}
            }
        }
        let Settled { ending, lock } =
            self.backend.commit(lease.call(), lease.fence(), run, &|at| step(at))?;
        Ok(Settled { ending: ending.meanwhile(&meanwhile(plan, run)), lock })
    }

    fn cancelled(&self, in_effect: &BTreeSet<u32>) -> Ending {
        Ending::new(
            Outcome::Cancelled,
            "cancelled",
            format!("the job was cancelled; {}", self.backend.remaining(in_effect)),
        )
    }
}

/// Changes by others in the objects of the job: between decision and admission, and from there to
/// the effect.
fn meanwhile(plan: &LeasedPlan, run: &impl Run) -> Vec<Difference> {
    let mut all = plan.meanwhile().to_vec();
    drift::add(&mut all, run.meanwhile().to_vec());
    all
}

/// The runner's own trust file, or what is in the way.
fn trust(file: &TrustFile) -> Result<Arc<Trust>, Obstacle> {
    file.read().map_err(|error| match error {
        TrustFileError::Read(error) => obstacle(file.path(), "cannot be read", &error),
        TrustFileError::Parse(error) => Obstacle::new(
            format!("`{}` cannot be used: {error}", file.path().display()),
            "restore it from a copy",
        ),
    })
}
