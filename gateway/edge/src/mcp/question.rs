//! The question to open the page of a call that waits for a person (`input_required`), for clients
//! that open addresses for their user. An answer approves nothing and changes nothing: it lets the
//! client go on. The next request follows the call that was asked about, and makes no new one.

use super::request_state::{Carried, digest};
use super::revision::CAPABILITIES_META;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::single;
use crate::host::Place;
use cofferdam_core::journey::ports::{Front, FrontCall};
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::ArgumentsDigest;
use cofferdam_core::model::task::Task;
use hyper::HeaderMap;
use serde_json::{Map, Value, json};

/// The key of the question in `inputRequests`.
const PAGE: &str = "page";

/// The answers of a client: its user opened the page, did not want to, or closed the question.
const ACTIONS: [&str; 3] = ["accept", "decline", "cancel"];

/// A client that can be asked to open the page of a call.
#[derive(Debug, Clone)]
pub struct Question {
    request: ArgumentsDigest,
    /// Scheme and host under which the client knows this server.
    base: String,
}

/// The call that a client comes back to.
#[derive(Debug)]
pub struct Returned {
    /// The call that was asked about.
    pub carried: Carried,
    /// True if the client answered the question.
    pub answered: bool,
}

impl Question {
    /// Returns the question for this call, if the client declared that it opens addresses.
    pub fn of(headers: &HeaderMap, meta: &Map<String, Value>, call: &FrontCall) -> Option<Self> {
        let elicitation = meta.get(CAPABILITIES_META)?.get("elicitation")?;
        elicitation.get("url").filter(|url| url.is_object())?;
        let host = single(headers, "host").ok().flatten()?;
        // Beyond this machine a proxy with TLS is in front.
        let scheme = if Place::read(host)?.is_loopback() { "http" } else { "https" };
        let request = digest(&call.tool, &call.arguments)?;
        Some(Self { request, base: format!("{scheme}://{host}") })
    }
}

impl<F: Front> Edge<F> {
    /// The call that the client comes back to with this request. `None` without `requestState`.
    pub async fn returned(
        &self,
        call: &FrontCall,
        params: &Map<String, Value>,
    ) -> Result<Option<Returned>, Deny> {
        let sealed = match params.get("requestState") {
            None => return Ok(None),
            Some(Value::String(sealed)) => sealed,
            Some(_) => return Err(Deny::Params("`requestState` must be a string".into())),
        };
        let answers = match params.get("inputResponses") {
            None => None,
            Some(Value::Object(answers)) => Some(answers),
            Some(_) => return Err(Deny::Params("`inputResponses` must be an object".into())),
        };
        let action = answers.and_then(|answers| answers.get(PAGE)?.get("action")?.as_str());
        let request = digest(&call.tool, &call.arguments).ok_or(Deny::RequestState)?;
        let opened = self.states.open(sealed, &call.principal, request, self.front.now())?;
        let task =
            self.task(&call.principal, &opened.carried().call).await.map_err(
                |deny| match deny {
                    Deny::UnknownTask(_) => Deny::RequestState,
                    deny => deny,
                },
            )?;
        if opened.carried().plan != task.plan {
            return Err(Deny::RequestState);
        }
        let carried = self.states.spend(opened)?;
        let answered = action.is_some_and(|action| ACTIONS.contains(&action));
        Ok(Some(Returned { carried, answered }))
    }
}

/// The result that asks for the page of this task. `None` if no more states can be sealed.
pub fn ask<F: Front>(
    front: &F,
    states: &super::request_state::RequestStates,
    principal: &Principal,
    question: &Question,
    task: &Task,
) -> Option<Map<String, Value>> {
    let carried = Carried::new(principal, question.request, task.call.clone(), task.plan);
    let state = states.seal(&carried, front.random(), front.now())?;
    let url = format!("{}/calls/{}", question.base, task.call);
    let message = format!(
        "{} Open the page of this call? It shows how the call stands, and approves nothing.",
        task.message
    );
    let request = json!({"method": "elicitation/create", "params": {
        "mode": "url", "message": message, "url": url,
    }});
    let mut result = Map::new();
    result.insert("resultType".into(), json!("input_required"));
    result.insert("inputRequests".into(), json!({PAGE: request}));
    result.insert("requestState".into(), Value::String(state));
    Some(result)
}
