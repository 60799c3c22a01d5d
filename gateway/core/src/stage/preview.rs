//! The changes of a plan, shown before any effect. The viewer reads the objects that exist; this
//! file checks that its response is of the plan. The preview of the run namespace follows from the
//! plan.

mod ephemeral;

use crate::model::preview::Preview;
use crate::model::preview::are_bounded;
use crate::stage::drift;
pub use ephemeral::{SHOWN, ephemeral, is_object};

use crate::model::difference::Difference;
use crate::model::id::PreviewDigest;
use crate::model::operation::Action;
use crate::stage::seal::SealedPlan;
use std::collections::BTreeSet;

/// A sealed plan with its preview. Made here alone, consumed by the decision.
#[derive(Debug)]
#[must_use]
pub struct PreviewedPlan {
    sealed: SealedPlan,
    preview: Preview,
    text: String,
    digest: PreviewDigest,
}

/// The preview is of another plan: the viewer is wrong or lies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the preview is not of this plan: {0}")]
pub struct ForeignPreview(String);

/// Joins a plan and its preview: one entry per operation, in order, about the same object and, for
/// a patch, the same fields; for what goes into the ephemeral namespace, just what the plan says.
pub fn preview(sealed: SealedPlan, preview: Preview) -> Result<PreviewedPlan, ForeignPreview> {
    let facts = sealed.facts();
    if preview.operations.len() != facts.len() {
        return Err(ForeignPreview(format!(
            "it shows {} operations instead of {}",
            preview.operations.len(),
            facts.len()
        )));
    }
    for ((shown, fact), step) in preview.operations.iter().zip(facts).zip(sealed.operations()) {
        let target = &shown.target;
        let same = shown.index == fact.index
            && (&target.group, &target.version, &target.kind)
                == (&fact.group, &fact.version, &fact.kind)
            && (&target.namespace, &target.name) == (&fact.namespace, &fact.name);
        if !same {
            return Err(ForeignPreview(format!(
                "operation {} is about another object",
                fact.index
            )));
        }
        if ephemeral(&step.operation, fact.index).is_some_and(|own| own != *shown) {
            return Err(ForeignPreview(format!(
                "operation {} shows another than the plan puts into the ephemeral namespace",
                fact.index
            )));
        }
        if !are_bounded(&shown.remarks) {
            return Err(ForeignPreview(format!(
                "operation {} has too many remarks, or too long ones",
                fact.index
            )));
        }
        if fact.action == Action::Patch {
            let changed: BTreeSet<_> = fact.changes.iter().map(|change| &change.path).collect();
            if !changed.iter().copied().eq(shown.before.keys())
                || !changed.iter().copied().eq(shown.after.keys())
            {
                return Err(ForeignPreview(format!(
                    "operation {} shows other fields than it changes",
                    fact.index
                )));
            }
        }
    }
    let (text, digest) = preview.seal().map_err(|error| ForeignPreview(error.to_string()))?;
    Ok(PreviewedPlan { sealed, preview, text, digest })
}

impl PreviewedPlan {
    /// The sealed plan.
    pub fn sealed(&self) -> &SealedPlan {
        &self.sealed
    }

    /// Replaces the preview with the approved text and digest, if the preview that was read now
    /// agrees with it. Each effect is checked against the state that was read now. Returns the
    /// other changes of the same objects. The error is a sentence about the approved part that
    /// differs.
    pub(crate) fn agreed(
        self,
        approved: &str,
        digest: PreviewDigest,
    ) -> Result<(Self, Vec<Difference>), String> {
        let meanwhile = drift::agree(approved, digest, &self.preview)?;
        Ok((Self { text: approved.to_owned(), digest, ..self }, meanwhile))
    }

    /// The plan alone, for another preview.
    pub(crate) fn into_sealed(self) -> SealedPlan {
        self.sealed
    }

    /// The preview of the plan.
    pub fn preview(&self) -> &Preview {
        &self.preview
    }

    /// The preview's canonical JSON.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The digest of the preview.
    pub fn digest(&self) -> PreviewDigest {
        self.digest
    }
}
