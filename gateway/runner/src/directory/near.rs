//! Suggestions for a missing target: the namespaces, names and kinds that the tree has instead. Names only namespaces
//! and kinds that the tool's own ceiling reaches, and of a workload its other kinds of workload; never a Secret.

use super::index::Index;
use crate::refusal::Refusal;
use cofferdam_core::ceiling::Bound;
use cofferdam_core::near::{is_workload, listed, nearest};
use cofferdam_core::operation::{Operation, Step, Target};
use std::collections::BTreeSet;

/// Why a list cannot be shown: it is of a namespace that is not there. An empty list would read as if nothing ran in it.
pub fn unknown_namespace(index: &Index, steps: &[Step], bound: &Bound) -> Option<Refusal> {
    let there = namespaces(index, bound);
    let unknown = steps.iter().find_map(|step| match &step.operation {
        Operation::List { namespace, .. } => Some(namespace).filter(|namespace| !there.contains(namespace.as_str())),
        _ => None,
    });
    unknown.map(|namespace| no_namespace(index, namespace, &there))
}

/// A refusal of an object that is not there, with what is.
pub fn explained(refusal: Refusal, index: &Index, steps: &[Step], bound: &Bound) -> Refusal {
    let target = steps.iter().filter_map(|step| step.operation.target()).find(|target| !is_there(index, target));
    match target {
        Some(target) if refusal.code == "not-found" => absent(index, target, &namespaces(index, bound), bound),
        _ => refusal,
    }
}

fn is_there(index: &Index, target: &Target) -> bool {
    index.names().any(|name| {
        (name.group, name.kind, name.namespace, name.name)
            == (target.group.as_str(), target.kind.as_str(), target.namespace.as_str(), target.name.as_str())
    })
}

/// The namespaces of a tree that a tool may reach.
fn namespaces<'a>(index: &'a Index, bound: &Bound) -> BTreeSet<&'a str> {
    let named = index.names().map(|name| if name.kind == "Namespace" { name.name } else { name.namespace });
    named.filter(|namespace| !namespace.is_empty() && bound.reaches(namespace)).collect()
}

fn no_namespace(index: &Index, given: &str, there: &BTreeSet<&str>) -> Refusal {
    let meant = nearest(given, there.iter().copied()).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    let nameless = index.names().filter(|name| name.kind != "Namespace" && name.namespace.is_empty()).count();
    let nameless = match nameless {
        0 => String::new(),
        1 => " (one object of the tree names no namespace)".to_owned(),
        more => format!(" ({more} objects of the tree name no namespace)"),
    };
    let remedy = match listed(there.iter().copied()) {
        names if names.is_empty() => "nothing here: this tool reaches no namespace of this tree".to_owned(),
        names => format!("one of these namespaces: {names}"),
    };
    Refusal::new("not-found", format!("there is no namespace `{given}` here{nameless}{meant}"), &remedy)
}

fn absent(index: &Index, target: &Target, there: &BTreeSet<&str>, bound: &Bound) -> Refusal {
    if !there.contains(target.namespace.as_str()) {
        return no_namespace(index, &target.namespace, there);
    }
    let beside = || index.names().filter(|name| name.namespace == target.namespace && name.kind != "Secret");
    let tellable = |kind: &str| bound.names(kind, &target.namespace) || (is_workload(kind) && is_workload(&target.kind));
    let others: Vec<&str> =
        beside().filter(|name| name.name == target.name && name.kind != target.kind && tellable(name.kind)).map(|name| name.kind).collect();
    let same: BTreeSet<&str> =
        beside().filter(|name| name.kind == target.kind && name.group == target.group).map(|name| name.name).collect();
    let hint = match (others.first(), nearest(&target.name, same.iter().copied())) {
        (Some(kind), _) => format!("; there is a {kind} {}", target.name),
        (None, Some(name)) => format!("; did you mean `{name}`?"),
        (None, None) => String::new(),
    };
    let remedy = match listed(same.iter().copied()) {
        names if names.is_empty() => format!("another kind, or another namespace: {} has no {}", target.namespace, target.kind),
        names => format!("a {} of this namespace: {names}", target.kind),
    };
    Refusal::new("not-found", format!("there is no {target}{hint}"), &remedy)
}

#[cfg(test)]
mod tests;
