//! One good manifest, and one changed thing at a time.

use super::*;

fn good() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {"spec": {
            "securityContext": {"runAsNonRoot": true},
            "containers": [{
                "name": "web",
                "image": format!("registry.example:5000/web@sha256:{}", "a".repeat(64)),
                "resources": {"limits": {"memory": "64Mi"}},
                "readinessProbe": {"httpGet": {"port": 80}},
            }],
        }}},
    })
}

fn check(pointer: &str, key: &str, value: Value, expect: &[&str]) {
    let mut object = good();
    object.pointer_mut(pointer).unwrap()[key] = value;
    assert_eq!(found(&object), expect, "{pointer}/{key}");
}

fn found(document: &Value) -> Vec<String> {
    let report = lint(&document.to_string()).unwrap();
    report
        .findings
        .iter()
        .map(|finding| format!("{:?} {} {}", finding.level, finding.path, finding.rule))
        .collect()
}

const POD: &str = "/spec/template/spec";
const WEB: &str = "/spec/template/spec/containers/0";

#[test]
fn each_rule_finds_its_own() {
    assert_eq!(found(&good()), [""; 0]);
    let at = |rest: &str| format!("spec.template.spec.containers[name=web].{rest}");
    check(
        WEB,
        "image",
        json!("registry.example:5000/web:1.2"),
        &[&format!("Warning {} image-digest", at("image"))],
    );
    for latest in ["web", "web:latest", "registry.example:5000/web"] {
        check(WEB, "image", json!(latest), &[&format!("Error {} image-latest", at("image"))]);
    }
    check(
        WEB,
        "resources",
        json!({}),
        &[&format!("Error {} memory-limit", at("resources.limits.memory"))],
    );
    check(WEB, "readinessProbe", Value::Null, &[]);
    check(
        WEB,
        "securityContext",
        json!({"privileged": true}),
        &[&format!("Error {} privileged", at("securityContext.privileged"))],
    );
    check(
        POD,
        "securityContext",
        json!({}),
        &[&format!("Warning {} root", at("securityContext.runAsNonRoot"))],
    );
    check(POD, "hostNetwork", json!(true), &["Error spec.template.spec.hostNetwork host"]);
    let mut bare = good();
    bare.pointer_mut(WEB).and_then(Value::as_object_mut).unwrap().remove("readinessProbe");
    assert_eq!(found(&bare), [format!("Warning {} readiness", at("readinessProbe"))]);
    bare["kind"] = json!("Job");
    assert_eq!(found(&bare), [""; 0], "what ends by itself is never ready");
}

#[test]
fn lists_are_read_and_twins_are_found() {
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    assert_eq!(found(&json!([good(), config, good()])), ["Error metadata.name twice"]);
    let report = lint(&json!({"kind": "List", "items": [good(), config]}).to_string()).unwrap();
    assert_eq!((report.checked, report.findings.len()), (2, 0));
    assert_eq!(report.json(), json!({"checked": 2, "errors": 0, "total": 0, "findings": []}));
}

#[test]
fn what_is_no_manifest_is_no_finding() {
    assert!(lint("hello").unwrap_err().contains("not JSON"));
    assert!(lint("{}").unwrap_err().contains("manifests as JSON"));
    assert!(lint("[1]").unwrap_err().contains("manifests as JSON"));
}
