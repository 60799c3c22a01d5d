//! An approved operation over the present state. If other fields of the object changed since the
//! last read, the operation is previewed again, and the effect is pinned to that read. Stops if the
//! approved fields differ, or if policy obliges to stop over any change.

use crate::look_error::LookError;
use crate::namespace::Namespace;
use crate::preview;
use cofferdam_backend::effect_error::EffectError;
use cofferdam_core::model::operation::Operation;
use cofferdam_core::model::preview::{Expect, PreviewedOperation};
use cofferdam_core::stage::drift;
use cofferdam_core::stage::drift::Compared;

/// The number of times that one effect may find another state than the last read. Controllers write
/// to an object a few times after each change. An object that is written without end gets no
/// effect.
pub(super) const RENEWALS: u32 = 5;

impl Namespace {
    /// The operation with the state of its last look.
    pub(super) fn latest(&self, approved: &PreviewedOperation) -> PreviewedOperation {
        self.renewed.get(&approved.index).unwrap_or(approved).clone()
    }

    /// Reads the object again, and returns the operation over that state. Keeps changes by others
    /// for the outcome.
    pub(super) async fn renew(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
    ) -> Result<PreviewedOperation, EffectError> {
        let target = &approved.target;
        let job = self.job().await?;
        let now = match preview::again(&job, &self.manager, operation, approved).await {
            Ok(now) => now,
            Err(LookError::Refused(refusal))
                if refusal.code == "not-found" && approved.expect != Expect::Absent =>
            {
                return Err(EffectError::Changed(format!("{target} is gone")));
            }
            Err(LookError::Refused(refusal)) => return Err(refusal.into()),
            Err(LookError::Unavailable(error)) => return Err(super::refused(target, &error)),
        };
        let Compared { inside, outside } = drift::compare(approved, &now);
        EffectError::unless_held(inside, &outside, self.unchanged)?;
        drift::add(&mut self.meanwhile, outside);
        self.renewed.insert(approved.index, now.clone());
        Ok(now)
    }
}
