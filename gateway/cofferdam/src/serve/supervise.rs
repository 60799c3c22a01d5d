//! The supervisor: who is started, who is connected to whom, and what happens when one dies or
//! hangs. Connections are the sockets of `docs/threat-model.md`; there are no others. Roles start
//! side by side, and it never waits for one of them: what happens to a role is an event.

mod copies;
mod exit;
mod heartbeat;
mod links;
mod notices;
mod open_access;
mod stop;
mod time;

use super::role_process::{self, Backoff, Event, Name, RoleProcess, State, Told};
use super::signals::{Sign, Signals};
use super::{Options, banner, role_settings};
use crate::config::{Infrastructure, Installation};
use crate::serve::copies::Copies;
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::model::escape;
use cofferdam_core::model::run::JobStep;
use cofferdam_core::protocol::operator_recorder::Notice;
use cofferdam_process::control::Report;
use cofferdam_process::notify::Manager;
use cofferdam_process::tether::Parcel;
use copies::{copies, own};
use exit::how;
use open_access::{no_agent, open_again};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use stop::Ending;
use time::{seconds, steady, tick, until};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, Interval};

/// How often each role is asked for a sign of life: seldom enough to cost nothing.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long the other runners of a cluster wait at the first start for the first one's look at the
/// fences, some fifty requests, which then does for all.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// Runners that may be cleaning up at once with another one already in their place: at six seconds
/// each more than a hundred jobs a minute, and beyond that the infrastructure is what is slow.
const LEAVING: usize = 16;

struct Supervisor<'a> {
    installation: Installation,
    options: &'a Options,
    this: PathBuf,
    runner: PathBuf,
    guest: PathBuf,
    /// Until it stops: then the gateway's copy alone decides how long connections are taken.
    listener: Option<TcpListener>,
    roles: BTreeMap<Name, RoleProcess>,
    /// Runners whose place is another's: each ends by itself, and closes its job before.
    leaving: Vec<RoleProcess>,
    backoff: BTreeMap<Name, Backoff>,
    drill: Option<JobStep>,
    due: BTreeMap<Name, Instant>,
    /// Roles that were never ready since this supervisor began.
    first: BTreeSet<Name>,
    /// When a runner last saw the cluster's fences stand, and none has failed since.
    fences: Option<std::time::Instant>,
    /// No agent was configured since the start: callers of this machine may come without a token.
    anonymous: bool,
    started: u64,
    events: UnboundedReceiver<Told>,
    teller: UnboundedSender<Told>,
    heartbeat: Interval,
    manager: Option<Manager>,
    watchdog: Option<Interval>,
    /// What was seen of the installation last, and where the next look is told.
    notice: Notice,
    looks: (UnboundedSender<Notice>, UnboundedReceiver<Notice>),
    /// What is served.
    copies: Copies,
    /// True from the stop on: what is served is compared with the home no longer.
    over: Arc<AtomicBool>,
    /// What is known of the stop, once there is one.
    ending: Option<Ending>,
}

/// Starts everything, keeps it running, and ends it at a signal. Gives false when it was told to
/// end at once.
pub async fn serve(
    mut installation: Installation,
    options: &Options,
    manager: Option<Manager>,
) -> Result<bool> {
    let mut signals = Signals::listen()?;
    let listen = installation.config.edge.listen;
    let listener = TcpListener::bind(listen).with_context(|| {
        format!(
            "cannot listen on `{listen}`; end what listens there, or set `edge.listen` in \
             cofferdam.toml"
        )
    })?;
    if let Some((problem, remedy)) = installation.config.edge.exposure() {
        tracing::warn!(address = %listen, "edge.listen {problem}; {remedy}");
    }
    open_again(&installation);
    // Held until the end: with it the copies go.
    let served = copies(&mut installation)?;
    let mut supervisor =
        Supervisor::new(installation, served.copies().clone(), options, listener, manager)?;
    loop {
        tokio::select! {
            sign = signals.next() => match sign {
                Sign::Stop => break,
                Sign::Hangup => tracing::warn!(name = "SIGHUP", "SIGHUP: nothing is reloaded; a restart is needed to use a changed configuration, policy or tool"),
                Sign::Other(name) => tracing::warn!(name, "{name} has no meaning here, and is ignored; TERM or INT stops it"),
            },
            done = supervisor.turn() => if let Err(error) = done {
                // Roles that still start would miss the copies, and say so.
                supervisor.give_up().await;
                return Err(error);
            },
        }
    }
    Ok(supervisor.stop(&mut signals).await)
}

