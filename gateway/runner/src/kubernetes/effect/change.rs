//! Fields changed by a JSON Patch that is pinned to the state it was rendered from. Never sent again without having looked: what it says by itself then
//! is that it either has happened or still can, once.

use super::{PAUSE, TRIES, look, refused, unknown};
use crate::effect::EffectFault;
use crate::kubernetes::api::{ApiFault, Cluster, Mode};
use crate::kubernetes::{json_patch, object};
use cofferdam_core::operation::Target;
use cofferdam_core::path::FieldPath;
use serde_json::Value;

/// One change of one object.
pub(super) struct Change<'a> {
    pub job: &'a Cluster,
    pub at: &'a str,
    pub manager: &'a str,
    pub target: &'a Target,
    pub uid: &'a str,
    pub changes: &'a [(FieldPath, Option<Value>)],
}

impl Change<'_> {
    /// Makes it, over an object that `is_before`. Answers the object as it is then.
    pub async fn make(
        &self,
        is_before: impl Fn(&Value) -> bool + Send,
        is_after: impl Fn(&Value) -> bool + Send,
    ) -> Result<Value, EffectFault> {
        let mut unclear: Option<ApiFault> = None;
        let mut last: Option<ApiFault> = None;
        for _ in 0..TRIES {
            let live = look(self.job, self.at, self.target, unclear.as_ref()).await?;
            let live = match (live, &unclear) {
                (Some(live), Some(_)) if self.is_it(&live) && is_after(&live) => return Ok(live),
                (Some(live), _) if self.is_it(&live) && is_before(&live) => live,
                // It is neither as it was nor as it should be: somebody else came in between, before it or after it.
                (_, Some(fault)) => return Err(unknown(self.target, "it was changed by somebody else meanwhile", fault)),
                (_, None) => return Err(EffectFault::Conflict(self.target.clone())),
            };
            let patch = json_patch::render(&live, self.changes).map_err(|fault| EffectFault::Refused(fault.to_string()))?;
            if json_patch::is_idle(&patch) {
                return Ok(live);
            }
            match self.job.patch(self.at, &patch, self.manager, Mode::Real).await {
                Ok(object) => return Ok(object),
                Err(fault) if fault.is_unclear() => {
                    unclear = Some(fault);
                    tokio::time::sleep(PAUSE).await;
                }
                // A test failed, or the store was written in between: the next look says what it is now.
                Err(fault) if is_stale(&fault) => last = Some(fault),
                Err(fault) => {
                    return Err(match unclear {
                        Some(unclear) => unknown(self.target, "the next attempt was refused", &unclear),
                        None => refused(self.target, &fault),
                    });
                }
            }
        }
        // The last unclear answer may have done it.
        if let Some(unclear) = &unclear {
            return match look(self.job, self.at, self.target, Some(unclear)).await? {
                Some(live) if self.is_it(&live) && is_after(&live) => Ok(live),
                _ => Err(unknown(self.target, "no attempt got a clear answer", unclear)),
            };
        }
        Err(last.map_or_else(|| EffectFault::Conflict(self.target.clone()), |fault| refused(self.target, &fault)))
    }

    fn is_it(&self, live: &Value) -> bool {
        object::uid(live) == Some(self.uid)
    }
}

/// A failed `test` is 422, as is an object that the server finds invalid: that says so.
fn is_stale(fault: &ApiFault) -> bool {
    match fault {
        ApiFault::Refused { status: 409, .. } => true,
        ApiFault::Refused { status: 422, message, .. } => !message.contains(" is invalid: "),
        _ => false,
    }
}
