//! A ceiling as people read it: a line per grant, and the widest rights it could ever need, written as Kubernetes RBAC.

use cofferdam_core::ceiling::{Ceiling, EPHEMERAL};
use cofferdam_core::kind;
use cofferdam_core::rights;

/// One line per grant.
pub fn ceiling(ceiling: &Ceiling) -> Vec<String> {
    let mut lines: Vec<String> = ceiling
        .grants
        .iter()
        .map(|grant| {
            let fields = if grant.fields.is_empty() { String::new() } else { format!(": {}", grant.fields.join(", ")) };
            let api = kind::api_version(&grant.group, &grant.version);
            format!("{} {} ({api}) in {}{fields}", grant.action, grant.kind, namespaces(&grant.namespaces))
        })
        .collect();
    if lines.is_empty() {
        lines.push("nothing: its plans are answers".to_owned());
    }
    if !ceiling.executors.is_empty() {
        lines.push(format!("carried out by {}", ceiling.executors.join(" or ")));
    }
    lines
}

fn namespaces(patterns: &[String]) -> String {
    let named = |pattern: &String| match pattern.as_str() {
        "*" => "every namespace that is not protected".to_owned(),
        EPHEMERAL => "the run's own namespace".to_owned(),
        name => name.to_owned(),
    };
    // What `*` already says is not said again.
    let wide = patterns.iter().any(|pattern| pattern == "*");
    let told = patterns.iter().filter(|pattern| !wide || matches!(pattern.as_str(), "*" | EPHEMERAL));
    told.map(named).collect::<Vec<_>>().join(", ")
}

/// The widest rights it could ever need, as RBAC rules per namespace. A job gets far less: its plan's objects by name, for its own time.
pub fn rbac(ceiling: &Ceiling) -> String {
    let quoted = |words: &[String]| words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    let mut lines = Vec::new();
    for place in rights::of_ceiling(ceiling) {
        lines.push(format!("# in {}", namespaces(std::slice::from_ref(&place.namespace))));
        lines.push("rules:".to_owned());
        for rule in place.rules {
            lines.push(format!("- apiGroups: [{}]", quoted(&rule.api_groups)));
            lines.push(format!("  resources: [{}]", quoted(&rule.resources)));
            lines.push(format!("  verbs: [{}]", quoted(&rule.verbs)));
        }
    }
    if lines.is_empty() { "rules: []".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::ceiling::Grant;
    use cofferdam_core::operation::Action;
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
            - apiGroups: ["apps"]
              resources: ["deployments"]
              verbs: ["create", "delete", "get", "patch"]
            # in team-*
            rules:
            - apiGroups: [""]
              resources: ["pods/log"]
              verbs: ["get"]"##]]
        .assert_eq(&rbac(&wide));
    }
}
