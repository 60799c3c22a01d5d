//! The executor of a job: it names the next handle. The runner decides whether the operation may
//! happen, carries it out, and compares the result. The executor's process has only the numbers of
//! its handles. A time limit ends that process, never a request to the infrastructure.

mod outcome;

use self::outcome::Failure;
use super::{ActError, Runner};
use crate::guest_process::{Session, Start};
use crate::lease::{Lease, Recorder, Stopped};
use cofferdam_backend::effect_error::EffectError;
use cofferdam_backend::host_values::Host;
use cofferdam_backend::outcome::Ending;
use cofferdam_backend::{Backend, Run};
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::job::Said;
use cofferdam_core::model::limit::{NOTE, TASK_OUTPUT};
use cofferdam_core::model::operation::{Operation, Program, Step};
use cofferdam_core::model::preview::PreviewedOperation;
use cofferdam_core::model::run::JobStep;
use cofferdam_core::model::trust::TrustedCommand;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::role_guest::{
    Compute, Computed, GuestKind, Handle, OBSERVE_MS, Observed, Performed, Stop,
};
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use cofferdam_core::stage::readmit::LeasedPlan;
use cofferdam_core::text::size_of_result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument as _;

/// The executor's own time, in milliseconds: it orders and waits, it does not compute.
const GUEST_MS: u64 = 5_000;

/// The time limit of an executor, besides the time limits of its plan's tasks.
const EXECUTE: Duration = Duration::from_secs(900);

/// Seconds that a plan's tasks may take together.
fn task_seconds(steps: &[Step]) -> u64 {
    let seconds = |step: &Step| {
        if let Operation::Task { seconds, .. } = &step.operation { u64::from(*seconds) } else { 0 }
    };
    steps.iter().map(seconds).sum()
}

/// Bytes that each result of a plan's tasks may take as an answer shows it: all of them are shown.
fn room(steps: &[Step]) -> usize {
    let tasks =
        steps.iter().filter(|step| matches!(step.operation, Operation::Task { .. })).count();
    TASK_OUTPUT / tasks.max(1)
}

/// Handles an executor may perform, well or not: many times the largest plan's, and each is asked
/// for and recorded.
const PERFORMS: u32 = 1_000;

/// How often an executor may ask how far an object is: for minutes of waiting, each time for
/// seconds.
const OBSERVES: u32 = 1_000;

/// Between two looks at an object that is not ready yet: soon enough for people, seldom enough for
/// the API server.
const LOOK: Duration = Duration::from_millis(500);

/// Notes an executor may pass on: people read them, and each is the recorder's work.
const NOTES: u32 = 100;

/// The facts and connections of one job while its executor runs.
pub(super) struct JobContext<'a, R> {
    /// The lease of the job.
    pub lease: &'a Lease<R>,
    /// The plan as it was admitted.
    pub plan: &'a LeasedPlan,
    /// Commands that tasks may name.
    pub commands: &'a [TrustedCommand],
    /// Values only the runner knows.
    pub host: &'a Host,
    /// Told after each step.
    pub step: &'a (dyn Fn(JobStep) + Sync),
}

/// An execution in progress, with its state so far.
struct Execution<'a, R, S, B: Backend> {
    runner: &'a Runner<R, S, B>,
    context: &'a JobContext<'a, R>,
    run: &'a mut B::Run,
    /// Handles that were performed, well or not: a handle is consumed.
    used: BTreeSet<(u32, bool)>,
    done: BTreeSet<u32>,
    undone: BTreeSet<u32>,
    /// The holders of done operations: a sentence each.
    held: Vec<String>,
    /// Those that happened, and not as approved.
    differing: BTreeSet<u32>,
    /// Why the last one did not happen.
    failure: Option<Failure>,
    stopped: Option<Stopped>,
}

fn count(so_far: &mut u32, most: u32, what: &str) -> Result<(), GuestError> {
    *so_far += 1;
    if *so_far <= most {
        return Ok(());
    }
    Err(GuestError {
        code: "host-calls".to_owned(),
        detail: format!("the executor asked for more than {most} {what}"),
    })
}

/// A failure by its name in the contract with executors.
fn failed(failure: &str) -> Performed {
    Performed::Failed { failure: failure.to_owned() }
}

