//! Checks that accepted tools, executors, commands and the policy are present and unchanged. Runs
//! none of them.

use super::Findings;
use crate::config::has_role;
use crate::config::home::Home;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::policy::digest::policy_digest;
use cofferdam_core::protocol::link::LinkRole;
use std::path::{Path, PathBuf};

/// Checks each accepted part that a home with this role has, or one with all.
pub fn parts(home: &Home, role: Option<LinkRole>, trust: &Trust, found: &mut Findings) {
    if !has_role(role, LinkRole::Gateway) && !has_role(role, LinkRole::Runner) {
        return;
    }
    let before = found.0.len();
    let tools = trust.tools.iter().map(|tool| ("tool", home.tools(), &tool.name, tool.digest));
    let executors =
        trust.executors.iter().map(|part| ("executor", home.executors(), &part.name, part.digest));
    let runs = has_role(role, LinkRole::Runner);
    let commands = trust
        .commands
        .iter()
        .filter(|_| runs)
        .map(|part| ("command", home.commands(), &part.name, part.digest));
    for (kind, folder, name, digest) in tools.chain(executors).chain(commands) {
        let path = folder.join(format!("{name}.wasm"));
        let shown = path.display();
        match std::fs::read(&path) {
            Ok(bytes) if ComponentDigest::of(&bytes) == digest => {}
            // Roles find a component by its digest, so its file can have any name.
            _ if has(&folder, digest) => {}
            Ok(bytes) => {
                let own = ComponentDigest::of(&bytes);
                let detail = format!(
                    "`{shown}` is {}, not the accepted {kind} {}",
                    own.short(),
                    digest.short()
                );
                found.bad("plugins", detail, &look_then_accept(&path));
            }
            Err(error) => {
                let detail =
                    format!("the accepted {kind} `{name}` cannot be read from `{shown}`: {error}");
                found.bad("plugins", detail, "restore the file, or accept its component again");
            }
        }
    }
    if found.0.len() == before {
        found.good("plugins", "those that were accepted");
    }
    policy(home, trust, found);
}

/// Returns whether the folder has a component with this digest.
fn has(folder: &Path, digest: ComponentDigest) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut components =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "wasm"));
    components
        .any(|path| std::fs::read(path).is_ok_and(|bytes| ComponentDigest::of(&bytes) == digest))
}

fn look_then_accept(path: &Path) -> String {
    let shown = path.display();
    format!(
        "restore the accepted file; or look at it with `cofferdam inspect {shown}`, then accept it"
    )
}

fn policy(home: &Home, trust: &Trust, found: &mut Findings) {
    let remedy = "restore the accepted policy, or accept one with `cofferdam accept --policy DIR`";
    let read = |path: PathBuf| std::fs::read(&path).map_err(|error| unreadable(&path, &error));
    let digest = read(home.policy_module()).and_then(|module| {
        let data = home.policy_data();
        let text = String::from_utf8(read(data.clone())?)
            .map_err(|_| format!("`{}` is not UTF-8", data.display()))?;
        policy_digest(&module, &text)
            .map_err(|error| format!("`{}` is not readable: {error}", data.display()))
    });
    match digest {
        Ok(digest) if digest == trust.policy => found.good("policy", digest.short()),
        Ok(digest) => {
            let folder = home.policy();
            let (own, accepted) = (digest.short(), trust.policy.short());
            let detail = format!(
                "the policy in `{}` is {own}, not the accepted {accepted}",
                folder.display()
            );
            found.bad("policy", detail, remedy);
        }
        Err(detail) => found.bad("policy", detail, remedy),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("`{}` cannot be read: {error}", path.display())
}
