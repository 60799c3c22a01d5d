//! `cofferdam ledger`: checks and proves entries, with files and a public key. Asks the recorder
//! only for the indexes of a call's entries.

mod export;
mod verify;

use super::input_file;
use super::recorder_client;
use super::report::{Report, Usage};
use crate::command::show::event;
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand, ValueHint};
use cofferdam_core::model::id::hex;
use cofferdam_core::model::permit::{verifying_key, verifying_key_text};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_recorder::ledger::note::{Checkpoint, origin, vkey};
use cofferdam_recorder::ledger::prove::{self, ProveError, diff, verify_proof};
use ed25519_dalek::VerifyingKey;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The remedy for a file that is no checkpoint.
const OLDER: &str = "give a file that `cofferdam ledger checkpoint` wrote";
/// The remedy for a file that is no proof.
const PROOF: &str = "give a file that `cofferdam ledger prove` wrote";

/// Checks the ledger and proves its entries, without the recorder.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Check every entry, every tile, the checkpoint and people's signatures; on an error, name the
    /// first bad entry
    #[command(after_help = "Examples:\n  cofferdam ledger verify\n  cofferdam ledger verify \
                            /backup/ledger --key ed25519:… --older checkpoint-of-monday\n  \
                            cofferdam ledger verify exported --key ed25519:… --approvers \
                            approvers.toml")]
    Verify(verify::Verify),
    /// Write checkpoint, tiles and the signatures of people to a new folder, for a check on another
    /// machine
    #[command(after_help = "Example:\n  cofferdam ledger export /media/stick/ledger\n  \
                            other$ cofferdam ledger verify ledger --key ed25519:… --approvers \
                            approvers.toml")]
    Export(export::Export),
    /// Print a proof of one entry of a call, in the C2SP tlog-proof format
    #[command(after_help = "Examples:\n  cofferdam ledger prove 4kq2 > call.tlog-proof\n  \
                            cofferdam ledger prove 4kq2 --all proofs/")]
    Prove(Prove),
    /// Check a proof, with its file and the public key alone
    #[command(after_help = "Example:\n  cofferdam ledger check call.tlog-proof --key ed25519:…")]
    Check {
        /// The file with the proof
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        #[command(flatten)]
        key: Key,
    },
    /// Prove that the ledger continues an older checkpoint without a change of older entries
    #[command(after_help = "Example:\n  cofferdam ledger checkpoint > monday; …; cofferdam \
                            ledger diff monday")]
    Diff {
        /// The file with the older checkpoint
        #[arg(value_hint = ValueHint::FilePath)]
        older: PathBuf,
        /// The folder of the ledger [default: the ledger of this installation]
        #[arg(value_hint = ValueHint::DirPath)]
        folder: Option<PathBuf>,
        #[command(flatten)]
        key: Key,
    },
    /// Print the newest signed checkpoint; keep it on another machine as a witness
    Checkpoint,
    /// Print the public key of the recorder, for reviewers
    Key,
}

/// Proves one entry, or each entry of a call.
#[derive(Debug, Args)]
pub struct Prove {
    /// The id of the call, or at least its first 4 characters
    #[arg(required_unless_present = "index")]
    id: Option<String>,
    /// The index of the entry [default: the newest entry of the call]
    #[arg(long)]
    index: Option<u64>,
    /// Write a proof of each entry of the call to this folder
    #[arg(long, value_name = "DIR", conflicts_with = "index", value_hint = ValueHint::DirPath)]
    all: Option<PathBuf>,
    #[command(flatten)]
    key: Key,
}

/// The public key that checks the ledger.
#[derive(Debug, Args)]
pub struct Key {
    /// The public key of the recorder: `ed25519:` and 64 hexadecimal digits, or a file with it
    /// [default: the key in the trust file of this installation]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

impl Key {
    fn read(&self, home: &Home) -> Result<VerifyingKey> {
        let text = match &self.key {
            Some(text) if text.starts_with("ed25519:") => text.clone(),
            Some(path) => input_file::text(
                Path::new(path),
                "give the key itself, `ed25519:` and 64 hexadecimal digits, or a file with it",
            )?,
            None => {
                let trust = TrustFile::open(home).and_then(|file| file.trust());
                trust
                    .context(
                        "there is no trust file with the key of the recorder; give the \
                         recorder's public \
                         key with `--key`",
                    )?
                    .keys
                    .recorder
            }
        };
        verifying_key(text.trim()).context(
            "the key is not `ed25519:` and 64 hexadecimal digits; `cofferdam ledger key` prints it",
        )
    }
}

impl Ledger {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        match self {
            Self::Verify(command) => command.run(home),
            Self::Export(command) => command.run(home),
            Self::Prove(command) => command.run(home),
            Self::Check { file, key } => check(&file, &key.read(home)?),
            Self::Diff { older, folder, key } => {
                let note = input_file::text(&older, OLDER)?;
                let folder = folder.unwrap_or_else(|| home.ledger());
                let found = diff(&note, &folder, &key.read(home)?)
                    .context("the ledger does not continue that checkpoint")?;
                Ok(Report::new(
                    format!(
                        "The ledger continues it: its first {} of {} entries are unchanged, \
                         proven with {} hashes.",
                        found.old.size,
                        found.new.size,
                        found.proof.len()
                    ),
                    json!({"old": found.old.size, "new": found.new.size,
                    "root": hex(&found.new.root),
                    "proof": found.proof.iter().map(|hash| hex(hash)).collect::<Vec<_>>()}),
                ))
            }
            Self::Checkpoint => checkpoint(home),
            Self::Key => {
                let trust = TrustFile::open(home)?.trust()?;
                let key = verifying_key(&trust.keys.recorder).context(
                    "the recorder's key in trust.toml is not readable; restore the file from a \
                     copy",
                )?;
                let vkey = vkey(&origin(&trust.environment.id), &key);
                Ok(Report::new(
                    trust.keys.recorder.clone(),
                    json!({"key": trust.keys.recorder, "vkey": vkey}),
                ))
            }
        }
    }
}