impl<'a> Supervisor<'a> {
    fn new(
        installation: Installation,
        copies: Copies,
        options: &'a Options,
        listener: TcpListener,
        manager: Option<Manager>,
    ) -> Result<Self> {
        let this = std::env::current_exe().context("cannot find this binary")?;
        let folder = match &options.binaries {
            Some(folder) => folder.clone(),
            None => this.parent().context("this binary lies in no folder")?.to_owned(),
        };
        let (teller, events) = mpsc::unbounded_channel();
        // Half of the time it may take: one that comes late is no reason to end.
        let watchdog = manager.as_ref().and_then(Manager::watchdog).map(|most| steady(most / 2));
        let mut supervisor = Self {
            runner: folder.join("cofferdam-runner"),
            guest: folder.join("cofferdam-guest"),
            drill: options.drill,
            installation,
            options,
            this,
            listener: Some(listener),
            roles: BTreeMap::new(),
            leaving: Vec::new(),
            backoff: BTreeMap::new(),
            due: BTreeMap::new(),
            first: BTreeSet::new(),
            fences: None,
            anonymous: true,
            started: 0,
            events,
            teller,
            heartbeat: steady(options.heartbeat.unwrap_or(HEARTBEAT)),
            manager,
            watchdog,
            notice: Notice::default(),
            looks: mpsc::unbounded_channel(),
            copies,
            over: Arc::default(),
            ending: None,
        };
        let now = Instant::now();
        supervisor.first = supervisor.names().collect();
        let cluster = supervisor.has_cluster();
        let begins = |name: &Name| {
            if cluster && name.is_runner() && *name != Name::Runner(0) {
                now + FIRST_LOOK
            } else {
                now
            }
        };
        supervisor.due = supervisor.first.iter().map(|name| (*name, begins(name))).collect();
        Ok(supervisor)
    }

    fn has_cluster(&self) -> bool {
        matches!(self.installation.config.infrastructure, Infrastructure::Kubernetes(_))
    }

    fn names(&self) -> impl Iterator<Item = Name> + use<> {
        // A drill needs to know which runner claims the job.
        let seats =
            if self.options.drill.is_some() { 1 } else { self.installation.config.runner.seats };
        let reaper = self.has_cluster().then_some(Name::Reaper);
        [Name::Recorder, Name::Viewer, Name::Gateway]
            .into_iter()
            .chain((0..seats).map(Name::Runner))
            .chain(reaper)
    }

    /// Waits for the next thing that happens, and sees to it. Dropping this while it waits loses
    /// nothing.
    ///
    /// # Errors
    /// A role could not start when it was started for the first time: what it needs is missing or
    /// wrong.
    async fn turn(&mut self) -> Result<()> {
        let due = self.due.values().min().copied();
        tokio::select! {
            // Signs of life that came count before those that are missed.
            biased;
            Some((serial, event)) = self.events.recv() => self.take(serial, event)?,
            Some(notice) = self.looks.1.recv() => self.noticed(notice),
            () = until(due) => self.begin_due()?,
            _ = self.heartbeat.tick() => self.ping(),
            () = tick(self.watchdog.as_mut()) => self.live(),
        }
        Ok(())
    }

    fn live(&self) {
        if let Some(manager) = &self.manager {
            manager.live();
        }
    }

    fn notify(&self, state: &str) {
        if let Some(manager) = &self.manager {
            manager.tell(state);
        }
    }

    /// Starts what has waited long enough.
    fn begin_due(&mut self) -> Result<()> {
        let now = Instant::now();
        let due: Vec<Name> =
            self.due.iter().filter(|(_, due)| **due <= now).map(|(name, _)| *name).collect();
        for name in due {
            self.due.remove(&name);
            if let Err(error) = self.begin(name) {
                if self.first.contains(&name) {
                    return Err(error);
                }
                let pause = self.again(name, Duration::ZERO, false);
                tracing::error!(role = %name, "restarting {name} in {}: {}", seconds(pause), escape::chain(error.as_ref()));
            }
        }
        Ok(())
    }

    fn begin(&mut self, name: Name) -> Result<()> {
        self.started += 1;
        let (one, events, installation) =
            ((name, self.started), self.teller.clone(), &self.installation);
        let sibling = match name {
            Name::Recorder => role_process::start(
                one,
                &self.this,
                &["role", "recorder"],
                &role_settings::recorder(installation),
                events,
            )?,
            Name::Gateway => {
                let role_settings = role_settings::gateway(
                    installation,
                    &self.guest,
                    self.anonymous && no_agent(installation),
                );
                role_process::start(one, &self.this, &["role", "gateway"], &role_settings, events)?
            }
            Name::Viewer => role_process::start(
                one,
                &self.runner,
                &[],
                &role_settings::viewer(installation),
                events,
            )?,
            Name::Runner(_) => {
                // Only the first run is drilled: what follows is the recovery that is rehearsed.
                let seen = self.fences.map(|seen| seen.elapsed());
                let role_settings =
                    role_settings::runner(installation, &self.guest, seen, self.drill.take());
                role_process::start(one, &self.runner, &[], &role_settings, events)?
            }
            Name::Reaper => {
                let Infrastructure::Kubernetes(cluster) = &installation.config.infrastructure
                else {
                    bail!("a directory has no reaper");
                };
                role_process::start(
                    one,
                    &self.runner,
                    &[],
                    &role_settings::reaper(installation, cluster),
                    events,
                )?
            }
        };
        self.roles.insert(name, sibling);
        Ok(())
    }

