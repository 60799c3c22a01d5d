//! `hello` writes a greeting on a Deployment. It is the worked example: copy this folder, follow
//! the six steps, and you have a tool.
//!
//! A tool has no effect. It is a pure function from arguments to a *draft*, a proposal: it has no
//! clock, no randomness, no network and no files. Cofferdam checks the draft, asks a policy, and
//! asks a person if the policy requires one. Other parts then carry it out. So the same arguments
//! always give the same plan, and a reviewer can run the tool again to check it.
//!
//! Step 1 is `Cargo.toml`: agents call the tool by its `name` (small letters, digits, `_`).
//! `README.md` says how to run each step.

use cofferdam_sdk::tool::{CHANGE_OUTPUT, DEPLOYMENT, Definition, Draft, Refusal, SEQUENTIAL};
use serde::Deserialize;

// Exports the two functions below, and makes a test of every example in the definition.
cofferdam_sdk::tool!(define, plan);

/// The one field that this tool writes. A key with dots or slashes is written in quotes and
/// brackets. If the path depends on arguments, write it with `tool::key` (see `config_set`) or
/// `tool::member` for a member of a list (see `image_set`).
const GREETING: &str = r#"metadata.annotations["cofferdam.dev/greeting"]"#;

/// Step 2: the arguments, as a type. `input.schema.json` is the same for agents. The host checks
/// the arguments against it before it calls `plan`, so that every pattern and limit of the schema
/// holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
    name: String,
    greeting: String,
}

/// Step 3: the description of the tool. The host reads it once when it loads the component, and
/// pins it with the component's digest.
fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        // For people, in lists.
        .title("Greet a Deployment")
        // For models, which choose by it: its purpose, its use and its limits.
        .description(
            "Writes a greeting into the annotation `cofferdam.dev/greeting` of one \
             Deployment, in place of an earlier one. Use it to see that Cofferdam works: the \
             change is harmless and restarts nothing. It cannot remove a greeting.",
        )
        .input(include_str!("../input.schema.json"))
        // The host makes the result. Its schema is this one for a change; a tool that reads has its
        // own (see `workloads_list`).
        .output(CHANGE_OUTPUT)
        // Step 4: the ceiling, the widest plan that this tool may return. An operator accepts it,
        // and the host refuses a draft beyond it. Keep it narrow: one line for each kind of object
        // and action. For any key of a map write `*`: `metadata.labels.*`.
        .may(DEPLOYMENT.may_patch([GREETING]))
        .executor(SEQUENTIAL)
        // Step 5: examples. They are documentation and tests: `inspect` shows them first, and
        // `cargo test -p hello` compares the drafts.
        .example(
            "A greeting",
            r#"{"namespace": "team-a", "name": "web", "greeting": "Ahoy"}"#,
            r#"{
                "summary": "Greet Deployment team-a/web with \"Ahoy\"",
                "executor": "sequential",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-a", "name": "web"},
                    "changes": [{"path": "metadata.annotations[\"cofferdam.dev/greeting\"]", "value": "Ahoy"}],
                    "after": [],
                    "reversible": true
                }]
            }"#,
        )
        .example(
            "Blanks around a greeting are dropped",
            r#"{"namespace": "team-b", "name": "api", "greeting": " Good morning "}"#,
            r#"{
                "summary": "Greet Deployment team-b/api with \"Good morning\"",
                "executor": "sequential",
                "operations": [{
                    "action": "patch",
                    "target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "team-b", "name": "api"},
                    "changes": [{"path": "metadata.annotations[\"cofferdam.dev/greeting\"]", "value": "Good morning"}],
                    "after": [],
                    "reversible": true
                }]
            }"#,
        )
}

/// Step 6: from arguments to a draft. Refuse arguments that a schema cannot exclude, with the cause
/// and the remedy for the caller.
fn plan(Arguments { namespace, name, greeting }: Arguments) -> Result<Draft, Refusal> {
    let greeting = greeting.trim();
    if greeting.is_empty() {
        return Err(Refusal::new("the greeting is blank", "Give at least one visible character."));
    }
    // One sentence for the approver. It is shown as a claim of the tool, beside the change itself
    // in a text of the host.
    let summary = format!("Greet Deployment {namespace}/{name} with \"{greeting}\"");
    // If `tool` has no constant for a kind, write `Kind { group, version, kind }`.
    // `.reversible()` lets an executor undo the step; `.after([0])` on a later step makes it wait
    // for the first.
    Ok(Draft::change(summary)
        .step(DEPLOYMENT.patch(namespace, name).set(GREETING, greeting).reversible()))
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    /// The whole way of arguments: through the schema, then through `plan`.
    fn check(arguments: &str, expect: &str) {
        assert_eq!(verdict(&define(), |arguments| call(plan, arguments), arguments), expect);
    }

    #[test]
    fn refuses_what_is_no_greeting() {
        check(
            r#"{"namespace": "team-a", "name": "web", "greeting": "  "}"#,
            "refused: the greeting is blank",
        );
        check(
            r#"{"namespace": "team-a", "name": "web", "greeting": ""}"#,
            "schema: `/greeting`: \"\" is shorter than 1 character",
        );
        check(
            r#"{"namespace": "team-a", "name": "web"}"#,
            "schema: ``: \"greeting\" is a required property",
        );
        check(
            r#"{"namespace": "Team A", "name": "web", "greeting": "Ahoy"}"#,
            "schema: `/namespace`: \"Team A\" does not match \"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$\"",
        );
    }
}
