//! A file with approvers that the caller brings: a trust file, or a file with `[[approver]]`
//! entries alone. Never reads the home.

use super::input_file;
use anyhow::{Context as _, Result};
use cofferdam_core::model::enrolled::check_enrolled;
use cofferdam_core::model::trust::Approver;
use cofferdam_recorder::ledger::approvals::People;
use serde::Deserialize;
use std::path::Path;

/// The most bytes of a file: some thousand keys.
const FILE: u64 = 16 * 1024 * 1024;

/// The remedy for another file.
const REMEDY: &str = "give a trust file, or a file with its `[[approver]]` entries";

/// The parts of a trust file that are needed.
#[derive(Debug, Deserialize)]
struct Approvers {
    #[serde(default)]
    approver: Vec<Approver>,
    #[serde(default)]
    self_approval: bool,
}

/// Reads the people of a file. Without `self_approval = true` in it, no person may approve the calls
/// of agents that work for that person.
///
/// # Errors
/// The file cannot be read, or its approvers break a rule of trust files.
pub fn read(path: &Path) -> Result<People> {
    let bytes = input_file::regular(path, FILE, REMEDY)?;
    let text = String::from_utf8(bytes).ok();
    let known: Option<Result<Approvers, _>> = text.map(|text| toml::from_str(&text));
    let known = known
        .transpose()
        .with_context(|| {
            format!("`{}` is not a TOML file with approvers; {REMEDY}", path.display())
        })?
        .with_context(|| format!("`{}` is not UTF-8; {REMEDY}", path.display()))?;
    check_enrolled(&known.approver).with_context(|| {
        format!("the approvers in `{}` are not valid; {REMEDY}", path.display())
    })?;
    let Approvers { approver: approvers, self_approval } = known;
    Ok(People { approvers, expected: true, self_approval })
}
