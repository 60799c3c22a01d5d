//! The reload: the home is copied again, a second gateway process loads all of it, and only then
//! the serving gateway takes the new set, and the link to the copies moves. A set that is refused
//! changes nothing. One reload at a time; a request in between is done after it.

use super::copies::{copies_again, name_original, remove, trust_digest};
use super::earlier_copies::Earlier;
use super::exit::describe_exit;
use super::notices;
use super::{Event, Name, RoleProcess, State, Supervisor};
use crate::config::read_trust;
use crate::serve::copies::Copies;
use crate::serve::{role_process, role_settings};
use anyhow::{Result, anyhow};
use cofferdam_core::model::escape;
use cofferdam_core::model::id::TrustDigest;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_core::protocol::operator_recorder::{Loaded, Reload};
use cofferdam_process::control::{Load, Order, Report};
use cofferdam_process::tether::Parcel;
use jiff::Timestamp;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The time limit of one reload: every component of a large set is compiled.
const LIMIT: Duration = Duration::from_secs(180);

/// The checked copies of a reload.
pub(super) struct Next {
    pub copies: Copies,
}

/// A reload in progress.
pub(super) struct Reloading {
    /// The newest request that it answers; 0 for a signal.
    request: u64,
    /// A request that came later.
    again: Option<u64>,
    stage: Stage,
    until: Instant,
}

impl Reloading {
    /// The end of its time. A set that begins to be used has none: the end of the gateway ends the
    /// reload too.
    pub(super) fn until(&self) -> Option<Instant> {
        (!matches!(self.stage, Stage::Using(_))).then_some(self.until)
    }
}

enum Stage {
    /// A thread copies and checks the files.
    Copying,
    /// A process loads the copies, as a gateway does at its start.
    Rehearsing(Box<Next>, Box<RoleProcess>),
    /// The serving gateway loads the copies, and announces their use in the ledger. With the number
    /// of the load.
    Loading(u64, Box<Next>),
    /// The link moved, and the gateway begins to use the set of this load.
    Using(u64),
}

