//! `/console/policy`: the policy in use, and the rules of the trust file that are in effect with
//! every policy. The page of a call names the rules that decided it.

use super::Visit;
use super::frame::{legible_lines, twin};
use crate::deny::Deny;
use crate::edge::Edge;
use crate::respond::Answer;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::served::Served;
use hyper::StatusCode;
use maud::{Markup, html};
use serde_json::json;

impl<F: Front> Edge<F> {
    /// The page, or its JSON.
    pub(super) fn policy_page(&self, visit: &Visit<'_>) -> Result<Answer, Deny> {
        visit.require_sees_all()?;
        let served = self.front.served().map_err(Deny::of_role)?;
        if visit.wants_json() {
            return twin(&json!({"policy": served.policy, "trust": served.trust}));
        }
        let content = document(&served);
        Ok(self.console_page(visit, (StatusCode::OK, "Policy"), &content))
    }
}

fn document(served: &Served) -> Markup {
    let policy = &served.policy;
    let actions: Vec<String> = policy.floor.actions.iter().map(ToString::to_string).collect();
    html! {
        dl {
            dt { "Policy" } dd { code { (policy.digest) } }
            dt { "Trust file" } dd { code { (served.trust) } }
            dt { "Environment" } dd { (legible(&served.environment.name)) ", a " (served.environment.kind()) }
        }
        h2 { "Always with a person's signature" }
        dl {
            dt { "Actions" } dd { (listed(&actions)) }
            dt { "Namespaces" } dd { (listed(&policy.floor.namespaces)) }
            dt { "The agent's own person" }
            dd { (if policy.self_approval { "may approve" } else { "never approves" }) }
            dt { "Approvers" } dd { (listed(&policy.approvers)) }
        }
        h2 { "Rules" }
        @match &policy.rules {
            None => {
                p {
                    "The policy was accepted without its rules, or they are too long for a page. "
                    "Build it again with " code { "cofferdam policy build" } ", and accept it."
                }
            }
            Some(rules) => {
                p {
                    "The build wrote these sources beside the compiled rules. The digest covers the \
                     compiled rules and the data, and not this text."
                }
                details {
                    summary { (rules.lines().count()) " lines of Rego" }
                    pre tabindex="0" { (legible_lines(rules)) }
                }
            }
        }
        h2 { "Why was a call decided so?" }
        p { "The page of each call names the rules, their messages and their remedies. "
            a href="/console/calls?state=denied" { "Denied calls" } }
        h2 { "Data" }
        details {
            summary { "The data of the policy" }
            pre tabindex="0" { (pretty(&policy.data)) }
        }
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { legible(&names.join(", ")) }
}

fn pretty(value: &serde_json::Value) -> String {
    legible_lines(&serde_json::to_string_pretty(value).unwrap_or_default())
}
