//! Artefacts: compiling Wasm to machine code, and loading machine code that this role made itself.
//! `world.rs` has the check of the component.

use crate::engine::description;
use crate::error::{Code, SandboxError};
use crate::limit;
use crate::world::{fits, world};
use cofferdam_core::model::artefact::ArtefactKey;
use cofferdam_core::protocol::role_guest::GuestKind;
use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// Machine code that this role made itself, or that its asking role vouches for. The engine runs it
/// without a check, so this type is the only way in: it has no `From`, and no public constructor
/// that takes bytes without a statement of trust.
pub struct Artefact(Vec<u8>);

impl Artefact {
    /// Opens a stored artefact whose MAC this role made, over the digest of the component and this
    /// engine. Any other artefact is compiled again.
    pub fn open(
        key: &ArtefactKey,
        digest: &dyn Display,
        engine: &str,
        sealed: &[u8],
    ) -> Result<Self, SandboxError> {
        let artefact = key
            .open(&about(digest, engine), sealed)
            .map_err(|error| SandboxError::new(Code::Artefact, error.to_string()))?;
        Ok(Self(artefact.to_vec()))
    }

    /// Takes the bytes that the asking role passes on to its guest process after a check of the
    /// MAC. Only for `cofferdam-guest`, which holds nothing that foreign machine code could reach.
    pub fn vouched(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The machine code, for sealing.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The subject of an artefact's MAC, besides its bytes: the component or policy as its author built
/// it, and the engine.
pub fn about(digest: &dyn Display, engine: &str) -> String {
    format!("{digest} {engine}")
}

/// Checks Wasm and compiles it. Returns the artefact and the description of its engine.
/// The size limit and the limits of the process limit the time: compiling is not part of a call.
/// # Errors
/// The Wasm is too large, is not of its kind, has an import that its world does not have, or does
/// not compile.
pub fn compile(kind: GuestKind, wasm: &[u8]) -> Result<(Artefact, String), SandboxError> {
    compile_confined(kind, wasm, || Ok(()))
}

/// Compiles as [`compile`] does. Calls `confine` after the last machine code is made and before its
/// first instruction runs. Only policies run here: they alone can name the functions that they need
/// from the host.
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

/// Compiles a policy for a trial: its instructions are counted, and its tests may print. No role
/// that decides uses one.
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

/// Returns the artefact if a frame can carry it.
pub(crate) fn written(serialized: wasmtime::Result<Vec<u8>>) -> Result<Artefact, SandboxError> {
    let bytes = serialized.map_err(|error| {
        SandboxError::new(Code::Engine, format!("the artefact cannot be written: {error:#}"))
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

/// Compiles a component of any purpose to machine code.
pub(crate) fn translate(engine: &Engine, wasm: &[u8]) -> Result<Component, SandboxError> {
    caught(|| Component::from_binary(engine, wasm))
}

/// Converts a panic of the compiler to an error. If the panic ends the whole process, the asking
/// role reports it.
fn caught<T>(compile: impl FnOnce() -> wasmtime::Result<T>) -> Result<T, SandboxError> {
    match catch_unwind(AssertUnwindSafe(compile)) {
        Ok(compiled) => compiled.map_err(|error| unfit(&error)),
        Err(panic) => Err(SandboxError::new(
            Code::Unsupported,
            format!("the compiler gives up on it: {}", words(panic.as_ref())),
        )),
    }
}

/// The message of a panic.
fn words(panic: &(dyn Any + Send)) -> String {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    told(said.unwrap_or("without a word"))
}

/// The error text for Wasm of this many bytes, beyond [`limit::WASM`].
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

/// Refuses by size and by the first eight bytes, before any other reader.
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

/// The engine's texts for Wasm that needs a disabled proposal. These errors have no type; guests in
/// the tests check the texts.
const PROPOSALS: [&str; 6] = [
    "requires the component model",
    "not enabled",
    "must be enabled",
    "is not supported",
    "unsupported",
    "proposal",
];

/// Longest text of an engine's error that is kept, in characters: it may quote names of the
/// component, of any length.
const TOLD: usize = 400;

/// Describes why Wasm was not compiled.
fn unfit(error: &wasmtime::Error) -> SandboxError {
    let text = format!("{error:#}");
    let text = told(text.trim_start_matches("failed to parse WebAssembly module: "));
    if PROPOSALS.iter().any(|words| text.contains(words)) {
        let remedy = "build it without that feature (with jco: `--backend-qjs-disable-async`)";
        return SandboxError::new(Code::Unsupported, format!("{text}; {remedy}"));
    }
    SandboxError::new(Code::Malformed, text)
}

/// One line of limited length, without invisible characters.
fn told(text: &str) -> String {
    let short: String = text.chars().take(TOLD).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{}{more}", cofferdam_core::model::escape::line(&short))
}

/// Loads a component from its artefact, and checks it against its world once more.
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
        .map_err(|error| stale(&error))?;
    world(kind, engine, &component)?;
    // Now and not at the first call: it asks the kernel for a file in memory, which a confined
    // process may not.
    component.initialize_copy_on_write_image().map_err(|error| stale(&error))?;
    Ok(component)
}

/// Loads the module of a policy from its artefact.
pub(crate) fn module(engine: &Engine, artefact: &Artefact) -> Result<Module, SandboxError> {
    #[expect(
        unsafe_code,
        reason = "the one door to machine code: its bytes are this role's own, checked by MAC or \
                  vouched for by the asking role"
    )]
    // SAFETY: an `Artefact` holds bytes that `Module::serialize` gave to this role, unchanged since
    // (see `Artefact`).
    let module =
        unsafe { Module::deserialize(engine, artefact.bytes()) }.map_err(|error| stale(&error))?;
    module.initialize_copy_on_write_image().map_err(|error| stale(&error))?;
    Ok(module)
}

fn stale(error: &wasmtime::Error) -> SandboxError {
    let text = format!("{error:#}");
    // The limits of the pool, such as the number of core instances of one component.
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
