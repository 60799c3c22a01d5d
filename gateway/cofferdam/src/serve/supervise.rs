//! The supervisor: who is started in which order, who is connected to whom, and what happens when one dies. Connections are the authority table of
//! `SECURITY.md`; there are no others.

use super::sibling::{self, Backoff, Name, Sibling};
use super::{Options, brief, repair, watch, welcome};
use crate::config::{Infrastructure, Installation, read_trust};
use crate::served::Served;
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::run::JobStep;
use cofferdam_process::control::Report;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// How long roles may take to end by themselves once they were told; a runner finishes its job first.
const DRAIN: Duration = Duration::from_secs(20);

/// Runners that may be cleaning up at once with another one already in their place: at six seconds each more than a hundred jobs a minute, and
/// beyond that the infrastructure is what is slow.
const LEAVING: usize = 16;

/// How often the supervisor looks whether a role ended.
const ROUND: Duration = Duration::from_millis(20);

/// Who may talk to whom: the name each side knows the other by.
const LINKS: [(&str, &str, &str, &str); 7] = [
    ("gateway", "recorder", "recorder", "gateway"),
    ("gateway", "viewer", "viewer", "gateway"),
    ("runner", "recorder", "recorder", "runner"),
    ("gateway", "telemetry/recorder", "recorder", "telemetry"),
    ("gateway", "telemetry/viewer", "viewer", "telemetry"),
    ("gateway", "telemetry/runner", "runner", "telemetry"),
    ("gateway", "telemetry/reaper", "reaper", "telemetry"),
];

struct Supervisor<'a> {
    installation: Installation,
    options: &'a Options,
    this: PathBuf,
    runner: PathBuf,
    guest: PathBuf,
    listener: TcpListener,
    roles: BTreeMap<Name, Sibling>,
    /// Runners whose place is another's: each ends by itself, and closes its job before.
    leaving: Vec<Sibling>,
    backoff: BTreeMap<Name, Backoff>,
    drill: Option<JobStep>,
    due: BTreeMap<Name, Instant>,
    /// When a runner last saw the cluster's fences stand, and none has failed since.
    fences: Option<Instant>,
}

