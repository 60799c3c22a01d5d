//! The differences between the home and its copies: a load brings them into use, and a restart the
//! configuration. Reads both; changes neither.

use super::{Copies, originals};
use crate::config::home::Home;
use crate::config::read_trust;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::text::seconds;
use jiff::Timestamp;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The path of the trust file in a home.
const TRUST: &str = "trust/trust.toml";

/// The path of the configuration in a home.
const CONFIG: &str = "cofferdam.toml";

/// The most differences that are named; of more, only the number.
const NAMED: usize = 8;

/// The configuration, if it is not in use yet, as a short sentence. A restart uses it.
pub fn changed_config(home: &Home, copies: &Copies) -> Option<String> {
    let copied = copies.files().iter().find(|copied| copied.name == Path::new(CONFIG))?;
    let original = home.root().join(&copied.name);
    copied.differs(&original).then(|| format!("`{CONFIG}` {}", what_happened(&original, "changed")))
}

/// The other files of the home that are not in use yet, a short sentence for each. Empty if a load
/// would change nothing. A lost copy is not a difference.
pub fn differences(home: &Home, copies: &Copies, served: &Trust) -> Vec<String> {
    let mut found = Vec::new();
    let trust = Path::new(TRUST);
    let (first, rest): (Vec<_>, Vec<_>) = copies
        .files()
        .iter()
        .filter(|copied| copied.name != Path::new(CONFIG))
        .partition(|copied| copied.name == trust);
    for copied in first.into_iter().chain(rest) {
        let original = home.root().join(&copied.name);
        if copied.differs(&original) {
            found.push(format!(
                "`{}` {}",
                copied.name.display(),
                what_happened(&original, "changed")
            ));
            if copied.name == trust
                && let Ok(now) = read_trust(home)
            {
                found.extend(in_trust(served, &now));
            }
        }
    }
    for original in originals(home) {
        let name = original.strip_prefix(home.root()).unwrap_or(&original);
        if original.exists() && !copies.files().iter().any(|copied| copied.name == name) {
            found.push(format!("`{}` {}", name.display(), what_happened(&original, "added")));
        }
    }
    if found.len() > NAMED {
        let more = found.len() - NAMED;
        found.truncate(NAMED);
        found.push(format!("{more} more differences"));
    }
    found
}

fn what_happened(original: &Path, what: &str) -> String {
    let Ok(now) = fs::metadata(original) else { return "is gone".to_owned() };
    let when = seconds(Timestamp::from_second(now.ctime()).unwrap_or_default());
    format!("was {what} at {when}")
}

/// The differences between two trust files, in the words of the commands.
fn in_trust(served: &Trust, now: &Trust) -> Vec<String> {
    let mut found = Vec::new();
    if served.policy != now.policy {
        found.push(format!("policy {} is not served yet", now.policy.short()));
    }
    let tools = |trust: &Trust| -> Vec<(String, String)> {
        let tools = trust.tools.iter().map(|tool| {
            let ceiling = serde_json::to_string(&tool.ceiling).unwrap_or_default();
            (format!("tool `{}`", tool.name), format!("{}{ceiling}", tool.digest))
        });
        let executors = trust
            .executors
            .iter()
            .map(|part| (format!("executor `{}`", part.name), part.digest.to_string()));
        let commands = trust
            .commands
            .iter()
            .map(|part| (format!("command `{}`", part.name), part.digest.to_string()));
        tools.chain(executors).chain(commands).collect()
    };
    let (old, new) = (tools(served), tools(now));
    let before = |name: &String| old.iter().any(|(other, _)| other == name);
    found.extend(new.iter().filter(|part| !old.contains(part)).map(|(name, _)| {
        match before(name) {
            true => format!("{name} is still served as it was accepted before"),
            false => format!("{name} is not served yet"),
        }
    }));
    let gone = old.iter().filter(|(name, _)| !new.iter().any(|(other, _)| other == name));
    found.extend(gone.map(|(name, _)| format!("{name} is still served")));
    let added = now.approvers.iter().filter(|person| !served.approvers.contains(person));
    found.extend(
        added.map(|person| format!("a key of the approver `{}` is not known yet", person.name)),
    );
    let removed = served.approvers.iter().filter(|person| !now.approvers.contains(person));
    found.extend(
        removed
            .map(|person| format!("a removed key of the approver `{}` still counts", person.name)),
    );
    let added = now.delegations.iter().filter(|own| !served.delegations.contains(own)).count();
    if added > 0 {
        found.push(format!("delegations that do not count yet: {added}"));
    }
    let removed = served.delegations.iter().filter(|own| !now.delegations.contains(own)).count();
    if removed > 0 {
        found.push(format!("removed delegations that still count: {removed}"));
    }
    let added = now.console.iter().filter(|entry| !served.console.contains(entry));
    found.extend(
        added.map(|own| format!("the {} `{}` may not enter the console yet", own.role, own.name)),
    );
    let removed = served.console.iter().filter(|entry| !now.console.contains(entry));
    found
        .extend(removed.map(|own| format!("the removed {} `{}` still enters", own.role, own.name)));
    found
}
