//! The signatures of others, as they come: while a person reads a question of a server, and after
//! their own signature. Prints names in the words of the server, and signs nothing.

use super::source::Source;
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::id::CallId;
use cofferdam_core::protocol::approver::{ApproverAnswer, ApproverAsk, SignaturesNow};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The pause after an answer that came at once, or an error: the server is asked no more often.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints the signatures of others until it is dropped.
pub struct Watch {
    ended: Arc<AtomicBool>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Begins to print the signatures of others, each followed by the question again. Without a server
/// nothing is printed.
pub fn watch(source: &Source<'_>, call: &CallId, signers: &[String], question: &str) -> Watch {
    let ended = Arc::new(AtomicBool::new(false));
    if let Source::Server(server) = source {
        let (watcher, call, question) = (server.watcher(), call.clone(), question.to_owned());
        let (mut known, ends) = (signers.to_vec(), Arc::clone(&ended));
        // The thread ends by itself: at the end of the question, or with the command.
        std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let Ok(now) = watcher.look(&call, count(&known)) else { return };
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(told) = told(&known, &now) {
                    eprint!("\n{told}\n{question}");
                }
                if !now.waits {
                    return;
                }
                known = now.signers;
                std::thread::sleep(PAUSE);
            }
        });
    }
    Watch { ended }
}

/// Waits for the signatures of others, at most until this time, and prints each. Returns the number
/// that is still missing; `None` if it is not known.
pub fn wait(source: &Source<'_>, call: &CallId, own: &str, until: Instant) -> Option<u32> {
    let Source::Server(server) = source else { return None };
    // Their own signature is no news.
    let mut known = vec![own.to_owned()];
    let mut missing = None;
    while Instant::now() < until {
        let ask = ApproverAsk::Watch { call: call.clone(), known: count(&known), wait_ms: 0 };
        let Ok(ApproverAnswer::Signatures(now)) = server.ask(&ask) else { return missing };
        if let Some(told) = told(&known, &now) {
            eprintln!("{told}");
        }
        missing = Some(now.missing);
        if !now.waits || now.missing == 0 {
            return missing;
        }
        known = now.signers;
        let left = until.saturating_duration_since(Instant::now());
        std::thread::sleep(PAUSE.min(left));
    }
    missing
}

/// The news in a sentence; `None` without news.
fn told(known: &[String], now: &SignaturesNow) -> Option<String> {
    let new: Vec<_> =
        now.signers.iter().filter(|name| !known.contains(name)).map(|name| legible(name)).collect();
    let gone = known.iter().any(|name| !now.signers.contains(name));
    match (new.is_empty(), now.waits) {
        (_, false) => Some("The call waits for no signature any more.".to_owned()),
        (false, true) => {
            Some(format!("Signed meanwhile: {}; {} more needed.", new.join(", "), now.missing))
        }
        (true, true) if gone => {
            Some(format!("A signature counts no more; {} more needed.", now.missing))
        }
        (true, true) => None,
    }
}

fn count(known: &[String]) -> u32 {
    u32::try_from(known.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_is_told() {
        let check = |known: &[&str], now: &[&str], missing, waits, expect: Option<&str>| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let now = SignaturesNow { signers: names(now), missing, waits };
            assert_eq!(told(&names(known), &now).as_deref(), expect);
        };
        check(&[], &[], 2, true, None);
        check(&["bob"], &["bob"], 1, true, None);
        check(&[], &["bob"], 1, true, Some("Signed meanwhile: bob; 1 more needed."));
        check(&["bob"], &["carl"], 1, true, Some("Signed meanwhile: carl; 1 more needed."));
        check(&["bob"], &[], 2, true, Some("A signature counts no more; 2 more needed."));
        check(&["bob"], &[], 0, false, Some("The call waits for no signature any more."));
        check(
            &[],
            &["b\u{202e}ob"],
            1,
            true,
            Some("Signed meanwhile: b\\u{202e}ob; 1 more needed."),
        );
    }
}
