//! The check of a component against the world of its kind, and against the limits of a sandbox.
//! Linking is not the check: an import of types alone links against nothing, so the imports
//! themselves are compared with the list of the world. Compiles nothing.

use crate::error::{Code, SandboxError};
use crate::limit;
use cofferdam_core::protocol::role_guest::GuestKind;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The imports that a tool may have.
pub const TOOL_IMPORTS: &[&str] = &[];

/// The imports that an executor may have.
pub const EXECUTOR_IMPORTS: &[&str] = &[
    "cofferdam:executor/operations@0.1.0",
    "cofferdam:executor/progress@0.1.0",
    "cofferdam:executor/observation@0.1.0",
];

/// The imports that an executor must have: without handles it does nothing, and without reports
/// people learn nothing of its progress.
const EXECUTOR_NEEDS: &[&str] =
    &["cofferdam:executor/operations@0.1.0", "cofferdam:executor/progress@0.1.0"];

/// The export of a Wasm command, without its version.
pub(crate) const COMMAND_EXPORT: &str = "wasi:cli/run";

/// The imports that a Wasm command may have, without their version: `wasi:cli/command` without
/// sockets. `wasi_command.rs` limits them further.
pub const COMMAND_IMPORTS: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Checks a component against the world of its kind and the limits of a sandbox.
pub(crate) fn fits(
    kind: GuestKind,
    engine: &Engine,
    component: &Component,
) -> Result<(), SandboxError> {
    world(kind, engine, component)?;
    sizes(kind, component)
}

/// Compares the imports with the list of the world: no others, and none missing that it must have.
pub(crate) fn world(
    kind: GuestKind,
    engine: &Engine,
    component: &Component,
) -> Result<(), SandboxError> {
    let (allowed, needs, word) = match kind {
        GuestKind::Executor => (EXECUTOR_IMPORTS, EXECUTOR_NEEDS, "an executor"),
        GuestKind::Tool | GuestKind::Policy => (TOOL_IMPORTS, TOOL_IMPORTS, "a tool"),
        GuestKind::Command => return command(engine, component),
    };
    let own = component.component_type();
    let imports: Vec<String> = own.imports(engine).map(|(name, _)| name.to_owned()).collect();
    if let Some(beyond) = imports.iter().find(|name| !allowed.contains(&name.as_str())) {
        return Err(SandboxError::new(Code::Import, remedy(beyond, word, allowed)));
    }
    if let Some(missing) = needs.iter().find(|name| !imports.iter().any(|import| import == *name)) {
        return Err(SandboxError::new(
            Code::Import,
            format!(
                "it does not import `{missing}`; {word} is built for the world in \
                 `wit/executor.wit`"
            ),
        ));
    }
    Ok(())
}

/// Returns a name of WASI 0.2 without its version, or `None` for another name.
pub(crate) fn wasi(name: &str) -> Option<&str> {
    name.split_once("@0.2.").map(|(interface, _)| interface)
}

fn command(engine: &Engine, component: &Component) -> Result<(), SandboxError> {
    let own = component.component_type();
    if let Some((beyond, _)) = own
        .imports(engine)
        .find(|(name, _)| !wasi(name).is_some_and(|name| COMMAND_IMPORTS.contains(&name)))
    {
        let has =
            "a command has its input and its output alone: no network, and nothing beyond WASI 0.2";
        return Err(SandboxError::new(
            Code::Import,
            format!("it imports `{beyond}`; {has}; remove the library or the call that needs it"),
        ));
    }
    if !own.exports(engine).any(|(name, _)| wasi(name) == Some(COMMAND_EXPORT)) {
        let detail = format!(
            "it does not export `{COMMAND_EXPORT}` 0.2; build it for the target wasm32-wasip2"
        );
        return Err(SandboxError::new(Code::Malformed, detail));
    }
    Ok(())
}

pub(crate) fn remedy(import: &str, word: &str, allowed: &[&str]) -> String {
    let may = if allowed.is_empty() {
        "nothing at all".to_owned()
    } else {
        format!("only `{}`", allowed.join("` and `"))
    };
    let how = if import.starts_with("wasi:") {
        "build it for wasm32-unknown-unknown, or use `cofferdam build`, which removes WASI; a tool \
         asks for access in its plan"
    } else {
        "remove the import; a tool asks for access in its plan"
    };
    format!("it imports `{import}`, and {word} may import {may}; {how}")
}

/// Compares the initial sizes with the limits of a sandbox: a component is refused when it is
/// accepted, not at its first call.
fn sizes(kind: GuestKind, component: &Component) -> Result<(), SandboxError> {
    let most = match kind {
        GuestKind::Executor => limit::EXECUTOR_MEMORY,
        GuestKind::Command => limit::COMMAND_MEMORY,
        GuestKind::Tool | GuestKind::Policy => limit::TOOL_MEMORY,
    } >> 10;
    // `None` means a component that imports core modules, which no world here does.
    let needs = component
        .resources_required()
        .ok_or_else(|| SandboxError::new(Code::Import, "it imports core modules"))?;
    let kib = needs.max_initial_memory_size.unwrap_or(0).saturating_mul(64);
    let elements = needs.max_initial_table_size.unwrap_or(0);
    let fits = |given: u64, most: usize| usize::try_from(given).is_ok_and(|given| given <= most);
    let over = |text: String| Err(SandboxError::new(Code::Memory, text));
    if !fits(kib, most) {
        return over(format!(
            "it begins with {kib} KiB of memory, at most {most} KiB are given; lower \
             `--initial-memory` when it is linked"
        ));
    }
    if !fits(elements, limit::TABLE_ELEMENTS) {
        return over(format!(
            "it begins with {elements} table elements, at most {} are given",
            limit::TABLE_ELEMENTS
        ));
    }
    if !fits(needs.num_memories.into(), limit::MEMORIES)
        || !fits(needs.num_tables.into(), limit::TABLES)
    {
        let (memories, tables) = (needs.num_memories, needs.num_tables);
        return over(format!(
            "it has {memories} memories, at most {} are given, and {tables} tables, at most {}",
            limit::MEMORIES,
            limit::TABLES
        ));
    }
    Ok(())
}
