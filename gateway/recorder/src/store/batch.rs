//! The ledger entries of one transaction: indexes are assigned at once, rows are written together
//! at the end. Never changes a job.

use crate::ledger::leaf::{self, RecordKey};
use crate::ledger::note::Checkpoint;
use crate::ledger::tile::LONGEST_ENTRY;
use crate::ledger::tree::{Hash, Tree};
use crate::settings::Random;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::record::Entry;
use cofferdam_core::protocol::RoleError;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use std::collections::BTreeSet;

/// The most rows in one statement: SQLite accepts 32,766 bound values, and payload rows have four.
const ROWS: usize = 4_096;

/// An entry that became a leaf.
#[derive(Debug, Clone)]
pub(crate) struct NewLeaf {
    pub call: Option<CallId>,
    pub text: String,
    pub hash: Hash,
}

/// The state of the ledger at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub tree: Tree,
    pub last: Option<Hash>,
}

/// The key, the clock value and the other inputs of a transaction.
pub(crate) struct WriteContext<'a> {
    pub origin: &'a str,
    pub random: &'a Random,
    pub key: &'a SigningKey,
}

/// The additions of one transaction.
pub(crate) struct Batch {
    pub now: Timestamp,
    first: u64,
    entries: Vec<Entry>,
    /// The calls with news for waiting readers.
    pub touched: BTreeSet<CallId>,
    /// The number of jobs that became claimable; at least 1 if there may be one.
    pub claimable: usize,
    /// True if an approved call may be waiting.
    pub approved: bool,
}

impl Batch {
    pub fn new(head: &Head, now: Timestamp) -> Self {
        Self {
            now,
            first: head.tree.size(),
            entries: Vec::new(),
            touched: BTreeSet::new(),
            claimable: 0,
            approved: false,
        }
    }

    pub fn now_ms(&self) -> i64 {
        self.now.as_millisecond()
    }

    /// Adds an entry; returns its index.
    pub fn record(&mut self, entry: Entry) -> u64 {
        let index = self.first + self.entries.len() as u64;
        if let Some(call) = &entry.call {
            self.touched.insert(call.clone());
        }
        self.entries.push(entry);
        index
    }

    /// The number of entries so far, for [`Batch::rewind`].
    pub fn mark(&self) -> usize {
        self.entries.len()
    }

    /// Removes the entries of a refused change.
    pub fn rewind(&mut self, mark: usize) {
        self.entries.truncate(mark);
    }

    /// Writes leaves, payloads and the new checkpoint; returns the entries to publish after the
    /// commit.
    pub async fn write(
        self,
        mut head: Head,
        context: &WriteContext<'_>,
        connection: &mut SqliteConnection,
    ) -> Result<Written, ChangeError> {
        let (mut leaves, mut payloads) = (Vec::with_capacity(self.entries.len()), Vec::new());
        for entry in self.entries {
            let key: RecordKey = (context.random)()
                .map_err(|error| RoleError::Unavailable(format!("no randomness: {error}")))?;
            let index = head.tree.size();
            let (text, hash) = leaf::seal(&entry, context.origin, index, self.now, &key, head.last)
                .map_err(|error| {
                    RoleError::Refused(format!("the entry has no canonical form: {error}"))
                })?;
            if text.len() > LONGEST_ENTRY {
                let problem = format!(
                    "the entry has {} bytes, a ledger entry at most {LONGEST_ENTRY}",
                    text.len()
                );
                return Err(RoleError::Refused(problem).into());
            }
            head.tree.push(hash);
            head.last = Some(hash);
            leaves.push((to_i64(index), NewLeaf { call: entry.call, text, hash }));
            payloads.extend(
                entry.payloads.into_iter().map(|(name, body)| (to_i64(index), name, key, body)),
            );
        }
        for rows in leaves.chunks(ROWS) {
            QueryBuilder::<Sqlite>::new("INSERT INTO leaves (idx, call, hash, entry) ")
                .push_values(rows, |mut row, (index, leaf)| {
                    row.push_bind(*index)
                        .push_bind(leaf.call.as_ref().map(ToString::to_string))
                        .push_bind(leaf.hash.to_vec())
                        .push_bind(leaf.text.clone());
                })
                .build()
                .execute(&mut *connection)
                .await?;
        }
        for rows in payloads.chunks(ROWS) {
            QueryBuilder::<Sqlite>::new("INSERT INTO payloads (leaf, name, key, body) ")
                .push_values(rows, |mut row, (leaf, name, key, body)| {
                    row.push_bind(*leaf)
                        .push_bind(name.clone())
                        .push_bind(key.to_vec())
                        .push_bind(body.clone());
                })
                .build()
                .execute(&mut *connection)
                .await?;
        }
        let checkpoint = Checkpoint {
            origin: context.origin.to_owned(),
            size: head.tree.size(),
            root: head.tree.root(),
        };
        let note = checkpoint.sign(context.key);
        if !leaves.is_empty() {
            put_checkpoint(connection, &checkpoint, &note).await?;
        }
        let leaves = leaves.into_iter().map(|(_, leaf)| leaf).collect();
        Ok(Written {
            head,
            leaves,
            note,
            touched: self.touched,
            claimable: self.claimable,
            approved: self.approved,
        })
    }
}

/// Replaces the newest checkpoint.
pub(crate) async fn put_checkpoint(
    connection: &mut SqliteConnection,
    checkpoint: &Checkpoint,
    note: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO checkpoint (id, size, root, note) VALUES (1, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET size = excluded.size, root = excluded.root, note = \
         excluded.note",
    )
    .bind(to_i64(checkpoint.size))
    .bind(checkpoint.root.to_vec())
    .bind(note.to_owned())
    .execute(connection)
    .await
    .map(drop)
}

/// The error of a change.
#[derive(Debug)]
pub(crate) enum ChangeError {
    /// The change was refused; the others of its batch continue.
    Error(RoleError),
    /// The store failed; the whole transaction is rolled back.
    Store(sqlx::Error),
    /// A file of the store is no longer at its path; the whole transaction fails.
    Lost {
        /// The path, the cause and the remedy.
        why: String,
        /// True if the transaction was already committed to the open file.
        committed: bool,
    },
}

impl ChangeError {
    /// Returns whether the store itself failed (a full disk, an unreadable page), and not one
    /// change.
    pub fn is_of_the_store(&self) -> bool {
        match self {
            Self::Error(_) => false,
            Self::Lost { .. } => true,
            Self::Store(error) => error
                .as_database_error()
                .is_none_or(|error| error.kind() == sqlx::error::ErrorKind::Other),
        }
    }
}

impl From<RoleError> for ChangeError {
    fn from(error: RoleError) -> Self {
        Self::Error(error)
    }
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error)
    }
}

impl From<ChangeError> for RoleError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Error(error) => error,
            ChangeError::Store(error) => Self::Unavailable(format!("the store failed: {error}")),
            ChangeError::Lost { why, .. } => Self::Unavailable(why),
        }
    }
}

/// A written batch, for the waiters and the publisher after the commit.
pub(crate) struct Written {
    pub head: Head,
    pub leaves: Vec<NewLeaf>,
    pub note: String,
    pub touched: BTreeSet<CallId>,
    pub claimable: usize,
    pub approved: bool,
}

/// Converts to a signed integer of SQLite; indexes are far below its limit.
pub(crate) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Converts an integer of SQLite back.
pub(crate) fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
