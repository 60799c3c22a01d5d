//! The role `gateway`: serves agents. Loads the accepted tools and the policy, confines itself,
//! then runs the stages of each call. Has the permit key; never a credential of the infrastructure,
//! the store or the checkpoint key.

mod again;
mod agents;
mod call_log;
mod callers;
mod front;
mod gauges;
mod host;
mod instrument;
mod last_use;
mod load;
mod log_rate;
mod oauth;
mod over_limits;
mod people_issuer;
mod served;
mod set;
mod sign_ins;
mod token_register;

use super::role_start;
use agents::AgentsFile;
use anyhow::{Context as _, Result, bail};
use callers::Callers;
use cofferdam_core::model::artefact::ArtefactKey;
use cofferdam_core::model::cidr::Block;
use cofferdam_core::model::escape;
use cofferdam_core::model::relying_party::RelyingParty;
use cofferdam_core::protocol::role_settings::{GatewaySettings, Limits, TlsSettings};
use cofferdam_edge::{CallerLimits, Calls, EdgeSettings, Rate, Tls, TlsError, TlsFiles};
use cofferdam_process::confine::{self, Confined, Files, NewSockets};
use cofferdam_process::control::{Given, Handed, Report, lost};
use cofferdam_process::rpc::Client;
use cofferdam_process::secret;
use cofferdam_telemetry::{Exporter, Role, bootstrap};
use ed25519_dalek::SigningKey;
use front::Gateway;
use host::Roles;
use instrument::Observed;
use jiff::Timestamp;
use oauth::Oauth;
use set::{Accepted, Keys, Set, Shared};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

/// The time limit of connections after the stop. All calls have ended before: only slow readers
/// remain.
const LAST: Duration = Duration::from_secs(5);

/// How long a request waits at most for a role that is away: a role restarts within a second, and
/// another recorder takes over within a few. Clients of agents wait longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The time limit of an answer of the courier: its own limit of a request, and a margin.
const COURIER: Duration = Duration::from_secs(15);

/// The limit of file descriptors: 1,056 connections of the edge, the sockets of roles and guests,
/// and artefacts.
const DESCRIPTORS: u64 = 2_048;

/// The threads that handle requests, beside those of tools and policies that take long.
const WORKERS: usize = 2;

/// Runs until the supervisor ends.
pub fn run() -> Result<bool> {
    role_start::run(
        Role::Gateway,
        WORKERS,
        |settings: &GatewaySettings| settings.voice.clone(),
        prepare,
        serve,
    )
}

struct Prepared {
    settings: GatewaySettings,
    accepted: Accepted,
    keys: Keys,
    parts: load::Parts,
    tls: Option<Arc<Tls>>,
}

/// Prepares with one thread. Denies new sockets, reads the key and the artefacts (missing ones are
/// compiled), then confines the process.
fn prepare(settings: GatewaySettings) -> Result<(Prepared, Confined)> {
    confine::descriptors(DESCRIPTORS)?;
    let permits = SigningKey::from_bytes(&secret::read(&settings.permit_key)?);
    let artefacts = ArtefactKey::new(secret::read(&settings.artefact_key)?);
    let keys = Keys { permits, artefacts };
    let accepted = set::accepted(&settings, &keys)?;
    let collector = settings.otlp.as_deref().map(cofferdam_telemetry::collector).transpose()?;
    // Before any untrusted component is read or compiled.
    confine::new_sockets(match &collector {
        None => NewSockets::None,
        Some(collector) if collector.is_address => NewSockets::Tcp,
        Some(_) => NewSockets::Internet,
    })?;
    let tls = settings.tls.as_ref().map(tls).transpose().context("`edge.tls`")?;
    let parts = load::parts(&settings, &accepted.trust, &keys.artefacts)?;
    let trust_folder = settings.trust_file.parent().context("the trust file lies in no folder")?;
    let agents_folder =
        settings.agents_file.parent().context("the agents file lies in no folder")?;
    let ports: Vec<u16> = collector.iter().map(|collector| collector.port).collect();
    let folders = settings.tls.iter().flat_map(|tls| &tls.folders).map(PathBuf::as_path);
    // Another set lies in another folder of the copies.
    let own: [&Path; 4] = [trust_folder, agents_folder, &settings.copies, &settings.artefacts];
    let read: Vec<&Path> = own.into_iter().chain(folders).collect();
    let confined = confine::files(Files { read: &read, connect: &ports, ..Files::default() })?;
    if !ports.is_empty() && !confine::knows_ports() {
        tracing::warn!(
            what = "TCP ports",
            "this kernel does not confine TCP ports: a gateway that is taken over could connect \
             to any; Linux 6.7 or newer does"
        );
    }
    confine::calls(confine::Calls::Gateway(!ports.is_empty()))?;
    Ok((Prepared { settings, accepted, keys, parts, tls }, confined))
}

