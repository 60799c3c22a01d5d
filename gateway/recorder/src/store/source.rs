//! The connection of the writer: opened, dropped after a failure, and opened again. Never assumes
//! that a failed commit did not happen: the store is read.

use super::batch::{ChangeError, Head, NewLeaf, to_i64, to_u64};
use super::engine::Engine;
use super::row::JobRow;
use crate::ledger::note::Checkpoint;
use crate::ledger::tree::{Hash, leaf_hash};
use crate::store::row::columns;
use crate::store::sql::{self, Connection, Fenced};
use cofferdam_core::model::id::{CallId, Fence};
use cofferdam_core::protocol::RoleError;
use ed25519_dalek::VerifyingKey;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The path of the database in the folder of the store. Only this function has its name.
pub fn database(folder: &Path) -> PathBuf {
    folder.join("cofferdam.db")
}

/// The parts that make a writing connection.
pub(crate) struct Source {
    /// The engine of the store.
    pub engine: Arc<Engine>,
    /// The key that checks the checkpoint of the store.
    pub key: VerifyingKey,
}

/// A lease in the store.
pub(crate) struct StoredLease {
    /// The id of the job's call.
    pub call: CallId,
    /// The lease epoch.
    pub fence: Fence,
    /// True if its runner can resume it.
    pub has_token: bool,
}

impl StoredLease {
    /// The lease of a leased job.
    pub fn of(row: &JobRow) -> Result<Self, RoleError> {
        Ok(Self { call: row.id()?, fence: row.fence(), has_token: row.claim.is_some() })
    }
}

/// The committed changes that the writer did not know.
pub(crate) struct Beyond {
    pub head: Head,
    pub leaves: Vec<NewLeaf>,
    pub note: String,
}

impl Source {
    /// Reads the changes committed after `head`: those of a commit with an unknown end.
    pub async fn beyond(
        &self,
        head: &Head,
        connection: &mut Connection,
    ) -> Result<Beyond, ChangeError> {
        let damaged = |what: String| {
            ChangeError::Error(RoleError::Unavailable(format!("{} {what}", self.engine.place())))
        };
        let note: String =
            sql::query_scalar("SELECT note FROM checkpoint").fetch_one(&mut *connection).await?;
        let signed = Checkpoint::open(&note, &self.key)
            .map_err(|error| damaged(format!("has another checkpoint: {error}")))?;
        let rows: Vec<(i64, Option<String>, Vec<u8>, String)> =
            sql::query_as("SELECT idx, call, hash, entry FROM leaves WHERE idx >= ? ORDER BY idx")
                .bind(to_i64(head.tree.size()))
                .fetch_all(&mut *connection)
                .await?;
        let mut head = head.clone();
        let mut leaves = Vec::with_capacity(rows.len());
        for (index, call, stored, text) in rows {
            let hash: Hash = leaf_hash(text.as_bytes());
            if to_u64(index) != head.tree.size() || stored != hash {
                return Err(damaged(format!(
                    "lacks entry {}, or it was changed; restore a copy",
                    head.tree.size()
                )));
            }
            let call = call
                .map(|call| CallId::parse(&call))
                .transpose()
                .map_err(|_| super::row::damaged("call id"))?;
            head.tree.push(hash);
            head.last = Some(hash);
            leaves.push(NewLeaf { call, text, hash });
        }
        if (signed.size, signed.root) != (head.tree.size(), head.tree.root()) {
            return Err(damaged(format!(
                "signs {} entries of another history; restore a copy",
                signed.size
            )));
        }
        Ok(Beyond { head, leaves, note })
    }

    /// The leases in the store.
    pub async fn leases(
        &self,
        connection: &mut Connection,
    ) -> Result<Vec<StoredLease>, ChangeError> {
        let rows: Vec<JobRow> = sql::query_as(columns!(
            "INDEXED BY jobs_leased WHERE leased = 1 AND phase <> 'closed'"
        ))
        .fetch_all(connection)
        .await?;
        rows.iter()
            .map(StoredLease::of)
            .collect::<Result<_, RoleError>>()
            .map_err(ChangeError::from)
    }

    /// The description of a writer's failure.
    pub fn describe(&self, error: &sqlx::Error) -> String {
        let again = if is_damage(error) || Fenced::of(error).is_some() {
            ""
        } else {
            "; it is tried again every second, without a restart"
        };
        format!("{}{again}", self.engine.described("cannot be written", error))
    }
}

/// The description of a failure: path, code of SQLite, error of the operating system if there is
/// one, and remedy. `what` continues after the path (`cannot be opened`).
pub(crate) fn described(folder: &Path, what: &str, error: &sqlx::Error) -> String {
    let code =
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
    let file = database(folder);
    let cause = unusable(&file).or_else(|| tried(folder).err().map(|error| error.to_string()));
    let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
    let remedy = match primary(error) {
        5 | 6 => "end the other process that holds it, which `fuser` names",
        13 => "free space on its disk",
        3 | 8 | 23 => {
            "make the folder and its file system writable for the user who runs Cofferdam"
        }
        14 => "make the folder and the file readable and writable for the user who runs Cofferdam",
        _ if is_damage(error) => {
            "stop `cofferdam serve`, keep the files as they are, and restore the store from a copy"
        }
        _ => "check its disk",
    };
    let said = error
        .as_database_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned());
    let code = if code.is_empty() { String::new() } else { format!(", SQLite code {code}") };
    format!("the store `{}` {what}: {said}{code}{cause}; {remedy}", file.display())
}

/// The primary code of SQLite; 0 if the failure has none.
fn primary(error: &sqlx::Error) -> u32 {
    let code =
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
    code.parse::<u32>().unwrap_or_default() & 0xff
}

/// Returns whether the file exists and is not a valid store.
pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(primary(error), 11 | 26)
}

/// The cause if the metadata of the path already shows it. Opening the file would release the locks
/// of SQLite.
fn unusable(file: &Path) -> Option<String> {
    match file.metadata() {
        Ok(facts) if facts.is_file() => None,
        Ok(_) => Some("it is a folder or a special file".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// The bytes of a large batch: less free space counts as none.
const BATCH: usize = 256 * 1024;

/// Writes a file of the size of a batch beside the store and removes it, for the error of the
/// operating system.
pub(crate) fn tried(folder: &Path) -> std::io::Result<()> {
    let path = folder.join("writable");
    let written = std::fs::File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; BATCH])?;
        file.sync_data()
    });
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}