/// Starts everything, keeps it running, and ends it at a signal.
pub async fn serve(mut installation: Installation, options: &Options) -> Result<()> {
    let listen = installation.config.edge.listen;
    let listener = TcpListener::bind(listen)
        .with_context(|| format!("cannot listen on `{listen}`; end what listens there, or set `edge.listen` in cofferdam.toml"))?;
    // Held until the end: with it the copies go.
    let served = copies(&mut installation)?;
    let this = std::env::current_exe().context("cannot find this binary")?;
    let folder = match &options.binaries {
        Some(folder) => folder.clone(),
        None => this.parent().context("this binary lies in no folder")?.to_owned(),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut supervisor = Supervisor {
        runner: folder.join("cofferdam-runner"),
        guest: folder.join("cofferdam-guest"),
        drill: options.drill,
        installation,
        options,
        this,
        listener,
        roles: BTreeMap::new(),
        leaving: Vec::new(),
        backoff: BTreeMap::new(),
        due: BTreeMap::new(),
        fences: None,
    };
    for name in supervisor.names() {
        supervisor.start(name).await?;
    }
    let Installation { home, config, .. } = &supervisor.installation;
    watch::start(home.clone(), served.copies().clone(), config.clone());
    welcome::say(&supervisor.installation);
    let rounds = async {
        loop {
            tokio::time::sleep(ROUND).await;
            supervisor.round().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = rounds => {}
    }
    supervisor.stop().await;
    Ok(())
}

/// Gives every role copies of what is accepted now: what is accepted later is the next start's.
fn copies(installation: &mut Installation) -> Result<Served> {
    repair::repair(&installation.home)?;
    let served = Served::take(&installation.home).context("cannot copy what is to be served")?;
    let trust = read_trust(served.copies()).map_err(|fault| anyhow!("{fault}"))?;
    if trust.environment != installation.trust.environment {
        bail!("the trust file was changed during this start; start `cofferdam serve` again");
    }
    installation.trust = trust;
    installation.served = served.copies().clone();
    Ok(served)
}

impl Supervisor<'_> {
    /// In the order of their starts: those who answer before those who ask.
    fn names(&self) -> Vec<Name> {
        // A drill needs to know which runner claims the job.
        let seats = if self.options.drill.is_some() { 1 } else { self.installation.config.runner.seats };
        let reaper = matches!(self.installation.config.infrastructure, Infrastructure::Kubernetes(_)).then_some(Name::Reaper);
        [Name::Recorder, Name::Viewer, Name::Gateway].into_iter().chain((0..seats).map(Name::Runner)).chain(reaper).collect()
    }

    async fn start(&mut self, name: Name) -> Result<()> {
        let installation = &self.installation;
        let sibling = match name {
            Name::Recorder => sibling::start(name, &self.this, &["role", "recorder"], &brief::recorder(installation)).await?,
            Name::Gateway => sibling::start(name, &self.this, &["role", "gateway"], &brief::gateway(installation, &self.guest)).await?,
            Name::Viewer => sibling::start(name, &self.runner, &[], &brief::viewer(installation)).await?,
            Name::Runner(_) => {
                // What it sees it sees after this.
                let now = Instant::now();
                // One that does not come up leaves nothing to go by.
                let fences = self.fences.take();
                // Only the first run is drilled: what follows is the recovery that is rehearsed.
                let brief = brief::runner(installation, &self.guest, fences.map(|seen| seen.elapsed()), self.drill.take());
                let runner = sibling::start(name, &self.runner, &[], &brief).await?;
                self.fences = if runner.checked { Some(now) } else { fences };
                runner
            }
            Name::Reaper => {
                let Infrastructure::Kubernetes(cluster) = &installation.config.infrastructure else {
                    bail!("a directory has no reaper");
                };
                sibling::start(name, &self.runner, &[], &brief::reaper(installation, cluster)).await?
            }
        };
        if name == Name::Gateway {
            sibling.control.give("listener", &self.listener.as_fd())?;
        }
        self.roles.insert(name, sibling);
        self.connect(name)
    }

    /// Gives the role and each of its peers that runs a fresh pair of sockets.
    fn connect(&self, name: Name) -> Result<()> {
        for (left, left_knows, right, right_knows) in LINKS {
            for (a, b) in self.pairs(left, right).filter(|(a, b)| *a == name || *b == name) {
                if let (Some(a), Some(b)) = (self.roles.get(&a), self.roles.get(&b)) {
                    let (one, other) = UnixStream::pair()?;
                    // A peer that died meanwhile is connected when it starts again.
                    let _ended = a.control.give(left_knows, &one.as_fd()).and_then(|()| b.control.give(right_knows, &other.as_fd()));
                }
            }
        }
        Ok(())
    }

    fn pairs(&self, left: &'static str, right: &'static str) -> impl Iterator<Item = (Name, Name)> {
        let of = |kind: &'static str| {
            self.roles.keys().copied().filter(move |name| match name {
                Name::Runner(_) => kind == "runner",
                other => kind == other.to_string(),
            })
        };
        of(left).flat_map(move |a| of(right).map(move |b| (a, b)).collect::<Vec<_>>())
    }

    /// Notes what ended, and starts again what has waited long enough. One role that does not come up holds up no other.
    async fn round(&mut self) {
        // How one of them ended is nothing to its place: a job that it did not close goes to another runner. That it failed is a reason to look again.
        let mut failed = false;
        self.leaving.retain_mut(|sibling| match sibling.child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                failed |= !status.success();
                false
            }
            Err(_) => false,
        });
        if failed {
            self.fences = None;
        }
        for name in self.names() {
            self.make_room(name);
            let ended = match self.roles.get_mut(&name) {
                Some(sibling) => sibling.child.try_wait().ok().flatten(),
                None => None,
            };
            if let Some(status) = ended {
                let clean = matches!(name, Name::Runner(_)) && status.success();
                let pause = self.backoff.entry(name).or_default().ended(self.roles.get(&name), clean);
                self.roles.remove(&name);
                self.due.insert(name, Instant::now() + pause);
                if !clean {
                    if matches!(name, Name::Runner(_)) {
                        self.fences = None;
                    }
                    tracing::warn!(role = %name, pause_ms = milliseconds(pause), "a role ended ({status}); it is started again");
                }
            }
            if self.due.get(&name).is_some_and(|due| *due <= Instant::now()) {
                self.due.remove(&name);
                if let Err(fault) = self.start(name).await {
                    let pause = self.backoff.entry(name).or_default().ended(None, false);
                    self.due.insert(name, Instant::now() + pause);
                    tracing::error!(role = %name, pause_ms = milliseconds(pause), "cannot start again: {fault:#}");
                }
            }
        }
    }

    /// A runner that only cleans up leaves its place to another, as long as not too many do.
    fn make_room(&mut self, name: Name) {
        let is_leaving = |sibling: &Sibling| matches!(sibling.control.heard(), Ok(Some(Report::Leaving)));
        if matches!(name, Name::Runner(_))
            && self.leaving.len() < LEAVING
            && self.roles.get(&name).is_some_and(is_leaving)
            && let Some(sibling) = self.roles.remove(&name)
        {
            self.leaving.push(sibling);
            self.backoff.entry(name).or_default().ended(None, true);
            self.due.insert(name, Instant::now());
        }
    }

    /// Those who ask end before those who answer; the recorder last, so that every outcome is recorded.
    async fn stop(&mut self) {
        tracing::info!("stopping: no new calls, running jobs finish");
        let mut clean = true;
        for wave in [&["gateway"][..], &["runner", "viewer", "reaper"], &["recorder"]] {
            let names: Vec<_> = self
                .roles
                .keys()
                .copied()
                .filter(|name| {
                    wave.contains(&if matches!(name, Name::Runner(_)) { "runner".to_owned() } else { name.to_string() }.as_str())
                })
                .collect();
            let mut ending: Vec<_> = names.into_iter().filter_map(|name| self.roles.remove(&name)).map(|sibling| sibling.child).collect();
            if wave.contains(&"runner") {
                ending.extend(self.leaving.drain(..).map(|sibling| sibling.child));
            }
            // One time for all of them: whoever stops the supervisor waits no longer for many than for one.
            let end = tokio::time::Instant::now() + DRAIN;
            for child in &mut ending {
                // Dropping its control socket, just above, told it; what does not end in time is killed when dropped.
                clean &= tokio::time::timeout_at(end, child.wait()).await.is_ok();
            }
        }
        tracing::info!(clean, "stopped");
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