/// Reads the files of TLS.
fn tls(settings: &TlsSettings) -> Result<Arc<Tls>, TlsError> {
    let TlsSettings { certificate, key, client_ca, .. } = settings.clone();
    Tls::open(TlsFiles { certificate, key, client_ca })
}

async fn serve(
    prepared: Prepared,
    ready: role_start::Ready,
    mut handed: mpsc::Receiver<Handed>,
) -> Result<()> {
    let Prepared { settings, accepted, keys, parts, tls } = prepared;
    let links = settings.links;
    let (role_limits, of_roles) = watch::channel(Arc::default());
    let party = settings.people.as_deref().map(RelyingParty::read).transpose()?;
    let edge = EdgeSettings {
        hosts: settings.hosts.clone(),
        // Our own pages call with their origin.
        origins: settings.origins.iter().cloned().chain(settings.people.clone()).collect(),
        party,
        tls,
        oauth: settings.oauth.clone(),
        proof_algorithms: &cofferdam_identity::PROOF_ALGORITHMS,
        drain_time: LAST,
        behind_proxy: settings.behind_proxy,
        each: callers(settings.limits),
        role_limits: of_roles,
        without_token: without_token(settings.limits),
        trusted_proxies: settings
            .trusted_proxies
            .iter()
            .filter_map(|text| Block::parse_address(text))
            .collect(),
        ..EdgeSettings::local()
    };
    let calls = Calls::new(edge.calls);
    let roles = Arc::new(Roles {
        recorder: Client::new(),
        viewer: Client::new(),
        courier: Client::within(COURIER),
        patience: PATIENCE.min(Duration::from_millis(settings.wait_ms)),
        draining: calls.draining(),
    });
    let loopback =
        settings.listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
    let control = ready.control();
    let told = Arc::clone(&control);
    let agents = AgentsFile::open(
        settings.agents_file.clone(),
        loopback && settings.anonymous && settings.oauth.is_none(),
        move || {
            // Without a supervisor there is no next gateway to tell.
            let _gone = told.report(&Report::Closed);
        },
    )?;
    let exporter = Arc::new(Exporter::new(settings.otlp.as_deref(), &settings.environment.name)?);
    let outlet = ready.outlet();
    let oauth = settings.oauth.as_ref();
    let oauth =
        oauth.map(|oauth| Oauth::new(oauth, Arc::clone(&roles), Timestamp::now())).transpose()?;
    let shared = Shared {
        roles: Arc::new(Observed::new(Arc::clone(&roles), outlet.clone())),
        callers: Arc::new(Callers::new(agents, oauth, Arc::clone(&roles))),
        outlet,
    };
    let (callers, register) = (Arc::clone(&shared.callers), Arc::clone(&roles));
    let first = Set::start(&settings, accepted, &keys, parts, &shared).await?;
    let gateway =
        Gateway::new(&settings, (first, keys), shared, Arc::clone(&exporter), role_limits)?;
    let gateway = Arc::new(gateway);
    let mut intake = ready.say()?;
    let own = Arc::clone(&exporter);
    let collecting = tokio::spawn(async move {
        while let Some(batch) = intake.batch().await {
            own.take(Role::Gateway, batch);
        }
    });
    let sending = Arc::clone(&exporter);
    let exporting = tokio::spawn(async move { sending.run().await });
    let (stop, stopped) = oneshot::channel::<()>();
    let mut stopped = Some(stopped);
    let mut serving = None;
    let resuming = tokio::spawn(front::resume(Arc::clone(&gateway)));
    let looking = tokio::spawn(front::look(Arc::clone(&gateway)));
    let telling = tokio::spawn(front::tell_over_limits(Arc::clone(&gateway)));
    let registering = tokio::spawn(async move { callers.tell(&register).await });
    let measuring = tokio::spawn(front::send_metrics(Arc::clone(&gateway)));
    loop {
        let next = tokio::select! {
            handed = handed.recv() => handed,
            (role, why) = broken(&roles) => {
                judge_broken(links, role, &why)?;
                continue;
            }
        };
        let Some(handed) = next else { break };
        let given: Given = match handed {
            Handed::Socket(given) => given,
            Handed::Told(told) => {
                gateway.store_notice(&told);
                continue;
            }
            Handed::Lost(name) => {
                judge_broken(links, &name, &lost(&name).to_string())?;
                continue;
            }
            Handed::NoGuest | Handed::Link(_) => continue,
            Handed::Load(load) => {
                let (gateway, control, number) =
                    (Arc::clone(&gateway), Arc::clone(&control), load.number);
                tokio::spawn(async move {
                    let report = match gateway.load(load).await {
                        Ok(()) => Report::Loaded(number),
                        Err(error) => Report::NotLoaded(number, escape::chain(error.as_ref())),
                    };
                    let _supervisor_gone = control.report(&report);
                });
                continue;
            }
            Handed::Use(number) => {
                let report = if gateway.use_next(number).await {
                    Report::Using(number)
                } else {
                    Report::NotLoaded(number, "another set was loaded after it".to_owned())
                };
                let _supervisor_gone = control.report(&report);
                continue;
            }
            Handed::Forget(number) => {
                tokio::spawn(Arc::clone(&gateway).forget(number));
                continue;
            }
            Handed::Drain => {
                calls.drain();
                // Approved calls wait for the next start.
                resuming.abort();
                let (calls, control) = (calls.clone(), Arc::clone(&control));
                tokio::spawn(async move {
                    calls.idle().await;
                    let _supervisor_gone = control.report(&Report::Idle);
                });
                continue;
            }
        };
        match given.name.as_str() {
            "recorder" => {
                roles.recorder.connect(given.into_stream())?;
                tokio::spawn(front::declare(Arc::clone(&gateway)));
            }
            "viewer" => roles.viewer.connect(given.into_stream())?,
            "courier" => roles.courier.connect(given.into_stream())?,
            "listener" => {
                if let Some(stopped) = stopped.take() {
                    let listener = StdListener::from(given.descriptor);
                    listener.set_nonblocking(true)?;
                    let listener = TcpListener::from_std(listener)?;
                    let (gateway, edge, calls) =
                        (Arc::clone(&gateway), edge.clone(), calls.clone());
                    serving = Some(tokio::spawn(cofferdam_edge::serve(
                        listener,
                        gateway,
                        edge,
                        calls,
                        async {
                            let _supervisor_gone = stopped.await;
                        },
                    )));
                }
            }
            other => match telemetry(other) {
                // The socket decides the role of its peer, and never a message.
                Some(role) => {
                    let exporter = Arc::clone(&exporter);
                    tokio::spawn(bootstrap::receive(given.into_stream(), move |batch| {
                        exporter.take(role, batch)
                    }));
                }
                None => tracing::warn!(name = other, "an unknown socket is closed"),
            },
        }
    }
    drop(stop);
    if let Some(serving) = serving {
        let drained = serving.await.context("the edge ended with a fault")?;
        if !drained.clean {
            let _supervisor_gone = control.report(&Report::Cut(drained.cut));
        }
    }
    resuming.abort();
    looking.abort();
    measuring.abort();
    telling.abort();
    registering.abort();
    // The last spans are collected half a second after they ended.
    tokio::time::sleep(bootstrap::LINGER).await;
    collecting.abort();
    exporting.abort();
    if let Err(error) = exporter.finish().await {
        tracing::warn!(what = "spans", %error, "the last spans were not sent");
    }
    Ok(())
}

