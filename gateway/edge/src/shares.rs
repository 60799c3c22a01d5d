//! The use of each caller, against its own limits: requests a second, lists, calls in progress, held
//! waits. A list of tools costs processor time, so the lists of a caller wait for each other. Knows
//! authenticated callers alone, and forgets those that use nothing.

use crate::bounded::{Bounded, Worth};
use crate::deny::Deny;
use crate::limit::{Limit, seconds};
use crate::rate::{Bucket, Rate};
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::role_limits::{OwnLimits, RoleLimits};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Most lists of one caller that are computed at once: of two cores, one is free for others.
pub const LISTING: usize = 1;

/// Most lists of one caller at once, waiting lists included. Many clients with one token that start
/// at once are served one after the other.
pub const LISTS: usize = 32;

/// Most subscriptions of one caller at once: a few clients with one token. Each has a connection.
pub const STREAMS: usize = 8;

/// Most requests of one caller whose body is on its way: a body is there at once, unless its sender
/// is slow.
pub const BODIES: usize = 64;

/// Most callers that are remembered at once: an issuer of tokens may know many. Each takes a few
/// hundred bytes. With more, callers that use nothing are forgotten.
const CALLERS: usize = 4_096;

/// Time between two log lines about one caller.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// The limits of each caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerLimits {
    /// Requests a second, with their burst.
    pub rate: Rate,
    /// Most calls in progress.
    pub calls: usize,
    /// Most requests that are held at once.
    pub waits: usize,
}

impl CallerLimits {
    /// The same with the limits of a caller's roles.
    fn with(self, own: &OwnLimits) -> Self {
        let number = |value: Option<u64>| value.and_then(|value| u32::try_from(value).ok());
        let places = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
        let Rate { per_second, burst } = self.rate;
        Self {
            rate: Rate {
                per_second: number(own.requests_per_second).unwrap_or(per_second),
                burst: number(own.burst).unwrap_or(burst),
            },
            calls: places(own.calls).unwrap_or(self.calls),
            waits: places(own.waits).unwrap_or(self.waits),
        }
    }
}

/// Shares by caller.
#[derive(Debug)]
pub struct Shares {
    each: CallerLimits,
    of_roles: watch::Receiver<Arc<RoleLimits>>,
    of: Mutex<Bounded<String, Arc<Share>>>,
}

/// The use of one caller.
#[derive(Debug)]
struct Share {
    requests: Mutex<Bucket>,
    listing: Arc<Semaphore>,
    bodies: AtomicUsize,
    lists: AtomicUsize,
    calls: AtomicUsize,
    streams: AtomicUsize,
    waits: AtomicUsize,
    /// The time of the last log line, and the refusals since.
    logged: Mutex<(Option<Instant>, u64)>,
}

/// A part of a caller's share, until this is dropped.
#[derive(Debug)]
pub struct Used {
    share: Arc<Share>,
    limit: Limit,
    _listing: Option<OwnedSemaphorePermit>,
}

impl Shares {
    /// Allows each caller as much as `each` says, and where its roles have limits, as much as
    /// those.
    pub fn new(each: CallerLimits, of_roles: watch::Receiver<Arc<RoleLimits>>) -> Self {
        Self { each, of_roles, of: Mutex::new(Bounded::new(CALLERS)) }
    }

    /// The limits of this caller.
    pub fn limits(&self, principal: &Principal) -> CallerLimits {
        let own = self.of_roles.borrow().of(&principal.roles);
        self.each.with(&own)
    }

    /// Takes one request of this caller at this time.
    pub fn request(&self, principal: &Principal, now: Instant) -> Result<(), Deny> {
        let (share, rate) = (self.share(principal, now), self.limits(principal).rate);
        let taken = locked(&share.requests).take(rate, now);
        let most = usize::try_from(rate.per_second).unwrap_or(usize::MAX);
        taken.map_err(|wait| share.refuse(principal, now, (Limit::Requests, most), seconds(wait)))
    }

    /// Takes a part for a request of this caller whose body is on its way.
    pub fn body(&self, principal: &Principal) -> Result<Used, Deny> {
        self.counted(principal, Limit::Bodies, BODIES)
    }

    /// Takes a part for a list of this caller, and waits for its other lists.
    pub async fn list(&self, principal: &Principal) -> Result<Used, Deny> {
        let mut used = self.counted(principal, Limit::Lists, LISTS)?;
        // The semaphore is never closed.
        used._listing = Arc::clone(&used.share.listing).acquire_owned().await.ok();
        Ok(used)
    }

    /// Takes a part for a call of this caller.
    pub fn call(&self, principal: &Principal) -> Result<Used, Deny> {
        self.counted(principal, Limit::Calls, self.limits(principal).calls)
    }

    /// Takes a part for a subscription of this caller.
    pub fn stream(&self, principal: &Principal) -> Result<Used, Deny> {
        self.counted(principal, Limit::Streams, STREAMS)
    }

    /// Takes a part for a request of this caller that is held.
    pub fn wait(&self, principal: &Principal) -> Result<Used, Deny> {
        self.counted(principal, Limit::Waits, self.limits(principal).waits)
    }

    /// The same for a call, which is answered at once if none is left.
    pub fn wait_of_call(&self, principal: &Principal) -> Option<Used> {
        let share = self.share(principal, Instant::now());
        Used::take(&share, Limit::Waits, self.limits(principal).waits)
    }

    fn counted(&self, principal: &Principal, limit: Limit, most: usize) -> Result<Used, Deny> {
        let now = Instant::now();
        let share = self.share(principal, now);
        Used::take(&share, limit, most)
            .ok_or_else(|| share.refuse(principal, now, (limit, most), 1))
    }

