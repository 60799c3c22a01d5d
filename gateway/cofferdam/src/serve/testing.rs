//! Installations for this folder's tests; nothing of them exists on a disk.

use crate::config::home::Home;
use crate::config::{
    Agents, Cluster, Config, Edge, Infrastructure, Installation, LogFormat, Runner, Serve,
    Telemetry,
};
use cofferdam_core::model::id::PolicyDigest;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::role_settings::{JobIdentity, Limits};
use std::time::Duration;

/// One that serves this.
pub fn installation(infrastructure: Infrastructure, id: &str) -> Installation {
    let trust = format!(
        "policy = \"{}\"\nself_approval = false\n[environment]\nname = \"lab\"\nid = \
         \"{id}\"\n[keys]\ngateway = \"g\"\nrecorder = \"r\"\n[floor]\nactions = []\nnamespaces = \
         []\n",
        PolicyDigest::of(b"policy")
    );
    Installation {
        home: Home::at("/home/me/cofferdam".into()),
        served: Home::at("/home/me/cofferdam/served/1".into()),
        config: Config {
            environment: "lab".to_owned(),
            infrastructure,
            edge: Edge {
                listen: "127.0.0.1:8620".parse().unwrap(),
                tls: None,
                behind_proxy: None,
                origins: Vec::new(),
                hosts: Vec::new(),
                trusted_proxies: Vec::new(),
                url: None,
                wait: Duration::from_secs(45),
                oauth: None,
            },
            courier: None,
            people: None,
            limits: Limits {
                requests_per_second: 200,
                burst: 2_000,
                calls: 128,
                waits: 128,
                without_token_per_second: 50,
            },
            budgets: cofferdam_core::model::budget::Budgets::usual(),
            serve: Serve { drain: Duration::from_secs(30) },
            runner: Runner { seats: 1, lease: Duration::from_secs(15), max_queued: 50_000 },
            store: None,
            retention: cofferdam_core::model::retention::Retention::usual(),
            telemetry: Telemetry { otlp: None, format: LogFormat::Text, level: "info".to_owned() },
            notify: Vec::new(),
            links: None,
        },
        agents: Agents::default(),
        trust: Trust::parse(&trust).unwrap(),
    }
}

/// A directory of Kubernetes manifests.
pub fn directory() -> Installation {
    installation(
        Infrastructure::Directory { tree: "/srv/manifests".into() },
        "0f0c1ad89ad24e2b8f866a2f3c6e6b5d",
    )
}

/// A Kubernetes cluster.
pub fn cluster() -> Installation {
    let path = |identity: &str| format!("/etc/cofferdam/{identity}.kubeconfig").into();
    let cluster = Cluster {
        viewer: path("viewer"),
        provisioner: path("provisioner"),
        reaper: path("reaper"),
        request_timeout: Duration::from_secs(60),
        job_identity: JobIdentity::Token,
    };
    installation(Infrastructure::Kubernetes(cluster), "0f0c1ad8-9ad2-4e2b-8f86-6a2f3c6e6b5d")
}
