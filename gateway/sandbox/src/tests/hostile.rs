//! Every hostile guest with its expected end. A guest without an expectation fails the test.

use super::encode::{built, folder};
use super::{artefact, counted, decide, drive, plan};
use crate::accounting::{Account, store};
use crate::error::{Code, SandboxError};
use crate::limit;
use cofferdam_core::protocol::role_guest::GuestKind;
use std::collections::BTreeSet;
use wasmtime::component::{Component, Linker};

/// File, expected end, and a part of the text for operators.
const TOOLS: &[(&str, Result<&str, Code>, &str)] = &[
    ("tool-answer.wat", Ok("hello"), ""),
    ("tool-remembers.wat", Ok("clean"), ""),
    ("tool-refuses.wat", Ok("no such thing. name another"), ""),
    ("tool-loop-in-plan.wat", Err(Code::Time), "100 ms of its own time"),
    ("tool-loop-in-start.wat", Err(Code::Time), "100 ms of its own time"),
    ("tool-loop-in-realloc.wat", Err(Code::Time), "100 ms of its own time"),
    ("tool-memory-bomb.wat", Err(Code::Memory), "16384 KiB"),
    (
        "tool-memory-minimum.wat",
        Err(Code::Memory),
        "begins with 65536 KiB of memory, at most 16384 KiB",
    ),
    ("tool-table-bomb.wat", Err(Code::Memory), "20000 table elements"),
    (
        "tool-table-minimum.wat",
        Err(Code::Memory),
        "begins with 5000000 table elements, at most 20000",
    ),
    ("tool-recursion.wat", Err(Code::Stack), "too deeply"),
    ("tool-unreachable.wat", Err(Code::Trap), "unreachable"),
    ("tool-out-of-bounds.wat", Err(Code::Trap), "out of bounds memory access"),
    ("tool-huge-result.wat", Err(Code::Output), "fuel allocated for hostcalls"),
    ("tool-long-summary.wat", Err(Code::Output), "summary: it has 201 characters, at most 200"),
    ("tool-aliased-result.wat", Err(Code::Output), "fuel allocated for hostcalls"),
    ("tool-many-operations.wat", Err(Code::Output), "65 operations, at most 64"),
    ("tool-bad-pointer.wat", Err(Code::Malformed), "out of bounds"),
    ("tool-bad-length.wat", Err(Code::Malformed), "out of bounds"),
    ("tool-unaligned-result.wat", Err(Code::Malformed), "not aligned"),
    ("tool-bad-case.wat", Err(Code::Malformed), "invalid"),
    ("tool-bad-utf8.wat", Err(Code::Malformed), "utf-8"),
    ("tool-bad-realloc.wat", Err(Code::Malformed), "beyond end of memory"),
    ("tool-invisible.wat", Err(Code::Malformed), "U+202E"),
    ("tool-shared-memory.wat", Err(Code::Unsupported), "threads"),
    (
        "component-imports-socket.wat",
        Err(Code::Import),
        "`wasi:sockets/tcp@0.2.0`, and a tool may import nothing at all; build it for",
    ),
    ("component-imports-types.wat", Err(Code::Import), "`cofferdam:tool/types@0.1.0`"),
    ("component-exports-nothing.wat", Err(Code::Malformed), "wit/tool.wit"),
    ("component-many-memories.wat", Err(Code::Memory), "5 memories, at most 4"),
    ("component-many-instances.wat", Err(Code::Memory), "33 core module instances, which exceeds"),
    (
        "component-async.wat",
        Err(Code::Unsupported),
        "`task.cancel` requires the component model async feature",
    ),
    ("component-deep-types.wat", Err(Code::Malformed), ""),
];

