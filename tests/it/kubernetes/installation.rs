//! The whole gateway over a real API server: an installation of `init --kubernetes` with the
//! kubeconfig of each identity, and a target namespace. Its tests share one control plane and no
//! other test uses it, because the reaper of `serve` removes all expired runs.

use super::client::{installed_own, namespace_path, opt_in, rbac};
use crate::cluster::{Cluster, Event, is_dry, until};
use crate::installation::{Answer, TestInstallation, assets, binaries, text};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The name of a run namespace and of its derived rights, before the lease epoch.
pub fn run_prefix(call: &str) -> String {
    format!("cofferdam-run-{call}-")
}

fn plane() -> &'static Cluster {
    static PLANE: OnceLock<Cluster> = OnceLock::new();
    installed_own(&PLANE)
}

/// One installation and its namespace, with a Deployment `web` of three replicas and a ConfigMap
/// `web`.
pub struct ClusterInstallation {
    pub installation: TestInstallation,
    pub plane: &'static Cluster,
    pub namespace: String,
    provisioner: PathBuf,
    reaper: PathBuf,
}

impl ClusterInstallation {
    /// Not started. Each test has its own name.
    pub fn bare(namespace: &str) -> Self {
        Self::bare_on(plane(), namespace)
    }

    /// The same on another control plane with `deploy/`.
    pub fn bare_on(plane: &'static Cluster, namespace: &str) -> Self {
        let cluster = Self::on(plane, namespace, policy_for(namespace));
        cluster.deployment("web");
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"},
            "data": {"LOG_LEVEL": "info"}});
        cluster.create(&format!("{}/configmaps", namespace_path(namespace)), &config);
        cluster
    }

    /// Not started, with an empty namespace.
    pub fn empty(namespace: &str) -> Self {
        Self::on(plane(), namespace, policy_for(namespace))
    }

    /// Not started, with an empty namespace, on a control plane with `deploy/`.
    pub fn on(plane: &'static Cluster, namespace: &str, policy: tempfile::TempDir) -> Self {
        opt_in(plane, namespace);
        let [viewer, provisioner, reaper] = ["viewer", "provisioner", "reaper"]
            .map(|who| plane.kubeconfig("cofferdam-system", who));
        let words = [
            "--kubernetes",
            "--name",
            "lab",
            "--viewer",
            text(&viewer),
            "--provisioner",
            text(&provisioner),
            "--reaper",
            text(&reaper),
        ];
        let installation = TestInstallation::over(&words, policy.path());
        // A job whose runner was lost is then not watched for a minute.
        installation.configure("request_timeout_seconds", "10");
        let cluster =
            Self { installation, plane, namespace: namespace.to_owned(), provisioner, reaper };
        // A binding takes effect some time after it is written.
        for who in [&viewer, &cluster.provisioner] {
            until("the rights of an opted-in namespace", || {
                (plane.request_as(who, "GET", &cluster.path(""), None).status == 200).then_some(())
            });
        }
        cluster
    }

    /// The same, started.
    pub fn started(namespace: &str) -> Self {
        let mut cluster = Self::bare(namespace);
        cluster.installation.serve(&[]);
        cluster
    }

    /// Creates a Deployment of three replicas, and waits until its controller makes no further
    /// write.
    pub fn deployment(&self, name: &str) {
        let labels = json!({"app": name});
        let spec = json!({"containers": [{"name": "web",
            "image": "registry.example.com/storefront/web:1"}]});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name}, "spec":
            {"replicas": 3, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec}}});
        self.create(&self.path(""), &object);
        self.seen_by_its_controller(name);
    }

    /// Waits until the controller of a new Deployment makes no further write.
    pub fn seen_by_its_controller(&self, name: &str) {
        until("the Deployment's controller", || {
            let live = self.live(name);
            let revision = &live["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
            // The pods exist and are never ready: this is the last write of the controller.
            let settled = live["status"]["unavailableReplicas"] == live["spec"]["replicas"];
            (live["status"]["observedGeneration"] == 1 && revision.is_string() && settled)
                .then_some(())
        });
    }

    fn create(&self, path: &str, object: &Value) {
        let answer = self.plane.request("POST", path, Some(object));
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    /// The path of a Deployment, as `/web`, or of all Deployments for an empty name.
    pub fn path(&self, name: &str) -> String {
        format!("/apis/apps/v1/namespaces/{}/deployments{name}", self.namespace)
    }

    /// A Deployment as the administrator reads it.
    pub fn live(&self, name: &str) -> Value {
        let answer = self.plane.request("GET", &self.path(&format!("/{name}")), None);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Arguments that name a Deployment here.
    pub fn target(&self, name: &str) -> Value {
        json!({"namespace": self.namespace, "name": name})
    }

    /// The arguments of `deployment_scale`.
    pub fn scale(&self, name: &str, replicas: u32) -> Value {
        json!({"namespace": self.namespace, "name": name, "replicas": replicas})
    }

    /// All namespaces, Roles and RoleBindings with the label of a call, of any writer.
    pub fn left_of(&self, call: &str) -> Vec<String> {
        let selector =
            format!("?labelSelector=cofferdam.dev/managed%3Dtrue,cofferdam.dev/call%3D{call}");
        let everywhere = "/apis/rbac.authorization.k8s.io/v1";
        let lists = [
            "/api/v1/namespaces".to_owned(),
            format!("{everywhere}/roles"),
            format!("{everywhere}/rolebindings"),
        ];
        let names = lists.iter().flat_map(|list| {
            let found = self.plane.request("GET", &format!("{list}{selector}"), None);
            assert_eq!(found.status, 200, "{}", found.body);
            let items = found.body["items"].as_array().unwrap().clone();
            items.into_iter().map(move |item| {
                format!("{list}: {} {}", item["metadata"]["namespace"], item["metadata"]["name"])
            })
        });
        names.collect()
    }

    /// True if a derived RoleBinding of this run is in the namespace.
    pub fn bound(&self, run: &str) -> bool {
        self.plane
            .request("GET", &rbac(&self.namespace, &format!("rolebindings/{run}")), None)
            .status
            == 200
    }

    /// Every write so far, without dry runs, by an identity of Cofferdam, that concerns a call: its
    /// run, or this namespace.
    pub fn writes(&self, call: &str) -> Vec<Event> {
        let run = run_prefix(call);
        let concerns = |event: &Value| {
            let object = &event["objectRef"];
            let any = [&event["user"]["username"], &object["namespace"], &object["name"]];
            object["namespace"] == self.namespace.as_str()
                || any.iter().any(|text| text.as_str().is_some_and(|text| text.contains(&run)))
        };
        self.events().into_iter().filter(|event| is_write(event) && concerns(event)).collect()
    }

    /// Every request so far by an identity of Cofferdam in this namespace.
    pub fn requests(&self) -> Vec<Event> {
        self.events()
            .into_iter()
            .filter(|event| event["objectRef"]["namespace"] == self.namespace.as_str())
            .collect()
    }

    /// The events of the identities of Cofferdam.
    fn events(&self) -> Vec<Event> {
        let events = self.plane.audit().into_iter();
        events.filter(|event| event["stage"] == "ResponseComplete" && is_ours(event)).collect()
    }

    /// The number of self-checks by runners of this installation. Each first asks for its own
    /// identity.
    pub fn checks(&self) -> usize {
        // Tests share the cluster and the account. Each installation has its own token.
        let mark = format!("{}-own-token", self.namespace);
        self.plane.request_as(&self.provisioner, "GET", &namespace_path(&mark), None);
        let events = self.plane.audit();
        let token = |event: &Value| {
            event["user"]["extra"]["authentication.kubernetes.io/credential-id"].clone()
        };
        let own =
            token(events.iter().find(|event| event["objectRef"]["name"] == mark.as_str()).unwrap());
        assert!(own[0].is_string(), "{own}");
        events
            .iter()
            .filter(|event| {
                token(event) == own && event["objectRef"]["resource"] == "selfsubjectreviews"
            })
            .count()
    }

    /// `cofferdam-runner reap --once`, by hand.
    pub fn reap(&self) -> Value {
        let program = binaries().join("cofferdam-runner");
        let done = Command::new(program)
            .args(["reap", "--once", "--json", "--kubeconfig"])
            .arg(&self.reaper)
            .env_clear()
            .output()
            .unwrap();
        assert!(!done.stdout.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// Removes the provisioner's kubeconfig: a runner that has read it continues, and none can
    /// start.
    pub fn no_more_runners(&self) {
        fs::remove_file(&self.provisioner).unwrap();
    }

    /// The id of a call, from a success or an error.
    pub fn call_of(answer: &Answer) -> String {
        let body = &answer.body;
        body["call"]
            .as_str()
            .or(body["error"]["call"].as_str())
            .unwrap_or_else(|| panic!("no call: {body:#}"))
            .to_owned()
    }
}

/// The example policy with one more namespace for Alice's team.
pub fn policy_for(namespace: &str) -> tempfile::TempDir {
    policy_with(|data| {
        data["teams"]["storefront"]["namespaces"].as_array_mut().unwrap().push(json!(namespace))
    })
}

/// The example policy with other data.
pub fn policy_with(change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let example = assets().join("policy-example");
    fs::copy(example.join("policy.wasm"), folder.path().join("policy.wasm")).unwrap();
    let mut data: Value =
        serde_json::from_slice(&fs::read(example.join("data.json")).unwrap()).unwrap();
    change(&mut data);
    fs::write(folder.path().join("data.json"), data.to_string()).unwrap();
    folder
}

fn is_ours(event: &Value) -> bool {
    event["user"]["username"]
        .as_str()
        .is_some_and(|name| name.starts_with("system:serviceaccount:cofferdam-"))
}

fn is_write(event: &Value) -> bool {
    !is_dry(event)
        && ["create", "update", "patch", "delete", "deletecollection"]
            .contains(&event["verb"].as_str().unwrap_or_default())
}
