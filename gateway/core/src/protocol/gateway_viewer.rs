//! Gateway → viewer: reads the objects that a sealed plan names. The viewer has its own trust file,
//! and reads nothing beyond the tool's ceiling there.

use crate::model::id::ComponentDigest;
use crate::model::left_out::LeftOut;
use crate::model::operation::Step;
use crate::model::preview::{Preview, Remark};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request of the gateway to the viewer. Operations are a sealed plan's, in plan order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", deny_unknown_fields)]
pub enum ReadRequest {
    /// Asks for the changes of these operations. Answered by [`ReadResponse::Preview`].
    Preview {
        /// The name of the tool.
        tool: String,
        /// The digest of the tool's component.
        digest: ComponentDigest,
        /// The operations of the plan.
        operations: Vec<Step>,
    },
    /// Asks for the results of these read operations. Answered by [`ReadResponse::Results`].
    Read {
        /// The name of the tool.
        tool: String,
        /// The digest of the tool's component.
        digest: ComponentDigest,
        /// The operations of the plan.
        operations: Vec<Step>,
    },
}

/// A response of the viewer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum ReadResponse {
    /// The state before and after.
    Preview {
        /// The preview, operation by operation.
        preview: Preview,
    },
    /// One result per operation, in plan order. A read: `{"fields": {path: value}}`. A list:
    /// `{"items": [{path: value}], "truncated": bool}`, truncated where there are more. Logs:
    /// `{"lines": ["…"], "truncated": bool}`, oldest first, truncated where lines that were asked
    /// for are left out because of their size.
    Results {
        /// The results, in plan order.
        results: Vec<Value>,
        /// The parts that the results leave out because they cannot be relied on.
        #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
        left_out: LeftOut,
        /// The writers that give objects a namespace or a name that their files do not have: at
        /// most [`REMARKS`](crate::model::preview::REMARKS).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        given: Vec<Remark>,
    },
    /// The object of an operation is not there, or cannot be read: for the agent, with the remedy.
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
        /// The remedy, in one sentence.
        remedy: String,
    },
}
