//! `cofferdam ledger export`: checkpoint, tiles and the payloads of signatures in a new folder, for
//! a check on another machine. Exports no other payload and no private key.

use super::Key;
use crate::command::recorder_client;
use crate::command::report::Report;
use crate::config::home::Home;
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueHint};
use cofferdam_core::model::permit::verifying_key_text;
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_recorder::ledger::approvals::payloads::FILE;
use cofferdam_recorder::ledger::export;
use cofferdam_recorder::ledger::note::Checkpoint;
use ed25519_dalek::VerifyingKey;
use serde_json::json;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest wait for the next checkpoint. The recorder signs one within a second.
const SIGNED: Duration = Duration::from_secs(5);

/// The time between two reads of the checkpoint.
const LOOK: Duration = Duration::from_millis(50);

/// Exports the ledger with the signatures of people.
#[derive(Debug, Args)]
pub struct Export {
    /// The new folder
    #[arg(value_hint = ValueHint::DirPath)]
    folder: PathBuf,
}

impl Export {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let folder = &self.folder;
        let shown = folder.display();
        // Statements name people and agents: at home, they are beneath a folder of this mode.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot make `{shown}`"))?;
        let mut inside = fs::read_dir(folder).with_context(|| format!("cannot read `{shown}`"))?;
        if inside.next().is_some() {
            bail!("`{shown}` is not empty; give a new folder for each export");
        }
        let key = Key { key: None }.read(home)?;
        await_checkpoint(home, &key)?;
        let checkpoint = export::copy(&home.ledger(), &key, folder)
            .with_context(|| format!("cannot export the ledger to `{shown}`"))?;
        let path = folder.join(FILE);
        let signatures = signatures(home, checkpoint.size, &path)?;
        let key = verifying_key_text(&key);
        Ok(Report::new(
            format!(
                "Exported {} entries and {signatures} signatures to `{shown}`. The folder has \
                 the signed statements in clear text; an erasure does not reach it.\nCheck it on \
                 any machine, with keys from a source that you trust:\n  cofferdam ledger verify \
                 {shown} --key {key} --approvers approvers.toml",
                checkpoint.size
            ),
            json!({"folder": folder, "size": checkpoint.size, "origin": checkpoint.origin,
                "signatures": signatures, "key": key}),
        ))
    }
}

/// Waits until the newest checkpoint signs each entry of now. A recorder that signs more slowly is
/// not waited for: the report says how many entries there are.
fn await_checkpoint(home: &Home, key: &VerifyingKey) -> Result<()> {
    let Operated::Status { entries, .. } = recorder_client::ask(home, &Operate::Status)? else {
        return Err(recorder_client::unexpected());
    };
    let began = Instant::now();
    loop {
        let note = fs::read_to_string(home.ledger().join("checkpoint"));
        let size = note.ok().and_then(|note| Checkpoint::open(&note, key).ok());
        if size.is_some_and(|found| found.size >= entries) || began.elapsed() > SIGNED {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

/// Writes the payloads of all signatures before this entry. Returns their number.
fn signatures(home: &Home, end: u64, path: &Path) -> Result<u64> {
    let failed = || format!("cannot write `{}`", path.display());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = BufWriter::new(file.with_context(failed)?);
    let (mut next, mut count) = (Some(0), 0);
    while let Some(from) = next {
        let asked = Operate::Approvals { from, end };
        let Operated::Approvals { payloads, next: rest } = recorder_client::ask(home, &asked)?
        else {
            return Err(recorder_client::unexpected());
        };
        for payload in &payloads {
            serde_json::to_writer(&mut file, payload).with_context(failed)?;
            file.write_all(b"\n").with_context(failed)?;
            count += 1;
        }
        // A recorder that gives no further entry would be asked for ever.
        if rest.is_some_and(|rest| rest <= from) {
            return Err(recorder_client::unexpected());
        }
        next = rest;
    }
    file.flush().with_context(failed)?;
    Ok(count)
}
