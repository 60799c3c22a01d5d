//! One ceiling against another, for an operator who accepts a tool again. Never guesses: a line
//! that is not provably covered counts as wider.

use super::bound::{Bound, CeilingError, Line, Namespaces};
use crate::model::ceiling::Ceiling;
use crate::model::kind;
use crate::model::path::FieldPath;

/// The width of a new ceiling against the accepted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// The new ceiling permits less, and nothing more.
    Narrower,
    /// The new ceiling permits the same.
    Same,
    /// The new ceiling permits operations that were not accepted.
    Wider,
}

/// The comparison, with the lines that differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The new width, against the old one.
    pub width: Width,
    /// The lines that are permitted now and were not.
    pub added: Vec<String>,
    /// The lines that were permitted and are no more.
    pub removed: Vec<String>,
}

/// Compares `new` with the accepted ceiling.
pub fn compare(accepted: &Ceiling, new: &Ceiling) -> Result<Comparison, CeilingError> {
    let (old_bound, new_bound) = (Bound::parse(accepted)?, Bound::parse(new)?);
    let mut added = beyond(&new_bound, &old_bound);
    let mut removed = beyond(&old_bound, &new_bound);
    added.extend(
        new.executors
            .iter()
            .filter(|name| !accepted.executors.contains(name))
            .map(|name| format!("executor {name}")),
    );
    removed.extend(
        accepted
            .executors
            .iter()
            .filter(|name| !new.executors.contains(name))
            .map(|name| format!("executor {name}")),
    );
    let width = match (added.is_empty(), removed.is_empty()) {
        (false, _) => Width::Wider,
        (true, false) => Width::Narrower,
        (true, true) => Width::Same,
    };
    Ok(Comparison { width, added, removed })
}

/// The lines of `these` that no single line of `those` permits. Namespace and field are taken
/// together: a line that permits the field elsewhere does not permit it here.
fn beyond(these: &Bound, those: &Bound) -> Vec<String> {
    let mut lines = Vec::new();
    for line in &these.lines {
        for namespaces in &line.namespaces {
            let fields: Vec<Option<&FieldPath>> = if line.fields.is_empty() {
                vec![None]
            } else {
                line.fields.iter().map(Some).collect()
            };
            for field in fields {
                if !those.lines.iter().any(|other| other.covers(line, namespaces, field)) {
                    lines.push(name(line, namespaces, field));
                }
            }
        }
    }
    lines.sort();
    lines.dedup();
    lines
}

impl Line {
    fn covers(&self, line: &Self, namespaces: &Namespaces, field: Option<&FieldPath>) -> bool {
        let grant = &line.grant;
        self.is_for(grant.action, &grant.group, &grant.version, &grant.kind)
            && self.namespaces.iter().any(|wide| wide.covers(namespaces))
            && field.is_none_or(|field| self.fields.iter().any(|wide| wide.covers(field)))
    }
}

fn name(line: &Line, namespaces: &Namespaces, field: Option<&FieldPath>) -> String {
    let place = match namespaces {
        Namespaces::Any => "any namespace".to_owned(),
        Namespaces::Prefix(prefix) => format!("{prefix}*"),
        Namespaces::Exact(name) if name.is_empty() => "the ephemeral namespace".to_owned(),
        Namespaces::Exact(name) => name.clone(),
    };
    let field = field.map(|field| format!(" {field}")).unwrap_or_default();
    let grant = &line.grant;
    format!(
        "{} {} {}{field} in {place}",
        grant.action,
        kind::api_version(&grant.group, &grant.version),
        grant.kind
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ceiling::Grant;
    use crate::model::operation::Action;

    fn ceiling(namespaces: &[&str], fields: &[&str]) -> Ceiling {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Ceiling {
            grants: vec![Grant {
                action: Action::Patch,
                group: "apps".into(),
                version: "v1".into(),
                kind: "Deployment".into(),
                namespaces: owned(namespaces),
                fields: owned(fields),
            }],
            executors: vec!["sequential".into()],
        }
    }

    fn check(accepted: &Ceiling, new: &Ceiling, width: Width, added: &[&str]) {
        let got = compare(accepted, new).unwrap();
        assert_eq!(
            (got.width, got.added.iter().map(String::as_str).collect::<Vec<_>>()),
            (width, added.to_vec())
        );
    }

    #[test]
    fn wider_is_named_line_by_line() {
        let wide = ceiling(&["team-*"], &["spec.replicas", "metadata.labels.*"]);
        check(&wide, &wide, Width::Same, &[]);
        check(&wide, &ceiling(&["team-a"], &["spec.replicas"]), Width::Narrower, &[]);
        check(
            &wide,
            &ceiling(&["team-*"], &["metadata.labels.app", "spec.paused"]),
            Width::Wider,
            &["patch apps/v1 Deployment spec.paused in team-*"],
        );
        check(
            &wide,
            &ceiling(&["*"], &["spec.replicas"]),
            Width::Wider,
            &["patch apps/v1 Deployment spec.replicas in any namespace"],
        );
        check(
            &wide,
            &Ceiling { executors: vec!["rollout".into()], ..wide.clone() },
            Width::Wider,
            &["executor rollout"],
        );
    }

    #[test]
    fn a_ceiling_reaches_nothing_protected() {
        for bad in ["kube-system", "kube-*", "cofferdam-x", "a*b", "A"] {
            assert!(
                compare(&ceiling(&[bad], &["spec.replicas"]), &ceiling(&["a"], &["spec.replicas"]))
                    .is_err(),
                "{bad}"
            );
        }
    }
}
