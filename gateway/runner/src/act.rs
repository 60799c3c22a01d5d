//! `journey::act`: one process claims one job, admits it, carries it out in a namespace of its own, and ends. Every effect comes after its own durable
//! `started`, under a lease that is asked before it. Never retries an effect, and never believes what came with the job.

mod drive;
mod recover;
#[cfg(test)]
mod tests;

use crate::admit::{Components, admit};
use crate::directory::index::Index;
use crate::directory::journal::{CommitFault, Journal, Recovered};
use crate::directory::namespace::{self, Namespace};
use crate::directory::tree::TreeFault;
use crate::guest::{Guests, Start};
use crate::host::Host;
use crate::lease::{Lease, Recorder, Stopped};
use cofferdam_core::decide::readmit::LeasedPlan;
use cofferdam_core::exchange::Fault;
use cofferdam_core::exchange::claim::{Claim, Claimed, RunnerEvent};
use cofferdam_core::id::CallId;
use cofferdam_core::job::{LeasedJob, StoredJob};
use cofferdam_core::run::{JobStep, Outcome, Phase};
use cofferdam_core::trust::{Trust, TrustError};
use cofferdam_process::beneath::Root;
use jiff::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument as _;

/// How long one request for a job is held by the recorder, in milliseconds; then it is asked again.
const WAIT_MS: u64 = 30_000;

