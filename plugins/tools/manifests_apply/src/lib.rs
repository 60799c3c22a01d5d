//! `manifests_apply` applies whole objects to one namespace, waits until they are ready, and
//! restores the state before if one is not. It reads only kind and name of a manifest: the ceiling
//! limits the fields, line by line.

use cofferdam_sdk::tool::{
    CHANGE_OUTPUT, CONFIG_MAP, DEPLOYMENT, Definition, Draft, EVERYWHERE, Kind, Manifest, Place,
    ROLLOUT, Refusal, SERVICE, STATEFUL_SET, in_order, may_apply,
};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

/// The kinds that it applies.
const KINDS: [Kind; 4] = [CONFIG_MAP, SERVICE, DEPLOYMENT, STATEFUL_SET];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
    manifests: Vec<Manifest>,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Apply manifests")
        .description(
            "Creates or updates up to 16 whole objects in one namespace by server-side apply, \
             ConfigMaps and Services first, each ready before the next; if one fails, all are put \
             back. Use it for something new or for more than single fields. It takes no field \
             from another owner, makes no Secrets or service accounts, and writes usual fields \
             only; a refusal names the first other one.",
        )
        .input(include_str!("../input.schema.json"))
        .output(CHANGE_OUTPUT)
        .may_all(KINDS.into_iter().flat_map(|kind| may_apply(kind, &[EVERYWHERE])))
        .executor(ROLLOUT)
        .example(
            "Configuration alone",
            include_str!("../examples/config.json"),
            include_str!("../examples/config.draft.json"),
        )
        .example(
            "A workload with what it reads",
            include_str!("../examples/web.json"),
            include_str!("../examples/web.draft.json"),
        )
}

fn plan(Arguments { namespace, manifests }: Arguments) -> Result<Draft, Refusal> {
    let titles: Vec<_> = manifests.iter().map(Manifest::title).collect();
    let summary = format!("Apply to {namespace}: {}", titles.join(", "));
    let steps = in_order(manifests, &KINDS, &Place::Namespace(namespace))?;
    Ok(steps.into_iter().fold(Draft::change(summary).executor(ROLLOUT), |draft, step| {
        draft.step(step.reversible())
    }))
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    fn check(manifests: &str, expect: &str) {
        let arguments = format!(r#"{{"namespace": "a", "manifests": [{manifests}]}}"#);
        assert_eq!(verdict(&define(), |arguments| call(plan, arguments), &arguments), expect);
    }

    #[test]
    fn kinds_and_places_are_named() {
        let of = |kind: &str, metadata: &str| {
            format!(r#"{{"apiVersion": "v1", "kind": "{kind}", "metadata": {metadata}}}"#)
        };
        check(&of("ConfigMap", r#"{"name": "c"}"#), "planned: Apply to a: ConfigMap c");
        check(
            &of("ConfigMap", r#"{"name": "c", "namespace": "a"}"#),
            "planned: Apply to a: ConfigMap c",
        );
        check(
            &of("ConfigMap", r#"{"name": "c", "namespace": "b"}"#),
            "refused: `ConfigMap c` must not name another namespace",
        );
        check(&of("Secret", r#"{"name": "s"}"#), "refused: this tool does not apply `Secret s`");
        check(
            &of("ConfigMap", "{}"),
            "schema: `/manifests/0/metadata`: \"name\" is a required property",
        );
        check("", "schema: `/manifests`: [] has less than 1 item");
    }
}
