//! Limits that several stages share, each with its reason. Zero never means unlimited; nothing is
//! ever truncated to fit.

/// Bytes of a request body: a plan's arguments are small; four pages of JSON is generous and 1,000
/// concurrent bodies fit in memory.
pub const BODY: usize = 256 * 1024;

/// Bytes of canonical arguments handed to a tool: they are parsed inside a memory of fixed size.
pub const ARGUMENTS: usize = 64 * 1024;

/// Operations in a plan: more than a person can judge on one page.
pub const OPERATIONS: usize = 64;

/// Changes in one patch.
pub const CHANGES: usize = 32;

/// Bytes of a draft: everything that a tool may return.
pub const DRAFT: usize = 256 * 1024;

/// Characters of a plan's summary: one sentence on an approver's screen.
pub const SUMMARY: usize = 200;

/// Characters of a purpose: two sentences.
pub const PURPOSE: usize = 300;

/// Bytes of policy input: copied into the policy's memory and parsed there; beyond it the call is
/// denied, never cut.
pub const POLICY_INPUT: usize = 512 * 1024;

/// Bytes of policy output.
pub const POLICY_OUTPUT: usize = 256 * 1024;

/// Bytes of text in a reply: what fits a model's context without crowding it.
pub const TEXT: usize = 64 * 1024;

/// Bytes of one result of a read.
pub const RESULT: usize = 256 * 1024;

/// Bytes of a task's input: a ConfigMap holds it, and an approver can be shown its digest and size;
/// a plan's other operations share [`DRAFT`] with it.
pub const TASK_INPUT: usize = DRAFT;

/// Bytes of what a plan's tasks give back together, as an answer shows it, escapes included: with
/// the lines around it, it is one text.
pub const TASK_OUTPUT: usize = TEXT - 4 * 1024;

/// Bytes of a task's output besides its result, for people who search for an error.
pub const TASK_NOTE: usize = 4 * 1024;

/// Characters of one note on a call's progress: a line of a terminal, twice.
pub const NOTE: usize = 200;

/// Notes handed on at once: what a person reads in a second is fewer.
pub const NOTES_AT_ONCE: usize = 20;

/// Notes of a job that are kept for later questions: the newest; a longer text is no progress but a
/// log.
pub const NOTES_KEPT: usize = 20;

/// Characters of a cause, and of a remedy, of a job that cannot go on: two paths of the longest
/// kind that people read, and a sentence.
pub const OBSTACLE: usize = 1_000;

/// How long a call is held, in milliseconds: clients give up at 60 s.
pub const WAIT_MS: u64 = 45_000;

/// The longest part of a hold that is one request to the recorder, in milliseconds. After a client
/// left, the recorder waits for it no longer than this.
pub const LOOK_MS: u64 = 5_000;

/// How long a call is held while a person decides, in milliseconds, where its client did not ask
/// for more (by a progress token, or over `/v1` by `wait`). Clients give up after 5 to 60 s and
/// then have not even the id; a person takes longer than either.
pub const PERSON_MS: u64 = 3_000;

/// Calls in one list of an agent's own: what a model reads without losing the thread.
pub const CALLS: u32 = 50;

/// The same, where the caller does not say how many.
pub const CALLS_USUAL: u32 = 20;

/// How long a permit is good for, in seconds: long enough for a queue, short enough that the world
/// is still the one decided over.
pub const PERMIT_SECONDS: i64 = 600;

/// How long a rejection is in effect against the same plan of the same agent, in seconds.
pub const REJECTION_SECONDS: i64 = 3_600;

/// How long closed jobs are kept, in days, if the configuration does not say: a quarter of a year,
/// in which questions about a change come up.
pub const RETENTION_DAYS_JOBS: u64 = 90;

/// How long idempotency keys are kept, in days, if the configuration does not say: far longer than
/// a client repeats a request.
pub const RETENTION_DAYS_KEYS: u64 = 7;

/// How long a question of the floor alone is open, in seconds: a working hour, so that a colleague
/// can be found.
pub const APPROVAL_SECONDS: u64 = 3_600;

/// How far two machines' clocks may be apart, in seconds: what unattended NTP keeps, with room to
/// spare.
pub const CLOCK_SECONDS: i64 = 30;

/// The longest time from a call to its question, in seconds: tool, preview and policy, on a busy
/// gateway, with room for clocks that differ.
pub const ASKING_SECONDS: i64 = 120;

/// The longest a question may wait, in seconds: a week, after which its reason is forgotten.
pub const APPROVAL_SECONDS_MOST: u64 = 7 * 24 * 3_600;

/// How long after a job's success the same call without a key gets that success as its reply and is
/// not carried out again, in milliseconds. A client or a model that repeats a call whose reply was
/// lost does so within a minute.
pub const ALREADY_MS: u64 = 60_000;

/// The precision of the last use of a caller, in seconds: a caller with many calls costs one write
/// in this time.
pub const USE_SECONDS: i64 = 600;

/// The most callers in one report of the gateway.
pub const SERVED: usize = 256;

/// The most callers that are kept and shown. Those with the oldest uses are forgotten.
pub const SHOWN_CALLERS: u32 = 10_000;
