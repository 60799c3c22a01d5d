//! The banner at the start of `serve`: infrastructure, address and trusted keys. Reads nothing.

use crate::config::{Infrastructure, Installation, Links, LogFormat};
use cofferdam_core::protocol::link::LinkRole;
use std::io::Write as _;

/// Prints the banner on standard error, with the log lines.
pub fn say(installation: &Installation) {
    let text = text(installation);
    match installation.config.telemetry.format {
        LogFormat::Text => {
            // A closed terminal is not an error.
            let _unread = writeln!(std::io::stderr(), "{text}");
        }
        LogFormat::Json => text.lines().for_each(|line| tracing::info!("{}", line.trim())),
    }
}

/// The text of the banner, without a line break at its end.
fn text(installation: &Installation) -> String {
    let Installation { home, config, agents, trust, .. } = installation;
    if let Some(links) = &config.links {
        return of_one_role(&config.environment, links);
    }
    let url = config.edge.url();
    let mut lines = match &config.infrastructure {
        Infrastructure::Directory { tree } => {
            vec![format!(
                "Cofferdam serves the environment `{}` ({}).",
                config.environment,
                tree.display()
            )]
        }
        Infrastructure::Kubernetes(cluster) => {
            let mut lines = vec![format!(
                "Cofferdam serves the environment `{}`, the Kubernetes cluster whose kube-system \
                 is {}.",
                config.environment, trust.environment.id
            )];
            lines.extend(
                cluster
                    .identities()
                    .map(|(identity, path)| format!("  {identity:<12} {}", path.display())),
            );
            lines
        }
    };
    lines.push(format!("  MCP    {url}/mcp"));
    lines.push(format!("  HTTP   {url}/v1/tools"));
    let tools: Vec<&str> = trust.tools.iter().map(|tool| tool.name.as_str()).collect();
    let tools = if tools.is_empty() {
        "none: `cofferdam accept FILE` accepts one".to_owned()
    } else {
        tools.join(", ")
    };
    lines.push(format!("  tools  {tools}"));
    if let Some(oauth) = &config.edge.oauth {
        let issuers: Vec<&str> = oauth.issuers.iter().map(|it| it.issuer.as_str()).collect();
        lines.push(format!("  issuers of access tokens: {}", issuers.join(", ")));
    } else if agents.list().is_empty() {
        lines.push(
            "No agent is configured: callers on this machine can read and preview; every change \
             needs a person's signature."
                .to_owned(),
        );
        lines.push("  add one: cofferdam agents add NAME --role ROLE --for PERSON".to_owned());
    }
    let root = home.root().display();
    match &config.infrastructure {
        Infrastructure::Directory { .. } => {
            lines.push(
                "Everything that runs as this operating-system user is trusted: an agent with a \
                 shell here could reach the tree, the keys and the"
                    .to_owned(),
            );
            lines.push(format!(
                "operator socket beneath {root}. Give agents another user, or another machine."
            ));
        }
        Infrastructure::Kubernetes(_) => {
            lines.push(
                "Everything that runs as this operating-system user is trusted: an agent with a \
                 shell here could read the kubeconfigs and use the"
                    .to_owned(),
            );
            lines.push(format!(
                "cluster itself, and reach the keys and the operator socket beneath {root}. Give \
                 agents another user, or another machine."
            ));
        }
    }
    lines.join("\n")
}

/// The banner of a home with one role.
fn of_one_role(environment: &str, links: &Links) -> String {
    let mut lines = vec![format!("Cofferdam serves the role {} of `{environment}`.", links.role)];
    if let Some(listen) = links.listen {
        let names: Vec<&str> = links.accepts().into_iter().map(LinkRole::word).collect();
        lines.push(format!("  links at {listen}, from: {}", names.join(", ")));
    }
    for (peer, addresses) in &links.peers {
        lines.push(format!("  links to the {peer}: {}", addresses.join(", ")));
    }
    lines.push(format!("  certificate {}", links.certificate.display()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::testing;
    use expect_test::expect;

    #[test]
    fn it_says_what_is_served_and_what_a_shell_could_reach() {
        expect![[r#"
            Cofferdam serves the environment `lab` (/srv/manifests).
              MCP    http://127.0.0.1:8620/mcp
              HTTP   http://127.0.0.1:8620/v1/tools
              tools  none: `cofferdam accept FILE` accepts one
            No agent is configured: callers on this machine can read and preview; every change needs a person's signature.
              add one: cofferdam agents add NAME --role ROLE --for PERSON
            Everything that runs as this operating-system user is trusted: an agent with a shell here could reach the tree, the keys and the
            operator socket beneath /home/me/cofferdam. Give agents another user, or another machine."#]]
        .assert_eq(&text(&testing::directory()));
        expect![[r#"
            Cofferdam serves the environment `lab`, the Kubernetes cluster whose kube-system is 0f0c1ad8-9ad2-4e2b-8f86-6a2f3c6e6b5d.
              viewer       /etc/cofferdam/viewer.kubeconfig
              provisioner  /etc/cofferdam/provisioner.kubeconfig
              reaper       /etc/cofferdam/reaper.kubeconfig
              MCP    http://127.0.0.1:8620/mcp
              HTTP   http://127.0.0.1:8620/v1/tools
              tools  none: `cofferdam accept FILE` accepts one
            No agent is configured: callers on this machine can read and preview; every change needs a person's signature.
              add one: cofferdam agents add NAME --role ROLE --for PERSON
            Everything that runs as this operating-system user is trusted: an agent with a shell here could read the kubeconfigs and use the
            cluster itself, and reach the keys and the operator socket beneath /home/me/cofferdam. Give agents another user, or another machine."#]]
        .assert_eq(&text(&testing::cluster()));
    }
}
