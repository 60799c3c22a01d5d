//! The file with the payloads of signatures, beside the tiles of an exported ledger: one JSON line
//! for each entry, in the order of the ledger. Read line by line; never trusted before the
//! commitment of its entry fits.

use super::error::{ApprovalCode, ApprovalError};
use crate::ledger::leaf::RecordKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_core::model::json;
use cofferdam_core::protocol::operator_recorder::ApprovalPayload;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

/// The name of the file in the folder of the ledger.
pub const FILE: &str = "approvals.jsonl";

/// The most bytes of a line: a statement with the longest subject has less than a tenth.
pub const LONGEST_LINE: u64 = 1024 * 1024;

/// The payloads of one entry.
#[derive(Debug)]
pub(super) struct Payload {
    pub key: RecordKey,
    pub payloads: BTreeMap<String, String>,
}

/// The lines of a file, read one after the other.
pub struct ApprovalPayloads {
    reader: BufReader<File>,
    line: u64,
    next: Option<ApprovalPayload>,
    broken: bool,
}

impl ApprovalPayloads {
    /// Opens the file of a folder; `None` if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or is no regular file.
    pub fn open(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(FILE);
        // Before the open: the open of a pipe waits for its writer.
        match std::fs::metadata(&path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(io::Error::other("it is not a regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let reader = BufReader::new(File::open(&path)?);
        Ok(Some(Self { reader, line: 0, next: None, broken: false }))
    }

    /// The payloads of an entry. Called with growing indexes; the file has the same order.
    pub(super) fn of(&mut self, index: u64, errors: &mut Vec<ApprovalError>) -> Option<Payload> {
        loop {
            if self.next.is_none() {
                self.next = self.read(errors);
            }
            let line = self.next.as_ref()?;
            if line.index > index {
                return None;
            }
            let line = self.next.take()?;
            if line.index < index {
                errors.push(ApprovalCode::PayloadStray.at_line(self.line, Some(line.index)));
                continue;
            }
            let key = STANDARD.decode(&line.key).ok();
            let Some(key) = key.and_then(|key| RecordKey::try_from(key).ok()) else {
                errors.push(ApprovalCode::PayloadUnreadable.at_line(self.line, Some(index)));
                return None;
            };
            return Some(Payload { key, payloads: line.payloads });
        }
    }

    /// The errors of the lines after the last signature.
    pub(super) fn end(mut self) -> Vec<ApprovalError> {
        let mut errors = Vec::new();
        let mut next = self.next.take();
        loop {
            if let Some(line) = next {
                errors.push(ApprovalCode::PayloadStray.at_line(self.line, Some(line.index)));
            }
            next = self.read(&mut errors);
            if next.is_none() || errors.len() >= super::TOLD {
                return errors;
            }
        }
    }

    /// The next readable line; `None` at the end.
    fn read(&mut self, errors: &mut Vec<ApprovalError>) -> Option<ApprovalPayload> {
        if self.broken {
            return None;
        }
        let mut line = Vec::new();
        let taken = (&mut self.reader).take(LONGEST_LINE).read_until(b'\n', &mut line);
        if taken.as_ref().is_ok_and(|taken| *taken == 0) {
            return None;
        }
        self.line += 1;
        let parsed = taken.ok().and_then(|_| line.strip_suffix(b"\n"));
        match parsed.and_then(|text| json::strict_into(text).ok()) {
            Some(line) => Some(line),
            None => {
                // After a damaged line, the rest is not believed to be lines.
                self.broken = true;
                errors.push(ApprovalCode::PayloadUnreadable.at_line(self.line, None));
                None
            }
        }
    }
}
