//! Creation of a run namespace: all guards before any right, a wait for the quota, the derived
//! rights of the plan, and the job's own identity. The provisioner creates these; only the job
//! touches the objects that a plan names.

use super::api::{ApiError, Cluster, Manager, Mode, until_clear};
use super::credential::Credential;
use super::effect::Undo;
use super::identity;
use super::labels::{JOB, MANAGER, Marks, RunName};
use super::poll::Poll;
use super::rights::{self, Derived, binding_path, role_path};
use super::run_objects::{self, Guard};
use super::teardown::Witness;
use super::{error_text, object, path, task};
use cofferdam_backend::effect_error::EffectError;
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::difference::Difference;
use cofferdam_core::model::facts::OperationFacts;
use cofferdam_core::model::id::{CallId, Fence, PlanDigest};
use cofferdam_core::model::operation::{Egress, Operation, Step, Target};
use cofferdam_core::model::preview::PreviewedOperation;
use cofferdam_core::protocol::role_settings::JobIdentity;
use cofferdam_core::stage::readmit::LeasedPlan;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long a run's objects last at most, besides the time of its tasks: the executor's own time,
/// with room for a slow cluster. Then the reaper takes them.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// The longest a run may last: admission refuses an end that is more than a day away
/// (`deploy/10-fence-provisioner.yaml`).
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(23);

/// How long a quota's status may take: milliseconds, and seconds where the controller is busy.
const QUOTA_WAIT: Duration = Duration::from_secs(30);

/// How long a right that was written may take until the server's authorizer has seen it.
pub(super) const RIGHTS_WAIT: Duration = Duration::from_secs(15);

/// The plan that a run is created for.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The name of the run.
    pub name: RunName,
    /// The digest of the plan.
    pub plan: PlanDigest,
    /// The tool's name: part of the field manager's.
    pub tool: &'a str,
    /// The steps of the plan.
    pub steps: &'a [Step],
    /// The facts of each step, in the same order.
    pub facts: &'a [OperationFacts],
    /// The start of the run.
    pub now: Timestamp,
    /// Policy obliges to stop over any change of an object.
    pub unchanged: bool,
}

impl<'a> Wanted<'a> {
    /// For an admitted plan.
    pub fn of(call: &CallId, fence: Fence, plan: &'a LeasedPlan, now: Timestamp) -> Self {
        let sealed = plan.sealed();
        Self {
            name: RunName::new(call, fence),
            plan: plan.digest(),
            tool: &sealed.plan().tool().name,
            steps: sealed.operations(),
            facts: sealed.facts(),
            now,
            unchanged: plan.unchanged(),
        }
    }

    /// How long the run may last.
    fn lifetime(&self) -> Result<SignedDuration, EffectError> {
        let seconds = self.steps.iter().map(|step| {
            if let Operation::Task { seconds, .. } = &step.operation {
                i64::from(*seconds)
            } else {
                0
            }
        });
        let life = LIFETIME + SignedDuration::from_secs(seconds.sum());
        if life > LONGEST_LIFE {
            return Err(EffectError::Refused(
                "the plan's tasks together ask for more time than a run may last; split it"
                    .to_owned(),
            ));
        }
        Ok(life)
    }

    /// The objects that teardown removes before the namespace: Pods of tasks, and Jobs, whose Pods
    /// have a finalizer that delays the namespace.
    fn workload(&self) -> Vec<String> {
        let entry = |step: &Step, fact: &OperationFacts| match &step.operation {
            Operation::Task { .. } => task::Task::of(&step.operation, fact.index)
                .map(|task| format!("v1/pods/{}", task.object())),
            Operation::Apply { .. } if fact.namespace == EPHEMERAL && fact.resource == "jobs" => {
                Some(format!("{}/{}/jobs/{}", fact.group, fact.version, fact.name))
            }
            _ => None,
        };
        self.steps.iter().zip(self.facts).filter_map(|(step, fact)| entry(step, fact)).collect()
    }
}

/// A run's namespace, and the job's identity in it.
#[derive(Debug)]
pub struct Namespace {
    pub(super) name: String,
    uid: String,
    /// The labels and annotations of the objects of this run.
    pub(super) marks: Marks,
    /// The egress rules that are open so far.
    pub(super) opened: BTreeSet<Egress>,
    /// The API server's address, where its URL names one.
    pub(super) server: Option<IpAddr>,
    /// Field manager of the job's writes.
    pub(super) manager: String,
    pub(super) provisioner: Cluster,
    /// The connection of the job.
    job: Cluster,
    /// An object at each target that the job may read.
    readable: Vec<String>,
    /// The way back from each done operation, by index.
    pub(super) undo: BTreeMap<u32, Undo>,
    /// Policy obliges to stop over any change of an object.
    pub(super) unchanged: bool,
    /// Operations over the state of a later look than the admission's, by index.
    pub(super) renewed: BTreeMap<u32, PreviewedOperation>,
    /// Changes by others in the objects since the admission.
    pub(super) meanwhile: Vec<Difference>,
}

