//! Wasm commands of tasks: hostile commands, and the limits of a good one.

use super::encode::built;
use super::{artefact, counted};
use crate::error::{Code, SandboxError};
use crate::wasi_command::{Command, Ran};
use cofferdam_core::model::limit as core_limit;
use cofferdam_core::protocol::role_guest::GuestKind;

/// File, expected end (an exit code), and a part of its output, of its note or of the text for
/// operators.
pub(super) const COMMANDS: &[(&str, Result<i32, Code>, &str)] = &[
    ("command-echo.wat", Ok(0), "hello"),
    ("command-fails.wat", Ok(1), "line one\ntwo\\u{202e}!"),
    ("command-exits.wat", Ok(1), "half"),
    ("command-mutters.wat", Ok(0), "xxxx"),
    ("command-looks-around.wat", Ok(0), ""),
    ("command-seeds.wat", Ok(0), ""),
    (
        "command-panics.wat",
        Err(Code::Trap),
        "unreachable` instruction executed; it said: \"no field\"",
    ),
    ("command-loop.wat", Err(Code::Time), "100 ms of its own time"),
    ("command-memory-bomb.wat", Err(Code::Memory), "65536 KiB"),
    ("command-recursion.wat", Err(Code::Stack), "too deeply"),
    ("command-flood.wat", Err(Code::Output), "more than 61440 bytes of output"),
    ("command-not-text.wat", Err(Code::Malformed), "not UTF-8"),
    ("command-bad-pointer.wat", Err(Code::Malformed), "out of bounds"),
    ("command-hoards.wat", Err(Code::Handles), ""),
    ("command-asks-time.wat", Err(Code::Denied), "asked for the time"),
    ("command-measures-time.wat", Err(Code::Denied), "asked for the time"),
    ("command-sleeps.wat", Err(Code::Denied), "asked for the time"),
    ("command-rolls-dice.wat", Err(Code::Denied), "asked for randomness"),
    ("command-connects.wat", Err(Code::Import), "`wasi:sockets/"),
    ("component-command-other-wasi.wat", Err(Code::Import), "`wasi:cli/stdin@0.3.0`"),
    ("component-command-exports-nothing.wat", Err(Code::Malformed), "`wasi:cli/run`"),
];

fn run(name: &str, input: &str) -> Result<Ran, SandboxError> {
    let (engine, _ticker) = counted(GuestKind::Command);
    Command::load(&engine, &artefact(built(name))?)?.run("lint", input, 100)
}

#[test]
fn a_hostile_command_gives_a_fault_and_nothing_else() {
    let wrong: Vec<String> = COMMANDS
        .iter()
        .filter_map(|(name, expect, text)| {
            let got = run(name, "hello");
            let fits = match (&got, expect) {
                (Ok(ran), Ok(code)) => {
                    ran.code == *code && (ran.output.contains(text) || ran.note.contains(text))
                }
                (Err(error), Err(code)) => error.code == *code && error.detail.contains(text),
                _ => false,
            };
            (!fits).then(|| format!("{name}: {got:?} instead of {expect:?} with {text:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_same_input_gives_the_same_result_and_all_of_it() {
    let input = "äöü ".repeat(core_limit::TASK_OUTPUT / 7);
    let expect = Ran { output: input.clone(), note: String::new(), code: 0 };
    assert_eq!(run("command-echo.wat", &input), Ok(expect.clone()));
    assert_eq!(run("command-echo.wat", &input), Ok(expect));
    assert_eq!(
        run("command-echo.wat", ""),
        Ok(Ran { output: String::new(), note: String::new(), code: 0 })
    );
    let most = "x".repeat(core_limit::TASK_OUTPUT);
    assert_eq!(run("command-echo.wat", &most).map(|ran| ran.output), Ok(most.clone()));
    assert_eq!(run("command-echo.wat", &format!("{most}x")).unwrap_err().code, Code::Output);
    assert_eq!(
        run("command-echo.wat", &"x".repeat(core_limit::TASK_INPUT + 1)).unwrap_err().code,
        Code::Input
    );
    assert_eq!(run("command-mutters.wat", "").map(|ran| ran.note.len()), Ok(core_limit::TASK_NOTE));
}

#[test]
fn a_command_is_no_tool_and_a_tool_no_command() {
    let as_command = |name: &str| {
        artefact(super::Built { kind: GuestKind::Command, wasm: built(name).wasm })
            .map(drop)
            .unwrap_err()
    };
    assert_eq!(as_command("tool-answer.wat").code, Code::Malformed);
    assert_eq!(as_command("executor-skips.wat").code, Code::Import);
    assert_eq!(as_command("policy-allows.wat").code, Code::Malformed);
    let as_tool =
        artefact(super::Built { kind: GuestKind::Tool, wasm: built("command-echo.wat").wasm })
            .map(drop)
            .unwrap_err();
    assert!(as_tool.code == Code::Import && as_tool.detail.contains("wasi:"), "{as_tool}");
    let (engine, _ticker) = counted(GuestKind::Command);
    let tool = artefact(built("tool-answer.wat")).unwrap();
    assert!(Command::load(&engine, &tool).is_err());
}
