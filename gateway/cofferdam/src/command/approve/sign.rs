//! Makes the statement, signs it or takes its signature, and sends both to the recorder.

use super::files::{quoted, read_signature, write, write_out};
use super::follow::{Followed, follow};
use super::waiting_call::WaitingCall;
use crate::command::recorder_client;
use crate::command::report::Report;
use crate::command::ssh::{Signer, signer_of};
use crate::config::home::Home;
use anyhow::{Context as _, Result};
use cofferdam_core::model::id::StatementDigest;
use cofferdam_core::model::statement::{
    NAMESPACE, STATEMENT_SCHEMA, SignedStatement, Statement, Verdict,
};
use cofferdam_core::policy::approval::{Question, verify};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use jiff::Timestamp;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The source of a signature.
pub enum Way {
    /// A key of this person.
    Sign(Signer),
    /// No signature: the statement is written to this file.
    Write(PathBuf),
    /// A signature that was made elsewhere, in this file.
    Read(PathBuf),
}

/// The verdict of the person.
pub struct Answer {
    /// The verdict: approve or reject.
    pub verdict: Verdict,
    /// The reason of a denial; empty for an approval.
    pub reason: String,
    /// How long the command follows the call after the signature.
    pub wait: Duration,
}

fn statement(waiting: &WaitingCall, verdict: Verdict, reason: String) -> Statement {
    let WaitingCall { job, trust, digest, .. } = waiting;
    Statement {
        schema: STATEMENT_SCHEMA.to_owned(),
        call: job.call.clone(),
        verdict,
        reason,
        plan: job.plan_digest,
        preview: job.preview_digest,
        shown: *digest,
        subject: job.principal.subject(),
        environment: trust.environment.clone(),
        policy: trust.policy,
        nonce: job.nonce.clone(),
        // Not the time of the signature: a signature from elsewhere needs the same statement again.
        issued: Some(job.created),
        expires: job.expires,
    }
}

/// Signs, or takes the signature, and sends it to the recorder.
pub fn answer(
    home: &Home,
    waiting: &WaitingCall,
    way: &Way,
    answer: Answer,
    export: Option<&Path>,
) -> Result<Report> {
    let Answer { verdict, reason, wait } = answer;
    let (text, digest) = statement(waiting, verdict, reason).canonical()?;
    let signature = match way {
        Way::Sign(signer) => signer.sign(NAMESPACE, text.as_bytes())?,
        Way::Read(path) => read_signature(path)?,
        Way::Write(path) => return written(waiting, verdict, path, &text, digest),
    };
    let signed = SignedStatement { statement: text, signature };
    let name = checked(waiting, &signed)?;
    let Operated::Signed { missing, .. } = recorder_client::ask(
        home,
        &Operate::Sign { call: waiting.job.call.clone(), signed: signed.clone() },
    )?
    else {
        return Err(recorder_client::unexpected());
    };
    let call = &waiting.job.call;
    let followed = match (verdict, missing) {
        (Verdict::Reject, _) => still("denied", "the agent will see your reason."),
        (Verdict::Approve, 0) => follow(home, call, wait),
        (Verdict::Approve, 1) => still("needs_signatures", "1 more signature is needed."),
        (Verdict::Approve, more) => {
            still("needs_signatures", &format!("{more} more signatures are needed."))
        }
    };
    let mut text = match verdict {
        Verdict::Reject => format!("Denied {call} as {name}. The agent will see your reason."),
        Verdict::Approve => format!("Approved {call} as {name}: {}", followed.text),
    };
    text.push_str(&format!("\n  follow it: cofferdam show {call}"));
    let mut files = None;
    if let Some(folder) = export {
        let key = signer_of(&signed, &waiting.trust.approvers)
            .context("the signing key is not enrolled any more")?
            .key
            .clone();
        let written = write_out(folder, &call.to_string(), &name, &key, &signed)?;
        text.push_str(&format!("\n  check it:  {}", written.command));
        files = Some(json!({"statement": written.statement, "signature": written.signature,
            "allowed_signers": written.allowed, "command": written.command}));
    }
    let Followed { state, phase, outcome, detail, meanwhile, .. } = followed;
    Ok(Report::new(
        text,
        json!({
            "call": call, "verdict": verdict, "approver": name, "missing": missing,
            "statement": digest, "files": files,
            "state": state, "phase": phase, "outcome": outcome, "detail": detail,
            "meanwhile": meanwhile,
        }),
    ))
}

/// A state that is known without a request to the recorder.
fn still(state: &'static str, text: &str) -> Followed {
    Followed {
        state,
        text: text.to_owned(),
        phase: None,
        outcome: None,
        detail: String::new(),
        meanwhile: Vec::new(),
    }
}

/// Checks the signature as the recorder does, with the same errors, before it is sent. Returns the
/// name of the signer.
fn checked(waiting: &WaitingCall, signed: &SignedStatement) -> Result<String> {
    let subject = waiting.job.principal.subject();
    let question = Question {
        call: &waiting.job.call,
        plan: waiting.job.plan_digest,
        preview: waiting.job.preview_digest,
        subject: &subject,
        environment: &waiting.trust.environment,
        policy: waiting.trust.policy,
        now: Timestamp::now(),
    };
    Ok(verify(signed, &question, &waiting.trust)?.approver().to_owned())
}

/// Writes the statement to a file, for a signature elsewhere.
fn written(
    waiting: &WaitingCall,
    verdict: Verdict,
    path: &Path,
    text: &str,
    digest: StatementDigest,
) -> Result<Report> {
    write(path, text)?;
    let call = &waiting.job.call;
    let (verb, reason) = match verdict {
        Verdict::Approve => ("approve", ""),
        Verdict::Reject => ("deny", " --reason TEXT (the same text)"),
    };
    let file = quoted(&path.to_string_lossy());
    let signature = quoted(&format!("{}.sig", path.to_string_lossy()));
    let sign = format!("ssh-keygen -Y sign -n {NAMESPACE} -f KEY {file}");
    let hand_in = format!("cofferdam {verb} {call} --signature {signature}{reason}");
    let told = format!(
        "Nothing is signed yet. The statement is in {file}.\n  sign it:     {sign}\n  hand it \
             in:  {hand_in}"
    );
    let value = json!({"call": call, "verdict": verdict, "state": "not_signed",
    "statement": digest, "file": path, "sign": sign, "hand_in": hand_in});
    Ok(Report::new(told, value))
}
