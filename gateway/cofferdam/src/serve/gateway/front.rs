//! The gateway behind the edge: each request becomes a call with an id and a time. Decides nothing.

use super::agents::AgentsFile;
use super::callers::Callers;
use super::host::{GatewayHost, Roles};
use super::instrument::{Observed, ended};
use super::load::Parts;
use super::oauth::Oauth;
use crate::serve::notice::Notices;
use anyhow::{Context as _, Result, anyhow};
use cofferdam_core::journey;
use cofferdam_core::journey::ports::{
    Answered, Front, FrontCall, Host as _, ProgressSink, Readiness, Unauthenticated, no_progress,
};
use cofferdam_core::journey::{Mode, Resumed, Wait};
use cofferdam_core::model::access::{Authenticated, Credential};
use cofferdam_core::model::answer::{Reply, ToolListings};
use cofferdam_core::model::caller::{Caller, Principal};
use cofferdam_core::model::escape::line;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::resource::{Content, Prompt, PromptError, PromptMessage, Resource};
use cofferdam_core::model::task::Task;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::Notice;
use cofferdam_core::protocol::role_settings::GatewaySettings;
use cofferdam_core::stage::discover::RawCall;
use cofferdam_core::tool::catalog::Catalog;
use cofferdam_core::tool::load::LoadedTool;
use cofferdam_process::rpc::Client;
use cofferdam_sandbox::policy_pool::Policies;
use cofferdam_sandbox::tool_pool::Tools;
use cofferdam_telemetry::{Exporter, METRICS_INTERVAL, Outlet, current};
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};
use tracing::Span;

/// The number of threads that run tools, and of threads that decide: one of each for each of two
/// processors.
const THREADS: usize = 2;

/// Milliseconds that the recorder holds one request for approved calls.
const RESUME_WAIT_MS: u64 = 20_000;

/// The pause after a failed request to the recorder.
const RESUME_PAUSE: Duration = Duration::from_millis(500);

/// The gateway, ready to serve calls.
pub struct Gateway {
    pub(super) world: GatewayHost,
    known: journey::World,
    notices: Notices,
    wait_ms: u64,
    has_courier: bool,
    pub(super) exporter: Arc<Exporter>,
    pub(super) outlet: Outlet,
    /// The HTTP requests in progress.
    pub(super) active: AtomicU32,
    /// A folder on the disk of the home.
    pub(super) disk: PathBuf,
}

impl Gateway {
    /// Starts the sandboxes and reads the definition of every tool.
    pub async fn new(
        settings: &GatewaySettings,
        trust: Trust,
        key: SigningKey,
        parts: Parts,
        roles: Arc<Roles>,
        agents: AgentsFile,
        (exporter, outlet): (Arc<Exporter>, Outlet),
    ) -> Result<Self> {
        let Parts { tools, policy, data, policy_digest } = parts;
        let tools = Tools::start(THREADS, tools)
            .map_err(|error| anyhow!("the tools do not load: {error}"))?;
        let policies = Policies::start(THREADS, policy, data)
            .map_err(|error| anyhow!("the policy does not load: {error}"))?;
        let mut loaded = Vec::with_capacity(trust.tools.len());
        for accepted in &trust.tools {
            let definition = tools
                .define(accepted.digest)
                .await
                .map_err(|error| anyhow!("{error}"))
                .with_context(|| format!("the tool `{}` does not say what it is", accepted.name))?;
            loaded.push(LoadedTool::load(definition, accepted.digest, accepted)?);
        }
        let known = journey::World {
            catalog: Catalog::new(loaded, &trust)?,
            trust,
            policy: policy_digest,
            key,
            lists: journey::Lists::default(),
        };
        let oauth = settings
            .oauth
            .as_ref()
            .map(|oauth| Oauth::new(oauth, Arc::clone(&roles)))
            .transpose()?;
        let world = GatewayHost {
            tools: Observed::new(tools, outlet.clone()),
            policies: Observed::new(policies, outlet.clone()),
            roles: Observed::new(roles, outlet.clone()),
            callers: Callers::new(agents, oauth),
            trust_file: settings.trust_file.clone(),
        };
        let notices = Notices::default();
        Ok(Self {
            world,
            known,
            notices,
            wait_ms: settings.wait_ms,
            has_courier: settings.courier,
            exporter,
            outlet,
            active: AtomicU32::new(0),
            disk: settings.disk.clone(),
        })
    }

