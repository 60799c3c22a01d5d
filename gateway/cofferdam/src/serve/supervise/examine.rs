//! Examines the executors and commands that a load brings, each in a guest process: it must be a
//! component of its kind. The gateway process that rehearses the start loads tools and policy. Never
//! runs a component.

use crate::config::has_role;
use crate::config::home::Home;
use crate::serve::guest_process;
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_core::protocol::role_guest::{Compute, Computed, GuestKind};
use std::fs;
use std::path::{Path, PathBuf};

/// Examines each executor and command of `trust` that `used` does not have. A home without runners
/// has no commands. Blocks the thread.
///
/// # Errors
/// One of them is no component of its kind, or cannot be read.
pub(super) fn examine(
    guest: &Path,
    copies: &Home,
    role: Option<LinkRole>,
    (trust, used): (&Trust, &Trust),
) -> Result<()> {
    let executors = trust.executors.iter().map(|part| (&part.name, part.digest));
    let runs = has_role(role, LinkRole::Runner);
    let commands = trust.commands.iter().filter(|_| runs).map(|part| (&part.name, part.digest));
    let known_executor = |digest| used.executors.iter().any(|known| known.digest == digest);
    let known_command = |digest| used.commands.iter().any(|known| known.digest == digest);
    for (name, digest) in executors.filter(|(_, digest)| !known_executor(*digest)) {
        one(guest, &copies.executors(), (GuestKind::Executor, "executor"), (name, digest))?;
    }
    for (name, digest) in commands.filter(|(_, digest)| !known_command(*digest)) {
        one(guest, &copies.commands(), (GuestKind::Command, "command"), (name, digest))?;
    }
    Ok(())
}

fn one(
    guest: &Path,
    folder: &Path,
    (wanted, kind): (GuestKind, &str),
    (name, digest): (&str, ComponentDigest),
) -> Result<()> {
    let (path, wasm) = component(folder, digest).with_context(|| {
        format!("the accepted {kind} `{name}` is not in `{}`", folder.display())
    })?;
    let remedy = format!("accept another one with `cofferdam accept --{kind} {name}.wasm`");
    let problem = match guest_process::ask(guest, &Compute::Examine, wasm, guest_process::COMPILE) {
        Ok((Computed::Examined { kind, .. }, _)) if kind == wanted => return Ok(()),
        Ok((Computed::Examined { kind: other, .. }, _)) => {
            anyhow!("it is {}", described(other))
        }
        Ok(_) => bail!("the guest process gave a response to another request"),
        Err(error) => error.into(),
    };
    let shown = path.display();
    Err(problem.context(format!("`{shown}` is no {kind} that can be used; {remedy}")))
}

fn described(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Tool => "a tool",
        GuestKind::Executor => "an executor",
        GuestKind::Policy => "a policy",
        GuestKind::Command => "a command",
    }
}

/// The component with this digest. Its file can have any name.
fn component(folder: &Path, digest: ComponentDigest) -> Option<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "wasm"))
        .filter_map(|path| Some((fs::read(&path).ok()?, path)))
        .find(|(wasm, _)| ComponentDigest::of(wasm) == digest)
        .map(|(wasm, path)| (path, wasm))
}
