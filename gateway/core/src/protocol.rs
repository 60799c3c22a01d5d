//! The protocols between the roles, one file for each socket. The type of a socket has all that its
//! holder may ask. Plain data; no I/O.

pub mod approver;
pub mod console;
pub mod courier;
pub mod courier_recorder;
pub mod gateway_recorder;
pub mod gateway_viewer;
pub mod link;
pub mod operator_recorder;
pub mod role_guest;
pub mod role_settings;
pub mod runner_recorder;
pub mod telemetry_names;
mod version;

pub use version::{MINORS, UNREADABLE, VERSION, Version};

use serde::{Deserialize, Serialize};

/// The error response to any request: the other side's own words, for logs and operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "fault", content = "detail")]
pub enum RoleError {
    /// It cannot be had: nothing like it, or not yours.
    #[error("not found: {0}")]
    NotFound(String),
    /// It was understood and refused.
    #[error("refused: {0}")]
    Refused(String),
    /// The lease is another's by now: stop before the next effect.
    #[error("fenced: the job is under another lease")]
    Fenced,
    /// The request, or its answer, is larger than the socket carries. A request that is too large
    /// was not sent; one whose answer is too large was carried out.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The queue is too long for one more job; nothing was stored. The same request succeeds later.
    #[error("busy: {why}; try again in {retry_after_seconds} s")]
    Busy {
        /// The length of the queue, and its bound.
        why: String,
        /// The pause before the next try, in whole seconds.
        retry_after_seconds: u64,
    },
    /// The principal used up a budget of its own; nothing was stored.
    #[error("over a limit: {why}; try again in {retry_after_seconds} s")]
    OverLimit {
        /// The key of the budget in the configuration, without its section.
        limit: String,
        /// The budget, as the second half of a sentence about the principal.
        why: String,
        /// The time until the budget is free again, in whole seconds.
        retry_after_seconds: u64,
    },
    /// An operator stopped calls of this tool or this agent; nothing was stored.
    #[error("stopped: {why}")]
    Stopped {
        /// The stop, a sentence without its full stop.
        why: String,
    },
    /// It could not be done or could not be recorded; nothing was changed.
    #[error("unavailable: {0}")]
    Unavailable(String),
}
