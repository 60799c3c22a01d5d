//! `cofferdam ledger verify`: checks a ledger with files and keys that the caller brings, on any
//! machine. Never asks a gateway or a recorder.

use super::{Key, OLDER};
use crate::command::approvers_file;
use crate::command::input_file;
use crate::command::report::Report;
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use anyhow::Result;
use clap::{Args, ValueHint};
use cofferdam_core::model::escape::legible;
use cofferdam_recorder::ledger::approvals::payloads::FILE;
use cofferdam_recorder::ledger::approvals::{ApprovalReport, CallApprovals, People, Signer};
use cofferdam_recorder::ledger::verify::{self, verify};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Checks every entry, every tile, the checkpoint and the signatures of people.
#[derive(Debug, Args)]
pub struct Verify {
    /// The folder of the ledger, with `checkpoint` and `tile` [default: the ledger of this
    /// installation]
    #[arg(value_hint = ValueHint::DirPath)]
    folder: Option<PathBuf>,
    #[command(flatten)]
    key: Key,
    /// A checkpoint that was kept elsewhere; without it, the check cannot detect a ledger that the
    /// holder of the key rewrote
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    older: Option<PathBuf>,
    /// The people whose signatures count: a trust file, or one with its `[[approver]]` entries
    /// [default: the trust file of this installation]
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath)]
    approvers: Option<PathBuf>,
}

impl Verify {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let people = match &self.approvers {
            Some(path) => Some(approvers_file::read(path)?),
            // Another machine has no installation.
            None if !home.trust().exists() => None,
            None => TrustFile::open(home)?.trust().map(|trust| {
                Some(People {
                    approvers: trust.approvers,
                    expected: false,
                    self_approval: trust.self_approval,
                })
            })?,
        };
        let folder = self.folder.unwrap_or_else(|| home.ledger());
        let older = self.older.map(|path| input_file::text(&path, OLDER)).transpose()?;
        let found = verify(&folder, &self.key.read(home)?, older.as_deref(), people.as_ref())?;
        Ok(Report::new(lines(&found).join("\n"), value(&found)).good(found.is_sound()))
    }
}

/// The result for people.
fn lines(found: &verify::Report) -> Vec<String> {
    let mut lines = if found.is_sound() {
        let unproven: u64 = found.approvals.calls.iter().map(|call| call.unproven).sum();
        let but = match unproven {
            0 => String::new(),
            many => format!(" Signatures of people that are not proven: {many}."),
        };
        vec![format!("Sound: {} entries of {}, as signed.{but}", found.size, found.origin)]
    } else {
        let many = found.errors.len() as u64 + found.approvals.count;
        let first = found
            .first_bad()
            .map_or_else(|| "no single entry".to_owned(), |entry| format!("entry {entry}"));
        vec![format!("BROKEN: {many} fault(s); the first is about {first}.")]
    };
    let place = |entry: Option<u64>| entry.map(|entry| format!("entry {entry}, "));
    lines.extend(found.errors.iter().map(|error| {
        format!("  {}{}: {}", place(error.entry).unwrap_or_default(), error.file, error.what)
    }));
    lines.extend(found.approvals.errors.iter().map(|error| {
        let call = error.call.as_ref().map(|call| format!(" of {call}")).unwrap_or_default();
        let place = place(error.entry).unwrap_or_default();
        format!("  {place}{}{call}: {}", error.code.word(), legible(&error.to_string()))
    }));
    lines.extend(found.approvals.calls.iter().filter_map(call_line));
    lines.extend(found.unproven.iter().map(|what| format!("Not proven: {what}.")));
    lines.extend(found.removed.iter().map(|what| format!("Removed by retention: {what}.")));
    lines
}

/// The signatures of one call, in a line; `None` without any.
fn call_line(call: &CallApprovals) -> Option<String> {
    let named = |signers: &[Signer]| {
        let one = |signer: &Signer| {
            let place =
                signer.stands_for.as_ref().map(|absent| format!(" for {}", legible(absent)));
            format!("{}{} ({})", legible(&signer.name), place.unwrap_or_default(), kind(signer))
        };
        signers.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let mut facts = Vec::new();
    if !call.approved.is_empty() {
        let needed = call.needed.map(|needed| format!(", {needed} needed")).unwrap_or_default();
        facts.push(format!("approved by {}{needed}", named(&call.approved)));
    }
    if !call.denied.is_empty() {
        facts.push(format!("denied by {}", named(&call.denied)));
    }
    if call.unproven > 0 {
        facts.push(format!("signatures that are not proven: {}", call.unproven));
    }
    (!facts.is_empty()).then(|| format!("Call {}: {}.", call.call, facts.join("; ")))
}

fn kind(signer: &Signer) -> &'static str {
    if signer.passkey { "passkey" } else { "SSH key" }
}

/// The result for programs.
fn value(found: &verify::Report) -> Value {
    let ApprovalReport { calls, errors, .. } = &found.approvals;
    let of_ledger = found
        .errors
        .iter()
        .map(|error| json!({"entry": error.entry, "file": error.file, "what": error.what}));
    let of_approvals = errors.iter().map(|error| {
        json!({"entry": error.entry, "file": FILE, "what": error.to_string(),
            "code": error.code.word(), "call": error.call})
    });
    let signers = |signers: &[Signer]| -> Vec<Value> {
        let key = |signer: &Signer| if signer.passkey { "passkey" } else { "ssh" };
        let one = |signer: &Signer| json!({"name": signer.name, "stands_for": signer.stands_for, "key": key(signer), "entry": signer.entry});
        signers.iter().map(one).collect()
    };
    let calls: Vec<Value> = calls
        .iter()
        .map(|call| {
            json!({"call": call.call, "approved": signers(&call.approved),
                "denied": signers(&call.denied), "needed": call.needed,
                "unproven": call.unproven, "decided": call.decided})
        })
        .collect();
    json!({
        "sound": found.is_sound(), "origin": found.origin, "size": found.size,
        "root": found.root, "first_bad": found.first_bad(),
        "faults": of_ledger.chain(of_approvals).collect::<Vec<_>>(),
        "approvals": calls, "unproven": found.unproven, "removed": found.removed,
    })
}
