//! The rights of a job, derived from its plan: in each target namespace one Role with the needed
//! verbs on the needed names, and a RoleBinding to the job's ServiceAccount; in the run namespace
//! the same for new objects. A gate limits the job's own requests in the same way. Pure: computed
//! from operations alone; never a rule without names, never a wildcard.

use super::api::Gate;
use super::labels::{JOB, Marks, RunName};
use super::path;
use super::task::Task;
use super::typed::{account, role_ref, to_json};
use cofferdam_core::model::ceiling::EPHEMERAL;
use cofferdam_core::model::facts::OperationFacts;
use cofferdam_core::model::operation::{Action, Operation, Step};
use cofferdam_core::model::rights::{NamespaceRights, Rule, of_plan};
use http::Method;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};
use serde_json::Value;

/// The API group of Roles and RoleBindings.
const RBAC: &str = "rbac.authorization.k8s.io";

/// Verbs that a derived rule may have: `list` and `watch` cannot be bound to names.
const VERBS: [&str; 4] = ["create", "delete", "get", "patch"];

/// Rights that are not derived: they would reach further than the plan's objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the right to {verbs} {resource} in {namespace} cannot be bound to named objects")]
pub struct TooWide {
    namespace: String,
    resource: String,
    verbs: String,
}

/// The rights in one namespace: what is written there.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    /// The target namespace of the rights.
    pub namespace: String,
    /// The Role with the rights.
    pub role: Value,
    /// The RoleBinding of the same name.
    pub binding: Value,
}

impl Derived {
    /// The name of Role and RoleBinding.
    pub fn name(&self) -> &str {
        super::labels::name(&self.role).unwrap_or_default()
    }
}

/// Where the Role of this name is.
pub fn role_path(namespace: &str, name: &str) -> String {
    format!("{}/{name}", path::collection(RBAC, "v1", namespace, "roles"))
}

/// Where the RoleBinding of this name is.
pub fn binding_path(namespace: &str, name: &str) -> String {
    format!("{}/{name}", path::collection(RBAC, "v1", namespace, "rolebindings"))
}

/// The collection of every Role, or RoleBinding, of the cluster.
pub fn everywhere(resource: &str) -> String {
    path::everywhere(RBAC, "v1", resource)
}

/// The rights of a plan's job in its target namespaces, by namespace.
pub fn at_targets(marks: &Marks, facts: &[OperationFacts]) -> Result<Vec<Derived>, TooWide> {
    let run = marks.name.to_string();
    of_plan(facts).into_iter().map(|rights| derived(marks, rights, &run)).collect()
}

/// The rights of the job in its run namespace; `None` if the plan creates no object there.
pub fn in_run(
    marks: &Marks,
    steps: &[Step],
    facts: &[OperationFacts],
) -> Result<Option<Derived>, TooWide> {
    let rules: Vec<Rule> =
        steps.iter().zip(facts).flat_map(|(step, fact)| own_rules(step, fact)).collect();
    if rules.is_empty() {
        return Ok(None);
    }
    derived(marks, NamespaceRights { namespace: marks.name.to_string(), rules }, JOB).map(Some)
}

/// The rules of one operation that goes into the run's own namespace.
fn own_rules(step: &Step, fact: &OperationFacts) -> Vec<Rule> {
    let rule = |group: &str, resource: &str, name: &str, verbs: &[&str]| Rule {
        api_groups: vec![group.to_owned()],
        resources: vec![resource.to_owned()],
        resource_names: vec![name.to_owned()],
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
    };
    match &step.operation {
        Operation::Apply { .. } if fact.namespace == EPHEMERAL => {
            let verbs: &[&str] =
                if fact.reversible { &["create", "delete", "patch"] } else { &["create", "patch"] };
            vec![rule(&fact.group, &fact.resource, &fact.name, verbs)]
        }
        Operation::Task { .. } => match Task::of(&step.operation, fact.index) {
            Some(task) => vec![
                rule("", "configmaps", &task.object(), &["create", "patch"]),
                rule("", "pods", &task.object(), &["create", "get", "patch"]),
            ],
            // A Wasm command runs in a process of the runner, and sends no request to the cluster.
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn derived(marks: &Marks, rights: NamespaceRights, name: &str) -> Result<Derived, TooWide> {
    let NamespaceRights { namespace, rules } = rights;
    for rule in &rules {
        let words = rule
            .api_groups
            .iter()
            .chain(&rule.resources)
            .chain(&rule.resource_names)
            .chain(&rule.verbs);
        let bound = !rule.resource_names.is_empty()
            && !rule.resource_names.iter().any(String::is_empty)
            && rule.verbs.iter().all(|verb| VERBS.contains(&verb.as_str()))
            && !words.into_iter().any(|word| word.contains('*'));
        if !bound {
            return Err(TooWide {
                namespace,
                resource: rule.resources.join(","),
                verbs: rule.verbs.join(", "),
            });
        }
    }
    let role = to_json(&Role {
        metadata: marks.metadata(&namespace, name),
        rules: Some(rules.into_iter().map(policy_rule).collect()),
    });
    let binding = to_json(&RoleBinding {
        metadata: marks.metadata(&namespace, name),
        role_ref: role_ref("Role", name),
        subjects: Some(vec![account(&marks.name.to_string(), JOB)]),
    });
    Ok(Derived { namespace, role, binding })
}

fn policy_rule(rule: Rule) -> PolicyRule {
    let Rule { api_groups, resources, resource_names, verbs } = rule;
    PolicyRule {
        api_groups: Some(api_groups),
        resources: Some(resources),
        resource_names: Some(resource_names),
        verbs,
        ..PolicyRule::default()
    }
}

/// The requests that the job's own connection may send: the objects of the plan, with the methods
/// of its verbs.
pub fn gate(run: &RunName, steps: &[Step], facts: &[OperationFacts]) -> Gate {
    let own = run.to_string();
    let mut gate = Gate::default();
    let mut allow = |group: &str, version: &str, namespace: &str, rule: &Rule| {
        for (resource, name) in rule
            .resources
            .iter()
            .flat_map(|resource| rule.resource_names.iter().map(move |name| (resource, name)))
        {
            let at = format!("{}/{name}", path::collection(group, version, namespace, resource));
            for method in rule.verbs.iter().filter_map(|verb| method(verb)) {
                gate = std::mem::take(&mut gate).allow(&method, at.clone());
            }
        }
    };
    for (step, fact) in steps.iter().zip(facts) {
        // One operation at a time, since a rule does not say its version.
        for rights in of_plan(std::slice::from_ref(fact)) {
            rights
                .rules
                .iter()
                .for_each(|rule| allow(&fact.group, &fact.version, &fact.namespace, rule));
        }
        let version = if fact.action == Action::Task { "v1" } else { &fact.version };
        own_rules(step, fact).iter().for_each(|rule| {
            allow(rule.api_groups.first().map_or("", String::as_str), version, &own, rule)
        });
    }
    gate
}

/// The method that a verb on one named object is asked with. Creating by name is a server-side
/// apply, which is a patch.
fn method(verb: &str) -> Option<Method> {
    match verb {
        "get" => Some(Method::GET),
        "create" | "patch" => Some(Method::PATCH),
        "delete" => Some(Method::DELETE),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
