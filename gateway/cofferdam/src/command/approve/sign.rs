//! Makes the statement, signs it or takes its signature, and sends both to the recorder.

use super::check::{QuestionFile, call_file};
use super::files::{quoted, read_signature, write, write_out};
use super::follow::{Followed, follow};
use super::source::Source;
use super::waiting_call::WaitingCall;
use super::watch;
use crate::command::report::Report;
use crate::command::ssh::{Signer, owner, signer_of};
use anyhow::{Context as _, Result};
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::id::StatementDigest;
use cofferdam_core::model::statement::{NAMESPACE, SignedStatement, Verdict};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::policy::approval::{Question, verify, verify_alone};
use jiff::Timestamp;
use serde_json::json;
use ssh_key::HashAlg;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The source of a signature.
pub enum Way {
    /// A key of this person.
    Sign(Rc<Signer>),
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

/// Signs, or takes the signature, and hands it in.
pub fn answer(
    source: &Source<'_>,
    waiting: &WaitingCall,
    way: &Way,
    answer: Answer,
    export: Option<&Path>,
) -> Result<Report> {
    let Answer { verdict, reason, wait } = answer;
    let own = own_name(source, waiting, way);
    let answered = (verdict, reason.clone());
    let (text, digest) =
        waiting.statement(answered, own.as_deref(), Timestamp::now()).canonical()?;
    let signed = match way {
        Way::Sign(signer) => {
            let signature = signer.sign(NAMESPACE, text.as_bytes())?;
            SignedStatement { statement: text, signature }
        }
        Way::Read(path) => signed_elsewhere(waiting, text, (verdict, reason), path)?,
        Way::Write(path) => return written(waiting, verdict, path, &text, digest),
    };
    let digest = StatementDigest::of(signed.statement.as_bytes());
    let known = waiting.trust.as_ref().map(|trust| checked(waiting, trust, &signed)).transpose()?;
    let call = &waiting.job.call;
    let (told, missing) = source.sign(call, &signed)?;
    let name = known.unwrap_or(told);
    let until = Instant::now() + wait;
    let missing = match (verdict, missing) {
        (Verdict::Approve, 1..) => {
            watch::wait(source, call, &own_line(&name, waiting), until).unwrap_or(missing)
        }
        _ => missing,
    };
    let left = until.saturating_duration_since(Instant::now());
    let followed = match (verdict, missing) {
        (Verdict::Reject, _) => still("denied", "the agent will see your reason."),
        (Verdict::Approve, 0) => follow(source, call, left),
        (Verdict::Approve, 1) => still("needs_signatures", "1 more signature is needed."),
        (Verdict::Approve, more) => {
            still("needs_signatures", &format!("{more} more signatures are needed."))
        }
    };
    let who = match (way, &waiting.trust) {
        (Way::Sign(signer), None) => format!("with the key {}", fingerprint(signer)),
        _ => format!("as {name}"),
    };
    let place =
        waiting.place.as_ref().map(|absent| format!(" in the place of {}", legible(absent)));
    let who = who + place.as_deref().unwrap_or_default();
    let mut text = match verdict {
        Verdict::Reject => format!("Denied {call} {who}. The agent will see your reason."),
        Verdict::Approve => format!("Approved {call} {who}: {}", followed.text),
    };
    if matches!(source, Source::Home(_)) {
        text.push_str(&format!("\n  follow it: cofferdam show {call}"));
    }
    let mut files = None;
    if let Some(folder) = export {
        let key = signing_key(waiting, way, &signed)?;
        // A name that only the server gave is not bound to the key.
        let principal = match (way, &waiting.trust) {
            (Way::Sign(signer), None) => fingerprint(signer),
            _ => name.clone(),
        };
        let written = write_out(folder, &call.to_string(), &principal, &key, &signed)?;
        text.push_str(&format!("\n  check it:  {}", written.command));
        files = Some(json!({"statement": written.statement, "signature": written.signature,
            "allowed_signers": written.allowed, "command": written.command}));
    }
    let Followed { state, phase, outcome, detail, meanwhile, .. } = followed;
    Ok(Report::new(
        text,
        json!({
            "call": call, "verdict": verdict, "approver": name, "stands_for": waiting.place, "missing": missing,
            "statement": digest, "files": files,
            "state": state, "phase": phase, "outcome": outcome, "detail": detail,
            "meanwhile": meanwhile,
        }),
    ))
}

/// The person whose key signs here, by the trust file or by the server; `None` if another machine
/// signs.
fn own_name(source: &Source<'_>, waiting: &WaitingCall, way: &Way) -> Option<String> {
    let Way::Sign(signer) = way else { return None };
    match source {
        Source::Server(server) => Some(server.approver()),
        Source::Home(_) => {
            let approvers = &waiting.trust.as_ref()?.approvers;
            owner(&signer.public(), approvers).map(str::to_owned)
        }
    }
}

/// The statement of this signature: the one of now or, where the question escalated between the
/// signature and now, the one before.
fn signed_elsewhere(
    waiting: &WaitingCall,
    text: String,
    (verdict, reason): (Verdict, String),
    path: &Path,
) -> Result<SignedStatement> {
    let signature = read_signature(path)?;
    let now = SignedStatement { statement: text, signature: signature.clone() };
    let approvers = waiting.trust.as_ref().map(|trust| trust.approvers.as_slice());
    if verify_alone(&now, approvers.unwrap_or_default()).is_ok() {
        return Ok(now);
    }
    let (statement, _) =
        waiting.statement((verdict, reason), None, waiting.job.created).canonical()?;
    let before = SignedStatement { statement, signature };
    let is_before = verify_alone(&before, approvers.unwrap_or_default()).is_ok();
    Ok(if is_before { before } else { now })
}

/// The words for one's own signature among those of others.
fn own_line(name: &str, waiting: &WaitingCall) -> String {
    match &waiting.place {
        Some(absent) => format!("{name} for {absent}"),
        None => name.to_owned(),
    }
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

/// The fingerprint of a key, as `ssh-keygen -l` prints it.
pub fn fingerprint(signer: &Signer) -> String {
    signer.public().fingerprint(HashAlg::Sha256).to_string()
}

/// The public key of the signature: of the key that signed here, or of the enrolled signer.
fn signing_key(waiting: &WaitingCall, way: &Way, signed: &SignedStatement) -> Result<String> {
    if let Way::Sign(signer) = way {
        return signer.public().to_openssh().context("the key has no text form");
    }
    let approvers = waiting.trust.as_ref().map(|trust| trust.approvers.as_slice());
    let signer = signer_of(signed, approvers.unwrap_or_default());
    Ok(signer.context("the signing key is not enrolled any more")?.key.clone())
}

/// Checks the signature as the recorder does, with the same errors, before it is sent. Returns the
/// name of the signer.
fn checked(waiting: &WaitingCall, trust: &Trust, signed: &SignedStatement) -> Result<String> {
    let subject = waiting.job.principal.subject();
    let question = Question {
        call: &waiting.job.call,
        plan: waiting.job.plan_digest,
        preview: waiting.job.preview_digest,
        subject: &subject,
        environment: &trust.environment,
        policy: trust.policy,
        now: Timestamp::now(),
    };
    Ok(verify(signed, &question, trust)?.approver().to_owned())
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
    let beside = call_file(path);
    let question =
        QuestionFile { job: waiting.job.clone(), signers: waiting.signers.clone() }.text()?;
    write(&beside, &question)?;
    let call = &waiting.job.call;
    let (verb, reason) = match verdict {
        Verdict::Approve => ("approve", ""),
        Verdict::Reject => ("deny", " --reason TEXT (the same text)"),
    };
    let file = quoted(&path.to_string_lossy());
    let signature = quoted(&format!("{}.sig", path.to_string_lossy()));
    let sign = format!("ssh-keygen -Y sign -n {NAMESPACE} -f KEY {file}");
    let hand_in = format!("cofferdam {verb} {call} --signature {signature}{reason}");
    let check = format!("cofferdam approve --check {file}");
    let call_text = quoted(&beside.to_string_lossy());
    let told = format!(
        "Nothing is signed yet. The statement is in {file}, and its call in {call_text}. Take both \
         to the machine with your key.\n  read it:     {check}\n  sign it:     {sign}\n  hand it \
         in:  {hand_in}"
    );
    let value = json!({"call": call, "verdict": verdict, "state": "not_signed",
    "statement": digest, "file": path, "call_file": beside, "check": check, "sign": sign,
    "hand_in": hand_in});
    Ok(Report::new(told, value))
}
