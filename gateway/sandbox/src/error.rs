//! What went wrong with a guest, as one stable code and a text for operators. Agents see only the
//! code; nothing of it decides anything but "no".

use crate::accounting::Account;
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::protocol::role_guest::Computed;
use std::fmt;
use wasmtime::{Trap, WasmBacktrace};

/// The stable codes of [`Computed::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// It imports something its world does not have.
    Import,
    /// Not a component or module of its kind, or a result outside its contract.
    Malformed,
    /// More bytes than are loaded.
    TooLarge,
    /// Valid, perhaps, but of a kind that this engine does not run.
    Unsupported,
    /// Its time was over.
    Time,
    /// It wanted more memory or tables than it may have.
    Memory,
    /// It called itself too deeply.
    Stack,
    /// It gave more than it may.
    Output,
    /// Too many handles, or one that is not its own any more.
    Handles,
    /// Too many calls into the host.
    HostCalls,
    /// It stopped by itself: a panic, a bad access.
    Trap,
    /// A command asked for a clock or for randomness.
    Denied,
    /// A policy needs a builtin function that the gateway does not give.
    Builtin,
    /// A policy's result set does not have exactly one result.
    Undefined,
    /// More input than a guest is given.
    Input,
    /// No tool, no policy of that name is loaded, or the artefact is not this role's own.
    Artefact,
    /// Every worker is busy and the queue is full.
    Busy,
    /// The engine itself failed: a matter of this machine.
    Engine,
}

impl Code {
    /// The word on the wire.
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

/// How the engine says that a guest has too many handles, or one that is not its own.
const HANDLES: [&str; 3] =
    ["handle limit exceeded", "unknown handle index", "resource table has no free keys"];

/// Why a guest gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct SandboxError {
    /// Which.
    pub code: Code,
    /// What and where, with the remedy.
    pub detail: String,
}

impl SandboxError {
    /// A fault with its text.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// What the engine's error means, given the account of the guest it happened to. The guest's
    /// store must be dropped after it: an error of the component's contract leaves an instance
    /// that still answers.
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
            // These have no type of their own in the engine; hostile guests in the tests hold the
            // texts.
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

/// The engine's error in one line: its causes, and instead of a backtrace the innermost function
/// that has a name.
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
    fn from(fault: SandboxError) -> Self {
        Self { code: fault.code.word().into(), detail: fault.detail }
    }
}

impl From<SandboxError> for Computed {
    fn from(fault: SandboxError) -> Self {
        Self::Failed { code: fault.code.word().into(), detail: fault.detail }
    }
}
