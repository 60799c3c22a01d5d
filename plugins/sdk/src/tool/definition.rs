//! Builders of a definition: the description of the tool, its schemas, and the widest plan that it
//! may return. The host checks it, not this file.

use super::{Action, Ceiling, Definition, Example, Grant, Kind, NETWORK_POLICY, POD};

/// Every namespace but the protected ones. An operator may narrow it at acceptance.
pub const EVERYWHERE: &str = "*";

/// The run namespace, which is deleted when the run ends. Tasks run only there.
pub const EPHEMERAL: &str = "";

impl Definition {
    /// A definition that permits nothing yet. Pass `env!("CARGO_PKG_NAME")` and
    /// `env!("CARGO_PKG_VERSION")`, so that the manifest decides both.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            title: String::new(),
            description: String::new(),
            input_schema: String::new(),
            output_schema: String::new(),
            ceiling: Ceiling { grants: Vec::new(), executors: Vec::new() },
            examples: Vec::new(),
        }
    }

    /// The title for people, at most 80 characters.
    pub fn title(mut self, title: &str) -> Self {
        self.title = title.into();
        self
    }

    /// The text that a model reads before it chooses the tool, at most 2,000 characters: its
    /// purpose, its use and its limits.
    pub fn description(mut self, description: &str) -> Self {
        self.description = description.into();
        self
    }

    /// JSON Schema of the arguments, as text. Forbid other members (`"additionalProperties":
    /// false`) and bound every string.
    pub fn input(mut self, schema: &str) -> Self {
        self.input_schema = schema.into();
        self
    }

    /// JSON Schema of the result, as text. For a tool that changes things it is
    /// [`CHANGE_OUTPUT`](super::CHANGE_OUTPUT).
    pub fn output(mut self, schema: &str) -> Self {
        self.output_schema = schema.into();
        self
    }

    /// Adds a line to the ceiling. The host refuses a draft that no line permits, before policy.
    pub fn may(mut self, grant: Grant) -> Self {
        self.ceiling.grants.push(grant);
        self
    }

    /// Adds several lines, such as those of `may_apply`.
    pub fn may_all(mut self, grants: impl IntoIterator<Item = Grant>) -> Self {
        self.ceiling.grants.extend(grants);
        self
    }

    /// Adds the line that permits tasks.
    pub fn may_run_tasks(self) -> Self {
        self.may(POD.grant(Action::Task, &[]).namespaces([EPHEMERAL]))
    }

    /// Adds the line that permits connections out of the run namespace: `egress.siblings`,
    /// `egress.name-service`, `egress.addresses.*`, or one destination,
    /// `egress.addresses["203.0.113.0/24 tcp 443"]`.
    pub fn may_open<const N: usize>(self, destinations: [&str; N]) -> Self {
        self.may(NETWORK_POLICY.grant(Action::Egress, &destinations).namespaces([EPHEMERAL]))
    }

    /// Permits drafts that name this executor.
    pub fn executor(mut self, name: &str) -> Self {
        self.ceiling.executors.push(name.into());
        self
    }

    /// Adds an example: arguments with their draft, both as JSON text. It is documentation and a
    /// test.
    pub fn example(mut self, title: &str, arguments: &str, draft: &str) -> Self {
        self.examples.push(Example {
            title: title.into(),
            arguments: arguments.into(),
            draft: draft.into(),
        });
        self
    }
}

impl Kind {
    /// Permits reading these fields of one object.
    pub fn may_read<const N: usize>(self, fields: [&str; N]) -> Grant {
        self.grant(Action::Read, &fields)
    }

    /// Permits listing objects with these fields of each.
    pub fn may_list<const N: usize>(self, fields: [&str; N]) -> Grant {
        self.grant(Action::List, &fields)
    }

    /// Permits changing these fields of one object. `*` stands for any one key and `[*]` for any
    /// member of a list: `data.*`, `spec.template.spec.containers[*].image`.
    pub fn may_patch<const N: usize>(self, fields: [&str; N]) -> Grant {
        self.grant(Action::Patch, &fields)
    }

    /// Permits reading logs. Only pods have logs.
    pub fn may_read_logs(self) -> Grant {
        self.grant(Action::Logs, &[])
    }

    /// Permits deleting one object.
    pub fn may_delete(self) -> Grant {
        self.grant(Action::Delete, &[])
    }

    /// Permits one action on these fields, in every namespace but the protected ones.
    pub fn grant(self, action: Action, fields: &[&str]) -> Grant {
        Grant {
            action,
            group: self.group.into(),
            version: self.version.into(),
            kind: self.kind.into(),
            namespaces: vec![EVERYWHERE.into()],
            fields: fields.iter().map(|field| (*field).into()).collect(),
        }
    }
}

impl Grant {
    /// The same in these namespaces alone: exact names, or a prefix followed by `*`.
    pub fn namespaces<const N: usize>(mut self, namespaces: [&str; N]) -> Self {
        self.namespaces = namespaces.iter().map(|namespace| (*namespace).into()).collect();
        self
    }
}
