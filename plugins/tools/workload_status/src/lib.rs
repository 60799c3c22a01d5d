//! `workload_status` shows the state of one workload: wanted, running and ready replicas. It reads
//! named fields only, and changes nothing.

use cofferdam_sdk::tool::{DAEMON_SET, DEPLOYMENT, Definition, Draft, Kind, Refusal, STATEFUL_SET};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

/// The fields of a Deployment and a StatefulSet.
const REPLICATED: [&str; 6] = [
    "spec.replicas",
    "spec.template.spec.containers[*].name",
    "spec.template.spec.containers[*].image",
    "status.readyReplicas",
    "status.updatedReplicas",
    "status.availableReplicas",
];
/// The fields of a DaemonSet, which counts nodes.
const PER_NODE: [&str; 6] = [
    "spec.template.spec.containers[*].name",
    "spec.template.spec.containers[*].image",
    "status.desiredNumberScheduled",
    "status.numberReady",
    "status.updatedNumberScheduled",
    "status.numberAvailable",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
    name: String,
    #[serde(default)]
    kind: Workload,
}

#[derive(Deserialize, Default)]
enum Workload {
    #[default]
    Deployment,
    StatefulSet,
    DaemonSet,
}

impl Workload {
    /// The kind, and the fields to read.
    fn look(&self) -> (Kind, &'static [&'static str]) {
        match self {
            Self::Deployment => (DEPLOYMENT, &REPLICATED),
            Self::StatefulSet => (STATEFUL_SET, &REPLICATED),
            Self::DaemonSet => (DAEMON_SET, &PER_NODE),
        }
    }
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Show a workload's status")
        .description(
            "Shows one Deployment, StatefulSet or DaemonSet: replicas wanted, ready, up to \
             date and available, and its containers with their images. Use it before a change \
             and after one. In a folder of manifests there is no status.",
        )
        .input(include_str!("../input.schema.json"))
        .output(include_str!("../output.schema.json"))
        .may(DEPLOYMENT.may_read(REPLICATED))
        .may(STATEFUL_SET.may_read(REPLICATED))
        .may(DAEMON_SET.may_read(PER_NODE))
        .example(
            "A Deployment",
            r#"{"namespace": "team-a", "name": "web"}"#,
            r#"{
                "summary": "Show Deployment team-a/web",
                "executor": null,
                "operations": [{
                    "action": "read",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-a", "name": "web"},
                    "fields": ["spec.replicas", "spec.template.spec.containers[*].name",
                        "spec.template.spec.containers[*].image", "status.readyReplicas", "status.updatedReplicas",
                        "status.availableReplicas"],
                    "after": [],
                    "reversible": false
                }]
            }"#,
        )
        .example(
            "A DaemonSet, which counts nodes",
            r#"{"namespace": "platform", "name": "log-shipper", "kind": "DaemonSet"}"#,
            r#"{
                "summary": "Show DaemonSet platform/log-shipper",
                "executor": null,
                "operations": [{
                    "action": "read",
                    "target": {"group": "apps", "version": "v1", "kind": "DaemonSet", "namespace": "platform", "name": "log-shipper"},
                    "fields": ["spec.template.spec.containers[*].name", "spec.template.spec.containers[*].image", "status.desiredNumberScheduled", "status.numberReady",
                        "status.updatedNumberScheduled", "status.numberAvailable"],
                    "after": [],
                    "reversible": false
                }]
            }"#,
        )
}

fn plan(Arguments { namespace, name, kind }: Arguments) -> Result<Draft, Refusal> {
    let (kind, fields) = kind.look();
    Ok(Draft::look(format!("Show {} {namespace}/{name}", kind.kind))
        .step(kind.read(namespace, name, fields)))
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    fn check(arguments: &str, expect: &str) {
        assert_eq!(verdict(&define(), |arguments| call(plan, arguments), arguments), expect);
    }

    #[test]
    fn knows_three_kinds() {
        check(
            r#"{"namespace": "a", "name": "db", "kind": "StatefulSet"}"#,
            "planned: Show StatefulSet a/db",
        );
        check(
            r#"{"namespace": "a", "name": "db", "kind": "Secret"}"#,
            "schema: `/kind`: \"Secret\" is not one of \"Deployment\", \"StatefulSet\" or \
             \"DaemonSet\"",
        );
        check(r#"{"namespace": "a"}"#, "schema: ``: \"name\" is a required property");
    }
}
