//! `config_show` lists the ConfigMaps of one namespace, or shows the keys and values of one. It
//! never reads `binaryData` or a Secret.

use cofferdam_sdk::tool::{CONFIG_MAP, Definition, Draft, Refusal};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

const NAME: &str = "metadata.name";
const DATA: &str = "data";

/// The largest number of ConfigMaps in a list: enough for the namespace of a team, and short enough
/// for a model.
const LIMIT: u32 = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
    name: Option<String>,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Show configuration")
        .description(
            "Shows the keys and values of one ConfigMap, or lists the ConfigMaps of one namespace when no name \
             is given. Use it before `config_set`. It cannot show Secrets or binary data.",
        )
        .input(include_str!("../input.schema.json"))
        .output(include_str!("../output.schema.json"))
        .may(CONFIG_MAP.may_list([NAME]))
        .may(CONFIG_MAP.may_read([DATA]))
        .example(
            "The ConfigMaps there are",
            r#"{"namespace": "team-a"}"#,
            r#"{
                "summary": "List the ConfigMaps in team-a",
                "executor": null,
                "operations": [{
                    "action": "list", "group": "", "version": "v1", "kind": "ConfigMap", "namespace": "team-a",
                    "fields": ["metadata.name"], "limit": 200, "after": [], "reversible": false
                }]
            }"#,
        )
        .example(
            "What one of them holds",
            r#"{"namespace": "team-a", "name": "web"}"#,
            r#"{
                "summary": "Show ConfigMap team-a/web",
                "executor": null,
                "operations": [{
                    "action": "read",
                    "target": {"group": "", "version": "v1", "kind": "ConfigMap", "namespace": "team-a", "name": "web"},
                    "fields": ["data"], "after": [], "reversible": false
                }]
            }"#,
        )
}

fn plan(Arguments { namespace, name }: Arguments) -> Result<Draft, Refusal> {
    Ok(match name {
        None => Draft::look(format!("List the ConfigMaps in {namespace}")).step(CONFIG_MAP.list(
            namespace,
            &[NAME],
            LIMIT,
        )),
        Some(name) => Draft::look(format!("Show ConfigMap {namespace}/{name}"))
            .step(CONFIG_MAP.read(namespace, name, &[DATA])),
    })
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    fn check(arguments: &str, expect: &str) {
        assert_eq!(verdict(&define(), |arguments| call(plan, arguments), arguments), expect);
    }

    #[test]
    fn lists_or_shows() {
        check(r#"{"namespace": "a"}"#, "planned: List the ConfigMaps in a");
        check(r#"{"namespace": "a", "name": "web.conf"}"#, "planned: Show ConfigMap a/web.conf");
        check(r#"{"name": "web"}"#, "schema: ``: \"namespace\" is a required property");
    }
}
