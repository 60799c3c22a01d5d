//! A target namespace, a runner's connection there, and plans to carry out. Each test has its own.

use crate::cluster::{Cluster, Event, until};
use crate::kubernetes::client::{installed, namespace_path, opt_in, rbac};
use cofferdam_backend::Backend as _;
use cofferdam_backend::effect_error::EffectError;
use cofferdam_backend::host_values::Host;
use cofferdam_backend_kubernetes::Kubernetes;
use cofferdam_backend_kubernetes::credential::Credential;
use cofferdam_backend_kubernetes::labels::RunName;
use cofferdam_backend_kubernetes::namespace::{Namespace, Wanted};
use cofferdam_backend_kubernetes::teardown::{TeardownError, Traces};
use cofferdam_core::model::facts::OperationFacts;
use cofferdam_core::model::facts::facts_of;
use cofferdam_core::model::id::{CallId, Fence, PlanDigest};
use cofferdam_core::model::job::Said;
use cofferdam_core::model::operation::Step;
use cofferdam_core::model::preview::Preview;
use cofferdam_core::protocol::role_settings::JobIdentity;
use cofferdam_testkit::build::call_id;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The time limit of the API server for one write.
pub const WRITE: Duration = Duration::from_secs(10);

/// One target namespace and one call.
pub struct TestNamespace {
    pub plane: &'static Cluster,
    pub name: String,
    pub runtime: Runtime,
    pub kubernetes: Kubernetes,
    pub call: CallId,
}

/// A job that is running.
#[derive(Debug)]
pub struct Job {
    pub steps: Vec<Step>,
    pub preview: Preview,
    pub namespace: Namespace,
}

/// The result of an effect.
pub type Effect = Result<BTreeMap<String, Value>, EffectError>;

impl TestNamespace {
    /// A namespace of this name, which no other test has. The call's id is made from it.
    pub fn of(namespace: &str) -> Self {
        let plane = installed();
        Self::on(plane, namespace, &plane.kubeconfig("cofferdam-system", "provisioner"))
    }

    /// The same with another kubeconfig.
    pub fn on(plane: &'static Cluster, namespace: &str, kubeconfig: &Path) -> Self {
        Self::by(JobIdentity::Token, plane, namespace, kubeconfig)
    }

    /// The same with another identity for jobs.
    pub fn by(
        jobs: JobIdentity,
        plane: &'static Cluster,
        namespace: &str,
        kubeconfig: &Path,
    ) -> Self {
        opt_in(plane, namespace);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let kubernetes = runtime.block_on(connect_by(jobs, kubeconfig, WRITE));
        let ns = Self {
            plane,
            name: namespace.to_owned(),
            runtime,
            kubernetes,
            call: call_id(namespace),
        };
        // A binding takes effect some time after it is written.
        until("the provisioner's ceiling", || {
            ns.runtime
                .block_on(ns.kubernetes.cluster().list(&ns.collection("deployments"), "", 1))
                .ok()
        });
        ns
    }

    pub fn host(&self) -> Host {
        Host::new(self.call.clone(), Timestamp::now())
    }

    /// A plan's steps and preview, as the runner derives them.
    pub fn look(&self, operations: Value) -> (Vec<Step>, Preview, Vec<OperationFacts>) {
        let steps = steps(operations);
        let facts = facts_of(&steps).unwrap();
        let preview = self.runtime.block_on(self.kubernetes.preview("scaler", &steps)).unwrap();
        (steps, preview, facts)
    }

    pub fn begin(&self, fence: u64, operations: Value, gated: bool) -> Job {
        self.try_begin(fence, operations, gated).unwrap_or_else(|fault| panic!("{fault}"))
    }

    pub fn try_begin(
        &self,
        fence: u64,
        operations: Value,
        gated: bool,
    ) -> Result<Job, EffectError> {
        let (steps, preview, facts) = self.look(operations);
        let namespace = self.raise(fence, &steps, &facts, gated)?;
        Ok(Job { steps, preview, namespace })
    }

