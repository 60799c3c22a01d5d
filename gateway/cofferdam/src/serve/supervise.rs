//! The supervisor: starts the roles, connects them, and restarts or kills one that ends or hangs.
//! The connections are those of `docs/threat-model.md`. Roles start in parallel, and the supervisor
//! never waits for one of them: everything about a role is an event.

mod copies;
mod earlier_copies;
mod examine;
mod exit;
mod guests;
mod heartbeat;
mod links;
mod listeners;
mod next_runners;
mod notices;
mod open_access;
mod reload;
mod start;
mod stop;
mod time;

use super::role_process::{Backoff, Event, Name, RoleEvent, RoleProcess, State};
use super::signals::{Sign, Signals};
use super::{Options, banner};
use crate::config::{Infrastructure, Installation};
use crate::serve::copies::{Copies, Served};
use anyhow::{Context as _, Result, anyhow};
use cofferdam_core::model::run::JobStep;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_core::protocol::operator_recorder::{Loaded, Notice};
use cofferdam_process::control::Report;
use cofferdam_process::notify::Manager;
use cofferdam_process::tether::Parcel;
use copies::{copies, name_original, trust_digest};
use earlier_copies::Earlier;
use exit::describe_exit;
use guests::Guests;
use jiff::Timestamp;
use listeners::Listeners;
use open_access::open_again;
use reload::{Next, Reloading};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use stop::Ending;
use time::{seconds, steady, tick, until};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, Interval};

/// The time between two heartbeat requests to a role.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long, at the first start, other runners of a cluster wait for the self-check of the first
/// one: about fifty requests, valid for all.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// The most runners that clean up while another has their seat: enough for more than a hundred jobs
/// a minute at six seconds each.
const LEAVING: usize = 16;

struct Supervisor<'a> {
    installation: Installation,
    options: &'a Options,
    this: PathBuf,
    runner: PathBuf,
    guest: PathBuf,
    courier: PathBuf,
    /// The listening socket, until the stop: then only the gateway's copy accepts connections. `None`
    /// in a home without a gateway.
    listener: Option<TcpListener>,
    /// The listening socket of links, until the stop; `None` if no peer opens one.
    links: Option<TcpListener>,
    roles: BTreeMap<Name, RoleProcess>,
    /// Runners whose seat has another runner: each closes its job and ends.
    leaving: Vec<RoleProcess>,
    backoff: BTreeMap<Name, Backoff>,
    /// The guests that runners share, one after the other.
    guests: Guests,
    drill: Option<JobStep>,
    due: BTreeMap<Name, Instant>,
    /// Roles that were never ready since the start of this supervisor.
    first: BTreeSet<Name>,
    /// The time of the last passed self-check of a runner; `None` after a runner failed.
    fences: Option<std::time::Instant>,
    /// True if no agent was configured since the start: local callers need no token.
    anonymous: bool,
    started: u64,
    events: UnboundedReceiver<RoleEvent>,
    events_sender: UnboundedSender<RoleEvent>,
    heartbeat: Interval,
    manager: Option<Manager>,
    watchdog: Option<Interval>,
    /// The newest notice about the installation.
    notice: Notice,
    looks: (UnboundedSender<Notice>, UnboundedReceiver<Notice>),
    /// The copies in use. Dropping it removes them.
    served: Served,
    /// The copies of earlier loads that a job may still use.
    earlier: Vec<Earlier>,
    /// The reload in progress.
    reloading: Option<Reloading>,
    /// The copies of a reload.
    copied: (UnboundedSender<Result<Next>>, UnboundedReceiver<Result<Next>>),
    /// Tells the checking thread of another set.
    loads: Option<std::sync::mpsc::Sender<(Copies, Trust)>>,
    /// True while a reload is in progress.
    loading: Arc<AtomicBool>,
    /// The number of the last load.
    load: u64,
    /// True after the stop: the home is no longer compared with the copies.
    over: Arc<AtomicBool>,
    /// The progress of the stop, once it began.
    ending: Option<Ending>,
}

