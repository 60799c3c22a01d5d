//! The draft of a tool: sizes and forms as the WIT names them. The core checks the ceiling and the
//! targets.

use super::text::{group, json, name, path, paths, shown};
use super::{bad, over};
use crate::bindings::tool::types;
use crate::error::SandboxError;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::json::canonical;
use cofferdam_core::model::limit as core_limit;
use cofferdam_core::model::operation::{
    Addresses, Change, Draft, Egress, Operation, Place, Program, Protocol, Step, Target,
    ToolRefusal,
};
use serde_json::Value;

/// Most objects of a list.
const LISTED: u32 = 500;
/// Most lines of a log.
const LINES: u32 = 1_000;
/// Most seconds of a task.
const SECONDS: u32 = 3_600;
/// Longest reason or remedy of a refusal, in characters: one sentence, with room for a name or two.
const REFUSAL: usize = 500;
/// Most arguments of an image.
const ARGUMENTS: usize = 64;
/// Most bytes of one argument, and of the input of a task.
const INPUT: usize = 64 * 1024;

/// Converts a draft.
pub(crate) fn draft(said: types::Draft) -> Result<Draft, SandboxError> {
    let count = said.operations.len();
    if count > core_limit::OPERATIONS {
        return Err(over(
            "draft",
            format_args!("{count} operations, at most {} are taken", core_limit::OPERATIONS),
        ));
    }
    let draft = Draft {
        summary: shown("summary", said.summary, core_limit::SUMMARY)?,
        executor: said.executor.map(|executor| name("executor", executor)).transpose()?,
        operations: said
            .operations
            .into_iter()
            .enumerate()
            .map(|(index, said)| step(index, said))
            .collect::<Result<_, _>>()?,
    };
    let size = canonical(&draft).map_err(|error| bad("draft", error))?.len();
    if size > core_limit::DRAFT {
        return Err(over(
            "draft",
            format_args!("it has {size} bytes, at most {} are taken", core_limit::DRAFT),
        ));
    }
    Ok(draft)
}

/// Converts the refusal of a tool that makes no plan.
pub(crate) fn refusal(said: types::Refusal) -> Result<ToolRefusal, SandboxError> {
    Ok(ToolRefusal {
        reason: shown("refusal: reason", said.reason, REFUSAL)?,
        remedy: shown("refusal: remedy", said.remedy, REFUSAL)?,
    })
}

fn step(index: usize, said: types::Step) -> Result<Step, SandboxError> {
    let place = format!("operation {index}");
    let earlier =
        said.after.iter().all(|after| usize::try_from(*after).is_ok_and(|after| after < index));
    if !earlier {
        return Err(bad(
            &place,
            "it waits for itself or for a later one; `after` names earlier operations",
        ));
    }
    if said.after.len() > index {
        return Err(bad(&place, "`after` names an operation twice"));
    }
    Ok(Step {
        operation: operation(&place, said.operation)?,
        after: said.after,
        reversible: said.reversible,
    })
}

fn operation(place: &str, said: types::Operation) -> Result<Operation, SandboxError> {
    Ok(match said {
        types::Operation::Read(read) => Operation::Read {
            target: target(place, read.target)?,
            fields: paths(place, read.fields)?,
        },
        types::Operation::List(list) => Operation::List {
            group: group(place, list.group)?,
            version: name(place, list.version)?,
            kind: name(place, list.kind)?,
            namespace: name(place, list.namespace)?,
            fields: paths(place, list.fields)?,
            limit: between(place, "limit", list.limit, LISTED)?,
        },
        types::Operation::Logs(logs) => Operation::Logs {
            target: target(place, logs.target)?,
            container: logs.container.map(|container| name(place, container)).transpose()?,
            lines: between(place, "lines", logs.lines, LINES)?,
        },
        types::Operation::Apply(apply) => Operation::Apply {
            place: apply_place(place, apply.place)?,
            object: object(place, &apply.object)?,
        },
        types::Operation::Patch(patch) => Operation::Patch {
            target: target(place, patch.target)?,
            changes: changes(place, patch.changes)?,
        },
        types::Operation::Delete(said) => Operation::Delete { target: target(place, said)? },
        types::Operation::Task(task) => Operation::Task {
            name: name(place, task.name)?,
            program: program(place, task.program)?,
            input: sized(place, task.input)?,
            seconds: between(place, "seconds", task.seconds, SECONDS)?,
        },
        types::Operation::Egress(to) => Operation::Egress { to: egress(place, to)? },
    })
}

