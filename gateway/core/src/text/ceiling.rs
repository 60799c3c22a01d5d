//! A ceiling for people: one or two lines for each grant, and the widest rights that it needs, as
//! Kubernetes RBAC.

use super::short;
use crate::model::ceiling::{Ceiling, EPHEMERAL, Grant};
use crate::model::kind;
use crate::model::rights;
use std::collections::BTreeMap;

/// The most characters of a list of field paths; a longer list is summed up by common beginnings.
const FIELDS: usize = 100;

/// The most characters of a summed-up list: two lines of a terminal.
const SUMMED: usize = 160;

/// A line for grants that differ in nothing but their kind. Long lists of fields are summed up; the
/// whole is in `--json`.
pub fn ceiling(ceiling: &Ceiling) -> Vec<String> {
    let mut groups: Vec<(&Grant, Vec<String>)> = Vec::new();
    for grant in &ceiling.grants {
        let kind = format!("{} ({})", grant.kind, kind::api_version(&grant.group, &grant.version));
        let alike = |other: &Grant| {
            other.action == grant.action
                && other.namespaces == grant.namespaces
                && other.fields == grant.fields
        };
        match groups.iter_mut().find(|(first, _)| alike(first)) {
            Some((_, kinds)) => kinds.push(kind),
            None => groups.push((grant, vec![kind])),
        }
    }
    let told = |(grant, kinds): &(&Grant, Vec<String>)| {
        let fields = if grant.fields.is_empty() {
            String::new()
        } else {
            format!(": {}", fields(&grant.fields))
        };
        format!(
            "{} {} in {}{fields}",
            grant.action,
            kinds.join(", "),
            namespaces(&grant.namespaces)
        )
    };
    let mut lines: Vec<String> = groups.iter().map(told).collect();
    if lines.is_empty() {
        lines.push("nothing: its plans are answers".to_owned());
    }
    if !ceiling.executors.is_empty() {
        lines.push(format!("carried out by {}", ceiling.executors.join(" or ")));
    }
    lines
}

/// The field paths, or for many of them their beginnings with counts.
fn fields(paths: &[String]) -> String {
    let whole = paths.join(", ");
    if whole.chars().count() <= FIELDS {
        return whole;
    }
    // The deepest summary that fits, else the shallowest.
    let summed =
        (1..=4).rev().map(|depth| summed(paths, depth)).find(|text| text.chars().count() <= SUMMED);
    format!(
        "{} fields: {}",
        paths.len(),
        summed.unwrap_or_else(|| short(&self::summed(paths, 1), SUMMED))
    )
}

fn summed(paths: &[String], depth: usize) -> String {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in paths {
        groups.entry(beginning(path, depth)).or_default().push(path);
    }
    let told = |(beginning, paths): (&&str, &Vec<&str>)| match paths.as_slice() {
        [only] => (*only).to_owned(),
        many => format!("{beginning}… ({})", many.len()),
    };
    groups.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// The first members of a path. A dot inside brackets is part of a key.
fn beginning(path: &str, depth: usize) -> &str {
    let (mut inside, mut dots) = (false, 0);
    let end = path.char_indices().find(|(_, character)| {
        match character {
            '[' => inside = true,
            ']' => inside = false,
            '.' if !inside => dots += 1,
            _ => {}
        }
        dots == depth
    });
    end.and_then(|(end, _)| path.get(..end)).unwrap_or(path)
}

fn namespaces(patterns: &[String]) -> String {
    let named = |pattern: &String| match pattern.as_str() {
        "*" => "every namespace that is not protected".to_owned(),
        EPHEMERAL => "the run's own namespace".to_owned(),
        name => name.to_owned(),
    };
    // `*` includes every other pattern.
    let wide = patterns.iter().any(|pattern| pattern == "*");
    let told =
        patterns.iter().filter(|pattern| !wide || matches!(pattern.as_str(), "*" | EPHEMERAL));
    told.map(named).collect::<Vec<_>>().join(", ")
}

/// The widest rights of a ceiling, as RBAC rules for each namespace. A job gets far less: rights
/// for the objects of its plan, by name, for its own time.
pub fn rbac(ceiling: &Ceiling) -> String {
    let quoted = |words: &[String]| {
        words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
    };
    let mut lines = Vec::new();
    for place in rights::of_ceiling(ceiling) {
        lines.push(format!("# in {}", namespaces(std::slice::from_ref(&place.namespace))));
        lines.push("rules:".to_owned());
        for rule in place.rules {
            let (groups, resources) = (quoted(&rule.api_groups), quoted(&rule.resources));
            lines.push(format!(
                "- {{apiGroups: [{groups}], resources: [{resources}], verbs: [{}]}}",
                quoted(&rule.verbs)
            ));
        }
    }
    if lines.is_empty() { "rules: []".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::operation::Action;
    use expect_test::expect;

    #[test]
    fn a_ceiling_reads_as_rights() {
        let grant = |action, kind: &str, group: &str, namespaces: &[&str], fields: &[&str]| Grant {
            action,
            group: group.to_owned(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
            fields: fields.iter().map(|name| (*name).to_owned()).collect(),
        };
        let wide = Ceiling {
            grants: vec![
                grant(Action::Patch, "Deployment", "apps", &["*"], &["spec.replicas"]),
                grant(Action::Delete, "Deployment", "apps", &["*"], &[]),
                grant(Action::Logs, "Pod", "", &["team-*"], &[]),
                grant(Action::Task, "Pod", "", &[""], &[]),
            ],
            executors: vec!["sequential".to_owned()],
        };
        expect![[r#"
            patch Deployment (apps/v1) in every namespace that is not protected: spec.replicas
            delete Deployment (apps/v1) in every namespace that is not protected
            logs Pod (v1) in team-*
            task Pod (v1) in the run's own namespace
            carried out by sequential"#]]
        .assert_eq(&ceiling(&wide).join("\n"));
        expect![[r##"
            # in every namespace that is not protected
            rules:
            - {apiGroups: ["apps"], resources: ["deployments"], verbs: ["create", "delete", "get", "patch"]}
            # in team-*
            rules:
            - {apiGroups: [""], resources: ["pods/log"], verbs: ["get"]}"##]]
        .assert_eq(&rbac(&wide));
    }

    #[test]
    fn a_long_ceiling_fits_on_a_screen() {
        let pod = |field: &str| format!("spec.template.spec.containers[*].{field}");
        let mut fields: Vec<String> =
            (0..60).map(|index| pod(&format!("field{index}.of.some.depth"))).collect();
        fields.extend([r#"metadata.annotations["a.b/c"]"#.to_owned(), "spec.replicas".to_owned()]);
        let grant = |kind: &str, fields: &[String]| Grant {
            action: Action::Apply,
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespaces: vec!["team-*".to_owned()],
            fields: fields.to_vec(),
        };
        let alike = grant("StatefulSet", &fields);
        let long = Ceiling { grants: vec![grant("Deployment", &fields), alike], executors: vec![] };
        let expect = "apply Deployment (apps/v1), StatefulSet (apps/v1) in team-*: 62 fields: \
                      metadata.annotations[\"a.b/c\"], spec.replicas, \
                      spec.template.spec.containers[*]… (60)";
        assert_eq!(ceiling(&long), [expect]);
        let scattered: Vec<String> =
            (0..64).map(|index| format!("{}{index}.b.c", "a".repeat(30))).collect();
        let lines =
            ceiling(&Ceiling { grants: vec![grant("Deployment", &scattered)], executors: vec![] });
        assert!(lines.iter().all(|line| line.chars().count() < 250), "{lines:?}");
    }
}
