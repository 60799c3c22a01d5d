//! `cofferdam approver verify`: checks an exported approval offline, with the keys that the caller
//! brings. Needs no installation, and never asks a gateway or a recorder.

use crate::command::approve::read_signature;
use crate::command::input_file;
use crate::command::report::Report;
use crate::command::ssh::signer_of;
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueHint};
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::json;
use cofferdam_core::model::statement::{SignedStatement, Statement, Verdict};
use cofferdam_core::model::trust::Approver;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;

/// Checks an exported approval, by SSH key or passkey, with the approvers in a file.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam approver verify 4kq2.bob.json --signature \
                        4kq2.bob.json.passkey --approvers approvers.toml")]
pub struct Verify {
    /// The statement that was signed
    #[arg(value_hint = ValueHint::FilePath)]
    statement: PathBuf,
    /// Its signature: of `ssh-keygen`, or a passkey's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    signature: PathBuf,
    /// The enrolled keys: a trust file, or one with its `[[approver]]` entries alone
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath)]
    approvers: PathBuf,
}

/// The part of a trust file that is needed.
#[derive(Debug, Deserialize)]
struct Approvers {
    #[serde(default)]
    approver: Vec<Approver>,
}

impl Verify {
    /// Runs the command and returns its report.
    pub fn run(self) -> Result<Report> {
        let statement = input_file::text(&self.statement, "give the exported statement")?;
        let said: Statement = json::strict_into(statement.as_bytes())
            .with_context(|| format!("`{}` is not a statement", self.statement.display()))?;
        let text = input_file::text(&self.approvers, "give a trust file")?;
        let known: Approvers = toml::from_str(&text)
            .with_context(|| format!("`{}` has no approvers", self.approvers.display()))?;
        let signature = read_signature(&self.signature)?;
        let signed = SignedStatement { statement, signature };
        let Some(approver) = signer_of(&signed, &known.approver) else {
            bail!(
                "no key in `{}` made this signature over this statement",
                self.approvers.display()
            );
        };
        let verb = match said.verdict {
            Verdict::Approve => "approved",
            Verdict::Reject => "denied",
        };
        let text = format!(
            "Good signature: {} {verb} {} in {}.",
            approver.name,
            said.call,
            legible(&said.environment.name)
        );
        let value = json!({"approver": approver.name, "verdict": said.verdict, "call": said.call,
            "plan": said.plan, "environment": said.environment});
        Ok(Report::new(text, value))
    }
}
