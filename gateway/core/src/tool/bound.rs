//! A ceiling, read: its namespace patterns and field paths parsed once, so that holding an
//! operation against it is comparison alone.

use crate::model::ceiling::Ceiling;
use crate::model::ceiling::EPHEMERAL;
use crate::model::ceiling::Grant;
use crate::model::kind;
use crate::model::kind::KindError;
use crate::model::operation::{Action, Within};
use crate::model::path::{FieldPath, PathError};
use crate::model::trust::TrustedTool;
use std::sync::Arc;

/// Lines of a ceiling: more than a reviewer reads.
pub const GRANTS: usize = 64;

/// Field paths or namespaces of one line.
pub const ENTRIES: usize = 64;

/// A ceiling that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CeilingError {
    /// The ceiling has too many parts of one sort.
    #[error("the ceiling has too many {0}; a reviewer has to be able to read it")]
    TooMany(&'static str),
    /// No plan may name the kind.
    #[error("line {line} of the ceiling: {error}")]
    Kind {
        /// The number of the line, from 0.
        line: usize,
        /// The cause, from the kind table.
        #[source]
        error: KindError,
    },
    /// The path of a field is not valid.
    #[error("line {line} of the ceiling: {error}")]
    Path {
        /// The number of the line, from 0.
        line: usize,
        /// The cause, from the path's parser.
        #[source]
        error: PathError,
    },
    /// The namespace is neither a name, nor a prefix with `*`, nor `*`.
    #[error(
        "line {line} of the ceiling: `{given}` is not a namespace, a prefix followed by `*`, or \
         `*`; and none of them protected"
    )]
    Namespace {
        /// The number of the line, from 0.
        line: usize,
        /// The text as it was given.
        given: String,
    },
    /// A line has fields where its action takes none, or lacks them where it needs some.
    #[error("line {line} of the ceiling: `{action}` needs {needs}")]
    Fields {
        /// The number of the line, from 0.
        line: usize,
        /// The action of the line.
        action: Action,
        /// The fields that the action needs.
        needs: &'static str,
    },
}

/// A pattern for namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Namespaces {
    /// Every namespace that is not protected.
    Any,
    /// The namespaces with this prefix.
    Prefix(String),
    /// The namespace of this name; empty for the run's own.
    Exact(String),
}

impl Namespaces {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('*') {
            Some("") => Some(Self::Any),
            // A prefix of a protected prefix, such as `k*`, never reaches protected namespaces:
            // those are refused by name before.
            Some(prefix) if kind::check_namespace(&format!("{prefix}x")).is_ok() => {
                Some(Self::Prefix(prefix.to_owned()))
            }
            Some(_) => None,
            None if text == EPHEMERAL || kind::check_namespace(text).is_ok() => {
                Some(Self::Exact(text.to_owned()))
            }
            None => None,
        }
    }

    /// True if this pattern permits a namespace.
    fn permits(&self, namespace: &str) -> bool {
        match self {
            Self::Any => namespace != EPHEMERAL,
            Self::Prefix(prefix) => namespace.starts_with(prefix.as_str()),
            Self::Exact(name) => name == namespace,
        }
    }

    /// True if this pattern permits all that the other does.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (pattern, Self::Exact(name)) => pattern.permits(name),
            (Self::Any, _) => true,
            (Self::Prefix(wide), Self::Prefix(narrow)) => narrow.starts_with(wide.as_str()),
            _ => false,
        }
    }
}

/// One parsed line of a ceiling.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) grant: Grant,
    pub(super) namespaces: Vec<Namespaces>,
    pub(super) fields: Vec<FieldPath>,
}

impl Line {
    fn reaches(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|pattern| pattern.permits(namespace))
    }

    pub(super) fn is_for(&self, action: Action, group: &str, version: &str, kind: &str) -> bool {
        self.grant.action == action
            && self.grant.group == group
            && self.grant.version == version
            && self.grant.kind == kind
    }
}

/// A parsed ceiling.
#[derive(Debug, Clone)]
pub struct Bound {
    pub(super) lines: Vec<Line>,
    executors: Vec<String>,
}

