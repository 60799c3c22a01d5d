//! Notices about the installation, sent to the roles whose views show them. The newest one is kept
//! for a role that starts again.

use super::{Name, Supervisor};
use crate::config::Installation;
use crate::serve::watch::{self, Watched};
use cofferdam_core::protocol::operator_recorder::Notice;
use cofferdam_process::control::Order;
use cofferdam_process::tether::Parcel;
use std::sync::Arc;

/// The most characters of one text of a notice, and the most texts of one kind: a notice fits into
/// one packet of a control socket.
const TEXT: usize = 600;
const TEXTS: usize = 8;

/// A text within the bound. The cause of an error can quote a whole file.
pub(super) fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn bounded(texts: Vec<String>) -> Vec<String> {
    texts.into_iter().take(TEXTS).map(cut).collect()
}

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
        let Notice { restart, faults, warnings, .. } = notice;
        let (restart, faults, warnings) = (bounded(restart), bounded(faults), bounded(warnings));
        self.notice = Notice { restart, faults, warnings, loaded, reload, unfenced };
        self.inform_all();
    }

    /// Notes the result of a self-check of the cluster: the cause of a failed one.
    pub(super) fn note_fences(&mut self, unfenced: Option<String>) {
        let unfenced = unfenced.map(cut);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cause_is_cut_between_characters_and_a_notice_fits_into_a_packet() {
        assert_eq!(cut("é".repeat(TEXT)), "é".repeat(TEXT));
        assert_eq!(cut("é".repeat(TEXT + 1)), "é".repeat(TEXT) + "…");
        let texts = || bounded(vec!["\u{1}".repeat(100_000); 100]);
        let notice =
            Notice { restart: texts(), faults: texts(), warnings: texts(), ..Notice::default() };
        let notice = serde_json::to_string(&notice).unwrap();
        let order = serde_json::to_vec(&Order::Know(notice)).unwrap();
        assert!(order.len() < 128 * 1024, "{}", order.len());
    }
}