    /// Stores a notice of the supervisor.
    pub(super) fn store_notice(&self, told: &str) {
        self.notices.store(told);
    }

    /// The client of the recorder.
    pub(super) fn recorder(&self) -> &Client<Propose, Proposed> {
        &self.world.roles.inner().recorder
    }

    fn raw(&self, call: FrontCall) -> RawCall {
        let caller = Caller {
            call: CallId::from_random(self.world.random()),
            principal: call.principal,
            time: self.world.now(),
            // The span of this call is the parent of later stages and of the runner.
            trace: current(&Span::current()).or(call.trace),
        };
        let wait_ms = call.wait_ms.min(self.wait_ms);
        RawCall {
            caller,
            tool: call.tool,
            arguments: call.arguments,
            key: call.key,
            wait_ms,
            person_ms: call.person_ms,
        }
    }
}

impl Front for Gateway {
    async fn authenticate(
        &self,
        credential: Credential<'_>,
    ) -> Result<Authenticated, Unauthenticated> {
        self.world.callers.authenticate(credential, self.world.now()).await
    }

    async fn list(&self, principal: &Principal) -> Result<ToolListings, RoleError> {
        journey::list(&self.world, &self.known, principal).await
    }

    async fn call(&self, call: FrontCall, progress: &ProgressSink) -> Reply {
        let (tool, began) = (call.tool.clone(), Instant::now());
        let reply =
            journey::ask(&self.world, &self.known, self.raw(call), Mode::Call, progress).await;
        ended(&self.outlet, &tool, began, &reply);
        reply
    }

    async fn preview(&self, call: FrontCall) -> Reply {
        journey::ask(&self.world, &self.known, self.raw(call), Mode::Preview, &no_progress).await
    }

    async fn job(
        &self,
        principal: &Principal,
        call: &CallId,
        wait_ms: u64,
        progress: &ProgressSink,
    ) -> Reply {
        let ms = wait_ms.min(self.wait_ms);
        journey::job(
            &self.world,
            &self.known,
            principal,
            call,
            Wait { ms, person_ms: ms, progress },
        )
        .await
    }

    async fn task(&self, principal: &Principal, call: &CallId) -> Result<Option<Task>, RoleError> {
        journey::task(&self.world, &self.known, principal, call).await
    }

    fn resource_templates(&self) -> Vec<Resource> {
        journey::templates()
    }

    async fn resources(&self, principal: &Principal) -> Result<Vec<Resource>, RoleError> {
        journey::resources(&self.world, principal).await
    }

    async fn resource(
        &self,
        principal: &Principal,
        uri: &str,
    ) -> Result<Option<Content>, RoleError> {
        journey::resource(&self.world, &self.known, principal, uri).await
    }

    fn prompts(&self) -> Vec<Prompt> {
        journey::prompts(&self.known)
    }

    async fn prompt(
        &self,
        principal: &Principal,
        name: &str,
        arguments: &BTreeMap<String, String>,
    ) -> Result<Vec<PromptMessage>, PromptError> {
        journey::prompt(&self.world, &self.known, principal, name, arguments).await
    }

    async fn call_ids(&self, principal: &Principal, start: &str) -> Result<Vec<String>, RoleError> {
        journey::ids(&self.world, principal, start).await
    }

    async fn calls(&self, principal: &Principal, open: bool, limit: u32) -> Reply {
        journey::calls(&self.world, &self.known, principal, open, limit).await
    }

    async fn cancel(&self, principal: &Principal, call: &CallId) -> Reply {
        journey::cancel(&self.world, &self.known, principal, call).await
    }

    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn random(&self) -> u128 {
        self.world.random()
    }

    fn instructions(&self) -> String {
        let environment = &self.known.trust.environment;
        let kind = if environment.is_cluster() {
            "a Kubernetes cluster"
        } else {
            "a folder of Kubernetes manifests: a change edits a file there, and nothing is \
             committed or rolled out by it"
        };
        format!(
            "Cofferdam operates the environment `{}` for you: {kind}. Every call becomes a plan \
             that policy decides over; a refusal says why, and what would be allowed. `preview` \
             shows a plan without doing it. The first line of an answer names the call's id: \
             `job_get` follows the call by it, `job_cancel` withdraws it, and people approve it \
             by it. A call that waits for a person is answered WAITING and runs by itself once it \
             is approved. A call that timed out goes on: make the same call again to join it, or \
             find it with `calls_list`.",
            environment.name
        )
    }

