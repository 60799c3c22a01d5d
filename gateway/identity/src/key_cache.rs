//! When the keys of an issuer are fetched. Pure: the caller fetches, and tells the result. Keys are
//! fetched when they are first needed, when their time is over, and, at most once a minute, when a
//! token names a key that is not there.

use crate::keys::KeySet;
use std::sync::Arc;

/// The shortest time between two fetches for an unknown key, in seconds. Any sender can name one.
pub const UNKNOWN_KEY_PAUSE: i64 = 60;

/// The shortest time between two attempts while there are no keys, in seconds.
const RETRY_PAUSE: i64 = 5;

/// The time for which keys are still used after their own time is over, while the issuer cannot be
/// reached, in seconds. An issuer withdraws a stolen key within such a time.
const GRACE: i64 = 3_600;

/// The bounds of the time for which keys are used, in seconds.
const FRESH: (i64, i64) = (60, 24 * 3_600);

/// The keys of one issuer, and the times of their fetches in seconds.
#[derive(Debug, Default)]
pub struct KeyCache {
    keys: Option<Arc<KeySet>>,
    fresh_until: i64,
    tried: Option<i64>,
    /// The last fetch for a key that was not there.
    looked: Option<i64>,
}

/// The next step for a token.
#[derive(Debug, Clone)]
pub enum Step {
    /// Use these keys.
    Use(Arc<KeySet>),
    /// Fetch the keys. If that fails, use these, if there are any.
    Fetch(Option<Arc<KeySet>>),
    /// There are no keys, and the last attempt is too recent for another.
    Wait,
}

impl KeyCache {
    /// The next step for a token at this time.
    pub fn step(&self, now: i64) -> Step {
        let due = |pause: i64| self.tried.is_none_or(|tried| now >= tried + pause || now < tried);
        match self.usable(now) {
            Some(keys) if now < self.fresh_until || !due(RETRY_PAUSE) => Step::Use(keys),
            None if !due(RETRY_PAUSE) => Step::Wait,
            keys => Step::Fetch(keys),
        }
    }

    /// Takes the turn for a fetch because of a key that is not there. Returns false if the last one
    /// is too recent. Other fetches do not count: an issuer may change its key right after one.
    pub fn look_again(&mut self, now: i64) -> bool {
        let due =
            self.looked.is_none_or(|looked| now >= looked + UNKNOWN_KEY_PAUSE || now < looked);
        if due {
            self.looked = Some(now);
        }
        due
    }

    /// Records new keys, with the time for which the issuer lets them be kept.
    pub fn fetched(&mut self, keys: Arc<KeySet>, seconds: u64, now: i64) {
        let (least, most) = FRESH;
        let seconds = i64::try_from(seconds).unwrap_or(most).clamp(least, most);
        let fresh_until = now.saturating_add(seconds);
        *self = Self { keys: Some(keys), fresh_until, tried: Some(now), looked: self.looked };
    }

    /// Records that the keys could not be fetched.
    pub fn failed(&mut self, now: i64) {
        self.tried = Some(now);
    }

    fn usable(&self, now: i64) -> Option<Arc<KeySet>> {
        self.keys.clone().filter(|_| now < self.fresh_until + GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(step: Step) -> &'static str {
        match step {
            Step::Use(_) => "use",
            Step::Fetch(Some(_)) => "fetch, else use",
            Step::Fetch(None) => "fetch",
            Step::Wait => "wait",
        }
    }

    #[test]
    fn keys_are_fetched_when_they_are_needed_and_not_for_every_sender() {
        let mut cache = KeyCache::default();
        assert_eq!(word(cache.step(0)), "fetch");
        cache.failed(0);
        assert_eq!(word(cache.step(4)), "wait");
        assert_eq!(word(cache.step(5)), "fetch");
        cache.fetched(Arc::default(), 600, 5);
        assert_eq!(word(cache.step(604)), "use");
        for (now, expect) in [(6, true), (6, false), (65, false), (66, true), (67, false)] {
            assert_eq!(cache.look_again(now), expect, "{now}");
            cache.fetched(Arc::default(), 600, 5);
        }
        assert_eq!(word(cache.step(605)), "fetch, else use");
        cache.failed(605);
        assert_eq!(word(cache.step(606)), "use");
        assert_eq!(word(cache.step(610)), "fetch, else use");
        cache.failed(605 + GRACE - 1);
        assert_eq!(word(cache.step(605 + GRACE)), "wait", "too old, and just tried");
        assert_eq!(word(cache.step(605 + GRACE + 5)), "fetch");
        // An issuer that lets its keys be kept for no time, or for ever.
        cache.fetched(Arc::default(), 0, 0);
        assert_eq!(word(cache.step(59)), "use");
        cache.fetched(Arc::default(), u64::MAX, 0);
        assert_eq!(word(cache.step(24 * 3_600)), "fetch, else use");
    }
}
