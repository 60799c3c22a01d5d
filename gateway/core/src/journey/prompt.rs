//! Prompts: the texts are those of `text/prompts.rs`; a state is read with the right of the caller.

use super::World;
use super::resource::{job_uri, resource};
use crate::journey::ports::Host;
use crate::model::caller::Principal;
use crate::model::id::CallId;
use crate::model::resource::{Prompt, PromptError, PromptMessage};
use crate::text;
use std::collections::BTreeMap;

/// Most characters of an argument: a request of some paragraphs.
const LONGEST: usize = 4_000;

/// All prompts, by name.
pub fn prompts(world: &World) -> Vec<Prompt> {
    text::prompts(&world.trust.environment)
}

/// The messages of a prompt.
///
/// # Errors
/// The prompt is unknown, an argument is missing or not valid, or the recorder cannot be asked.
pub async fn prompt<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    name: &str,
    arguments: &BTreeMap<String, String>,
) -> Result<Vec<PromptMessage>, PromptError> {
    match name {
        text::CHANGE => {
            let request = argument(arguments, "request")?;
            let told = text::change(&world.trust.environment, request);
            Ok(vec![PromptMessage::Text(told)])
        }
        text::FOLLOW => {
            let given = argument(arguments, "call")?;
            let absent =
                |error: &str| PromptError::Argument { name: "call", error: error.to_owned() };
            let call = CallId::parse(given)
                .map_err(|_| absent("must be the id of a call: 26 characters of a-z and 2-7"))?;
            let content = resource(host, world, principal, &job_uri(&call))
                .await
                .map_err(|_| PromptError::Unavailable)?
                .ok_or_else(|| absent("names no call of yours; `calls_list` lists your calls"))?;
            Ok(vec![
                PromptMessage::Text(text::follow(call.as_str())),
                PromptMessage::Embedded(content),
            ])
        }
        _ => Err(PromptError::Unknown(name.chars().take(64).collect())),
    }
}

fn argument<'a>(
    arguments: &'a BTreeMap<String, String>,
    name: &'static str,
) -> Result<&'a str, PromptError> {
    let error = |error: String| PromptError::Argument { name, error };
    let given = arguments.get(name).map(|given| given.trim()).unwrap_or_default();
    if given.is_empty() {
        return Err(error("is missing".to_owned()));
    }
    if given.chars().count() > LONGEST {
        return Err(error(format!("is longer than {LONGEST} characters; make it shorter")));
    }
    Ok(given)
}
