//! `cofferdam approve` and `cofferdam deny`: shows what waits for a person and has them sign exactly that. Renders plan and preview itself from the
//! stored bytes and signs digests that it computed itself: a gateway or recorder that lies can at most be refused.

use super::operator;
use super::report::{Report, Usage};
use super::ssh::{self, Signer};
use super::trustfile::TrustFile;
use crate::home::Home;
use crate::served;
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueHint};
use cofferdam_core::approval::{
    ApprovalFault, NAMESPACE, Question, STATEMENT_SCHEMA, SignedStatement, Statement, Verdict, check_signer, verify,
};
use cofferdam_core::exchange::operate::{Operate, Operated};
use cofferdam_core::hash::Document;
use cofferdam_core::id::{CallId, ShownDigest};
use cofferdam_core::job::StoredJob;
use cofferdam_core::json;
use cofferdam_core::plan::facts_of;
use cofferdam_core::preview::{Preview, drift};
use cofferdam_core::run::{Outcome, Phase};
use cofferdam_core::shown::question;
use cofferdam_core::text::line;
use cofferdam_core::trust::Trust;
use jiff::Timestamp;
use serde_json::json;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Shows what waits, asks, and signs it with the SSH key you have.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cofferdam jobs --waiting\n  cofferdam approve 4kq2\n  cofferdam approve 4kq2 --key ~/.ssh/id_ed25519 --export ~/approvals\n\n\
    An encrypted key's passphrase is asked for, or read from the file COFFERDAM_PASSPHRASE_FILE names."
)]
pub struct Approve {
    /// The call's id, or the beginning of one
    id: String,
    #[command(flatten)]
    signing: Signing,
    /// Sign without asking, after you read all of it with `cofferdam show ID --shown`; for scripts and tests
    #[arg(long)]
    yes: bool,
}

/// Shows what waits and signs that it must not run. The agent is told your reason.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam deny 4kq2 --reason \"not before the release\"")]
pub struct Deny {
    /// The call's id, or the beginning of one
    id: String,
    /// Why, in a sentence that the agent is told
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    signing: Signing,
    /// Sign without asking; without a terminal it is never asked
    #[arg(long)]
    yes: bool,
}

/// How to sign.
#[derive(Debug, Args)]
struct Signing {
    /// Your SSH key: a private key file, or the .pub of one that your SSH agent holds [default: the agent's enrolled key]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key: Option<PathBuf>,
    /// Also write statement and signature here, for `ssh-keygen -Y verify`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    export: Option<PathBuf>,
}

/// Characters of a reason: two sentences, as of a purpose.
const REASON: usize = cofferdam_core::limit::PURPOSE;

impl Approve {
    /// Runs it.
    pub fn run(self, home: &Home) -> Result<Report> {
        let waiting = Waiting::find(home, &self.id)?;
        let signer = self.signing.signer(home, &waiting.trust)?;
        waiting.check_signer(&signer)?;
        if !self.yes {
            if !std::io::stdin().is_terminal() {
                return Err(Usage(
                    "there is no terminal to ask on; read it with `cofferdam show ID --shown`, then give `--yes`".to_owned(),
                )
                .into());
            }
            waiting.show();
            if !waiting.asked(&format!("Sign this with {}?", waiting.name_of(&signer)))? {
                bail!(
                    "not signed; it still waits until {}, and `cofferdam deny {} --reason …` ends it",
                    waiting.job.expires.strftime("%Y-%m-%d %H:%M:%SZ"),
                    waiting.job.call
                );
            }
        } else {
            waiting.show();
        }
        waiting.sign(home, &signer, Verdict::Approve, String::new(), self.signing.export.as_deref())
    }
}

impl Deny {
    /// Runs it.
    pub fn run(self, home: &Home) -> Result<Report> {
        let reason = self.reason.trim().to_owned();
        if reason.is_empty() || reason.chars().count() > REASON || cofferdam_core::text::unseen(&reason).is_some() {
            return Err(Usage(format!("give a reason of 1 to {REASON} visible characters: the agent is told it")).into());
        }
        let waiting = Waiting::find(home, &self.id)?;
        let signer = self.signing.signer(home, &waiting.trust)?;
        waiting.check_signer(&signer)?;
        waiting.show();
        // A denial changes nothing, so a script needs no `--yes` for it.
        let ask = !self.yes && std::io::stdin().is_terminal();
        if ask && !waiting.asked(&format!("Deny this with {}?", waiting.name_of(&signer)))? {
            bail!("not denied; the call still waits until {}", waiting.job.expires.strftime("%Y-%m-%d %H:%M:%SZ"));
        }
        waiting.sign(home, &signer, Verdict::Reject, reason, self.signing.export.as_deref())
    }
}

impl Signing {
    fn signer(&self, home: &Home, trust: &Trust) -> Result<Signer> {
        let found = Signer::find(self.key.as_deref(), &trust.approvers, |name| std::env::var_os(name).map(PathBuf::from))?;
        let enrolled = |trust: &Trust| ssh::owner(&found.public(), &trust.approvers).is_some();
        let later = || TrustFile::open(home).and_then(|file| file.trust()).is_ok_and(|newer| enrolled(&newer));
        if !enrolled(trust) && later() {
            bail!("your key was enrolled after `cofferdam serve` was started; it is used after the next start");
        }
        Ok(found)
    }
}

