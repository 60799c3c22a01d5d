//! Signatures of approvers: nothing counts but the signature that the enrolled key made over this
//! statement in the namespace of approvals.

use crate::{Broken, Checked, hold};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_core::model::statement::{NAMESPACE, STATEMENT_SCHEMA, SignedStatement, Statement};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::policy::approval::{Question, verify};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey, SshSig};

/// The seed of the enrolled key, which signs in tests alone.
const SEED: [u8; 32] = [7; 32];

/// How a signature begins in a file.
const ARMOUR: &str = "-----BEGIN SSH SIGNATURE-----";

/// Characters of a line in a file.
const LINE: usize = 70;

/// Reads the bytes as a signature in its file, or as the signature itself.
///
/// # Errors
/// Names the promise that was broken.
pub fn check(bytes: &[u8]) -> Checked {
    let signature = match std::str::from_utf8(bytes) {
        Ok(text) if text.starts_with(ARMOUR) => text.to_owned(),
        _ => armoured(bytes),
    };
    let statement: Statement = made(statement())?;
    let trust: Trust = made(trust()?)?;
    let (text, _) = statement.canonical().map_err(|fault| Broken(fault.to_string()))?;
    let question = Question {
        call: &statement.call,
        plan: statement.plan,
        preview: statement.preview,
        subject: &statement.subject,
        environment: &statement.environment,
        policy: statement.policy,
        now: statement.issued.unwrap_or(Timestamp::UNIX_EPOCH),
    };
    let signed = SignedStatement { statement: text.clone(), signature: signature.clone() };
    if verify(&signed, &question, &trust).is_err() {
        return Ok(());
    }
    let bytes_of =
        |text: &str| SshSig::from_pem(text).map(|read| read.signature_bytes().to_vec()).ok();
    let own = own_signature(&text)?;
    hold(bytes_of(&signature) == bytes_of(&own), || {
        format!("a signature that the key did not make counts: {signature}")
    })
}

/// The file of the one signature that counts, for a corpus.
///
/// # Errors
/// The key cannot sign.
pub fn good() -> Result<String, Broken> {
    let statement: Statement = made(statement())?;
    let (text, _) = statement.canonical().map_err(|fault| Broken(fault.to_string()))?;
    own_signature(&text)
}

fn key() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&SEED))
}

fn own_signature(text: &str) -> Result<String, Broken> {
    let signed = key().sign(NAMESPACE, HashAlg::Sha512, text.as_bytes());
    signed
        .and_then(|signature| signature.to_pem(LineEnding::LF))
        .map_err(|fault| Broken(fault.to_string()))
}

fn armoured(bytes: &[u8]) -> String {
    let text: Vec<char> = STANDARD.encode(bytes).chars().collect();
    let lines: Vec<String> = text.chunks(LINE).map(|line| line.iter().collect()).collect();
    format!("{ARMOUR}\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}

fn made<T: DeserializeOwned>(value: Value) -> Result<T, Broken> {
    serde_json::from_value(value)
        .map_err(|fault| Broken(format!("the fixture is out of date: {fault}")))
}

fn digest() -> String {
    format!("sha256:{}", "0".repeat(64))
}

fn environment() -> Value {
    json!({"name": "shop", "id": "0"})
}

fn statement() -> Value {
    json!({
        "schema": STATEMENT_SCHEMA, "call": "a".repeat(26), "verdict": "approve", "reason": "",
        "plan": digest(), "preview": digest(), "shown": digest(),
        "subject": {
            "type": "agent", "id": "release",
            "properties": {"roles": [], "for": null, "act": []}
        },
        "environment": environment(), "policy": digest(), "nonce": "0".repeat(32),
        "issued": "2026-11-30T00:00:00Z", "expires": "2026-11-30T01:00:00Z"
    })
}

fn trust() -> Result<Value, Broken> {
    let key = key().public_key().to_openssh().map_err(|fault| Broken(fault.to_string()))?;
    Ok(json!({
        "environment": environment(), "keys": {"gateway": "", "recorder": ""},
        "policy": digest(), "floor": {"actions": [], "namespaces": []}, "self_approval": false,
        "approver": [{"name": "bob", "key": key}]
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_signature_counts_and_the_oracle_sees_it() {
        let good = good().unwrap();
        assert_eq!(check(good.as_bytes()), Ok(()));
        let statement: Statement = made(statement()).unwrap();
        let (text, _) = statement.canonical().unwrap();
        let trust: Trust = made(trust().unwrap()).unwrap();
        let question = Question {
            call: &statement.call,
            plan: statement.plan,
            preview: statement.preview,
            subject: &statement.subject,
            environment: &statement.environment,
            policy: statement.policy,
            now: statement.issued.unwrap(),
        };
        verify(&SignedStatement { statement: text, signature: good }, &question, &trust).unwrap();
    }
}
