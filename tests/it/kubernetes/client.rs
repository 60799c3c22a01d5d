//! A client with a credential of its own: its requests to a real API server and the responses, as
//! rows of data. Also the installation of `deploy/` and the objects of a run. Never a fake
//! identity.

use crate::cluster::{Cluster, until};
use crate::installation::repository;
use cofferdam_backend_kubernetes::api::{self, ApiError, Manager, Mode, Only};
use cofferdam_backend_kubernetes::credential::Credential;
use cofferdam_backend_kubernetes::labels::{Marks, RunName};
use cofferdam_backend_kubernetes::run_objects::{Guard, guards};
use cofferdam_backend_kubernetes::self_check::{Identity, check};
use cofferdam_core::model::id::{CallId, Fence, PlanDigest};
use cofferdam_core::protocol::role_settings::JobIdentity;
use cofferdam_testkit::build::call_id;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};

/// The provisioner without options.
pub const PROVISIONER: Identity = Identity::Provisioner(JobIdentity::Token);

pub const EVERY: [Identity; 3] = [PROVISIONER, Identity::Viewer, Identity::Reaper];

/// The control plane of the test binary, with `deploy/` installed and in effect.
pub fn installed() -> &'static Cluster {
    static INSTALLED: Once = Once::new();
    let plane = Cluster::get();
    INSTALLED.call_once(|| install(plane));
    plane
}