/// A call that waits for a person, checked and rendered.
struct Waiting {
    trust: Trust,
    job: StoredJob,
    shown: String,
    digest: ShownDigest,
}

impl Waiting {
    fn find(home: &Home, id: &str) -> Result<Self> {
        // What the roles use, which is what was served: the home's own may be newer.
        let trust = TrustFile::open(&served::in_use(home))?.trust()?;
        let Operated::Story { job, view, call, .. } = operator::ask(home, &Operate::Show { call: id.to_owned() })? else {
            return Err(operator::unexpected());
        };
        // A recorder that answers with another call than was asked for would choose what is signed.
        if !call.as_str().starts_with(id) || job.as_ref().is_some_and(|job| job.call != call) {
            bail!("the recorder answered with another call than `{id}`; nothing was signed, and the recorder has to be looked at");
        }
        let (Some(job), Some(view)) = (job, view) else {
            bail!("the call {call} ended without a job: nothing waits for a person; `cofferdam show {call}` tells it");
        };
        if view.phase != Phase::AwaitingApproval {
            let outcome = view.outcome.map(|outcome| format!(", {outcome}")).unwrap_or_default();
            let why = if view.detail.is_empty() { String::new() } else { format!(" ({})", line(&view.detail)) };
            bail!(
                "the call {call} does not wait for a person: it is {}{outcome}{why}; `cofferdam jobs --waiting` lists those that do",
                view.phase
            );
        }
        Self::check(*job, trust)
    }

    /// Believes nothing of the job but its bytes.
    fn check(job: StoredJob, trust: Trust) -> Result<Self> {
        // Reads plan and preview strictly and computes their digests itself; what does not fit together is not shown, let alone signed.
        let (shown, digest) = question(&job).context("it cannot be shown truthfully, so it is not signed")?;
        let (plan, _) = Document::read(&job.plan)?;
        let preview: Preview = json::strict_into(job.preview.as_bytes())?;
        about_the_plan(&plan, &preview)?;
        if job.environment != trust.environment {
            bail!(
                "this is about the environment `{}`, not `{}` of your trust file; it is not signed",
                job.environment.name,
                trust.environment.name
            );
        }
        if job.policy != trust.policy {
            bail!("the policy changed since it was asked; the agent has to ask again");
        }
        Ok(Self { trust, job, shown, digest })
    }

    /// Refuses a person whose signature cannot count, before they read the question.
    fn check_signer(&self, signer: &Signer) -> Result<()> {
        let name = ssh::owner(&signer.public(), &self.trust.approvers).ok_or(ApprovalFault::Unknown)?;
        let named = self.job.approval.as_ref().map(|rule| rule.approvers.as_slice()).unwrap_or_default();
        Ok(check_signer(name, named, &self.job.principal.subject(), &self.trust)?)
    }

    /// The text that is signed, and what is not in it because it changes: who signed already.
    fn show(&self) {
        eprintln!("{}", self.shown);
        let signed = self.job.statements.iter().filter_map(|signed| ssh::signer_of(signed, &self.trust.approvers));
        let names: Vec<&str> = signed.map(|approver| approver.name.as_str()).collect();
        if !names.is_empty() {
            eprintln!("Signed already by {}.", names.join(", "));
        }
    }

    /// Whether the person at the terminal types yes.
    fn asked(&self, question: &str) -> Result<bool> {
        eprint!("{question} Type yes: ");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        Ok(answer.trim() == "yes")
    }

    fn name_of(&self, signer: &Signer) -> String {
        ssh::owner(&signer.public(), &self.trust.approvers)
            .map_or_else(|| "a key that is not enrolled".to_owned(), |name| format!("the key of {name}"))
    }

    fn statement(&self, verdict: Verdict, reason: String) -> Statement {
        Statement {
            schema: STATEMENT_SCHEMA.to_owned(),
            call: self.job.call.clone(),
            verdict,
            reason,
            plan: self.job.plan_digest,
            preview: self.job.preview_digest,
            shown: self.digest,
            subject: self.job.principal.subject(),
            environment: self.trust.environment.clone(),
            policy: self.trust.policy,
            nonce: self.job.nonce.clone(),
            expires: self.job.expires,
        }
    }

