//! Processes as the kernel shows them: descendants, names, and the number of wake-ups. Sends
//! signals to the given ids only.

use std::fs;
use std::process::Command;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub id: u32,
    /// The first word of its command line, as `ps` shows it.
    pub words: String,
}

impl Process {
    pub fn of(id: u32) -> Option<Self> {
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let words = String::from_utf8_lossy(line.split(|byte| *byte == 0).next()?).into_owned();
        Some(Self { id, words })
    }

    /// A line of its status.
    pub fn status(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id)).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    }

    pub fn is_stopped(&self) -> bool {
        self.status("State").is_some_and(|state| state.starts_with('T'))
    }

    /// The number of times that its threads waited: each time, an event woke them.
    pub fn switches(&self) -> u64 {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.id)) else { return 0 };
        let count = |status: String| {
            status.lines().find_map(|line| {
                line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<u64>().ok()
            })
        };
        threads
            .filter_map(|thread| {
                count(fs::read_to_string(thread.ok()?.path().join("status")).ok()?)
            })
            .sum()
    }
}

/// True if it runs, and is not a dead child that its parent has not waited for.
pub fn alive(id: u32) -> bool {
    Process { id, words: String::new() }
        .status("State")
        .is_some_and(|state| !state.starts_with('Z'))
}

/// Every descendant of this process, oldest first within a parent.
pub fn descendants(id: u32) -> Vec<Process> {
    let mut found = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { return found };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            found.extend(Process::of(child));
            found.extend(descendants(child));
        }
    }
    found
}

/// Sends a signal to these processes, without those that have ended.
pub fn kill(signal: &str, ids: &[u32]) {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let _some_ended = Command::new("kill").arg(format!("-{signal}")).args(&ids).output().unwrap();
}