    /// A job that policy obliges to stop after any change of its objects.
    pub fn begin_unchanged(&self, fence: u64, operations: Value) -> Job {
        let (steps, preview, facts) = self.look(operations);
        let wanted = Wanted { unchanged: true, ..self.wanted(fence, &steps, &facts) };
        let namespace = self
            .runtime
            .block_on(self.kubernetes.make_for(&wanted, true))
            .unwrap_or_else(|fault| panic!("{fault}"));
        Job { steps, preview, namespace }
    }

    /// Creates only the run namespace.
    pub fn make(
        &self,
        fence: u64,
        steps: &[Step],
        facts: &[OperationFacts],
    ) -> Result<Namespace, EffectError> {
        self.raise(fence, steps, facts, true)
    }

    fn raise(
        &self,
        fence: u64,
        steps: &[Step],
        facts: &[OperationFacts],
        gated: bool,
    ) -> Result<Namespace, EffectError> {
        self.runtime.block_on(self.kubernetes.make_for(&self.wanted(fence, steps, facts), gated))
    }

    fn wanted<'a>(&self, fence: u64, steps: &'a [Step], facts: &'a [OperationFacts]) -> Wanted<'a> {
        let name = RunName::new(&self.call, Fence(fence));
        Wanted {
            name,
            plan: PlanDigest::of(b"plan"),
            tool: "scaler",
            steps,
            facts,
            now: Timestamp::now(),
            unchanged: false,
        }
    }

    pub fn perform(&self, job: &mut Job, index: usize) -> Effect {
        self.perform_heard(job, index).0
    }

    /// The same, with the notes of the operation and their times.
    pub fn perform_heard(&self, job: &mut Job, index: usize) -> (Effect, Vec<(Instant, Said)>) {
        let host = self.host();
        let (told, mut heard) = tokio::sync::mpsc::channel(1);
        let effect = async {
            let told = told;
            job.namespace
                .perform(&job.steps[index].operation, &job.preview.operations[index], &host, &told)
                .await
        };
        let hearing = async {
            let mut all = Vec::new();
            while let Some(said) = heard.recv().await {
                all.extend(said.into_iter().map(|said| (Instant::now(), said)));
            }
            all
        };
        self.runtime.block_on(async { tokio::join!(effect, hearing) })
    }

    pub fn undo(&self, job: &mut Job, index: usize) -> Effect {
        self.runtime.block_on(job.namespace.undo(&job.preview.operations[index]))
    }

    /// The namespaces in which the call has rights, by its plan.
    pub fn targets(&self) -> BTreeSet<String> {
        BTreeSet::from([self.name.clone()])
    }

    pub fn remove(&self, run: &str) -> Result<(), TeardownError> {
        self.runtime.block_on(self.kubernetes.remove(run, &self.targets())).map(drop)
    }

    /// Removes the remains of earlier leases, as a runner under this lease that knows them.
    pub fn sweep(&self, fence: u64, earlier: &[Fence]) -> Result<Option<String>, TeardownError> {
        let targets = self.targets();
        self.runtime.block_on(self.kubernetes.sweep(Traces {
            call: &self.call,
            fence: Fence(fence),
            earlier,
            targets: &targets,
        }))
    }

    pub fn collection(&self, resource: &str) -> String {
        let api = if resource == "deployments" { "/apis/apps/v1" } else { "/api/v1" };
        format!("{api}/namespaces/{}/{resource}", self.name)
    }

    pub fn path(&self, resource: &str, name: &str) -> String {
        format!("{}/{name}", self.collection(resource))
    }

    /// A path in the run namespace of a job.
    pub fn own(&self, job: &Job, rest: &str) -> String {
        format!("{}/{rest}", namespace_path(job.namespace.name()))
    }

