//! The ledger's form of one entry: canonical JSON with keyed commitments instead of payloads. Never
//! contains a payload.

use super::tree::{Hash, leaf_hash};
use cofferdam_core::model::id::{
    CallId, ComponentDigest, PlanDigest, PolicyDigest, PreviewDigest, TrustDigest, hex,
};
use cofferdam_core::model::json;
use cofferdam_core::model::json::JsonError;
use cofferdam_core::model::record::{Entry, Event, LEAF_SCHEMA};
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;

/// The key of one record's commitments. It is erased with the payloads, so that guessing cannot
/// recover them.
pub type RecordKey = [u8; 32];

/// The ledger's form of one entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// The schema: always [`LEAF_SCHEMA`].
    pub schema: String,
    /// The name of its ledger.
    pub origin: String,
    /// The index of the entry, from 0.
    pub index: u64,
    /// The time of the record: RFC 3339 in milliseconds.
    pub time: String,
    /// The recorded event.
    pub event: Event,
    /// The call; `None` for an entry about administration.
    pub call: Option<CallId>,
    /// The name of the agent; empty for administration.
    pub principal: String,
    /// The name and the component digest of the tool.
    pub tool: Option<(String, ComponentDigest)>,
    /// The digest of the plan.
    pub plan: Option<PlanDigest>,
    /// The digest of the preview.
    pub preview: Option<PreviewDigest>,
    /// The digest of the policy.
    pub policy: Option<PolicyDigest>,
    /// The digest of the trust file.
    pub trust: Option<TrustDigest>,
    /// The trace id; empty without a trace.
    pub trace: String,
    /// Payload name → HMAC-SHA-256 of the payload under the record's key, in hexadecimal.
    pub commitments: BTreeMap<String, String>,
    /// The leaf hash of the entry before, in hexadecimal; empty for the first entry. A simple check
    /// for readers of a stream.
    pub previous: String,
}

/// The HMAC under a record's key, prepared once for all of its payloads.
struct Keyed(Option<Hmac<Sha256>>);

impl Keyed {
    fn new(key: &RecordKey) -> Self {
        // An HMAC accepts keys of any length, so 32 bytes cannot fail; an empty commitment would
        // match nothing.
        Self(Hmac::new_from_slice(key).ok())
    }

    fn commitment(&self, payload: &str) -> String {
        let mac = self.0.clone();
        mac.map(|mac| hex(&mac.chain_update(payload).finalize().into_bytes())).unwrap_or_default()
    }
}

/// HMAC-SHA-256 of a payload under the record's key, in hexadecimal.
pub fn commitment(key: &RecordKey, payload: &str) -> String {
    Keyed::new(key).commitment(payload)
}

/// A time as RFC 3339 text in milliseconds, UTC.
pub fn time_text(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// Makes the leaf of an entry, as text, and its hash. `time` is a text of [`time_text`].
pub fn seal(
    entry: &Entry,
    origin: &str,
    index: u64,
    time: &str,
    key: &RecordKey,
    previous: Option<Hash>,
) -> Result<(String, Hash), JsonError> {
    let keyed = Keyed::new(key);
    let leaf = Leaf {
        schema: LEAF_SCHEMA.to_owned(),
        origin: origin.to_owned(),
        index,
        time: time.to_owned(),
        event: entry.event.clone(),
        call: entry.call.clone(),
        principal: entry.principal.clone(),
        tool: entry.tool.clone(),
        plan: entry.plan,
        preview: entry.preview,
        policy: entry.policy,
        trust: entry.trust,
        trace: entry.trace.clone(),
        commitments: entry
            .payloads
            .iter()
            .map(|(name, payload)| (name.clone(), keyed.commitment(payload)))
            .collect(),
        previous: previous.map(|hash| hex(&hash)).unwrap_or_default(),
    };
    let text = json::canonical(&leaf)?;
    let hash = leaf_hash(text.as_bytes());
    Ok((text, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_canonical_and_says_nothing_of_its_payloads() {
        let entry = Entry::of(Event::Asked, None, "a")
            .with("arguments", "{\"token\":\"hunter2\"}".to_owned());
        let time = time_text(Timestamp::UNIX_EPOCH);
        let (text, hash) =
            seal(&entry, "cofferdam.dev/x", 3, &time, &[1; 32], Some([2; 32])).unwrap();
        expect_test::expect![[r#"{"call":null,"commitments":{"arguments":"REPLACE"},"event":{"kind":"asked"},"index":3,"origin":"cofferdam.dev/x","plan":null,"policy":null,"preview":null,"previous":"0202020202020202020202020202020202020202020202020202020202020202","principal":"a","schema":"cofferdam.leaf.v1","time":"1970-01-01T00:00:00.000Z","tool":null,"trace":"","trust":null}"#]]
        .assert_eq(&text.replace(&commitment(&[1; 32], "{\"token\":\"hunter2\"}"), "REPLACE"));
        assert_eq!(hash, leaf_hash(text.as_bytes()));
        let leaf: Leaf = json::strict_into(text.as_bytes()).unwrap();
        assert_eq!(json::canonical(&leaf).unwrap(), text);
    }
}
