//! `deployment_delete` deletes one Deployment. It is destructive. The host sees that from the
//! ceiling and, by default, requires the signature of a person.

use cofferdam_sdk::tool::{CHANGE_OUTPUT, DEPLOYMENT, Definition, Draft, Refusal, SEQUENTIAL};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
    name: String,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Delete a Deployment")
        .description(
            "Deletes one Deployment and its pods, for good; to stop it for a while, scale it \
             to 0. It cannot be undone, and leaves Services, ConfigMaps and volumes in place. \
             A person normally has to approve it.",
        )
        .input(include_str!("../input.schema.json"))
        .output(CHANGE_OUTPUT)
        .may(DEPLOYMENT.may_delete())
        .executor(SEQUENTIAL)
        .example(
            "One Deployment",
            r#"{"namespace": "team-a", "name": "old-web"}"#,
            r#"{
                "summary": "Delete Deployment team-a/old-web",
                "executor": "sequential",
                "operations": [{
                    "action": "delete",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-a", "name": "old-web"},
                    "after": [],
                    "reversible": false
                }]
            }"#,
        )
        .example(
            "Another one",
            r#"{"namespace": "team-b", "name": "trial"}"#,
            r#"{
                "summary": "Delete Deployment team-b/trial",
                "executor": "sequential",
                "operations": [{
                    "action": "delete",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-b", "name": "trial"},
                    "after": [],
                    "reversible": false
                }]
            }"#,
        )
}

fn plan(Arguments { namespace, name }: Arguments) -> Result<Draft, Refusal> {
    let summary = format!("Delete Deployment {namespace}/{name}");
    Ok(Draft::change(summary).step(DEPLOYMENT.delete(namespace, name)))
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    fn check(arguments: &str, expect: &str) {
        assert_eq!(verdict(&define(), |arguments| call(plan, arguments), arguments), expect);
    }

    #[test]
    fn names_exactly_one() {
        check(r#"{"namespace": "team-a"}"#, "schema: ``: \"name\" is a required property");
        check(r#"{"namespace": "team-a", "name": ""}"#, &unfit(""));
        check(r#"{"namespace": "team-a", "name": "web*"}"#, &unfit("web*"));
    }

    fn unfit(name: &str) -> String {
        format!(r#"schema: `/name`: "{name}" does not match "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$""#)
    }
}
