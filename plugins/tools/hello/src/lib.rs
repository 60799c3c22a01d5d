//! `hello` writes a greeting on a Deployment. It is the worked example: copy this folder, follow
//! the six steps, and you have a tool.
//!
//! A tool does nothing. It is a pure function from arguments to a *draft* of what ought to be done:
//! no clock, no randomness, no network, no files. Cofferdam checks the draft, asks a policy, asks a
//! person where the policy says so, and only then has it carried out by others. So the same
//! arguments always give the same plan, and anybody may run the tool again to check.
//!
//! Step 1 is `Cargo.toml`: `name` (small letters, digits, `_`) is what agents call the tool by.
//! `README.md` says how to run each step.

use cofferdam_sdk::tool::{CHANGE_OUTPUT, DEPLOYMENT, Definition, Draft, Refusal, SEQUENTIAL};
use serde::Deserialize;

// Exports the two functions below, and makes a test of every example in the definition.
cofferdam_sdk::tool!(define, plan);

/// The one field this tool writes. A key with dots or slashes stands in quotes and brackets. Where
/// the path depends on arguments, write it with `tool::key` (see `config_set`) or `tool::member`
/// for a member of a list (see `image_set`).
const GREETING: &str = r#"metadata.annotations["cofferdam.dev/greeting"]"#;

/// Step 2: the arguments, as a type. `input.schema.json` says the same to agents; the host has
/// checked it before `plan` is called, so every pattern and limit in there holds here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: String,
    name: String,
    greeting: String,
}

/// Step 3: what the tool is. Read once, when the component is loaded, and pinned with the
/// component's digest.
fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        // For people, in lists.
        .title("Greet a Deployment")
        // For models, which choose by it: what it does, when to use it, what it cannot.
        .description(
            "Writes a greeting into the annotation `cofferdam.dev/greeting` of one \
             Deployment, in place of an earlier one. Use it to see that Cofferdam works: the \
             change is harmless and restarts nothing. It cannot remove a greeting.",
        )
        .input(include_str!("../input.schema.json"))
        // The host shapes the result. For a change it is always this; a tool that looks brings its own (see `workloads_list`).
        .output(CHANGE_OUTPUT)
        // Step 4: the ceiling, the widest plan this tool may ever return. Reviewers accept it; a draft beyond it is refused before policy.
        // Keep it as narrow as the tool: one line per kind of object and action. For any key of a map write `*`: `metadata.labels.*`.
        .may(DEPLOYMENT.may_patch([GREETING]))
        .executor(SEQUENTIAL)
        // Step 5: examples. They are the documentation, what `inspect` shows first, and tests: `cargo test -p hello` compares the drafts.
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

/// Step 6: from arguments to a draft. Refuse what a schema cannot say, with the reason and what the
/// caller can do about it.
fn plan(Arguments { namespace, name, greeting }: Arguments) -> Result<Draft, Refusal> {
    let greeting = greeting.trim();
    if greeting.is_empty() {
        return Err(Refusal::new("the greeting is blank", "Give at least one visible character."));
    }
    // One sentence for the approver, who sees it as the tool's claim, beside the change itself in
    // the host's words.
    let summary = format!("Greet Deployment {namespace}/{name} with \"{greeting}\"");
    // A kind that is not among the constants of `tool` is `Kind { group, version, kind }`.
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
