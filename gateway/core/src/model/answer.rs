//! The replies to an agent. Made by the journey, turned into MCP or plain HTTP by the edge, with
//! the same text in both. Never has text that only operators may read.

use crate::model::id::{CallId, PlanDigest};
use crate::model::job::Found;
use crate::model::trust::Environment;
use serde_json::Value;
use std::sync::Arc;

/// The end of a call as the agent sees it. All that a model needs is in the text: clients drop the
/// rest.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The call was done, answered, or is on its way; `structured` is final when `complete`.
    Success(Success),
    /// The caller's own calls.
    Listed(Listed),
    /// The call was refused, declined or failed: `isError` on MCP; the HTTP status is for plain
    /// HTTP clients.
    Refused(Refusal),
    /// The arguments do not satisfy the schema: `isError` on MCP, 422 on plain HTTP.
    BadArguments {
        /// JSON Pointer into the arguments.
        path: String,
        /// The error at this path.
        reason: String,
    },
    /// No such tool for this caller: `-32602` on MCP, 404 on plain HTTP.
    UnknownTool {
        /// The name as it was asked for.
        name: String,
    },
    /// The call is allowed, and the queue is too long for its job: HTTP 503 with `Retry-After`.
    /// Never a denial. Nothing was executed.
    Busy {
        /// The cause, as far as an agent may know it.
        reason: String,
        /// The pause before the same call succeeds, in whole seconds: an estimate.
        retry_after_seconds: u64,
    },
    /// The caller used up a budget of its own: HTTP 429 with `Retry-After`. Never a denial. Nothing
    /// was executed or recorded.
    OverLimit {
        /// The budget, as far as an agent may know it.
        reason: String,
        /// The time until the budget is free again, in whole seconds.
        retry_after_seconds: u64,
    },
    /// The call cannot be decided or recorded: HTTP 503. Nothing was executed.
    Unavailable {
        /// The cause, as far as an agent may know it.
        reason: String,
    },
}

/// The result of a call that was not refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Success {
    /// All a model needs, at most [`crate::model::limit::TEXT`] bytes.
    pub text: String,
    /// The same for programs, and for models whose host shows them nothing else: every fact of the
    /// text is in it.
    pub structured: Value,
    /// Id, digest, index: what every result carries.
    pub proof: Proof,
    /// True if nothing is outstanding: the result, which satisfies the output schema, or a
    /// preview. Not so for a call that still waits.
    pub complete: bool,
}

/// A list of the caller's own calls: about no call in particular, so it has no proof.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// All a model needs.
    pub text: String,
    /// The same for programs, and for models whose host shows them nothing else.
    pub structured: Value,
}

/// The proof in every result: call, plan and ledger entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The id of the call.
    pub call: CallId,
    /// The plan digest; `None` for a call that ended before its plan.
    pub plan: Option<PlanDigest>,
    /// Its newest ledger entry; `None` when nothing was recorded.
    pub ledger: Option<u64>,
}

/// The HTTP status of a refusal for plain HTTP clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// Policy, the floor or a person denied the call: HTTP 403.
    Denied,
    /// The infrastructure is not as the plan needs it, the tool declined, or a draft was beyond its
    /// ceiling: 422.
    Declined,
    /// The key was used for other arguments, or the state changed: 409.
    Conflict,
    /// The job ended otherwise than by success: 200 with its outcome.
    Unsuccessful,
    /// The call, job or approval is not there, or another's: 404.
    Absent,
}

/// A refusal: five lines, golden-tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The sort of the refusal, which decides its HTTP status.
    pub kind: RefusalKind,
    /// The verb of the first line: `DENIED`, `DECLINED`, `REJECTED`, `FAILED`, `EXPIRED`, …
    pub verb: &'static str,
    /// The call's id, plan digest and ledger index.
    pub proof: Proof,
    /// The rule or stage that refused.
    pub rule: String,
    /// The environment that the call was for.
    pub environment: Environment,
    /// True if anything was changed: the second line.
    pub changed: Changed,
    /// The cause, in one sentence.
    pub why: String,
    /// The nearest request that would be allowed.
    pub allowed: String,
    /// The agent's next step.
    pub next: String,
}