/// A control plane for some tests, installed once in the cell that they share.
pub fn installed_own(cell: &'static OnceLock<Cluster>) -> &'static Cluster {
    cell.get_or_init(|| {
        let plane = Cluster::own();
        install(&plane);
        plane
    })
}

/// A control plane for tests that reap by hand, one after the other: a reaper removes all expired
/// runs, and each gateway has a reaper. It is reserved until the second value is dropped.
pub fn reaped_alone() -> (&'static Cluster, MutexGuard<'static, ()>) {
    static PLANE: OnceLock<Cluster> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    // Objects of a test that failed have other names.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (installed_own(&PLANE), turn)
}

/// Applies `deploy/`, and waits until its policies are in effect, which takes the API server some
/// time.
pub fn install(plane: &Cluster) {
    let mut manifests: Vec<_> = std::fs::read_dir(repository().join("deploy"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    manifests.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    manifests.sort();
    plane.apply(&manifests.iter().map(AsRef::as_ref).collect::<Vec<&Path>>());
    for identity in EVERY {
        let kubeconfig = plane.kubeconfig("cofferdam-system", identity.account());
        until("the fences to stand", || match checked(&kubeconfig, identity) {
            Ok(()) => Some(()),
            Err(fault) => {
                println!("{fault}");
                None
            }
        });
    }
}

/// The self-check with a credential, as a role makes it at its start.
pub fn checked(kubeconfig: &Path, identity: Identity) -> Result<(), String> {
    block(async {
        check(&Credential::read(kubeconfig).await.unwrap(), identity)
            .await
            .map_err(|fault| fault.to_string())
    })
}

pub fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A target namespace, made as the example in `deploy/` does it.
pub fn opt_in(plane: &Cluster, name: &str) {
    let (own, within) = (format!("name: {name}\n"), format!("namespace: {name}\n"));
    apply_edited(
        plane,
        "deploy/examples/target.yaml",
        &[("name: example\n", &own), ("namespace: example\n", &within)],
    );
}

/// Applies a manifest of the repository with replaced texts. Each text must occur in it.
pub fn apply_edited(plane: &Cluster, manifest: &str, edits: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(repository().join(manifest)).unwrap();
    for (from, to) in edits {
        assert!(text.contains(from), "{manifest} does not say {from}");
        text = text.replace(from, to);
    }
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    plane.apply(&[file.path()]);
}

/// The connection of one identity.
pub struct TestClient(api::Cluster);

impl TestClient {
    pub async fn account(plane: &Cluster, namespace: &str, account: &str) -> Self {
        Self::of(&plane.kubeconfig(namespace, account)).await
    }

    pub async fn of(kubeconfig: &Path) -> Self {
        Self(api::Cluster::connect(&Credential::read(kubeconfig).await.unwrap()).unwrap())
    }

    /// The same server with another token.
    pub async fn with_token(plane: &Cluster, token: String) -> Self {
        Self(
            api::Cluster::connect_as(&Credential::read(&plane.admin()).await.unwrap(), token, None)
                .unwrap(),
        )
    }

    /// The same credential, impersonating another identity.
    pub async fn impersonating(kubeconfig: &Path, user: &str) -> Self {
        Self(
            api::Cluster::impersonating(&Credential::read(kubeconfig).await.unwrap(), user, None)
                .unwrap(),
        )
    }

    pub async fn ask(&self, ask: Ask) -> Result<Value, String> {
        let manager = Manager { name: "cofferdam-runner", force: true };
        let answer = match ask {
            Ask::Apply(path, object, mode) => self.0.apply(&path, &object, manager, mode).await,
            Ask::Patch(path, patch, mode) => self.0.patch(&path, &patch, manager.name, mode).await,
            Ask::Create(path, object, mode) => self.0.create(&path, &object, mode).await,
            Ask::Delete(path, mode) => {
                self.0.delete(&path, Only::Any, mode).await.map(|()| Value::Null)
            }
            Ask::Get(path) => self.0.get(&path).await.map(|found| found.expect("it is there")),
            Ask::List(path) => {
                self.0.list(&path, "", 1).await.map(|(items, _)| Value::Array(items))
            }
        };
        answer.map_err(|fault| match fault {
            ApiError::Refused { status, message, .. } => format!("{status} {message}"),
            other => panic!("no answer: {other}"),
        })
    }

    /// Sends the request of each row, and compares the result: `done`, or words of the refusal.
    pub async fn try_all(&self, rows: Vec<Row>) {
        let mut wrong = Vec::new();
        for (what, ask, expect) in rows {
            let said = self.ask(ask).await.map_or_else(|said| said, |_| "done".to_owned());
            if !said.contains(expect) || (said == "done") != (expect == "done") {
                wrong.push(format!("{what}: expected `{expect}`, was told `{said}`"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// The title, the request, and the expected words.
pub type Row = (&'static str, Ask, &'static str);

pub enum Ask {
    Apply(String, Value, Mode),
    /// A JSON Patch.
    Patch(String, Value, Mode),
    Create(String, Value, Mode),
    Delete(String, Mode),
    Get(String),
    List(String),
}

pub fn apply(path: impl Into<String>, object: Value) -> Ask {
    Ask::Apply(path.into(), object, Mode::Real)
}

pub fn patch(path: impl Into<String>, key: &str, value: Value) -> Ask {
    Ask::Patch(path.into(), json!([{"op": "add", "path": key, "value": value}]), Mode::Real)
}

pub fn create(path: impl Into<String>, object: Value) -> Ask {
    Ask::Create(path.into(), object, Mode::Real)
}

pub fn delete(path: impl Into<String>) -> Ask {
    Ask::Delete(path.into(), Mode::Real)
}

pub fn get(path: impl Into<String>) -> Ask {
    Ask::Get(path.into())
}

pub fn list(path: impl Into<String>) -> Ask {
    Ask::List(path.into())
}

/// The same request as a dry run.
pub fn dry(ask: Ask) -> Ask {
    match ask {
        Ask::Apply(path, object, _) => Ask::Apply(path, object, Mode::DryRun),
        Ask::Patch(path, patch, _) => Ask::Patch(path, patch, Mode::DryRun),
        Ask::Create(path, object, _) => Ask::Create(path, object, Mode::DryRun),
        Ask::Delete(path, _) => Ask::Delete(path, Mode::DryRun),
        read => read,
    }
}

/// A run: the name and the labels of its namespace and derived rights.
pub struct Run {
    pub call: CallId,
    pub name: String,
}

impl Run {
    /// A run with an id of its own: tests share a cluster.
    pub fn new() -> Self {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let call = call_id(&format!("run {}", RUNS.fetch_add(1, Ordering::Relaxed)));
        Self { name: format!("cofferdam-run-{call}-1"), call }
    }

    pub fn at(&self, rest: &str) -> String {
        format!("{}/{rest}", namespace_path(&self.name))
    }

    pub fn in_group(&self, group: &str, rest: &str) -> String {
        format!("/apis/{group}/v1/namespaces/{}/{rest}", self.name)
    }

    pub fn labels(&self) -> Value {
        json!({
            "cofferdam.dev/managed": "true", "cofferdam.dev/call": self.call,
            "cofferdam.dev/fence": "1",
            "app.kubernetes.io/managed-by": "cofferdam",
        })
    }

    /// The run namespace as it should be.
    pub fn namespace(&self) -> Value {
        let mut labels = self.labels();
        labels["pod-security.kubernetes.io/enforce"] = json!("restricted");
        labels["pod-security.kubernetes.io/enforce-version"] = json!("v1.33");
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": self.name, "labels": labels, "annotations": expiring()}})
    }

    /// Creates the run namespace and the objects for tokens, as the provisioner.
    pub async fn make(&self, provisioner: &TestClient) {
        provisioner.ask(apply(namespace_path(&self.name), self.namespace())).await.unwrap();
        for name in ["job", "task"] {
            provisioner
                .ask(apply(self.at(&format!("serviceaccounts/{name}")), account(name)))
                .await
                .unwrap();
        }
        provisioner.ask(apply(self.at("secrets/cofferdam-identity"), identity())).await.unwrap();
    }

    /// The guards of the run, as the runner writes them.
    pub fn guards(&self) -> Vec<Guard> {
        let (name, plan) = (RunName::new(&self.call, Fence(1)), PlanDigest::of(b"plan"));
        guards(&Marks { name, expires: Timestamp::now() + SignedDuration::from_hours(1), plan })
    }

    /// The RoleBinding that gives the provisioner its rights in the run namespace.
    pub fn taken_on(&self) -> Value {
        self.taken("provisioner", "cofferdam-in-run")
    }

    /// The RoleBinding that lets the provisioner act as the `job` of the run.
    pub fn as_job(&self) -> Value {
        self.taken("as-job", "cofferdam-as-job")
    }

    fn taken(&self, name: &str, role: &str) -> Value {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": name, "labels": self.labels()},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": "provisioner",
                "namespace": "cofferdam-system"}]})
    }

    /// The `job` of the run, with a token as the runner gets it.
    pub async fn job(&self, plane: &Cluster, provisioner: &TestClient) -> TestClient {
        let answer = provisioner
            .ask(create(self.at("serviceaccounts/job/token"), token(true)))
            .await
            .unwrap();
        TestClient::with_token(plane, answer["status"]["token"].as_str().unwrap().to_owned()).await
    }

    pub fn role(&self, rules: Value) -> Value {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": self.name, "labels": self.labels(), "annotations": expiring()},
            "rules": rules})
    }

    pub fn binding(&self) -> Value {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": self.name, "labels": self.labels(), "annotations": expiring()},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": self.name},
            "subjects": [{"kind": "ServiceAccount", "name": "job", "namespace": self.name}]})
    }
}

/// An expiry in the past. The admission policies accept it: they limit only the longest time of a
/// run.
fn expiring() -> Value {
    json!({"cofferdam.dev/expires-at": "2026-01-01T00:00:00Z"})
}

pub fn namespace_path(name: &str) -> String {
    format!("/api/v1/namespaces/{name}")
}

pub fn rbac(namespace: &str, rest: &str) -> String {
    format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{rest}")
}

pub fn account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name},
        "automountServiceAccountToken": false})
}

pub fn identity() -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cofferdam-identity"},
        "type": "Opaque", "immutable": true})
}

pub fn token(bound: bool) -> Value {
    let mut request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600}});
    if bound {
        request["spec"]["boundObjectRef"] =
            json!({"apiVersion": "v1", "kind": "Secret", "name": "cofferdam-identity"});
    }
    request
}

pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

/// A copy with one value changed.
pub fn but(object: &Value, pointer: &str, value: Value) -> Value {
    let mut copy = object.clone();
    *copy.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")) = value;
    copy
}
