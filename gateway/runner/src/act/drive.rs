//! The executor at work: it says which handle is next, the runner decides whether that may happen, does it in the private copy, and compares. The
//! executor's process holds nothing but the numbers of its handles.

use super::{ActFault, Ending, Runner, cancelled};
use crate::directory::namespace::{EffectFault, Namespace};
use crate::guest::{Session, Start};
use crate::host::Host;
use crate::lease::{Lease, Recorder, Stopped};
use cofferdam_core::decide::readmit::LeasedPlan;
use cofferdam_core::exchange::claim::RunnerEvent;
use cofferdam_core::exchange::compute::{Compute, Computed, GuestKind, Handle, Performed, Stop};
use cofferdam_core::ports::GuestFault;
use cofferdam_core::run::{JobStep, Outcome};
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::Instrument as _;

/// The executor's own time, in milliseconds: it orders and waits, it does not compute.
const GUEST_MS: u64 = 5_000;

/// How long an executor may take in all, by the clock on the wall.
const EXECUTE: Duration = Duration::from_secs(900);

/// Handles an executor may perform, well or not: many times the largest plan's, and each is asked for and recorded.
const PERFORMS: u32 = 1_000;

/// Notes an executor may pass on: people read them, and each is the recorder's work.
const NOTES: u32 = 100;

/// What an executor's run came to.
#[derive(Default)]
struct Progress {
    /// Handles that were performed, well or not: a handle is consumed.
    used: BTreeSet<(u32, bool)>,
    done: BTreeSet<u32>,
    undone: BTreeSet<u32>,
    /// Why the last one did not happen.
    failure: Option<(u32, String)>,
    stopped: Option<Stopped>,
}

fn count(so_far: &mut u32, most: u32, what: &str) -> Result<(), GuestFault> {
    *so_far += 1;
    if *so_far <= most {
        return Ok(());
    }
    Err(GuestFault { code: "host-calls".to_owned(), detail: format!("the executor asked for more than {most} {what}") })
}

/// What a failure is called in the contract with executors.
fn failed(failure: &str) -> Performed {
    Performed::Failed { failure: failure.to_owned() }
}

