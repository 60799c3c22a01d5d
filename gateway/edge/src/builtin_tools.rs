//! The four built-in tools beside the operator's: they show, follow and withdraw calls. They touch
//! no infrastructure and are not components. A component with one of these names is not served.

use crate::mcp::call::Called;
use crate::submit::Submission;
use cofferdam_core::journey::ports::FrontCall;
use cofferdam_core::model::answer::{Reply, ToolListing};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::limit::{CALLS, CALLS_USUAL, WAIT_MS};
use serde_json::{Map, Value, json};

const PREVIEW: &str = "preview";
const JOB_GET: &str = "job_get";
const JOB_CANCEL: &str = "job_cancel";
const CALLS_LIST: &str = "calls_list";

/// The built-in tools that change nothing.
pub const READING: [&str; 3] = [PREVIEW, JOB_GET, CALLS_LIST];

/// Returns whether the edge itself serves this name. A tool with such a name must not be accepted.
pub fn is_builtin_tool(name: &str) -> bool {
    matches!(name, PREVIEW | JOB_GET | JOB_CANCEL | CALLS_LIST)
}

/// The built-in tools as lists show them, with the environment's name in every description.
pub fn listings(environment: &str) -> [ToolListing; 4] {
    let id = json!({"type": "string", "pattern": "^[a-z2-7]{26}$",
    "description": "The call's id, as every result names it."});
    let tool =
        |name: &str, title: &str, description: String, input_schema: Value, read_only: bool| {
            ToolListing {
                name: name.to_owned(),
                title: title.to_owned(),
                description,
                input_schema,
                // The result is always an object; its descriptions name the members.
                output_schema: json!({"type": "object"}),
                read_only,
                destructive: false,
                idempotent: true,
            }
        };
    [
        tool(
            CALLS_LIST,
            "List your calls",
            format!(
                "Lists your own calls in {environment}, newest first: id, tool, object, state, \
                 time, outcome, and what to do next. Use it to find a call whose answer you did \
                 not get."
            ),
            json!({
                "type": "object",
                "properties": {
                    "open": {"type": "boolean", "default": false,
                    "description": "Only calls that have not ended."},
                    "limit": {"type": "integer", "minimum": 1, "maximum": CALLS,
                    "default": CALLS_USUAL},
                },
                "additionalProperties": false,
            }),
            true,
        ),
        tool(
            JOB_CANCEL,
            "Withdraw a call",
            format!(
                "Withdraws one of your own calls in {environment} before it acts. A call that acts \
                 already runs to its end."
            ),
            json!({"type": "object", "properties": {"id": id}, "required": ["id"],
            "additionalProperties": false}),
            false,
        ),
        tool(
            JOB_GET,
            "Follow a call",
            format!(
                "Reports the state of one of your own calls in {environment}: waiting for a \
                 person, in progress, or finished with its result."
            ),
            json!({
                "type": "object",
                "properties": {
                    "id": id,
                    "wait_seconds": {
                        "type": "integer", "minimum": 0, "maximum": WAIT_MS / 1_000, "default": 0,
                        "description": "Hold the answer up to this long for the call to end.",
                    },
                },
                "required": ["id"],
                "additionalProperties": false,
            }),
            true,
        ),
        tool(
            PREVIEW,
            "Preview a call",
            format!(
                "Previews a call of another tool in {environment}: plan, difference, rights and \
                 decision. Changes nothing. A later call is decided again."
            ),
            json!({
                "type": "object",
                "properties": {
                    "tool": {"type": "string", "description": "Name of the tool."},
                    "arguments": {"type": "object",
                    "description": "Its arguments, as its own input schema describes them."},
                },
                "required": ["tool"],
                "additionalProperties": false,
            }),
            true,
        ),
    ]
}

/// The error of arguments that do not fit the schema of a built-in tool.
#[derive(Debug)]
pub struct InvalidArguments {
    path: String,
    reason: String,
}

impl From<InvalidArguments> for Reply {
    fn from(unfit: InvalidArguments) -> Self {
        Self::BadArguments { path: unfit.path, reason: unfit.reason }
    }
}

