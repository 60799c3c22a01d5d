//! Suggestions for a missing target: namespaces, names and kinds of the tree. Suggests only
//! namespaces and kinds within the tool's own ceiling, and for a workload its other kinds; never a
//! Secret.

use super::index::Index;
use cofferdam_backend::refusal::Refusal;
use cofferdam_core::model::left_out::Place;
use cofferdam_core::model::near::{is_workload, listed, nearest};
use cofferdam_core::model::operation::{Operation, Step, Target};
use cofferdam_core::tool::bound::Bound;
use std::collections::BTreeSet;

/// The number of places that one refusal names; `doctor` names more.
const NAMED: usize = 3;

/// The refusal of a list in a namespace that does not exist. An empty list would read as if no
/// workload ran there.
pub fn unknown_namespace(index: &Index, steps: &[Step], bound: &Bound) -> Option<Refusal> {
    if !steps.iter().any(|step| matches!(step.operation, Operation::List { .. })) {
        return None;
    }
    let there = namespaces(index, bound);
    let unknown = steps.iter().find_map(|step| match &step.operation {
        Operation::List { group, kind, namespace, .. } if !there.contains(namespace.as_str()) => {
            Some((namespace, index.gaps(group, kind, namespace)))
        }
        _ => None,
    });
    let (namespace, beside) = unknown?;
    Some(no_namespace(index, namespace, &there, &beside))
}

/// A refusal of an object that is not there, with what is.
pub fn explained(refusal: Refusal, index: &Index, steps: &[Step], bound: &Bound) -> Refusal {
    let target = steps
        .iter()
        .filter_map(|step| step.operation.target())
        .find(|target| !is_there(index, target));
    match target {
        Some(target) if refusal.code == "not-found" => {
            absent(index, target, &namespaces(index, bound), bound)
        }
        _ => refusal,
    }
}

fn is_there(index: &Index, target: &Target) -> bool {
    index.names().any(|name| {
        (name.group, name.kind, name.namespace, name.name)
            == (
                target.group.as_str(),
                target.kind.as_str(),
                target.namespace.as_str(),
                target.name.as_str(),
            )
    })
}

/// The namespaces of a tree that a tool may reach.
fn namespaces<'a>(index: &'a Index, bound: &Bound) -> BTreeSet<&'a str> {
    let named =
        index.names().map(|name| if name.kind == "Namespace" { name.name } else { name.namespace });
    named.filter(|namespace| !namespace.is_empty() && bound.reaches(namespace)).collect()
}

fn no_namespace(index: &Index, given: &str, there: &BTreeSet<&str>, beside: &[Place]) -> Refusal {
    let meant = nearest(given, there.iter().copied())
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default();
    let nameless =
        index.names().filter(|name| name.kind != "Namespace" && name.namespace.is_empty()).count();
    let nameless = match nameless {
        0 => String::new(),
        1 => " (one object of the tree names no namespace)".to_owned(),
        more => format!(" ({more} objects of the tree name no namespace)"),
    };
    let remedy = match listed(there.iter().copied()) {
        names if names.is_empty() => {
            "nothing here: this tool reaches no namespace of this tree".to_owned()
        }
        names => format!("one of these namespaces: {names}"),
    };
    Refusal::new(
        "not-found",
        format!("there is no namespace `{given}` here{nameless}{meant}{}", unread(beside)),
        &remedy,
    )
}

fn absent(index: &Index, target: &Target, there: &BTreeSet<&str>, bound: &Bound) -> Refusal {
    let places = index.gaps(&target.group, &target.kind, &target.namespace);
    if !there.contains(target.namespace.as_str()) {
        return no_namespace(index, &target.namespace, there, &places);
    }
    let beside =
        || index.names().filter(|name| name.namespace == target.namespace && name.kind != "Secret");
    let tellable = |kind: &str| {
        bound.names(kind, &target.namespace) || (is_workload(kind) && is_workload(&target.kind))
    };
    let others: Vec<&str> = beside()
        .filter(|name| name.name == target.name && name.kind != target.kind && tellable(name.kind))
        .map(|name| name.kind)
        .collect();
    let same: BTreeSet<&str> = beside()
        .filter(|name| name.kind == target.kind && name.group == target.group)
        .map(|name| name.name)
        .collect();
    let hint = match (others.first(), nearest(&target.name, same.iter().copied())) {
        (Some(kind), _) => format!("; there is a {kind} {}", target.name),
        (None, Some(name)) => format!("; did you mean `{name}`?"),
        (None, None) => String::new(),
    };
    let remedy = match listed(same.iter().copied()) {
        names if names.is_empty() => format!(
            "another kind, or another namespace: {} has no {}",
            target.namespace, target.kind
        ),
        names => format!("a {} of this namespace: {names}", target.kind),
    };
    Refusal::new("not-found", format!("there is no {target}{hint}{}", unread(&places)), &remedy)
}

/// The unread or unclear places that may have the object, as text.
fn unread(places: &[Place]) -> String {
    let named: Vec<_> = places.iter().take(NAMED).map(Place::words).collect();
    match places.len().saturating_sub(NAMED) {
        _ if places.is_empty() => String::new(),
        0 => format!("; it may be where nothing is certain: {}", named.join("; ")),
        more => format!(
            "; it may be where nothing is certain: {}; and {more} places more",
            named.join("; ")
        ),
    }
}

#[cfg(test)]
mod tests;
