//! Errors of guests: one stable code each, and a text for operators. Agents get only the code. An
//! error always denies.

use crate::accounting::Account;
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::protocol::role_guest::Computed;
use std::fmt;
use wasmtime::{Trap, WasmBacktrace};

/// The stable codes of [`Computed::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The component imports an interface that its world does not have.
    Import,
    /// The file is not a component or module of its kind, or a result breaks its contract.
    Malformed,
    /// The file has more bytes than the host loads.
    TooLarge,
    /// The engine does not run this kind of Wasm.
    Unsupported,
    /// The guest used up its time.
    Time,
    /// The guest needed more memory or tables than its limit.
    Memory,
    /// The guest's calls were nested too deeply.
    Stack,
    /// The output of the guest exceeds its limit.
    Output,
    /// The guest used too many handles, or a handle that is no longer its own.
    Handles,
    /// The guest made too many calls into the host.
    HostCalls,
    /// The guest stopped itself: a panic, or an invalid access.
    Trap,
    /// A Wasm command asked for a clock or for randomness.
    Denied,
    /// A policy needs a builtin function that the gateway does not have.
    Builtin,
    /// The result set of a policy does not have exactly one result.
    Undefined,
    /// The input exceeds the limit of a guest.
    Input,
    /// No tool or policy of that name is loaded, or the artefact was not made by this role.
    Artefact,
    /// Every worker is busy and the queue is full.
    Busy,
    /// The engine itself failed, for a cause on this machine.
    Engine,
}

impl Code {
    /// The word of the code on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::Unsupported => "unsupported",
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Output => "output",
            Self::Handles => "handles",
            Self::HostCalls => "host-calls",
            Self::Trap => "trap",
            Self::Denied => "denied",
            Self::Builtin => "builtin",
            Self::Undefined => "undefined",
            Self::Input => "input",
            Self::Artefact => "artefact",
            Self::Busy => "busy",
            Self::Engine => "engine",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The engine's texts for too many handles, and for a handle of another owner.
const HANDLES: [&str; 3] =
    ["handle limit exceeded", "unknown handle index", "resource table has no free keys"];

/// The error of a guest without a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct SandboxError {
    /// The stable code.
    pub code: Code,
    /// Cause and place, with the remedy.
    pub detail: String,
}

impl SandboxError {
    /// Creates an error with its text.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// Converts an error of the engine, with the account of its guest. Drop the guest's store
    /// afterwards: after a breach of its contract an instance would still answer.
    pub(crate) fn of(error: &wasmtime::Error, account: &Account) -> Self {
        if let Some(own) = error.downcast_ref::<Self>() {
            return own.clone();
        }
        let text = told(error);
        let code = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => return Self::time(account),
            Some(Trap::OutOfFuel) => {
                return Self::new(
                    Code::Time,
                    "it used up the instructions that it had; it must answer with fewer",
                );
            }
            Some(Trap::StackOverflow) => {
                return Self::new(
                    Code::Stack,
                    "it called itself too deeply; it needs a loop, or a smaller stack frame",
                );
            }
            _ if account.refused => return account.memory(),
            Some(_) => Code::Trap,
            // The engine has no type for these errors. Hostile guests in the tests check the texts.
            None if text.contains("fuel allocated for hostcalls") => Code::Output,
            None if HANDLES.iter().any(|words| text.contains(words)) => Code::Handles,
            None => Code::Malformed,
        };
        Self::new(code, text)
    }

    pub(crate) fn time(account: &Account) -> Self {
        let spent = limit_ms(account.ticks);
        Self::new(
            Code::Time,
            format!("it was stopped after {spent} ms of its own time; it must answer within that"),
        )
    }
}

/// Describes an error of the engine in one line: its causes, and the innermost function with a name
/// instead of a backtrace.
fn told(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error
        .chain()
        .map(ToString::to_string)
        .filter(|cause| !cause.starts_with("error while executing"))
        .collect();
    let frames = error.downcast_ref::<WasmBacktrace>().map_or(&[][..], WasmBacktrace::frames);
    let place = frames
        .iter()
        .find_map(|frame| frame.func_name())
        .map_or(String::new(), |name| format!(", in `{}`", name.escape_debug()));
    format!("{}{place}", causes.join(": "))
}

fn limit_ms(ticks: u32) -> u128 {
    crate::limit::TICK.as_millis().saturating_mul(u128::from(ticks))
}

impl From<SandboxError> for GuestError {
    fn from(error: SandboxError) -> Self {
        Self { code: error.code.word().into(), detail: error.detail }
    }
}

impl From<SandboxError> for Computed {
    fn from(error: SandboxError) -> Self {
        Self::Failed { code: error.code.word().into(), detail: error.detail }
    }
}
