//! Emergency stops: made and lifted by operators. Never checks the room on the disk: a stop must be
//! possible whenever the store takes a write.

use super::{Recorder, misplaced_answer};
use crate::store::change::{Change, Done};
use cofferdam_core::model::escape::unseen;
use cofferdam_core::model::limit::PURPOSE;
use cofferdam_core::model::stop::{NAME, Stop, StopScope, covering};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::operator_recorder::Operated;

impl Recorder {
    /// Stops calls for an operator.
    ///
    /// # Errors
    /// [`RoleError::Refused`]: the name or the reason is empty, too long or not visible; the calls
    /// are stopped already; or there are too many stops.
    pub(super) async fn stop(
        &self,
        calls: StopScope,
        because: String,
        by: String,
        how: &'static str,
    ) -> Result<Operated, RoleError> {
        if !(1..=PURPOSE).contains(&because.chars().count()) || unseen(&because).is_some() {
            return Err(RoleError::Refused(format!(
                "give the reason in 1 to {PURPOSE} visible characters; agents read it"
            )));
        }
        if let StopScope::Tool(name) | StopScope::Agent(name) = &calls
            && (!(1..=NAME).contains(&name.chars().count()) || unseen(name).is_some())
        {
            return Err(RoleError::Refused(format!(
                "give a name of 1 to {NAME} visible characters"
            )));
        }
        let stop = Stop { calls, because, by, since: self.now() };
        match self.submit(Change::Stop { stop, how }).await? {
            Done::Stopped { ended } => self.stops(ended).await,
            _ => Err(misplaced_answer()),
        }
    }

    /// Lifts a stop for an operator.
    ///
    /// # Errors
    /// [`RoleError::Refused`]: there is no stop of these calls.
    pub(super) async fn lift_stop(
        &self,
        calls: StopScope,
        by: String,
        how: &'static str,
    ) -> Result<Operated, RoleError> {
        match self.submit(Change::LiftStop { calls, by, how }).await? {
            Done::Stopped { .. } => self.stops(0).await,
            _ => Err(misplaced_answer()),
        }
    }

    /// The stops, after a request that ended so many jobs.
    pub(super) async fn stops(&self, ended: u64) -> Result<Operated, RoleError> {
        let reader = &self.inner.reader;
        let (stops, held) = (reader.stops().await?, reader.held().await?);
        Ok(Operated::Stops { stops, ended, held })
    }

    /// Returns whether an operator stopped the calls of this tool and this agent.
    pub(super) fn is_stopped(&self, tool: &str, agent: &str) -> bool {
        covering(&self.inner.shared.stops.borrow(), tool, agent).is_some()
    }
}
