//! `cofferdam approve --check FILE`: reads a statement and its call from two files, on a machine
//! without a connection. Derives the statement from the call itself, shows the call, and signs
//! exactly that statement or says how to sign it. Needs no installation.

use super::files::{quoted, write};
use super::sign::fingerprint;
use super::source::Found;
use super::waiting_call::WaitingCall;
use crate::command::input_file;
use crate::command::report::{Report, Usage};
use crate::command::ssh::Signer;
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::id::StatementDigest;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::json;
use cofferdam_core::model::statement::{NAMESPACE, Statement, Verdict};
use cofferdam_core::protocol::approver::Question;
use jiff::Timestamp;
use serde_json::json;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// The most bytes of a statement: it has digests, names and a reason.
const STATEMENT: u64 = 64 * 1024;

/// The most bytes of a call: far more than plan, preview and arguments may have together.
const CALL: u64 = 8 * 1024 * 1024;

/// The call of a statement, for another machine: everything that the shown text derives from.
pub struct QuestionFile {
    /// The job that waits.
    pub job: StoredJob,
    /// The people who approved so far.
    pub signers: Vec<String>,
}

impl QuestionFile {
    /// The text of the file. Has no signature of others: it is not needed to read the call.
    ///
    /// # Errors
    /// The call has no JSON form.
    pub fn text(self) -> Result<String> {
        let Self { job, signers } = self;
        let job = StoredJob { statements: Vec::new(), ..job };
        let question = Question { job, signers, stands_for: None };
        Ok(serde_json::to_string_pretty(&question)? + "\n")
    }

    fn read(path: &Path) -> Result<Self> {
        let remedy = "take the file of the call, STATEMENT.call, along with the statement";
        let bytes = input_file::regular(path, CALL, remedy)?;
        let Question { job, signers, .. } = json::strict_into(&bytes).with_context(|| {
            format!(
                "`{}` is not the call of a statement, as `cofferdam approve ID --statement FILE` \
                 writes it",
                path.display()
            )
        })?;
        Ok(Self { job, signers })
    }
}

/// The file of the call, beside the file of the statement.
pub fn call_file(statement: &Path) -> PathBuf {
    let mut name = OsString::from(statement);
    name.push(".call");
    PathBuf::from(name)
}

/// Checks and shows a statement. With a key, signs the bytes that were checked; else says how to
/// sign the file.
///
/// # Errors
/// A file cannot be read, the statement is not about the call that is shown, or the person says no.
pub fn check(path: &Path, full: bool, key: Option<&Path>, yes: bool) -> Result<Report> {
    let bytes = input_file::regular(path, STATEMENT, "give the file of a statement")?;
    let QuestionFile { job, signers } = QuestionFile::read(&call_file(path))?;
    let mut waiting = WaitingCall::check(
        Found { job, trust: None, signers, stands_for: None },
        Timestamp::now(),
    )?;
    let (verdict, reason) = compared(&mut waiting, &bytes)?;
    let signer = key.map(|key| Signer::find_own(Some(key), super::variable)).transpose()?;
    if signer.is_some() && !yes && !std::io::stdin().is_terminal() {
        return Err(Usage("there is no terminal for the question; give `--yes`".to_owned()).into());
    }
    waiting.show(None, full)?;
    let call = &waiting.job.call;
    let file = quoted(&path.to_string_lossy());
    let sign = format!("ssh-keygen -Y sign -n {NAMESPACE} -f KEY {file}");
    let (verb, same, what) = match verdict {
        Verdict::Approve => ("approve", "", "approves this call".to_owned()),
        Verdict::Reject => (
            "deny",
            " --reason TEXT (the same)",
            format!("denies this call; the agent reads: {}", legible(&reason)),
        ),
    };
    let digest = StatementDigest::of(&bytes);
    let value = |state: &str, sign: Option<&str>| {
        json!({"call": call, "verdict": verdict, "reason": reason, "state": state,
            "shown": waiting.digest, "statement": digest, "file": path, "sign": sign})
    };
    let hand_in = format!(
        "the file {file}.sig, on the machine that wrote the statement, with `cofferdam {verb} \
         {call} --signature FILE{same}`"
    );
    let Some(signer) = signer else {
        let text = format!(
            "The statement in {file} {what}. It is over exactly this text. Nothing is signed \
             yet.\n  its digest:  {digest}\n  sign it:     cofferdam approve --check {file} --key \
             KEY\n  or:          {sign}\n  hand it in:  {hand_in}"
        );
        return Ok(Report::new(text, value("not_signed", Some(&sign))));
    };
    let question = format!("It {what}. Sign it with the key {}? Type yes: ", fingerprint(&signer));
    if !yes && super::ask(&question)? != "yes" {
        bail!("not signed");
    }
    // The bytes that were checked and shown: the file may be another one by now.
    let signature = signer.sign(NAMESPACE, &bytes)?;
    let mut beside = OsString::from(path);
    beside.push(".sig");
    write(Path::new(&beside), &signature)?;
    let text = format!("Signed {file}; it {what}.\n  hand it in:  {hand_in}");
    Ok(Report::new(text, value("signed", None)))
}

/// The verdict and the reason of a statement that is exactly the one that this command makes of the
/// call.
fn compared(waiting: &mut WaitingCall, bytes: &[u8]) -> Result<(Verdict, String)> {
    let Statement { verdict, reason, stands_for, .. } =
        json::strict_into(bytes).context("the file is not a statement; nothing is shown")?;
    waiting.place = stands_for;
    // The question may have escalated after the statement was written.
    let is_ours = |at: Timestamp| -> Result<bool> {
        let (ours, _) = waiting.statement((verdict, reason.clone()), None, at).canonical()?;
        Ok(ours.as_bytes() == bytes)
    };
    if !is_ours(Timestamp::now())? && !is_ours(waiting.job.created)? {
        bail!(
            "the statement is not about the call in its file `.call`, or was changed on its way; \
             do not sign it, and get both files again"
        );
    }
    Ok((verdict, reason))
}
