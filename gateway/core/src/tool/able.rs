//! Checks that an environment can carry out a ceiling at all. A folder of manifests has no API
//! server and no node: it has objects that are read, listed, patched and deleted, and runs accepted
//! Wasm commands. Never decides over a call: policy does, over the tools that are left.

use crate::model::ceiling::Ceiling;
use crate::model::ceiling::Grant;
use crate::model::operation::Action;
use crate::model::trust::Trust;

/// Kinds that only a running cluster has objects of: no manifest is one.
const CLUSTERS_OWN: [&str; 1] = ["Event"];

/// True if at least one plan under this ceiling can be carried out here.
pub fn able(ceiling: &Ceiling, trust: &Trust) -> bool {
    if trust.environment.is_cluster() || ceiling.grants.is_empty() {
        return true;
    }
    // A task does not count where the same plans change or show objects.
    let (runs, objects): (Vec<_>, Vec<_>) = ceiling
        .grants
        .iter()
        .partition(|grant| matches!(grant.action, Action::Task | Action::Egress));
    if objects.is_empty() {
        runs.iter().any(|grant| grant.action == Action::Task) && !trust.commands.is_empty()
    } else {
        objects.into_iter().any(in_a_folder)
    }
}

fn in_a_folder(grant: &Grant) -> bool {
    let action = match grant.action {
        Action::Read | Action::List | Action::Patch | Action::Delete => true,
        Action::Logs | Action::Apply | Action::Task | Action::Egress => false,
    };
    action && !CLUSTERS_OWN.contains(&grant.kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::ComponentDigest;
    use crate::model::trust::TrustedCommand;
    use crate::testing::trust;

    fn ceiling(grants: &[(Action, &str)]) -> Ceiling {
        let grant = |(action, kind): &(Action, &str)| Grant {
            action: *action,
            group: String::new(),
            version: "v1".to_owned(),
            kind: (*kind).to_owned(),
            namespaces: vec!["*".to_owned()],
            fields: Vec::new(),
        };
        Ceiling { grants: grants.iter().map(grant).collect(), executors: Vec::new() }
    }

    #[test]
    fn a_folder_is_not_asked_for_what_only_a_cluster_has() {
        use Action::{Apply, Delete, Egress, List, Logs, Patch, Read, Task};
        let folder = trust();
        let mut commands = folder.clone();
        commands
            .commands
            .push(TrustedCommand { name: "lint".to_owned(), digest: ComponentDigest::of(b"lint") });
        let mut cluster = folder.clone();
        cluster.environment.id = "0f0c1ad8-9ad2-4e2b-8f86-6a2f3c6e6b5d".to_owned();
        for (grants, here, with_commands) in [
            (&[(Patch, "Deployment")][..], true, true),
            (&[(Delete, "Deployment")], true, true),
            (&[(Read, "ConfigMap"), (List, "ConfigMap")], true, true),
            (&[(Logs, "Pod")], false, false),
            (&[(List, "Event")], false, false),
            (&[(List, "Event"), (List, "Pod")], true, true),
            (&[(Apply, "ConfigMap"), (Apply, "Service")], false, false),
            (&[(Apply, "ConfigMap"), (Patch, "ConfigMap")], true, true),
            (&[(Task, "Pod"), (Egress, "NetworkPolicy")], false, true),
            (&[(Egress, "NetworkPolicy")], false, false),
            (&[(Apply, "Job"), (Task, "Pod"), (Egress, "NetworkPolicy")], false, false),
            (&[], true, true),
        ] {
            let ceiling = ceiling(grants);
            assert_eq!(
                (able(&ceiling, &folder), able(&ceiling, &commands)),
                (here, with_commands),
                "{grants:?}"
            );
            assert!(able(&ceiling, &cluster), "{grants:?}");
        }
    }
}
