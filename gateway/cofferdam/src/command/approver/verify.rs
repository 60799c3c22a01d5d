//! `cofferdam approver verify`: checks an exported approval offline, with the keys that the caller
//! brings. Needs no installation, and never asks a gateway or a recorder.

use crate::command::approve::read_signature;
use crate::command::approvers_file;
use crate::command::input_file;
use crate::command::report::Report;
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueHint};
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::statement::{SignedStatement, Verdict};
use cofferdam_core::policy::approval::{ApprovalError, verify_alone};
use cofferdam_core::text::seconds;
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

impl Verify {
    /// Runs the command and returns its report.
    pub fn run(self) -> Result<Report> {
        let statement = input_file::text(&self.statement, "give the exported statement")?;
        let known = approvers_file::read(&self.approvers)?;
        let signature = read_signature(&self.signature)?;
        let signed = SignedStatement { statement, signature };
        let (approver, said) = match verify_alone(&signed, &known.approvers) {
            Ok(verified) => verified,
            Err(ApprovalError::Unknown) => bail!(
                "no key in `{}` made this signature over this statement",
                self.approvers.display()
            ),
            Err(error) => return Err(error).context("the signature does not count"),
        };
        let verb = match said.verdict {
            Verdict::Approve => "approved",
            Verdict::Reject => "denied",
        };
        let place = said.stands_for.as_ref();
        let place = place.map(|absent| format!(", in the place of {},", legible(absent)));
        let place = place.unwrap_or_default();
        let text = format!(
            "Good signature: {}{place} {verb} {} in {}.\nAsked {}; it counted until {}. Policy and time \
             are for gateway and runner to judge.",
            approver.name,
            said.call,
            legible(&said.environment.name),
            said.issued.map_or_else(
                || "at an unknown time".to_owned(),
                |at| format!("at {}", seconds(at))
            ),
            seconds(said.expires)
        );
        let value = json!({"approver": approver.name, "stands_for": said.stands_for, "verdict": said.verdict, "call": said.call,
            "plan": said.plan, "environment": said.environment, "issued": said.issued, "expires": said.expires});
        Ok(Report::new(text, value))
    }
}
