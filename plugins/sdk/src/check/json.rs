//! The JSON form of a draft. `cofferdam inspect` prints it, examples contain it, and digests are
//! made of it.

use crate::tool::{
    Action, Addresses, Draft, Egress, Operation, Place, Program, Protocol, Step, Target,
};
use serde_json::{Value, json};

/// A draft in its JSON form. A text that is not valid JSON stays a text, so that the test shows the
/// difference.
pub fn draft(draft: &Draft) -> Value {
    json!({
        "summary": draft.summary,
        "executor": draft.executor,
        "operations": draft.operations.iter().map(step).collect::<Vec<_>>(),
    })
}

fn step(step: &Step) -> Value {
    let mut value = operation(&step.operation);
    if let Value::Object(members) = &mut value {
        members.insert("after".into(), json!(step.after));
        members.insert("reversible".into(), json!(step.reversible));
    }
    value
}

fn operation(operation: &Operation) -> Value {
    match operation {
        Operation::Read(read) => {
            json!({"action": "read", "target": target(&read.target), "fields": read.fields})
        }
        Operation::List(list) => json!({
            "action": "list", "group": list.group, "version": list.version, "kind": list.kind,
            "namespace": list.namespace,
            "fields": list.fields, "limit": list.limit,
        }),
        Operation::Logs(logs) => {
            json!({"action": "logs", "target": target(&logs.target), "container": logs.container,
                "lines": logs.lines})
        }
        Operation::Apply(apply) => {
            json!({"action": "apply", "place": place(&apply.place),
                "object": parsed(&apply.object)})
        }
        Operation::Patch(patch) => json!({
            "action": "patch", "target": target(&patch.target),
            "changes": patch.changes.iter()
                .map(|change| json!({"path": change.path,
                    "value": change.value.as_deref().map(parsed)})).collect::<Vec<_>>(),
        }),
        Operation::Delete(object) => json!({"action": "delete", "target": target(object)}),
        Operation::Task(task) => json!({
            "action": "task", "name": task.name, "program": program(&task.program),
            "input": task.input, "seconds": task.seconds,
        }),
        Operation::Egress(to) => json!({"action": "egress", "to": egress(to)}),
    }
}

fn egress(to: &Egress) -> Value {
    match to {
        Egress::Siblings => json!("siblings"),
        Egress::NameService => json!("name-service"),
        Egress::Addresses(Addresses { block, protocol, port }) => {
            json!({"addresses": {"block": block, "protocol": word(*protocol), "port": port}})
        }
    }
}

/// The name of an action in all texts.
pub(super) fn action(action: Action) -> &'static str {
    match action {
        Action::Read => "read",
        Action::List => "list",
        Action::Logs => "logs",
        Action::Apply => "apply",
        Action::Patch => "patch",
        Action::Delete => "delete",
        Action::Task => "task",
        Action::Egress => "egress",
    }
}

pub(super) fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

fn target(target: &Target) -> Value {
    json!({
        "group": target.group, "version": target.version, "kind": target.kind,
        "namespace": target.namespace, "name": target.name,
    })
}

fn place(place: &Place) -> Value {
    match place {
        Place::Ephemeral => json!("ephemeral"),
        Place::Namespace(namespace) => json!({"namespace": namespace}),
    }
}

fn program(program: &Program) -> Value {
    match program {
        Program::Image(image) => {
            json!({"image": {"reference": image.reference, "arguments": image.arguments}})
        }
        Program::Command(digest) => json!({"command": digest}),
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}