/// The identities that create a run, and the way in which its job acts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Maker<'a> {
    pub provisioner: &'a Cluster,
    pub credential: &'a Credential,
    pub jobs: JobIdentity,
}

/// Creates a run namespace. If `gated`, the job's own connection sends only requests for the
/// objects of the plan; otherwise RBAC and admission alone limit it.
pub(super) async fn make(
    maker: Maker<'_>,
    wanted: &Wanted<'_>,
    gated: bool,
) -> Result<Namespace, EffectError> {
    let Maker { provisioner, credential, jobs } = maker;
    let expires = wanted
        .now
        .checked_add(wanted.lifetime()?)
        .map_err(|error| EffectError::Refused(error.to_string()))?;
    let marks = Marks { name: wanted.name.clone(), expires, plan: wanted.plan };
    let name = wanted.name.to_string();
    // Derived before any object is created: a plan whose rights cannot be bound to names leaves
    // nothing behind.
    let wide = |error: rights::TooWide| EffectError::Refused(error.to_string());
    let targets = rights::at_targets(&marks, wanted.facts).map_err(wide)?;
    let own = rights::in_run(&marks, wanted.steps, wanted.facts).map_err(wide)?;
    let places: Vec<&str> = targets.iter().map(|derived| derived.namespace.as_str()).collect();
    let uid =
        create_namespace(provisioner, &run_objects::namespace(&marks, &places, &wanted.workload()))
            .await?;
    let mut secret = String::new();
    for Guard { path, object } in run_objects::guards(&marks) {
        let made =
            own_apply(provisioner, &path, &object).await.map_err(|error| unmade(&name, &error))?;
        if object.get("kind").and_then(Value::as_str) == Some("Secret") {
            secret = object::uid(&made).unwrap_or_default().to_owned();
        }
    }
    let taken_on = [
        own.is_some().then(|| run_objects::in_run(&marks)),
        (jobs == JobIdentity::Impersonation).then(|| run_objects::as_job(&marks)),
    ];
    for Guard { path, object } in taken_on.into_iter().flatten() {
        own_apply(provisioner, &path, &object).await.map_err(|error| unmade(&name, &error))?;
    }
    wait_quota(provisioner, &name).await?;
    if let Some(derived) = &own {
        // The provisioner got the rights that contain it a moment ago.
        grant(provisioner, derived, RIGHTS_WAIT).await?;
    }
    for derived in &targets {
        grant(provisioner, derived, Duration::ZERO).await?;
    }
    let gate = gated.then(|| rights::gate(&wanted.name, wanted.steps, wanted.facts));
    let unheld = |error: ApiError| {
        EffectError::Refused(format!(
            "the job's identity cannot be taken on: {}",
            error_text::said(&error)
        ))
    };
    let job = identity::connect(maker, &name, &secret, gate).await.map_err(unheld)?;
    let mut namespace = Namespace {
        uid,
        marks,
        opened: BTreeSet::new(),
        server: credential.address(),
        manager: super::preview::manager(wanted.tool),
        provisioner: provisioner.clone(),
        job,
        readable: Vec::new(),
        undo: BTreeMap::new(),
        unchanged: wanted.unchanged,
        renewed: BTreeMap::new(),
        meanwhile: Vec::new(),
        name,
    };
    for place in places {
        let readable = namespace.wait_rights(place, wanted.facts).await?;
        namespace.readable.extend(readable);
    }
    Ok(namespace)
}

/// Creates the namespace itself, and returns its UID. An existing or terminating one belongs to
/// another attempt.
pub(super) async fn create_namespace(
    provisioner: &Cluster,
    guard: &Guard,
) -> Result<String, EffectError> {
    let name = super::labels::name(&guard.object).unwrap_or_default();
    let stale = || {
        EffectError::Refused(format!(
            "the namespace {name} is there already: another attempt under this lease made it"
        ))
    };
    let unmade = |error: ApiError| unmade(name, &error);
    if provisioner.get(&guard.path).await.map_err(unmade)?.is_some() {
        return Err(stale());
    }
    let made = own_apply(provisioner, &guard.path, &guard.object).await.map_err(unmade)?;
    if object::is_terminating(&made) {
        return Err(stale());
    }
    object::uid(&made).map(str::to_owned).ok_or_else(stale)
}