impl Bound {
    /// Parses a ceiling, line by line.
    pub fn parse(ceiling: &Ceiling) -> Result<Self, CeilingError> {
        if ceiling.grants.len() > GRANTS || ceiling.executors.len() > ENTRIES {
            return Err(CeilingError::TooMany("lines"));
        }
        let lines: Result<Vec<_>, _> =
            ceiling.grants.iter().enumerate().map(|(line, grant)| read(line, grant)).collect();
        Ok(Self { lines: lines?, executors: ceiling.executors.clone() })
    }

    /// True if any line reaches this namespace.
    pub fn reaches(&self, namespace: &str) -> bool {
        self.lines.iter().any(|line| line.reaches(namespace))
    }

    /// True if any line is for this kind in this namespace.
    pub fn names(&self, kind: &str, namespace: &str) -> bool {
        self.lines.iter().any(|line| line.grant.kind == kind && line.reaches(namespace))
    }

    /// True if plans may name this executor.
    pub fn permits_executor(&self, name: &str) -> bool {
        self.executors.iter().any(|executor| executor == name)
    }

    /// The part of an operation that no line permits, as the missing line; `None` when all of it is
    /// permitted. `namespace` is [`EPHEMERAL`] for the run's own.
    pub fn missing(
        &self,
        action: Action,
        api: (&str, &str, &str),
        namespace: &str,
        fields: &[FieldPath],
    ) -> Option<String> {
        let (group, version, kind) = api;
        let named = format!("{action} {} {kind}", kind::api_version(group, version));
        let lines: Vec<_> =
            self.lines.iter().filter(|line| line.is_for(action, group, version, kind)).collect();
        if lines.is_empty() {
            return Some(named);
        }
        let here: Vec<_> = lines.into_iter().filter(|line| line.reaches(namespace)).collect();
        if here.is_empty() {
            return Some(format!("{named} in {}", Within(namespace)));
        }
        let uncovered = fields.iter().find(|field| {
            !here.iter().any(|line| line.fields.iter().any(|pattern| pattern.covers(field)))
        });
        uncovered.map(|field| format!("{named} field {field}"))
    }
}

/// An accepted tool with its parsed ceiling. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BoundTool {
    tool: Arc<TrustedTool>,
    bound: Arc<Bound>,
}

impl BoundTool {
    /// Parses the ceiling that was accepted.
    pub fn parse(tool: &TrustedTool) -> Result<Self, CeilingError> {
        let bound = Arc::new(Bound::parse(&tool.ceiling)?);
        Ok(Self { tool: Arc::new(tool.clone()), bound })
    }

    /// The tool, as accepted.
    pub fn tool(&self) -> &TrustedTool {
        &self.tool
    }

    /// The accepted ceiling.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }
}

fn read(line: usize, grant: &Grant) -> Result<Line, CeilingError> {
    if grant.namespaces.len() > ENTRIES || grant.fields.len() > ENTRIES {
        return Err(CeilingError::TooMany("namespaces or fields in one line"));
    }
    kind::find(&grant.group, &grant.version, &grant.kind)
        .map_err(|error| CeilingError::Kind { line, error })?;
    let needs = match grant.action {
        Action::Delete | Action::Task | Action::Logs if !grant.fields.is_empty() => {
            Some("no fields")
        }
        Action::Read | Action::List | Action::Patch | Action::Apply if grant.fields.is_empty() => {
            Some("the fields it reaches")
        }
        Action::Egress if grant.fields.is_empty() => Some("the destinations it reaches"),
        Action::Logs | Action::Task if grant.kind != "Pod" => Some("the kind `Pod`"),
        Action::Egress if grant.kind != "NetworkPolicy" => Some("the kind `NetworkPolicy`"),
        _ if grant.namespaces.is_empty() => Some("the namespaces it reaches"),
        _ => None,
    };
    if let Some(needs) = needs {
        return Err(CeilingError::Fields { line, action: grant.action, needs });
    }
    let fields: Result<Vec<_>, _> = grant
        .fields
        .iter()
        .map(|text| FieldPath::parse(text).map_err(|error| CeilingError::Path { line, error }))
        .collect();
    let namespaces: Result<Vec<_>, _> = grant
        .namespaces
        .iter()
        .map(|text| {
            Namespaces::parse(text)
                .ok_or_else(|| CeilingError::Namespace { line, given: text.clone() })
        })
        .collect();
    Ok(Line { grant: grant.clone(), namespaces: namespaces?, fields: fields? })
}
