//! The newest notice of the supervisor in a role: facts that a confined role cannot read. It comes
//! over the control socket and never from a file, so a lost folder cannot hide it.

use cofferdam_core::protocol::operator_recorder::Notice;
use std::sync::{Mutex, PoisonError};

/// The newest notice of the supervisor.
#[derive(Debug, Default)]
pub struct Notices(Mutex<Notice>);

impl Notices {
    /// Stores a notice. An unreadable one is of another version, and is ignored.
    pub fn store(&self, told: &str) {
        match serde_json::from_str(told) {
            Ok(notice) => *self.0.lock().unwrap_or_else(PoisonError::into_inner) = notice,
            Err(error) => {
                tracing::warn!(what = "notice", %error, "a notice of the supervisor cannot be read")
            }
        }
    }

    /// The newest notice; empty before the first one.
    pub fn now(&self) -> Notice {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
