//! Reads `[edge.tls]`: the files of the edge's TLS. Never reads a key: the gateway opens the files.

use super::neighbours::Neighbours;
use super::toml_reader::Section;
use super::{Config, ConfigError, paths};
use crate::config::home::Home;
use cofferdam_core::protocol::link::LinkRole;
use std::path::PathBuf;

/// The permissions that no other user may have on the key. A group may read it: on some systems a
/// group has the keys of servers.
const OTHERS: u32 = 0o007;

/// The files of TLS: absolute paths to existing files, in folders that have nothing of Cofferdam.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate of the server, and those that lead to its authority.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The authorities of clients.
    pub client_ca: Option<PathBuf>,
}

/// Reads the section, if it is there.
pub(super) fn check(edge: &mut Section<'_>, home: &Home) -> Option<Tls> {
    if !edge.has("tls") {
        return None;
    }
    edge.optional("tls", |section| {
        let certificate = section.string(
            "certificate",
            "the PEM file of the certificate: certificate = \"/etc/cofferdam/tls/server.pem\"",
        );
        let key = section
            .string("key", "the PEM file of its key: key = \"/etc/cofferdam/tls/server.key\"");
        let client_ca = section.optional_string("client_ca");
        let mut file = |name, path: Option<String>, others| {
            let file = paths::file(section, LinkRole::Gateway, name, &path?, others)?;
            paths::alone(section, name, &file, home, None);
            Some(file)
        };
        let certificate = file("certificate", certificate, 0);
        let key = file("key", key, OTHERS);
        let client_ca = file("client_ca", client_ca, 0);
        Some(Tls { certificate: certificate?, key: key?, client_ca })
    })
}

impl Tls {
    /// The folders that the gateway may read: the files and the targets of their links, because a
    /// renewed file is another one to the kernel.
    pub fn folders(&self) -> Vec<PathBuf> {
        let files = [&self.certificate, &self.key].into_iter().chain(&self.client_ca);
        let mut folders: Vec<PathBuf> = files.flat_map(|file| paths::folders(file)).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    /// The errors for what lies in these folders and is not for the gateway: the tree, the credentials
    /// of other roles, and the key of the link.
    pub(super) fn neighbours(&self, config: &Config) -> Vec<ConfigError> {
        let link = config.links.as_ref().map(|links| ("links.key".to_owned(), links.key.as_path()));
        Neighbours { section: "edge.tls", reader: "gateway", folders: self.folders() }
            .of(config, link)
    }
}
