//! The ledger entries of one transaction: indexes are assigned at once, rows are written together
//! at the end. Never changes a job.

use super::outbox::Post;
use super::usage::{Amount, columns, day_of};
use crate::ledger::leaf::{self, RecordKey};
use crate::ledger::note::Checkpoint;
use crate::ledger::tile::LONGEST_ENTRY;
use crate::ledger::tree::{Hash, Tree};
use crate::settings::Random;
use crate::store::sql::{Builder, Connection};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::record::Entry;
use cofferdam_core::protocol::RoleError;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use sqlx::error::{DatabaseError, ErrorKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most rows in one statement, a power of two: SQLite accepts 32,766 bound values, PostgreSQL
/// 65,535, and a row has six.
const ROWS: usize = 256;

/// The end of a statement that replaces the newest checkpoint.
const REPLACED: &str = "ON CONFLICT (id) DO UPDATE SET size = excluded.size, root = excluded.root, \
                        note = excluded.note";

/// The end of a statement that adds to the use of a day.
const SUMMED: &str = "ON CONFLICT (day, principal) DO UPDATE SET jobs = usage.jobs + excluded.jobs, \
                      bytes = usage.bytes + excluded.bytes";

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
    entries: Vec<Arc<Entry>>,
    /// The calls with news for waiting readers.
    pub touched: BTreeSet<CallId>,
    /// The number of jobs that became claimable; at least 1 if there may be one.
    pub claimable: usize,
    /// True if an approved call may be waiting.
    pub approved: bool,
    /// The principals and plans that a person denied.
    pub rejected: Vec<(String, String)>,
    /// The principals and plans whose rejections were removed.
    pub forgotten: Vec<(String, String)>,
    /// The change of the number of queued jobs.
    pub queued: i64,
    /// The number of jobs that a runner claimed for the first time.
    pub claimed: usize,
    /// What principals used.
    pub used: BTreeMap<String, Amount>,
    /// True if a notification was stored.
    pub posted: bool,
    /// The notifications beside those of entries.
    posts: Vec<Post>,
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
            rejected: Vec::new(),
            forgotten: Vec::new(),
            queued: 0,
            claimed: 0,
            used: BTreeMap::new(),
            posted: false,
            posts: Vec::new(),
        }
    }

    /// Makes a notification beside those of entries. INVARIANT: the change returns no error after
    /// it.
    pub fn tell(&mut self, post: Post) {
        self.posts.push(post);
    }

    /// All notifications: those of entries first.
    pub fn posts(&self) -> Vec<Post> {
        let of_entries = self.entries.iter().filter_map(|entry| Post::of(entry));
        of_entries.chain(self.posts.iter().cloned()).collect()
    }

    pub fn now_ms(&self) -> i64 {
        self.now.as_millisecond()
    }

    /// Adds an entry; returns its index.
    pub fn record(&mut self, entry: impl Into<Arc<Entry>>) -> u64 {
        let entry = entry.into();
        let index = self.first + self.entries.len() as u64;
        if let Some(call) = &entry.call {
            self.touched.insert(call.clone());
        }
        self.entries.push(entry);
        index
    }

    /// The entries so far.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// The index of the first of these entries.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of entries so far, for [`Batch::rewind`].
    pub fn mark(&self) -> usize {
        self.entries.len()
    }

    /// Removes the entries of a refused change.
    pub fn rewind(&mut self, mark: usize) {
        self.entries.truncate(mark);
    }

    /// Makes the leaves of the entries and the new checkpoint. Writes nothing.
    pub fn seal(self, mut head: Head, context: &WriteContext<'_>) -> Result<Sealed, ChangeError> {
        let mut leaves = Vec::with_capacity(self.entries.len());
        let mut rows = Vec::with_capacity(self.entries.len());
        let mut full = Vec::new();
        let time = leaf::time_text(self.now);
        for entry in self.entries {
            let key: RecordKey = (context.random)()
                .map_err(|error| RoleError::Unavailable(format!("no randomness: {error}")))?;
            let index = head.tree.size();
            let (text, hash) = leaf::seal(&entry, context.origin, index, &time, &key, head.last)
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
            let payloads = if entry.payloads.is_empty() {
                None
            } else {
                Some(serde_json::to_string(&entry.payloads).map_err(|error| {
                    RoleError::Refused(format!("the payloads cannot be stored: {error}"))
                })?)
            };
            let tiles = head.tree.push(hash).into_iter();
            full.extend(tiles.map(|tile| (tile.level, tile.index, tile.root)));
            head.last = Some(hash);
            rows.push((to_i64(index), key, payloads));
            leaves.push(NewLeaf { call: entry.call.clone(), text, hash });
        }
        // Only a new entry needs a new checkpoint.
        let checkpoint = (!leaves.is_empty()).then(|| Checkpoint {
            origin: context.origin.to_owned(),
            size: head.tree.size(),
            root: head.tree.root(),
        });
        let note = checkpoint.as_ref().map(|checkpoint| checkpoint.sign(context.key));
        let written = Written {
            head,
            leaves,
            note: note.unwrap_or_default(),
            touched: self.touched,
            claimable: self.claimable,
            approved: self.approved,
            rejected: self.rejected,
            forgotten: self.forgotten,
            queued: self.queued,
            claimed: self.claimed,
            used: self.used,
            day: day_of(self.now),
            posted: self.posted,
        };
        Ok(Sealed { written, rows, full, checkpoint })
    }
}

