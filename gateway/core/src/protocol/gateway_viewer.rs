//! Gateway → viewer: look at what a sealed plan names. The viewer has its own trust file and looks
//! no further than the tool's ceiling there.

use crate::model::id::ComponentDigest;
use crate::model::left_out::LeftOut;
use crate::model::operation::Step;
use crate::model::preview::{Preview, Remark};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the gateway may ask of the viewer. Operations are a sealed plan's, in plan order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum Look {
    /// What these operations would change. Answered by [`Looked::Preview`].
    Preview {
        /// The tool's name.
        tool: String,
        /// Its component.
        digest: ComponentDigest,
        /// The plan's operations.
        operations: Vec<Step>,
    },
    /// What these operations show. Answered by [`Looked::Results`].
    Read {
        /// The tool's name.
        tool: String,
        /// Its component.
        digest: ComponentDigest,
        /// The plan's operations.
        operations: Vec<Step>,
    },
}

/// What the viewer answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Looked {
    /// Before and after.
    Preview {
        /// Per operation.
        preview: Preview,
    },
    /// One result per operation, in plan order. A read: `{"fields": {path: value}}`. A list:
    /// `{"items": [{path: value}], "truncated": bool}`, truncated where there are more. Logs:
    /// `{"lines": ["…"], "truncated": bool}`, oldest first, truncated where lines that were asked
    /// for are left out because of their size.
    Results {
        /// The results.
        results: Vec<Value>,
        /// What they leave out because it cannot be relied on.
        #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
        left_out: LeftOut,
        /// Who gives objects a namespace or a name that their files do not: at most
        /// [`REMARKS`](crate::model::preview::REMARKS).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        given: Vec<Remark>,
    },
    /// What the plan names is not there, or cannot be looked at: for the agent, with the remedy.
    Refused {
        /// Stable reason code: `not-found`, `conflict`, `unsupported`, `beyond-ceiling`,
        /// `ambiguous`; of a tree with kustomizations besides `built-as-several`,
        /// `built-otherwise`, `not-an-object` and `still-named`; of a cluster besides `forbidden`
        /// (its rights or its rules do not let it happen), `invalid` (the API server would
        /// not take it) `removes-field` (an apply would remove what it does not name) and
        /// `admission-webhook` (a webhook that it must ask gives no answer).
        code: String,
        /// Why, in one sentence.
        reason: String,
        /// What to do instead, in one sentence.
        remedy: String,
    },
}