    fn sign(&self, home: &Home, signer: &Signer, verdict: Verdict, reason: String, export: Option<&Path>) -> Result<Report> {
        let (statement, digest) = self.statement(verdict, reason).canonical()?;
        let signature = signer.sign(NAMESPACE, statement.as_bytes())?;
        let signed = SignedStatement { statement, signature };
        // What the recorder would refuse is refused here, with the same words, before it leaves this process.
        let subject = self.job.principal.subject();
        let question = Question {
            call: &self.job.call,
            plan: self.job.plan_digest,
            preview: self.job.preview_digest,
            subject: &subject,
            environment: &self.trust.environment,
            policy: self.trust.policy,
            now: Timestamp::now(),
        };
        verify(&signed, &question, &self.trust)?;
        let Operated::Signed { approver, missing } =
            operator::ask(home, &Operate::Sign { call: self.job.call.clone(), signed: signed.clone() })?
        else {
            return Err(operator::unexpected());
        };
        let call = &self.job.call;
        let became = if (verdict, missing) == (Verdict::Approve, 0) { became(home, call) } else { None };
        let mut text = match (verdict, missing) {
            (Verdict::Reject, _) => format!("Denied {call} as {approver}. The agent will see your reason."),
            (Verdict::Approve, 0) => {
                format!(
                    "Approved {call} as {approver}: {}",
                    became.as_deref().unwrap_or("it is on its way to a runner, and is checked again there.")
                )
            }
            (Verdict::Approve, 1) => format!("Approved {call} as {approver}: 1 more signature is needed."),
            (Verdict::Approve, more) => format!("Approved {call} as {approver}: {more} more signatures are needed."),
        };
        text.push_str(&format!("\n  follow it: cofferdam show {call}"));
        let mut files = None;
        if let Some(folder) = export {
            let written = write_out(folder, &self.job.call.to_string(), &approver, &signer.public().to_openssh()?, &signed)?;
            text.push_str(&format!("\n  check it:  {}", written.command));
            files = Some(
                json!({"statement": written.statement, "signature": written.signature, "allowed_signers": written.allowed, "command": written.command}),
            );
        }
        Ok(Report::new(
            text,
            json!({"call": self.job.call, "verdict": verdict, "approver": approver, "missing": missing, "statement": digest, "files": files}),
        ))
    }
}

/// How long a person is kept for the end of what they approved, and how often it is looked at.
const FOLLOW: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(200);

/// What became of an approved call, if that shows within a moment.
fn became(home: &Home, call: &CallId) -> Option<String> {
    let until = Instant::now() + FOLLOW;
    loop {
        let Ok(Operated::Story { view: Some(view), .. }) = operator::ask(home, &Operate::Show { call: call.to_string() }) else {
            return None;
        };
        if let Some(outcome) = view.outcome {
            let detail = if view.detail.is_empty() { String::new() } else { format!(" ({})", line(&view.detail)) };
            return Some(match outcome {
                Outcome::Succeeded => match drift::sentence(&view.meanwhile) {
                    Some(changed) => format!("it ran, and succeeded. Since you were asked: {}.", line(&changed)),
                    None => "it ran, and succeeded.".to_owned(),
                },
                other => format!("it did not succeed: {other}{detail}."),
            });
        }
        if Instant::now() >= until {
            return Some(format!("it is {} now.", view.phase.word().replace('_', " ")));
        }
        std::thread::sleep(LOOK);
    }
}

/// Refuses a preview that tells of other objects than the plan, or leaves one of them out: the person would sign what they did not see.
fn about_the_plan(plan: &Document, preview: &Preview) -> Result<()> {
    let facts = facts_of(&plan.operations)?;
    for fact in facts.iter().filter(|fact| !fact.namespace.is_empty()) {
        let seen = preview.operations.iter().filter(|seen| seen.index == fact.index).collect::<Vec<_>>();
        let [seen] = seen.as_slice() else { bail!("operation {} has no preview of its own; it is not signed", fact.index) };
        let target = &seen.target;
        let same = (&target.group, &target.version, &target.kind, &target.namespace, &target.name)
            == (&fact.group, &fact.version, &fact.kind, &fact.namespace, &fact.name);
        if !same {
            bail!("operation {} is about {} {}, its preview about {target}; it is not signed", fact.index, fact.kind, fact.name);
        }
    }
    if let Some(stray) = preview.operations.iter().find(|seen| !facts.iter().any(|fact| fact.index == seen.index)) {
        bail!("the preview tells of an operation {} that the plan does not have; it is not signed", stray.index);
    }
    Ok(())
}

/// A statement and its signature as files.
pub struct Written {
    /// The statement's file.
    pub statement: PathBuf,
    /// The signature's file.
    pub signature: PathBuf,
    /// The file with the signer's name and key.
    pub allowed: PathBuf,
    /// What checks it.
    pub command: String,
}

/// Writes them for `ssh-keygen -Y verify`.
pub fn write_out(folder: &Path, id: &str, approver: &str, key: &str, signed: &SignedStatement) -> Result<Written> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    let stem = format!("{id}.{}", approver.replace(['/', '\\'], "_"));
    let statement = folder.join(format!("{stem}.json"));
    let signature = folder.join(format!("{stem}.json.sig"));
    let allowed = folder.join(format!("{stem}.allowed_signers"));
    let line = format!("{approver} namespaces=\"{NAMESPACE}\" {key}\n");
    for (path, text) in [(&statement, &signed.statement), (&signature, &signed.signature), (&allowed, &line)] {
        std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    let command = format!(
        "ssh-keygen -Y verify -f {} -I {approver} -n {NAMESPACE} -s {} < {}",
        quoted(&allowed),
        quoted(&signature),
        quoted(&statement)
    );
    Ok(Written { statement, signature, allowed, command })
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-@+:".contains(letter));
    if plain { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
