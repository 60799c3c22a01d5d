//! The gateway behind the edge: each request becomes a call with an id and a time. Decides nothing.

mod loops;

pub use loops::{declare, look, resume, send_metrics, tell_over_limits};

use super::host::Roles;
use super::instrument::ended;
use super::over_limits::OverLimits;
use super::people_issuer::PeopleSignIn;
use super::served::served;
use super::set::{Keys, Set, Shared};
use super::sign_ins::SignIns;
use crate::serve::notice::Notices;
use anyhow::{Context as _, Result, anyhow};
use cofferdam_core::journey;
use cofferdam_core::journey::ports::{
    Answered, Front, FrontCall, Host as _, ProgressSink, Readiness, SignInRefusal, Unauthenticated,
    no_progress,
};
use cofferdam_core::journey::{Mode, Wait};
use cofferdam_core::model::access::{Authenticated, Credential};
use cofferdam_core::model::answer::{Reply, ToolListings};
use cofferdam_core::model::caller::{Caller, Principal};
use cofferdam_core::model::console_role::{ConsolePerson, SignedIn};
use cofferdam_core::model::escape::line;
use cofferdam_core::model::id::{CallId, PolicyDigest};
use cofferdam_core::model::resource::{Content, Prompt, PromptError, PromptMessage, Resource};
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::model::served::Served;
use cofferdam_core::model::sign_in::{
    AtIssuer, Challenge, FromIssuer, Session, SessionKeeper, SignedSignIn,
};
use cofferdam_core::model::task::Task;
use cofferdam_core::model::trust::{Environment, Trust};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::approver::{ApproverAnswer, ApproverAsk};
use cofferdam_core::protocol::console::{ConsoleAnswer, ConsoleAsk};
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::Notice;
use cofferdam_core::protocol::role_settings::GatewaySettings;
use cofferdam_core::stage::discover::RawCall;
use cofferdam_identity::IdTokens;
use cofferdam_process::control::Load;
use cofferdam_process::rpc::Client;
use cofferdam_telemetry::{Exporter, Outlet, current};
use jiff::Timestamp;
use loops::declare_both;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::{Mutex, watch};
use tracing::Span;

/// The gateway, ready to serve calls.
pub struct Gateway {
    /// The set of each new call.
    set: RwLock<Arc<Set>>,
    /// The set that was loaded last, with the number of its load, until it is used. Locked while a
    /// set is loaded.
    next: Mutex<Option<(u64, Arc<Set>)>>,
    pub(super) shared: Shared,
    keys: Keys,
    notices: Notices,
    over_limits: OverLimits,
    sign_ins: SignIns,
    /// The issuer of people; `None` where they have passkeys alone.
    people_issuer: Option<PeopleSignIn<Arc<Roles>>>,
    /// The limits of roles of the set in use, for the edge.
    role_limits: watch::Sender<Arc<RoleLimits>>,
    wait_ms: u64,
    has_courier: bool,
    pub(super) exporter: Arc<Exporter>,
    pub(super) outlet: Outlet,
    /// The HTTP requests in progress.
    pub(super) active: AtomicU32,
    /// A folder on the disk of the home.
    pub(super) disk: PathBuf,
}

/// How far the clocks of this machine and of the issuer of people may differ, in seconds.
const SKEW_SECONDS: u32 = 30;

/// The refusal where no issuer of people is configured.
fn no_issuer() -> SignInRefusal {
    SignInRefusal::Refused(
        "no issuer is configured for people; an operator adds [people.oidc] to cofferdam.toml"
            .to_owned(),
    )
}

impl Gateway {
    /// A gateway with its first set.
    ///
    /// # Errors
    /// The issuer of people has an algorithm that no token may have.
    pub fn new(
        settings: &GatewaySettings,
        (set, keys): (Set, Keys),
        shared: Shared,
        exporter: Arc<Exporter>,
        role_limits: watch::Sender<Arc<RoleLimits>>,
    ) -> Result<Self> {
        role_limits.send_replace(Arc::clone(&set.limits));
        let random = || (set.world.random(), set.world.random());
        let issuer = settings.people_issuer.clone();
        let issuer = issuer.map(|issuer| IdTokens::new(issuer, SKEW_SECONDS)).transpose()?;
        let source = || Arc::clone(shared.roles.inner());
        let people_issuer = issuer.map(|issuer| PeopleSignIn::new(issuer, source(), random()));
        Ok(Self {
            sign_ins: SignIns::new(random()),
            people_issuer,
            role_limits,
            set: RwLock::new(Arc::new(set)),
            next: Mutex::default(),
            keys,
            notices: Notices::default(),
            over_limits: OverLimits::default(),
            wait_ms: settings.wait_ms,
            has_courier: settings.courier,
            exporter,
            outlet: shared.outlet.clone(),
            active: AtomicU32::new(0),
            disk: settings.disk.clone(),
            shared,
        })
    }

