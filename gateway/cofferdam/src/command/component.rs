//! Encodes a core module as a component, and reads the imports and exports of a component.
//! Compiles, instantiates and runs nothing.
//!
//! The bindings write the world of a core module to a custom section; the encoder needs nothing
//! else. The host reads the imports again when it loads a component. This check only reports errors
//! to an author earlier.

use thiserror::Error;
use wit_component::{ComponentEncoder, DecodedWasm};

/// The interface that a tool exports.
pub const TOOL: &str = "cofferdam:tool/tool@0.1.0";
/// The interface that an executor exports.
pub const EXECUTOR: &str = "cofferdam:executor/executor@0.1.0";
/// The interfaces that an executor may import, sorted. An executor without waits does not import
/// the first.
pub const EXECUTOR_IMPORTS: [&str; 3] = [
    "cofferdam:executor/observation@0.1.0",
    "cofferdam:executor/operations@0.1.0",
    "cofferdam:executor/progress@0.1.0",
];

/// The interface that a command exports, without the last part of its version.
pub const COMMAND: &str = "wasi:cli/run@0.2.";
/// The packages of the interfaces that a command may import: WASI 0.2 without sockets. The list of
/// the sandbox is stricter.
const COMMAND_PACKAGES: [&str; 5] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];

/// The first bytes of every component: magic number, version 13, layer 1 (component model, binary
/// format).
const COMPONENT_HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

/// An error of encoding or checking a component.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// The bytes are not a core module, or its exports do not match its world.
    #[error(
        "the core module cannot be made a component: {0}; remove the library or the call that \
         needs an import, and build it with the SDK's `tool!` or `executor!` for \
         wasm32-unknown-unknown"
    )]
    Module(String),
    /// The bytes are not a component, or the component has no interface.
    #[error("not a component: {0}; build it with `cofferdam build`")]
    Component(String),
    /// The component exports no interface of a tool, an executor or a command.
    #[error(
        "the component exports `{0}`; a tool exports `{TOOL}`, an executor `{EXECUTOR}`, a \
         command `wasi:cli/run`, and nothing besides"
    )]
    Exports(String),
    /// The component imports an interface that its world does not have.
    #[error(
        "the {kind} imports `{interface}`; {allowed}, so remove the library or the call that \
         needs it"
    )]
    Import {
        /// The kind: `tool`, `executor` or `command`.
        kind: &'static str,
        /// The imported interface.
        interface: String,
        /// The permitted imports, in words.
        allowed: &'static str,
    },
}

/// The imports and exports of a component: sorted names of interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// The imported interfaces, sorted.
    pub imports: Vec<String>,
    /// The exported interfaces, sorted.
    pub exports: Vec<String>,
}

/// The role of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A tool: makes plans.
    Tool,
    /// An executor: carries out plans.
    Executor,
    /// A Wasm command: runs in a task.
    Command,
}

/// Encodes a core module as a component and validates it. A component, as toolchains for commands
/// make it, is returned unchanged.
pub fn encode(core_module: &[u8]) -> Result<Vec<u8>, EncodeError> {
    if core_module.get(..8) == Some(COMPONENT_HEADER) {
        return surface(core_module).map(|_| core_module.to_vec());
    }
    let encoder = ComponentEncoder::default().module(core_module).map_err(refused_module)?;
    encoder.validate(true).encode().map_err(refused_module)
}

/// Reads what a component imports and exports.
pub fn surface(component: &[u8]) -> Result<Surface, EncodeError> {
    // The reader also accepts core modules, by the world in their custom section. That is a claim
    // and not their imports.
    if component.get(..8) != Some(COMPONENT_HEADER) {
        return Err(EncodeError::Component("it does not begin as one does".into()));
    }
    match wit_component::decode(component) {
        Ok(DecodedWasm::Component(resolve, world)) => {
            let world = resolve
                .worlds
                .get(world)
                .ok_or_else(|| EncodeError::Component("it has no world".into()))?;
            let names = |keys: &mut dyn Iterator<Item = &wit_parser::WorldKey>| {
                let mut names: Vec<_> = keys.map(|key| resolve.name_world_key(key)).collect();
                names.sort();
                names
            };
            Ok(Surface {
                imports: names(&mut world.imports.keys()),
                exports: names(&mut world.exports.keys()),
            })
        }
        Ok(DecodedWasm::WitPackage(..)) => {
            Err(EncodeError::Component("it is a WIT package".into()))
        }
        Err(error) => Err(EncodeError::Component(format!("{error:#}"))),
    }
}