/// Applies an object of Cofferdam, which owns every field. Repeats the request freely, since a
/// second apply changes nothing.
pub(super) async fn own_apply(
    cluster: &Cluster,
    path: &str,
    object: &Value,
) -> Result<Value, ApiError> {
    let manager = Manager { name: MANAGER, force: true };
    until_clear(|| cluster.apply(path, object, manager, Mode::Real)).await
}

/// Waits until the quota is enforced: until then admission lets everything through.
pub(super) async fn wait_quota(provisioner: &Cluster, name: &str) -> Result<(), EffectError> {
    let mut poll = Poll::within(QUOTA_WAIT);
    loop {
        let quota = provisioner
            .get(&run_objects::quota_path(name))
            .await
            .map_err(|error| unmade(name, &error))?;
        if quota.as_ref().is_some_and(run_objects::is_enforced) {
            return Ok(());
        }
        if !poll.again().await {
            return Err(EffectError::Refused(format!(
                "the quota of {name} was not enforced within {} s",
                QUOTA_WAIT.as_secs()
            )));
        }
    }
}

/// Writes the derived Role, then its binding. RBAC refuses a right that the provisioner does not
/// have; retries for `wait`, until the server sees the provisioner's new rights.
async fn grant(
    provisioner: &Cluster,
    derived: &Derived,
    wait: Duration,
) -> Result<(), EffectError> {
    let Derived { namespace, role, binding } = derived;
    let error = |error: ApiError| {
        let why = error_text::said(&error);
        EffectError::Refused(if derived.name() == JOB {
            format!(
                "a run's namespace cannot hold what the plan brings up there: {why}; the \
                 provisioner's rights in `deploy/` say which kinds it can"
            )
        } else {
            format!(
                "the plan's rights in `{namespace}` cannot be given: {why}; an administrator opts \
                 that namespace in, with a ceiling that has them"
            )
        })
    };
    let at = role_path(namespace, derived.name());
    let mut poll = Poll::within(wait);
    loop {
        match own_apply(provisioner, &at, role).await {
            Err(refused) if refused.is_forbidden() && poll.again().await => {}
            answer => {
                answer.map_err(error)?;
                break;
            }
        }
    }
    own_apply(provisioner, &binding_path(namespace, derived.name()), binding)
        .await
        .map_err(error)?;
    Ok(())
}

fn unmade(name: &str, error: &ApiError) -> EffectError {
    let said = error_text::said(error);
    let remedy = if error_text::is_finalized(&said) {
        format!("; {}", error_text::FINALIZED)
    } else {
        String::new()
    };
    EffectError::Refused(format!("the namespace {name} cannot be made: {said}{remedy}"))
}

impl Namespace {
    /// Its name, which is the run's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The UID of the run namespace.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The job's connection, with its identity taken on.
    pub async fn job(&self) -> Result<Cluster, EffectError> {
        let error = |error: ApiError| {
            EffectError::Refused(format!(
                "the job's identity cannot be taken on: {}",
                error_text::said(&error)
            ))
        };
        self.job.identify().await.map_err(error)?;
        Ok(self.job.clone())
    }

    /// Waits until the job may read one of the plan's objects in a namespace: a binding that was
    /// just written takes the authorizer a moment. Reads alone are repeated. Answers where that
    /// object is.
    async fn wait_rights(
        &self,
        place: &str,
        facts: &[OperationFacts],
    ) -> Result<Option<String>, EffectError> {
        let Some(fact) = facts.iter().find(|fact| fact.namespace == place) else { return Ok(None) };
        let OperationFacts { group, version, kind, namespace, name, .. } = fact.clone();
        let target = Target { group, version, kind, namespace, name };
        let at = path::object(&target).map_err(|error| EffectError::Refused(error.to_string()))?;
        let job = self.job().await?;
        let mut poll = Poll::within(RIGHTS_WAIT);
        loop {
            match job.get(&at).await {
                Err(error) if error.is_forbidden() && poll.again().await => {}
                Err(error) => {
                    return Err(EffectError::Refused(format!(
                        "the job cannot read {target}: {}",
                        error_text::said(&error)
                    )));
                }
                Ok(_) => return Ok(Some(at)),
            }
        }
    }

    /// The connection that shows whether the rights of the job are gone: the job's own.
    pub(super) fn witness(&self) -> Witness<'_> {
        Witness { job: &self.job, readable: &self.readable }
    }
}
