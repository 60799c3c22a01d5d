//! The store of a history, which survives each recorder process: a real SQLite in memory, with
//! production's tables. Reads for the other parties and for the promises are kept until the next
//! commit. Never changes a job.

use crate::ledger::leaf::Leaf;
use crate::ledger::note::Checkpoint;
use crate::ledger::tree::leaf_hash;
use crate::settings::RecorderContext;
use crate::store::batch::{Head, to_u64};
use crate::store::open::migrate;
use crate::store::row::{JobRow, columns};
use crate::store::sql::{self, Connection};
use cofferdam_core::model::budget::Budgets;
use cofferdam_core::model::id::{ArgumentsDigest, CallId, Fence, TrustDigest};
use cofferdam_core::model::retention::Retention;
use cofferdam_core::model::run::Phase;
use cofferdam_core::protocol::operator_recorder::Disk;
use cofferdam_testkit::build::{environment, trust};
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds that a lease lasts without a heartbeat.
pub(super) const LEASE: u64 = 30;

/// The store.
pub(super) struct Store {
    pub connection: Connection,
    pub settings: RecorderContext,
    /// The term of the newest sequencer.
    pub term: u64,
    random: Arc<AtomicU64>,
    /// The statements that restore an empty store.
    cleaning: String,
    rows: Option<BTreeMap<String, JobRow>>,
    started: Option<BTreeSet<(String, u32)>>,
}

fn settings(random: &Arc<AtomicU64>) -> RecorderContext {
    let random = Arc::clone(random);
    RecorderContext {
        store: "unused".into(),
        database: None,
        stands_by: Arc::new(|| ()),
        ledger: "unused".into(),
        environment: environment().id,
        key: SigningKey::from_bytes(&[5; 32]),
        clock: Arc::new(|| Timestamp::UNIX_EPOCH),
        random: Arc::new(move || {
            let number = random.fetch_add(1, Ordering::Relaxed);
            Ok(*ArgumentsDigest::of(&number.to_be_bytes()).as_bytes())
        }),
        free: Arc::new(|| Ok(Disk { free_bytes: 50, reserve_bytes: 10 })),
        trust: Arc::new(|| {
            let digest = TrustDigest::of(b"trust");
            Ok(crate::settings::TrustNow { trust: trust(environment()), digest })
        }),
        reload: Arc::new(|_| ()),
        lease_seconds: LEASE,
        keeps_leases: true,
        max_queued: crate::backlog::QUEUED,
        budgets: Budgets::unlimited(),
        retention: Retention::usual(),
        receivers: Vec::new(),
        oidc_roles: Vec::new(),
    }
}

impl Store {
    /// An empty store.
    pub async fn new() -> Self {
        let random = Arc::new(AtomicU64::new(0));
        let options = SqliteConnectOptions::new()
            .in_memory(true)
            .pragma("temp_store", "MEMORY")
            .foreign_keys(true);
        let connection = SqliteConnection::connect_with(&options).await.unwrap();
        let mut connection = Connection::from(connection);
        migrate(0, &mut connection).await.unwrap();
        let cleaning = cleaning(&mut connection).await;
        let (rows, started) = (None, None);
        let settings = settings(&random);
        Self { connection, settings, term: 0, random, cleaning, rows, started }
    }

    /// Empties the store for the next history.
    pub async fn clean(&mut self) {
        self.connection.script(self.cleaning.clone(), "").await.unwrap();
        self.random.store(0, Ordering::Relaxed);
        self.term = 0;
        self.changed();
    }

    /// Forgets what was read: the store may have changed.
    pub fn changed(&mut self) {
        (self.rows, self.started) = (None, None);
    }

    /// The jobs.
    pub async fn rows(&mut self) -> &BTreeMap<String, JobRow> {
        if self.rows.is_none() {
            let rows: Vec<JobRow> = sql::query_as(columns!("ORDER BY seq"))
                .fetch_all(&mut self.connection)
                .await
                .unwrap();
            self.rows = Some(rows.into_iter().map(|row| (row.call.clone(), row)).collect());
        }
        self.rows.as_ref().unwrap()
    }

