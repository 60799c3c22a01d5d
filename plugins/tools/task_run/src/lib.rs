//! `task_run` runs one container image or one accepted Wasm command in the run namespace, without
//! any rights. Its output is the result. The run namespace is deleted afterwards.

use cofferdam_sdk::tool::{
    CHANGE_OUTPUT, Definition, Draft, Egress, Protocol, Refusal, SEQUENTIAL, Step, Task,
};
use serde::Deserialize;

cofferdam_sdk::tool!(define, plan);

/// The default time limit, in seconds.
const SECONDS: u32 = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    name: String,
    image: Option<String>,
    command: Option<String>,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    input: String,
    seconds: Option<u32>,
    #[serde(default)]
    reaches: Vec<Destination>,
    #[serde(default)]
    finds_names: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Destination {
    addresses: String,
    port: u16,
    #[serde(default)]
    udp: bool,
}

fn define() -> Definition {
    Definition::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .title("Run a task")
        .description(
            "Runs one program once and gives back what it printed: a container image by \
             digest (needs a cluster), or a Wasm command that an operator accepted; give \
             exactly one. A command reads `input` on standard input, and has no files, \
             network or arguments; an image finds it as the file `/cofferdam/input` and \
             reaches `reaches` alone. A person has to approve it.",
        )
        .input(include_str!("../input.schema.json"))
        .output(CHANGE_OUTPUT)
        .may_run_tasks()
        .may_open(["egress.name-service", "egress.addresses.*"])
        .executor(SEQUENTIAL)
        .example(
            "A Wasm command",
            r#"{"name": "summarise", "input": "1 2 3",
                "command": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}"#,
            r#"{
                "summary": "Run summarise: the command sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "executor": "sequential",
                "operations": [{
                    "action": "task",
                    "name": "summarise",
                    "program": {"command": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
                    "input": "1 2 3",
                    "seconds": 60,
                    "after": [],
                    "reversible": false
                }]
            }"#,
        )
        .example(
            "An image that reaches a service",
            r#"{"name": "probe", "image": "registry.example.com/tools/probe@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "reaches": [{"addresses": "203.0.113.7/32", "port": 443}]}"#,
            r#"{
                "summary": "Run probe: the image registry.example.com/tools/probe@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "executor": "sequential",
                "operations": [{
                    "action": "egress",
                    "to": {"addresses": {"block": "203.0.113.7/32", "protocol": "tcp", "port": 443}},
                    "after": [],
                    "reversible": false
                }, {
                    "action": "task",
                    "name": "probe",
                    "program": {"image": {
                        "reference": "registry.example.com/tools/probe@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                        "arguments": []
                    }},
                    "input": "",
                    "seconds": 60,
                    "after": [0],
                    "reversible": false
                }]
            }"#,
        )
        .example(
            "An image with arguments",
            r#"{"name": "lint", "input": "a: 1", "arguments": ["lint", "/cofferdam/input"], "seconds": 20,
                "image": "registry.example.com/tools/lint@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}"#,
            r#"{
                "summary": "Run lint: the image registry.example.com/tools/lint@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "executor": "sequential",
                "operations": [{
                    "action": "task",
                    "name": "lint",
                    "program": {"image": {
                        "reference": "registry.example.com/tools/lint@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                        "arguments": ["lint", "/cofferdam/input"]
                    }},
                    "input": "a: 1",
                    "seconds": 20,
                    "after": [],
                    "reversible": false
                }]
            }"#,
        )
}

fn plan(arguments: Arguments) -> Result<Draft, Refusal> {
    let Arguments { name, image, command, arguments, input, seconds, reaches, finds_names } =
        arguments;
    let names = finds_names.then_some(Egress::NameService);
    let open = |Destination { addresses, port, udp }| {
        Egress::addresses(addresses, if udp { Protocol::Udp } else { Protocol::Tcp }, port)
    };
    let ways: Vec<Egress> = names.into_iter().chain(reaches.into_iter().map(open)).collect();
    let (summary, task) = match (image, command) {
        (Some(image), None) => {
            (format!("Run {name}: the image {image}"), Task::image(name, image, arguments))
        }
        (None, Some(command)) if arguments.is_empty() && ways.is_empty() => {
            (format!("Run {name}: the command {command}"), Task::command(name, command))
        }
        (None, Some(_)) => {
            let reason =
                "a command takes no `arguments`, and reaches nothing by `reaches` or `finds_names`";
            return Err(Refusal::new(reason, "Give it what it needs as `input`."));
        }
        (Some(_), Some(_)) => {
            return Err(Refusal::new(
                "it names two programs",
                "Give `image` or `command`, not both.",
            ));
        }
        (None, None) => {
            return Err(Refusal::new("it names no program", "Give `image` or `command`."));
        }
    };
    let after = 0..u32::try_from(ways.len()).unwrap_or(u32::MAX);
    let task = Step::from(task.input(input).seconds(seconds.unwrap_or(SECONDS))).after(after);
    Ok(ways.into_iter().fold(Draft::change(summary), Draft::step).step(task))
}

#[cfg(test)]
mod tests {
    use super::{define, plan};
    use cofferdam_sdk::{check::verdict, tool::call};

    fn check(rest: &str, expect: &str) {
        let found = verdict(
            &define(),
            |arguments| call(plan, arguments),
            &format!(r#"{{"name": "t", {rest}}}"#),
        );
        assert!(found.starts_with(expect), "{rest}: {found}");
    }

    #[test]
    fn one_program_is_named_by_digest() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let (image, command) = (
            format!(r#""image": "r.example.com/t@{digest}""#),
            format!(r#""command": "{digest}""#),
        );
        check(&image, "planned: Run t: the image r.example.com/t@sha256:0a0a");
        check(&command, "planned: Run t: the command sha256:0a0a");
        check(
            &format!("{command}, \"arguments\": [\"-v\"]"),
            "refused: a command takes no `arguments`",
        );
        check(
            &format!("{command}, \"finds_names\": true"),
            "refused: a command takes no `arguments`",
        );
        check(&format!("{image}, {command}"), "refused: it names two programs");
        check(r#""input": "x""#, "refused: it names no program");
        check(r#""image": "r.example.com/t:1""#, "schema: `/image`");
        check(&format!("{image}, \"seconds\": 3601"), "schema: `/seconds`");
    }

    #[test]
    fn an_image_reaches_what_is_named() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let (image, command) = (
            format!(r#""image": "r.example.com/t@{digest}""#),
            format!(r#""command": "{digest}""#),
        );
        let reaches = r#""finds_names": true, "reaches": [{"addresses": "203.0.113.0/24", "port": 443}, {"addresses": "203.0.113.9/32", "port": 53, "udp": true}]"#;
        check(&format!("{image}, {reaches}"), "planned: Run t: the image");
        check(&format!("{command}, {reaches}"), "refused: a command takes no `arguments`");
        check(
            &format!(r#"{image}, "reaches": [{{"addresses": "everywhere", "port": 443}}]"#),
            "schema: `/reaches/0/addresses`",
        );
        check(
            &format!(r#"{image}, "reaches": [{{"addresses": "203.0.113.0/24", "port": 0}}]"#),
            "schema: `/reaches/0/port`",
        );
    }
}
