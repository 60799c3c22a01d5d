//! What a plan would change, shown without touching anything. Of what exists nothing is computed here: the viewer looks, this says what it may
//! answer; what goes into the ephemeral namespace follows from the plan.

pub mod drift;
mod ephemeral;
mod remark;
mod rest;

pub use ephemeral::{SHOWN, ephemeral, is_object};
pub use remark::{REMARK, REMARKS, Remark, RemarkKind, are_bounded, bounded};
pub use rest::{Origin, REST, Rest, kept};

use crate::hash::SealedPlan;
use crate::id::{ObjectDigest, PreviewDigest};
use crate::operation::{Action, Target};
use drift::Difference;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The state an effect was approved over; a different world stops the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// The object must not exist.
    Absent,
    /// The object must be this one, in this state.
    Present {
        /// Its UID; for an object in a file, made from its place.
        uid: String,
        /// Digest without status and managed fields.
        digest: ObjectDigest,
    },
}

/// One operation's before and after, redacted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PreviewedOperation {
    /// Its index in the plan.
    pub index: u32,
    /// The object it changes.
    pub target: Target,
    /// What the effect is approved over.
    pub expect: Expect,
    /// Field path → value before; `null` where the field is absent. For a delete: the fields that describe the object.
    pub before: BTreeMap<String, Value>,
    /// Field path → value after; `null` where it will be absent. Empty for a delete.
    pub after: BTreeMap<String, Value>,
    /// Where it lies, for people: the file and line of an object in a directory; empty elsewhere.
    pub place: String,
    /// What a person has to know besides: at most [`REMARKS`].
    pub remarks: Vec<Remark>,
    /// What else the object has: policy is not asked about it.
    #[serde(default, skip_serializing_if = "Rest::is_empty")]
    #[cfg_attr(test, schemars(skip))]
    pub rest: Rest,
}

impl PreviewedOperation {
    /// As policy sees it.
    #[must_use]
    pub fn without_rest(&self) -> Self {
        Self { rest: Rest::default(), ..self.clone() }
    }
}

/// What a plan would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// In plan order.
    pub operations: Vec<PreviewedOperation>,
}

impl Preview {
    /// The operation of this index.
    pub fn operation(&self, index: u32) -> Option<&PreviewedOperation> {
        self.operations.iter().find(|shown| shown.index == index)
    }

    /// Canonical JSON (RFC 8785) and its digest. Who wrote a field is left out: it is no part of what is approved.
    pub fn seal(&self) -> Result<(String, PreviewDigest), crate::json::JsonFault> {
        let mut sealed = self.clone();
        sealed.operations.iter_mut().for_each(|operation| operation.rest.origins.clear());
        let text = crate::json::canonical(&sealed)?;
        let digest = PreviewDigest::of(text.as_bytes());
        Ok((text, digest))
    }
}

/// A sealed plan with what it would change. Made here alone, consumed by the decision.
#[derive(Debug)]
#[must_use]
pub struct PreviewedPlan {
    sealed: SealedPlan,
    preview: Preview,
    text: String,
    digest: PreviewDigest,
}

/// A preview that is not this plan's: the viewer is wrong or lies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the preview is not of this plan: {0}")]
pub struct ForeignPreview(String);

/// Joins a plan and its preview: one entry per operation, in order, about the same object and, for a patch, the same fields; for what goes into
/// the ephemeral namespace, just what the plan says.
pub fn preview(sealed: SealedPlan, preview: Preview) -> Result<PreviewedPlan, ForeignPreview> {
    let facts = sealed.facts();
    if preview.operations.len() != facts.len() {
        return Err(ForeignPreview(format!("it shows {} operations instead of {}", preview.operations.len(), facts.len())));
    }
    for ((shown, fact), step) in preview.operations.iter().zip(facts).zip(sealed.operations()) {
        let target = &shown.target;
        let same = shown.index == fact.index
            && (&target.group, &target.version, &target.kind) == (&fact.group, &fact.version, &fact.kind)
            && (&target.namespace, &target.name) == (&fact.namespace, &fact.name);
        if !same {
            return Err(ForeignPreview(format!("operation {} is about another object", fact.index)));
        }
        if ephemeral(&step.operation, fact.index).is_some_and(|own| own != *shown) {
            return Err(ForeignPreview(format!("operation {} shows another than the plan puts into the ephemeral namespace", fact.index)));
        }
        if !are_bounded(&shown.remarks) {
            return Err(ForeignPreview(format!("operation {} has too many remarks, or too long ones", fact.index)));
        }
        if fact.action == Action::Patch {
            let changed: BTreeSet<_> = fact.changes.iter().map(|change| &change.path).collect();
            if !changed.iter().copied().eq(shown.before.keys()) || !changed.iter().copied().eq(shown.after.keys()) {
                return Err(ForeignPreview(format!("operation {} shows other fields than it changes", fact.index)));
            }
        }
    }
    let (text, digest) = preview.seal().map_err(|fault| ForeignPreview(fault.to_string()))?;
    Ok(PreviewedPlan { sealed, preview, text, digest })
}

impl PreviewedPlan {
    /// The plan.
    pub fn sealed(&self) -> &SealedPlan {
        &self.sealed
    }

    /// The same, over a fresh look, in place of what was approved: it keeps the approved text and digest, and each effect is
    /// held against the state that was seen now. Refused with a sentence where what an approval is over differs; answers what else
    /// of the same objects changed.
    pub(crate) fn agreed(self, approved: &str, digest: PreviewDigest) -> Result<(Self, Vec<Difference>), String> {
        let meanwhile = drift::agree(approved, digest, &self.preview)?;
        Ok((Self { text: approved.to_owned(), digest, ..self }, meanwhile))
    }

    /// The plan alone again, to be looked at once more.
    pub(crate) fn into_sealed(self) -> SealedPlan {
        self.sealed
    }

    /// What it would change.
    pub fn preview(&self) -> &Preview {
        &self.preview
    }

    /// The preview's canonical JSON.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The preview's digest.
    pub fn digest(&self) -> PreviewDigest {
        self.digest
    }
}