    /// The job of a call.
    pub async fn row(&mut self, call: &CallId) -> Option<&JobRow> {
        self.rows().await.get(call.as_str())
    }

    /// Returns whether a runner holds this lease.
    pub async fn holds(&mut self, call: &CallId, fence: Fence) -> bool {
        self.row(call).await.is_some_and(|row| row.leased && row.fence() == fence)
    }

    /// Returns whether a runner would get a job.
    pub async fn is_claimable(&mut self) -> bool {
        let waits = |row: &JobRow| {
            let phase = row.phase().unwrap();
            !row.leased && matches!(phase, Phase::Queued | Phase::Acting | Phase::TearingDown)
        };
        self.rows().await.values().any(waits)
    }

    /// The leases that are in effect.
    pub async fn standing(&mut self) -> Vec<(CallId, Fence)> {
        let rows = self.rows().await.values();
        let leased = rows.filter(|row| row.leased && row.phase != Phase::Closed.word());
        leased.map(|row| (row.id().unwrap(), row.fence())).collect()
    }

    /// Returns whether the start of an operation is durable.
    pub async fn has_started(&mut self, call: &CallId, operation: u32) -> bool {
        if self.started.is_none() {
            let rows: Vec<(String, i64)> = sql::query_as("SELECT call, operation FROM operations")
                .fetch_all(&mut self.connection)
                .await
                .unwrap();
            let number = |(call, number): (String, i64)| (call, u32::try_from(number).unwrap());
            self.started = Some(rows.into_iter().map(number).collect());
        }
        self.started.as_ref().unwrap().contains(&(call.to_string(), operation))
    }

    /// Reads the whole ledger, and verifies it against its signed checkpoint. Returns its head and
    /// its entries.
    pub async fn verified(&mut self) -> (Head, Vec<String>) {
        let mut head = Head::default();
        let leaves: Vec<(i64, Vec<u8>, String)> =
            sql::query_as("SELECT idx, hash, entry FROM leaves ORDER BY idx")
                .fetch_all(&mut self.connection)
                .await
                .unwrap();
        let mut entries = Vec::with_capacity(leaves.len());
        for (index, stored, text) in leaves {
            let hash = leaf_hash(text.as_bytes());
            let is_next = to_u64(index) == head.tree.size() && stored == hash;
            assert!(is_next, "the ledger does not verify: its entry {index}");
            head.tree.push(hash);
            head.last = Some(hash);
            entries.push(text);
        }
        let note: Option<String> = sql::query_scalar("SELECT note FROM checkpoint")
            .fetch_optional(&mut self.connection)
            .await
            .unwrap();
        if let Some(note) = note {
            let signed = Checkpoint::open(&note, &self.settings.key.verifying_key()).unwrap();
            let is_signed = (signed.size, signed.root) == (head.tree.size(), head.tree.root());
            assert!(is_signed, "the ledger does not verify: its checkpoint");
        }
        (head, entries)
    }
}

/// The entry of a leaf.
pub(super) fn entry(text: &str) -> Leaf {
    serde_json::from_str(text).unwrap()
}

/// Notes the rows of an empty store, and returns the statements that restore them.
async fn cleaning(connection: &mut Connection) -> String {
    let tables: Vec<String> = sql::query_scalar(
        // Tables that refer to others come first.
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
         ORDER BY (SELECT count(*) FROM pragma_foreign_key_list(name)) DESC, name",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let mut cleaning = String::from("BEGIN; ");
    for table in tables {
        let count: i64 = sql::query_scalar(format!("SELECT count(*) FROM {table}"))
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        cleaning.push_str(&format!("DELETE FROM {table}; "));
        if count > 0 {
            let first = format!("CREATE TEMP TABLE first_{table} AS SELECT * FROM {table}");
            connection.script(first, "").await.unwrap();
            cleaning.push_str(&format!("INSERT INTO {table} SELECT * FROM first_{table}; "));
        }
    }
    // Not a pragma: it would make SQLite compile every statement again.
    cleaning + "COMMIT"
}
