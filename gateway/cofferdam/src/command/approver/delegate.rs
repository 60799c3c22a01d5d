//! `cofferdam approver delegate`: an absent approver lets another one sign in their place for a time.
//! The absent one signs the delegation; an operator alone cannot make one.

use crate::command::approve::files::quoted;
use crate::command::input_file;
use crate::command::reload;
use crate::command::report::{Report, Usage};
use crate::command::ssh::{self, Signer};
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueHint};
use cofferdam_core::model::delegation::{
    DELEGATION_NAMESPACE, DELEGATION_SCHEMA, Delegation, SignedDelegation,
};
use cofferdam_core::model::json;
use cofferdam_core::model::person::same_person;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::policy::delegation::{holds, verify};
use cofferdam_core::text::seconds;
use jiff::Timestamp;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Largest files of a delegation and its signature, in bytes: names and an armoured signature.
const LONGEST: u64 = 16 * 1024;

/// Lets another approver sign in a person's place for a time. The person signs it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam approver delegate --from bob@example.com --to \
                        carl@example.com --until 2026-12-10T08:00:00Z --key ~/.ssh/id_ed25519\n  \
                        cofferdam approver delegate --from bob@example.com --to carl@example.com \
                        --until 2026-12-10T08:00:00Z --write holiday.json\n  cofferdam approver \
                        delegate --statement holiday.json --signature holiday.json.sig\n  \
                        cofferdam approver delegate --end --from bob@example.com")]
pub struct Delegate {
    /// The absent approver, who signs the delegation
    #[arg(long, value_name = "NAME", required_unless_present = "statement")]
    from: Option<String>,
    /// The approver who signs in their place
    #[arg(long, value_name = "NAME", required_unless_present_any = ["statement", "end"])]
    to: Option<String>,
    /// The end, at most 30 days from now
    #[arg(long, value_name = "TIME", required_unless_present_any = ["statement", "end"])]
    until: Option<Timestamp>,
    /// The private key of the absent approver, or the `.pub` file of a key in the SSH agent
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key: Option<PathBuf>,
    /// Write the delegation to a file, for a signature on another machine
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "key")]
    write: Option<PathBuf>,
    /// The file that `--write` made
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "signature",
          conflicts_with_all = ["from", "to", "until", "key", "write"])]
    statement: Option<PathBuf>,
    /// The signature of that file, by `ssh-keygen -Y sign`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "statement")]
    signature: Option<PathBuf>,
    /// End the delegations of this person, at once
    #[arg(long, conflicts_with_all = ["until", "key", "write", "statement"])]
    end: bool,
}

impl Delegate {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let file = TrustFile::open(home)?;
        let trust = file.trust()?;
        if self.end {
            let from = self.from.context("name the person with `--from`")?;
            return end(home, file, &trust, (&from, self.to.as_deref()));
        }
        if let (Some(statement), Some(signature)) = (&self.statement, &self.signature) {
            let delegation = read(statement, "give the file that `--write` made")?;
            let signature = read(signature, "give the file that `ssh-keygen -Y sign` made")?;
            return add(home, file, &trust, SignedDelegation { delegation, signature });
        }
        let (Some(from), Some(to), Some(until)) = (self.from, self.to, self.until) else {
            return Err(Usage("give `--from`, `--to` and `--until`".to_owned()).into());
        };
        for name in [&from, &to] {
            enrolled(name, &trust)?;
        }
        let delegation = json::canonical(&Delegation {
            schema: DELEGATION_SCHEMA.to_owned(),
            from: from.clone(),
            to,
            environment: trust.environment.clone(),
            issued: Timestamp::from_second(Timestamp::now().as_second())?,
            until,
        })?;
        if let Some(path) = self.write {
            return written(&path, &delegation);
        }
        let own: Vec<_> =
            trust.approvers.iter().filter(|known| known.name == from).cloned().collect();
        let signer = Signer::find(self.key.as_deref(), &own, |name| {
            std::env::var_os(name).map(PathBuf::from)
        })?;
        if ssh::owner(&signer.public(), &own).is_none() {
            bail!(
                "the key is not one of `{from}`; a delegation is signed by the person who is \
                 absent: sign it with their key, or let them sign the file of `--write FILE`"
            );
        }
        let signature = signer.sign(DELEGATION_NAMESPACE, delegation.as_bytes())?;
        add(home, file, &trust, SignedDelegation { delegation, signature })
    }
}

fn read(path: &Path, remedy: &str) -> Result<String> {
    let bytes = input_file::regular(path, LONGEST, remedy)?;
    String::from_utf8(bytes).with_context(|| format!("`{}` is not text; {remedy}", path.display()))
}