    /// The set in use. A call takes it once.
    pub(super) fn set(&self) -> Arc<Set> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Loads another set beside the one in use, and announces it in the ledger. One load at a time.
    pub(super) async fn load(self: Arc<Self>, Load { number, settings }: Load) -> Result<()> {
        let mut next = self.next.lock().await;
        *next = None;
        let gateway = Arc::clone(&self);
        let runtime = tokio::runtime::Handle::current();
        let loading = tokio::task::spawn_blocking(move || {
            let settings: GatewaySettings =
                serde_json::from_str(&settings).context("the settings of the set")?;
            Set::load(&settings, &gateway.keys, &gateway.shared, &runtime)
        });
        let set = Arc::new(loading.await.context("the load ended early")??);
        let announce =
            Propose::Reload { digest: set.digest, trust: Box::new(set.known.trust.clone()) };
        self.recorder()
            .call(&announce)
            .await
            .map_err(|error| anyhow!("the reload cannot be recorded: {error}"))?;
        *next = Some((number, set));
        Ok(())
    }

    /// Uses the set of this load. Calls in progress keep theirs. Returns false if it is not the
    /// load that ended last.
    pub(super) async fn use_next(self: &Arc<Self>, number: u64) -> bool {
        let Some((_, set)) = self.next.lock().await.take_if(|(own, _)| *own == number) else {
            return false;
        };
        self.role_limits.send_replace(Arc::clone(&set.limits));
        let before = {
            let mut used = self.set.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *used, set)
        };
        tokio::spawn(declare_both(Arc::clone(self), before));
        true
    }

    /// Forgets the set of this load. The recorder learns that the set in use stays.
    pub(super) async fn forget(self: Arc<Self>, number: u64) {
        self.next.lock().await.take_if(|(own, _)| *own <= number);
        declare(self).await;
    }

    /// The trust file as it is now.
    fn trust(&self) -> Result<Trust, SignInRefusal> {
        self.set().world.trust().map_err(|error| SignInRefusal::Unavailable(error.to_string()))
    }

    /// Stores a notice of the supervisor.
    pub(super) fn store_notice(&self, told: &str) {
        self.notices.store(told);
    }

    /// The client of the recorder.
    pub(super) fn recorder(&self) -> &Client<Propose, Proposed> {
        &self.shared.roles.inner().recorder
    }

    fn raw(&self, set: &Set, call: FrontCall) -> RawCall {
        let caller = Caller {
            call: CallId::from_random(set.world.random()),
            principal: call.principal,
            time: set.world.now(),
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
        self.shared.callers.authenticate(credential, self.now()).await
    }

    async fn list(&self, principal: &Principal) -> Result<ToolListings, RoleError> {
        let set = self.set();
        journey::list(&set.world, &set.known, principal).await
    }

    async fn call(&self, call: FrontCall, progress: &ProgressSink) -> Reply {
        let (tool, began) = (call.tool.clone(), Instant::now());
        let set = self.set();
        let raw = self.raw(&set, call);
        let reply = journey::ask(&set.world, &set.known, raw, Mode::Call, progress).await;
        // Another name is the agent's own word, and no label.
        if set.known.catalog.get(&tool).is_some() {
            ended(&self.outlet, &tool, began, &reply);
        }
        reply
    }

    async fn preview(&self, call: FrontCall) -> Reply {
        let set = self.set();
        let raw = self.raw(&set, call);
        journey::ask(&set.world, &set.known, raw, Mode::Preview, &no_progress).await
    }

    async fn job(
        &self,
        principal: &Principal,
        call: &CallId,
        wait_ms: u64,
        progress: &ProgressSink,
    ) -> Reply {
        let (ms, set) = (wait_ms.min(self.wait_ms), self.set());
        journey::job(&set.world, &set.known, principal, call, Wait { ms, person_ms: ms, progress })
            .await
    }

    async fn task(&self, principal: &Principal, call: &CallId) -> Result<Option<Task>, RoleError> {
        let set = self.set();
        journey::task(&set.world, &set.known, principal, call).await
    }

    fn resource_templates(&self) -> Vec<Resource> {
        journey::templates()
    }

    async fn resources(&self, principal: &Principal) -> Result<Vec<Resource>, RoleError> {
        journey::resources(&self.set().world, principal).await
    }

    async fn resource(
        &self,
        principal: &Principal,
        uri: &str,
    ) -> Result<Option<Content>, RoleError> {
        let set = self.set();
        journey::resource(&set.world, &set.known, principal, uri).await
    }

    fn prompts(&self) -> Vec<Prompt> {
        journey::prompts(&self.set().known)
    }

    async fn prompt(
        &self,
        principal: &Principal,
        name: &str,
        arguments: &BTreeMap<String, String>,
    ) -> Result<Vec<PromptMessage>, PromptError> {
        let set = self.set();
        journey::prompt(&set.world, &set.known, principal, name, arguments).await
    }

    async fn call_ids(&self, principal: &Principal, start: &str) -> Result<Vec<String>, RoleError> {
        journey::ids(&self.set().world, principal, start).await
    }

    async fn calls(&self, principal: &Principal, open: bool, limit: u32) -> Reply {
        let set = self.set();
        journey::calls(&set.world, &set.known, principal, open, limit).await
    }

    async fn cancel(&self, principal: &Principal, call: &CallId) -> Reply {
        let set = self.set();
        journey::cancel(&set.world, &set.known, principal, call).await
    }

    fn challenge(&self) -> Challenge {
        self.sign_ins.challenge(self.random(), self.now())
    }

    fn sign_in(
        &self,
        signed: &SignedSignIn,
        is_own: &dyn Fn(&str) -> bool,
        keeper: SessionKeeper,
    ) -> Result<Session, SignInRefusal> {
        let random = (self.random(), self.random());
        // The commands are for approvers alone; the console is in a browser.
        let keys = || match keeper {
            SessionKeeper::Command => Ok(self.trust()?.approvers),
            _ => Ok(self.trust()?.keys_of_people()),
        };
        self.sign_ins.sign_in(signed, (is_own, keeper), keys, random, self.now())
    }

    fn person(
        &self,
        session: &str,
        keeper: SessionKeeper,
    ) -> Result<Option<SignedIn>, SignInRefusal> {
        self.sign_ins.person((session, keeper), || self.trust(), self.now())
    }

    fn sign_out(&self, session: &str, keeper: SessionKeeper) {
        self.sign_ins.sign_out(session, keeper);
    }

    fn trusted(&self) -> (Environment, PolicyDigest) {
        let trust = &self.set().known.trust;
        (trust.environment.clone(), trust.policy)
    }

    fn people_issuer(&self) -> Option<String> {
        self.people_issuer.as_ref().map(PeopleSignIn::host)
    }

    async fn start_at_issuer(&self, redirect: &str, next: &str) -> Result<AtIssuer, SignInRefusal> {
        let issuer = self.people_issuer.as_ref().ok_or_else(no_issuer)?;
        issuer.start(redirect, next, (self.random(), self.random()), self.now()).await
    }

    async fn return_from_issuer(
        &self,
        returned: &FromIssuer,
        redirect: &str,
        keeper: SessionKeeper,
    ) -> Result<(Session, String), SignInRefusal> {
        let issuer = self.people_issuer.as_ref().ok_or_else(no_issuer)?;
        let (person, next) = issuer.end(returned, redirect, self.now()).await?;
        let random = (self.random(), self.random());
        Ok((self.sign_ins.enter(person, keeper, random, self.now())?, next))
    }

    async fn ask_for_approver(
        &self,
        approver: &str,
        ask: ApproverAsk,
    ) -> Result<ApproverAnswer, RoleError> {
        let asked = Propose::Approver { approver: approver.to_owned(), ask };
        match self.shared.roles.inner().ask(&asked).await? {
            Proposed::Approver { told } => Ok(*told),
            _ => Err(RoleError::Unavailable("the recorder answers something else".to_owned())),
        }
    }

    async fn ask_at_console(
        &self,
        person: &ConsolePerson,
        ask: ConsoleAsk,
    ) -> Result<ConsoleAnswer, RoleError> {
        let asked = Propose::Console { person: person.clone(), ask };
        match self.shared.roles.inner().ask(&asked).await? {
            Proposed::Console { told } => Ok(*told),
            _ => Err(RoleError::Unavailable("the recorder answers something else".to_owned())),
        }
    }

    fn served(&self) -> Result<Arc<Served>, RoleError> {
        let set = self.set();
        Ok(Arc::clone(set.served.get_or_init(|| Arc::new(served(&set)))))
    }

    async fn invited(&self, digest: &str) -> Result<String, RoleError> {
        let asked = Propose::Invited { digest: digest.to_owned() };
        match self.shared.roles.inner().ask(&asked).await? {
            Proposed::Invited { person } => Ok(person),
            _ => Err(RoleError::Unavailable("the recorder answers something else".to_owned())),
        }
    }

    async fn enrol(&self, digest: &str, passkey: &str) -> Result<(), RoleError> {
        let asked = Propose::Enrol { digest: digest.to_owned(), passkey: passkey.to_owned() };
        self.recorder().call(&asked).await.map(drop)
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> u128 {
        self.set().world.random()
    }

    fn instructions(&self) -> String {
        let set = self.set();
        let environment = &set.known.trust.environment;
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
        self.set().known.trust.environment.name.clone()
    }

    async fn ready(&self) -> Readiness {
        // A role has its socket only after its own checks passed.
        let roles = self.shared.roles.inner();
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
        let Notice { restart, faults: mut errors, warnings, .. } = self.notices.now();
        if refuses.is_some() {
            // The recorder's word on its disk, and once.
            errors.retain(|error| !error.starts_with("disk:"));
        }
        let missing = viewer.into_iter().chain(rest).chain(refuses).chain(errors).collect();
        let courier = (self.has_courier && !roles.courier.connected()).then(|| {
            "the courier is not there: notifications wait, and access tokens cannot be checked \
             once the keys of their issuer are too old; the log says why it does not start"
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

    fn over_limit(&self, agent: &str, limit: &'static str) {
        self.count_over_limit(limit);
        if !agent.is_empty() {
            self.over_limits.add(agent, limit);
        }
    }

    fn answered(&self, answered: &Answered) {
        self.count_answered(answered);
    }
}
