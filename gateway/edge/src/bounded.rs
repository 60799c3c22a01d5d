//! A map with a bounded number of keys, for keys that others choose. Values that say nothing any
//! more are removed at most once a second, so that many new keys cost little.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The time between two searches for values that say nothing any more.
const PAUSE: Duration = Duration::from_secs(1);

/// The map.
#[derive(Debug)]
pub struct Bounded<K, V> {
    most: usize,
    map: BTreeMap<K, V>,
    searched: Option<Instant>,
}

/// The state of a value in the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// A new value is the same: it is removed when the map is full.
    Nothing,
    /// It is removed if the map would grow beyond its bound.
    Little,
    /// It is in use.
    Kept,
}

impl<K: Ord + Clone, V> Bounded<K, V> {
    /// Creates a map of at most `most` keys, and those in use.
    pub fn new(most: usize) -> Self {
        Self { most, map: BTreeMap::new(), searched: None }
    }

    /// Returns the value of a key, a new one if there is none.
    pub fn get(
        &mut self,
        key: K,
        now: Instant,
        worth: impl Fn(&V) -> Worth,
        new: impl FnOnce() -> V,
    ) -> &mut V {
        if self.map.len() >= self.most && !self.map.contains_key(&key) {
            let due = self.searched.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE);
            if due {
                self.searched = Some(now);
                self.map.retain(|_, value| worth(value) != Worth::Nothing);
            }
            let free = || self.map.iter().find(|(_, value)| worth(value) != Worth::Kept);
            if self.map.len() >= self.most
                && let Some((key, _)) = free()
            {
                let key = key.clone();
                self.map.remove(&key);
            }
        }
        self.map.entry(key).or_insert_with(new)
    }
}

#[test]
fn only_what_is_in_use_outlives_many_new_keys() {
    let mut map = Bounded::new(4);
    let start = Instant::now();
    let worth = |value: &u32| match value {
        0 => Worth::Nothing,
        1 => Worth::Little,
        _ => Worth::Kept,
    };
    *map.get("kept".to_owned(), start, worth, || 0) = 2;
    for number in 0..100 {
        map.get(format!("new {number}"), start, worth, || 1);
        assert!(map.map.len() <= 4);
    }
    assert_eq!(map.map.get("kept"), Some(&2));
    map.map.values_mut().for_each(|value| *value &= 2);
    map.get("last".to_owned(), start + PAUSE, worth, || 1);
    assert_eq!(map.map.len(), 2, "what says nothing is gone");
}