fn enrolled(name: &str, trust: &Trust) -> Result<()> {
    if trust.approvers.iter().any(|known| known.name == name) {
        return Ok(());
    }
    match trust.approvers.iter().find(|known| same_person(&known.name, name)) {
        Some(known) => bail!("`{name}` is enrolled as `{0}`; use exactly `{0}`", known.name),
        None => bail!("`{name}` is not enrolled; `cofferdam approver list` lists all approvers"),
    }
}

fn written(path: &Path, delegation: &str) -> Result<Report> {
    std::fs::write(path, delegation)
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    let file = quoted(&path.to_string_lossy());
    let sign = format!("ssh-keygen -Y sign -n {DELEGATION_NAMESPACE} -f KEY {file}");
    Ok(Report::new(
        format!(
            "Wrote {file}. The absent approver signs it:\n  {sign}\nThen hand it in:\n  cofferdam \
             approver delegate --statement {file} --signature {file}.sig"
        ),
        json!({"statement": path, "sign": sign}),
    ))
}

fn add(
    home: &Home,
    mut file: TrustFile,
    trust: &Trust,
    signed: SignedDelegation,
) -> Result<Report> {
    let found = verify(&signed, &trust.approvers, &trust.environment)?;
    if !holds(&found, Timestamp::now()) {
        bail!("the delegation does not hold now: it is for {}", time(&found));
    }
    if trust.delegations.contains(&signed) {
        bail!("this delegation is there already; `cofferdam approver list` lists all");
    }
    // Those that ended take no place.
    let kept: Vec<_> =
        trust.delegations.iter().filter(|own| !is_over(own, trust)).cloned().collect();
    file.retain_delegations(&kept)?;
    file.add_delegation(&signed)?;
    file.save()?;
    let Delegation { from, to, .. } = &found;
    let (after, loaded) = reload::after(home, &format!("`{to}` may sign for `{from}`"))?;
    Ok(Report::new(
        format!(
            "`{to}` signs in the place of `{from}`, {}. {after}\nIt is one voice: if both sign a \
             call, it counts once. End it with `cofferdam approver delegate --end --from {from}`.",
            time(&found)
        ),
        json!({"from": from, "to": to, "issued": found.issued, "until": found.until,
            "loaded": loaded}),
    ))
}

/// True if a delegation can count no more.
fn is_over(signed: &SignedDelegation, trust: &Trust) -> bool {
    verify(signed, &trust.approvers, &trust.environment)
        .map_or(true, |found| found.until <= Timestamp::now())
}

fn time(found: &Delegation) -> String {
    format!("from {} until {}", seconds(found.issued), seconds(found.until))
}

fn end(
    home: &Home,
    mut file: TrustFile,
    trust: &Trust,
    (from, to): (&str, Option<&str>),
) -> Result<Report> {
    let ends = |signed: &SignedDelegation| {
        json::strict_into::<Delegation>(signed.delegation.as_bytes())
            .is_ok_and(|found| found.from == from && to.is_none_or(|to| found.to == to))
    };
    let kept: Vec<_> = trust.delegations.iter().filter(|own| !ends(own)).cloned().collect();
    let gone = file.retain_delegations(&kept)?;
    if gone == 0 {
        bail!("`{from}` has no such delegation; `cofferdam approver list` lists all");
    }
    file.save()?;
    super::remove_everywhere(home)?;
    let loaded = reload::now(home).is_ok_and(|loaded| loaded);
    Ok(Report::new(
        format!(
            "The delegations of `{from}` have ended, at once: {gone}. Signatures in that place count \
             no more for calls that have not run."
        ),
        json!({"from": from, "ended": gone, "loaded": loaded}),
    ))
}

/// The delegations of a trust file in lines, for the list of approvers.
pub fn listed(trust: &Trust) -> Vec<(String, serde_json::Value)> {
    let one = |signed: &SignedDelegation| match verify(signed, &trust.approvers, &trust.environment)
    {
        Ok(found) => {
            let now = holds(&found, Timestamp::now());
            let over = if now { "" } else { " (does not hold now)" };
            let text = format!("{} signs for {}, {}{over}", found.to, found.from, time(&found));
            let value = json!({"from": found.from, "to": found.to, "issued": found.issued,
                "until": found.until, "holds": now});
            (text, value)
        }
        Err(error) => (format!("does not count: {error}"), json!({"error": error.to_string()})),
    };
    trust.delegations.iter().map(one).collect()
}