impl<R: Recorder, S: Start, B: Backend> Runner<R, S, B> {
    /// Lets the executor drive. None when every operation was done as approved and none undone.
    pub(super) async fn run_executor(
        &self,
        context: &JobContext<'_, R>,
        run: &mut B::Run,
        executor: &[u8],
    ) -> Result<Option<Ending>, ActError> {
        let operations = context.plan.sealed().operations();
        let handles = operations
            .iter()
            .zip(0..)
            .map(|(step, index)| Handle { index, after: step.after.clone() })
            .collect();
        let execute = Compute::Execute { handles, guest_ms: GUEST_MS };
        let mut execution = Execution {
            runner: self,
            context,
            run,
            used: BTreeSet::new(),
            done: BTreeSet::new(),
            undone: BTreeSet::new(),
            held: Vec::new(),
            differing: BTreeSet::new(),
            failure: None,
            stopped: None,
        };
        let mut session = match self.guests.open(GuestKind::Executor, executor, &execute).await {
            Ok(session) => session,
            Err(error) => return Ok(Some(execution.trouble(&error))),
        };
        match execution.listen(&mut session).await {
            Ok(stop) => execution.ending(stop, operations.len()),
            Err(Trouble::Act(error)) => Err(error),
            Err(Trouble::Guest(error)) => Ok(Some(execution.trouble(&error))),
        }
    }
}

