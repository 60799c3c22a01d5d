//! The first messages between two links, and the words of a link and its supervisor. A link says
//! nothing else: after these messages it passes bytes. Plain data; no I/O.

use super::Version;
use super::role_settings::LogSettings;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A role that has a certificate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkRole {
    /// Faces agents.
    Gateway,
    /// Writes store and ledger.
    Recorder,
    /// Reads the infrastructure.
    Viewer,
    /// Reaches issuers and receivers.
    Courier,
    /// Changes the infrastructure.
    Runner,
    /// Removes expired objects of a cluster.
    Reaper,
}

/// Every role with a certificate, in the order in which they are started.
pub const LINK_ROLES: [LinkRole; 6] = [
    LinkRole::Recorder,
    LinkRole::Viewer,
    LinkRole::Courier,
    LinkRole::Gateway,
    LinkRole::Runner,
    LinkRole::Reaper,
];

impl LinkRole {
    /// The role's name: in certificates, in configurations and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Recorder => "recorder",
            Self::Viewer => "viewer",
            Self::Courier => "courier",
            Self::Runner => "runner",
            Self::Reaper => "reaper",
        }
    }
}

impl fmt::Display for LinkRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that names no role. Use one of the six names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role; the roles are recorder, viewer, courier, gateway, runner and reaper")]
pub struct NoRole(pub String);

impl FromStr for LinkRole {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        let found = LINK_ROLES.into_iter().find(|role| role.word() == text);
        found.ok_or_else(|| NoRole(text.to_owned()))
    }
}

/// The first message of each end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocols between roles.
    pub protocol: Version,
    /// The version of the program, for logs.
    pub program: String,
    /// The role of this end. It has to be the one of its certificate.
    pub role: LinkRole,
    /// The id of the environment.
    pub environment: String,
}

/// The reason of a refused link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkCode {
    /// The certificate is of another role than this link is for.
    LinkRole,
    /// The certificate, or the hello, is of another environment.
    LinkEnvironment,
    /// The versions of the protocols differ too much.
    LinkVersion,
    /// The role is not serving: it stands by, starts or stops. Another address may serve.
    LinkStandby,
    /// The certificate is no certificate of this installation, has expired, or names no role.
    LinkCertificate,
    /// There are too many links. Others have to end first.
    LinkFull,
    /// The other end does not speak as a link does, or said nothing in time.
    LinkHello,
}

impl LinkCode {
    /// The code as logs and pages have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::LinkRole => "link-role",
            Self::LinkEnvironment => "link-environment",
            Self::LinkVersion => "link-version",
            Self::LinkStandby => "link-standby",
            Self::LinkCertificate => "link-certificate",
            Self::LinkFull => "link-full",
            Self::LinkHello => "link-hello",
        }
    }
}

/// A refusal, with cause and remedy for the operator of the other end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {why}", code.word())]
pub struct LinkRefusal {
    /// The reason.
    pub code: LinkCode,
    /// Cause and remedy.
    pub why: String,
}

/// The answer to a hello: the hello of the other end, and the refusal if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The hello of the end that accepted the connection.
    pub hello: Hello,
    /// The refusal; `None` if the link is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<LinkRefusal>,
}

/// The last message before bytes pass: from the end that connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The refusal of the other end's hello; `None` if the link is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<LinkRefusal>,
}

/// An order of a supervisor to its link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkOrder {
    /// Keep this process connected to a peer of this role.
    Connect {
        /// The number of the process.
        process: u64,
        /// The role of the peer.
        peer: LinkRole,
    },
    /// This process ended: connect it no more. Bytes under way still pass.
    Forget {
        /// The number of the process.
        process: u64,
    },
    /// Accept links, or refuse them with [`LinkCode::LinkStandby`].
    Accept(bool),
}

/// The report of a link, with the socket of the new link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// The process that asked for the link; `None` for a link that the peer opened.
    pub process: Option<u64>,
    /// The role of the peer, of its certificate.
    pub peer: LinkRole,
}

/// The settings of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSettings {
    /// The settings of its log.
    pub voice: LogSettings,
    /// The role whose links these are.
    pub role: LinkRole,
    /// The id of the environment.
    pub environment: String,
    /// The trust domain of the SPIFFE names.
    pub trust_domain: String,
    /// The file of its certificate, and of those that lead to the authority.
    pub certificate: PathBuf,
    /// The file of the certificate's key.
    pub key: PathBuf,
    /// The file of the installation's authorities.
    pub ca: PathBuf,
    /// The folders with these files, which the link may read: they change.
    pub folders: Vec<PathBuf>,
    /// The roles that may open a link.
    pub accepts: Vec<LinkRole>,
    /// The peers that it connects to.
    pub peers: Vec<LinkPeer>,
}

/// The addresses of one peer of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkPeer {
    /// The role of the peer.
    pub role: LinkRole,
    /// `HOST:PORT` each, in the order in which they are tried.
    pub addresses: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_by_its_own_name_alone() {
        for role in LINK_ROLES {
            assert_eq!(role.word().parse(), Ok(role));
            let json = serde_json::to_string(&role).unwrap();
            assert_eq!(json, format!("\"{role}\""));
        }
        for other in ["", "Gateway", "guest", "link", "recorder "] {
            assert_eq!(other.parse::<LinkRole>(), Err(NoRole(other.to_owned())));
        }
    }

    #[test]
    fn a_code_is_written_as_it_is_read() {
        for code in [
            LinkCode::LinkRole,
            LinkCode::LinkEnvironment,
            LinkCode::LinkVersion,
            LinkCode::LinkStandby,
            LinkCode::LinkCertificate,
            LinkCode::LinkFull,
            LinkCode::LinkHello,
        ] {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", code.word()));
        }
    }
}
