//! The permit: the gateway's signed statement that this plan over this state was allowed, why, and
//! until when. Signed with Ed25519 over canonical JSON. Alone it makes nothing happen: the runner
//! checks it, and everything else, again. Carries the reason; logs and metrics are made from it.

use crate::model::id::{CallId, PlanDigest, PolicyDigest, PreviewDigest, hex, unhex};
use crate::model::json;
use crate::model::json::JsonError;
use crate::model::reason::Reason;
use crate::model::subject::Subject;
use crate::model::trust::Environment;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The schema name of [`Permit`].
pub const PERMIT_SCHEMA: &str = "cofferdam.permit.v1";

/// Domain separation: the signature is over this prefix and the permit, so that it can be nothing
/// else's signature.
const CONTEXT: &[u8] = b"cofferdam permit v1\0";

/// The text that the gateway signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// Always [`PERMIT_SCHEMA`].
    pub schema: String,
    /// The id of the call.
    pub call: CallId,
    /// The digest of the plan.
    pub plan: PlanDigest,
    /// The digest of the preview that was decided.
    pub preview: PreviewDigest,
    /// The subject of the call.
    pub subject: Subject,
    /// The purpose that the agent gave; policy may have required it.
    pub purpose: Option<String>,
    /// The environment that the permit is for.
    pub environment: Environment,
    /// The digest of the policy that decided.
    pub policy: PolicyDigest,
    /// The rules that allowed the plan.
    pub reasons: Vec<Reason>,
    /// The approvers who signed; empty where policy needed no signature.
    pub approvers: Vec<String>,
    /// The time of the decision.
    pub issued: Timestamp,
    /// The time after which no runner acts on the permit.
    pub expires: Timestamp,
}

/// A permit with its signature, as it is stored and passed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedPermit {
    /// The permit's canonical JSON, exactly as signed.
    pub permit: String,
    /// Ed25519 signature, 128 hexadecimal digits.
    pub signature: String,
}

/// An invalid permit.
#[derive(Debug, thiserror::Error)]
pub enum PermitError {
    /// The text is not a permit.
    #[error("the permit is not readable: {0}")]
    Shape(#[from] JsonError),
    /// The signature is not by the trusted gateway.
    #[error("the permit is not signed by the gateway this role trusts")]
    Signature,
    /// The gateway's key in the trust file is not a valid Ed25519 key.
    #[error("the gateway key in the trust file is not `ed25519:` and 64 hexadecimal digits")]
    Key,
}

impl Permit {
    /// Signs the permit with the key of the gateway.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedPermit, JsonError> {
        let permit = json::canonical(self)?;
        let signature = key.sign(&[CONTEXT, permit.as_bytes()].concat());
        Ok(SignedPermit { permit, signature: hex(&signature.to_bytes()) })
    }
}

impl SignedPermit {
    /// Checks the signature with a key of the reader's own trust file and reads the permit.
    pub fn open(&self, gateway: &str) -> Result<Permit, PermitError> {
        let key = verifying_key(gateway).ok_or(PermitError::Key)?;
        let signature = unhex(&self.signature)
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .ok_or(PermitError::Signature)?;
        key.verify_strict(&[CONTEXT, self.permit.as_bytes()].concat(), &signature)
            .map_err(|_| PermitError::Signature)?;
        Ok(json::strict_into(self.permit.as_bytes())?)
    }
}

/// Reads `ed25519:` and 64 hexadecimal digits.
pub fn verifying_key(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = unhex(text.strip_prefix("ed25519:")?)?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

/// Writes a public key as trust files have it.
pub fn verifying_key_text(key: &VerifyingKey) -> String {
    format!("ed25519:{}", hex(key.as_bytes()))
}
