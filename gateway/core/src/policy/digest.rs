//! The digest of a policy: over its module, its data and its entry points, so that no part
//! of the decision can change without another digest.

use crate::model::id::{PolicyDigest, hex};
use crate::model::json;
use crate::model::json::JsonError;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The entry point that decides one call.
pub const CALL_ENTRYPOINT: &str = "cofferdam/call/decision";

/// The entry point for the tools that a caller may see.
pub const LIST_ENTRYPOINT: &str = "cofferdam/list/visible";

/// Digest of a policy: canonical JSON over the module's SHA-256, the data document's canonical
/// SHA-256, and both entry points.
pub fn policy_digest(module: &[u8], data: &str) -> Result<PolicyDigest, JsonError> {
    let data = json::canonical(&json::strict(data.as_bytes())?)?;
    let document = json::canonical(&json!({
        "schema": "cofferdam.policy.v1",
        "module": hex(&Sha256::digest(module)),
        "data": hex(&Sha256::digest(data.as_bytes())),
        "entrypoints": [CALL_ENTRYPOINT, LIST_ENTRYPOINT],
    }))?;
    Ok(PolicyDigest::of(document.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_and_data_both_count_and_spelling_does_not() {
        let digest = |module: &[u8], data| policy_digest(module, data).unwrap();
        assert_eq!(digest(b"m", r#"{"a":1,"b":2}"#), digest(b"m", r#"{ "b": 2, "a": 1 }"#));
        assert_ne!(digest(b"m", "{}"), digest(b"n", "{}"));
        assert_ne!(digest(b"m", "{}"), digest(b"m", r#"{"a":1}"#));
        assert!(policy_digest(b"m", r#"{"a":1,"a":2}"#).is_err());
    }
}