/// Starts all roles, restarts them, and ends them at a signal. Returns false if a second signal
/// ended them at once.
pub async fn serve(
    mut installation: Installation,
    options: &Options,
    manager: Option<Manager>,
) -> Result<bool> {
    let mut signals = Signals::listen()?;
    let listeners = Listeners::bind(&installation.config)?;
    open_again(&installation);
    let served = copies(&mut installation)?;
    let mut supervisor = Supervisor::new(installation, served, options, listeners, manager)?;
    loop {
        tokio::select! {
            sign = signals.next() => match sign {
                Sign::Stop => break,
                Sign::Hangup => {
                    tracing::info!(name = "SIGHUP", "SIGHUP: loading tools, executors, policy and trust again");
                    supervisor.reload(0);
                }
                Sign::Other(name) => tracing::warn!(name,
                "{name} has no meaning here, and is ignored; TERM or INT stops it"),
            },
            done = supervisor.turn() => if let Err(error) = done {
                // Roles that still start would report missing copies.
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
        served: Served,
        options: &'a Options,
        Listeners { edge: listener, links }: Listeners,
        manager: Option<Manager>,
    ) -> Result<Self> {
        let this = std::env::current_exe().context("cannot find this binary")?;
        let folder = match &options.binaries {
            Some(folder) => folder.clone(),
            None => this.parent().context("this binary lies in no folder")?.to_owned(),
        };
        let (events_sender, events) = mpsc::unbounded_channel();
        let digest = trust_digest(served.copies())?;
        let loaded = Loaded::of(&installation.trust, digest, Timestamp::now());
        // Half of the watchdog's time: one late message must not end the service.
        let watchdog = manager.as_ref().and_then(Manager::watchdog).map(|most| steady(most / 2));
        let mut supervisor = Self {
            runner: folder.join("cofferdam-runner"),
            guest: folder.join("cofferdam-guest"),
            courier: folder.join("cofferdam-courier"),
            drill: options.drill,
            installation,
            options,
            this,
            listener,
            links,
            roles: BTreeMap::new(),
            leaving: Vec::new(),
            backoff: BTreeMap::new(),
            guests: Guests::new(folder.join("cofferdam-guest")),
            due: BTreeMap::new(),
            first: BTreeSet::new(),
            fences: None,
            anonymous: true,
            started: 0,
            events,
            events_sender,
            heartbeat: steady(options.heartbeat.unwrap_or(HEARTBEAT)),
            manager,
            watchdog,
            notice: Notice { loaded: Some(loaded), ..Notice::default() },
            looks: mpsc::unbounded_channel(),
            served,
            earlier: Vec::new(),
            reloading: None,
            copied: mpsc::unbounded_channel(),
            loads: None,
            loading: Arc::default(),
            load: 0,
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

    /// Returns whether this home has a role.
    fn has(&self, role: LinkRole) -> bool {
        self.installation.config.has_role(role)
    }

    fn names(&self) -> impl Iterator<Item = Name> + use<> {
        // A drill needs one runner, so that it claims the job.
        let seats =
            if self.options.drill.is_some() { 1 } else { self.installation.config.runner.seats };
        let reaper = self.has_cluster().then_some(Name::Reaper);
        let courier = self.installation.config.has_courier().then_some(Name::Courier);
        let own = self.installation.config.role();
        let link = own.map(|_| Name::Link);
        [Name::Recorder, Name::Viewer, Name::Gateway]
            .into_iter()
            .chain((0..seats).map(Name::Runner))
            .chain(reaper)
            .chain(courier)
            .filter(move |name| own.is_none() || name.role() == own)
            .chain(link)
    }

    /// Waits for the next event and handles it. Dropping the future while it waits loses nothing.
    ///
    /// # Errors
    /// A role failed at its first start: a file or a setting is missing or wrong.
    async fn turn(&mut self) -> Result<()> {
        let due = self.due.values().min().copied();
        tokio::select! {
            // Received heartbeats count before missed ones.
            biased;
            Some((serial, event)) = self.events.recv() => self.handle_event(serial, event)?,
            Some(notice) = self.looks.1.recv() => self.noticed(notice),
            Some(copied) = self.copied.1.recv() => self.handle_copied(copied),
            () = until(self.reloading.as_ref().and_then(Reloading::until)) => self.refuse_late(),
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

    /// Schedules the restart of a role; returns the pause until then.
    fn schedule_restart(&mut self, name: Name, lived: Duration, clean: bool) -> Duration {
        let pause = self.backoff.entry(name).or_default().ended(lived, clean);
        if self.ending.is_none() {
            self.due.insert(name, Instant::now() + pause);
        }
        pause
    }

    fn handle_event(&mut self, serial: u64, event: Event) -> Result<()> {
        if let Some(at) = self.leaving.iter().position(|child| child.serial == serial) {
            match (event, self.leaving.get_mut(at)) {
                (Event::Reported(Report::Pong, _), Some(child)) => child.lives(),
                (Event::Reported(..), _) => {}
                (Event::Ended(status), _) => {
                    self.leaving.remove(at);
                    self.unlink(serial);
                    // Its end does not affect its seat: another runner takes over a job that it did
                    // not close. After a failure, the self-check is repeated.
                    if !status.is_some_and(|status| status.success()) {
                        self.fences = None;
                    }
                    self.make_room();
                }
            }
            return Ok(());
        }
        if self.rehearses(serial) {
            self.handle_rehearsal(event);
            return Ok(());
        }
        let Some(name) =
            self.roles.iter().find(|(_, child)| child.serial == serial).map(|(name, _)| *name)
        else {
            return Ok(());
        };
        match event {
            Event::Reported(report, descriptor) => self.handle_report(name, report, descriptor),
            Event::Ended(status) => return self.ended(name, status),
        }
        Ok(())
    }

    fn handle_report(&mut self, name: Name, report: Report, descriptor: Option<OwnedFd>) {
        if report == Report::Busy {
            return self.start_next_runners(name);
        }
        match (name, &report) {
            (Name::Recorder, Report::Reload(request)) => return self.reload(*request),
            (Name::Gateway, Report::Loaded(number)) => return self.handle_loaded(*number),
            (Name::Gateway, Report::NotLoaded(number, why)) => {
                return self.handle_not_loaded(*number, why.clone());
            }
            (Name::Gateway, Report::Using(number)) => return self.handle_using(*number),
            (Name::Link, Report::Linked(linked)) => {
                return self.handle_linked(linked.clone(), descriptor);
            }
            _ => {}
        }
        let Some(child) = self.roles.get_mut(&name) else { return };
        match report {
            Report::Pong => child.lives(),
            Report::Unfenced(why) => self.note_fences(Some(why)),
            Report::Failed(why) => {
                child.error =
                    Some(name_original(&self.installation.home, self.served.copies(), &why))
            }
            Report::StandsBy if child.state == State::Starting => {
                child.state = State::StandsBy;
                self.begun(name);
            }
            Report::Ready { checked, .. }
                if matches!(child.state, State::Starting | State::StandsBy) =>
            {
                child.state = State::Ready;
                if name.is_runner() && checked {
                    // Its self-check ran after this time.
                    self.fences = Some(child.begun);
                    self.note_fences(None);
                }
                self.ready(name);
            }
            Report::Leaving if matches!(name, Name::Runner(_)) => {
                child.state = State::Leaving;
                self.make_room();
            }
            Report::WantsGuest(guest) if name.is_runner() => {
                child.put(self.guests.lend(child.serial, guest));
            }
            Report::ReturnsGuest(guest) if name.is_runner() => {
                self.guests.take_back(child.serial, guest, descriptor);
            }
            Report::Closed => self.anonymous = false,
            Report::Idle | Report::Cut(_) | Report::Left { .. } => self.handle_final_report(report),
            Report::Ready { .. }
            | Report::StandsBy
            | Report::Busy
            | Report::Leaving
            | Report::WantsGuest(_)
            | Report::ReturnsGuest(_)
            | Report::Reload(_)
            | Report::Loaded(_)
            | Report::NotLoaded(..)
            | Report::Using(_)
            | Report::Linked(_) => {}
        }
    }

    /// Handles a role that became ready.
    fn ready(&mut self, name: Name) {
        if name == Name::Gateway
            && let (Some(gateway), Some(Ok(listener))) =
                (self.roles.get(&name), self.listener.as_ref().map(TcpListener::try_clone))
        {
            gateway.put(Parcel::Socket("listener", listener.into()));
        }
        if name == Name::Link
            && let (Some(link), Some(Ok(listener))) =
                (self.roles.get(&name), self.links.as_ref().map(TcpListener::try_clone))
        {
            link.put(Parcel::Socket("listener", listener.into()));
        }
        self.connect(name);
        self.link(name);
        if matches!(name, Name::Gateway | Name::Recorder) {
            self.inform(name);
        }
        if name == Name::Runner(0) {
            // The other runners rely on its self-check.
            let now = Instant::now();
            self.due
                .iter_mut()
                .filter(|(name, _)| name.is_runner() && self.first.contains(name))
                .for_each(|(_, due)| *due = now);
        }
        self.begun(name);
    }

    /// Notes that a role has started: it is ready, or stands by.
    fn begun(&mut self, name: Name) {
        if self.first.remove(&name) && self.first.is_empty() {
            self.watch();
            banner::say(&self.installation);
            self.notify(&format!(
                "READY=1\nSTATUS=serving the environment {}",
                self.installation.config.environment
            ));
        }
    }

    /// Handles the end of a role: logs the cause, and schedules a restart.
    fn ended(&mut self, name: Name, status: Option<ExitStatus>) -> Result<()> {
        let Some(child) = self.roles.remove(&name) else { return Ok(()) };
        self.guests.forget(child.serial);
        self.unlink(child.serial);
        let RoleProcess { pid, begun, state, error, killed, .. } = child;
        if name == Name::Gateway {
            self.reload_without_gateway();
        }
        let clean = name.is_runner()
            && state != State::Starting
            && status.is_some_and(|status| status.success());
        if name.is_runner() && !clean {
            // After a failed runner, the self-check is repeated.
            self.fences = None;
        }
        if self.ending.is_some() {
            if let Some(error) = error {
                tracing::warn!(role = %name, pid, "the {name} failed while it ended: {error}");
            }
            return Ok(());
        }
        let hung = killed.is_some();
        let why = killed.or(error).unwrap_or_else(|| describe_exit(status, state));
        if self.first.contains(&name) && !hung {
            return Err(anyhow!("the {name} cannot start: {why}"));
        }
        let pause = self.schedule_restart(name, begun.elapsed(), clean);
        if !clean {
            tracing::warn!(role = %name, pid, "restarting {name} in {}: {why}", seconds(pause));
        }
        Ok(())
    }

    /// Frees the seats of runners that only clean up, up to a limit.
    fn make_room(&mut self) {
        let leaving: Vec<Name> = self
            .roles
            .iter()
            .filter(|(_, child)| child.state == State::Leaving)
            .map(|(name, _)| *name)
            .collect();
        for name in leaving.into_iter().take(LEAVING.saturating_sub(self.leaving.len())) {
            if let Some(child) = self.roles.remove(&name) {
                self.leaving.push(child);
                self.schedule_restart(name, Duration::ZERO, true);
            }
        }
    }
}
