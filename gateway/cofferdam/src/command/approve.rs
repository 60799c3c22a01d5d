//! `cofferdam approve` and `cofferdam deny`: shows a waiting call and signs exactly the shown text.
//! Renders plan and preview from the stored bytes and computes their digests: a compromised gateway
//! or recorder cannot obtain a signature for another plan. The call is in the installation of this
//! machine, at a gateway on another machine (`--server`), or in a file (`--check`).

mod check;
mod choose;
pub(super) mod files;
mod follow;
mod server;
mod sign;
mod source;
mod status;
mod waiting_call;
mod watch;

pub use files::{read_signature, read_signature_in, write_out};

use super::gateway_url::GatewayUrl;
use super::report::{Report, Usage};
use super::ssh::{self, Signer};
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use anyhow::{Result, bail};
use choose::Choice;
use clap::{Args, ValueHint};
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::model::trust::Trust;
use server::Server;
use sign::{Answer, Way};
use source::Source;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use waiting_call::WaitingCall;

/// Shows a waiting call, asks for `yes`, and signs the approval with your SSH key. If the call
/// changed or the key is not enrolled, nothing is signed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam approve              lists what waits, and asks \
                        which\n  cofferdam approve 4kq2\n  cofferdam approve 4kq2 --key \
                        ~/.ssh/id_ed25519 --export ~/approvals\n\nFrom another machine:\n  \
                        cofferdam approve --server https://gate.example.com\n  cofferdam approve \
                        4kq2 --server https://gate.example.com --key ~/.ssh/id_ed25519\n\nWithout \
                        a connection; the second and the third line on the other machine:\n  \
                        cofferdam approve 4kq2 --statement 4kq2.json\n  cofferdam approve \
                        --check 4kq2.json\n  ssh-keygen -Y sign -n approval@cofferdam.dev -f \
                        ~/.ssh/id_ed25519 4kq2.json\n  cofferdam approve 4kq2 --signature \
                        4kq2.json.sig\n\nAn encrypted key's passphrase \
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
    /// Show the call of a statement file; with `--key`, sign exactly that statement. Needs no
    /// connection and no installation
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
        conflicts_with_all = ["id", "export", "statement", "signature", "server"])]
    check: Option<PathBuf>,
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
    /// Sign in the place of this absent approver, by their delegation (`cofferdam approver delegate`)
    #[arg(long = "for", value_name = "NAME")]
    place: Option<String>,
    /// A signature of that statement, made with `ssh-keygen -Y sign`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "key")]
    signature: Option<PathBuf>,
    /// A gateway on another machine, such as `https://gate.example.com`; you sign in with your key
    #[arg(long, value_name = "URL", value_parser = GatewayUrl::parse, conflicts_with_all = ["statement", "signature"])]
    server: Option<GatewayUrl>,
    /// The certificate of that server or of its CA, as PEM [default: the CAs of this system]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "server")]
    ca: Option<PathBuf>,
}

/// The most characters of a reason, as of a purpose.
const REASON: usize = cofferdam_core::model::limit::PURPOSE;

impl Approve {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home, json: bool) -> Result<Report> {
        if let Some(path) = &self.check {
            let key = self.signing.key.as_deref();
            return check::check(path, self.full, key, self.yes);
        }
        if self.yes && self.id.is_none() {
            return Err(
                Usage("`--yes` signs the call that you name: give its id".to_owned()).into()
            );
        }
        let source = self.signing.source(home)?;
        let id = match choose::call(&source, self.id, json, "approve")? {
            Choice::Call(id) => id,
            Choice::List(report) => return Ok(report),
        };
        let mut waiting = WaitingCall::find(&source, &id)?;
        let answer = Answer {
            verdict: Verdict::Approve,
            reason: String::new(),
            wait: Duration::from_secs(self.wait),
        };
        let way = self.signing.way(&source, &mut waiting)?;
        if !self.yes && matches!(way, Way::Sign(_)) && !std::io::stdin().is_terminal() {
            return Err(Usage(
                "there is no terminal for the question; read the text with `cofferdam show ID \
                 --shown`, then \
                 give `--yes`"
                    .to_owned(),
            )
            .into());
        }
        waiting.show(Some(&source), self.full)?;
        if let (false, Way::Sign(signer)) = (self.yes, &way)
            && asked(
                &source,
                &waiting,
                &format!("Sign this with {}? Type yes: ", owner(&source, &waiting, signer)),
            )? != "yes"
        {
            bail!(
                "not signed; it still waits until {}, and `cofferdam deny {} --reason …` ends it",
                waiting.ends(),
                waiting.job.call
            );
        }
        sign::answer(&source, &waiting, &way, answer, self.signing.export.as_deref())
    }
}

