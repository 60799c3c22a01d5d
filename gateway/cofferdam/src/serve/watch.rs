//! Checks the installation while it is served: differences between home and copies, errors of the
//! next start, and the state of home, tree and disk. Confined roles cannot read these. Logs each
//! change once, and sends all findings to the supervisor.

use crate::config::Config;
use crate::config::home::Home;
use crate::serve::copies::{self, Copies};
use crate::serve::health::{self, Finding, NextStart};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::operator_recorder::Notice;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// The time between two checks: short enough for a person who just ran a command.
const PERIOD: Duration = Duration::from_secs(1);

/// The checked installation.
pub struct Watched {
    /// The home of the installation.
    pub home: Home,
    /// The copies in use.
    pub copies: Copies,
    /// As it is served.
    pub config: Config,
    /// As it is served.
    pub trust: Trust,
    /// Copies and trust of a later load.
    pub loads: Receiver<(Copies, Trust)>,
    /// True while a load is in progress: its differences are not told.
    pub loading: Arc<AtomicBool>,
}

/// Starts a thread that checks until `over` is true. It is separate, because a slow disk must not
/// block the supervisor.
pub fn start(watched: Watched, over: Arc<AtomicBool>, notices: UnboundedSender<Notice>) {
    thread::spawn(move || {
        let (mut watched, mut told, mut log, mut next) =
            (watched, Notice::default(), Log::default(), NextStart::default());
        let mut before = Before::default();
        loop {
            if let Some((copies, trust)) = watched.loads.try_iter().last() {
                tell_gone(&watched.trust, &trust);
                (watched.copies, watched.trust) = (copies, trust);
            }
            watched.follow_removals();
            let now = look(&watched, &mut next, &mut before);
            // The end removes the copies; that is not a difference.
            if over.load(Ordering::SeqCst) {
                return;
            }
            if now != told {
                log.say(&told, &now);
                told = now.clone();
                // Without a supervisor there is no receiver.
                let _ending = notices.send(now);
            }
            thread::sleep(PERIOD);
        }
    });
}

impl Watched {
    /// Applies the removal of an approver, by a command or by an edit of the file.
    fn follow_removals(&mut self) {
        if let Some(trust) = self.copies.follow_removals(&self.home, &self.trust) {
            tell_gone(&self.trust, &trust);
            self.trust = trust;
        }
    }
}

/// Logs the removed keys of approvers and of the console's people.
fn tell_gone(before: &Trust, now: &Trust) {
    before.approvers.iter().filter(|approver| !now.approvers.contains(approver)).for_each(
        |approver| {
            tracing::info!("a removed key of the approver `{}` counts no more", approver.name)
        },
    );
    before.console.iter().filter(|entry| !now.console.contains(entry)).for_each(|entry| {
        tracing::info!("a removed passkey of the {} `{}` counts no more", entry.role, entry.name);
    });
}

/// The observations of the check before. A command writes several files one after the other, so only
/// an observation that two checks in a row make is told.
#[derive(Debug, Default)]
struct Before {
    refused: Vec<String>,
    unloaded: Vec<String>,
}

/// Checks everything once.
fn look(watched: &Watched, next: &mut NextStart, before: &mut Before) -> Notice {
    let Watched { home, copies, config, trust, loading, .. } = watched;
    let mut found = health::while_serving(home, config);
    health::copies(home, copies, &mut found);
    let of_calls = |calls: bool| found.bad_ones().filter(move |finding| finding.calls == calls);
    let errors = of_calls(true).map(Finding::line).collect();
    let mut warnings: Vec<String> = of_calls(false).map(Finding::line).collect();
    // A lost folder has a finding, and all of its files are lost with it.
    let refused: Vec<String> =
        if warnings.is_empty() { next.refused(home).to_vec() } else { Vec::new() };
    let can_start = warnings.is_empty() && refused.is_empty();
    let loading = loading.load(Ordering::SeqCst);
    if refused == before.refused && !loading {
        warnings.extend(refused.iter().map(|why| format!("{}{why}", health::NEXT)));
    }
    before.refused = refused;
    // Neither a restart nor a load is a remedy if it would fail.
    let restart = copies::changed_config(home, copies).filter(|_| can_start).into_iter().collect();
    let unloaded = if can_start { copies::differences(home, copies, trust) } else { Vec::new() };
    // A command that just wrote the files asks for a load itself.
    if !unloaded.is_empty() && unloaded == before.unloaded && !loading {
        warnings
            .push(format!("not loaded yet: {}; `cofferdam reload` loads it", unloaded.join("; ")));
    }
    before.unloaded = unloaded;
    Notice { restart, faults: errors, warnings, ..Notice::default() }
}

/// The logged findings.
#[derive(Debug, Default)]
struct Log {
    /// The present findings, by their texts without digits: a filling disk has a new number each
    /// second.
    standing: BTreeMap<String, String>,
}

impl Log {
    fn say(&mut self, before: &Notice, now: &Notice) {
        let key = |line: &String| {
            line.chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>()
        };
        let mut standing = BTreeMap::new();
        for error in &now.faults {
            if !self.standing.contains_key(&key(error)) {
                tracing::error!(what = "home", "calls fail: {error}");
            }
            standing.insert(key(error), error.clone());
        }
        for warning in &now.warnings {
            if !self.standing.contains_key(&key(warning)) {
                tracing::warn!(what = "home", "{warning}");
            }
            standing.insert(key(warning), warning.clone());
        }
        for (_, gone) in self.standing.iter().filter(|(key, _)| !standing.contains_key(*key)) {
            tracing::info!("repaired: {gone}");
        }
        self.standing = standing;
        if now.restart == before.restart {
            return;
        }
        if !now.restart.is_empty() {
            tracing::warn!(what = "home", "restart needed: {}", now.restart.join("; "));
        } else if now.warnings.is_empty() {
            tracing::info!("no restart is needed any more: the home is as it is served");
        }
    }
}
