//! Makes a component of a core module, and reads back what a component asks for and offers. It
//! compiles, instantiates and runs nothing.
//!
//! The core module carries its world in a custom section, written there by the bindings; the
//! encoder needs nothing else. The host reads the imports again, by itself, when it loads a
//! component: what is checked here only tells an author early.

use thiserror::Error;
use wit_component::{ComponentEncoder, DecodedWasm};

/// What a tool exports.
pub const TOOL: &str = "cofferdam:tool/tool@0.1.0";
/// What an executor exports.
pub const EXECUTOR: &str = "cofferdam:executor/executor@0.1.0";
/// All that an executor may import, in the order of the alphabet; one that waits for nothing does
/// without the first.
pub const EXECUTOR_IMPORTS: [&str; 3] = [
    "cofferdam:executor/observation@0.1.0",
    "cofferdam:executor/operations@0.1.0",
    "cofferdam:executor/progress@0.1.0",
];

/// What a command exports, besides the last part of its version.
pub const COMMAND: &str = "wasi:cli/run@0.2.";
/// The packages a command may import of: WASI 0.2 without sockets. The sandbox's list of interfaces
/// is stricter still.
const COMMAND_PACKAGES: [&str; 5] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];

/// How every component begins: magic number, version 13, layer 1 (component model, binary format).
const COMPONENT_HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

/// Why there is no component, or none that Cofferdam would load.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// The bytes are no core module, or their world and their exports disagree.
    #[error(
        "the core module cannot be made a component: {0}; remove the library or the call that \
         needs an import, and build it with the SDK's `tool!` or `executor!` for \
         wasm32-unknown-unknown"
    )]
    Module(String),
    /// The bytes are no component, or one that describes no interface.
    #[error("not a component: {0}; build it with `cofferdam build`")]
    Component(String),
    /// It exports neither of the two interfaces.
    #[error(
        "the component exports `{0}`; a tool exports `{TOOL}`, an executor `{EXECUTOR}`, a \
         command `wasi:cli/run`, and nothing besides"
    )]
    Exports(String),
    /// It asks for more than its world gives.
    #[error(
        "the {kind} imports `{interface}`; {allowed}, so remove the library or the call that \
         needs it"
    )]
    Import {
        /// `tool`, `executor` or `command`.
        kind: &'static str,
        /// The interface it asks for.
        interface: String,
        /// What it may import.
        allowed: &'static str,
    },
}

/// What a component asks for and offers, as names of interfaces, each list sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// What it asks for.
    pub imports: Vec<String>,
    /// What it offers.
    pub exports: Vec<String>,
}

/// What a component is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Makes plans.
    Tool,
    /// Carries them out.
    Executor,
    /// What a task runs.
    Command,
}

/// Wraps a core module into a component, and validates it. Toolchains for commands make components
/// themselves; such a one is kept as it is.
pub fn encode(core_module: &[u8]) -> Result<Vec<u8>, EncodeError> {
    if core_module.get(..8) == Some(COMPONENT_HEADER) {
        return surface(core_module).map(|_| core_module.to_vec());
    }
    let encoder = ComponentEncoder::default().module(core_module).map_err(refused_module)?;
    encoder.validate(true).encode().map_err(refused_module)
}

/// Reads what a component imports and exports.
pub fn surface(component: &[u8]) -> Result<Surface, EncodeError> {
    // The reader also takes core modules, for the world in their custom section; that is what they
    // claim, not what they import.
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

/// The names of the interfaces that a component asks for, sorted.
pub fn imports(component: &[u8]) -> Result<Vec<String>, EncodeError> {
    surface(component).map(|surface| surface.imports)
}

impl Surface {
    /// Says what the component is for. Refuses one that asks for anything its world does not give,
    /// or lacks what it gives.
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
            // What it asks for says more about it than what it lacks.
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

/// The encoder's whole chain of causes in one line.
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
