//! A role → a `cofferdam-guest` process: compile, plan, decide, or drive. One process, one component,
//! one socket; bytes travel in the frame's body. One request, except for [`Compute::Plan`] and
//! [`Compute::Decide`]. The process that computes holds no credential, no file and no network.

use crate::model::ceiling::Definition;
use crate::model::escape;
use crate::model::operation::{Draft, ToolRefusal};
use serde::{Deserialize, Serialize};

/// The kind of a component, for compiling and loading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestKind {
    /// A tool: no imports.
    Tool,
    /// An executor: imports `operations` and `progress`, and `observation` where it waits.
    Executor,
    /// A policy: OPA's Wasm ABI 1.x.
    Policy,
    /// A command of `task` operations: exports `wasi:cli/run`; imports nothing beyond the
    /// `wasi:cli/command` world without sockets.
    Command,
}

/// The request to a guest process. The body of the frame is named for each variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum Compute {
    /// Check and compile. Body: the Wasm. Answered by [`Computed::Artefact`], its body the
    /// artefact.
    Compile {
        /// The kind of the component.
        kind: GuestKind,
    },
    /// Check and compile a policy for trials: its instructions are counted, and its tests may
    /// print. Body: the Wasm. Answered as [`Compute::Compile`]; only [`Compute::Try`] takes the
    /// artefact.
    CompileTrial,
    /// Find out the kind of a component, by its exports; check and compile it. Body: the Wasm.
    /// Answered by [`Computed::Examined`], its body the artefact.
    Examine,
    /// Load a policy with its data document, as a gateway does. Body: the artefact. Answered by
    /// [`Computed::Judging`].
    Judge {
        /// The policy's data document, as JSON text.
        data: String,
    },
    /// Read a tool's definition. Body: the artefact. Answered by [`Computed::Defined`].
    Define,
    /// Run a tool. Body: the artefact; empty in a further request to the same process, which has a
    /// fresh instance. Answered by [`Computed::Planned`] or [`Computed::Declined`].
    Plan {
        /// The canonical arguments.
        arguments: String,
    },
    /// Ask a policy. Body: the artefact; empty in a further request to the same process, with the
    /// same data document and a fresh instance. Answered by [`Computed::Decided`].
    Decide {
        /// Entry point: `cofferdam/call/decision` or `cofferdam/list/visible`.
        entrypoint: String,
        /// The policy's data document, as JSON text.
        data: String,
        /// The policy input, as JSON text.
        input: String,
    },
    /// Try a policy out before it is accepted. Body: the artefact. Answered by [`Computed::Tried`],
    /// its body the JSON of a [`Tried`] for each trial, in order.
    Try {
        /// The policy's data document, as JSON text.
        data: String,
        /// The inputs of the policy.
        trials: Vec<Trial>,
    },
    /// Run an executor. Body: the artefact. Then any number of [`Computed::Perform`],
    /// [`Computed::Observe`] and [`Computed::Progress`], each `Perform` answered by the asking
    /// role with a [`Performed`], each `Observe` with an [`Observed`]; at last
    /// [`Computed::Finished`].
    Execute {
        /// The handles, in plan order.
        handles: Vec<Handle>,
        /// The time limit of the guest, in milliseconds of its own time.
        guest_ms: u64,
    },
    /// Run a command. Body: the artefact. Answered by [`Computed::Ran`], whatever its exit code.
    Run {
        /// Its one argument: the task's name.
        name: String,
        /// The standard input, at most [`crate::model::limit::TASK_INPUT`] bytes.
        input: String,
        /// The time limit of the guest, in milliseconds of its own time.
        guest_ms: u64,
    },
}

/// One trial of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// An entry point: one of a decision, or a test rule of a module that was built with its
    /// tests.
    pub entrypoint: String,
    /// The policy input as JSON text; `None` makes `input` undefined.
    pub input: Option<String>,
    /// True if it is a test: it may then take longer than a decision, and what it prints is kept.
    pub test: bool,
}

/// The result and the cost of one trial of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// The result set's one result, as JSON text, unread; `None` where there is an error.
    pub answer: Option<String>,
    /// The cause of a missing output: code and detail of [`Computed::Failed`].
    pub fault: Option<(String, String)>,
    /// The texts that a test printed, in order.
    pub printed: Vec<String>,
    /// Instructions of Wasm that a question took, the same on every machine; 0 for a test.
    pub instructions: u64,
    /// Bytes of memory that it had at its end; memory is never given back.
    pub memory: u64,
}

/// One handle of an executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handle {
    /// Index of the operation.
    pub index: u32,
    /// The indexes of the operations that must be done before this one.
    pub after: Vec<u32>,
}

/// The asking role's answer to [`Computed::Perform`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "performed", deny_unknown_fields)]
pub enum Performed {
    /// The effect happened.
    Done {
        /// True if an undo handle comes with it.
        undo: bool,
    },
    /// The effect did not happen.
    Failed {
        /// `out-of-order`, `conflict`, `refused` or `stopped`.
        failure: String,
    },
}

/// Milliseconds that one [`Computed::Observe`] may wait at most, as `executor.wit` says: short, so
/// that a cancelled job is noticed soon.
pub const OBSERVE_MS: u64 = 60_000;

