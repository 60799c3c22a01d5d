//! Prompts: `prompts/list`, `prompts/get`, and `completion/complete` for the id of a call. Clients
//! show prompts to people as commands. Adds no text.

use super::DISCOVER_TTL_MS;
use super::message::{self, Message};
use super::resources::{cached, contents, one_page};
use super::revision::{self, Era};
use crate::deny::Deny;
use crate::edge::Edge;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::resource::{Prompt, PromptError, PromptMessage};
use hyper::HeaderMap;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The arguments that are the id of a call: of a prompt, and of the addresses of resources.
const IDS: [&str; 2] = ["call", "id"];

impl<F: Front> Edge<F> {
    /// All prompts.
    pub fn prompts(
        &self,
        era: Era,
        params: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Deny> {
        one_page(params)?;
        let listed: Vec<Value> = self.front.prompts().iter().map(listed).collect();
        Ok(cached(era, "prompts", json!(listed), DISCOVER_TTL_MS))
    }

    /// The messages of a prompt.
    pub async fn prompt(
        &self,
        headers: &HeaderMap,
        era: Era,
        principal: &Principal,
        message: &Message,
    ) -> Result<Map<String, Value>, Deny> {
        let name = message::text(&message.params, "name")?;
        revision::name_matches(headers, name, era)?;
        let arguments = arguments(message.params.get("arguments"))?;
        let _used = self.shares.call(principal)?;
        let _place = self.calls.enter(false)?;
        let messages =
            self.front.prompt(principal, name, &arguments).await.map_err(|error| match error {
                PromptError::Unavailable => Deny::Unavailable(error.to_string()),
                _ => Deny::Params(error.to_string()),
            })?;
        let told: Vec<Value> = messages.iter().map(told).collect();
        let mut result = Map::new();
        if let Some(prompt) = self.front.prompts().into_iter().find(|prompt| prompt.name == name) {
            result.insert("description".into(), Value::String(prompt.description));
        }
        result.insert("messages".into(), json!(told));
        Ok(result)
    }

    /// The values with which an argument may go on: for the id of a call, the caller's own calls.
    pub async fn complete(
        &self,
        principal: &Principal,
        params: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Deny> {
        let argument = params.get("argument").and_then(Value::as_object);
        let text = |name: &str| argument.and_then(|members| members.get(name)?.as_str());
        let (Some(name), Some(Value::Object(_))) = (text("name"), params.get("ref")) else {
            return Err(Deny::Params(
                "`ref` must be an object, and `argument` an object with `name` and `value`".into(),
            ));
        };
        let values = if IDS.contains(&name) {
            let _used = self.shares.call(principal)?;
            let _place = self.calls.enter(false)?;
            let start = text("value").unwrap_or_default();
            self.front.call_ids(principal, start).await.map_err(|error| {
                tracing::error!(what = "completion", %error, "calls could not be read");
                Deny::Unavailable("calls cannot be read now; try again later".into())
            })?
        } else {
            Vec::new()
        };
        let mut result = Map::new();
        result.insert("completion".into(), json!({"values": values, "hasMore": false}));
        Ok(result)
    }
}

fn arguments(given: Option<&Value>) -> Result<BTreeMap<String, String>, Deny> {
    let wrong = || Deny::Params("`arguments` must be an object of strings".into());
    match given {
        None => Ok(BTreeMap::new()),
        Some(Value::Object(members)) => members
            .iter()
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect::<Option<_>>()
            .ok_or_else(wrong),
        Some(_) => Err(wrong()),
    }
}

fn listed(prompt: &Prompt) -> Value {
    let argument = |(name, description): &(&str, &str)| json!({"name": name, "description": description, "required": true});
    json!({
        "name": prompt.name,
        "title": prompt.title,
        "description": prompt.description,
        "arguments": prompt.arguments.iter().map(argument).collect::<Vec<_>>(),
    })
}

fn told(message: &PromptMessage) -> Value {
    let content = match message {
        PromptMessage::Text(text) => json!({"type": "text", "text": text}),
        PromptMessage::Embedded(content) => {
            json!({"type": "resource", "resource": contents(content)})
        }
    };
    json!({"role": "user", "content": content})
}
