//! The state that a client carries between a question and its answer (`requestState`), sealed with
//! AES-256-GCM: the client can neither read nor change it. It names one caller, one call and one
//! plan, for one request, for minutes, once. The key lives as long as this process.

use crate::deny::Deny;
use aes_gcm::aead::AeadInPlace as _;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::{Aes256Gcm, KeyInit as _, Tag};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::{ArgumentsDigest, CallId, PlanDigest};
use cofferdam_core::model::json::canonical;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Time for which a state counts: a person reads a page meanwhile.
const COUNTS: SignedDuration = SignedDuration::from_mins(10);

/// Most states of one caller that can be used at a time, each for another call. With more, the client
/// is not asked. A state for the same call replaces the older one.
const OPEN: usize = 64;

/// Most callers with a state.
const CALLERS: usize = 4_096;

/// Bytes of a nonce, and of the tag at the end.
const NONCE: usize = 12;
const TAG: usize = 16;

/// Longest state that is opened, in characters.
const LONGEST: usize = 2_048;

/// Bound into each seal, so that it is no seal of anything else.
const PURPOSE: &[u8] = b"cofferdam.request-state.v1";

/// The content of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The name of the caller.
    principal: String,
    /// The digest of the request: method, tool and arguments.
    request: ArgumentsDigest,
    /// The call that was asked about.
    pub call: CallId,
    /// The digest of its plan.
    pub plan: PlanDigest,
}

/// The seals of this process.
pub struct RequestStates {
    cipher: Aes256Gcm,
    /// The states that were not used yet, by caller and call.
    open: Mutex<HashMap<String, HashMap<CallId, Open>>>,
}

/// A state that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    nonce: [u8; NONCE],
    until: Timestamp,
}

/// A state of this caller and this request that was not used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    carried: Carried,
    nonce: [u8; NONCE],
}

impl Opened {
    /// The content of the state.
    pub fn carried(&self) -> &Carried {
        &self.carried
    }
}

impl fmt::Debug for RequestStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestStates")
    }
}

impl RequestStates {
    /// Makes a key of 256 random bits.
    pub fn new(random: (u128, u128)) -> Self {
        let mut key = [0; 32];
        let bytes = random.0.to_le_bytes().into_iter().chain(random.1.to_le_bytes());
        key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Self { cipher: Aes256Gcm::new(GenericArray::from_slice(&key)), open: Mutex::default() }
    }