/// How long to wait before a recorder that is away is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a runner ends without having closed its job: another one takes it over under a higher fence.
#[derive(Debug, thiserror::Error)]
pub enum ActFault {
    /// The recorder is gone, or the lease is another's.
    #[error("the job cannot be recorded: {0}")]
    Recorder(#[from] Fault),
    /// The lease was lost before an effect.
    #[error("the lease was lost; another runner takes the job over")]
    Lost,
    /// Its own files.
    #[error("the runner cannot use its own files")]
    Files(#[from] io::Error),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] TreeFault),
    /// The trust file.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The journal.
    #[error("the journal cannot be used")]
    Journal(#[source] CommitFault),
}

/// One runner's means.
pub struct Runner<R, S> {
    /// Its socket to the recorder.
    pub recorder: Arc<R>,
    /// What computes for it.
    pub guests: Guests<S>,
    /// Its own copies of tools, executors and policy.
    pub components: Components,
    /// Its own trust file; read again for each job.
    pub trust_file: PathBuf,
    /// The tree it looks at.
    pub root: Root,
    /// Writes back to the tree.
    pub journal: Journal,
    /// Folder of private copies.
    pub runs: PathBuf,
    /// Its clock.
    pub now: fn() -> Timestamp,
    /// 128 random bits.
    pub random: fn() -> u128,
    /// A drill: it ends itself right after this step of a job's first run.
    pub drill: Option<JobStep>,
    /// How a drill ends it: at once, without a word.
    pub end: fn(),
}

/// What became of a job, in the words that are recorded.
struct Ending {
    outcome: Outcome,
    code: String,
    detail: String,
}

impl Ending {
    fn new(outcome: Outcome, code: &str, detail: impl ToString) -> Self {
        Self { outcome, code: code.to_owned(), detail: detail.to_string() }
    }
}

impl<R: Recorder, S: Start> Runner<R, S> {
    /// Claims one job and sees it through. Returns which it was.
    pub async fn run(&self) -> Result<CallId, ActFault> {
        let leased = self.claim().await?;
        self.see_through(leased).await
    }

    /// Waits for a job, as long as it takes. Dropping this is safe: a job that was claimed meanwhile goes to another runner.
    pub async fn claim(&self) -> Result<LeasedJob, ActFault> {
        loop {
            match self.recorder.claim(&Claim::Next { wait_ms: WAIT_MS }).await {
                Ok(Claimed::Leased { job: Some(job) }) => return Ok(*job),
                Ok(_) => {}
                // It is being restarted, and hands over a fresh socket then.
                Err(Fault::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// Sees a claimed job through to its end. Returns which it was.
    pub async fn see_through(&self, leased: LeasedJob) -> Result<CallId, ActFault> {
        let LeasedJob { job, fence, phase, outcome, lease_seconds, .. } = leased;
        let call = job.call.clone();
        let lease = Lease::keep(Arc::clone(&self.recorder), call.clone(), fence, lease_seconds);
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
                Phase::Leased => self.first(&lease, job, &step).await,
                _ => self.recover(&lease, phase, outcome, &step).await,
            }
        };
        work.instrument(span).await?;
        Ok(call)
    }

    /// A drill ends the process here, once a job: the mark that it did is kept beside the private copies.
    fn step(&self, call: &CallId, step: JobStep) {
        tracing::debug!(%call, name = ?step, "step done");
        if self.drill != Some(step) {
            return;
        }
        // Nobody claims a closed job again, so nobody would take the mark away.
        if step == JobStep::ClosedRecorded || std::fs::OpenOptions::new().write(true).create_new(true).open(self.mark(call)).is_ok() {
            (self.end)();
        }
    }

    fn mark(&self, call: &CallId) -> PathBuf {
        self.runs.join(format!("drilled-{call}"))
    }

    /// A job's first run under this lease: check, prepare, act, clean up.
    async fn first(&self, lease: &Lease<R>, job: StoredJob, step: &(dyn Fn(JobStep) + Sync)) -> Result<(), ActFault> {
        // A runner that was lost before it could record its namespace may have left one.
        namespace::sweep(&self.runs, lease.call(), lease.fence())?;
        let trust = Trust::parse(&std::fs::read_to_string(&self.trust_file)?)?;
        let index = Index::read(&self.root, None)?;
        let admission = admit(job, &trust, &self.components, &self.guests, &index, self.now);
        let plan = match admission.instrument(tracing::info_span!("admit", cofferdam.stage = "admit")).await {
            Ok(plan) => plan,
            Err(no) => return self.finish(lease, Ending::new(Outcome::Refused, no.code, no.detail), None, step).await,
        };
        step(JobStep::Admitted);
        let targets: Vec<_> = plan.preview().operations.iter().map(|operation| &operation.target).collect();
        let name = namespace::name(lease.call(), lease.fence());
        let folder = self.runs.join(&name);
        let mut copy = match Namespace::make(&self.runs, lease.call(), lease.fence(), &index, &targets) {
            Ok(copy) => copy,
            Err(fault) => return self.finish(lease, Ending::new(Outcome::Failed, "namespace-failed", fault), Some(&folder), step).await,
        };
        step(JobStep::NamespaceMade);
        lease.report(RunnerEvent::Prepared { namespace: name, uid: format!("{:032x}", (self.random)()) }).await?;
        step(JobStep::NamespaceRecorded);
        let acting = self.act(lease, &plan, &mut copy, step);
        let ending = acting.instrument(tracing::info_span!("act", cofferdam.stage = "act")).await?;
        self.finish(lease, ending, Some(&folder), step).await
    }

    /// From the consumed permit to the committed effect.
    async fn act(
        &self,
        lease: &Lease<R>,
        plan: &LeasedPlan,
        copy: &mut Namespace,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<Ending, ActFault> {
        let started = (self.now)();
        if !plan.is_current(started) {
            return Ok(Ending::new(Outcome::Refused, "permit-expired", "the permit expired before anything was done"));
        }
        if lease.stopped() == Some(Stopped::Cancelled) {
            return Ok(cancelled());
        }
        let executor = match self.components.executor(plan) {
            Ok(executor) => executor,
            Err(no) => return Ok(Ending::new(Outcome::Refused, no.code, no.detail)),
        };
        match lease.report(RunnerEvent::Acting).await {
            Ok(_) => {}
            Err(Fault::Refused(_)) => return Ok(cancelled()),
            Err(fault) => return Err(fault.into()),
        }
        step(JobStep::ActingRecorded);
        let host = Host::new(lease.call().clone(), started);
        if let Some(ending) = self.drive(lease, plan, copy, &host, &executor, step).await? {
            return Ok(ending);
        }
        step(JobStep::ExecutorFinished);
        match lease.confirm().await {
            Some(Stopped::Cancelled) => return Ok(cancelled()),
            Some(Stopped::Lost) => return Err(ActFault::Lost),
            None => {}
        }
        self.write_back(lease, copy, step)
    }

    fn write_back(&self, lease: &Lease<R>, copy: &Namespace, step: &(dyn Fn(JobStep) + Sync)) -> Result<Ending, ActFault> {
        let files = copy.changed()?;
        let count = files.len();
        let done = || Ending::new(Outcome::Succeeded, "done", format!("every operation was done; files written: {count}"));
        match self.journal.commit(lease.call(), lease.fence(), copy.folder(), files, &|at| step(at)) {
            Ok(()) => Ok(done()),
            Err(CommitFault::Fenced) => Err(ActFault::Lost),
            Err(fault) => {
                // Whether the commit record was made decides what became of it, not where the fault came from.
                let lock = self.journal.lock()?;
                match self.journal.recover(lease.call(), &lock).map_err(ActFault::Journal)? {
                    Recovered::Untouched => {
                        let code = if matches!(fault, CommitFault::Large(_)) { "too-large" } else { "conflict" };
                        Ok(Ending::new(Outcome::Failed, code, format!("{fault}; the tree is untouched")))
                    }
                    Recovered::Complete => Ok(done()),
                    Recovered::Conflict(path) => Ok(torn(&path)),
                    Recovered::SetAside(journal) => Ok(aside(&journal)),
                }
            }
        }
    }

    /// Records the outcome, then removes the namespace, looks that it is gone, and closes the job.
    async fn finish(
        &self,
        lease: &Lease<R>,
        ending: Ending,
        folder: Option<&Path>,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<(), ActFault> {
        let Ending { outcome, code, detail } = ending;
        tracing::info!(call = %lease.call(), %outcome, code, detail, "a job ended");
        lease.report(RunnerEvent::Finished { outcome, code, detail }).await?;
        step(JobStep::OutcomeRecorded);
        self.close(lease, folder, step).instrument(tracing::info_span!("tear down", cofferdam.stage = "teardown")).await
    }

    async fn close(&self, lease: &Lease<R>, folder: Option<&Path>, step: &(dyn Fn(JobStep) + Sync)) -> Result<(), ActFault> {
        self.journal.forget(lease.call())?;
        if let Some(folder) = folder {
            namespace::remove(folder)?;
        }
        step(JobStep::NamespaceRemoved);
        let _none = std::fs::remove_file(self.mark(lease.call()));
        let namespace = folder.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        lease.report(RunnerEvent::Gone { namespace }).await?;
        step(JobStep::ClosedRecorded);
        Ok(())
    }
}

fn cancelled() -> Ending {
    Ending::new(Outcome::Cancelled, "cancelled", "the job was cancelled; the tree is untouched")
}

fn torn(path: &Path) -> Ending {
    let detail =
        format!("`{}` was changed by somebody else while the job was written back; a person has to compare the files", path.display());
    Ending::new(Outcome::Indeterminate, "write-back-conflict", detail)
}

fn aside(journal: &Path) -> Ending {
    let detail =
        format!("the job was committed, but its journal was set aside as `{}`; a person has to compare the files", journal.display());
    Ending::new(Outcome::Indeterminate, "write-back-conflict", detail)
}