/// The leaves and the checkpoint of one transaction, before they are written.
pub(crate) struct Sealed {
    written: Written,
    rows: Vec<Columns>,
    full: Vec<(u32, u64, Hash)>,
    checkpoint: Option<Checkpoint>,
}

impl Sealed {
    /// Writes leaves, payloads and the new checkpoint in the open transaction; returns the entries
    /// to publish after the commit.
    pub async fn write(self, connection: &mut Connection) -> sqlx::Result<Written> {
        let Self { written, rows, full, checkpoint } = self;
        if let Some(checkpoint) = &checkpoint {
            put_tiles(&full, connection).await?;
            put(&written, rows, checkpoint, Frame::Open, connection).await?;
        }
        Ok(written)
    }

    /// Begins a transaction, writes as [`Sealed::write`] does, and commits: one request to SQLite
    /// where that is possible. After an error the transaction may be open: close the connection.
    pub async fn commit(self, connection: &mut Connection) -> sqlx::Result<Written> {
        if connection.takes_scripts()
            && self.full.is_empty()
            && self.written.leaves.len() <= ROWS
            && let Some(checkpoint) = &self.checkpoint
        {
            put(&self.written, self.rows, checkpoint, Frame::Whole, connection).await?;
            return Ok(self.written);
        }
        let mut transaction = connection.begin_write().await?;
        let written = self.write(&mut transaction).await?;
        transaction.commit().await?;
        Ok(written)
    }
}

/// The transaction around a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// It is open already, and stays open.
    Open,
    /// The statement begins and commits it.
    Whole,
}

/// The columns of a leaf beside its text: index, record's key, payloads.
type Columns = (i64, RecordKey, Option<String>);