fn egress(place: &str, said: types::Egress) -> Result<Egress, SandboxError> {
    Ok(match said {
        types::Egress::Siblings => Egress::Siblings,
        types::Egress::NameService => Egress::NameService,
        types::Egress::Addresses(types::Addresses { block, protocol, port }) => {
            let protocol = match protocol {
                types::Protocol::Tcp => Protocol::Tcp,
                types::Protocol::Udp => Protocol::Udp,
            };
            Egress::Addresses(Addresses { block: name(place, block)?, protocol, port })
        }
    })
}

fn target(place: &str, said: types::Target) -> Result<Target, SandboxError> {
    Ok(Target {
        group: group(place, said.group)?,
        version: name(place, said.version)?,
        kind: name(place, said.kind)?,
        namespace: name(
            &format!("{place}: namespace (cluster-scoped kinds are refused)"),
            said.namespace,
        )?,
        name: name(place, said.name)?,
    })
}

fn changes(place: &str, said: Vec<types::Change>) -> Result<Vec<Change>, SandboxError> {
    let count = said.len();
    if count > core_limit::CHANGES {
        return Err(over(
            place,
            format_args!("{count} changes, at most {} are taken", core_limit::CHANGES),
        ));
    }
    said.into_iter().map(|said| change(place, said)).collect()
}

fn change(place: &str, said: types::Change) -> Result<Change, SandboxError> {
    let value = said.value.map(|text| json(place, &text, core_limit::DRAFT)).transpose()?;
    // In the JSON of a plan an absent value is `null`: a JSON null here would be hashed as a
    // removal that the tool did not ask for.
    if value == Some(Value::Null) {
        return Err(bad(
            place,
            format_args!(
                "the value of {:?} is `null`; leave the value out to remove the field",
                said.path
            ),
        ));
    }
    Ok(Change { path: path(place, said.path)?, value })
}

fn object(place: &str, text: &str) -> Result<Value, SandboxError> {
    let object = json(place, text, core_limit::DRAFT)?;
    if object.is_object() {
        Ok(object)
    } else {
        Err(bad(place, "the object to apply is not a JSON object"))
    }
}

fn apply_place(place: &str, said: types::Place) -> Result<Place, SandboxError> {
    Ok(match said {
        types::Place::Ephemeral => Place::Ephemeral,
        types::Place::Namespace(namespace) => Place::Namespace(name(place, namespace)?),
    })
}

fn program(place: &str, said: types::Program) -> Result<Program, SandboxError> {
    match said {
        types::Program::Image(image) => {
            let digest = image.reference.split_once('@').map(|(_, digest)| digest);
            if digest.is_none_or(|digest| ComponentDigest::parse(digest).is_err()) {
                return Err(bad(place, "the image has no digest; write `registry/name@sha256:…`"));
            }
            if image.arguments.len() > ARGUMENTS {
                return Err(over(
                    place,
                    format_args!(
                        "{} arguments, at most {ARGUMENTS} are taken",
                        image.arguments.len()
                    ),
                ));
            }
            let arguments = image
                .arguments
                .into_iter()
                .map(|argument| sized(place, argument))
                .collect::<Result<_, _>>()?;
            Ok(Program::Image { reference: path(place, image.reference)?, arguments })
        }
        types::Program::Command(digest) => match ComponentDigest::parse(&digest) {
            Ok(_) => Ok(Program::Command(digest)),
            Err(error) => Err(bad(place, error)),
        },
    }
}

fn sized(place: &str, text: String) -> Result<String, SandboxError> {
    if text.len() > INPUT {
        Err(over(place, format_args!("{} bytes, at most {INPUT} are taken", text.len())))
    } else {
        Ok(text)
    }
}

fn between(place: &str, what: &str, number: u32, most: u32) -> Result<u32, SandboxError> {
    if (1..=most).contains(&number) {
        Ok(number)
    } else {
        Err(bad(place, format_args!("`{what}` is {number}; 1 to {most} are taken")))
    }
}
