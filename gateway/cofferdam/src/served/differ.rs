//! How the home differs from what is served: what a restart would bring into use. Reads both; changes neither.

use super::pairs;
use crate::config::read_trust;
use crate::home::Home;
use cofferdam_core::trust::Trust;
use jiff::Timestamp;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Differences by name; beyond this their number says enough.
const NAMED: usize = 8;

/// What of the home is not in use yet, one short sentence each. Empty when a restart would change nothing.
pub fn differences(home: &Home, copies: &Home) -> Vec<String> {
    let mut found = Vec::new();
    let changed = |from: &Path, to: &Path| {
        let name = from.strip_prefix(home.root()).unwrap_or(from).display().to_string();
        format!("`{name}` {}", what_happened(from, to))
    };
    if differ(&home.trust(), &copies.trust()) {
        found.push(changed(&home.trust(), &copies.trust()));
        if let (Ok(now), Ok(served)) = (read_trust(home), read_trust(copies)) {
            found.extend(in_trust(&served, &now));
        }
    }
    let trust = home.trust();
    for (from, to) in pairs(home, copies).unwrap_or_default() {
        if from != trust && differ(&from, &to) {
            found.push(changed(&from, &to));
        }
    }
    if found.len() > NAMED {
        let more = found.len() - NAMED;
        found.truncate(NAMED);
        found.push(format!("{more} more differences"));
    }
    found
}

/// Whether these files differ. One that was not touched since it was copied is not read.
fn differ(from: &Path, to: &Path) -> bool {
    let (now, copied) = match (fs::metadata(from), fs::metadata(to)) {
        (Ok(now), Ok(copied)) => (now, copied),
        (now, copied) => return now.is_ok() != copied.is_ok(),
    };
    let touched = (now.ctime(), now.ctime_nsec()) >= (copied.mtime(), copied.mtime_nsec());
    now.len() != copied.len() || (touched && fs::read(from).ok() != fs::read(to).ok())
}

fn what_happened(from: &Path, to: &Path) -> String {
    let Ok(now) = fs::metadata(from) else { return "is gone".to_owned() };
    let when = Timestamp::from_second(now.ctime()).unwrap_or_default().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    format!("was {} at {when}", if to.exists() { "changed" } else { "added" })
}

/// What the two trust files say differently, in the words of the commands that wrote it.
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
        let executors = trust.executors.iter().map(|part| (format!("executor `{}`", part.name), part.digest.to_string()));
        let commands = trust.commands.iter().map(|part| (format!("command `{}`", part.name), part.digest.to_string()));
        tools.chain(executors).chain(commands).collect()
    };
    let (old, new) = (tools(served), tools(now));
    let before = |name: &String| old.iter().any(|(other, _)| other == name);
    found.extend(new.iter().filter(|part| !old.contains(part)).map(|(name, _)| match before(name) {
        true => format!("{name} is still served as it was accepted before"),
        false => format!("{name} is not served yet"),
    }));
    let gone = old.iter().filter(|(name, _)| !new.iter().any(|(other, _)| other == name));
    found.extend(gone.map(|(name, _)| format!("{name} is still served")));
    let added = now.approvers.iter().filter(|person| !served.approvers.contains(person));
    found.extend(added.map(|person| format!("a key of the approver `{}` is not known yet", person.name)));
    let removed = served.approvers.iter().filter(|person| !now.approvers.contains(person));
    found.extend(removed.map(|person| format!("a removed key of the approver `{}` can still sign", person.name)));
    found
}
