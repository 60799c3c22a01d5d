//! `environment_preview` applies manifests in the run namespace, waits until they are ready, and
//! runs a check against them if the call gives one. The host always deletes the run namespace
//! afterwards. It never changes anything outside of it.

use cofferdam_sdk::tool::{
    CHANGE_OUTPUT, CONFIG_MAP, DEPLOYMENT, Definition, Draft, EPHEMERAL, Egress, JOB, Kind,
    Manifest, Place, ROLLOUT, Refusal, SERVICE, STATEFUL_SET, Step, Task, in_order, may_apply,
};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

/// The kinds that it applies.
const KINDS: [Kind; 5] = [CONFIG_MAP, SERVICE, DEPLOYMENT, STATEFUL_SET, JOB];

/// The default time limit of a check, in seconds.
const SECONDS: u32 = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    manifests: Vec<Manifest>,
    check: Option<Check>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    image: String,
    #[serde(default)]
    arguments: Vec<String>,
    seconds: Option<u32>,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Try manifests out")
        .description(
            "Brings up to 16 objects up in an empty namespace of their own, waits until they are \
             ready, runs a check against them if you give one, returns its result, and removes \
             everything. Use it before `manifests_apply`. A check is an image that finds the \
             Services by name; it needs a person's approval. No Secrets, no storage, pods of the \
             `restricted` standard only.",
        )
        .input(include_str!("../input.schema.json"))
        .output(CHANGE_OUTPUT)
        .may_all(KINDS.into_iter().flat_map(|kind| may_apply(kind, &[EPHEMERAL])))
        .may_run_tasks()
        .may_open(["egress.siblings", "egress.name-service"])
        .executor(ROLLOUT)
        .example(
            "Configuration alone",
            include_str!("../examples/config.json"),
            include_str!("../examples/config.draft.json"),
        )
        .example(
            "A workload and a check",
            include_str!("../examples/checked.json"),
            include_str!("../examples/checked.draft.json"),
        )
}

fn plan(Arguments { manifests, check }: Arguments) -> Result<Draft, Refusal> {
    let titles: Vec<_> = manifests.iter().map(Manifest::title).collect();
    let checked = if check.is_some() { "Try out and check" } else { "Try out" };
    let summary = format!("{checked}: {}", titles.join(", "));
    // A Service is found by its name.
    let ways = if manifests.iter().any(|manifest| manifest.is(SERVICE)) {
        vec![Egress::Siblings, Egress::NameService]
    } else {
        Vec::new()
    };
    let before = number(ways.len());
    let mut steps: Vec<Step> = ways.into_iter().map(Step::from).collect();
    steps.extend(
        in_order(manifests, &KINDS, &Place::Ephemeral)?.into_iter().map(|step| step.behind(before)),
    );
    if let Some(Check { image, arguments, seconds }) = check {
        let task = Task::image("check", image, arguments).seconds(seconds.unwrap_or(SECONDS));
        let all = number(steps.len());
        steps.push(Step::from(task).after(0..all));
    }
    Ok(steps.into_iter().fold(Draft::change(summary).executor(ROLLOUT), Draft::step))
}

fn number(steps: usize) -> u32 {
    u32::try_from(steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    fn check(rest: &str, expect: &str) {
        let arguments = format!(
            r#"{{"manifests": [{{"apiVersion": "batch/v1", "kind": "Job", "metadata": {{"name": "j"}}}}]{rest}}}"#
        );
        let found = verdict(&define(), |arguments| call(plan, arguments), &arguments);
        assert!(found.starts_with(expect), "{found}");
    }

    #[test]
    fn a_check_is_named_by_digest() {
        check("", "planned: Try out: Job j");
        check(
            &format!(r#", "check": {{"image": "r.example.com/c@sha256:{}"}}"#, "0a".repeat(32)),
            "planned: Try out and check: Job j",
        );
        check(r#", "check": {"image": "r.example.com/c:1"}"#, "schema: `/check/image`");
        check(r#", "namespace": "team-a""#, "schema: ``: Additional properties");
    }
}
