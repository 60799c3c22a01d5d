//! A real Kubernetes control plane for tests: etcd, API server and controllers, as
//! `scripts/control_plane.py` starts them. There is one for each test binary; it starts on first
//! use and ends with the process. It has no node unless a test asks for one, so that tests patch
//! the status of pods. Tests share it: each uses its own namespaces, and asserts nothing about
//! those of others.

mod audit;
mod client;

use crate::installation::{Answer, TIME_LIMIT, repository, text};
use audit::Audit;
pub use audit::Event;
use client::Client;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Seconds that a ServiceAccount's token lives: longer than any run of the tests.
const TOKEN_SECONDS: u32 = 86_400;

/// A control plane that runs. It ends when the standard input of its launcher closes, at the latest
/// with this process.
pub struct Cluster {
    folder: PathBuf,
    launcher: Child,
    audit: Audit,
    /// One client for each kubeconfig in use.
    clients: Mutex<HashMap<PathBuf, Arc<Client>>>,
}

/// True if an audit event is of a dry run, by its query or by the options in the body of a delete.
pub fn is_dry(event: &Value) -> bool {
    event["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun=All"))
        || event["requestObject"]["dryRun"][0] == "All"
}

/// Repeats `ask` until it returns a value. Fails after the time limit, and names `what`.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < TIME_LIMIT, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Cluster {
    /// The control plane of this test binary. Without one the test fails and names the remedy.
    pub fn get() -> &'static Self {
        static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
        match CLUSTER.get_or_init(|| Self::start(&[])) {
            Ok(cluster) => cluster,
            Err(why) => panic!(
                "no Kubernetes control plane (COFFERDAM_WITHOUT_CLUSTER=1 leaves these tests \
                 out): {why}"
            ),
        }
    }

    /// Another control plane, with one real node: scheduler, containerd and kubelet in namespaces
    /// of their own.
    pub fn with_node() -> &'static Self {
        static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
        match CLUSTER.get_or_init(|| Self::start(&["--node"])) {
            Ok(cluster) => cluster,
            Err(why) => {
                panic!("no Kubernetes node (COFFERDAM_NODE=0 leaves these tests out): {why}")
            }
        }
    }

    /// The digest reference of an image on the node: busybox.
    pub fn image(&self) -> String {
        let images: Value =
            serde_json::from_slice(&fs::read(self.folder.join("images.json")).unwrap()).unwrap();
        images["task"].as_str().unwrap().to_owned()
    }

    /// The output of a program in the network of the node, such as `ip link`.
    pub fn in_node_network(&self, words: &[&str]) -> String {
        let launcher = self.launcher.id();
        // The launcher's only child made that network.
        let children =
            fs::read_to_string(format!("/proc/{launcher}/task/{launcher}/children")).unwrap();
        let done = Command::new("nsenter")
            .args(["--net", "--target", children.split_whitespace().next().unwrap()])
            .args(words)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}: {}",
            words.join(" "),
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    }

    /// A control plane for a single test that removes objects which other tests need. It ends with
    /// the value.
    pub fn own() -> Self {
        Self::start(&[]).unwrap_or_else(|why| {
            panic!("no Kubernetes control plane: {why}\nrun `scripts/setup control-plane`")
        })
    }

    fn start(also: &[&str]) -> Result<Self, String> {
        let folder =
            tempfile::Builder::new().prefix("cofferdam-cluster.").tempdir().unwrap().keep();
        let mut said = tempfile::tempfile().unwrap();
        let mut launcher = python()
            .args(["up", "--audit", "--remove", "--dir", text(&folder)])
            .args(also)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said.try_clone().unwrap())
            .spawn()
            .unwrap();
        // Bounded by the launcher, which gives up by itself.
        let mut line = String::new();
        BufReader::new(launcher.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.starts_with("ready ") {
            return Ok(Self {
                folder,
                launcher,
                audit: Audit::default(),
                clients: Mutex::default(),
            });
        }
        launcher.wait().unwrap();
        let mut why = String::new();
        said.rewind().unwrap();
        said.read_to_string(&mut why).unwrap();
        Err(why)
    }

    /// The administrator's kubeconfig (group `system:masters`). No role may ever be given it.
    pub fn admin(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// A kubeconfig for a ServiceAccount that exists, with a token the API server issued for a day.
    pub fn kubeconfig(&self, namespace: &str, account: &str) -> PathBuf {
        let ask = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_SECONDS}});
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let issued = self.request("POST", &path, Some(&ask));
        assert_eq!(issued.status, 201, "{}", issued.body);
        let mut config: Value = serde_json::from_slice(&fs::read(self.admin()).unwrap()).unwrap();
        config["users"][0]["user"] = json!({"token": issued.body["status"]["token"]});
        // Tests run side by side; each gets a file of its own.
        let prefix = format!("{namespace}.{account}.");
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".kubeconfig")
            .tempfile_in(&self.folder)
            .unwrap();
        let (mut file, path) = file.keep().unwrap();
        file.write_all(config.to_string().as_bytes()).unwrap();
        path
    }

    /// The same ServiceAccount token after its expiry: signed by the cluster, and no longer valid.
    pub fn outdated(&self, token: &str) -> String {
        self.command("outdated", &[token]).trim().to_owned()
    }

    /// Applies manifests as the administrator: files, or folders of them. It does not wait for
    /// controllers; an admission policy takes effect some time after it is written.
    pub fn apply(&self, paths: &[&Path]) {
        let paths: Vec<&str> = paths.iter().map(|path| text(path)).collect();
        self.command("apply", &paths);
    }

    /// A request as the administrator, refused or not. A `PATCH` is a merge patch.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.request_as(&self.admin(), method, path, body)
    }

    /// A request by the identity of a kubeconfig, refused or not.
    pub fn request_as(
        &self,
        kubeconfig: &Path,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut answer = self.exchange(kubeconfig, &[], method, path, body);
        Answer {
            status: answer["status"].as_u64().unwrap().try_into().unwrap(),
            body: answer["body"].take(),
        }
    }

    /// The same with headers, each as `Name: value`. The answer has `status`, `headers`, whose
    /// names are in lower case, and `body`.
    pub fn exchange(
        &self,
        kubeconfig: &Path,
        headers: &[&str],
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Value {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients
            .entry(kubeconfig.to_owned())
            .or_insert_with(|| Arc::new(Client::new(kubeconfig, &self.folder.join("pki"))));
        let client = Arc::clone(client);
        drop(clients);
        client.exchange(headers, method, path, body)
    }

    /// Every request that the API server answered before this call. A request of the administrator
    /// marks the end, and is waited for.
    pub fn audit(&self) -> Vec<Event> {
        static MARKS: AtomicU64 = AtomicU64::new(0);
        let mark = format!("audit-mark-{}", MARKS.fetch_add(1, Ordering::Relaxed));
        self.request("GET", &format!("/api/v1/namespaces/{mark}"), None);
        until("the audit log", || {
            let events = self.audit.events(&self.folder.join("audit.log"));
            events
                .iter()
                .rev()
                .any(|event| event["objectRef"]["name"] == mark.as_str())
                .then_some(events)
        })
    }

    fn command(&self, command: &str, words: &[&str]) -> String {
        let done = python()
            .args([command, "--dir", text(&self.folder)])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "`control_plane.py {command} {}`: {}",
            words.join(" "),
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    }
}

