//! Calls in progress: limited in number, and refused while the server drains. Knows nothing of the
//! work of a call.

use crate::deny::Deny;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::sync::watch;

/// The calls of one server. Cheap to clone; all clones share the counts.
#[derive(Debug, Clone)]
pub struct Calls {
    most: usize,
    count: Arc<watch::Sender<Count>>,
    draining: Arc<watch::Sender<bool>>,
}

#[derive(Debug, Default)]
struct Count {
    /// All calls in progress.
    all: usize,
    /// Calls that began work, rather than ask about a call.
    begun: usize,
}

/// A call in progress. Dropping it ends the call.
#[derive(Debug)]
pub(crate) struct Place {
    begins: bool,
    /// False once the call only waits.
    runs: AtomicBool,
    count: Arc<watch::Sender<Count>>,
}

impl Calls {
    /// Allows at most `most` calls at once.
    pub fn new(most: usize) -> Self {
        Self { most, count: Arc::default(), draining: Arc::default() }
    }

    /// Takes a place for a call. While the server drains, a call that `begins` work is refused;
    /// questions about earlier calls are still answered.
    pub(crate) fn enter(&self, begins: bool) -> Result<Place, Deny> {
        let free = self.count.send_if_modified(|count| {
            let free = count.all < self.most;
            count.all += usize::from(free);
            count.begun += usize::from(free && begins);
            free
        });
        if !free {
            return Err(Deny::Busy);
        }
        let place = Place { begins, runs: AtomicBool::new(true), count: Arc::clone(&self.count) };
        // The count comes first: `idle` waits for every call that passed this check before.
        if begins && self.is_draining() { Err(Deny::Stopping) } else { Ok(place) }
    }

    /// Refuses new calls from now on.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Returns whether new calls are refused.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// A channel that becomes true when the server begins to drain, for the holders of long calls.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Waits until no call that began work is in progress.
    pub async fn idle(&self) {
        let mut count = self.count.subscribe();
        // This value holds the sender, so the wait never fails.
        let _open = count.wait_for(|count| count.begun == 0).await;
    }
}

impl Place {
    /// Gives the place to other calls: this one only waits from now on. A drain still waits for it.
    pub(crate) fn free(&self) {
        if self.runs.swap(false, SeqCst) {
            self.count.send_modify(|count| count.all = count.all.saturating_sub(1));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.free();
        self.count.send_modify(|count| {
            count.begun = count.begun.saturating_sub(usize::from(self.begins));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_call_that_waits_takes_no_place_and_a_drain_still_knows_it() {
        let calls = Calls::new(1);
        let first = calls.enter(true).unwrap();
        assert_eq!(calls.enter(true).err(), Some(Deny::Busy));
        first.free();
        first.free();
        let second = calls.enter(true).unwrap();
        assert_eq!(calls.count.borrow().begun, 2);
        assert_eq!(calls.enter(true).err(), Some(Deny::Busy), "one place, and not two");
        drop((first, second));
        assert_eq!((calls.count.borrow().all, calls.count.borrow().begun), (0, 0));
    }

    #[tokio::test]
    async fn a_drain_waits_for_what_began_before_and_refuses_what_is_new() {
        let calls = Calls::new(2);
        let first = calls.enter(true).unwrap();
        let second = calls.enter(false).unwrap();
        assert_eq!(calls.enter(false).err(), Some(Deny::Busy));
        calls.drain();
        drop(second);
        assert_eq!(calls.enter(true).err(), Some(Deny::Stopping));
        drop(calls.enter(false).unwrap());
        assert!(tokio::time::timeout(Duration::from_millis(20), calls.idle()).await.is_err());
        let _asks = calls.enter(false).unwrap();
        drop(first);
        calls.idle().await;
    }
}
