//! The reload: the home is copied again, a second gateway process loads all of it, and only then
//! the serving gateway takes the new set, and the link to the copies moves. A set that is refused
//! changes nothing. One reload at a time; a request in between is done after it.

use super::copies::{copies_again, name_original, remove};
use super::exit::describe_exit;
use super::{Event, Name, RoleProcess, State, Supervisor};
use crate::serve::copies::Copies;
use crate::serve::{role_process, role_settings};
use anyhow::Result;
use cofferdam_core::model::escape;
use cofferdam_core::model::id::TrustDigest;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::operator_recorder::{Loaded, Reload};
use cofferdam_process::control::{Order, Report};
use cofferdam_process::tether::Parcel;
use jiff::Timestamp;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The time limit of one reload: every component of a large set is compiled.
const LIMIT: Duration = Duration::from_secs(180);

/// The copies of a reload, with their trust file.
pub(super) struct Next {
    pub copies: Copies,
    pub trust: Trust,
    pub digest: TrustDigest,
}

/// A reload in progress.
pub(super) struct Reloading {
    /// The newest request that it answers; 0 for a signal.
    request: u64,
    /// A request that came later.
    again: Option<u64>,
    stage: Stage,
    pub until: Instant,
}

enum Stage {
    /// A thread copies and checks the files.
    Copying,
    /// A process loads the copies, as a gateway does at its start.
    Rehearsing(Box<Next>, Box<RoleProcess>),
    /// The serving gateway loads the copies, and records the reload.
    Loading(Box<Next>),
    /// The link moved, and the gateway begins to use the set.
    Using,
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
        let (home, environment) =
            (self.installation.home.clone(), self.installation.trust.environment.clone());
        let (used, copied) = (self.served.copies().clone(), self.copied.0.clone());
        // A slow disk must not block the supervisor.
        tokio::task::spawn_blocking(move || {
            // Without a supervisor there is no receiver.
            let _over = copied.send(copies_again(&home, &environment, &used));
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
        let gateway = self.roles.get(&Name::Gateway).filter(|role| role.state == State::Ready);
        match (gateway, settings) {
            (Some(gateway), Ok(settings)) => {
                gateway.put(Parcel::Order(Order::Load(settings)));
                self.enter(Stage::Loading(next));
            }
            _ => {
                remove(&next.copies);
                self.refuse("the gateway is not ready; the log says why".to_owned());
            }
        }
    }

    /// Handles the gateway's report of a loaded set: from now on, the link names its copies.
    pub(super) fn handle_loaded(&mut self) {
        // A report after the time limit is about no reload in progress.
        let Some(Reloading { stage, .. }) =
            self.reloading.as_mut().filter(|it| matches!(it.stage, Stage::Loading(_)))
        else {
            return;
        };
        let Stage::Loading(next) = std::mem::replace(stage, Stage::Using) else { return };
        let Next { copies, trust, digest } = *next;
        if let Err(error) = self.served.replace(copies.clone()) {
            remove(&copies);
            return self.refuse(escape::chain(error.as_ref()));
        }
        self.notice.loaded = Some(Loaded::of(&trust, digest, Timestamp::now()));
        self.installation.served = copies.home().clone();
        self.installation.trust = trust;
        if let Some(gateway) = self.roles.get(&Name::Gateway) {
            gateway.put(Parcel::Order(Order::Use));
        }
    }

    /// Handles the gateway's report that it cannot use the set.
    pub(super) fn handle_not_loaded(&mut self, why: String) {
        if matches!(&self.reloading, Some(Reloading { stage: Stage::Loading(_), .. })) {
            self.refuse(why);
        }
    }

    /// Handles the gateway's report that it uses the set.
    pub(super) fn handle_using(&mut self) {
        if matches!(&self.reloading, Some(Reloading { stage: Stage::Using, .. })) {
            let (copies, trust) = (self.served.copies().clone(), self.installation.trust.clone());
            if let Some(loads) = &self.loads {
                // Without that thread no check is made.
                let _ended = loads.send((copies, trust));
            }
            let policy = self.installation.trust.policy.short();
            tracing::info!("loaded tools, executors, policy {policy} and trust again");
            self.reloaded(None);
        }
    }

    /// Handles the end of the serving gateway. The next one starts with the copies of the link.
    pub(super) fn reload_without_gateway(&mut self) {
        match &self.reloading {
            Some(Reloading { stage: Stage::Loading(_), .. }) => {
                self.refuse("the gateway ended while it loaded; the log says why".to_owned());
            }
            Some(Reloading { stage: Stage::Using, .. }) => self.handle_using(),
            _ => {}
        }
    }

    /// Ends the reload in progress without a change.
    pub(super) fn refuse(&mut self, mut why: String) {
        if let Some(Reloading {
            stage: Stage::Rehearsing(next, _) | Stage::Loading(next), ..
        }) = &self.reloading
        {
            why = name_original(&self.installation.home, &next.copies, &why);
            remove(&next.copies);
        }
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
