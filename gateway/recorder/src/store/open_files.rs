//! The open files of the store, and a check that their paths still lead to them. A moved, removed
//! or replaced file still accepts writes, which are lost when it is closed. Never writes, and never
//! opens a file that replaced one.

use super::database;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The device and the inode of a file.
type Identity = (u64, u64);

/// The extensions of SQLite's log and of its index.
const LOGS: [&str; 2] = ["db-wal", "db-shm"];

/// The open files of the recorder.
pub(crate) struct OpenFiles {
    database: PathBuf,
    identity: Identity,
    /// While it is open, no other file gets its inode. Closed last, because closing it releases the
    /// locks of SQLite.
    _open: File,
    /// The identities of [`LOGS`], as the newest writing connection has them.
    logs: Mutex<[Option<Identity>; 2]>,
}

impl OpenFiles {
    /// Notes the files of the store. The writing connection must be open, and must have read.
    ///
    /// # Errors
    /// The database cannot be opened for reading.
    pub fn take(folder: &Path) -> io::Result<Self> {
        let database = database(folder);
        let open = File::open(&database)?;
        let identity = identity(&open.metadata()?);
        let held = Self { database, identity, _open: open, logs: Mutex::default() };
        held.note_logs();
        Ok(held)
    }

    /// Notes the log: a connection that is the only one makes a new log.
    pub fn note_logs(&self) {
        let now = LOGS.map(|ending| self.log(ending).metadata().ok().map(|facts| identity(&facts)));
        *self.logs.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Checks that every path leads to the open file.
    ///
    /// # Errors
    /// A path does not: path, cause and remedy.
    pub fn check(&self) -> Result<(), String> {
        self.check_database()?;
        let logs = *self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        for (ending, log) in LOGS.into_iter().zip(logs) {
            let path = self.log(ending);
            if let Some(happened) = log.and_then(|log| happened(&path, log)) {
                let shown = path.display();
                return Err(format!(
                    "`{shown}` {happened} while it is open; end `cofferdam serve` without a \
                     second signal, so that it writes the log back into the store, and start it \
                     again"
                ));
            }
        }
        Ok(())
    }

    /// Checks only the database: before a connection is opened there may be no log.
    ///
    /// # Errors
    /// As [`OpenFiles::check`].
    pub fn check_database(&self) -> Result<(), String> {
        happened(&self.database, self.identity).map_or(Ok(()), |happened| {
            Err(format!(
                "the store `{}` {happened} while it is open; move the same file back, or stop \
                 `cofferdam serve` and restore the folder `store` from a backup of this home",
                self.database.display()
            ))
        })
    }

    fn log(&self, ending: &str) -> PathBuf {
        self.database.with_extension(ending)
    }
}

fn identity(facts: &Metadata) -> Identity {
    (facts.dev(), facts.ino())
}

/// Describes a path that no longer leads to this file.
fn happened(path: &Path, held: Identity) -> Option<String> {
    match path.metadata() {
        Ok(facts) if identity(&facts) == held => None,
        Ok(_) => Some("was replaced by another file".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("is gone".to_owned()),
        Err(error) => Some(format!("cannot be reached ({error})")),
    }
}