    /// Seals a state. `None` if too many are open.
    pub fn seal(&self, carried: &Carried, random: u128, now: Timestamp) -> Option<String> {
        let mut nonce = [0; NONCE];
        nonce.iter_mut().zip(random.to_le_bytes()).for_each(|(to, from)| *to = from);
        let mut text = serde_json::to_vec(carried).ok()?;
        let tag = self
            .cipher
            .encrypt_in_place_detached(GenericArray::from_slice(&nonce), PURPOSE, &mut text)
            .ok()?;
        self.keep(carried, Open { nonce, until: now.checked_add(COUNTS).ok()? }, now)?;
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&text);
        sealed.extend_from_slice(&tag);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Keeps a state in place of the older one of its call. `None` if its caller, or all callers, have
    /// too many.
    fn keep(&self, carried: &Carried, new: Open, now: Timestamp) -> Option<()> {
        let mut all = self.all();
        if all.len() >= CALLERS && !all.contains_key(&carried.principal) {
            all.retain(|_, own| own.values().any(|open| open.until > now));
        }
        if all.len() >= CALLERS && !all.contains_key(&carried.principal) {
            return None;
        }
        let own = all.entry(carried.principal.clone()).or_default();
        if own.len() >= OPEN && !own.contains_key(&carried.call) {
            own.retain(|_, open| open.until > now);
        }
        if own.len() >= OPEN && !own.contains_key(&carried.call) {
            return None;
        }
        own.insert(carried.call.clone(), new);
        Some(())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, HashMap<CallId, Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a state for this caller and this request. It stays usable until [`Self::spend`].
    pub fn open(
        &self,
        sealed: &str,
        principal: &Principal,
        request: ArgumentsDigest,
        now: Timestamp,
    ) -> Result<Opened, Deny> {
        let (carried, nonce) = self.unseal(sealed).ok_or(Deny::RequestState)?;
        let known =
            self.all().get(&carried.principal).and_then(|own| own.get(&carried.call).copied());
        let usable = known.is_some_and(|open| open.nonce == nonce && open.until > now);
        if usable && carried.principal == principal.name && carried.request == request {
            Ok(Opened { carried, nonce })
        } else {
            Err(Deny::RequestState)
        }
    }

    /// Uses an opened state, once.
    pub fn spend(&self, opened: Opened) -> Result<Carried, Deny> {
        let Opened { carried, nonce } = opened;
        let mut all = self.all();
        let own = all.get_mut(&carried.principal).ok_or(Deny::RequestState)?;
        if own.get(&carried.call).is_none_or(|open| open.nonce != nonce) {
            return Err(Deny::RequestState);
        }
        own.remove(&carried.call);
        if own.is_empty() {
            all.remove(&carried.principal);
        }
        Ok(carried)
    }

    fn unseal(&self, sealed: &str) -> Option<(Carried, [u8; NONCE])> {
        if sealed.len() > LONGEST {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE>()?;
        let (text, tag) = rest.split_last_chunk::<TAG>()?;
        let mut text = text.to_vec();
        self.cipher
            .decrypt_in_place_detached(
                GenericArray::from_slice(nonce),
                PURPOSE,
                &mut text,
                Tag::from_slice(tag),
            )
            .ok()?;
        Some((serde_json::from_slice(&text).ok()?, *nonce))
    }
}

impl Carried {
    /// The state of a call that waits for a person.
    pub fn new(
        principal: &Principal,
        request: ArgumentsDigest,
        call: CallId,
        plan: PlanDigest,
    ) -> Self {
        Self { principal: principal.name.clone(), request, call, plan }
    }
}

/// The digest of a `tools/call`. `None` if its arguments have no canonical form.
pub fn digest(tool: &str, arguments: &Value) -> Option<ArgumentsDigest> {
    let request = json!({"method": "tools/call", "tool": tool, "arguments": arguments});
    canonical(&request).ok().map(|text| ArgumentsDigest::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_testkit::build::principal;

    fn states() -> RequestStates {
        RequestStates::new((1, 2))
    }

    fn request(replicas: u32) -> ArgumentsDigest {
        digest("scale", &json!({"replicas": replicas})).unwrap()
    }

    fn carried() -> Carried {
        let plan = PlanDigest::of(b"plan");
        Carried::new(&principal("alice"), request(3), CallId::from_random(7), plan)
    }

    fn noon() -> Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_state_opens_once_for_its_caller_and_its_request() {
        let states = states();
        let sealed = states.seal(&carried(), 3, noon()).unwrap();
        let open = || states.open(&sealed, &principal("alice"), request(3), noon());
        // A request that fails after this leaves the state usable.
        let (first, second) = (open().unwrap(), open().unwrap());
        assert_eq!(first.carried(), &carried());
        assert_eq!(states.spend(first), Ok(carried()));
        assert_eq!(states.spend(second), Err(Deny::RequestState), "two requests at once");
        assert_eq!(open(), Err(Deny::RequestState));
    }

    #[test]
    fn each_protection_is_needed() {
        // Each row is the right request but for one thing.
        let check = |caller: &str, replicas, seconds, change: &dyn Fn(String) -> String| {
            let states = states();
            let sealed = change(states.seal(&carried(), 3, noon()).unwrap());
            let later = noon() + SignedDuration::from_secs(seconds);
            states.open(&sealed, &principal(caller), request(replicas), later).is_ok()
        };
        let keep: &dyn Fn(String) -> String = &|sealed| sealed;
        assert!(check("alice", 3, 599, keep));
        assert!(!check("bob", 3, 599, keep), "another caller");
        assert!(!check("alice", 4, 599, keep), "another request");
        assert!(!check("alice", 3, 600, keep), "too late");
        assert!(!check("alice", 3, 0, &|sealed| sealed + "A"), "longer");
        assert!(!check("alice", 3, 0, &|_| String::new()), "empty");
        assert!(!check("alice", 3, 0, &|_| "A".repeat(4_000)), "far too long");
        assert!(!check("alice", 3, 0, &|_| "not base64!".to_owned()));
        let other = RequestStates::new((9, 9)).seal(&carried(), 3, noon()).unwrap();
        assert!(!check("alice", 3, 0, &|_| other.clone()), "sealed by another process");
    }

    #[test]
    fn every_changed_bit_is_found() {
        let states = states();
        let sealed = states.seal(&carried(), 3, noon()).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            let opened = states.open(&changed, &principal("alice"), request(3), noon());
            assert_eq!(opened, Err(Deny::RequestState), "byte {at}");
        }
        assert!(states.open(&sealed, &principal("alice"), request(3), noon()).is_ok());
        assert!(!String::from_utf8_lossy(&bytes).contains("alice"), "it cannot be read");
    }

    #[test]
    fn one_caller_takes_no_place_of_another_and_old_states_make_room() {
        let states = states();
        let of = |caller: &str, call: u128| {
            let plan = PlanDigest::of(b"plan");
            Carried::new(&principal(caller), request(3), CallId::from_random(call), plan)
        };
        for number in 0..OPEN as u128 {
            assert!(states.seal(&of("alice", number), number, noon()).is_some());
        }
        let more = of("alice", u128::MAX);
        assert!(states.seal(&more, 1_000, noon()).is_none());
        assert!(states.seal(&of("bob", 1), 1_001, noon()).is_some(), "another caller");
        assert!(states.seal(&more, 1_002, noon() + COUNTS).is_some(), "the time is over");
    }

    #[test]
    fn a_newer_state_of_the_same_call_replaces_the_older_one() {
        let states = states();
        let older = states.seal(&carried(), 3, noon()).unwrap();
        let newer = states.seal(&carried(), 4, noon()).unwrap();
        let open = |sealed: &str| states.open(sealed, &principal("alice"), request(3), noon());
        assert_eq!(open(&older), Err(Deny::RequestState));
        assert!(open(&newer).is_ok());
    }
}
