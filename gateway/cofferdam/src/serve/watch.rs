//! Looks, while it serves, at what no confined role sees: whether the home differs from what is served, and whether
//! home, tree and disk can be used. Says each change once in the log, and hands the whole to the gateway.

use super::notice::Notice;
use crate::config::Config;
use crate::health::{self, Finding};
use crate::home::Home;
use crate::served;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Between two looks: soon enough for a person who just ran a command, and one wake-up a second.
const PERIOD: Duration = Duration::from_secs(1);

/// Looks until it is `over`, or this process ends. A thread of its own: a slow disk must not hold up the supervisor.
pub fn start(home: Home, copies: Home, config: Config, over: Arc<AtomicBool>) {
    thread::spawn(move || {
        let mut told = Notice::default();
        // Whether the gateway has not been handed the newest notice yet; a failure is said once.
        let mut owed = false;
        loop {
            let faults = health::while_serving(&home, &config).bad_ones().map(Finding::line).collect();
            let now = Notice { restart: served::differences(&home, &copies), faults };
            // At the end the copies are removed, which is no difference to tell.
            if over.load(Ordering::SeqCst) {
                return;
            }
            if now != told || owed {
                say(&told, &now);
                let handed = now.tell(&copies.notices());
                if let Err(fault) = &handed
                    && !owed
                {
                    tracing::error!("cannot tell the gateway what is wrong: {fault:#}");
                }
                owed = handed.is_err();
                told = now;
            }
            thread::sleep(PERIOD);
        }
    });
}

fn say(before: &Notice, now: &Notice) {
    for fault in now.faults.iter().filter(|fault| !before.faults.contains(fault)) {
        tracing::error!("calls fail: {fault}");
    }
    if now.faults.is_empty() && !before.faults.is_empty() {
        tracing::info!("repaired: {}", before.faults.join("; "));
    }
    if now.restart == before.restart {
        return;
    }
    if now.restart.is_empty() {
        tracing::info!("no restart is needed any more: the home is as it is served");
    } else {
        tracing::warn!("restart needed: {}", now.restart.join("; "));
    }
}
