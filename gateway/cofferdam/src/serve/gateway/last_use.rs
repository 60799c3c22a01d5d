//! The last use of each caller, told to the recorder at most once in some minutes for each: never a
//! write for each request. What was not told yet is lost with the process.

use super::token_register::Register;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::callers::ServedCaller;
use cofferdam_core::model::limit::{SERVED, SHOWN_CALLERS, USE_SECONDS};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The pause before a report, so that many callers share one.
const GATHER: Duration = Duration::from_secs(1);

/// The callers of this process.
#[derive(Default)]
pub struct LastUse {
    uses: Mutex<Uses>,
    news: Notify,
}

#[derive(Default)]
struct Uses {
    /// The second of each caller's last report.
    told: HashMap<String, i64>,
    waiting: HashMap<String, ServedCaller>,
}

impl LastUse {
    /// Notes that a caller was served.
    pub fn note(&self, principal: &Principal, now: Timestamp) {
        if principal.anonymous {
            return;
        }
        let second = now.as_second();
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |told: &i64| (*told..told.saturating_add(USE_SECONDS)).contains(&second);
        if uses.told.get(&principal.name).is_some_and(recent) {
            return;
        }
        if uses.told.len() >= SHOWN_CALLERS as usize {
            uses.told.retain(|_, told| recent(told));
        }
        // With more callers than are kept, some are told more often.
        if uses.told.len() >= SHOWN_CALLERS as usize {
            uses.told.clear();
        }
        uses.told.insert(principal.name.clone(), second);
        let caller = ServedCaller {
            name: principal.name.clone(),
            roles: principal.roles.clone(),
            person: principal.person.clone(),
            used: now,
        };
        if uses.waiting.len() < SHOWN_CALLERS as usize {
            uses.waiting.insert(principal.name.clone(), caller);
        }
        drop(uses);
        self.news.notify_one();
    }

    /// Tells the recorder, until the gateway ends.
    pub async fn tell(&self, register: &impl Register) {
        loop {
            let next = self.next();
            if next.is_empty() {
                self.news.notified().await;
                tokio::time::sleep(GATHER).await;
                continue;
            }
            if let Err(error) = register.served(next.clone()).await {
                tracing::debug!(%error, "the last uses of callers are not stored; tried again");
                self.put_back(next);
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    fn next(&self) -> Vec<ServedCaller> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<String> = uses.waiting.keys().take(SERVED).cloned().collect();
        names.iter().filter_map(|name| uses.waiting.remove(name)).collect()
    }

    fn put_back(&self, callers: Vec<ServedCaller>) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        for caller in callers {
            uses.waiting.entry(caller.name.clone()).or_insert(caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(name: &str) -> Principal {
        Principal {
            name: name.to_owned(),
            anonymous: name == "anonymous",
            roles: vec!["viewer".to_owned()],
            person: None,
            act: Vec::new(),
        }
    }

    #[test]
    fn a_caller_is_told_once_in_some_minutes() {
        let last = LastUse::default();
        let told = |name: &str, second: i64| {
            last.note(&principal(name), Timestamp::from_second(second).unwrap());
            last.next().iter().map(|caller| caller.used.as_second()).collect::<Vec<_>>()
        };
        assert_eq!(told("a", 1_000), [1_000]);
        assert_eq!(told("a", 1_599), [0; 0]);
        assert_eq!(told("b", 1_599), [1_599]);
        assert_eq!(told("a", 1_600), [1_600]);
        assert_eq!(told("a", 1_000), [1_000], "the clock went back");
        assert_eq!(told("anonymous", 1_000), [0; 0]);
    }

    #[test]
    fn what_the_recorder_did_not_take_is_told_later() {
        let last = LastUse::default();
        last.note(&principal("a"), Timestamp::from_second(1).unwrap());
        let next = last.next();
        last.put_back(next.clone());
        assert_eq!(last.next(), next);
        assert_eq!(last.next(), []);
    }
}