/// Characters of an [`Observed`] note, as `executor.wit` says.
pub const OBSERVED_NOTE: usize = 200;

/// The asking role's answer to [`Computed::Observe`]: as soon as the object is ready or has failed,
/// otherwise when the time is over. Notes are one line of at most [`OBSERVED_NOTE`] characters that
/// can all be seen; [`Observed::progressing`] and [`Observed::failed`] make them so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "observed", deny_unknown_fields)]
pub enum Observed {
    /// The object is as approved, and works.
    Ready,
    /// The object is not ready yet.
    Progressing {
        /// The note on the missing effect.
        note: String,
    },
    /// The object will not become ready by waiting.
    Failed {
        /// The cause, quoted.
        note: String,
    },
}

impl Observed {
    /// On its way; `condition` is shortened to a note, and made visible.
    pub fn progressing(condition: &str) -> Self {
        Self::Progressing { note: note(condition) }
    }

    /// Not to become ready; `condition` is shortened to a note, and made visible.
    pub fn failed(condition: &str) -> Self {
        Self::Failed { note: note(condition) }
    }
}

/// Conditions are written by controllers and quote what workloads say: of any length, with any
/// character.
fn note(condition: &str) -> String {
    escape::short(escape::line(condition), OBSERVED_NOTE)
}

/// A response of a guest process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Computed {
    /// Compiled; the artefact is the body.
    Artefact {
        /// Engine version and configuration it is good for.
        engine: String,
    },
    /// The kind of the component; the artefact is the body.
    Examined {
        /// The kind of the component.
        kind: GuestKind,
        /// The names of the interfaces that it imports, sorted.
        imports: Vec<String>,
        /// The names of what it exports besides its world's interface, sorted: never called.
        unused: Vec<String>,
    },
    /// The policy was loaded.
    Judging {
        /// The entry points of the policy.
        entrypoints: Vec<String>,
    },
    /// The definition of the tool.
    Defined {
        /// The words of the tool, unchecked.
        definition: Box<Definition>,
    },
    /// The draft of the tool.
    Planned {
        /// The words of the tool, unchecked.
        draft: Draft,
    },
    /// The tool makes no plan of these arguments.
    Declined {
        /// The refusal in the tool's words.
        refusal: ToolRefusal,
    },
    /// The trials of the policy are done; the body has their results.
    Tried,
    /// The policy's result set's one result, as JSON text, unread.
    Decided {
        /// The output as JSON text.
        output: String,
    },
    /// The executor performs a handle.
    Perform {
        /// Index of the operation.
        index: u32,
        /// True if it is the undo handle.
        undo: bool,
    },
    /// The executor asks whether the object of an operation that is done, and not undone, is ready.
    Observe {
        /// Index of the operation.
        index: u32,
        /// How long it waits for that at most, in milliseconds: 0 to [`OBSERVE_MS`].
        wait_ms: u64,
    },
    /// A progress note of the executor.
    Progress {
        /// At most 200 characters.
        note: String,
    },
    /// The executor returned a result.
    Finished {
        /// The place and the cause of a stop; `None` when every operation was done.
        stop: Option<Stop>,
    },
    /// The command ended by itself.
    Ran {
        /// Its standard output, at most [`crate::model::limit::TASK_OUTPUT`] bytes.
        output: String,
        /// The beginning of its standard error, at most [`crate::model::limit::TASK_NOTE`] bytes
        /// before what cannot be seen was escaped.
        note: String,
        /// Its exit code; any other than 0 is a task that failed.
        code: i32,
    },
    /// The guest failed: a trap, a limit, an import, a bad module.
    Failed {
        /// Stable code: `import`, `malformed`, `too-large`, `unsupported` (this host cannot run
        /// such a one), `time`, `memory`, `stack`, `output`, `handles`, `host-calls`, `trap`,
        /// `builtin`, `undefined`, `denied` (a command asked for a clock or for
        /// randomness), `input` (more than a guest is given), `artefact` (not of this engine:
        /// compile again), `busy` (ask again shortly), `engine` (this
        /// machine).
        code: String,
        /// For operators: the cause and its place, with the remedy.
        detail: String,
    },
}

/// The stop of an executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Index of the operation.
    pub index: u32,
    /// The note in the executor's words, quoted.
    pub note: String,
}

#[cfg(test)]
mod tests {
    use super::{OBSERVED_NOTE, Observed};

    #[test]
    fn notes_are_short_and_visible_and_read_back() {
        let long = Observed::failed(&format!("a\u{202e}b\n{}", "x".repeat(500)));
        let Observed::Failed { note } = &long else { panic!("{long:?}") };
        assert!(
            note.starts_with(r"a\u{202e}b\u{a}xx")
                && note.ends_with("x…")
                && note.chars().count() == OBSERVED_NOTE,
            "{note}"
        );
        assert_eq!(
            Observed::progressing("1 of 3 is ready"),
            Observed::Progressing { note: "1 of 3 is ready".into() }
        );
        for observed in [long, Observed::Ready, Observed::progressing("")] {
            let text = serde_json::to_string(&observed).unwrap();
            assert_eq!(serde_json::from_str::<Observed>(&text).unwrap(), observed, "{text}");
        }
    }
}
