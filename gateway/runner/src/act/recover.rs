//! Taking over a job whose runner was lost while it acted or cleaned up: find out what became of it, complete what was committed, clean up. Never
//! starts an operation: what was only in a private copy never happened.

use super::{ActFault, Ending, Runner, aside, torn};
use crate::directory::journal::Recovered;
use crate::directory::namespace;
use crate::guest::Start;
use crate::lease::{Lease, Recorder};
use cofferdam_core::run::{JobStep, Outcome, Phase};

impl<R: Recorder, S: Start> Runner<R, S> {
    /// Under the tree's lock first the old namespaces go, so that a runner that is not dead after all cannot commit any more; then the journal says
    /// what became of the job.
    pub(super) async fn recover(
        &self,
        lease: &Lease<R>,
        phase: Phase,
        outcome: Option<Outcome>,
        step: &(dyn Fn(JobStep) + Sync),
    ) -> Result<(), ActFault> {
        let (folder, found) = {
            let lock = self.journal.lock()?;
            let folder = namespace::sweep(&self.runs, lease.call(), lease.fence())?;
            (folder, self.journal.recover(lease.call(), &lock).map_err(ActFault::Journal)?)
        };
        if phase == Phase::TearingDown && outcome.is_some() {
            return self.close(lease, folder.as_deref(), step).await;
        }
        let ending = match found {
            Recovered::Complete => Ending::new(
                Outcome::Succeeded,
                "recovered",
                "the runner was lost after the changes were committed; they were completed from the journal",
            ),
            Recovered::Untouched => {
                Ending::new(Outcome::Failed, "runner-lost", "the runner was lost before any change was committed; the tree is untouched")
            }
            Recovered::Conflict(path) => torn(&path),
            Recovered::SetAside(journal) => aside(&journal),
        };
        self.finish(lease, ending, folder.as_deref(), step).await
    }
}
