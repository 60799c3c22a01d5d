//! `deployment_restart` makes a Deployment replace its pods. It writes one annotation of the pod
//! template, as `kubectl rollout restart` does. The runner fills in the time, so that the same
//! request gives the same plan.

use cofferdam_sdk::tool::{
    CHANGE_OUTPUT, DEPLOYMENT, Definition, Draft, HostValue, Refusal, SEQUENTIAL,
};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

const RESTARTED_AT: &str =
    r#"spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
    name: String,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Restart a Deployment")
        .description(
            "Restarts one Deployment: its pods are replaced by its own rollout strategy. Use \
             it when a workload must read changed configuration or is stuck. It cannot be \
             undone, restarts no StatefulSet, and does not wait for the new pods.",
        )
        .input(include_str!("../input.schema.json"))
        .output(CHANGE_OUTPUT)
        .may(DEPLOYMENT.may_patch([RESTARTED_AT]))
        .executor(SEQUENTIAL)
        .example(
            "The time is filled in when it happens",
            r#"{"namespace": "team-a", "name": "web"}"#,
            r#"{
                "summary": "Restart Deployment team-a/web",
                "executor": "sequential",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-a", "name": "web"},
                    "changes": [{
                        "path": "spec.template.metadata.annotations[\"kubectl.kubernetes.io/restartedAt\"]",
                        "value": {"$host": "started_at"}
                    }],
                    "after": [],
                    "reversible": false
                }]
            }"#,
        )
        .example(
            "A name with dots",
            r#"{"namespace": "team-b", "name": "api.v2"}"#,
            r#"{
                "summary": "Restart Deployment team-b/api.v2",
                "executor": "sequential",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-b", "name": "api.v2"},
                    "changes": [{
                        "path": "spec.template.metadata.annotations[\"kubectl.kubernetes.io/restartedAt\"]",
                        "value": {"$host": "started_at"}
                    }],
                    "after": [],
                    "reversible": false
                }]
            }"#,
        )
}

fn plan(Arguments { namespace, name }: Arguments) -> Result<Draft, Refusal> {
    let summary = format!("Restart Deployment {namespace}/{name}");
    // Not reversible: writing the old time back would restart it once more.
    Ok(Draft::change(summary)
        .step(DEPLOYMENT.patch(namespace, name).fill(RESTARTED_AT, HostValue::StartedAt)))
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    fn check(arguments: &str, expect: &str) {
        assert_eq!(verdict(&define(), |arguments| call(plan, arguments), arguments), expect);
    }

    #[test]
    fn takes_one_name() {
        check(
            r#"{"namespace": "team-a", "name": ["web"]}"#,
            "schema: `/name`: [\"web\"] is not of type \"string\"",
        );
        check(
            r#"{"namespace": "team-a", "name": "web", "at": "2026-01-01T00:00:00Z"}"#,
            "schema: ``: Additional properties are not allowed ('at' was unexpected)",
        );
        check(
            &format!(r#"{{"namespace": "{}", "name": "{}"}}"#, "n".repeat(63), "m".repeat(253)),
            &long(),
        );
    }

    /// A summary is cut at 200 characters; the change itself is not.
    fn long() -> String {
        format!("planned: Restart Deployment {}/{}…", "n".repeat(63), "m".repeat(199 - 19 - 63 - 1))
    }
}