/// Returns the meaning of a call: the request of a built-in tool, or the call of another tool.
pub fn interpret(called: Called) -> Result<Submission, InvalidArguments> {
    let Called { call, .. } = called;
    match call.tool.as_str() {
        PREVIEW => preview(call),
        JOB_GET => {
            let mut arguments = Arguments::of(&call)?;
            let id = arguments.id()?;
            let wait_ms = arguments.wait()?;
            arguments.done()?;
            Ok(Submission::Job { principal: call.principal, call: id, wait_ms })
        }
        JOB_CANCEL => {
            let mut arguments = Arguments::of(&call)?;
            let id = arguments.id()?;
            arguments.done()?;
            Ok(Submission::Cancel { principal: call.principal, call: id })
        }
        CALLS_LIST => {
            let mut arguments = Arguments::of(&call)?;
            let open = arguments.open()?;
            let limit = arguments.limit()?;
            arguments.done()?;
            Ok(Submission::Calls { principal: call.principal, open, limit })
        }
        _ => Ok(Submission::Call(call)),
    }
}

fn preview(call: FrontCall) -> Result<Submission, InvalidArguments> {
    let mut arguments = Arguments::of(&call)?;
    let tool = match arguments.0.remove("tool") {
        Some(Value::String(tool)) => tool,
        Some(_) => return Err(bad("/tool", "it must be a string")),
        None => return Err(bad("", "`tool` is missing: the name of the tool to show")),
    };
    let inner = match arguments.0.remove("arguments") {
        None => Value::Object(Map::new()),
        Some(inner @ Value::Object(_)) => inner,
        Some(_) => return Err(bad("/arguments", "it must be an object")),
    };
    arguments.done()?;
    Ok(Submission::Preview(FrontCall { tool, arguments: inner, ..call }))
}

/// The arguments of a built-in tool, taken out one by one. An argument that remains at the end is
/// unknown.
struct Arguments(Map<String, Value>);

impl Arguments {
    fn of(call: &FrontCall) -> Result<Self, InvalidArguments> {
        call.arguments.as_object().cloned().map(Self).ok_or_else(|| bad("", "it must be an object"))
    }

    fn id(&mut self) -> Result<CallId, InvalidArguments> {
        match self.0.remove("id") {
            Some(Value::String(text)) => CallId::parse(&text)
                .map_err(|_| bad("/id", "it must be 26 characters of a-z and 2-7")),
            Some(_) => Err(bad("/id", "it must be a string")),
            None => Err(bad("", "`id` is missing: the call's id, as its result named it")),
        }
    }

    fn wait(&mut self) -> Result<u64, InvalidArguments> {
        match self.0.remove("wait_seconds") {
            None => Ok(0),
            Some(value) => wait_ms(value.as_u64())
                .ok_or_else(|| bad("/wait_seconds", "it must be a whole number from 0 to 45")),
        }
    }

    fn open(&mut self) -> Result<bool, InvalidArguments> {
        match self.0.remove("open") {
            None => Ok(false),
            Some(Value::Bool(open)) => Ok(open),
            Some(_) => Err(bad("/open", "it must be true or false")),
        }
    }

    fn limit(&mut self) -> Result<u32, InvalidArguments> {
        let Some(value) = self.0.remove("limit") else { return Ok(CALLS_USUAL) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let within = number.filter(|number| (1..=CALLS).contains(number));
        within.ok_or_else(|| bad("/limit", &format!("it must be a whole number from 1 to {CALLS}")))
    }

    fn done(self) -> Result<(), InvalidArguments> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => {
                Err(bad(&format!("/{}", crate::header::excerpt(key)), "there is no such argument"))
            }
        }
    }
}

/// Converts a wait from seconds to milliseconds. Returns `None` if it is longer than a response may
/// be held.
pub fn wait_ms(seconds: Option<u64>) -> Option<u64> {
    seconds.and_then(|seconds| seconds.checked_mul(1_000)).filter(|wait| *wait <= WAIT_MS)
}

fn bad(path: &str, reason: &str) -> InvalidArguments {
    InvalidArguments { path: path.to_owned(), reason: reason.to_owned() }
}
