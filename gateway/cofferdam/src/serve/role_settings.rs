//! The settings of each role: only the parts of the installation that the role needs. Never a key,
//! only the path of the role's own.

use crate::config::home::{Home, Secret};
use crate::config::{
    Cluster, Edge, Infrastructure as Configured, Installation, LogFormat, Notify, People, Tls,
};
use crate::serve::copies;
use cofferdam_core::model::run::JobStep;
use cofferdam_core::protocol::link::{LinkPeer, LinkSettings};
use cofferdam_core::protocol::role_settings::{
    ActorSettings, CourierSettings, GatewaySettings, Infrastructure, JobIdentity, LogSettings,
    ReaperSettings, RecorderSettings, RunnerSettings, TlsSettings, ViewerSettings,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The log settings of every role and of the supervisor.
pub fn voice(installation: &Installation) -> LogSettings {
    let telemetry = &installation.config.telemetry;
    LogSettings {
        level: telemetry.level.clone(),
        json: telemetry.format == LogFormat::Json,
        spans: telemetry.otlp.is_some(),
    }
}

/// The copies in use, by their link: a role that reads a file again gets that of the last load.
fn in_use(home: &Home) -> Home {
    home.beneath(&copies::link(home))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The infrastructure for one role: for a cluster, only the role's own kubeconfig.
fn infrastructure(
    installation: &Installation,
    own: impl FnOnce(&Cluster) -> &PathBuf,
) -> Infrastructure {
    match &installation.config.infrastructure {
        Configured::Directory { tree } => Infrastructure::Directory { tree: tree.clone() },
        Configured::Kubernetes(cluster) => Infrastructure::Kubernetes {
            kubeconfig: own(cluster).clone(),
            write_ms: milliseconds(cluster.request_timeout),
        },
    }
}

/// The settings of the gateway. `anonymous`: no agent was configured
/// since the start; a gateway behind a proxy serves no anonymous caller.
pub fn gateway(installation: &Installation, guest: &Path, anonymous: bool) -> GatewaySettings {
    gateway_of(installation, &installation.served, guest, anonymous)
}

/// The settings of a gateway that loads these copies.
pub fn gateway_of(
    installation: &Installation,
    served: &Home,
    guest: &Path,
    anonymous: bool,
) -> GatewaySettings {
    let Installation { home, config, .. } = installation;
    GatewaySettings {
        voice: voice(installation),
        environment: installation.trust.environment.clone(),
        trust_file: served.trust(),
        copies: home.served(),
        agents_file: home.agents(),
        disk: home.root().to_owned(),
        tools: served.tools(),
        executors: served.executors(),
        policy_module: served.policy_module(),
        policy_data: served.policy_data(),
        permit_key: home.secret(Secret::Permits),
        artefact_key: home.secret(Secret::GatewayArtefacts),
        artefacts: home.artefacts("gateway"),
        guest: guest.to_owned(),
        // Through a proxy, other machines come from this machine's address.
        anonymous: anonymous && config.edge.behind_proxy.is_none(),
        listen: config.edge.listen.to_string(),
        tls: config.edge.tls.as_ref().map(tls),
        courier: config.courier.is_some(),
        origins: config.edge.origins.clone(),
        hosts: hosts(&config.edge),
        trusted_proxies: config.edge.trusted_proxies.clone(),
        people: config.edge.people().map(|party| party.origin().to_owned()),
        behind_proxy: config.edge.behind_proxy.is_some(),
        oauth: config.edge.oauth.clone(),
        people_issuer: config.people.as_ref().map(|people| people.issuer.clone()),
        wait_ms: milliseconds(config.edge.wait),
        limits: config.limits,
        otlp: config.telemetry.otlp.clone(),
        links: config.links.is_some(),
    }
}

fn tls(tls: &Tls) -> TlsSettings {
    TlsSettings {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
        folders: tls.folders(),
    }
}

/// The configured hosts, the host of the resource that agents reach, and that of people's pages.
fn hosts(edge: &Edge) -> Vec<String> {
    let resource = edge.oauth.as_ref().and_then(|oauth| {
        let (_, rest) = oauth.resource.split_once("://")?;
        rest.split('/').next().map(str::to_owned)
    });
    let people = edge.people().map(|party| party.authority().to_owned());
    edge.hosts.iter().cloned().chain(resource).chain(people).collect()
}

/// The settings of the recorder. `keeps_leases`: a runner that claimed from a recorder before this
/// one may go on.
pub fn recorder(installation: &Installation, keeps_leases: bool) -> RecorderSettings {
    let home = &installation.home;
    RecorderSettings {
        voice: voice(installation),
        environment: installation.trust.environment.clone(),
        trust_file: in_use(home).trust(),
        copies: home.served(),
        store: home.store(),
        database: installation.config.store.clone(),
        ledger: home.ledger(),
        checkpoint_key: home.secret(Secret::Checkpoints),
        operator_socket: home.operator_socket(),
        lease_seconds: installation.config.runner.lease.as_secs(),
        keeps_leases,
        links: installation.config.links.is_some(),
        budgets: installation.config.budgets,
        max_queued: installation.config.runner.max_queued,
        retention: installation.config.retention,
        receivers: installation.config.notify.iter().map(Notify::receiver).collect(),
        oidc_roles: installation.config.people.as_ref().map(People::roles).unwrap_or_default(),
    }
}

/// The settings of the viewer.
pub fn viewer(installation: &Installation) -> ActorSettings {
    ActorSettings::Viewer(ViewerSettings {
        voice: voice(installation),
        environment: installation.trust.environment.clone(),
        trust_file: in_use(&installation.home).trust(),
        copies: installation.home.served(),
        infrastructure: infrastructure(installation, |cluster| &cluster.viewer),
        links: installation.config.links.is_some(),
    })
}

/// The settings of a runner. `checked`: the time since another runner checked the admission
/// policies.
pub fn runner(
    installation: &Installation,
    guest: &Path,
    checked: Option<Duration>,
    drill: Option<JobStep>,
) -> ActorSettings {
    let home = &installation.home;
    let served = in_use(home);
    let job_identity = match &installation.config.infrastructure {
        Configured::Directory { .. } => JobIdentity::Token,
        Configured::Kubernetes(cluster) => cluster.job_identity,
    };
    ActorSettings::Runner(RunnerSettings {
        voice: voice(installation),
        environment: installation.trust.environment.clone(),
        trust_file: served.trust(),
        copies: home.served(),
        infrastructure: infrastructure(installation, |cluster| &cluster.provisioner),
        runs: home.runs(),
        journal: home.journal(),
        tools: served.tools(),
        executors: served.executors(),
        commands: served.commands(),
        policy_module: served.policy_module(),
        policy_data: served.policy_data(),
        artefact_key: home.secret(Secret::RunnerArtefacts),
        artefacts: home.artefacts("runner"),
        guest: guest.to_owned(),
        job_identity,
        checked_ms: checked.map(milliseconds),
        drill,
    })
}

/// The settings of the courier; `None` if no issuer and no receiver is configured.
pub fn courier(installation: &Installation) -> Option<CourierSettings> {
    let config = &installation.config;
    let issuers = config.courier.as_ref();
    config.has_courier().then(|| CourierSettings {
        voice: voice(installation),
        ca_file: issuers.and_then(|issuers| issuers.ca_file.clone()),
        issuers: issuers.map(|issuers| issuers.issuers.clone()).unwrap_or_default(),
        environment: config.environment.clone(),
        base: config.edge.public_url(),
        receivers: config.notify.iter().map(|notify| notify.settings.clone()).collect(),
        links: config.links.is_some(),
    })
}

/// The settings of the link; `None` in a home with every role.
pub fn link(installation: &Installation) -> Option<LinkSettings> {
    let links = installation.config.links.as_ref()?;
    let peer = |(role, addresses): &(_, Vec<String>)| LinkPeer {
        role: *role,
        addresses: addresses.clone(),
    };
    Some(LinkSettings {
        voice: voice(installation),
        role: links.role,
        environment: installation.trust.environment.id.clone(),
        trust_domain: links.trust_domain.clone(),
        certificate: links.certificate.clone(),
        key: links.key.clone(),
        ca: links.ca.clone(),
        folders: links.folders(),
        // Without an address nothing arrives.
        accepts: links.listen.map(|_| links.accepts()).unwrap_or_default(),
        peers: links.peers.iter().map(peer).collect(),
    })
}

/// The settings of the reaper.
pub fn reaper(installation: &Installation, cluster: &Cluster) -> ActorSettings {
    ActorSettings::Reaper(ReaperSettings {
        voice: voice(installation),
        environment: installation.trust.environment.clone(),
        kubeconfig: cluster.reaper.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::testing;
    use serde::Serialize;

    #[test]
    fn each_role_is_told_of_its_own_kubeconfig_and_of_no_other() {
        let installation = testing::cluster();
        let Configured::Kubernetes(cluster) = &installation.config.infrastructure else { panic!() };
        let told = |text: String| {
            cluster
                .identities()
                .iter()
                .filter(|(_, path)| text.contains(path.to_str().unwrap()))
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
        };
        fn text(settings: impl Serialize) -> String {
            serde_json::to_string(&settings).unwrap()
        }
        let guest = Path::new("/guest");
        assert_eq!(told(text(gateway(&installation, guest, true))), [""; 0]);
        assert_eq!(told(text(recorder(&installation, false))), [""; 0]);
        assert_eq!(told(text(viewer(&installation))), ["viewer"]);
        assert_eq!(told(text(runner(&installation, guest, None, None))), ["provisioner"]);
        assert_eq!(told(text(reaper(&installation, cluster))), ["reaper"]);
    }
}