impl Prove {
    fn run(self, home: &Home) -> Result<Report> {
        let key = self.key.read(home)?;
        let indexes = match (self.index, &self.id) {
            (Some(index), _) => vec![index],
            (None, Some(id)) => entries(home, id)?,
            (None, None) => {
                return Err(Usage("name a call, or an entry with `--index`".to_owned()).into());
            }
        };
        let prove = |index: u64| {
            prove::prove(&home.ledger(), &key, index)
                .with_context(|| format!("cannot prove entry {index}"))
        };
        if let Some(folder) = self.all {
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make `{}`", folder.display()))?;
            let mut files = Vec::new();
            for index in indexes {
                let path = folder.join(format!("{index}.tlog-proof"));
                std::fs::write(&path, prove(index)?)
                    .with_context(|| format!("cannot write `{}`", path.display()))?;
                files.push(path);
            }
            let text =
                files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n");
            return Ok(Report::new(text, json!({"proofs": files})));
        }
        let index = indexes.last().copied().ok_or_else(|| anyhow!("the call has no entry"))?;
        let proof = prove(index)?;
        Ok(Report::new(proof.trim_end().to_owned(), json!({"index": index, "proof": proof})))
    }
}

/// The indexes of a call's entries, oldest first.
fn entries(home: &Home, id: &str) -> Result<Vec<u64>> {
    let Operated::Story { entries, .. } =
        recorder_client::ask(home, &Operate::Show { call: id.to_owned() })?
    else {
        return Err(recorder_client::unexpected());
    };
    Ok(entries.into_iter().map(|entry| entry.index).collect())
}

fn check(file: &Path, key: &VerifyingKey) -> Result<Report> {
    let text = input_file::text(file, PROOF)?;
    let proven = verify_proof(&text, key).or_else(|error| match text.ends_with('\n') {
        // A checkpoint that was copied from a terminal may lack its last line break.
        true => Err(error),
        false => verify_proof(&format!("{text}\n"), key),
    });
    let proven = match proven {
        Err(error @ ProveError::Shape) => {
            bail!("`{}`: {error}; {PROOF}", file.display())
        }
        other => other?,
    };
    let entry: Value =
        serde_json::from_str(&proven.entry).context("the proven entry is not JSON")?;
    let said = serde_json::from_value(entry.get("event").cloned().unwrap_or_default())
        .map(|said| format!(": {}", event(&said)))
        .unwrap_or_default();
    Ok(Report::new(
        format!(
            "Proven: entry {} of {} ({} entries){said}",
            proven.index, proven.checkpoint.origin, proven.checkpoint.size
        ),
        json!({"index": proven.index, "origin": proven.checkpoint.origin,
        "size": proven.checkpoint.size, "entry": entry}),
    ))
}

fn checkpoint(home: &Home) -> Result<Report> {
    let path = home.ledger().join("checkpoint");
    let note = std::fs::read_to_string(&path).with_context(|| {
        format!("no checkpoint at `{}`; `cofferdam serve` writes the first", path.display())
    })?;
    let key = Key { key: None }.read(home)?;
    let checkpoint = Checkpoint::open(&note, &key)?;
    if !note.ends_with('\n') {
        bail!("the checkpoint at `{}` is cut off", path.display());
    }
    let value = json!({
        "checkpoint": note, "origin": checkpoint.origin, "size": checkpoint.size,
        "root": hex(&checkpoint.root),
        "key": verifying_key_text(&key), "vkey": vkey(&checkpoint.origin, &key),
    });
    Ok(Report::new(note.trim_end_matches('\n').to_owned(), value))
}