/// The second line of a refusal: the change that is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// `Nothing was changed.`
    Nothing,
    /// `What was changed was undone.`
    Undone,
    /// All of it was done before.
    All,
    /// Some operations are in effect, or may be.
    Partly(Box<Standing>),
    /// `It is not known whether anything was changed.`
    Unknown,
    /// The outcome was not known, and an operator resolved it.
    Resolved(Found),
}

/// The state of a job that ended early: at least one of the two lists has an entry, and no other
/// operation is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Operations that were done and not undone.
    pub in_effect: Vec<Effect>,
    /// Operations that were begun and whose end is not known.
    pub unknown: Vec<Effect>,
}

/// One operation, as an agent reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Its index in the plan.
    pub index: u32,
    /// `patch Deployment web in namespace team-a`; `None` where the plan is not at hand.
    pub words: Option<String>,
}

impl Changed {
    /// The second line of the text.
    pub fn text(&self) -> String {
        match self {
            Self::Nothing => "Nothing was changed.".to_owned(),
            Self::All => "All of it was done before.".to_owned(),
            Self::Undone => "What was changed was undone.".to_owned(),
            Self::Unknown => "It is not known whether anything was changed.".to_owned(),
            Self::Partly(standing) => standing.text(),
            Self::Resolved(Found::Succeeded) => {
                "An operator resolved it: all of it was done.".to_owned()
            }
            Self::Resolved(Found::Failed) => {
                "An operator resolved it: not all of it was done.".to_owned()
            }
        }
    }
}

impl Standing {
    fn text(&self) -> String {
        let told =
            |effects: &[Effect]| effects.iter().map(Effect::text).collect::<Vec<_>>().join(", ");
        let known = (!self.in_effect.is_empty())
            .then(|| format!("In effect, not undone: {}.", told(&self.in_effect)));
        let open = (!self.unknown.is_empty())
            .then(|| format!("Not known whether in effect: {}.", told(&self.unknown)));
        // Without the plan, the gateway cannot tell which operation was in the run namespace.
        let named = self.in_effect.iter().chain(&self.unknown).all(|effect| effect.words.is_some());
        let rest = if named {
            "Nothing else is."
        } else {
            "Nothing else is, nor anything in the job's own namespace."
        };
        [known, open].into_iter().flatten().chain([rest.to_owned()]).collect::<Vec<_>>().join(" ")
    }
}

impl Effect {
    fn text(&self) -> String {
        match &self.words {
            None => format!("operation {}", self.index),
            Some(words) => format!("operation {} ({words})", self.index),
        }
    }
}

impl Refusal {
    /// The five lines of the text.
    pub fn text(&self) -> String {
        format!(
            "{} {} by {} in {}\n{}\nWhy: {}\nAllowed: {}\nNext: {}",
            self.verb,
            self.proof.call,
            self.rule,
            self.environment.name,
            self.changed.text(),
            self.why,
            self.allowed,
            self.next
        )
    }
}

/// A tool as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolListing {
    /// The name that agents call.
    pub name: String,
    /// The title for people.
    pub title: String,
    /// Description, with the environment's name.
    pub description: String,
    /// Input schema, with the host's `purpose`.
    pub input_schema: Value,
    /// The JSON Schema of the structured result.
    pub output_schema: Value,
    /// True if the tool only reads, by its ceiling.
    pub read_only: bool,
    /// True if the widest plan of the tool could destroy an object or a value, by its ceiling.
    pub destructive: bool,
    /// True if the same call again has no further effect, by its ceiling.
    pub idempotent: bool,
}

/// Tools as agents read them, sorted by name. Shared, because lists are asked for often.
pub type ToolListings = Arc<[Arc<ToolListing>]>;