    pub fn create(&self, resource: &str, object: &Value) {
        let answer = self.plane.request("POST", &self.collection(resource), Some(object));
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    /// Creates a Deployment of three replicas, and waits until its controller has processed it.
    pub fn deployment(&self, name: &str) {
        let labels = json!({"app": name});
        let spec = json!({"containers": [{"name": "main", "image": "registry.example/app:1"}]});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name}, "spec":
            {"replicas": 3, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec}}});
        self.create("deployments", &object);
        until("the Deployment's controller", || {
            let status = &self.object("deployments", name)["status"];
            // The pods exist and are never ready: this is the last write of the controller.
            (status["observedGeneration"] == 1 && status["unavailableReplicas"] == 3).then_some(())
        });
    }

    /// The real writes for a run so far: by its job, or by the provisioner about it.
    pub fn writes_of(&self, run: &str) -> Vec<Event> {
        self.plane.audit().into_iter().filter(|event| is_write_of(event, run)).collect()
    }

    pub fn status(&self, resource: &str, name: &str) -> u16 {
        self.plane.request("GET", &self.path(resource, name), None).status
    }

    pub fn object(&self, resource: &str, name: &str) -> Value {
        let answer = self.plane.request("GET", &self.path(resource, name), None);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// A change by another client.
    pub fn merge(&self, resource: &str, name: &str, patch: &Value) {
        let answer = self.plane.request("PATCH", &self.path(resource, name), Some(patch));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// A deletion by another client, to its end.
    pub fn delete(&self, resource: &str, name: &str) {
        self.plane.request("DELETE", &self.path(resource, name), None);
        until("the object's end", || (self.status(resource, name) == 404).then_some(()));
    }

    /// Checks that neither the run namespace nor the derived rights exist.
    pub fn nothing_of(&self, run: &str) {
        for path in [
            namespace_path(run),
            rbac(&self.name, &format!("roles/{run}")),
            rbac(&self.name, &format!("rolebindings/{run}")),
        ] {
            assert_eq!(self.plane.request("GET", &path, None).status, 404, "{path}");
        }
    }
}

/// The connection of a runner.
pub async fn connect(kubeconfig: &Path, write: Duration) -> Kubernetes {
    connect_by(JobIdentity::Token, kubeconfig, write).await
}

async fn connect_by(jobs: JobIdentity, kubeconfig: &Path, write: Duration) -> Kubernetes {
    Kubernetes::connect(Credential::read(kubeconfig).await.unwrap(), write, jobs).unwrap()
}

/// The steps of a plan, with the usual values for missing members.
fn steps(operations: Value) -> Vec<Step> {
    let all = operations.as_array().unwrap().iter().map(|operation| {
        let mut step = operation.clone();
        let members = step.as_object_mut().unwrap();
        members.entry("after").or_insert(json!([]));
        members.entry("reversible").or_insert(json!(false));
        serde_json::from_value(step).unwrap()
    });
    all.collect()
}

pub fn target(namespace: &str, group: &str, kind: &str, name: &str) -> Value {
    json!({"group": group, "version": "v1", "kind": kind, "namespace": namespace, "name": name})
}

pub fn scale(namespace: &str, name: &str, replicas: u32) -> Value {
    let changes = json!([{"path": "spec.replicas", "value": replicas}]);
    json!({"action": "patch", "target": target(namespace, "apps", "Deployment", name),
        "changes": changes, "reversible": true})
}

pub fn config_map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// True if an audit event is a real write for a run: by its job, or by the provisioner about it.
fn is_write_of(event: &Value, run: &str) -> bool {
    let user = event["user"]["username"].as_str().unwrap_or_default();
    let object = &event["objectRef"];
    let about = object["namespace"] == run || object["name"] == run;
    let own = user == format!("system:serviceaccount:{run}:job")
        || (user == "system:serviceaccount:cofferdam-system:provisioner" && about);
    let verb = event["verb"].as_str().unwrap_or_default();
    own && ["create", "update", "patch", "delete", "deletecollection"].contains(&verb)
        && event["stage"] == "ResponseComplete"
}

/// True if an audit event is a patch over a version that a status of a controller had just
/// replaced. It had no effect, and the runner sends it again over the new version. A busy machine
/// has more of these.
pub fn met_a_status(event: &Value) -> bool {
    event["verb"] == "patch" && event["responseStatus"]["code"] == 422
}

/// True if the namespace controller made the request.
pub fn is_controllers(event: &Value) -> bool {
    event["user"]["username"] == "system:serviceaccount:kube-system:namespace-controller"
}
