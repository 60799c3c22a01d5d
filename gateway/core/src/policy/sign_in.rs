//! The sign-in of an approver: a challenge of this gateway, signed with an enrolled key in a
//! namespace of its own. Gives a right to read and never one to approve. Keeps no state: the caller
//! knows which challenges are its own and unused.

use super::approval::ApprovalError;
use super::approval::signer::signer_in;
use crate::model::json::{self, JsonError};
use crate::model::sign_in::{
    SIGN_IN_NAMESPACE, SIGN_IN_SCHEMA, SIGN_IN_TEXT, SignIn, SignedSignIn,
};
use crate::model::trust::Approver;
use jiff::Timestamp;

/// A sign-in that does not count.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The text is not a sign-in.
    #[error("the sign-in is not readable: {0}")]
    Statement(#[from] JsonError),
    /// The text has another form than the one that is signed.
    #[error("the sign-in is of another {0}; sign in again with this version of `cofferdam`")]
    Other(&'static str),
    /// The signature is in another namespace, or is no signature.
    #[error("the signature is not an SSH signature in the namespace `{SIGN_IN_NAMESPACE}`")]
    Signature,
    /// The signature is not one of an enrolled key.
    #[error("{0}")]
    Signer(ApprovalError),
    /// The challenge ran out.
    #[error("the challenge ran out at {0}; sign in again")]
    Expired(Timestamp),
}

/// A checked sign-in, with its signer. Made here alone.
#[derive(Debug)]
pub struct VerifiedSignIn {
    approver: Approver,
    statement: SignIn,
}

impl VerifiedSignIn {
    /// The approver with the key that signed.
    pub fn approver(&self) -> &Approver {
        &self.approver
    }

    /// The text that was signed.
    pub fn statement(&self) -> &SignIn {
        &self.statement
    }
}

/// Checks a sign-in by the reader's own trust file and clock. Server and challenge are for the
/// caller to compare.
///
/// # Errors
/// The text or its signature does not count.
pub fn verify_sign_in(
    signed: &SignedSignIn,
    approvers: &[Approver],
    now: Timestamp,
) -> Result<VerifiedSignIn, SignInError> {
    let statement: SignIn = json::strict_into(signed.statement.as_bytes())?;
    if statement.canonical()? != signed.statement {
        return Err(SignInError::Other("spelling"));
    }
    if statement.schema != SIGN_IN_SCHEMA {
        return Err(SignInError::Other("kind"));
    }
    if statement.server.len() > SIGN_IN_TEXT || statement.challenge.len() > SIGN_IN_TEXT {
        return Err(SignInError::Other("length"));
    }
    if statement.expires <= now {
        return Err(SignInError::Expired(statement.expires));
    }
    let approver = signer_in(SIGN_IN_NAMESPACE, &signed.statement, &signed.signature, approvers)
        .map_err(|error| match error {
            ApprovalError::Signature => SignInError::Signature,
            other => SignInError::Signer(other),
        })?;
    Ok(VerifiedSignIn { approver: approver.clone(), statement })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::statement::NAMESPACE;
    use crate::testing::{noon, person, trust};
    use ssh_key::{HashAlg, LineEnding};

    fn statement() -> SignIn {
        SignIn {
            schema: SIGN_IN_SCHEMA.to_owned(),
            server: "gate.example.com".to_owned(),
            challenge: "c".to_owned(),
            expires: "2026-11-23T12:02:00Z".parse().unwrap(),
        }
    }

    fn sign(name: &str, namespace: &str, text: &str) -> SignedSignIn {
        let signature = person(name).sign(namespace, HashAlg::Sha512, text.as_bytes()).unwrap();
        let signature = signature.to_pem(LineEnding::LF).unwrap();
        SignedSignIn { statement: text.to_owned(), signature }
    }

    #[test]
    fn only_an_enrolled_key_over_a_whole_and_timely_sign_in_counts() {
        let verdict = |signed: &SignedSignIn| {
            verify_sign_in(signed, &trust().approvers, noon())
                .map_or_else(|error| error.to_string(), |verified| verified.approver().name.clone())
        };
        let check = |change: &dyn Fn(&mut SignIn), expect: &str| {
            let mut changed = statement();
            change(&mut changed);
            let told = verdict(&sign("bob", SIGN_IN_NAMESPACE, &changed.canonical().unwrap()));
            assert!(told.contains(expect), "{told}");
        };
        check(&|_| {}, "bob");
        check(&|said| said.schema = "cofferdam.approval.v1".into(), "another kind");
        check(&|said| said.expires = noon(), "ran out at");
        check(&|said| said.challenge = "c".repeat(SIGN_IN_TEXT + 1), "another length");
        let text = statement().canonical().unwrap();
        for (signed, expect) in [
            (sign("bob", NAMESPACE, &text), "not enrolled"),
            (sign("carl", SIGN_IN_NAMESPACE, &text), "not enrolled"),
            (sign("bob", SIGN_IN_NAMESPACE, &text.replace("\":", "\": ")), "another spelling"),
            (SignedSignIn { statement: text.clone(), signature: "x".into() }, "namespace"),
        ] {
            let told = verdict(&signed);
            assert!(told.contains(expect), "{told}");
        }
    }
}