impl Supervisor<'_> {
    /// Begins a reload, or does it after the one in progress.
    pub(super) fn reload(&mut self, request: u64) {
        if self.ending.is_some() {
            return;
        }
        if let Some(reloading) = &mut self.reloading {
            reloading.again = Some(request.max(reloading.again.unwrap_or_default()));
            return;
        }
        let until = Instant::now() + LIMIT;
        let stage = Stage::Copying;
        self.reloading = Some(Reloading { request, again: None, stage, until });
        self.loading.store(true, Ordering::SeqCst);
        if !self.first.is_empty() {
            return self.refuse("`cofferdam serve` is still starting; try again".to_owned());
        }
        let (home, trust) = (self.installation.home.clone(), self.installation.trust.clone());
        let (used, copied) = (self.served.copies().clone(), self.copied.0.clone());
        let (guest, role) = (self.guest.clone(), self.installation.config.role());
        // A slow disk must not block the supervisor.
        tokio::task::spawn_blocking(move || {
            // Without a supervisor there is no receiver.
            let _over = copied.send(copies_again(&home, role, (&used, &trust), &guest));
        });
    }

    /// Handles the end of the copying: a process rehearses the start with the copies.
    pub(super) fn handle_copied(&mut self, copied: Result<Next>) {
        let copying = |reloading: &Reloading| matches!(reloading.stage, Stage::Copying);
        if !self.reloading.as_ref().is_some_and(copying) {
            // After the time limit or the stop.
            if let Ok(next) = copied {
                remove(&next.copies);
            }
            return;
        }
        let next = match copied {
            Ok(next) => next,
            Err(error) => return self.refuse(escape::chain(error.as_ref())),
        };
        if !self.has(LinkRole::Gateway) {
            return self.use_without_gateway(next);
        }
        self.started += 1;
        let settings = self.gateway_settings(&next);
        let started = role_process::start(
            (Name::Gateway, self.started),
            &self.this,
            &["role", "gateway"],
            &settings,
            self.events_sender.clone(),
        );
        match started {
            Ok(role) => self.enter(Stage::Rehearsing(Box::new(next), Box::new(role))),
            Err(error) => {
                remove(&next.copies);
                self.refuse(escape::chain(error.as_ref()));
            }
        }
    }

    /// Uses copies in a home without a gateway: roles read the files of the link again, and a runner
    /// loads them for its job.
    fn use_without_gateway(&mut self, next: Next) {
        let Next { copies } = next;
        match self.place(&copies) {
            Ok(placed) => {
                self.note_placed(&copies, placed);
                self.used();
            }
            Err(error) => {
                remove(&copies);
                self.refuse(escape::chain(error.as_ref()));
            }
        }
    }

    fn note_placed(&mut self, copies: &Copies, (trust, digest): (Trust, TrustDigest)) {
        self.notice.loaded = Some(Loaded::of(&trust, digest, Timestamp::now()));
        self.installation.served = copies.home().clone();
        self.installation.trust = trust;
    }

    fn gateway_settings(
        &self,
        next: &Next,
    ) -> cofferdam_core::protocol::role_settings::GatewaySettings {
        role_settings::gateway_of(&self.installation, next.copies.home(), &self.guest, false)
    }

    fn enter(&mut self, stage: Stage) {
        if let Some(reloading) = &mut self.reloading {
            reloading.stage = stage;
        }
    }

    /// Returns whether this is the process that rehearses.
    pub(super) fn rehearses(&self, serial: u64) -> bool {
        matches!(&self.reloading, Some(Reloading { stage: Stage::Rehearsing(_, role), .. })
            if role.serial == serial)
    }

    /// Handles an event of the process that rehearses.
    pub(super) fn handle_rehearsal(&mut self, event: Event) {
        let Some(Reloading { stage: Stage::Rehearsing(_, role), .. }) = &mut self.reloading else {
            return;
        };
        match event {
            Event::Reported(Report::Ready { .. }, _) => self.load(),
            Event::Reported(Report::Failed(why), _) => {
                role.error = Some(why);
            }
            Event::Reported(..) => {}
            Event::Ended(status) => {
                let why = role.error.take();
                self.refuse(why.unwrap_or_else(|| describe_exit(status, State::Starting)));
            }
        }
    }

    /// Passes the rehearsed set to the serving gateway.
    fn load(&mut self) {
        let Some(Reloading { stage, .. }) = &mut self.reloading else { return };
        // The process that rehearsed ends with its control socket.
        let Stage::Rehearsing(next, _role) = std::mem::replace(stage, Stage::Copying) else {
            return;
        };
        let settings = serde_json::to_string(&self.gateway_settings(&next));
        self.load += 1;
        let number = self.load;
        let gateway = self.roles.get(&Name::Gateway).filter(|role| role.state == State::Ready);
        match (gateway, settings) {
            (Some(gateway), Ok(settings)) => {
                gateway.put(Parcel::Order(Order::Load(Load { number, settings })));
                self.enter(Stage::Loading(number, next));
            }
            _ => {
                remove(&next.copies);
                self.refuse("the gateway is not ready; the log says why".to_owned());
            }
        }
    }

    /// Handles the gateway's report of a loaded set: from now on, the link names its copies.
    pub(super) fn handle_loaded(&mut self, number: u64) {
        // A report after the time limit is about no load in progress.
        let Some(Reloading { stage, .. }) = self
            .reloading
            .as_mut()
            .filter(|it| matches!(it.stage, Stage::Loading(own, _) if own == number))
        else {
            return self.order_gateway(Order::Forget(number));
        };
        let Stage::Loading(_, next) = std::mem::replace(stage, Stage::Using(number)) else {
            return;
        };
        let Next { copies, .. } = *next;
        let placed = match self.place(&copies) {
            Ok(placed) => placed,
            Err(error) => {
                remove(&copies);
                self.order_gateway(Order::Forget(number));
                return self.refuse(escape::chain(error.as_ref()));
            }
        };
        self.note_placed(&copies, placed);
        self.order_gateway(Order::Use(number));
    }

    /// Moves the link to these copies. An approver who was removed since the copies were made is
    /// removed from them too: before they are in use, and again after it, for a removal between.
    fn place(&mut self, copies: &Copies) -> Result<(Trust, TrustDigest)> {
        let home = &self.installation.home;
        let mut copies = copies.clone();
        copies.drop_removed(home)?;
        let mut placed = trust_of(&copies)?;
        let before = self.served.copies().clone();
        self.served.replace(copies.clone())?;
        self.earlier.push(Earlier { copies: before, ended: Instant::now() });
        // After an error, the checking thread repeats it.
        if copies.drop_removed(home).is_ok()
            && let Ok(now) = trust_of(&copies)
        {
            placed = now;
        }
        self.served.note(copies);
        Ok(placed)
    }

    fn order_gateway(&self, order: Order) {
        if let Some(gateway) = self.roles.get(&Name::Gateway) {
            gateway.put(Parcel::Order(order));
        }
    }

    /// Handles the gateway's report that it cannot use the set.
    pub(super) fn handle_not_loaded(&mut self, number: u64, why: String) {
        match &self.reloading {
            Some(Reloading { stage: Stage::Loading(own, _), .. }) if *own == number => {
                self.refuse(why);
            }
            // The link moved: a gateway that starts again loads the copies of the link.
            Some(Reloading { stage: Stage::Using(own), .. }) if *own == number => {
                if let Some(gateway) = self.roles.get_mut(&Name::Gateway) {
                    gateway.kill(format!("it does not use the set that it loaded: {why}"));
                }
            }
            _ => {}
        }
    }

    /// Handles the gateway's report that it uses the set.
    pub(super) fn handle_using(&mut self, number: u64) {
        if matches!(&self.reloading, Some(Reloading { stage: Stage::Using(own), .. })
            if *own == number)
        {
            self.used();
        }
    }

    fn used(&mut self) {
        let (copies, trust) = (self.served.copies().clone(), self.installation.trust.clone());
        let policy = trust.policy.short();
        if let Some(loads) = &self.loads {
            // Without that thread no check is made.
            let _ended = loads.send((copies, trust));
        }
        self.remove_earlier_copies();
        tracing::info!("loaded tools, executors, policy {policy} and trust again");
        self.reloaded(None);
    }

    /// Handles the end of the serving gateway. The next one starts with the copies of the link.
    pub(super) fn reload_without_gateway(&mut self) {
        match &self.reloading {
            Some(Reloading { stage: Stage::Loading(..), .. }) => {
                self.refuse("the gateway ended while it loaded; the log says why".to_owned());
            }
            Some(Reloading { stage: Stage::Using(_), .. }) => self.used(),
            _ => {}
        }
    }

    /// Ends the reload in progress without a change.
    pub(super) fn refuse(&mut self, mut why: String) {
        if let Some(Reloading {
            stage: Stage::Rehearsing(next, _) | Stage::Loading(_, next), ..
        }) = &self.reloading
        {
            why = name_original(&self.installation.home, &next.copies, &why);
            remove(&next.copies);
        }
        if let Some(Reloading { stage: Stage::Loading(number, _), .. }) = &self.reloading {
            self.order_gateway(Order::Forget(*number));
        }
        let why = notices::cut(why);
        tracing::error!(what = "reload", "not loaded; what is served stays in use: {why}");
        self.reloaded(Some(why));
    }

    /// Ends the reload that took too long.
    pub(super) fn refuse_late(&mut self) {
        self.refuse(format!("it did not end within {} s; try again", LIMIT.as_secs()));
    }

    fn reloaded(&mut self, refused: Option<String>) {
        let Some(Reloading { request, again, .. }) = self.reloading.take() else { return };
        self.loading.store(false, Ordering::SeqCst);
        // A signal answers no request of an operator.
        let known = self.notice.reload.as_ref().map_or(0, |last| last.request);
        let request = request.max(known);
        self.notice.reload = Some(Reload { request, at: Timestamp::now(), refused });
        self.inform_all();
        if let Some(again) = again {
            self.reload(again);
        }
    }
}

fn trust_of(copies: &Copies) -> Result<(Trust, TrustDigest)> {
    let trust = read_trust(copies.home()).map_err(|error| anyhow!("{error}"))?;
    Ok((trust, trust_digest(copies)?))
}