/// Writes the leaves of a commit and its checkpoint, usually with one request to SQLite. The number
/// of rows of a statement is a power of two, so that an engine compiles few different statements; a
/// row without an index is left out. A [`Frame::Whole`] takes at most [`ROWS`] leaves.
async fn put(
    written: &Written,
    rows: Vec<Columns>,
    checkpoint: &Checkpoint,
    frame: Frame,
    connection: &mut Connection,
) -> sqlx::Result<()> {
    let mut rows = rows.into_iter();
    let used = &written.used;
    let mut chunks = written.leaves.chunks(ROWS).peekable();
    while let Some(leaves) = chunks.next() {
        let mut query = Builder::new(match frame {
            Frame::Open => "",
            Frame::Whole => "BEGIN IMMEDIATE; ",
        });
        query.push("INSERT INTO leaves (idx, call, hash, entry, key, payloads) SELECT * FROM (");
        let filled = leaves.iter().map(Some).zip(rows.by_ref().take(leaves.len()).map(Some));
        let empty = leaves.len().next_power_of_two() - leaves.len();
        let all = filled.chain(std::iter::repeat_n((None, None), empty));
        query.push_values(all, |mut row, (leaf, columns)| {
            let (index, key, payloads) = columns.map_or((None, None, None), |columns| {
                (Some(columns.0), Some(columns.1.to_vec()), columns.2)
            });
            row.push_bind(index)
                .push_bind(leaf.and_then(|leaf| leaf.call.as_ref()).map(ToString::to_string))
                .push_bind(leaf.map(|leaf| leaf.hash.to_vec()))
                .push_bind(leaf.map(|leaf| leaf.text.clone()))
                .push_bind(key)
                .push_bind(payloads);
        });
        query.push(") AS filled WHERE column1 IS NOT NULL");
        if chunks.peek().is_none() {
            query.then("INSERT INTO checkpoint (id, size, root, note) VALUES (1, ");
            let mut values = query.separated(", ");
            values.push_bind(to_i64(checkpoint.size));
            values.push_bind(checkpoint.root.to_vec());
            values.push_bind(written.note.clone());
            query.push(format_args!(") {REPLACED}"));
        }
        if chunks.peek().is_none() && !used.is_empty() {
            query.then("INSERT INTO usage (day, principal, jobs, bytes) SELECT * FROM (");
            let empty = used.len().next_power_of_two() - used.len();
            let all = used.iter().map(Some).chain(std::iter::repeat_n(None, empty));
            query.push_values(all, |mut row, used| {
                let (principal, amount) = used.unzip();
                let (jobs, bytes) = amount.map(|amount| columns(*amount)).unzip();
                row.push_bind(written.day).push_bind(principal.cloned());
                row.push_bind(jobs).push_bind(bytes);
            });
            query.push(") AS filled WHERE column2 IS NOT NULL ");
            query.push(SUMMED);
        }
        if frame == Frame::Whole {
            query.then("COMMIT");
        }
        query.run(&mut *connection).await?;
    }
    Ok(())
}

/// Writes level, index and root of full tiles.
pub(crate) async fn put_tiles(
    tiles: &[(u32, u64, Hash)],
    connection: &mut Connection,
) -> sqlx::Result<()> {
    for tiles in tiles.chunks(ROWS) {
        Builder::new("INSERT INTO tiles (level, idx, root) ")
            .push_values(tiles, |mut row, (level, index, root)| {
                row.push_bind(*level).push_bind(to_i64(*index)).push_bind(root.to_vec());
            })
            .push(" ON CONFLICT (level, idx) DO UPDATE SET root = excluded.root")
            .build()
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Replaces the newest checkpoint.
pub(crate) async fn put_checkpoint(
    connection: &mut Connection,
    checkpoint: &Checkpoint,
    note: &str,
) -> sqlx::Result<()> {
    let mut query = Builder::new("INSERT INTO checkpoint (id, size, root, note) VALUES (1, ");
    let mut values = query.separated(", ");
    values.push_bind(to_i64(checkpoint.size));
    values.push_bind(checkpoint.root.to_vec());
    values.push_bind(note.to_owned());
    query.push(") ").push(REPLACED);
    query.run(connection).await.map(drop)
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
                .is_none_or(|error| error.kind() == ErrorKind::Other && !is_of_data(error)),
        }
    }
}

/// Returns whether a value has a form that PostgreSQL cannot store: class 22 of SQL. The code of
/// SQLite with these two digits is of no change.
fn is_of_data(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|code| code.len() == 5 && code.starts_with("22"))
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
    pub rejected: Vec<(String, String)>,
    pub forgotten: Vec<(String, String)>,
    pub queued: i64,
    pub claimed: usize,
    pub used: BTreeMap<String, Amount>,
    /// The day of the commit.
    pub day: i64,
    pub posted: bool,
}

/// Converts to a signed integer of SQLite; indexes are far below its limit.
pub(crate) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Converts an integer of SQLite back.
pub(crate) fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