/// Waits for a socket that breaks. Returns the role of its other end, and the cause.
async fn broken(roles: &Roles) -> (&'static str, String) {
    tokio::select! {
        why = roles.recorder.broken() => ("recorder", why),
        why = roles.viewer.broken() => ("viewer", why),
        why = roles.courier.broken() => ("courier", why),
    }
}

/// On one host, this role ends, and the supervisor connects it again. The socket of a link is closed
/// alone: a role on another host must not end this one, and the link is made again.
fn judge_broken(links: bool, role: &str, why: &str) -> Result<()> {
    if !links {
        bail!("the socket to the {role} is broken: {why}");
    }
    tracing::error!(role, error = why, "the socket to the {role} is broken; closed");
    Ok(())
}

/// The limits of each caller, in the form of the edge.
fn callers(limits: Limits) -> CallerLimits {
    let places = |most: u32| usize::try_from(most).unwrap_or(usize::MAX);
    CallerLimits {
        rate: Rate { per_second: limits.requests_per_second, burst: limits.burst },
        calls: places(limits.calls),
        waits: places(limits.waits),
    }
}

/// The rate of requests of one address without a valid token, with a burst of ten seconds.
fn without_token(limits: Limits) -> Rate {
    let per_second = limits.without_token_per_second;
    Rate { per_second, burst: per_second.saturating_mul(10) }
}

/// The role whose telemetry arrives on a socket of this name.
fn telemetry(name: &str) -> Option<Role> {
    match name {
        "telemetry/recorder" => Some(Role::Recorder),
        "telemetry/viewer" => Some(Role::Viewer),
        "telemetry/runner" => Some(Role::Runner),
        "telemetry/reaper" => Some(Role::Reaper),
        "telemetry/courier" => Some(Role::Courier),
        _ => None,
    }
}
