//! What a recorder is given: its places, its key, and everything it may not reach for itself
//! (clock, randomness, disk, trust file).

use cofferdam_core::model::id::TrustDigest;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::operator_recorder::Disk;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;

/// Milliseconds after which an approved call is offered to the gateway again when it neither
/// permitted nor withdrew it.
pub const OFFER_MS: i64 = 30_000;

/// Milliseconds between sweeps for lost leases and expired jobs: a tenth of what anybody could
/// notice.
pub const SWEEP_MS: u64 = 1_000;

/// Milliseconds until a job that met an obstacle is tried again; doubled each time it meets one.
pub const RETRY_MS: i64 = 1_000;

/// The longest such pause: so soon after its cause is gone a job goes on by itself, and so seldom a
/// runner is busy with one that cannot.
pub const LONGEST_RETRY_MS: i64 = 10_000;

/// Stuck jobs in one answer: more of them have one cause, and a person reads a few.
pub const STUCK: i64 = 20;

/// Milliseconds after which runners are missed when none holds a socket: each ends with its job,
/// and the next one needs a moment to start.
pub const RUNNERS_AWAY_MS: i64 = 5_000;

/// The longest a request is held, in milliseconds, whatever it asks for: a little beyond what the
/// edge waits.
pub const LONGEST_WAIT_MS: u64 = 60_000;

/// A function that is passed in.
pub type Given<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// The wall clock.
pub type Clock = Given<Timestamp>;

/// 32 random bytes from the operating system, or why there are none.
pub type Random = Given<Result<[u8; 32], String>>;

/// The disk under the store, or why it cannot be asked.
pub type FreeSpace = Given<Result<Disk, String>>;

/// The recorder's own trust file, and the digest of its text.
#[derive(Debug, Clone)]
pub struct TrustNow {
    /// What it says.
    pub trust: Trust,
    /// Its digest, for the ledger.
    pub digest: TrustDigest,
}

/// The trust file as it is now, or why it cannot be read: asked at each use, so that a new approver
/// counts at once.
pub type TrustFile = Given<Result<TrustNow, String>>;

/// Everything a recorder needs.
#[derive(Clone)]
pub struct RecorderContext {
    /// Folder of the store; made when missing. No other role opens it.
    pub store: PathBuf,
    /// Folder of the ledger's tiles; made when missing. Everybody may read it.
    pub ledger: PathBuf,
    /// Id of the environment: names the ledger `cofferdam.dev/<id>`.
    pub environment: String,
    /// Signs checkpoints.
    pub key: SigningKey,
    /// The wall clock.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// The disk under `store`.
    pub free: FreeSpace,
    /// Whose approvals count.
    pub trust: TrustFile,
    /// Seconds a lease lasts without a heartbeat: `runner.lease_seconds` of the configuration.
    pub lease_seconds: u64,
}