impl<R: Recorder, S: Start, B: Backend> Execution<'_, R, S, B> {
    async fn listen(&mut self, session: &mut Session) -> Result<Option<Stop>, Trouble> {
        // Counted here and not only in the sandbox: the guest's process is not believed. Returning
        // ends it.
        let (mut performs, mut observes, mut notes) = (0, 0, 0);
        let end = Instant::now()
            + EXECUTE
            + Duration::from_secs(task_seconds(self.context.plan.sealed().operations()));
        loop {
            let slow = |_| GuestError {
                code: "time".to_owned(),
                detail: "the executor took too long".to_owned(),
            };
            match tokio::time::timeout_at(end, session.next()).await.map_err(slow)??.0 {
                Computed::Perform { index, undo } => {
                    count(&mut performs, PERFORMS, "operations")?;
                    let span = tracing::info_span!("perform", cofferdam.operation.index = index);
                    let answer = self.perform(index, undo).instrument(span).await?;
                    session.send(&answer, Vec::new()).await?;
                }
                Computed::Observe { index, wait_ms } => {
                    count(&mut observes, OBSERVES, "looks")?;
                    let wait = Duration::from_millis(wait_ms.min(OBSERVE_MS));
                    let span = tracing::info_span!("observe", cofferdam.operation.index = index);
                    let answer = self
                        .observe(index, (Instant::now() + wait).min(end))
                        .instrument(span)
                        .await;
                    session.send(&answer, Vec::new()).await?;
                }
                Computed::Progress { note } => {
                    count(&mut notes, NOTES, "notes")?;
                    let text = note.chars().take(NOTE).collect();
                    self.context
                        .lease
                        .progress(vec![Said { operation: None, text, skipped: 0 }])
                        .await;
                }
                Computed::Finished { stop } => return Ok(stop),
                Computed::Failed { code, detail } => return Err(GuestError { code, detail }.into()),
                _ => {
                    let detail = "the executor's sandbox sent an unexpected response".to_owned();
                    return Err(GuestError { code: "output".to_owned(), detail }.into());
                }
            }
        }
    }

    /// One handle: may it happen, did it, and did what came out match.
    async fn perform(&mut self, index: u32, undo: bool) -> Result<Performed, ActError> {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let plan = self.context.plan;
        let (Some(wanted), Some(approved)) =
            (plan.sealed().operations().get(at), plan.preview().operations.get(at))
        else {
            return Ok(failed("refused"));
        };
        if !self.used.insert((index, undo))
            || (undo && (!self.done.contains(&index) || !wanted.reversible))
        {
            return Ok(failed("refused"));
        }
        if !undo
            && !wanted
                .after
                .iter()
                .all(|before| self.done.contains(before) && !self.undone.contains(before))
        {
            let why = "it comes after an operation that is not done".to_owned();
            self.failure = Some(Failure { index, undo, why, unknown: false });
            return Ok(failed("out-of-order"));
        }
        self.stopped = self.context.lease.stopped().await;
        match self.stopped {
            Some(Stopped::Lost) => return Err(ActError::Lost),
            // Done operations are undone nevertheless: few effects of a cancelled job remain.
            Some(Stopped::Cancelled) if !undo => return Ok(failed("stopped")),
            Some(Stopped::Cancelled) | None => {}
        }
        // Checked before it is recorded as started: most impossible operations never start.
        if !undo && let Err(error) = self.run.check(&wanted.operation, approved).await {
            return Ok(self.fail(index, undo, &error));
        }
        let before =
            if undo { self.context.host.fields(&approved.after) } else { approved.before.clone() };
        let acts = self.context.lease.defers_acting();
        let started = RunnerEvent::Started { operation: index, undo, before };
        match self.context.lease.report(started).await {
            Ok(_) => {}
            // The recorder refuses the use of the permit: the job was cancelled meanwhile.
            Err(RoleError::Refused(_)) if acts => {
                self.stopped = self.context.lease.stopped().await;
                return Ok(failed("stopped"));
            }
            Err(error) => return Err(error.into()),
        }
        if acts {
            (self.context.step)(JobStep::ActingRecorded);
        }
        (self.context.step)(JobStep::OperationStarted);
        let (after, held) = match self.effect(wanted, approved, undo).await {
            Ok(after) => (after, None),
            // The request was done as approved, and its purpose is not reached yet. No later
            // operation may begin.
            Err(EffectError::Held(going)) if !undo => {
                let held = going.to_string();
                (going.after, Some(held))
            }
            Err(error) => return Ok(self.fail(index, undo, &error)),
        };
        (self.context.step)(JobStep::OperationEffected);
        let done = RunnerEvent::Done { operation: index, undo, after };
        if B::COMMITS && !matches!(wanted.operation, Operation::Task { .. }) {
            // In the private copy alone: recorded with what comes next.
            self.context.lease.defer(done);
        } else {
            self.context.lease.report(done).await?;
        }
        (self.context.step)(JobStep::OperationRecorded);
        if undo {
            self.undone.insert(index)
        } else {
            self.done.insert(index)
        };
        if let Some(held) = held {
            self.held.push(held);
            return Ok(failed("refused"));
        }
        Ok(Performed::Done { undo: !undo && wanted.reversible })
    }

    /// Carries out the effect. Passes its output on while it lasts, and all of it before the
    /// effect's end.
    async fn effect(
        &mut self,
        wanted: &Step,
        approved: &PreviewedOperation,
        undo: bool,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        let (told, mut heard) = mpsc::channel(1);
        let (context, runner, run) = (self.context, self.runner, &mut *self.run);
        let effect = async move {
            let told = told;
            match &wanted.operation {
                _ if undo => run.undo(approved).await,
                Operation::Task { program: Program::Command(digest), .. } => {
                    runner.command(digest, &wanted.operation, approved, context.commands).await
                }
                operation => run.perform(operation, approved, context.host, &told).await,
            }
        };
        let passing = async {
            while let Some(said) = heard.recv().await {
                context.lease.progress(said).await;
            }
        };
        let after = tokio::join!(effect, passing).0?;
        let (size, room) = (
            after.get("result").and_then(Value::as_str).map_or(0, size_of_result),
            room(context.plan.sealed().operations()),
        );
        if matches!(wanted.operation, Operation::Task { .. }) && size > room {
            let why = format!(
                "the task ended well, and its result takes {size} bytes as it is shown; there are \
                 {room} for each task of this plan"
            );
            return Err(EffectError::Refused(why));
        }
        Ok(after)
    }

    /// How far the object of a done operation is, as soon as it is ready or cannot become so, or at
    /// the latest at `until`.
    async fn observe(&self, index: u32, until: Instant) -> Observed {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(approved) = self
            .context
            .plan
            .preview()
            .operations
            .get(at)
            .filter(|_| self.done.contains(&index) && !self.undone.contains(&index))
        else {
            return Observed::failed("that operation is not done");
        };
        loop {
            let seen = match self.run.observe(approved).await {
                Ok(seen @ (Observed::Ready | Observed::Failed { .. })) => return seen,
                Ok(seen) => seen,
                // An object that cannot be read at present has not failed: the executor decides how
                // long it waits.
                Err(error) => Observed::progressing(&error.to_string()),
            };
            if Instant::now() + LOOK >= until || self.context.lease.is_stopped() {
                return seen;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The end of the conversation with an executor.
enum Trouble {
    /// The runner has to stop.
    Act(ActError),
    /// The executor or its process failed.
    Guest(GuestError),
}

impl From<ActError> for Trouble {
    fn from(error: ActError) -> Self {
        Self::Act(error)
    }
}

impl From<GuestError> for Trouble {
    fn from(error: GuestError) -> Self {
        Self::Guest(error)
    }
}