/// The same for executors, with their effects before the end.
type Drive = (&'static str, Result<(), Code>, &'static str, &'static [&'static str]);
const EXECUTORS: &[Drive] = &[
    ("executor-backwards.wat", Ok(()), "", &["0"]),
    ("executor-twice.wat", Err(Code::Handles), "unknown handle index", &["0"]),
    ("executor-stale.wat", Err(Code::Handles), "unknown handle index", &[]),
    ("executor-guesses.wat", Err(Code::Handles), "unknown handle index", &[]),
    ("executor-undoes.wat", Ok(()), "", &["0", "undo 0"]),
    ("executor-loop.wat", Err(Code::Time), "100 ms of its own time", &["0"]),
    ("executor-call-flood.wat", Err(Code::HostCalls), "more than 1000 times", &[]),
    (
        "executor-report-flood.wat",
        Err(Code::HostCalls),
        "more than 100 times",
        &["says \"hello\""; 100],
    ),
    ("executor-long-report.wat", Err(Code::Output), "201 characters, at most 200", &[]),
    ("executor-hidden-report.wat", Err(Code::Malformed), "U+202E", &[]),
    ("executor-huge-report.wat", Err(Code::Output), "fuel allocated for hostcalls", &[]),
    ("executor-stops-elsewhere.wat", Err(Code::Malformed), "operation 41", &[]),
    ("executor-skips.wat", Ok(()), "", &[]),
    (
        "executor-observes.wat",
        Ok(()),
        "",
        &["0", "waits 60000 ms for 0", "says \"0 of 2 pods are ready\"", "waits 0 ms for 0", "1"],
    ),
    ("executor-observes-early.wat", Ok(()), "", &["0", "undo 0", "says \"it was undone\""]),
    ("executor-observe-flood.wat", Err(Code::HostCalls), "more than 1000 times", FLOOD),
    (
        "executor-observe-hoard.wat",
        Err(Code::Handles),
        "more observations than there are operations",
        &["0"],
    ),
    ("executor-observe-guess.wat", Err(Code::Handles), "unknown handle index", &[]),
    ("executor-grows.wat", Err(Code::Memory), "16384 KiB", &[]),
    (
        "component-executor-imports-more.wat",
        Err(Code::Import),
        "`wasi:clocks/monotonic-clock@0.2.0`, and an executor may import only",
        &[],
    ),
    (
        "component-executor-imports-too-little.wat",
        Err(Code::Import),
        "does not import `cofferdam:executor/operations@0.1.0`",
        &[],
    ),
    ("component-executor-one-function-more.wat", Err(Code::Import), "read-all", &[]),
    (
        "component-executor-other-signature.wat",
        Err(Code::Import),
        "expected `string` found `u64`",
        &[],
    ),
];

/// One effect, and all questions that the budget of host calls allows after it and its observation.
const FLOOD: &[&str] = {
    const DID: [&str; 999] = {
        let mut did = ["waits 0 ms for 0"; 999];
        did[0] = "0";
        did
    };
    &DID
};

