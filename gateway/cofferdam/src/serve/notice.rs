//! What the supervisor sees and a confined role cannot, as a role holds it: the newest notice,
//! which came over the control socket. Never a file, so that no lost folder silences it.

use cofferdam_core::protocol::operator_recorder::Notice;
use std::sync::{Mutex, PoisonError};

/// The newest notice.
#[derive(Debug, Default)]
pub struct Notices(Mutex<Notice>);

impl Notices {
    /// Takes what the supervisor tells. What cannot be read is of another version, and changes
    /// nothing.
    pub fn hear(&self, told: &str) {
        match serde_json::from_str(told) {
            Ok(notice) => *self.0.lock().unwrap_or_else(PoisonError::into_inner) = notice,
            Err(error) => {
                tracing::warn!(what = "notice", %error, "a notice of the supervisor cannot be read")
            }
        }
    }

    /// The newest. Before the supervisor told one there is nothing to say.
    pub fn now(&self) -> Notice {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
