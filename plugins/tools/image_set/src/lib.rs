//! `image_set` sets the image of one container of a Deployment. It never guesses a tag: a
//! reference without a version is refused.

use cofferdam_sdk::tool::{
    CHANGE_OUTPUT, DEPLOYMENT, Definition, Draft, Refusal, SEQUENTIAL, member,
};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

const CONTAINERS: &str = "spec.template.spec.containers";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
    name: String,
    container: String,
    image: String,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Set a container's image")
        .description(
            "Sets the image of one container of one Deployment, which then replaces its pods: \
             a new version or an earlier one. The tag must not be `latest`. It cannot change \
             init containers, add a container, or wait for the rollout.",
        )
        .input(include_str!("../input.schema.json"))
        .output(CHANGE_OUTPUT)
        .may(DEPLOYMENT.may_patch(["spec.template.spec.containers[*].image"]))
        .executor(SEQUENTIAL)
        .example(
            "A tag",
            r#"{"namespace": "team-a", "name": "web", "container": "web", "image": "registry.example.com/team-a/web:1.4.2"}"#,
            r#"{
                "summary": "Set image of container web in Deployment team-a/web to registry.example.com/team-a/web:1.4.2",
                "executor": "sequential",
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
            "A digest, of a sidecar",
            r#"{"namespace": "team-a", "name": "web", "container": "proxy",
                "image": "registry.example.com/shared/infrastructure/proxy@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}"#,
            r#"{
                "summary": "Set image of container proxy in Deployment team-a/web to registry.example.com/shared/infrastructure/proxy@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "executor": "sequential",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-a", "name": "web"},
                    "changes": [{
                        "path": "spec.template.spec.containers[name=proxy].image",
                        "value": "registry.example.com/shared/infrastructure/proxy@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                    }],
                    "after": [],
                    "reversible": true
                }]
            }"#,
        )
}

fn plan(Arguments { namespace, name, container, image }: Arguments) -> Result<Draft, Refusal> {
    if !pinned(&image) {
        return Err(Refusal::new(
            format!("`{image}` does not say which version it is"),
            "Give a tag other than `latest`, or a digest (`@sha256:…`).",
        ));
    }
    let summary =
        format!("Set image of container {container} in Deployment {namespace}/{name} to {image}");
    let path = member(CONTAINERS, "name", &container, "image");
    Ok(Draft::change(summary).step(DEPLOYMENT.patch(namespace, name).set(path, image).reversible()))
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

    fn check(image: &str, expect: &str) {
        let arguments =
            format!(r#"{{"namespace": "a", "name": "web", "container": "c", "image": "{image}"}}"#);
        let found = verdict(&define(), |arguments| call(plan, arguments), &arguments);
        assert_eq!(
            found.split(['`', '"']).next().unwrap_or_default().trim_end(),
            expect,
            "{image}: {found}"
        );
    }

    #[test]
    fn an_image_says_its_version() {
        let planned = |image: &str| {
            format!("planned: Set image of container c in Deployment a/web to {image}")
        };
        for image in [
            "web:1",
            "nginx:1.27-alpine",
            "localhost:5000/web:2",
            "r.example.com/a/b_c/d:v1@sha256:",
        ] {
            let image = if image.ends_with(':') {
                format!("{image}{}", "0a".repeat(32))
            } else {
                image.into()
            };
            check(&image, &planned(&image));
        }
        for image in ["web", "web:latest", "localhost:5000/web", "r.example.com/web:latest"] {
            check(image, "refused:");
        }
        for image in [
            "",
            "web:",
            "Web Server:1",
            "r.example.com/web@sha256:12",
            "r.example.com//web:1",
            "web:1 --privileged",
            "-web:1",
        ] {
            check(image, "schema:");
        }
    }
}