/// The same for policies: an error is a denial.
const POLICIES: &[(&str, Result<&str, Code>, &str)] = &[
    ("policy-allows.wat", Ok(r#"{"effect":"allow"}"#), ""),
    ("policy-undefined.wat", Err(Code::Undefined), "gave 0 results"),
    ("policy-two-results.wat", Err(Code::Undefined), "gave 2 results"),
    ("policy-no-result.wat", Err(Code::Undefined), "results instead of one"),
    ("policy-twice-a-key.wat", Err(Code::Malformed), "is there twice"),
    ("policy-not-json.wat", Err(Code::Malformed), "the policy's result"),
    ("policy-endless.wat", Err(Code::Time), "200 ms of its own time"),
    ("policy-endless-start.wat", Err(Code::Time), "200 ms of its own time"),
    ("policy-memory-bomb.wat", Err(Code::Memory), "131072 KiB"),
    ("policy-memory-minimum.wat", Err(Code::Memory), "131072 KiB"),
    ("policy-aborts.wat", Err(Code::Trap), "lib.rego:7:1: conflict"),
    ("policy-recursion.wat", Err(Code::Stack), "too deeply"),
    ("policy-bad-address.wat", Err(Code::Malformed), "outside its memory"),
    ("policy-unterminated.wat", Err(Code::Output), "more than 262144 bytes"),
    ("policy-bad-malloc.wat", Err(Code::Malformed), "outside its memory"),
    ("policy-needs-http.wat", Err(Code::Builtin), "the builtin `http.send`, `opa.runtime`"),
    ("policy-calls-unnamed.wat", Err(Code::Builtin), "it called a builtin"),
    ("policy-imports-wasi.wat", Err(Code::Import), "`wasi_snapshot_preview1.random_get`"),
    ("policy-other-builtin.wat", Err(Code::Import), "`env.opa_builtin9`"),
    ("policy-other-version.wat", Err(Code::Malformed), "ABI"),
    ("policy-exports-nothing.wat", Err(Code::Malformed), "does not export `memory`"),
];

/// Guests with a test of their own.
const APART: &[&str] = &["component-handle-bomb.wat"];

fn check<T: PartialEq + std::fmt::Debug>(
    name: &str,
    got: Result<T, SandboxError>,
    expect: Result<T, Code>,
    text: &str,
) -> Option<String> {
    match (got, expect) {
        (Ok(got), Ok(expect)) if got == expect => None,
        (Err(error), Err(code)) if error.code == code && error.detail.contains(text) => None,
        (got, expect) => Some(format!("{name}: {got:?} instead of {expect:?} with {text:?}")),
    }
}

fn passed(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_hostile_tool_gives_a_fault_and_nothing_else() {
    let said = |name| {
        plan(name, "{}").map(|outcome| match outcome {
            Ok(draft) => draft.summary,
            Err(refusal) => format!("{} {}", refusal.reason, refusal.remedy),
        })
    };
    passed(
        TOOLS
            .iter()
            .filter_map(|(name, expect, text)| {
                check(name, said(name), expect.map(str::to_owned), text)
            })
            .collect(),
    );
}

#[test]
fn a_hostile_executor_does_only_what_its_handles_allow() {
    let tried = EXECUTORS.iter().filter_map(|(name, expect, text, did)| {
        let (ended, seen) = drive(name);
        let wrong = check(name, ended.map(|stop| assert_eq!(stop, None, "{name}")), *expect, text);
        wrong.or_else(|| (seen != *did).then(|| format!("{name}: did {seen:?} instead of {did:?}")))
    });
    passed(tried.collect());
}

#[test]
fn a_hostile_policy_decides_nothing() {
    passed(
        POLICIES
            .iter()
            .filter_map(|(name, expect, text)| {
                check(name, decide(name), expect.map(str::to_owned), text)
            })
            .collect(),
    );
}

#[test]
fn a_component_of_many_resources_meets_the_limit_of_handles() {
    let (engine, _ticker) = counted(GuestKind::Tool);
    let component = Component::new(&engine, built("component-handle-bomb.wat").wasm).unwrap();
    let mut store =
        store(&engine, Account::new(limit::TOOL_MEMORY, limit::TOOL_TICKS), limit::HANDLES);
    let error = Linker::new(&engine).instantiate(&mut store, &component).map(drop).unwrap_err();
    assert_eq!(SandboxError::of(&error, store.data()).code, Code::Handles, "{error:#}");
}

#[test]
fn what_is_no_component_is_refused_with_the_way_to_make_one() {
    for (kind, wasm, text) in [
        (
            GuestKind::Tool,
            wat::parse_str("(module)").unwrap(),
            "core module, not a component; encode it with `cofferdam build`",
        ),
        (GuestKind::Executor, wat::parse_str("(module)").unwrap(), "core module"),
        (
            GuestKind::Policy,
            wat::parse_str("(component)").unwrap(),
            "a component, not a policy; build policies with `opa build -t wasm`",
        ),
        (GuestKind::Tool, b"garbage".to_vec(), "not Wasm"),
        (GuestKind::Tool, vec![0; 0], "not Wasm"),
        (GuestKind::Policy, b"garbage".to_vec(), "not Wasm"),
        (GuestKind::Tool, b"\0asm\x0d\0\x01\0garbage".to_vec(), ""),
        (GuestKind::Policy, b"\0asm\x01\0\0\0garbage".to_vec(), ""),
    ] {
        let error = artefact(super::Built { kind, wasm }).map(drop).unwrap_err();
        assert!(
            error.code == Code::Malformed && error.detail.contains(text),
            "{error} without {text:?}"
        );
    }
    for (more, text) in [
        (1, "8 MB; the limit is 8 MiB (8388609 of 8388608 bytes)"),
        (3_706_461, "12 MB; the limit is 8 MiB"),
    ] {
        let wasm = [b"\0asm\x0d\0\x01\0".as_slice(), &vec![0; limit::WASM - 8 + more]].concat();
        let error = artefact(super::Built { kind: GuestKind::Tool, wasm }).map(drop).unwrap_err();
        assert!(error.code == Code::TooLarge && error.detail.starts_with(text), "{error}");
        assert!(error.to_string().starts_with("too-large: "), "{error}");
    }
}

#[test]
fn every_guest_has_an_expectation() {
    let expected: BTreeSet<&str> = TOOLS
        .iter()
        .map(|row| row.0)
        .chain(EXECUTORS.iter().map(|row| row.0))
        .chain(POLICIES.iter().map(|row| row.0))
        .chain(super::commands::COMMANDS.iter().map(|row| row.0))
        .chain(APART.iter().copied())
        .collect();
    let files = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<String> = files.filter(|name| name.ends_with(".wat")).collect();
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, expected, "a guest without expectation, or the reverse");
}
