//! Why a draft is no plan. Each is the tool's doing, never the agent's, and says so with a remedy.

use crate::model::facts::OperationError;
/// Why a draft is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Too many operations, or too many bytes.
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
    #[error("the draft looks and changes; a plan does one of the two")]
    Mixed,
    /// Changes without an executor.
    #[error("the draft changes something but names no executor")]
    NoExecutor,
    /// Looks with an executor.
    #[error("the draft only looks but names an executor")]
    NeedlessExecutor,
    /// An executor its ceiling does not name.
    #[error("the draft names the executor `{0}`, which is not in the tool's ceiling")]
    ExecutorBeyond(String),
    /// An executor that was not accepted.
    #[error("the draft names the executor `{0}`, which no operator has accepted")]
    ExecutorUnknown(String),
    /// An operation that no plan may have.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// An operation that the ceiling does not permit.
    #[error("operation {index} is beyond the tool's ceiling, which lacks the line: {line}")]
    Beyond {
        /// The index of the operation.
        index: u32,
        /// The line that the ceiling lacks.
        line: String,
    },
    /// A command that was not accepted.
    #[error("operation {index} runs the command `{digest}`, which no operator has accepted")]
    CommandUnknown {
        /// The index of the operation.
        index: u32,
        /// The digest of the Wasm command.
        digest: String,
    },
    /// Two operations on one object.
    #[error("operation {index} names {target}, which another operation changes, too")]
    Twice {
        /// The later one's index.
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
