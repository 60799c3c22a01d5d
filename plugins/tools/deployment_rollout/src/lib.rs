//! `deployment_rollout` sets the image of one container of a Deployment, and its replicas if the
//! call gives them, and waits until the new pods are ready. If they are not ready in time, the
//! executor restores the state before. It never guesses a tag.

use cofferdam_sdk::tool::{CHANGE_OUTPUT, DEPLOYMENT, Definition, Draft, ROLLOUT, Refusal, member};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

const CONTAINERS: &str = "spec.template.spec.containers";
const REPLICAS: &str = "spec.replicas";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
    name: String,
    container: String,
    image: String,
    replicas: Option<u32>,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Roll a Deployment out")
        .description(
            "Sets the image of one container of one Deployment, and its replicas if you give \
             them, then waits until the new pods are ready; if they are not within ten \
             minutes, it restores the state before and gives the cause. `image_set` does not wait. It \
             cannot add a container, or start a Deployment that is scaled to zero.",
        )
        .input(include_str!("../input.schema.json"))
        .output(CHANGE_OUTPUT)
        .may(DEPLOYMENT.may_patch(["spec.template.spec.containers[*].image", REPLICAS]))
        .executor(ROLLOUT)
        .example(
            "A new version",
            r#"{"namespace": "team-a", "name": "web", "container": "web", "image": "registry.example.com/team-a/web:1.4.2"}"#,
            r#"{
                "summary": "Roll out Deployment team-a/web: container web to registry.example.com/team-a/web:1.4.2",
                "executor": "rollout",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-a", "name": "web"},
                    "changes": [{
                        "path": "spec.template.spec.containers[name=web].image",
                        "value": "registry.example.com/team-a/web:1.4.2"
                    }],
                    "after": [],
                    "reversible": true
                }]
            }"#,
        )
        .example(
            "A new version on more replicas",
            r#"{"namespace": "team-a", "name": "web", "container": "web", "image": "registry.example.com/team-a/web:1.4.2", "replicas": 4}"#,
            r#"{
                "summary": "Roll out Deployment team-a/web: container web to registry.example.com/team-a/web:1.4.2, on 4 replicas",
                "executor": "rollout",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-a", "name": "web"},
                    "changes": [
                        {"path": "spec.template.spec.containers[name=web].image", "value": "registry.example.com/team-a/web:1.4.2"},
                        {"path": "spec.replicas", "value": 4}
                    ],
                    "after": [],
                    "reversible": true
                }]
            }"#,
        )
}

fn plan(
    Arguments { namespace, name, container, image, replicas }: Arguments,
) -> Result<Draft, Refusal> {
    if !pinned(&image) {
        return Err(Refusal::new(
            format!("`{image}` does not say which version it is"),
            "Give a tag other than `latest`, or a digest (`@sha256:…`).",
        ));
    }
    let on = replicas.map(|replicas| format!(", on {replicas} replicas")).unwrap_or_default();
    let summary =
        format!("Roll out Deployment {namespace}/{name}: container {container} to {image}{on}");
    let patch = DEPLOYMENT
        .patch(namespace, name)
        .set(member(CONTAINERS, "name", &container, "image"), image);
    let patch = match replicas {
        Some(replicas) => patch.set(REPLICAS, replicas),
        None => patch,
    };
    Ok(Draft::change(summary).executor(ROLLOUT).step(patch.reversible()))
}

/// True if the reference has a digest, or a tag other than `latest`. A colon before the last slash
/// belongs to a port.
fn pinned(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest")
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    fn check(rest: &str, expect: &str) {
        let arguments = format!(r#"{{"namespace": "a", "name": "web", "container": "c", {rest}}}"#);
        assert_eq!(verdict(&define(), |arguments| call(plan, arguments), &arguments), expect);
    }

    #[test]
    fn an_image_says_its_version_and_a_rollout_needs_pods() {
        check(r#""image": "web:1""#, "planned: Roll out Deployment a/web: container c to web:1");
        check(r#""image": "web""#, "refused: `web` does not say which version it is");
        check(
            r#""image": "localhost:5000/web:latest""#,
            "refused: `localhost:5000/web:latest` does not say which version it is",
        );
        check(
            r#""image": "web:1", "replicas": 0"#,
            "schema: `/replicas`: 0 is less than the minimum of 1",
        );
        check(r#""replicas": 1"#, "schema: ``: \"image\" is a required property");
    }
}
