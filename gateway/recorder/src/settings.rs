//! The context of a recorder: its folders, its key, and the inputs that are passed in (clock,
//! random bytes, disk, trust file).

use cofferdam_core::model::budget::Budgets;
use cofferdam_core::model::console_role::ConsoleRole;
use cofferdam_core::model::id::TrustDigest;
use cofferdam_core::model::notification::Receiver;
use cofferdam_core::model::retention::Retention;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::operator_recorder::Disk;
use cofferdam_core::protocol::role_settings::DatabaseSettings;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Milliseconds until an approved call is offered again to the gateway, if it is neither permitted
/// nor withdrawn.
pub const OFFER_MS: i64 = 30_000;

/// Milliseconds between sweeps for lost leases and expired jobs.
pub const SWEEP_MS: u64 = 1_000;

/// Milliseconds between two looks for rows that are older than their retention. Each look writes a
/// ledger entry for each change that removes something.
pub const RETENTION_MS: i64 = 3_600_000;

/// The most changes of one sweep that remove old rows: the next sweep goes on a second later.
pub const RETENTION_ROUNDS: usize = 16;

/// Milliseconds until a job is retried after an obstacle; doubled after each further one.
pub const RETRY_MS: i64 = 1_000;

/// The longest pause before a retry, in milliseconds: short enough to continue soon after the cause
/// is gone, and long enough to keep runners free.
pub const LONGEST_RETRY_MS: i64 = 10_000;

/// The most stuck jobs in one response: they usually have one cause.
pub const STUCK: i64 = 20;

/// Milliseconds without any runner's socket until runners count as missing: each runner ends with
/// its job, and the next one needs time to start.
pub const RUNNERS_AWAY_MS: i64 = 5_000;

/// The longest time that a request is held, in milliseconds: slightly longer than the edge waits.
pub const LONGEST_WAIT_MS: u64 = 60_000;

/// A function that the binary passes in.
pub type Given<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// The wall clock, passed in.
pub type Clock = Given<Timestamp>;

/// 32 random bytes from the operating system, or the cause of the error.
pub type Random = Given<Result<[u8; 32], String>>;

/// The disk of the store, or the cause of the error.
pub type FreeSpace = Given<Result<Disk, String>>;

/// The recorder's own trust file, and the digest of its text.
#[derive(Debug, Clone)]
pub struct TrustNow {
    /// The content of the trust file.
    pub trust: Trust,
    /// The digest of its text, for the ledger.
    pub digest: TrustDigest,
}

/// The present trust file, or the cause of the error. Read at each use, so that a removed approver
/// is in effect at once.
pub type TrustFile = Given<Result<TrustNow, String>>;

/// The PostgreSQL database of the store.
#[derive(Clone)]
pub struct Database {
    /// Server, user, name and TLS.
    pub settings: DatabaseSettings,
    /// The password of the user; `None` if the server asks for none.
    pub password: Option<String>,
    /// The certificates of the authorities of the server, as PEM.
    pub ca: Option<Vec<u8>>,
    /// This recorder, for people who look into the database: the name of its machine and its process
    /// id.
    pub holder: String,
}

/// Without the password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The settings and inputs of a recorder.
#[derive(Clone)]
pub struct RecorderContext {
    /// The folder of the store; made if it is missing. No other role opens it.
    pub store: PathBuf,
    /// The database that takes the place of a file in that folder.
    pub database: Option<Database>,
    /// Tells the supervisor, once, that another recorder is the sequencer, and that this one waits.
    pub stands_by: Given<()>,
    /// The folder of the ledger's tiles; made if it is missing. Every user may read it.
    pub ledger: PathBuf,
    /// The id of the environment: the ledger is `cofferdam.dev/<id>`.
    pub environment: String,
    /// The key that signs checkpoints.
    pub key: SigningKey,
    /// The wall clock, passed in.
    pub clock: Clock,
    /// The source of random bytes.
    pub random: Random,
    /// The disk of the folder `store`.
    pub free: FreeSpace,
    /// The trust file with the approvers.
    pub trust: TrustFile,
    /// Asks the supervisor for a reload, with the number of the request. A later notice of the
    /// supervisor has its end.
    pub reload: Arc<dyn Fn(u64) + Send + Sync>,
    /// Seconds that a lease lasts without a heartbeat: `runner.lease_seconds` of the configuration.
    pub lease_seconds: u64,
    /// True if runners that claimed from a recorder before this one may go on: their leases are kept
    /// at the start, until they are resumed or end. False if all of them have ended.
    pub keeps_leases: bool,
    /// The most jobs that wait in the queue: `runner.max_queued` of the configuration.
    pub max_queued: u64,
    /// The budgets of each principal: `limits` of the configuration.
    pub budgets: Budgets,
    /// The times after which rows are removed: `retention` of the configuration.
    pub retention: Retention,
    /// The receivers of notifications: `notify` of the configuration.
    pub receivers: Vec<Receiver>,
    /// The roles that people by the issuer of `people.oidc` may have; empty without one.
    pub oidc_roles: Vec<ConsoleRole>,
}
