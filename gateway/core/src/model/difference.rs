//! A difference between an approved state and the state now. `stage::drift` finds differences;
//! `text::difference` words them.

use super::operation::Target;
use super::preview::{Origin, Remark};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One difference between two previews of one plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The object that differs.
    pub target: Target,
    /// The difference.
    pub what: Drifted,
}

/// One difference between the approved state and the state now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drifted {
    /// The object appeared since the approval.
    Appeared,
    /// The object is gone since the approval.
    Gone,
    /// Another object has its name now.
    Replaced,
    /// A field has another value before the change; `null` where it is absent.
    Field {
        /// The path of the field.
        path: String,
        /// The value at the approval.
        approved: Value,
        /// The value now.
        now: Value,
        /// The writer of the value, or the place where it is written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<Origin>,
    },
    /// A field that the plan does not name has another value; `null` where it is absent.
    Other {
        /// The path of the field.
        path: String,
        /// The value at the approval.
        approved: Value,
        /// The value now.
        now: Value,
        /// The writer of the value, or the place where it is written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<Origin>,
    },
    /// The same change would have another result; `null` where the field is absent.
    Result {
        /// The path of the field.
        path: String,
        /// The result at the approval.
        approved: Value,
        /// The result now.
        now: Value,
    },
    /// Another part of the object than the plan names, in an object with too many fields to keep
    /// each.
    Elsewhere,
    /// The preview has a new remark, on another file of the tree or another object.
    Remarked(Remark),
}
