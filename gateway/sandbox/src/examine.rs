//! The purpose of a component, by its exports, for commands that read a file before it is accepted.
//! Runs in `cofferdam-guest` alone, because it compiles. Never runs the component.

use crate::error::{Code, SandboxError};
use crate::load::{self, Artefact};
use crate::world;
use cofferdam_core::protocol::role_guest::GuestKind;

/// The export of a tool.
const TOOL: &str = "cofferdam:tool/tool@0.1.0";

/// The export of an executor.
const EXECUTOR: &str = "cofferdam:executor/executor@0.1.0";

/// Most further exports of a toolchain, beside the interface of the world. jco has one.
const UNUSED: usize = 8;

/// Most interfaces in the text of an error, which has to fit a terminal.
const NAMED: usize = 8;

/// A component that can be loaded.
pub struct Examined {
    /// The purpose of the component.
    pub kind: GuestKind,
    /// Names of its imports, sorted.
    pub imports: Vec<String>,
    /// Names of its exports beside the interface of its world, sorted. They are never called.
    pub unused: Vec<String>,
    /// The compiled machine code.
    pub artefact: Artefact,
}

/// Finds the purpose of the component, checks it against the world of that purpose, and compiles
/// it.
/// # Errors
/// The same as of [`load::compile`]; `malformed` if it does not export exactly one of the three
/// interfaces.
pub fn examine(wasm: &[u8]) -> Result<Examined, SandboxError> {
    load::gate(GuestKind::Tool, wasm)?;
    // Tools, executors and Wasm commands are compiled alike. Only their limits differ.
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
    world::fits(kind, &engine, &component)?;
    let artefact = load::written(component.serialize())?;
    Ok(Examined { kind, imports, unused, artefact })
}

/// A component has exactly one purpose. Further exports of a toolchain (jco's `init`) are listed
/// and never called.
fn kind(imports: &[String], exports: &[String]) -> Result<(GuestKind, Vec<String>), SandboxError> {
    let of = |name: &str| match name {
        TOOL => Some(GuestKind::Tool),
        EXECUTOR => Some(GuestKind::Executor),
        run if world::wasi(run) == Some(world::COMMAND_EXPORT) => Some(GuestKind::Command),
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
    // An unexpected import says more about the component than a missing one.
    if let Some(import) =
        imports.iter().find(|import| !world::EXECUTOR_IMPORTS.contains(&import.as_str()))
    {
        return Err(SandboxError::new(
            Code::Import,
            world::remedy(import, "a tool", world::TOOL_IMPORTS),
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
        world::COMMAND_EXPORT
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
            |error| error.to_string(),
            |(kind, unused)| format!("{kind:?} {unused:?}"),
        );
        assert!(found.starts_with(expect), "{found}");
    }

    #[test]
    fn a_component_is_for_exactly_one_thing() {
        check(&[], &[TOOL], "Tool []");
        check(&[], &[TOOL, "init"], r#"Tool ["init"]"#);
        check(&world::EXECUTOR_IMPORTS[1..], &[EXECUTOR], "Executor []");
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
