//! The rules. Pure: from the text of manifests to findings, in the order of the manifests. Never
//! repairs anything.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The largest number of findings in a report. The report gives the number of all findings.
const FINDINGS: usize = 200;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The manifest will fail, or is dangerous.
    Error,
    /// The manifest may fail.
    Warning,
}

/// One finding about one object.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The severity.
    pub level: Level,
    /// Kind and name of the object.
    pub object: String,
    /// Path of the field.
    pub path: String,
    /// Name of the rule.
    pub rule: &'static str,
    /// The finding in one sentence.
    pub text: &'static str,
}

/// The findings about all objects.
#[derive(Debug)]
pub struct Report {
    /// The number of checked objects.
    pub checked: usize,
    /// The findings, in the order of the objects.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The number of findings that are errors.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.level == Level::Error).count()
    }

    /// The report as JSON: the first findings, and the number of all.
    pub fn json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().take(FINDINGS).map(Finding::json).collect();
        json!({"checked": self.checked, "errors": self.errors(), "total": self.findings.len(),
            "findings": findings})
    }
}

impl Finding {
    fn json(&self) -> Value {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        json!({"level": level, "object": self.object, "path": self.path, "rule": self.rule,
            "text": self.text})
    }
}

/// Checks manifests: one object, a list of them, or one with `items`.
pub fn lint(text: &str) -> Result<Report, String> {
    let document: Value =
        serde_json::from_str(text).map_err(|fault| format!("the input is not JSON: {fault}"))?;
    let objects = match &document {
        Value::Array(objects) => objects.as_slice(),
        object => object
            .get("items")
            .and_then(Value::as_array)
            .map_or(std::slice::from_ref(object), Vec::as_slice),
    };
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for object in objects {
        let (Some(kind), Some(name)) =
            (text_of(object, "/kind"), text_of(object, "/metadata/name"))
        else {
            return Err("an object of the input has no `kind` or no `metadata.name`; give \
                        Kubernetes manifests as JSON"
                .to_owned());
        };
        let mut desk = Desk { object: format!("{kind} {name}"), findings: &mut findings };
        let namespace = text_of(object, "/metadata/namespace").unwrap_or_default();
        if !seen.insert((text_of(object, "/apiVersion").unwrap_or_default(), kind, namespace, name))
        {
            desk.error(
                "metadata.name",
                "twice",
                "the object occurs twice, and readers differ in which one they use; remove one",
            );
        }
        if let Some((place, spec)) = pod_spec(kind, object) {
            desk.pod(kind, &place, spec);
        }
    }
    Ok(Report { checked: objects.len(), findings })
}

fn text_of<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// The path and the value of the pod spec of an object. `None` if its kind has none.
fn pod_spec<'a>(kind: &str, object: &'a Value) -> Option<(String, &'a Value)> {
    let keys: &[&str] = match kind {
        "Pod" => &["spec"],
        "CronJob" => &["spec", "jobTemplate", "spec", "template", "spec"],
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "ReplicationController"
        | "Job" => &["spec", "template", "spec"],
        _ => return None,
    };
    let spec = keys.iter().try_fold(object, |value, key| value.get(key))?;
    Some((keys.join("."), spec))
}

/// The check of one object.
struct Desk<'a> {
    object: String,
    findings: &'a mut Vec<Finding>,
}

impl Desk<'_> {
    fn error(&mut self, path: impl Into<String>, rule: &'static str, text: &'static str) {
        self.found(Level::Error, path.into(), rule, text);
    }

    fn warning(&mut self, path: impl Into<String>, rule: &'static str, text: &'static str) {
        self.found(Level::Warning, path.into(), rule, text);
    }

    fn found(&mut self, level: Level, path: String, rule: &'static str, text: &'static str) {
        self.findings.push(Finding { level, object: self.object.clone(), path, rule, text });
    }

    fn pod(&mut self, kind: &str, place: &str, spec: &Value) {
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            if spec.get(key) == Some(&Value::Bool(true)) {
                self.error(
                    format!("{place}.{key}"),
                    "host",
                    "the pod shares a namespace of its node",
                );
            }
        }
        for list in ["initContainers", "containers"] {
            for container in
                spec.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
            {
                let name = text_of(container, "/name").unwrap_or_default();
                self.container(
                    kind,
                    list,
                    &format!("{place}.{list}[name={name}]"),
                    container,
                    spec,
                );
            }
        }
    }

    fn container(&mut self, kind: &str, list: &str, place: &str, container: &Value, spec: &Value) {
        let image = text_of(container, "/image").unwrap_or_default();
        let named = image.rsplit('/').next().unwrap_or_default();
        if !image.contains("@sha256:") {
            if named.contains(':') && !named.ends_with(":latest") {
                self.warning(
                    format!("{place}.image"),
                    "image-digest",
                    "the image is named by a tag, which can change; name a digest",
                );
            } else {
                self.error(
                    format!("{place}.image"),
                    "image-latest",
                    "the image is `latest`, which can change at any time; name a version or a \
                     digest",
                );
            }
        }
        if container.pointer("/securityContext/privileged") == Some(&Value::Bool(true)) {
            self.error(
                format!("{place}.securityContext.privileged"),
                "privileged",
                "a privileged container controls its node",
            );
        }
        let not_root = ["/securityContext/runAsNonRoot"].iter().any(|at| {
            [container, spec].iter().any(|value| value.pointer(at) == Some(&Value::Bool(true)))
        });
        if !not_root {
            self.warning(
                format!("{place}.securityContext.runAsNonRoot"),
                "root",
                "the container may run as root",
            );
        }
        if container.pointer("/resources/limits/memory").is_none() {
            self.error(
                format!("{place}.resources.limits.memory"),
                "memory-limit",
                "without a limit the container can use all memory of its node",
            );
        }
        let serves =
            list == "containers" && matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet");
        if serves && container.get("readinessProbe").is_none() {
            self.warning(
                format!("{place}.readinessProbe"),
                "readiness",
                "without a probe the container counts as ready when it starts",
            );
        }
    }
}
