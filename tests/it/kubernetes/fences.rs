//! The requests that each identity may make, and those that RBAC or the intended admission policy
//! refuses. A thief of its token could do no more.

mod guards;
mod lookers;
mod provisioner;
mod runs;

use super::client::{Ask, TestClient};
use serde_json::{Value, json};

const NOWHERE: &str = "in runs' namespaces and in namespaces that opted in, nowhere else";
const FROZEN: &str = "the guards of a run's namespace are frozen";
const RULES: &str = "each rule of a derived Role names its objects";
const BEYOND: &str = "attempting to grant RBAC permissions not currently held";
const NO_RIGHT: &str = "cannot";
const SELF_CHECK: &str = "cofferdam-run-selfcheckselfcheckselfchec-1";

/// Waits until the authorizer knows a right that was just given.
pub async fn wait(client: &TestClient, ask: impl Fn() -> Ask) {
    let end = tokio::time::Instant::now() + crate::installation::TIME_LIMIT;
    while let Err(said) = client.ask(ask()).await {
        assert!(tokio::time::Instant::now() < end, "the right is not seen: {said}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn deployment(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"a": name}},
            "template": {"metadata": {"labels": {"a": name}}, "spec": spec}}})
}

/// A pod that a run may have.
fn pod_spec() -> Value {
    json!({
        "serviceAccountName": "task", "automountServiceAccountToken": false,
        "restartPolicy": "Never", "hostNetwork": false,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "task", "image": format!("registry.example/tool@sha256:{}", "0".repeat(64)),
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]}},
            "resources": {"limits": {"cpu": "1", "memory": "64Mi"}},
        }],
        "initContainers": [], "volumes": [],
    })
}
