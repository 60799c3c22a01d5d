//! The preview of a plan as data: before, after and remarks of each operation. Reads no object:
//! the viewer makes it, `stage::preview` joins it with its plan.

mod remark;
mod rest;

pub use remark::{REMARK, REMARKS, Remark, RemarkKind, are_bounded, bounded};
pub use rest::{Origin, REST, Rest, kept};

use super::id::{ObjectDigest, PreviewDigest};
use super::operation::Target;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The state that an effect was approved for; another state stops the job.
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
    /// The state of the object that the effect is approved for.
    pub expect: Expect,
    /// Field path → value before; `null` where the field is absent. For a delete: the fields that
    /// describe the object.
    pub before: BTreeMap<String, Value>,
    /// Field path → value after; `null` where it will be absent. Empty for a delete.
    pub after: BTreeMap<String, Value>,
    /// The place, for people: the file and line of an object in a directory; empty elsewhere.
    pub place: String,
    /// Remarks for the approver besides the values: at most [`REMARKS`].
    pub remarks: Vec<Remark>,
    /// The rest of the object, which policy does not read.
    #[serde(default, skip_serializing_if = "Rest::is_empty")]
    #[cfg_attr(test, schemars(skip))]
    pub rest: Rest,
}

impl PreviewedOperation {
    /// The operation without its rest, as policy reads it.
    #[must_use]
    pub fn without_rest(&self) -> Self {
        Self { rest: Rest::default(), ..self.clone() }
    }
}

/// The changes of a plan, operation by operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// The operations, in plan order.
    pub operations: Vec<PreviewedOperation>,
}

impl Preview {
    /// The operation of this index.
    pub fn operation(&self, index: u32) -> Option<&PreviewedOperation> {
        self.operations.iter().find(|shown| shown.index == index)
    }

    /// Canonical JSON (RFC 8785) and its digest. The writers of fields are left out: they are no
    /// part of the approval.
    pub fn seal(&self) -> Result<(String, PreviewDigest), crate::model::json::JsonError> {
        let mut sealed = self.clone();
        sealed.operations.iter_mut().for_each(|operation| operation.rest.origins.clear());
        let text = crate::model::json::canonical(&sealed)?;
        let digest = PreviewDigest::of(text.as_bytes());
        Ok((text, digest))
    }
}
