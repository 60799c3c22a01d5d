//! `cofferdam approve` and `cofferdam deny`: shows a waiting call and signs exactly the shown text.
//! Renders plan and preview from the stored bytes and computes their digests: a compromised gateway
//! or recorder cannot obtain a signature for another plan.

mod choose;
mod files;
mod follow;
mod sign;
mod status;
mod waiting_call;

pub use files::write_out;

use super::report::{Report, Usage};
use super::ssh::{self, Signer};
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use anyhow::{Result, bail};
use choose::Choice;
use clap::{Args, ValueHint};
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::model::trust::Trust;
use sign::{Answer, Way};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use waiting_call::WaitingCall;

/// Shows a waiting call, asks for `yes`, and signs the approval with your SSH key. If the call
/// changed or the key is not enrolled, nothing is signed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam approve              lists what waits, and asks \
                        which\n  cofferdam approve 4kq2\n  cofferdam approve 4kq2 --key \
                        ~/.ssh/id_ed25519 --export ~/approvals\n\nSign on another machine:\n  \
                        cofferdam approve 4kq2 --statement 4kq2.json\n  ssh-keygen -Y sign -n \
                        approval@cofferdam.dev -f ~/.ssh/id_ed25519 4kq2.json\n  cofferdam \
                        approve 4kq2 --signature 4kq2.json.sig\n\nAn encrypted key's passphrase \
                        is asked for, or read from the file COFFERDAM_PASSPHRASE_FILE names.")]
pub struct Approve {
    /// The id of the call, or at least its first 4 characters; without it, waiting calls are listed
    id: Option<String>,
    #[command(flatten)]
    signing: Signing,
    /// Show every value in full before the text that is signed
    #[arg(long)]
    full: bool,
    /// Seconds to wait, after signing, for the result of the call
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=600))]
    wait: u64,
    /// Sign without a question, for scripts and tests; read the text with `cofferdam show ID
    /// --shown` first
    #[arg(long)]
    yes: bool,
}

/// Shows a waiting call and signs a denial with your SSH key. The call ends, and the agent reads
/// your reason.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam deny 4kq2 --reason \"not before the release\"\n  \
                        cofferdam deny              lists what waits, and asks which")]
pub struct Deny {
    /// The id of the call, or at least its first 4 characters; without it, waiting calls are listed
    id: Option<String>,
    /// Your reason, in one sentence; the agent reads it [default: asked for on a terminal]
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    signing: Signing,
    /// Sign without a question; without a terminal there is no question
    #[arg(long)]
    yes: bool,
}

/// The key, or the files, of a signature.
#[derive(Debug, Args)]
struct Signing {
    /// Your SSH key: a private key file, or the .pub file of a key in your SSH agent [default: the
    /// enrolled key in the agent]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key: Option<PathBuf>,
    /// Also write the statement and the signature to this folder, for `ssh-keygen -Y verify`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    export: Option<PathBuf>,
    /// Write the statement to this file and sign nothing; sign it elsewhere, then give
    /// `--signature`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["key", "export", "signature"])]
    statement: Option<PathBuf>,
    /// A signature of that statement, made with `ssh-keygen -Y sign`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "key")]
    signature: Option<PathBuf>,
}

/// The most characters of a reason, as of a purpose.
const REASON: usize = cofferdam_core::model::limit::PURPOSE;

impl Approve {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home, json: bool) -> Result<Report> {
        if self.yes && self.id.is_none() {
            return Err(
                Usage("`--yes` signs the call that you name: give its id".to_owned()).into()
            );
        }
        let id = match choose::call(home, self.id, json, "approve")? {
            Choice::Call(id) => id,
            Choice::List(report) => return Ok(report),
        };
        let waiting = WaitingCall::find(home, &id)?;
        let answer = Answer {
            verdict: Verdict::Approve,
            reason: String::new(),
            wait: Duration::from_secs(self.wait),
        };
        let way = self.signing.way(home, &waiting)?;
        if !self.yes && matches!(way, Way::Sign(_)) && !std::io::stdin().is_terminal() {
            return Err(Usage(
                "there is no terminal for the question; read the text with `cofferdam show ID \
                 --shown`, then \
                 give `--yes`"
                    .to_owned(),
            )
            .into());
        }
        waiting.show(home, self.full)?;
        if let (false, Way::Sign(signer)) = (self.yes, &way)
            && ask(&format!("Sign this with {}? Type yes: ", waiting.name_of(signer)))? != "yes"
        {
            bail!(
                "not signed; it still waits until {}, and `cofferdam deny {} --reason …` ends it",
                waiting.ends(),
                waiting.job.call
            );
        }
        sign::answer(home, &waiting, &way, answer, self.signing.export.as_deref())
    }
}

impl Deny {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home, json: bool) -> Result<Report> {
        let id = match choose::call(home, self.id, json, "deny")? {
            Choice::Call(id) => id,
            Choice::List(report) => return Ok(report),
        };
        let given = self.reason.as_deref().map(checked).transpose()?;
        let waiting = WaitingCall::find(home, &id)?;
        let way = self.signing.way(home, &waiting)?;
        waiting.show(home, false)?;
        let terminal = std::io::stdin().is_terminal();
        let reason = match given {
            Some(reason) => reason,
            None if terminal => checked(&ask("Reason of the denial, which the agent reads: ")?)?,
            None => checked("")?,
        };
        // A denial changes no infrastructure, so a script needs no `--yes`.
        if let (false, true, Way::Sign(signer)) = (self.yes, terminal, &way)
            && ask(&format!("Deny this with {}? Type yes: ", waiting.name_of(signer)))? != "yes"
        {
            bail!("not denied; the call still waits until {}", waiting.ends());
        }
        let answer = Answer { verdict: Verdict::Reject, reason, wait: Duration::ZERO };
        sign::answer(home, &waiting, &way, answer, self.signing.export.as_deref())
    }
}

/// Checks a reason: not empty, not too long, without invisible characters.
fn checked(reason: &str) -> Result<String> {
    let reason = reason.trim();
    if reason.is_empty()
        || reason.chars().count() > REASON
        || cofferdam_core::model::escape::unseen(reason).is_some()
    {
        return Err(Usage(format!(
            "give a `--reason` of 1 to {REASON} visible characters; the agent reads it"
        ))
        .into());
    }
    Ok(reason.to_owned())
}

/// Asks on the terminal and returns the trimmed answer.
fn ask(question: &str) -> Result<String> {
    eprint!("{question}");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

impl Signing {
    /// Chooses between a key, a signature file, and a statement without a signature.
    fn way(&self, home: &Home, waiting: &WaitingCall) -> Result<Way> {
        let trust = &waiting.trust;
        if let Some(path) = &self.statement {
            return Ok(Way::Write(path.clone()));
        }
        if let Some(path) = &self.signature {
            return Ok(Way::Read(path.clone()));
        }
        let found = Signer::find(self.key.as_deref(), &trust.approvers, |name| {
            std::env::var_os(name).map(PathBuf::from)
        })?;
        let enrolled = |trust: &Trust| ssh::owner(&found.public(), &trust.approvers).is_some();
        let later = || {
            TrustFile::open(home).and_then(|file| file.trust()).is_ok_and(|newer| enrolled(&newer))
        };
        if !enrolled(trust) && later() {
            bail!(
                "the trust file enrols your key, and the running `cofferdam serve` has not loaded \
                 it; load it with `cofferdam reload`"
            );
        }
        waiting.check_signer(&found)?;
        Ok(Way::Sign(found))
    }
}
