//! The gateway's outside, as the journey needs it: sandboxes in this process, two sockets, the
//! clock and the operating system's randomness.

use super::agents::AgentsFile;
use super::instrument::Observed;
use cofferdam_core::journey::ports::Host;
use cofferdam_core::model::caller::{Principal, Standing};
use cofferdam_core::model::trust::{Approver, Trust};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::gateway_viewer::{Look, Looked};
use cofferdam_process::peer::Client;
use cofferdam_sandbox::policies::Policies;
use cofferdam_sandbox::tools::Tools;
use jiff::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// The sockets to other roles.
pub struct Roles {
    /// Remembers.
    pub recorder: Client<Propose, Proposed>,
    /// Looks.
    pub viewer: Client<Look, Looked>,
    /// True from when the gateway drains.
    pub draining: watch::Receiver<bool>,
}

impl Roles {
    /// Asks the recorder. A call that is held for its job's outcome is told how the job is at once
    /// when the gateway drains.
    pub async fn propose(&self, propose: &Propose) -> Result<Proposed, RoleError> {
        let Propose::Job { principal, call, beyond, wait_ms: 1.. } = propose else {
            return self.recorder.call(propose).await;
        };
        let mut draining = self.draining.clone();
        tokio::select! {
            biased;
            // Its sender lives as long as the edge.
            _ = draining.wait_for(|draining| *draining) => {}
            told = self.recorder.call(propose) => return told,
        }
        let at_once = Propose::Job {
            principal: principal.clone(),
            call: call.clone(),
            beyond: *beyond,
            wait_ms: 0,
        };
        self.recorder.call(&at_once).await
    }
}

/// Everything the journey asks of.
pub struct GatewayHost {
    /// Tools in fresh sandboxes.
    pub tools: Observed<Tools>,
    /// The policy in a fresh sandbox.
    pub policies: Observed<Policies>,
    /// Other roles.
    pub roles: Observed<Arc<Roles>>,
    /// Who calls.
    pub agents: AgentsFile,
    /// The copy of the trust file that is served.
    pub trust_file: PathBuf,
}

impl Host for GatewayHost {
    type Planner = Observed<Tools>;
    type Judge = Observed<Policies>;
    type Viewer = Observed<Arc<Roles>>;
    type Recorder = Observed<Arc<Roles>>;

    fn planner(&self) -> &Self::Planner {
        &self.tools
    }

    fn judge(&self) -> &Self::Judge {
        &self.policies
    }

    fn viewer(&self) -> &Self::Viewer {
        &self.roles
    }

    fn recorder(&self) -> &Self::Recorder {
        &self.roles
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn standing(&self, principal: &Principal) -> Standing {
        self.agents.standing(principal).await
    }

    fn approvers(&self) -> Result<Vec<Approver>, RoleError> {
        let failure = |error: &dyn std::fmt::Display| {
            RoleError::Unavailable(format!("the trust file cannot be read: {error}"))
        };
        let text = std::fs::read_to_string(&self.trust_file).map_err(|error| failure(&error))?;
        Ok(Trust::parse(&text).map_err(|error| failure(&error))?.approvers)
    }

    fn random(&self) -> u128 {
        // A machine without randomness cannot name a call; the process ends and the supervisor says
        // so.
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => u128::from_ne_bytes(bytes),
            Err(error) => {
                tracing::error!(what = "randomness", %error, "the operating system gives no randomness");
                std::process::exit(71)
            }
        }
    }
}
