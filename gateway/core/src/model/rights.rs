//! The exact Kubernetes rights that follow from a plan, and the widest that could follow from a
//! ceiling. Derived from operations alone, never asked for; rendered for people in previews,
//! approvals and `inspect`.

use crate::model::ceiling::{Ceiling, EPHEMERAL};
use crate::model::facts::OperationFacts;
use crate::model::kind;
use crate::model::operation::Action;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One rule of a Role, as `rbac.authorization.k8s.io/v1` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// The API groups: always one.
    pub api_groups: Vec<String>,
    /// The resources: always one.
    pub resources: Vec<String>,
    /// Names; empty for any, which only lists and ceilings have.
    pub resource_names: Vec<String>,
    /// The verbs, sorted.
    pub verbs: Vec<String>,
}

/// The rights in one namespace, or in those that a pattern means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceRights {
    /// The namespace; for a ceiling, its pattern.
    pub namespace: String,
    /// The rules of the Role.
    pub rules: Vec<Rule>,
}

/// Namespace, group, resource and name (empty for any) → verbs.
type Gathered = BTreeMap<(String, String, String, String), BTreeSet<&'static str>>;

/// The rights that a plan needs, undo included. An object in the run namespace needs no right here:
/// that namespace is the host's.
pub fn of_plan(operations: &[OperationFacts]) -> Vec<NamespaceRights> {
    let mut gathered = Gathered::new();
    for fact in operations.iter().filter(|fact| fact.namespace != EPHEMERAL) {
        let resource = if fact.action == Action::Logs {
            format!("{}/log", fact.resource)
        } else {
            fact.resource.clone()
        };
        let key = (fact.namespace.clone(), fact.group.clone(), resource, fact.name.clone());
        gathered.entry(key).or_default().extend(verbs(fact.action, fact.reversible));
    }
    rights(gathered)
}

/// The widest rights that plans under a ceiling could need.
pub fn of_ceiling(ceiling: &Ceiling) -> Vec<NamespaceRights> {
    let mut gathered = Gathered::new();
    for grant in &ceiling.grants {
        let Ok(known) = kind::find(&grant.group, &grant.version, &grant.kind) else { continue };
        let resource = if grant.action == Action::Logs {
            format!("{}/log", known.resource)
        } else {
            known.resource.to_owned()
        };
        for namespace in grant.namespaces.iter().filter(|namespace| *namespace != EPHEMERAL) {
            let key = (namespace.clone(), grant.group.clone(), resource.clone(), String::new());
            gathered.entry(key).or_default().extend(verbs(grant.action, true));
        }
    }
    rights(gathered)
}

/// The verbs an action needs. Undoing a patch is a patch, undoing a delete is a create by apply,
/// undoing what an apply created is a delete.
fn verbs(action: Action, reversible: bool) -> Vec<&'static str> {
    match (action, reversible) {
        (Action::Read | Action::Logs, _) => vec!["get"],
        (Action::List, _) => vec!["list"],
        (Action::Patch, _) => vec!["get", "patch"],
        // Server-side apply is a patch, and needs `create` where the object is not there yet.
        (Action::Apply, false) => vec!["create", "get", "patch"],
        (Action::Apply, true) => vec!["create", "delete", "get", "patch"],
        (Action::Delete, false) => vec!["delete", "get"],
        // Written again by server-side apply: a plain create cannot be bound to a name.
        (Action::Delete, true) => vec!["create", "delete", "get", "patch"],
        // Both stay in the run's own namespace, which is the host's.
        (Action::Task | Action::Egress, _) => Vec::new(),
    }
}

fn rights(gathered: Gathered) -> Vec<NamespaceRights> {
    let mut namespaces: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    for ((namespace, group, resource, name), verbs) in gathered {
        let rules = namespaces.entry(namespace).or_default();
        if verbs.is_empty() {
            continue;
        }
        rules.push(Rule {
            api_groups: vec![group],
            resources: vec![resource],
            resource_names: if name.is_empty() { Vec::new() } else { vec![name] },
            verbs: verbs.into_iter().map(str::to_owned).collect(),
        });
    }
    namespaces
        .into_iter()
        .filter(|(_, rules)| !rules.is_empty())
        .map(|(namespace, rules)| NamespaceRights { namespace, rules })
        .collect()
}

/// One line per rule: `in team-a: get, patch deployments.apps web`.
pub fn render(rights: &[NamespaceRights]) -> Vec<String> {
    let line = |namespace: &str, rule: &Rule| {
        let group = rule.api_groups.join(",");
        let resource = if group.is_empty() {
            rule.resources.join(",")
        } else {
            format!("{}.{group}", rule.resources.join(","))
        };
        let names = if rule.resource_names.is_empty() {
            "(any)".to_owned()
        } else {
            rule.resource_names.join(",")
        };
        format!("in {namespace}: {} {resource} {names}", rule.verbs.join(", "))
    };
    rights
        .iter()
        .flat_map(|entry| entry.rules.iter().map(|rule| line(&entry.namespace, rule)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::plan::tests::{deployment, scale, sealed, step, tool};
    use serde_json::json;

    #[test]
    fn a_plan_gets_just_its_verbs_on_just_its_objects() {
        let check = |operation, expect: &[&str]| {
            assert_eq!(render(&of_plan(sealed(vec![operation]).unwrap().facts())), expect)
        };
        check(scale("team-a", 5), &["in team-a: get, patch deployments.apps web"]);
        let mut delete = step(json!({"action": "delete", "target": deployment("team-a", "web")}));
        check(delete.clone(), &["in team-a: delete, get deployments.apps web"]);
        delete["reversible"] = json!(true);
        check(delete, &["in team-a: create, delete, get, patch deployments.apps web"]);
    }

    #[test]
    fn a_ceiling_shows_the_widest() {
        let lines = render(&of_ceiling(&tool().ceiling));
        assert!(
            lines.contains(
                &"in team-*: create, delete, get, patch deployments.apps (any)".to_owned()
            ),
            "{lines:?}"
        );
        assert!(lines.contains(&"in *: list deployments.apps (any)".to_owned()), "{lines:?}");
    }
}
