//! `config_set` sets or removes one key of a ConfigMap's `data`. It never changes `binaryData` or
//! a Secret.

use cofferdam_sdk::tool::{CHANGE_OUTPUT, CONFIG_MAP, Definition, Draft, Refusal, SEQUENTIAL, key};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
    name: String,
    key: String,
    /// `None` removes the key. The schema requires the member, so that a missing one removes
    /// nothing.
    value: Option<String>,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Set a configuration value")
        .description(
            "Sets one key of one ConfigMap to a text, or removes it when the value is null. \
             Most workloads read it only when they start: restart them afterwards with \
             `deployment_restart`. It replaces the whole value: to edit a file kept in one \
             key, give all of it; `config_show` shows it. It cannot reach Secrets or binary \
             data.",
        )
        .input(include_str!("../input.schema.json"))
        .output(CHANGE_OUTPUT)
        .may(CONFIG_MAP.may_patch(["data.*"]))
        .executor(SEQUENTIAL)
        .example(
            "A plain key",
            r#"{"namespace": "team-a", "name": "web", "key": "LOG_LEVEL", "value": "debug"}"#,
            r#"{
                "summary": "Set LOG_LEVEL in ConfigMap team-a/web",
                "executor": "sequential",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "", "version": "v1", "kind": "ConfigMap", "namespace": "team-a", "name": "web"},
                    "changes": [{"path": "data.LOG_LEVEL", "value": "debug"}],
                    "after": [],
                    "reversible": true
                }]
            }"#,
        )
        .example(
            "A key with dots stands in quotes and brackets",
            r#"{"namespace": "team-a", "name": "web", "key": "app.properties", "value": "color=blue\n"}"#,
            r#"{
                "summary": "Set app.properties in ConfigMap team-a/web",
                "executor": "sequential",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "", "version": "v1", "kind": "ConfigMap", "namespace": "team-a", "name": "web"},
                    "changes": [{"path": "data[\"app.properties\"]", "value": "color=blue\n"}],
                    "after": [],
                    "reversible": true
                }]
            }"#,
        )
        .example(
            "Null removes the key",
            r#"{"namespace": "team-a", "name": "web", "key": "OLD_FLAG", "value": null}"#,
            r#"{
                "summary": "Remove OLD_FLAG from ConfigMap team-a/web",
                "executor": "sequential",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "", "version": "v1", "kind": "ConfigMap", "namespace": "team-a", "name": "web"},
                    "changes": [{"path": "data.OLD_FLAG", "value": null}],
                    "after": [],
                    "reversible": true
                }]
            }"#,
        )
}

fn plan(arguments: Arguments) -> Result<Draft, Refusal> {
    let Arguments { namespace, name, key: of, value } = arguments;
    // Kubernetes refuses these keys: in a mounted folder they would be `.`, `..` and hidden links.
    if of == "." || of.starts_with("..") {
        return Err(Refusal::new(
            format!("`{of}` cannot be a key of a ConfigMap"),
            "Give a key other than `.` that does not begin with two dots.",
        ));
    }
    let summary = match value {
        Some(_) => format!("Set {of} in ConfigMap {namespace}/{name}"),
        None => format!("Remove {of} from ConfigMap {namespace}/{name}"),
    };
    Ok(Draft::change(summary)
        .step(CONFIG_MAP.patch(namespace, name).set(key("data", &of), value).reversible()))
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    fn check(key: &str, value: &str, expect: &str) {
        let arguments = format!(r#"{{"namespace": "a", "name": "web", "key": "{key}"{value}}}"#);
        assert_eq!(verdict(&define(), |arguments| call(plan, arguments), &arguments), expect);
    }

    #[test]
    fn keys_and_values_are_what_a_config_map_takes() {
        check("a.b", r#", "value": """#, "planned: Set a.b in ConfigMap a/web");
        check("a", r#", "value": "null""#, "planned: Set a in ConfigMap a/web");
        check("..data", r#", "value": "x""#, "refused: `..data` cannot be a key of a ConfigMap");
        check(".", r#", "value": "x""#, "refused: `.` cannot be a key of a ConfigMap");
        check("a", "", "schema: ``: \"value\" is a required property");
        check(
            "a",
            r#", "value": 5"#,
            "schema: `/value`: 5 is not valid under any of the schemas listed in the 'anyOf' \
             keyword",
        );
        check(
            "a/b",
            r#", "value": "x""#,
            "schema: `/key`: \"a/b\" does not match \"^[-._a-zA-Z0-9]+$\"",
        );
    }
}