/// The launcher, run by the Python that `scripts/setup` made: it has PyYAML.
fn python() -> Command {
    let python = std::env::var_os("COFFERDAM_PYTHON")
        .expect("COFFERDAM_PYTHON is not set: run `scripts/test`, which builds everything first");
    let mut command = Command::new(python);
    command.arg(repository().join("scripts/control_plane.py"));
    command
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_namespace_gets_its_account_and_goes() {
    let cluster = Cluster::get();
    let pinned = fs::read_to_string(repository().join("scripts/control-plane/go.mod")).unwrap();
    let version =
        cluster.request("GET", "/version", None).body["gitVersion"].as_str().unwrap().to_owned();
    assert!(
        pinned.contains(&format!("k8s.io/kubernetes {version} ")),
        "{version} is not the one that is pinned"
    );

    let manifests = tempfile::tempdir().unwrap();
    let manifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: smoke}\n---\napiVersion: \
                    v1\nkind: ConfigMap\nmetadata: {name: some, namespace: smoke}\n";
    fs::write(manifests.path().join("smoke.yaml"), manifest).unwrap();
    cluster.apply(&[manifests.path()]);
    assert_eq!(
        cluster.request("GET", "/api/v1/namespaces/smoke/configmaps/some", None).status,
        200
    );
    until("the default ServiceAccount", || {
        (cluster.request("GET", "/api/v1/namespaces/smoke/serviceaccounts/default", None).status
            == 200)
            .then_some(())
    });

    // Its token is good, and is good for nothing.
    let own = cluster.kubeconfig("smoke", "default");
    let who =
        serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let review = cluster.request_as(
        &own,
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        Some(&who),
    );
    assert_eq!(
        review.body["status"]["userInfo"]["username"],
        "system:serviceaccount:smoke:default"
    );
    assert_eq!(
        cluster.request_as(&own, "GET", "/api/v1/namespaces/smoke/secrets", None).status,
        403
    );

    assert_eq!(cluster.request("DELETE", "/api/v1/namespaces/smoke", None).status, 200);
    until("the namespace's end", || {
        (cluster.request("GET", "/api/v1/namespaces/smoke", None).status == 404).then_some(())
    });

    // Controllers have names of their own, so that policies can tell them from other clients.
    for (user, verb, resource) in [
        ("system:serviceaccount:smoke:default", "list", "secrets"),
        (
            "system:serviceaccount:kube-system:namespace-controller",
            "deletecollection",
            "configmaps",
        ),
    ] {
        until("the audit event", || {
            cluster.audit().into_iter().find(|event| {
                event["user"]["username"] == user
                    && event["verb"] == verb
                    && event["objectRef"]["resource"] == resource
                    && event["objectRef"]["namespace"] == "smoke"
            })
        });
    }
}

#[test]
fn a_missing_control_plane_is_a_fault_that_names_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (plane, nothing) = (folder.path().join("plane"), folder.path().join("nothing"));
    // Its standard input is closed from the start, which must not end it before it has looked.
    let words = ["up", "--stay", "--dir", text(&plane), "--binaries", text(&nothing)];
    let done = python().args(words).env("PATH", "").output().unwrap();
    assert!(!done.status.success());
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("scripts/setup control-plane"), "{said}");
}
