//! Whether a component is of its world and asks for nothing else, and the machine code made of it.
//! Linking is not the check: an import that holds only types links against nothing, so the imports
//! themselves are compared with the world's list.

use crate::engine::description;
use crate::error::{Code, SandboxError};
use crate::limit;
use cofferdam_core::model::artefact::ArtefactKey;
use cofferdam_core::protocol::role_guest::GuestKind;
use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// What a tool may import.
pub const TOOL_IMPORTS: &[&str] = &[];

/// What an executor may import.
pub const EXECUTOR_IMPORTS: &[&str] = &[
    "cofferdam:executor/operations@0.1.0",
    "cofferdam:executor/progress@0.1.0",
    "cofferdam:executor/observation@0.1.0",
];

/// What an executor must import of it: one without handles does nothing, one without words leaves
/// people waiting in the dark.
const EXECUTOR_NEEDS: &[&str] =
    &["cofferdam:executor/operations@0.1.0", "cofferdam:executor/progress@0.1.0"];

/// What a command exports, besides its version.
pub(crate) const COMMAND_EXPORT: &str = "wasi:cli/run";

/// What a command may import, besides its version: `wasi:cli/command` without sockets. Not what it
/// gets: see `wasi_command.rs`.
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

/// Machine code that this role made itself, or that its asking role vouches for. The engine runs it
/// as it is, so this is the one door to it: no `From`, no public constructor that takes bytes
/// without a word of trust.
pub struct Artefact(Vec<u8>);

impl Artefact {
    /// Opens a stored artefact whose MAC is this role's own, over the component's digest and this
    /// engine. Anything else is compiled again.
    pub fn open(
        key: &ArtefactKey,
        digest: &dyn Display,
        engine: &str,
        sealed: &[u8],
    ) -> Result<Self, SandboxError> {
        let artefact = key
            .open(&about(digest, engine), sealed)
            .map_err(|fault| SandboxError::new(Code::Artefact, fault.to_string()))?;
        Ok(Self(artefact.to_vec()))
    }