/// The names of the imported interfaces of a component, sorted.
pub fn imports(component: &[u8]) -> Result<Vec<String>, EncodeError> {
    surface(component).map(|surface| surface.imports)
}

impl Surface {
    /// Returns the role of the component. Refuses an import outside its world, and a missing
    /// export.
    pub fn role(&self) -> Result<Role, EncodeError> {
        let exports: Vec<&str> = self.exports.iter().map(String::as_str).collect();
        if matches!(exports.as_slice(), [run] if run.starts_with(COMMAND)) {
            let within = |import: &&String| {
                import.contains("@0.2.")
                    && COMMAND_PACKAGES.iter().any(|package| import.starts_with(package))
            };
            let allowed =
                "a command has its input and its output alone, through WASI 0.2 without sockets";
            return match self.imports.iter().find(|import| !within(import)) {
                Some(import) => {
                    Err(EncodeError::Import { kind: "command", interface: import.clone(), allowed })
                }
                None => Ok(Role::Command),
            };
        }
        let (role, kind, given, allowed) = match exports.as_slice() {
            [TOOL] => (Role::Tool, "tool", [].as_slice(), "a tool imports nothing, not even WASI"),
            [EXECUTOR] => {
                let allowed =
                    "an executor imports `operations`, `observation` and `progress` alone";
                (Role::Executor, "executor", EXECUTOR_IMPORTS.as_slice(), allowed)
            }
            // A wrong import is a better error than a missing one.
            other => match self
                .imports
                .iter()
                .find(|import| !EXECUTOR_IMPORTS.contains(&import.as_str()))
            {
                Some(import) => {
                    let allowed = "a tool imports nothing, not even WASI";
                    return Err(EncodeError::Import {
                        kind: "component",
                        interface: import.clone(),
                        allowed,
                    });
                }
                None => return Err(EncodeError::Exports(other.join("`, `"))),
            },
        };
        match self.imports.iter().find(|import| !given.contains(&import.as_str())) {
            Some(import) => Err(EncodeError::Import { kind, interface: import.clone(), allowed }),
            None => Ok(role),
        }
    }
}

/// The chain of causes of the encoder, on one line.
fn refused_module(error: impl std::fmt::Display) -> EncodeError {
    EncodeError::Module(format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::{EXECUTOR, EXECUTOR_IMPORTS, Surface, TOOL, encode, surface};

    fn check(imports: &[&str], exports: &[&str], expect: &str) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let found = Surface { imports: owned(imports), exports: owned(exports) }.role();
        assert_eq!(
            found.map_or_else(|error| error.to_string(), |role| format!("{role:?}")),
            expect
        );
    }

    #[test]
    fn each_role_has_exactly_its_imports() {
        check(&[], &[TOOL], "Tool");
        check(&EXECUTOR_IMPORTS, &[EXECUTOR], "Executor");
        check(&EXECUTOR_IMPORTS[1..], &[EXECUTOR], "Executor");
        check(
            &["wasi:sockets/tcp@0.2.6"],
            &[TOOL],
            "the tool imports `wasi:sockets/tcp@0.2.6`; a tool imports nothing, not even WASI, so \
             remove the library or the call that needs it",
        );
        check(
            &["cofferdam:executor/operations@0.1.0", "wasi:clocks/monotonic-clock@0.2.6"],
            &[EXECUTOR],
            "the executor imports `wasi:clocks/monotonic-clock@0.2.6`; an executor imports \
             `operations`, `observation` and `progress` alone, so remove the library or the call \
             that needs it",
        );
        check(
            &[],
            &[TOOL, EXECUTOR],
            "the component exports `cofferdam:tool/tool@0.1.0`, \
             `cofferdam:executor/executor@0.1.0`; a tool exports `cofferdam:tool/tool@0.1.0`, an \
             executor `cofferdam:executor/executor@0.1.0`, a command `wasi:cli/run`, and nothing \
             besides",
        );
        check(
            &["wasi:cli/stdin@0.2.6", "wasi:io/streams@0.2.6"],
            &["wasi:cli/run@0.2.6"],
            "Command",
        );
        check(
            &["wasi:cli/stdin@0.2.6", "wasi:sockets/tcp@0.2.6"],
            &["wasi:cli/run@0.2.6"],
            "the command imports `wasi:sockets/tcp@0.2.6`; a command has its input and its output \
             alone, through WASI 0.2 without sockets, so remove the library or the call that \
             needs it",
        );
    }

    #[test]
    fn bytes_that_are_no_module_or_component_are_refused() {
        assert!(encode(b"hello").is_err());
        assert!(surface(b"\0asm\x01\0\0\0").is_err());
    }
}
