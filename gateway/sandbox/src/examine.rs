//! What a stranger's component is for, by what it exports: for commands that look at a file before
//! anything of it is accepted. Runs in `cofferdam-guest` alone, because it compiles; never runs
//! what it looks at.

use crate::error::{Code, SandboxError};
use crate::load::{self, Artefact};
use cofferdam_core::protocol::role_guest::GuestKind;

/// What a tool exports.
const TOOL: &str = "cofferdam:tool/tool@0.1.0";

/// What an executor exports.
const EXECUTOR: &str = "cofferdam:executor/executor@0.1.0";

/// Exports that a toolchain may leave beside the world's interface: jco leaves one.
const UNUSED: usize = 8;

/// Interfaces that are named in a fault: one text for a terminal, however many a component has.
const NAMED: usize = 8;

/// A component that would be loaded.
pub struct Examined {
    /// What it is for.
    pub kind: GuestKind,
    /// The names of what it imports, sorted.
    pub imports: Vec<String>,
    /// The names of what it exports besides its world's interface, sorted: no part of it is ever
    /// called.
    pub unused: Vec<String>,
    /// Its machine code.
    pub artefact: Artefact,
}

/// Finds out what the component is for, holds it against that world, and compiles it.
///
/// # Errors
/// The same as [`load::compile`]; `malformed` where it exports none of the three interfaces, or
/// something besides.
pub fn examine(wasm: &[u8]) -> Result<Examined, SandboxError> {
    load::gate(GuestKind::Tool, wasm)?;
    // Tools, executors and commands are compiled alike: what differs is how much of everything they
    // get.
    let engine = crate::engine::compiler(GuestKind::Tool)?;
    let component = load::translate(&engine, wasm)?;
    let own = component.component_type();
    let names = |items: &mut dyn Iterator<Item = &str>| {
        let mut names: Vec<String> = items.map(str::to_owned).collect();
        names.sort();
        names
    };
    let imports = names(&mut own.imports(&engine).map(|(name, _)| name));
    let exports = names(&mut own.exports(&engine).map(|(name, _)| name));
    let (kind, unused) = kind(&imports, &exports)?;
    load::fits(kind, &engine, &component)?;
    let artefact = load::written(component.serialize())?;
    Ok(Examined { kind, imports, unused, artefact })
}

/// A component is for exactly one thing. What a toolchain leaves beside it (jco's `init`) is never
/// called, and named.
fn kind(imports: &[String], exports: &[String]) -> Result<(GuestKind, Vec<String>), SandboxError> {
    let of = |name: &str| match name {
        TOOL => Some(GuestKind::Tool),
        EXECUTOR => Some(GuestKind::Executor),
        run if load::wasi(run) == Some(load::COMMAND_EXPORT) => Some(GuestKind::Command),
        _ => None,
    };
    let (worlds, unused): (Vec<&String>, Vec<&String>) =
        exports.iter().partition(|name| of(name).is_some());
    if let ([world], true) = (worlds.as_slice(), unused.len() <= UNUSED)
        && let Some(kind) = of(world)
    {
        return Ok((kind, unused.into_iter().cloned().collect()));
    }
    let exported: Vec<&str> = exports.iter().map(String::as_str).collect();
    // What it asks for says more about it than what it lacks.
    if let Some(import) =
        imports.iter().find(|import| !load::EXECUTOR_IMPORTS.contains(&import.as_str()))
    {
        return Err(SandboxError::new(
            Code::Import,
            load::remedy(import, "a tool", load::TOOL_IMPORTS),
        ));
    }
    let more = if exported.len() > NAMED { ", …" } else { "" };
    let named: Vec<&str> = exported.into_iter().take(NAMED).collect();
    let has = if named.is_empty() {
        "nothing".to_owned()
    } else {
        format!("`{}`{more}", named.join("`, `"))
    };
    let detail = format!(
        "it exports {has}; a tool exports `{TOOL}`, an executor `{EXECUTOR}`, a command `{}` 0.2, \
         and none of them two of these (`wit/tool.wit`)",
        load::COMMAND_EXPORT
    );
    Err(SandboxError::new(Code::Malformed, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(imports: &[&str], exports: &[&str], expect: &str) {
        let owned =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let found = kind(&owned(imports), &owned(exports));
        let found = found.map_or_else(
            |fault| fault.to_string(),
            |(kind, unused)| format!("{kind:?} {unused:?}"),
        );
        assert!(found.starts_with(expect), "{found}");
    }

    #[test]
    fn a_component_is_for_exactly_one_thing() {
        check(&[], &[TOOL], "Tool []");
        check(&[], &[TOOL, "init"], r#"Tool ["init"]"#);
        check(&load::EXECUTOR_IMPORTS[1..], &[EXECUTOR], "Executor []");
        check(&["wasi:io/streams@0.2.6"], &["wasi:cli/run@0.2.6"], "Command []");
        check(
            &[],
            &["wasi:cli/run@0.3.0"],
            "malformed: it exports `wasi:cli/run@0.3.0`; a tool exports",
        );
        check(
            &[],
            &[TOOL, EXECUTOR],
            "malformed: it exports `cofferdam:tool/tool@0.1.0`, `cofferdam:executor",
        );
        check(&[], &[], "malformed: it exports nothing; a tool exports");
        check(
            &["wasi:http/types@0.2.6"],
            &["wasi:http/handler@0.2.6"],
            "import: it imports `wasi:http/types@0.2.6`",
        );
        check(
            &[],
            &["a"; 20],
            "malformed: it exports `a`, `a`, `a`, `a`, `a`, `a`, `a`, `a`, …; a tool",
        );
    }
}