    fn environment(&self) -> String {
        self.known.trust.environment.name.clone()
    }

    async fn ready(&self) -> Readiness {
        // A role has its socket only after its own checks passed.
        let roles = self.world.roles.inner();
        let viewer = (!roles.viewer.connected()).then(|| "the viewer is not there".to_owned());
        let mut stuck = Vec::new();
        let rest =
            match roles.recorder.call(&Propose::Runners).await {
                Ok(Proposed::Runners { there, stuck: jobs }) => {
                    stuck.extend(jobs.iter().map(|job| {
                        format!("{} {}", job.call, line(&job.stuck.obstacle.to_string()))
                    }));
                    (!there).then(|| "no runner is there; the log says why none starts".to_owned())
                }
                Ok(_) => Some("the recorder answers something else".to_owned()),
                Err(error) => Some(format!("the recorder does not answer: {error}")),
            };
        let (refuses, warns) = match roles.recorder.call(&Propose::Health).await {
            Ok(Proposed::Health { refuses, warns, .. }) => (refuses, warns),
            // An unresponsive recorder was named above.
            _ => (None, Vec::new()),
        };
        let Notice { restart, faults: mut errors, warnings } = self.notices.now();
        if refuses.is_some() {
            // The recorder's word on its disk, and once.
            errors.retain(|error| !error.starts_with("disk:"));
        }
        let missing = viewer.into_iter().chain(rest).chain(refuses).chain(errors).collect();
        let courier = (self.has_courier && !roles.courier.connected()).then(|| {
            "the courier is not there: access tokens cannot be checked once the keys of their \
             issuer are too old; the log says why it does not start"
                .to_owned()
        });
        let warns = warns.into_iter().chain(courier);
        let warnings = warnings.into_iter().chain(warns).map(|why| line(&why)).collect();
        Readiness { missing, warnings, restart, stuck }
    }

    async fn metrics(&self) -> String {
        self.count().await;
        self.exporter.prometheus()
    }

    fn active(&self, requests: u32) {
        self.count_active(requests);
    }

    fn mixed_revisions(&self, client: &str) {
        self.count_mixed_revisions(client);
    }

    fn answered(&self, answered: &Answered) {
        self.count_answered(answered);
    }
}

/// Sends all metrics to the collector at each interval, if a collector is configured.
pub async fn send_metrics(gateway: Arc<Gateway>) {
    if !gateway.exporter.has_collector() {
        return;
    }
    let mut ticks = tokio::time::interval(METRICS_INTERVAL);
    loop {
        ticks.tick().await;
        gateway.count().await;
        gateway.exporter.send_metrics().await;
    }
}

/// Sends the served trust file to the recorder, which closes questions that it no longer supports.
/// Ends when that is recorded.
pub async fn declare(gateway: Arc<Gateway>) {
    let serving = Propose::Serving { trust: Box::new(gateway.known.trust.clone()) };
    while let Err(error) = gateway.world.roles.inner().recorder.call(&serving).await {
        tracing::debug!(%error, "the recorder cannot be told what is served; tried again");
        tokio::time::sleep(RESUME_PAUSE).await;
    }
}

/// Runs approved calls through the stages again.
pub async fn resume(gateway: Arc<Gateway>) {
    loop {
        match journey::resume(&gateway.world, &gateway.known, RESUME_WAIT_MS).await {
            Ok(Resumed::Withdrawn { call, code, .. }) => {
                tracing::info!(%call, code, "an approved call did not run")
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "approved calls cannot be asked for; tried again");
                tokio::time::sleep(RESUME_PAUSE).await;
            }
        }
    }
}

/// Makes the fresh previews that approvers request.
pub async fn look(gateway: Arc<Gateway>) {
    loop {
        if let Err(error) = journey::fresh(&gateway.world, &gateway.known, RESUME_WAIT_MS).await {
            tracing::debug!(%error, "looks that approvers ask for cannot be taken; tried again");
            tokio::time::sleep(RESUME_PAUSE).await;
        }
    }
}
