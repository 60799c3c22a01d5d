//! Guests in text form to Wasm. Core modules are encoded as `cofferdam build` does it, so that a
//! test contains only the guest.

use cofferdam_core::protocol::role_guest::GuestKind;
use std::path::{Path, PathBuf};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A guest to load.
pub(super) struct Built {
    pub(super) kind: GuestKind,
    pub(super) wasm: Vec<u8>,
}

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests")
}

/// The name of the file says its kind: `tool-`, `executor-` and `command-` are core modules of
/// those worlds, `component-` is a complete component (of an executor or a Wasm command if the name
/// goes on so), `policy-` is the module of a policy.
pub(super) fn built(name: &str) -> Built {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let core = wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (kind, world) = match name {
        _ if name.starts_with("policy-") => (GuestKind::Policy, None),
        _ if name.starts_with("component-executor-") => (GuestKind::Executor, None),
        _ if name.starts_with("component-command-") => (GuestKind::Command, None),
        _ if name.starts_with("component-") => (GuestKind::Tool, None),
        _ if name.starts_with("executor-") => {
            (GuestKind::Executor, Some(("executor.wit", "executor-world")))
        }
        _ if name.starts_with("command-") => {
            (GuestKind::Command, Some(("../tests/guests/wasi.wit", "command-world")))
        }
        _ => (GuestKind::Tool, Some(("tool.wit", "tool-world"))),
    };
    let wasm = world.map_or(core.clone(), |(file, world)| component(core, file, world));
    Built { kind, wasm }
}

fn component(mut core: Vec<u8>, file: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve
        .push_file(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit").join(file))
        .unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
    // Not validated here: the host has to refuse the file of a hostile author.
    ComponentEncoder::default().validate(false).module(&core).unwrap().encode().unwrap()
}
