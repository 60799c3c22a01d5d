//! Checks the identities of a cluster. Reads no kubeconfig: `cofferdam-runner` does.

use crate::command::runner_binary;
use crate::config::{Cluster, has_role};
use crate::serve::health::Findings;
use cofferdam_core::model::escape::line;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::link::LinkRole;

/// Checks each identity with `cofferdam-runner`: it reaches the trusted cluster, and has the rights
/// of its role and no more. A home of one role has one of them, or none.
pub(super) fn identities(
    cluster: &Cluster,
    role: Option<LinkRole>,
    trust: Option<&Trust>,
    found: &mut Findings,
) {
    let roles = [LinkRole::Viewer, LinkRole::Runner, LinkRole::Reaper];
    let own = cluster.identities().into_iter().zip(roles);
    for ((identity, kubeconfig), _) in own.filter(|(_, own)| has_role(role, *own)) {
        let path = kubeconfig.display();
        let met = match runner_binary::identify(kubeconfig) {
            Ok(met) => met,
            Err(error) => {
                found.bad(
                    identity,
                    format!("{error:#}"),
                    "check that the API server is reachable and the kubeconfig is valid",
                );
                continue;
            }
        };
        if let Some(trusted) = trust
            .map(|trust| &trust.environment.id)
            .filter(|trusted| **trusted != met.environment_id)
        {
            let detail = format!(
                "`{path}` is for the cluster {} ({}), and the trust file names {trusted}",
                met.server, met.environment_id
            );
            found.bad(
                identity,
                detail,
                "use a kubeconfig of that cluster; another cluster needs a home of its own",
            );
            continue;
        }
        match runner_binary::check(identity, cluster.job_identity, kubeconfig) {
            Ok(checked) => {
                for looked in checked.findings.iter().filter(|looked| !looked.ok) {
                    // The text about an admission policy that is not in effect includes its remedy.
                    let says = if looked.says.is_empty() { &looked.check } else { &looked.says };
                    found.bad(identity, line(says), &line(&looked.remedy));
                }
                if checked.ok {
                    let held = checked.findings.len();
                    found.good(
                        identity,
                        format!(
                            "Kubernetes {} at {}, {held} checks passed",
                            line(&met.version),
                            line(&met.server)
                        ),
                    );
                }
            }
            Err(error) => found.bad(
                identity,
                format!("{error:#}"),
                "install `cofferdam-runner` of this version",
            ),
        }
    }
}
