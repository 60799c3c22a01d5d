//! The list of calls for people: keeps it close to the ledger in the background, brings it up to the
//! ledger for a request within a time, and reads pages and changes. Few lists are read at once, so
//! that connections remain for agents.

use super::Recorder;
use crate::settings::LONGEST_WAIT_MS;
use crate::store::change::{Change, Done};
use crate::store::{CallQuery, WAITING};
use cofferdam_core::model::call_filter::{CallFilter, FILTER_NAME};
use cofferdam_core::model::call_row::{CallChanges, CallCursor, CallPage};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::console::CALLS_MOST;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

/// The lists that are read at once: half of the reading connections.
const AT_ONCE: usize = 2;

/// The longest time in which a request brings the list up to the ledger. After it, the answer says
/// how far the list is.
const CATCH_UP: Duration = Duration::from_secs(2);

/// The pause between two steps in the background.
const PAUSE: Duration = Duration::from_secs(1);

/// The time of one step in the background: a tenth of the writer, and only while no change waits.
const LOOK: Duration = Duration::from_millis(100);

/// The pause in which changes are collected before waiting requests get them.
const TOGETHER: Duration = Duration::from_millis(200);

/// The shared state of lists.
pub(super) struct Lists {
    places: Semaphore,
    /// One task at a time adds entries to the list.
    turn: Mutex<()>,
    /// The number of entries that the list knows; `None` before the first step.
    through: watch::Sender<Option<u64>>,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE),
            turn: Mutex::default(),
            through: watch::Sender::new(None),
        }
    }
}

/// The calls that a request wants.
pub(super) struct Wanted<'a> {
    /// The filter, checked by [`checked`].
    pub filter: &'a CallFilter,
    /// Only calls that this person signed; `None` for all.
    pub signer: Option<&'a str>,
}

/// Checks a filter.
///
/// # Errors
/// A name that no call can have, or a state twice.
pub(super) fn checked(filter: &CallFilter) -> Result<(), String> {
    for (what, name) in
        [("agent", &filter.agent), ("person", &filter.person), ("tool", &filter.tool)]
    {
        if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > FILTER_NAME) {
            return Err(format!("the name of the {what} has to have 1 to {FILTER_NAME} bytes"));
        }
    }
    let mut states = filter.states.clone();
    states.sort_unstable();
    states.dedup();
    if states.len() < filter.states.len() {
        return Err("a state is there twice; give each state once".to_owned());
    }
    Ok(())
}

/// The text of a filter: one for each filter.
pub(super) fn filter_text(filter: &CallFilter) -> String {
    serde_json::to_string(filter).unwrap_or_default()
}

impl Recorder {
    /// A page of calls.
    pub(super) async fn call_page(
        &self,
        wanted: Wanted<'_>,
        before: Option<&CallCursor>,
        limit: u32,
    ) -> Result<CallPage, RoleError> {
        let _place = self.place().await?;
        let entries = self.entries();
        self.catch_up(entries, Instant::now() + CATCH_UP).await;
        let environment = self.environment_name();
        let Wanted { filter, signer } = wanted;
        let query = CallQuery { filter, signer, environment: &environment };
        let limit = limit.clamp(1, CALLS_MOST);
        Ok(self.inner.reader.call_page(query, before, limit, entries).await?)
    }

    /// The changes of a list, as soon as there are some or the wait is over.
    pub(super) async fn call_changes(
        &self,
        wanted: Wanted<'_>,
        mut beyond: u64,
        wait_ms: u64,
    ) -> Result<CallChanges, RoleError> {
        let until = Instant::now() + Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS));
        let environment = self.environment_name();
        let Wanted { filter, signer } = wanted;
        let query = CallQuery { filter, signer, environment: &environment };
        let mut head = self.inner.shared.head.subscribe();
        loop {
            let entries = head.borrow_and_update().0;
            if entries > beyond {
                let _place = self.place().await?;
                self.catch_up(entries, Instant::now() + CATCH_UP).await;
                let changes = self.inner.reader.call_changes(query, beyond).await?;
                let is_news = !changes.rows.is_empty() || !changes.left.is_empty();
                if is_news || Instant::now() >= until {
                    return Ok(changes);
                }
                // The rest of a long list of other calls is read at once.
                let went_on = changes.through > beyond;
                beyond = changes.through.max(beyond);
                if went_on && beyond < entries {
                    continue;
                }
            }
            if timeout_at(until, head.changed()).await.is_err() {
                return Ok(CallChanges { rows: Vec::new(), left: Vec::new(), through: beyond });
            }
            tokio::time::sleep(TOGETHER).await;
        }
    }

    /// The number of entries that the list knows.
    pub(super) async fn indexed(&self) -> Result<u64, RoleError> {
        let known = *self.inner.lists.through.borrow();
        match known {
            Some(through) => Ok(through),
            None => Ok(self.inner.reader.indexed().await?),
        }
    }

    /// Keeps the list close to the ledger, until the last handle of the recorder is dropped.
    pub(super) fn keep_calls(&self) {
        let weak = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            let mut looks = tokio::time::interval(PAUSE);
            looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                let Some(inner) = weak.upgrade() else { return };
                let recorder = Self { inner };
                let until = Instant::now() + LOOK;
                while recorder.inner.queue.capacity() >= WAITING
                    && Instant::now() < until
                    && recorder.step(recorder.entries()).await == Some(true)
                {}
            }
        });
    }

    /// Adds entries to the list until it knows this many, or the time is over.
    async fn catch_up(&self, entries: u64, until: Instant) {
        while Instant::now() < until
            && timeout_at(until, self.step(entries)).await == Ok(Some(true))
        {}
    }

    /// Adds the next entries to the list, unless it knows this many. True if more are missing;
    /// `None` if the list cannot be written now. On a nearly full disk the room stays for
    /// outcomes.
    async fn step(&self, entries: u64) -> Option<bool> {
        let lists = &self.inner.lists;
        let _turn = lists.turn.lock().await;
        if (*lists.through.borrow()).is_some_and(|through| through >= entries) {
            return Some(false);
        }
        if self.refuses().is_some() {
            return None;
        }
        match self.submit(Change::Index).await {
            Ok(Done::Indexed { through }) => {
                lists.through.send_replace(Some(through));
                Some(through < entries)
            }
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, "the list of calls cannot be continued; tried again");
                None
            }
        }
    }

    /// The number of entries of the ledger.
    pub(super) fn entries(&self) -> u64 {
        self.inner.shared.head.borrow().0
    }

    /// A place for a request that reads much.
    pub(super) async fn place(&self) -> Result<tokio::sync::SemaphorePermit<'_>, RoleError> {
        let ended = |_| RoleError::Unavailable("the recorder is stopping".to_owned());
        self.inner.lists.places.acquire().await.map_err(ended)
    }

    /// The name of the environment; empty while the trust file cannot be read.
    fn environment_name(&self) -> String {
        (self.inner.settings.trust)().map(|now| now.trust.environment.name).unwrap_or_default()
    }
}
