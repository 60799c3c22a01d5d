//! Notices about the installation, sent to the roles whose views show them. The newest one is kept
//! for a role that starts again.

use super::{Name, Supervisor};
use crate::config::Installation;
use crate::serve::watch::{self, Watched};
use cofferdam_core::protocol::operator_recorder::Notice;
use cofferdam_process::control::Order;
use cofferdam_process::tether::Parcel;
use std::sync::Arc;

impl Supervisor<'_> {
    /// Starts the thread that checks the installation.
    pub(super) fn watch(&mut self) {
        let Installation { home, config, trust, .. } = &self.installation;
        let (home, config, trust) = (home.clone(), config.clone(), trust.clone());
        let (sender, loads) = std::sync::mpsc::channel();
        self.loads = Some(sender);
        let (copies, loading) = (self.served.copies().clone(), Arc::clone(&self.loading));
        let watched = Watched { home, copies, config, trust, loads, loading };
        watch::start(watched, Arc::clone(&self.over), self.looks.0.clone());
    }

    /// Sends a notice to the roles whose views show it.
    pub(super) fn noticed(&mut self, notice: Notice) {
        let Notice { loaded, reload, unfenced, .. } = std::mem::take(&mut self.notice);
        self.notice = Notice { loaded, reload, unfenced, ..notice };
        self.inform_all();
    }

    /// Notes the result of a self-check of the cluster: the cause of a failed one.
    pub(super) fn note_fences(&mut self, unfenced: Option<String>) {
        if self.notice.unfenced != unfenced {
            self.notice.unfenced = unfenced;
            self.inform_all();
        }
    }

    pub(super) fn inform_all(&self) {
        for name in [Name::Gateway, Name::Recorder] {
            self.inform(name);
        }
    }

    pub(super) fn inform(&self, name: Name) {
        if let (Some(role), Ok(notice)) =
            (self.roles.get(&name), serde_json::to_string(&self.notice))
        {
            role.put(Parcel::Order(Order::Know(notice)));
        }
    }
}
