//! The prompts that clients offer their users as commands. Each says in the user's words which tools
//! to use in which order. Reads nothing.

use crate::model::escape::line;
use crate::model::resource::Prompt;
use crate::model::trust::Environment;

/// The prompt that leads a model through a change.
pub const CHANGE: &str = "change";

/// The prompt that asks for the state of a call.
pub const FOLLOW: &str = "follow";

/// All prompts, by name.
pub fn prompts(environment: &Environment) -> Vec<Prompt> {
    let environment = line(&environment.name);
    vec![
        Prompt {
            name: CHANGE,
            title: "Make a change",
            description: format!(
                "Makes a change in {environment} step by step: preview, decision, call, outcome."
            ),
            arguments: vec![("request", "The change that you want, in your own words.")],
        },
        Prompt {
            name: FOLLOW,
            title: "Follow a call",
            description: format!(
                "Tells what became of one of your calls in {environment}, and what to do next."
            ),
            arguments: vec![("call", "The id of the call, as its answer named it.")],
        },
    ]
}

/// The text of [`CHANGE`]. The request is the user's own text.
pub fn change(environment: &Environment, request: &str) -> String {
    format!(
        "Make this change in the environment `{}` through Cofferdam:\n\n{request}\n\n\
         1. Find the tool for it, and call `preview` with the tool's arguments.\n\
         2. Show me the plan, the change and the decision of the preview.\n\
         3. Call the tool only if the plan is what I asked for, with `purpose` in my words.\n\
         4. If the answer is WAITING, tell me the id of the call and who has to sign.\n\
         5. If the call is refused, tell me why, and follow the line `Next:`.\n\
         6. At the end, tell me the outcome, the id of the call and its ledger entry.",
        line(&environment.name)
    )
}

/// The text of [`FOLLOW`], before the state of the call.
pub fn follow(call: &str) -> String {
    format!(
        "Tell me what became of the call {call}, whose state is below: what was changed, what is \
         still open, and what I or another person should do next. If it is not over, call \
         `job_get` with its id and `wait_seconds` 45 first."
    )
}
