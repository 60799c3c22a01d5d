//! `deployment_scale` sets how many replicas a Deployment has. It writes that one field
//! and accepts any number: policy sets the limits.

use cofferdam_sdk::tool::{CHANGE_OUTPUT, DEPLOYMENT, Definition, Draft, Refusal, SEQUENTIAL};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

const REPLICAS: &str = "spec.replicas";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
    name: String,
    replicas: u32,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Scale a Deployment")
        .description(
            "Sets the replicas of one Deployment to exactly what you give. It cannot scale \
             StatefulSets, change an autoscaler, or wait for the new replicas. Policy usually \
             limits the number; a refusal names the limit.",
        )
        .input(include_str!("../input.schema.json"))
        .output(CHANGE_OUTPUT)
        .may(DEPLOYMENT.may_patch([REPLICAS]))
        .executor(SEQUENTIAL)
        .example(
            "Five replicas",
            r#"{"namespace": "team-a", "name": "web", "replicas": 5}"#,
            r#"{
                "summary": "Scale Deployment team-a/web to 5 replicas",
                "executor": "sequential",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-a", "name": "web"},
                    "changes": [{"path": "spec.replicas", "value": 5}],
                    "after": [],
                    "reversible": true
                }]
            }"#,
        )
        .example(
            "None: the Deployment stops",
            r#"{"namespace": "team-a", "name": "worker", "replicas": 0}"#,
            r#"{
                "summary": "Scale Deployment team-a/worker to 0 replicas, which stops it",
                "executor": "sequential",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-a", "name": "worker"},
                    "changes": [{"path": "spec.replicas", "value": 0}],
                    "after": [],
                    "reversible": true
                }]
            }"#,
        )
}

fn plan(Arguments { namespace, name, replicas }: Arguments) -> Result<Draft, Refusal> {
    let count = match replicas {
        0 => "0 replicas, which stops it".into(),
        1 => "1 replica".into(),
        _ => format!("{replicas} replicas"),
    };
    let summary = format!("Scale Deployment {namespace}/{name} to {count}");
    Ok(Draft::change(summary)
        .step(DEPLOYMENT.patch(namespace, name).set(REPLICAS, replicas).reversible()))
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    fn check(replicas: &str, expect: &str) {
        let arguments =
            format!(r#"{{"namespace": "team-a", "name": "web", "replicas": {replicas}}}"#);
        assert_eq!(verdict(&define(), |arguments| call(plan, arguments), &arguments), expect);
    }

    #[test]
    fn takes_whole_numbers_up_to_a_thousand() {
        check("1", "planned: Scale Deployment team-a/web to 1 replica");
        check("1000", "planned: Scale Deployment team-a/web to 1000 replicas");
        check("1001", "schema: `/replicas`: 1001 is greater than the maximum of 1000");
        check("-1", "schema: `/replicas`: -1 is less than the minimum of 0");
        check("2.5", "schema: `/replicas`: 2.5 is not of type \"integer\"");
        check("\"5\"", "schema: `/replicas`: \"5\" is not of type \"integer\"");
    }
}
