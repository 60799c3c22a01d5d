//! Runs the stages of the gateway with a component that is not accepted: tool and policy in guest
//! processes, the real viewer, and a recorder that stores nothing. A change is only previewed; a
//! read plan runs, because it changes nothing.

use super::viewer::TrialViewer;
use crate::command::plugin::{Bench, Plugin, Policy, wasm};
use crate::config::Installation;
use crate::config::trust_file::TrustFile;
use anyhow::{Context as _, Result, bail};
use cofferdam_core::journey;
use cofferdam_core::journey::ports::{
    GuestError, Host, Judge, Planner, Recorder, Viewer, no_progress,
};
use cofferdam_core::journey::{Lists, Mode, World};
use cofferdam_core::model::answer::Reply;
use cofferdam_core::model::caller::{Caller, Principal, Standing};
use cofferdam_core::model::ceiling::Definition;
use cofferdam_core::model::delegation::SignedDelegation;
use cofferdam_core::model::id::{CallId, ComponentDigest};
use cofferdam_core::model::operation::{Draft, ToolRefusal};
use cofferdam_core::model::record::Recorded;
use cofferdam_core::model::trust::{Approver, Trust};
use cofferdam_core::policy::digest::policy_digest;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use cofferdam_core::stage::discover::RawCall;
use cofferdam_core::tool::catalog::Catalog;
use cofferdam_core::tool::facts::read_only;
use cofferdam_core::tool::load::LoadedTool;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use serde_json::Value;

/// The host of the stages, for one call.
struct Trial<'a> {
    plugin: &'a Plugin,
    policy: Policy,
    sight: TrialViewer,
    random: u128,
}

/// Calls the tool as this principal, with the component in place of an accepted one of its name.
pub fn ask(
    bench: &Bench,
    plugin: &Plugin,
    definition: &Definition,
    installation: &Installation,
    principal: Principal,
    arguments: Value,
) -> Result<Reply> {
    let home = &installation.home;
    let trusted = plugin.trusted(definition, definition.ceiling.clone());
    let mut file = TrustFile::open(home)?;
    file.put_tool(&trusted)?;
    let text = file.text();
    let trust = Trust::parse(&text)?;
    let module = wasm(&home.policy_module()).context("the policy")?;
    let data =
        std::fs::read_to_string(home.policy_data()).context("cannot read policy/data.json")?;
    let digest = policy_digest(&module, &data).context("policy/data.json is not readable")?;
    if digest != trust.policy {
        bail!("the policy in the home is not the accepted one; `cofferdam doctor` says more");
    }
    let policy = bench.policy(&module, &data)?;
    let tool = LoadedTool::load(definition.clone(), plugin.digest, &trusted)?;
    let tool_name = tool.name().to_owned();
    let seed: [u8; 32] = crate::command::init::random()?;
    // Signs nothing: a preview ends before the permit.
    let key = SigningKey::from_bytes(&seed);
    let world = World {
        catalog: Catalog::new(vec![tool], &trust)?,
        trust,
        policy: digest,
        key,
        lists: Lists::default(),
    };
    let mode = if read_only(&definition.ceiling) { Mode::Call } else { Mode::Preview };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    runtime.block_on(async {
        let sight = TrialViewer::open(installation, &text).await?;
        let trial = Trial {
            plugin,
            policy,
            sight,
            random: u128::from_ne_bytes(crate::command::init::random()?),
        };
        let caller = Caller {
            call: CallId::from_random(trial.random),
            principal,
            time: trial.now(),
            trace: None,
        };
        let raw =
            RawCall { caller, tool: tool_name, arguments, key: None, wait_ms: 0, person_ms: 0 };
        Ok::<_, anyhow::Error>(journey::ask(&trial, &world, raw, mode, &no_progress).await)
    })
}

impl Host for Trial<'_> {
    type Planner = Self;
    type Judge = Self;
    type Viewer = Self;
    type Recorder = Self;

    fn planner(&self) -> &Self {
        self
    }

    fn judge(&self) -> &Self {
        self
    }

    fn viewer(&self) -> &Self {
        self
    }

    fn recorder(&self) -> &Self {
        self
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> u128 {
        self.random
    }

    // No call of a trial waits for a person, so none is resumed.
    async fn standing(&self, _: &Principal) -> Standing {
        Standing::Removed
    }

    fn approvers(&self) -> Result<Vec<Approver>, RoleError> {
        Ok(Vec::new())
    }

    fn delegations(&self) -> Result<Vec<SignedDelegation>, RoleError> {
        Ok(Vec::new())
    }
}

impl Planner for Trial<'_> {
    async fn plan(
        &self,
        _: ComponentDigest,
        arguments: &str,
    ) -> Result<Result<Draft, ToolRefusal>, GuestError> {
        self.plugin.plan(arguments)
    }
}

impl Judge for Trial<'_> {
    async fn evaluate(&self, entrypoint: &str, input: &str) -> Result<String, GuestError> {
        self.policy.evaluate(entrypoint, input)
    }
}

impl Viewer for Trial<'_> {
    async fn read(&self, request: ReadRequest) -> Result<ReadResponse, RoleError> {
        self.sight.look(&request).await
    }
}

impl Recorder for Trial<'_> {
    /// Accepts and drops the end of a call; any other request would make a job.
    async fn propose(&self, propose: Propose) -> Result<Proposed, RoleError> {
        match propose {
            Propose::End { .. } => Ok(Proposed::Recorded(Recorded { index: 0 })),
            _ => Err(RoleError::Unavailable("a trial records nothing".to_owned())),
        }
    }
}
