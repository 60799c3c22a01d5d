//! Checks an operation against a ceiling, as an early warning for the author. The host decides,
//! with more rules (namespaces, protected kinds).

use super::{json, object};
use crate::tool::{
    Action, Addresses, Ceiling, EPHEMERAL, Egress, Grant, NETWORK_POLICY, Operation, POD, Place,
};

/// The action of an operation.
pub(super) fn action(operation: &Operation) -> Action {
    match operation {
        Operation::Read(_) => Action::Read,
        Operation::List(_) => Action::List,
        Operation::Logs(_) => Action::Logs,
        Operation::Apply(_) => Action::Apply,
        Operation::Patch(_) => Action::Patch,
        Operation::Delete(_) => Action::Delete,
        Operation::Task(_) => Action::Task,
        Operation::Egress(_) => Action::Egress,
    }
}

/// The first part of the operation that no line of the ceiling permits, with the remedy.
pub(super) fn beyond(ceiling: &Ceiling, operation: &Operation) -> Option<String> {
    if let Operation::Apply(apply) = operation {
        let object::Found { group, version, kind, leaves } = match object::read(&apply.object) {
            Ok(found) => found,
            Err(fault) => return Some(fault),
        };
        let here = |grant: &&Grant| {
            apply.place != Place::Ephemeral || grant.namespaces.iter().any(|name| name == EPHEMERAL)
        };
        let fields = leaves.iter().map(String::as_str).collect();
        return lacking(
            ceiling.grants.iter().filter(here),
            Action::Apply,
            (&group, &version, &kind),
            fields,
        );
    }
    let destination =
        if let Operation::Egress(to) = operation { destination(to) } else { String::new() };
    let (group, version, kind, fields): (&str, &str, &str, Vec<&str>) = match operation {
        Operation::Read(read) => {
            (&read.target.group, &read.target.version, &read.target.kind, borrowed(&read.fields))
        }
        Operation::List(list) => (&list.group, &list.version, &list.kind, borrowed(&list.fields)),
        Operation::Patch(patch) => (
            &patch.target.group,
            &patch.target.version,
            &patch.target.kind,
            patch.changes.iter().map(|change| change.path.as_str()).collect(),
        ),
        Operation::Logs(logs) => {
            (&logs.target.group, &logs.target.version, &logs.target.kind, Vec::new())
        }
        Operation::Delete(target) => (&target.group, &target.version, &target.kind, Vec::new()),
        Operation::Egress(_) => {
            (NETWORK_POLICY.group, NETWORK_POLICY.version, NETWORK_POLICY.kind, vec![&destination])
        }
        Operation::Apply(_) | Operation::Task(_) => (POD.group, POD.version, POD.kind, Vec::new()),
    };
    lacking(ceiling.grants.iter(), action(operation), (group, version, kind), fields)
}

/// The name of a destination in a ceiling.
fn destination(to: &Egress) -> String {
    match to {
        Egress::Siblings => "egress.siblings".into(),
        Egress::NameService => "egress.name-service".into(),
        Egress::Addresses(Addresses { block, protocol, port }) => {
            format!("egress.addresses[\"{block} {} {port}\"]", json::word(*protocol))
        }
    }
}

/// The first field that these lines do not permit, with the remedy.
fn lacking<'a>(
    lines: impl Iterator<Item = &'a Grant>,
    action: Action,
    api: (&str, &str, &str),
    fields: Vec<&str>,
) -> Option<String> {
    let (group, version, kind) = api;
    let fits = |grant: &&Grant| {
        grant.action == action
            && grant.group == group
            && grant.version == version
            && grant.kind == kind
    };
    let lines: Vec<&Grant> = lines.filter(fits).collect();
    if lines.is_empty() {
        let word = json::action(action);
        return Some(format!(
            "the ceiling has no line for `{word}` of {kind}; add one to the definition with \
             `.may(…)`"
        ));
    }
    let permitted = |field: &str| {
        let field = segments(field);
        lines
            .iter()
            .flat_map(|grant| &grant.fields)
            .any(|pattern| covers(&segments(pattern), &field))
    };
    fields.into_iter().find(|field| !permitted(field)).map(|field| {
        let word = json::action(action);
        format!(
            "the ceiling does not permit to {word} `{field}` of {kind}; add the path to the line of \
             {kind} in the definition"
        )
    })
}

fn borrowed(fields: &[String]) -> Vec<&str> {
    fields.iter().map(String::as_str).collect()
}

/// A pattern covers a path of the same length: equal names, `*` any key, `[*]` any member of a
/// list.
fn covers(pattern: &[String], path: &[String]) -> bool {
    pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(pattern, part)| match pattern.as_str() {
            "*" => !part.starts_with('['),
            "[*]" => part.starts_with('['),
            same => same == part,
        })
}

/// Cuts a path at its dots and brackets; `["x"]` becomes the key `x`, `[name=web]` stays as it is.
fn segments(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = path.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '.' => parts.push(String::new()),
            '[' => {
                let quoted = rest.peek() == Some(&'"');
                let mut inner = String::new();
                let mut escaped = false;
                for c in rest.by_ref() {
                    let closes = if quoted {
                        c == ']' && inner.len() > 1 && inner.ends_with('"') && !escaped
                    } else {
                        c == ']'
                    };
                    if closes {
                        break;
                    }
                    escaped = quoted && c == '"' && inner.ends_with('\\');
                    inner.push(c);
                }
                parts.push(if quoted {
                    serde_json::from_str(&inner).unwrap_or(inner)
                } else {
                    format!("[{inner}]")
                });
            }
            other => {
                if let Some(last) = parts.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{covers, segments};

    fn check(pattern: &str, path: &str, expect: bool) {
        assert_eq!(
            covers(&segments(pattern), &segments(path)),
            expect,
            "`{pattern}` over `{path}`: {:?}",
            segments(path)
        );
    }

    #[test]
    fn patterns_cover_what_they_name() {
        check("spec.replicas", "spec.replicas", true);
        check("spec.replicas", "spec.paused", false);
        check("spec", "spec.replicas", false);
        check("data.*", "data.COLOR", true);
        check("data.*", r#"data["app.properties"]"#, true);
        check("data.*", r#"data["a]b"]"#, true);
        check("data.*", "data.a.b", false);
        check("data.*", "binaryData.a", false);
        check("spec.containers[*].image", "spec.containers[name=web].image", true);
        check("spec.containers[*].image", "spec.containers[name=web].command", false);
        check("spec.containers[*].image", r#"spec.containers["name"].image"#, false);
        check(r#"metadata.annotations["a.b/c"]"#, r#"metadata.annotations["a.b/c"]"#, true);
        check(r#"metadata.annotations["a.b/c"]"#, "metadata.annotations.a.b/c", false);
    }
}