    /// Takes the bytes that the asking role passes on to its guest process, after it checked the
    /// MAC. Only for `cofferdam-guest`, which holds nothing that foreign machine code could
    /// reach.
    pub fn vouched(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The machine code, for sealing.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What the MAC of an artefact is about, besides its bytes: the component or policy as its author
/// built it, and the engine.
pub fn about(digest: &dyn Display, engine: &str) -> String {
    format!("{digest} {engine}")
}

/// Checks Wasm and compiles it. Gives the artefact and the engine it is good for.
///
/// The time this takes is bounded by the size gate, and by the limits of the process it runs in:
/// compiling is no part of a call.
pub fn compile(kind: GuestKind, wasm: &[u8]) -> Result<(Artefact, String), SandboxError> {
    compile_confined(kind, wasm, || Ok(()))
}

/// The same; `confine` is called when the last machine code is made and before the first
/// instruction of it runs. Only policies run here: what they need from the host, they alone can
/// say.
pub(crate) fn compile_confined(
    kind: GuestKind,
    wasm: &[u8],
    confine: impl FnOnce() -> Result<(), SandboxError>,
) -> Result<(Artefact, String), SandboxError> {
    gate(kind, wasm)?;
    let engine = crate::engine::compiler(kind)?;
    let bytes = match kind {
        GuestKind::Tool | GuestKind::Executor | GuestKind::Command => {
            let component = translate(&engine, wasm)?;
            fits(kind, &engine, &component)?;
            component.serialize()
        }
        GuestKind::Policy => {
            let module = caught(|| Module::from_binary(&engine, wasm))?;
            crate::policy::accept(&engine, &module, crate::policy::Purpose::Decide, confine)?;
            module.serialize()
        }
    };
    Ok((written(bytes)?, description(&engine, kind)))
}

/// The same of a policy that is tried out: its instructions are counted, and its tests may print.
/// No role that decides asks for one.
pub(crate) fn compile_trial(
    wasm: &[u8],
    confine: impl FnOnce() -> Result<(), SandboxError>,
) -> Result<(Artefact, String), SandboxError> {
    gate(GuestKind::Policy, wasm)?;
    let engine = crate::engine::counting()?;
    let module = caught(|| Module::from_binary(&engine, wasm))?;
    crate::policy::accept(&engine, &module, crate::policy::Purpose::Try, confine)?;
    Ok((written(module.serialize())?, description(&engine, GuestKind::Policy)))
}

/// The artefact, if a frame can carry it.
pub(crate) fn written(serialized: wasmtime::Result<Vec<u8>>) -> Result<Artefact, SandboxError> {
    let bytes = serialized.map_err(|fault| {
        SandboxError::new(Code::Engine, format!("the artefact cannot be written: {fault:#}"))
    })?;
    if bytes.len() > limit::ARTEFACT {
        let detail = format!(
            "{} of machine code; the limit is {} MiB",
            megabytes(bytes.len()),
            limit::ARTEFACT >> 20
        );
        return Err(SandboxError::new(Code::TooLarge, detail));
    }
    Ok(Artefact(bytes))
}

/// Machine code of a component, whatever it is for.
pub(crate) fn translate(engine: &Engine, wasm: &[u8]) -> Result<Component, SandboxError> {
    caught(|| Component::from_binary(engine, wasm))
}

/// Holds a component against the world of its kind, and against what a sandbox has.
pub(crate) fn fits(
    kind: GuestKind,
    engine: &Engine,
    component: &Component,
) -> Result<(), SandboxError> {
    world(kind, engine, component)?;
    sizes(kind, component)
}

/// A compiler that gives up is a refusal, in words. Where it takes the whole process with it, the
/// asking role says so.
fn caught<T>(compile: impl FnOnce() -> wasmtime::Result<T>) -> Result<T, SandboxError> {
    match catch_unwind(AssertUnwindSafe(compile)) {
        Ok(compiled) => compiled.map_err(|fault| unfit(&fault)),
        Err(panic) => Err(SandboxError::new(
            Code::Unsupported,
            format!("the compiler gives up on it: {}", words(panic.as_ref())),
        )),
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    told(said.unwrap_or("without a word"))
}

/// The words for Wasm of this many bytes, where that is beyond [`limit::WASM`].
pub fn too_large(bytes: usize) -> String {
    format!(
        "{}; the limit is {} MiB ({bytes} of {} bytes)",
        megabytes(bytes),
        limit::WASM >> 20,
        limit::WASM
    )
}

fn megabytes(bytes: usize) -> String {
    format!("{} MB", bytes.saturating_add(500_000) / 1_000_000)
}

/// Refuses by size and by what stands in the first eight bytes, before anything else reads them.
pub(crate) fn gate(kind: GuestKind, wasm: &[u8]) -> Result<(), SandboxError> {
    if wasm.len() > limit::WASM {
        return Err(SandboxError::new(Code::TooLarge, too_large(wasm.len())));
    }
    let module = wasm.starts_with(b"\0asm\x01\0\0\0");
    let component = wasm.starts_with(b"\0asm\x0d\0\x01\0");
    let remedy = match (kind, component, module) {
        (GuestKind::Tool | GuestKind::Executor | GuestKind::Command, true, _)
        | (GuestKind::Policy, _, true) => return Ok(()),
        (GuestKind::Policy, true, _) => {
            "it is a component, not a policy; build policies with `opa build -t wasm`"
        }
        (GuestKind::Command, ..) => {
            "it is not a component; build commands for the target wasm32-wasip2"
        }
        (_, _, true) => "it is a core module, not a component; encode it with `cofferdam build`",
        (GuestKind::Policy, ..) => "it is not Wasm; build policies with `opa build -t wasm`",
        _ => "it is not Wasm; build it with `cofferdam build`",
    };
    Err(SandboxError::new(Code::Malformed, remedy))
}

/// Compares the imports with the world's list: none besides, and none missing that it must have.
fn world(kind: GuestKind, engine: &Engine, component: &Component) -> Result<(), SandboxError> {
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

/// A name without its version, where that is one of WASI 0.2.
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

/// Compares what it begins with to what a sandbox has: refused when it is accepted, not when it is
/// first called.
fn sizes(kind: GuestKind, component: &Component) -> Result<(), SandboxError> {
    let most = match kind {
        GuestKind::Executor => limit::EXECUTOR_MEMORY,
        GuestKind::Command => limit::COMMAND_MEMORY,
        GuestKind::Tool | GuestKind::Policy => limit::TOOL_MEMORY,
    } >> 10;
    // None is a component that imports core modules, which no world of ours does.
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

/// How the engine says that Wasm needs a proposal which is off here. These errors have no type of
/// their own; guests in the tests hold the texts.
const PROPOSALS: [&str; 6] = [
    "requires the component model",
    "not enabled",
    "must be enabled",
    "is not supported",
    "unsupported",
    "proposal",
];

/// Characters of an engine's error that are kept: it may name things of the component, which are as
/// long as its author wants.
const TOLD: usize = 400;

/// Why Wasm was not compiled.
fn unfit(error: &wasmtime::Error) -> SandboxError {
    let text = format!("{error:#}");
    let text = told(text.trim_start_matches("failed to parse WebAssembly module: "));
    if PROPOSALS.iter().any(|words| text.contains(words)) {
        let remedy = "build it without that feature (with jco: `--backend-qjs-disable-async`)";
        return SandboxError::new(Code::Unsupported, format!("{text}; {remedy}"));
    }
    SandboxError::new(Code::Malformed, text)
}

/// One line of bounded length, without what cannot be seen.
fn told(text: &str) -> String {
    let short: String = text.chars().take(TOLD).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{}{more}", cofferdam_core::model::escape::line(&short))
}

/// A component from its artefact, held against its world once more.
pub(crate) fn component(
    kind: GuestKind,
    engine: &Engine,
    artefact: &Artefact,
) -> Result<Component, SandboxError> {
    #[expect(
        unsafe_code,
        reason = "the one door to machine code: its bytes are this role's own, checked by MAC or \
                  vouched for by the asking role"
    )]
    // SAFETY: an `Artefact` holds bytes that `Component::serialize` gave to this role, unchanged
    // since (see `Artefact`).
    let component = unsafe { Component::deserialize(engine, artefact.bytes()) }
        .map_err(|fault| stale(&fault))?;
    world(kind, engine, &component)?;
    // Now rather than at the first call: it asks the kernel for a file in memory, which a confined
    // process may not.
    component.initialize_copy_on_write_image().map_err(|fault| stale(&fault))?;
    Ok(component)
}

/// A policy's module from its artefact.
pub(crate) fn module(engine: &Engine, artefact: &Artefact) -> Result<Module, SandboxError> {
    #[expect(
        unsafe_code,
        reason = "the one door to machine code: its bytes are this role's own, checked by MAC or \
                  vouched for by the asking role"
    )]
    // SAFETY: an `Artefact` holds bytes that `Module::serialize` gave to this role, unchanged since
    // (see `Artefact`).
    let module =
        unsafe { Module::deserialize(engine, artefact.bytes()) }.map_err(|fault| stale(&fault))?;
    module.initialize_copy_on_write_image().map_err(|fault| stale(&fault))?;
    Ok(module)
}

fn stale(error: &wasmtime::Error) -> SandboxError {
    let text = format!("{error:#}");
    // The pool's own limits, such as how many core instances one component has.
    if text.contains("exceeds the") {
        return SandboxError::new(
            Code::Memory,
            format!("it needs more than a sandbox has: {text}"),
        );
    }
    SandboxError::new(
        Code::Artefact,
        format!("the artefact is not of this engine; it is compiled again: {text}"),
    )
}
