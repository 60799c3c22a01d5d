//! `workloads_list` shows the workloads of one namespace: names, replicas, containers and images.
//! It reads named fields only, and changes nothing.

use cofferdam_sdk::tool::{DAEMON_SET, DEPLOYMENT, Definition, Draft, Refusal, STATEFUL_SET};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

const NAME: &str = "metadata.name";
const REPLICAS: &str = "spec.replicas";
const CONTAINERS: &str = "spec.template.spec.containers[*].name";
const IMAGES: &str = "spec.template.spec.containers[*].image";

/// The largest number of objects of each kind: enough for the namespace of a team, and short enough
/// for a model.
const LIMIT: u32 = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("List workloads")
        .description(
            "Lists the Deployments, StatefulSets and DaemonSets of one namespace with wanted \
             replicas and containers, at most 200 of each kind. Use it first, to learn what there \
             is and what it is called.",
        )
        .input(include_str!("../input.schema.json"))
        .output(include_str!("../output.schema.json"))
        .may(DEPLOYMENT.may_list([NAME, REPLICAS, CONTAINERS, IMAGES]))
        .may(STATEFUL_SET.may_list([NAME, REPLICAS, CONTAINERS, IMAGES]))
        .may(DAEMON_SET.may_list([NAME, CONTAINERS, IMAGES]))
        .example(
            "A team's namespace",
            r#"{"namespace": "team-a"}"#,
            include_str!("../examples/team-a.json"),
        )
        .example(
            "Another one",
            r#"{"namespace": "payments-prod"}"#,
            include_str!("../examples/payments-prod.json"),
        )
}

fn plan(Arguments { namespace }: Arguments) -> Result<Draft, Refusal> {
    Ok(Draft::look(format!("List the workloads in {namespace}"))
        .step(DEPLOYMENT.list(&*namespace, &[NAME, REPLICAS, CONTAINERS, IMAGES], LIMIT))
        .step(STATEFUL_SET.list(&*namespace, &[NAME, REPLICAS, CONTAINERS, IMAGES], LIMIT))
        .step(DAEMON_SET.list(&*namespace, &[NAME, CONTAINERS, IMAGES], LIMIT)))
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    fn check(arguments: &str, expect: &str) {
        assert_eq!(verdict(&define(), |arguments| call(plan, arguments), arguments), expect);
    }

    #[test]
    fn takes_one_namespace() {
        check(r#"{}"#, "schema: ``: \"namespace\" is a required property");
        check(
            r#"{"namespace": "*"}"#,
            "schema: `/namespace`: \"*\" does not match \"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$\"",
        );
        check(
            r#"{"namespace": "team-a", "selector": "app=web"}"#,
            "schema: ``: Additional properties are not allowed ('selector' was unexpected)",
        );
    }
}
