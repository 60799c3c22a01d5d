//! The version of the protocols between roles. Roles of neighbouring versions understand each
//! other, so that an installation can be upgraded role by role. Never decides what a role may ask.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of the protocols that this program speaks. A new request, answer or member raises
/// `minor`. A change that the version before does not understand raises `major`.
pub const VERSION: Version = Version { major: 1, minor: 1 };

/// The greatest difference of minor versions at which two roles work together.
pub const MINORS: u16 = 1;

/// The beginning of the error about a request that the other role cannot read. It is a part of the
/// protocol: a role that asks with a member of its own version asks again without it.
pub const UNREADABLE: &str = "the request cannot be read: ";

/// A version of the protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Versions that differ here do not understand each other.
    pub major: u16,
    /// Versions that differ here by at most [`MINORS`] understand each other.
    pub minor: u16,
}

impl Version {
    /// Returns whether a role of this version works with one of the other version.
    pub const fn works_with(self, other: Self) -> bool {
        self.major == other.major && self.minor.abs_diff(other.minor) <= MINORS
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_versions_work_together_and_no_others() {
        let version = |major, minor| Version { major, minor };
        for (one, other, works) in [
            (version(1, 4), version(1, 4), true),
            (version(1, 4), version(1, 5), true),
            (version(1, 4), version(1, 3), true),
            (version(1, 4), version(1, 6), false),
            (version(1, 4), version(1, 2), false),
            (version(1, 0), version(2, 0), false),
            (version(2, 0), version(1, u16::MAX), false),
        ] {
            assert_eq!(one.works_with(other), works, "{one} {other}");
            assert_eq!(other.works_with(one), works, "{other} {one}");
        }
    }
}