impl<R: Recorder, S: Start> Runner<R, S> {
    /// Lets the executor drive. None when every operation was done as approved and none undone.
    pub(super) async fn drive(
        &self,
        lease: &Lease<R>,
        plan: &LeasedPlan,
        copy: &mut Namespace,
        host: &Host,
        executor: &[u8],
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<Option<Ending>, ActFault> {
        let operations = plan.sealed().operations();
        let handles = operations.iter().zip(0..).map(|(step, index)| Handle { index, after: step.after.clone() }).collect();
        let execute = Compute::Execute { handles, guest_ms: GUEST_MS };
        let trouble = |fault: GuestFault| {
            Ending::new(Outcome::Failed, "executor-failed", format!("the executor failed: {fault}; the tree is untouched"))
        };
        let mut session = match self.guests.open(GuestKind::Executor, executor, &execute).await {
            Ok(session) => session,
            Err(fault) => return Ok(Some(trouble(fault))),
        };
        let mut progress = Progress::default();
        let work = self.listen(&mut session, lease, plan, copy, host, &mut progress, step);
        let stop = match tokio::time::timeout(EXECUTE, work).await {
            Ok(Ok(stop)) => stop,
            Ok(Err(Trouble::Act(fault))) => return Err(fault),
            Ok(Err(Trouble::Guest(fault))) => return Ok(Some(trouble(fault))),
            Err(_) => {
                return Ok(Some(Ending::new(Outcome::Failed, "executor-failed", "the executor took too long; the tree is untouched")));
            }
        };
        progress.ending(stop, operations.len())
    }

    #[expect(clippy::too_many_arguments, reason = "one loop over everything a run has; a struct would only rename them")]
    async fn listen(
        &self,
        session: &mut Session,
        lease: &Lease<R>,
        plan: &LeasedPlan,
        copy: &mut Namespace,
        host: &Host,
        progress: &mut Progress,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<Option<Stop>, Trouble> {
        // Counted here and not only in the sandbox: the guest's process is not believed. Returning ends it.
        let (mut performs, mut notes) = (0, 0);
        loop {
            match session.next().await?.0 {
                Computed::Perform { index, undo } => {
                    count(&mut performs, PERFORMS, "operations")?;
                    let span = tracing::info_span!("perform", cofferdam.operation.index = index);
                    let answer = self.perform((index, undo), lease, plan, copy, host, progress, step).instrument(span).await?;
                    session.send(&answer, Vec::new()).await?;
                }
                Computed::Progress { note } => {
                    count(&mut notes, NOTES, "notes")?;
                    lease.progress(&note).await;
                }
                Computed::Finished { stop } => return Ok(stop),
                Computed::Failed { code, detail } => return Err(GuestFault { code, detail }.into()),
                _ => {
                    return Err(GuestFault {
                        code: "output".to_owned(),
                        detail: "the executor's sandbox answered something else".to_owned(),
                    }
                    .into());
                }
            }
        }
    }

    /// One handle: may it happen, did it, and did what came out match.
    #[expect(clippy::too_many_arguments, reason = "as `listen`")]
    async fn perform(
        &self,
        (index, undo): (u32, bool),
        lease: &Lease<R>,
        plan: &LeasedPlan,
        copy: &mut Namespace,
        host: &Host,
        progress: &mut Progress,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<Performed, ActFault> {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let (Some(wanted), Some(approved)) = (plan.sealed().operations().get(at), plan.preview().operations.get(at)) else {
            return Ok(failed("refused"));
        };
        if !progress.used.insert((index, undo)) || (undo && (!progress.done.contains(&index) || !wanted.reversible)) {
            return Ok(failed("refused"));
        }
        if !undo && !wanted.after.iter().all(|before| progress.done.contains(before) && !progress.undone.contains(before)) {
            progress.failure = Some((index, "it comes after an operation that is not done".to_owned()));
            return Ok(failed("out-of-order"));
        }
        progress.stopped = lease.stopped();
        match progress.stopped {
            Some(Stopped::Lost) => return Err(ActFault::Lost),
            Some(Stopped::Cancelled) => return Ok(failed("stopped")),
            None => {}
        }
        if !undo && let Err(fault) = copy.check(approved) {
            return Ok(progress.fail(index, &fault));
        }
        let before = if undo { host.fields(&approved.after) } else { approved.before.clone() };
        lease.report(RunnerEvent::Started { operation: index, undo, before }).await?;
        step(JobStep::OperationStarted);
        let effect = if undo { copy.undo(approved) } else { copy.perform(&wanted.operation, approved, host) };
        let after = match effect {
            Ok(after) => after,
            Err(fault) => return Ok(progress.fail(index, &fault)),
        };
        step(JobStep::OperationEffected);
        lease.report(RunnerEvent::Done { operation: index, undo, after }).await?;
        step(JobStep::OperationRecorded);
        if undo {
            progress.undone.insert(index)
        } else {
            progress.done.insert(index)
        };
        Ok(Performed::Done { undo: !undo && wanted.reversible })
    }
}

impl Progress {
    fn fail(&mut self, index: u32, fault: &EffectFault) -> Performed {
        self.failure = Some((index, fault.to_string()));
        failed(if matches!(fault, EffectFault::Conflict(_)) { "conflict" } else { "refused" })
    }

    fn ending(self, stop: Option<Stop>, operations: usize) -> Result<Option<Ending>, ActFault> {
        match self.stopped {
            Some(Stopped::Cancelled) => return Ok(Some(cancelled())),
            Some(Stopped::Lost) => return Err(ActFault::Lost),
            None => {}
        }
        let said =
            stop.map(|stop| format!("; the executor stopped at operation {} and says {:?}", stop.index, stop.note)).unwrap_or_default();
        if let Some((index, why)) = self.failure {
            let detail = format!("operation {index} was not done: {why}{said}; the tree is untouched");
            return Ok(Some(Ending::new(Outcome::Failed, "operation-failed", detail)));
        }
        if !said.is_empty() || self.done.len() != operations || !self.undone.is_empty() {
            let detail = format!(
                "{} of {operations} operations were done and {} undone{said}; the tree is untouched",
                self.done.len(),
                self.undone.len()
            );
            return Ok(Some(Ending::new(Outcome::Failed, "operation-skipped", detail)));
        }
        Ok(None)
    }
}

/// What ends the conversation with an executor.
enum Trouble {
    /// The runner has to stop.
    Act(ActFault),
    /// The executor failed.
    Guest(GuestFault),
}

impl From<ActFault> for Trouble {
    fn from(fault: ActFault) -> Self {
        Self::Act(fault)
    }
}

impl From<GuestFault> for Trouble {
    fn from(fault: GuestFault) -> Self {
        Self::Guest(fault)
    }
}
