//! Errors of drafts. Each is caused by the tool, never by the agent, and has a remedy.

use crate::model::facts::OperationError;
/// A draft that is not a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The draft has too many operations, or too many bytes.
    #[error(
        "the draft has {operations} operations and {bytes} bytes, which is more than a person can \
         judge"
    )]
    Size {
        /// The number of operations.
        operations: usize,
        /// The number of bytes.
        bytes: usize,
    },
    /// The draft has no canonical form.
    #[error("the draft has no canonical form: {0}")]
    Canonical(String),
    /// The summary of the draft is not valid.
    #[error("the draft's summary {0}")]
    Summary(String),
    /// The accepted ceiling cannot be read.
    #[error("the accepted ceiling is not readable: {0}")]
    Ceiling(String),
    /// The draft has both reads and changes.
    #[error("the draft has both reads and changes; a plan has one of the two")]
    Mixed,
    /// The draft has changes and no executor.
    #[error("the draft changes something but names no executor")]
    NoExecutor,
    /// The draft only reads, and has an executor.
    #[error("the draft only reads, but names an executor")]
    NeedlessExecutor,
    /// The ceiling of the tool does not name the executor.
    #[error("the draft names the executor `{0}`, which is not in the tool's ceiling")]
    ExecutorBeyond(String),
    /// No operator accepted the executor.
    #[error("the draft names the executor `{0}`, which no operator has accepted")]
    ExecutorUnknown(String),
    /// No plan may have the operation.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The ceiling does not permit the operation.
    #[error("operation {index} is beyond the tool's ceiling, which lacks the line: {line}")]
    Beyond {
        /// The index of the operation.
        index: u32,
        /// The line that the ceiling lacks.
        line: String,
    },
    /// No operator accepted the Wasm command.
    #[error("operation {index} runs the command `{digest}`, which no operator has accepted")]
    CommandUnknown {
        /// The index of the operation.
        index: u32,
        /// The digest of the Wasm command.
        digest: String,
    },
    /// Two operations change one object.
    #[error("operation {index} names {target}, which another operation changes, too")]
    Twice {
        /// The index of the later operation.
        index: u32,
        /// The object of the operations.
        target: String,
    },
}

impl PlanError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Beyond { .. } | Self::ExecutorBeyond(_) => "beyond-ceiling",
            Self::ExecutorUnknown(_) => "executor-unknown",
            Self::CommandUnknown { .. } => "command-unknown",
            Self::Operation(_) | Self::Twice { .. } => "operation-refused",
            _ => "draft-malformed",
        }
    }

    /// The nearest plan that would have been allowed, in one sentence.
    pub fn allowed(&self) -> &'static str {
        match self {
            Self::Beyond { .. } | Self::ExecutorBeyond(_) => {
                "Plans within the ceiling that an operator accepted for this tool."
            }
            Self::ExecutorUnknown(_) => "Plans with an executor that an operator accepted.",
            Self::CommandUnknown { .. } => {
                "Tasks with a command that an operator accepted with `cofferdam accept --command`."
            }
            Self::Operation(_) => {
                "Named, namespaced workload and configuration objects outside protected namespaces."
            }
            Self::Twice { .. } => "One operation per object.",
            _ => "Plans of the form that `wit/tool.wit` describes.",
        }
    }
}
