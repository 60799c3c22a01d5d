//! `/console/tools`: the accepted tools, each with its ceiling, its examples, and the difference
//! from the acceptance before. The words of a tool are quoted.

use super::Visit;
use super::frame::twin;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::people::question::lines;
use crate::respond::Answer;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::ceiling::Example;
use cofferdam_core::model::escape::{legible, legible_json, legible_quoted};
use cofferdam_core::model::served::{ServedChange, ServedTool};
use cofferdam_core::text::{ceiling, members, rbac};
use hyper::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

impl<F: Front> Edge<F> {
    /// The page, or its JSON.
    pub(super) fn tools_page(&self, visit: &Visit<'_>) -> Result<Answer, Deny> {
        visit.require_sees_all()?;
        let served = self.front.served().map_err(Deny::of_role)?;
        if visit.wants_json() {
            return twin(&serde_json::json!({"tools": served.tools, "executors": served.executors,
                "commands": served.commands}));
        }
        let content = html! {
            p {
                "These tools are accepted and in use. A plan outside of a tool's ceiling is refused \
                 before the policy decides."
            }
            @if served.tools.is_empty() { p { "No tool is accepted yet: " code { "cofferdam accept FILE" } } }
            @for tool in &served.tools { (one(tool)) }
            h2 { "Executors and commands" }
            ul {
                @for executor in &served.executors {
                    li { "executor " strong { (legible(&executor.name)) } " " code { (executor.digest) } }
                }
                @for command in &served.commands {
                    li { "command " strong { (legible(&command.name)) } " " code { (command.digest) } }
                }
            }
        };
        Ok(self.console_page(visit, (StatusCode::OK, "Tools"), &content))
    }
}

fn one(tool: &ServedTool) -> Markup {
    html! {
        section class="card" aria-label=(tool.name) id=(format!("tool-{}", tool.name)) {
            h2 { (tool.name) " " small { (tool.version) } }
            p { "It calls itself:" }
            blockquote { (legible_quoted(&tool.title)) }
            h3 { "Ceiling" }
            (lines(&ceiling(&tool.ceiling)))
            @if !tool.narrowed.is_empty() {
                p { "It also declares these lines, which are not accepted:" }
                (lines(&tool.narrowed))
            }
            h3 { "Since the acceptance before" }
            (change(tool.change.as_ref()))
            details {
                summary { "Examples: " (tool.examples.len()) }
                @for example in &tool.examples { (shown(example)) }
            }
            details {
                summary { "Description, arguments, rights and digest" }
                blockquote { (legible_quoted(&tool.description)) }
                p { "Arguments:" }
                (lines(&members(&tool.input_schema)))
                p { "Result:" }
                (lines(&members(&tool.output_schema)))
                p { "The widest rights; a job gets rights for the objects of its plan alone:" }
                pre tabindex="0" { (rbac(&tool.ceiling)) }
                p { "Component " code { (tool.digest) } }
            }
        }
    }
}

fn change(change: Option<&ServedChange>) -> Markup {
    let Some(change) = change else {
        return html! { p { "It was accepted once, or its earlier acceptance is not kept." } };
    };
    let signed = |sign: &'static str| move |line: &String| format!("{sign} {line}");
    let told: Vec<String> = change
        .removed
        .iter()
        .map(signed("-"))
        .chain(change.added.iter().map(signed("+")))
        .collect();
    html! {
        p { "Before: version " (change.version) ", component " code { (change.digest) } }
        @if told.is_empty() { p { "The ceiling is the same." } } @else { (lines(&told)) }
    }
}

fn shown(example: &Example) -> Markup {
    let summary = example.draft.get("summary").and_then(Value::as_str).unwrap_or_default();
    html! {
        h4 { (legible_quoted(&example.title)) }
        pre tabindex="0" { (legible_json(&example.arguments)) }
        p { "Its plan:" }
        blockquote { (legible_quoted(summary)) }
    }
}
