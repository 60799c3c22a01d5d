//! Looks, while it serves, at what no confined role sees: whether the home differs from what is
//! served, whether the next start would succeed, and whether home, tree and disk can be used. Says
//! each change once in the log, and hands the whole to the supervisor.

use crate::config::Config;
use crate::config::home::Home;
use crate::serve::copies::{self, Copies};
use crate::serve::health::{self, Finding, NextStart};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::operator_recorder::Notice;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Between two looks: soon enough for a person who just ran a command, and one wake-up a second.
const PERIOD: Duration = Duration::from_secs(1);

/// What is looked at.
pub struct Watched {
    /// The installation.
    pub home: Home,
    /// What is served of it.
    pub copies: Copies,
    /// As it is served.
    pub config: Config,
    /// As it is served.
    pub trust: Trust,
}

/// Looks until it is `over`, or this process ends. A thread of its own: a slow disk must not hold
/// up the supervisor.
pub fn start(watched: Watched, over: Arc<AtomicBool>, notices: UnboundedSender<Notice>) {
    thread::spawn(move || {
        let (mut watched, mut told, mut log, mut next) =
            (watched, Notice::default(), Log::default(), NextStart::default());
        loop {
            watched.follow_removals();
            let now = look(&watched, &mut next);
            // At the end the copies are removed, which is no difference to tell.
            if over.load(Ordering::SeqCst) {
                return;
            }
            if now != told {
                log.say(&told, &now);
                told = now.clone();
                // Without a supervisor there is no role to tell.
                let _ending = notices.send(now);
            }
            thread::sleep(PERIOD);
        }
    });
}

impl Watched {
    /// A removed approver counts no more, whether a command removed them or a person edited the
    /// file.
    fn follow_removals(&mut self) {
        if let Some(trust) = self.copies.follow_removals(&self.home, &self.trust) {
            let gone =
                self.trust.approvers.iter().filter(|approver| !trust.approvers.contains(approver));
            gone.for_each(|approver| {
                tracing::info!("a removed key of the approver `{}` counts no more", approver.name)
            });
            self.trust = trust;
        }
    }
}

/// One look at everything.
fn look(watched: &Watched, next: &mut NextStart) -> Notice {
    let Watched { home, copies, config, trust } = watched;
    let mut found = health::while_serving(home, config);
    health::copies(home, copies, &mut found);
    let of_calls = |calls: bool| found.bad_ones().filter(move |finding| finding.calls == calls);
    let errors = of_calls(true).map(Finding::line).collect();
    let mut warnings: Vec<String> = of_calls(false).map(Finding::line).collect();
    // A folder that is lost was named, and takes all of its files with it.
    let refused: Vec<String> =
        if warnings.is_empty() { next.refused(home).to_vec() } else { Vec::new() };
    let can_start = warnings.is_empty() && refused.is_empty();
    warnings.extend(refused.into_iter().map(|why| format!("{}{why}", health::NEXT)));
    // A restart that would fail is no remedy.
    let restart = if can_start { copies::differences(home, copies, trust) } else { Vec::new() };
    Notice { restart, faults: errors, warnings }
}

/// What the log has said.
#[derive(Debug, Default)]
struct Log {
    /// What stands, by its words without numbers: a disk that fills says the same each second.
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
