//! The journey of a call, in order: discover → validate → plan → seal → precheck → read, or preview
//! → judge → enqueue or ask people → wait. Each ending is recorded before the caller learns it.
//! Never acts itself: effects are behind [`ports::Host`].

mod call_record;
mod follow;
mod fresh;
mod list;
mod new_call;
mod output_fit;
pub mod ports;
mod prompt;
mod read;
mod resource;
mod resume;
mod same;
mod stages;
mod task;

pub use follow::{Wait, calls, cancel, job};
pub use fresh::{fresh, fresh_job, next_preview};
pub use list::{Lists, list};
pub use new_call::ask;
pub use prompt::{prompt, prompts};
pub use resource::{call_of, ids, resource, resources, templates};
pub use resume::{Resumed, next_approved, resume, resume_job};
pub use task::task;

use crate::model::answer::Reply;
use crate::model::id::PolicyDigest;
use crate::model::trust::Trust;
use crate::tool::catalog::Catalog;
use ed25519_dalek::SigningKey;

/// The gateway's own knowledge: loaded as a whole, and the same from the beginning of a call to its
/// end.
pub struct World {
    /// The loaded tools.
    pub catalog: Catalog,
    /// The gateway's own trust file, as it was loaded.
    pub trust: Trust,
    /// The digest of the loaded policy.
    pub policy: PolicyDigest,
    /// The key that signs permits.
    pub key: SigningKey,
    /// The lists of tools that were made in this minute.
    pub lists: Lists,
}

/// How far a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The call is carried out, where it is allowed.
    Call,
    /// The call is shown, decided and recorded, and never queued.
    Preview,
}

/// The reply to a call that could not be recorded, so that nothing was executed.
fn unrecorded() -> Reply {
    Reply::Unavailable {
        reason: "the call could not be recorded, so it was not carried out; try again later"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests;