    fn share(&self, principal: &Principal, now: Instant) -> Arc<Share> {
        let worth = |share: &Arc<Share>| match Arc::strong_count(share) {
            // The map alone has it.
            0 | 1 if locked(&share.requests).is_full(now) => Worth::Nothing,
            0 | 1 => Worth::Little,
            _ => Worth::Kept,
        };
        let new = || {
            Arc::new(Share {
                requests: Mutex::default(),
                listing: Arc::new(Semaphore::new(LISTING)),
                bodies: AtomicUsize::new(0),
                lists: AtomicUsize::new(0),
                calls: AtomicUsize::new(0),
                streams: AtomicUsize::new(0),
                waits: AtomicUsize::new(0),
                logged: Mutex::default(),
            })
        };
        Arc::clone(locked(&self.of).get(principal.name.clone(), now, worth, new))
    }
}

impl Share {
    /// The count of a limit that counts what is in progress.
    fn count(&self, limit: Limit) -> Option<&AtomicUsize> {
        match limit {
            Limit::Requests => None,
            Limit::Bodies => Some(&self.bodies),
            Limit::Lists => Some(&self.lists),
            Limit::Streams => Some(&self.streams),
            Limit::Calls => Some(&self.calls),
            Limit::Waits => Some(&self.waits),
        }
    }

    /// Refuses a request over a limit. Logs it, at most once a minute for each caller.
    fn refuse(
        &self,
        principal: &Principal,
        now: Instant,
        (limit, most): (Limit, usize),
        seconds: u64,
    ) -> Deny {
        let mut logged = locked(&self.logged);
        logged.1 = logged.1.saturating_add(1);
        if logged.0.is_none_or(|last| now.saturating_duration_since(last) >= LOG_PAUSE) {
            let kept_back = logged.1.saturating_sub(1);
            *logged = (Some(now), 0);
            tracing::warn!(
                agent = principal.name,
                what = limit.word(),
                detail = limit.describe(most),
                remedy = limit.key(),
                kept_back,
                "an agent is over its limit, and its further requests get 429"
            );
        }
        Deny::Limited { agent: principal.name.clone(), limit, most, seconds }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Used {
    /// Takes a part; `None` if `most` are taken.
    fn take(share: &Arc<Share>, limit: Limit, most: usize) -> Option<Self> {
        let used = Self { share: Arc::clone(share), limit, _listing: None };
        // The count comes first, so that two requests at once cannot both be the last.
        let before = share.count(limit).map_or(0, |count| count.fetch_add(1, SeqCst));
        (before < most).then_some(used)
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        if let Some(count) = self.share.count(self.limit) {
            count.fetch_sub(1, SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(each: CallerLimits, data: &str) -> Shares {
        let of_roles = Arc::new(RoleLimits::read(data).unwrap());
        Shares::new(each, watch::channel(of_roles).1)
    }

    fn principal(name: String) -> Principal {
        Principal { name, anonymous: false, roles: vec![], person: None, act: vec![] }
    }

    #[test]
    fn a_caller_at_work_is_not_forgotten() {
        let rate = Rate { per_second: 1, burst: 1 };
        let shares = shares(CallerLimits { rate, calls: 1, waits: 1 }, "{}");
        let start = Instant::now();
        let at_work = principal("at work".into());
        let call = shares.call(&at_work).unwrap();
        for number in 0..2 * CALLERS {
            shares.request(&principal(format!("agent {number}")), start).unwrap();
        }
        assert!(shares.call(&at_work).is_err());
        drop(call);
        assert!(shares.call(&at_work).is_ok());
    }

    #[test]
    fn each_limit_of_a_caller_is_its_own() {
        let rate = Rate { per_second: 1, burst: 2 };
        let shares = shares(CallerLimits { rate, calls: 1, waits: 1 }, "{}");
        let (alice, bob) = (principal("alice".into()), principal("bob".into()));
        let now = Instant::now();
        let call = shares.call(&alice).unwrap();
        let limited = |limit, most, seconds| {
            Some(Deny::Limited { agent: "alice".into(), limit, most, seconds })
        };
        assert_eq!(shares.call(&alice).err(), limited(Limit::Calls, 1, 1));
        let _waits = shares.wait(&alice).unwrap();
        assert_eq!(shares.wait(&alice).err(), limited(Limit::Waits, 1, 1));
        assert_eq!(shares.request(&alice, now), Ok(()));
        assert_eq!(shares.request(&alice, now), Ok(()));
        assert_eq!(shares.request(&alice, now).err(), limited(Limit::Requests, 1, 1));
        assert_eq!(shares.request(&bob, now), Ok(()));
        drop((shares.call(&bob).unwrap(), call));
        assert!(shares.call(&alice).is_ok());
    }
    #[test]
    fn a_limit_of_a_role_takes_the_place_of_the_usual_one() {
        let rate = Rate { per_second: 1, burst: 1 };
        let data = r#"{"agent_limits": {"robot": {"calls": 2, "burst": 3}}}"#;
        let shares = shares(CallerLimits { rate, calls: 1, waits: 1 }, data);
        let robot = Principal { roles: vec!["robot".into()], ..principal("robot".into()) };
        let other = principal("other".into());
        let now = Instant::now();
        let passed = |who| (0..9).filter(|_| shares.request(who, now).is_ok()).count();
        assert_eq!((passed(&robot), passed(&other)), (3, 1));
        let calls = |who| (0..9).map_while(|_| shares.call(who).ok()).collect::<Vec<_>>().len();
        assert_eq!((calls(&robot), calls(&other)), (2, 1));
        let waits = |who| (0..9).map_while(|_| shares.wait(who).ok()).collect::<Vec<_>>().len();
        assert_eq!((waits(&robot), waits(&other)), (1, 1), "not named: the usual one");
    }
}
