//! The messages of a backend about one effect: output while it lasts, and the reason why it did not
//! happen as approved, or may have happened. Never decides the outcome of the job.

use crate::refusal::Refusal;
use cofferdam_core::model::difference::Difference;
use cofferdam_core::model::job::{Obstacle, Said};
use cofferdam_core::model::operation::Target;
use cofferdam_core::text::difference::sentence;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// Takes what an effect says while it lasts.
pub type Told = mpsc::Sender<Vec<Said>>;

/// An effect that did not come about as approved.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The object is not what was approved.
    #[error("{0} is no longer what was approved")]
    Conflict(Target),
    /// The object is not as approved. The text says what changed.
    #[error("{0}")]
    Changed(String),
    /// The operation cannot be done, or its result would not be as approved.
    #[error("{0}")]
    Refused(String),
    /// The effect happened, and not as approved: admission of the cluster changed the request.
    #[error("it happened, and not as approved: {0}")]
    Differs(String),
    /// The effect was requested, and may have happened. A person has to look.
    #[error("whether it happened is not known: {0}")]
    Unknown(String),
    /// The effect was requested as approved, and others hold the object for longer than the job
    /// waits. The content names the holder.
    #[error("{0}")]
    Held(Box<Going>),
    /// A file that the job needs cannot be written.
    #[error(transparent)]
    Unwritable(#[from] Obstacle),
}

impl EffectError {
    /// Refuses an effect if the approved fields differ, or if other fields differ and policy
    /// obliges to stop over that.
    pub fn unless_held(
        inside: Vec<Difference>,
        outside: &[Difference],
        unchanged: bool,
    ) -> Result<(), Self> {
        let differing = if inside.is_empty() && unchanged { outside.to_vec() } else { inside };
        match sentence(&differing) {
            None => Ok(()),
            Some(changed) => Err(Self::Changed(changed)),
        }
    }
}

/// A deleted object that still exists.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{target} was asked to be deleted, and is {by}")]
pub struct Going {
    /// The object that remains.
    pub target: Target,
    /// The finalizers that hold the object, and the time of its deletion.
    pub by: String,
    /// Its state as it was observed: as before, and going.
    pub after: BTreeMap<String, Value>,
}

impl From<Refusal> for EffectError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.reason)
    }
}