impl Deny {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home, json: bool) -> Result<Report> {
        let source = self.signing.source(home)?;
        let id = match choose::call(&source, self.id, json, "deny")? {
            Choice::Call(id) => id,
            Choice::List(report) => return Ok(report),
        };
        let given = self.reason.as_deref().map(checked).transpose()?;
        let mut waiting = WaitingCall::find(&source, &id)?;
        let way = self.signing.way(&source, &mut waiting)?;
        waiting.show(Some(&source), false)?;
        let terminal = std::io::stdin().is_terminal();
        let reason = match given {
            Some(reason) => reason,
            None if terminal => checked(&ask("Reason of the denial, which the agent reads: ")?)?,
            None => checked("")?,
        };
        // A denial changes no infrastructure, so a script needs no `--yes`.
        if let (false, true, Way::Sign(signer)) = (self.yes, terminal, &way)
            && ask(&format!("Deny this with {}? Type yes: ", owner(&source, &waiting, signer)))?
                != "yes"
        {
            bail!("not denied; the call still waits until {}", waiting.ends());
        }
        let answer = Answer { verdict: Verdict::Reject, reason, wait: Duration::ZERO };
        sign::answer(&source, &waiting, &way, answer, self.signing.export.as_deref())
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

/// Asks on the terminal. The signatures of others are printed as they come.
fn asked(source: &Source<'_>, waiting: &WaitingCall, question: &str) -> Result<String> {
    let _watch = watch::watch(source, &waiting.job.call, &waiting.signers, question);
    ask(question)
}

/// The person whose key would sign, in words.
fn owner(source: &Source<'_>, waiting: &WaitingCall, signer: &Signer) -> String {
    if let Source::Server(server) = source {
        let name = server.approver();
        return format!("the key {}, which the server calls {name}", sign::fingerprint(signer));
    }
    let trust = waiting.trust.as_ref();
    trust.and_then(|trust| ssh::owner(&signer.public(), &trust.approvers)).map_or_else(
        || "a key that is not enrolled".to_owned(),
        |name| format!("the key of {name}"),
    )
}

/// Reads a variable that names a file.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

impl Signing {
    /// The place of the question: the home, or the server, where the approver signs in.
    fn source<'a>(&self, home: &'a Home) -> Result<Source<'a>> {
        let Some(url) = &self.server else { return Ok(Source::Home(home)) };
        let signer = Rc::new(Signer::find_own(self.key.as_deref(), variable)?);
        Ok(Source::Server(Server::sign_in(url.clone(), self.ca.as_deref(), signer)?))
    }

    /// Chooses between a key, a signature file, and a statement without a signature.
    fn way(&self, source: &Source<'_>, waiting: &mut WaitingCall) -> Result<Way> {
        waiting.place.clone_from(&self.place);
        if let Some(path) = &self.statement {
            return Ok(Way::Write(path.clone()));
        }
        if let Some(path) = &self.signature {
            return Ok(Way::Read(path.clone()));
        }
        let signer = match source {
            Source::Server(server) => server.signer(),
            Source::Home(home) => Rc::new(self.enrolled(home, waiting)?),
        };
        waiting.check_signer(&signer)?;
        Ok(Way::Sign(signer))
    }

    /// The key of this person, if the running `serve` knows it.
    fn enrolled(&self, home: &Home, waiting: &WaitingCall) -> Result<Signer> {
        let approvers = waiting.trust.as_ref().map(|trust| trust.approvers.as_slice());
        let approvers = approvers.unwrap_or_default();
        let found = Signer::find(self.key.as_deref(), approvers, variable)?;
        let enrolled = |trust: &Trust| ssh::owner(&found.public(), &trust.approvers).is_some();
        let later = || {
            TrustFile::open(home).and_then(|file| file.trust()).is_ok_and(|newer| enrolled(&newer))
        };
        if ssh::owner(&found.public(), approvers).is_none() && later() {
            bail!(
                "the trust file enrols your key, and the running `cofferdam serve` has not loaded \
                 it; load it with `cofferdam reload`"
            );
        }
        Ok(found)
    }
}
