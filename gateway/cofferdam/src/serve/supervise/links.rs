//! The connections between roles: the sockets of `docs/threat-model.md`, as pairs. A role gets no
//! other socket.

use super::{Name, State, Supervisor};
use cofferdam_process::tether::Parcel;
use std::os::unix::net::UnixStream;

/// The pairs of roles, with the name that each side has for the other.
const LINKS: [(&str, &str, &str, &str); 10] = [
    ("gateway", "recorder", "recorder", "gateway"),
    ("gateway", "viewer", "viewer", "gateway"),
    ("gateway", "courier", "courier", "gateway"),
    ("courier", "recorder", "recorder", "courier"),
    ("runner", "recorder", "recorder", "runner"),
    ("gateway", "telemetry/recorder", "recorder", "telemetry"),
    ("gateway", "telemetry/viewer", "viewer", "telemetry"),
    ("gateway", "telemetry/runner", "runner", "telemetry"),
    ("gateway", "telemetry/reaper", "reaper", "telemetry"),
    ("gateway", "telemetry/courier", "courier", "telemetry"),
];

impl Supervisor<'_> {
    /// Gives the role and each of its running peers a new pair of sockets.
    pub(super) fn connect(&self, name: Name) {
        for (left, left_knows, right, right_knows) in LINKS {
            for (a, b) in self.pairs(left, right).filter(|(a, b)| *a == name || *b == name) {
                if let (Some(a), Some(b)) = (self.roles.get(&a), self.roles.get(&b)) {
                    match UnixStream::pair() {
                        Ok((one, other)) => {
                            a.put(Parcel::stream(left_knows, one));
                            b.put(Parcel::stream(right_knows, other));
                        }
                        Err(error) => {
                            tracing::error!(role = %left, peer = %right, error = %error,
                            "cannot connect the {left} and the {right}")
                        }
                    }
                }
            }
        }
    }

    fn pairs(&self, left: &'static str, right: &'static str) -> impl Iterator<Item = (Name, Name)> {
        let of = |kind: &'static str| {
            let there = self
                .roles
                .iter()
                .filter(|(_, child)| !matches!(child.state, State::Starting | State::StandsBy))
                .map(|(name, _)| *name);
            there.filter(move |name| {
                match name {
                    Name::Runner(_) => kind == "runner",
                    // It has no seat yet.
                    Name::Next(_) => false,
                    name => kind == name.to_string(),
                }
            })
        };
        of(left).flat_map(move |a| of(right).map(move |b| (a, b)).collect::<Vec<_>>())
    }
}
