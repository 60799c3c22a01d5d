//! The share of one caller. A list of tools costs processor time, so the lists of a caller wait for
//! each other. Calls mostly wait for people, so they are only counted. Holds names of authenticated
//! callers alone; `agents.toml` bounds their number.

use crate::deny::Deny;
use cofferdam_core::model::caller::Principal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most lists of one caller that are computed at once: of two cores, one is free for others.
pub const LISTING: usize = 1;

/// Most lists of one caller at once, waiting lists included. Many clients with one token that start
/// at once are served one after the other.
pub const LISTS: usize = 32;

/// Most subscriptions of one caller at once: a few clients with one token. Each has a connection.
pub const STREAMS: usize = 8;

/// Shares by caller.
#[derive(Debug)]
pub struct Shares {
    calls: usize,
    of: Mutex<BTreeMap<String, Arc<Share>>>,
}

/// The use of one caller.
#[derive(Debug)]
struct Share {
    listing: Arc<Semaphore>,
    lists: AtomicUsize,
    calls: AtomicUsize,
    streams: AtomicUsize,
}

/// A part of a caller's share, until this is dropped.
#[derive(Debug)]
pub struct Used {
    share: Arc<Share>,
    kind: Kind,
    _listing: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    List,
    Call,
    Stream,
}

impl Shares {
    /// Allows `calls` calls at once for each caller.
    pub fn new(calls: usize) -> Self {
        Self { calls, of: Mutex::default() }
    }

    /// Takes a part for a list of this caller, and waits for its other lists.
    pub async fn list(&self, principal: &Principal) -> Result<Used, Deny> {
        let mut used = self.counted(principal, Kind::List, LISTS)?;
        // The semaphore is never closed.
        used._listing = Arc::clone(&used.share.listing).acquire_owned().await.ok();
        Ok(used)
    }

    /// Takes a part for a call of this caller.
    pub fn call(&self, principal: &Principal) -> Result<Used, Deny> {
        self.counted(principal, Kind::Call, self.calls)
    }

    /// Takes a part for a subscription of this caller.
    pub fn stream(&self, principal: &Principal) -> Result<Used, Deny> {
        self.counted(principal, Kind::Stream, STREAMS)
    }

    fn counted(&self, principal: &Principal, kind: Kind, most: usize) -> Result<Used, Deny> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Share {
                listing: Arc::new(Semaphore::new(LISTING)),
                lists: AtomicUsize::new(0),
                calls: AtomicUsize::new(0),
                streams: AtomicUsize::new(0),
            })
        };
        let share = Arc::clone(of.entry(principal.name.clone()).or_insert_with(new));
        drop(of);
        let used = Used { share, kind, _listing: None };
        // The count comes first, so that two callers at once cannot both be the last.
        if used.count().fetch_add(1, SeqCst) < most {
            Ok(used)
        } else {
            Err(Deny::Share { most, what: used.what() })
        }
    }
}

impl Used {
    fn count(&self) -> &AtomicUsize {
        match self.kind {
            Kind::List => &self.share.lists,
            Kind::Call => &self.share.calls,
            Kind::Stream => &self.share.streams,
        }
    }

    fn what(&self) -> &'static str {
        match self.kind {
            Kind::List => "lists of tools",
            Kind::Call => "calls",
            Kind::Stream => "subscriptions",
        }
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        self.count().fetch_sub(1, SeqCst);
    }
}