    /// Notes when a role is to be started again; gives the pause until then.
    fn again(&mut self, name: Name, lived: Duration, clean: bool) -> Duration {
        let pause = self.backoff.entry(name).or_default().ended(lived, clean);
        if self.ending.is_none() {
            self.due.insert(name, Instant::now() + pause);
        }
        pause
    }

    fn take(&mut self, serial: u64, event: Event) -> Result<()> {
        if let Some(at) = self.leaving.iter().position(|sibling| sibling.serial == serial) {
            match (event, self.leaving.get_mut(at)) {
                (Event::Said(Report::Pong), Some(sibling)) => sibling.lives(),
                (Event::Said(_), _) => {}
                (Event::Ended(status), _) => {
                    self.leaving.remove(at);
                    // How one of them ended is nothing to its place: a job that it did not close
                    // goes to another runner. That it failed is a reason to look again.
                    if !status.is_some_and(|status| status.success()) {
                        self.fences = None;
                    }
                    self.make_room();
                }
            }
            return Ok(());
        }
        let Some(name) =
            self.roles.iter().find(|(_, sibling)| sibling.serial == serial).map(|(name, _)| *name)
        else {
            return Ok(());
        };
        match event {
            Event::Said(report) => self.said(name, report),
            Event::Ended(status) => return self.ended(name, status),
        }
        Ok(())
    }

    fn said(&mut self, name: Name, report: Report) {
        let Some(sibling) = self.roles.get_mut(&name) else { return };
        match report {
            Report::Pong => sibling.lives(),
            Report::Failed(why) => {
                sibling.error = Some(own(&self.installation, &self.copies, &why))
            }
            Report::Ready { checked, .. } if sibling.state == State::Starting => {
                sibling.state = State::Ready;
                if name.is_runner() && checked {
                    // What it saw it saw after this.
                    self.fences = Some(sibling.begun);
                }
                self.ready(name);
            }
            Report::Leaving if name.is_runner() => {
                sibling.state = State::Leaving;
                self.make_room();
            }
            Report::Closed => self.anonymous = false,
            Report::Idle | Report::Cut(_) | Report::Left { .. } => self.heard_at_the_end(report),
            Report::Ready { .. } | Report::Leaving => {}
        }
    }

    /// A role serves from now on.
    fn ready(&mut self, name: Name) {
        if name == Name::Gateway
            && let (Some(gateway), Some(Ok(listener))) =
                (self.roles.get(&name), self.listener.as_ref().map(TcpListener::try_clone))
        {
            gateway.put(Parcel::Socket("listener", listener.into()));
        }
        self.connect(name);
        if matches!(name, Name::Gateway | Name::Recorder) {
            self.inform(name);
        }
        if name == Name::Runner(0) {
            // The others go by what it saw.
            let now = Instant::now();
            self.due
                .iter_mut()
                .filter(|(name, _)| name.is_runner() && self.first.contains(name))
                .for_each(|(_, due)| *due = now);
        }
        if self.first.remove(&name) && self.first.is_empty() {
            self.watch();
            banner::say(&self.installation);
            self.notify(&format!(
                "READY=1\nSTATUS=serving the environment {}",
                self.installation.config.environment
            ));
        }
    }

    /// A role's process ended: says why, and starts it again after a pause.
    fn ended(&mut self, name: Name, status: Option<ExitStatus>) -> Result<()> {
        let Some(sibling) = self.roles.remove(&name) else { return Ok(()) };
        let RoleProcess { pid, begun, state, error, killed, .. } = sibling;
        let clean = name.is_runner()
            && state != State::Starting
            && status.is_some_and(|status| status.success());
        if name.is_runner() && !clean {
            // One that does not come up, or failed, leaves nothing to go by.
            self.fences = None;
        }
        if self.ending.is_some() {
            if let Some(error) = error {
                tracing::warn!(role = %name, pid, "the {name} failed while it ended: {error}");
            }
            return Ok(());
        }
        let hung = killed.is_some();
        let why = killed.or(error).unwrap_or_else(|| how(status, state));
        if self.first.contains(&name) && !hung {
            return Err(anyhow!("the {name} cannot start: {why}"));
        }
        let pause = self.again(name, begun.elapsed(), clean);
        if !clean {
            tracing::warn!(role = %name, pid, "restarting {name} in {}: {why}", seconds(pause));
        }
        Ok(())
    }

    /// Runners that only clean up leave their places to others, as long as not too many do.
    fn make_room(&mut self) {
        let leaving: Vec<Name> = self
            .roles
            .iter()
            .filter(|(_, sibling)| sibling.state == State::Leaving)
            .map(|(name, _)| *name)
            .collect();
        for name in leaving.into_iter().take(LEAVING.saturating_sub(self.leaving.len())) {
            if let Some(sibling) = self.roles.remove(&name) {
                self.leaving.push(sibling);
                self.again(name, Duration::ZERO, true);
            }
        }
    }
}
