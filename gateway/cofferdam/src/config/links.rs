//! Reads `[links]`: this home serves one role, and its peers are on other hosts. Never reads a key:
//! the link opens the files.

use super::neighbours::Neighbours;
use super::toml_reader::Section;
use super::{Config, ConfigError, ConfigErrors, Infrastructure, paths};
use crate::config::home::Home;
use cofferdam_core::protocol::link::{LINK_ROLES, LinkRole};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The permissions that no other user may have on the key. A group may read it: certificate
/// managers give the files of a service to a group.
pub const OTHERS: u32 = 0o027;

/// The permissions that no other user may have on the certificate and the authorities: to change them.
pub const CHANGE: u32 = 0o022;

/// The most addresses of one peer.
const ADDRESSES: usize = 16;

/// The trust domain, if none is configured.
pub const DEFAULT_TRUST_DOMAIN: &str = "cofferdam";

/// The most characters of a trust domain (the specification of SPIFFE).
const DOMAIN_LENGTH: usize = 255;

/// The links of the one role of a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// The role of this home.
    pub role: LinkRole,
    /// The address at which peers open links; `None` if they open none.
    pub listen: Option<SocketAddr>,
    /// The addresses of each peer, `HOST:PORT` each, in the order in which they are tried.
    pub peers: Vec<(LinkRole, Vec<String>)>,
    /// The trust domain of the SPIFFE names.
    pub trust_domain: String,
    /// The certificate of the role, and those that lead to the authority.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The authorities of the installation.
    pub ca: PathBuf,
}

/// The roles that a role connects to, and those that connect to it. The supervisor's table of links
/// is the source; a test compares.
pub const CONNECTS: [(LinkRole, LinkRole); 10] = [
    (LinkRole::Gateway, LinkRole::Recorder),
    (LinkRole::Gateway, LinkRole::Viewer),
    (LinkRole::Gateway, LinkRole::Courier),
    (LinkRole::Courier, LinkRole::Recorder),
    (LinkRole::Runner, LinkRole::Recorder),
    // Telemetry.
    (LinkRole::Recorder, LinkRole::Gateway),
    (LinkRole::Viewer, LinkRole::Gateway),
    (LinkRole::Runner, LinkRole::Gateway),
    (LinkRole::Reaper, LinkRole::Gateway),
    (LinkRole::Courier, LinkRole::Gateway),
];

impl Links {
    /// The roles that may open a link to this one.
    pub fn accepts(&self) -> Vec<LinkRole> {
        CONNECTS.iter().filter(|(_, to)| *to == self.role).map(|(from, _)| *from).collect()
    }

    /// Returns whether this role may have a link with this peer: one that it opened, or one that the
    /// peer opened.
    pub fn expects(&self, peer: LinkRole, opened: bool) -> bool {
        match opened {
            true => self.peers.iter().any(|(known, _)| *known == peer),
            false => self.listen.is_some() && self.accepts().contains(&peer),
        }
    }

    /// The folders that the link may read: those of its files and of the targets of their links,
    /// because a renewed file is another one to the kernel.
    pub fn folders(&self) -> Vec<PathBuf> {
        let files = [&self.certificate, &self.key, &self.ca];
        let mut folders: Vec<PathBuf> =
            files.into_iter().flat_map(|file| paths::folders(file)).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    /// The errors for what lies in these folders and is not for the link: the tree, the credentials of
    /// roles, and the key of `edge.tls`.
    pub(super) fn neighbours(&self, config: &Config) -> Vec<ConfigError> {
        let edge =
            config.edge.tls.as_ref().map(|tls| ("edge.tls.key".to_owned(), tls.key.as_path()));
        Neighbours { section: "links", reader: "link", folders: self.folders() }.of(config, edge)
    }
}

/// The role of the section.
fn role(section: &mut Section<'_>) -> Option<LinkRole> {
    let word = section.string("role", "the one role of this home: role = \"recorder\"")?;
    match word.parse() {
        Ok(role) => Some(role),
        Err(error) => {
            section.report("role", &format!("{error}"), "write one of them");
            None
        }
    }
}

impl Config {
    /// Checks the role that the command line names: it has to be the one of this home.
    ///
    /// # Errors
    /// They differ, or only one of them names a role.
    pub fn check_role(&self, named: Option<LinkRole>) -> Result<(), ConfigErrors> {
        let (problem, remedy) = match (self.role(), named) {
            (None, None) => return Ok(()),
            (Some(own), Some(named)) if own == named => return Ok(()),
            (Some(own), None) => (
                format!("this home is for the role {own} alone"),
                format!("start it with `cofferdam serve --role {own}`"),
            ),
            (None, Some(named)) => (
                "the section is missing, and this home serves every role".to_owned(),
                format!("make a home for it: `cofferdam role-home --role {named} --to DIR`"),
            ),
            (Some(own), Some(named)) => (
                format!("this home is for the role {own}, and not for the {named}"),
                "name the home of the role with `--home`".to_owned(),
            ),
        };
        let key = if self.links.is_some() { "links.role" } else { "links" };
        Err(ConfigErrors(vec![ConfigError::new("cofferdam.toml", key, problem, &remedy)]))
    }
}

/// The error of a role that has nothing to do in this installation.
pub(super) fn alone(config: &Config) -> Option<ConfigError> {
    let (problem, remedy) = match config.role()? {
        LinkRole::Reaper if matches!(config.infrastructure, Infrastructure::Directory { .. }) => {
            ("a directory has no reaper", "serve the other roles")
        }
        LinkRole::Courier if !config.has_courier() => (
            "no issuer and no receiver of notifications is configured",
            "configure one, or serve the other roles",
        ),
        _ => return None,
    };
    Some(ConfigError::new("cofferdam.toml", "links.role", problem, remedy))
}

/// Reads the section. Returns the role also if another key is wrong.
pub(super) fn check(section: &mut Section<'_>, home: &Home) -> Option<(LinkRole, Option<Links>)> {
    let role = role(section)?;
    Some((role, links(section, role, home)))
}

fn links(section: &mut Section<'_>, role: LinkRole, home: &Home) -> Option<Links> {
    let listen = listen(section, role);
    let peers = LINK_ROLES.into_iter().filter_map(|peer| peers(section, role, peer)).collect();
    let trust_domain =
        section.optional_string("trust_domain").unwrap_or_else(|| DEFAULT_TRUST_DOMAIN.to_owned());
    section.hold(
        "trust_domain",
        is_trust_domain(&trust_domain),
        &format!("`{trust_domain}` is no trust domain"),
        "use a-z, 0-9, `.`, `-` and `_`: trust_domain = \"prod.example.com\"",
    );
    let folder = home.links();
    let mut file = |name: &'static str, others| {
        let given = section.optional_string(name);
        let path =
            given.unwrap_or_else(|| folder.join(format!("{name}.pem")).display().to_string());
        let file = paths::file(section, role, name, &path, others)?;
        paths::alone(section, name, &file, home, Some("links"));
        Some(file)
    };
    let (certificate, key, ca) =
        (file("certificate", CHANGE), file("key", OTHERS), file("ca", CHANGE));
    let (certificate, key, ca) = (certificate?, key?, ca?);
    Some(Links { role, listen: listen?, peers, trust_domain, certificate, key, ca })
}

/// Returns whether a text is a trust domain of SPIFFE.
pub fn is_trust_domain(text: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
    };
    (1..=DOMAIN_LENGTH).contains(&text.len()) && text.bytes().all(plain)
}

/// Reads the address for peers: required where peers have to come, and refused where none may.
fn listen(section: &mut Section<'_>, role: LinkRole) -> Option<Option<SocketAddr>> {
    let text = section.optional_string("listen");
    let comes = CONNECTS.iter().any(|(_, to)| *to == role);
    // The links of the others carry telemetry alone.
    let required = comes && role != LinkRole::Gateway;
    match text {
        None if required => {
            let problem = format!("missing: other roles open links to the {role}");
            section.report("listen", &problem, "write an address: listen = \"10.0.0.5:8630\"");
            None
        }
        None => Some(None),
        Some(text) => {
            let allowed = section.hold(
                "listen",
                comes,
                &format!("no role opens a link to a {role}"),
                "remove this line",
            );
            let address: Option<SocketAddr> = text.parse().ok();
            section.hold(
                "listen",
                address.is_some(),
                &format!("`{text}` is no address with a port"),
                "write it as \"10.0.0.5:8630\"",
            );
            (allowed && address.is_some()).then_some(address)
        }
    }
}

/// Reads the addresses of one peer.
fn peers(
    section: &mut Section<'_>,
    role: LinkRole,
    peer: LinkRole,
) -> Option<(LinkRole, Vec<String>)> {
    let key = peer.word();
    let addresses = section.strings(key);
    let allowed = CONNECTS.contains(&(role, peer));
    if addresses.is_empty() {
        // Without a courier or a collector there is none; the gateway needs it only for both.
        let required = allowed && peer != LinkRole::Gateway && peer != LinkRole::Courier;
        section.hold(
            key,
            !required,
            &format!("missing: a {role} opens links to a {peer}"),
            &format!("write its addresses: {key} = [\"{peer}-1.example.com:8630\"]"),
        );
        return None;
    }
    section.hold(
        key,
        allowed,
        &format!("a {role} opens no link to a {peer}"),
        "remove this line: the table of links is in docs/many-hosts.md",
    );
    section.hold(
        key,
        addresses.len() <= ADDRESSES,
        &format!("{} addresses", addresses.len()),
        &format!("name at most {ADDRESSES}"),
    );
    for address in &addresses {
        section.hold(
            key,
            is_address(address),
            &format!("`{address}` is no host with a port"),
            "write \"recorder-1.example.com:8630\" or \"10.0.0.5:8630\"",
        );
    }
    Some((peer, addresses))
}

/// Returns whether this is `HOST:PORT` with a name, an IPv4 address or an IPv6 address in brackets.
fn is_address(text: &str) -> bool {
    if text.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0) {
        return true;
    }
    let named = |(host, port): (&str, &str)| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        !host.is_empty()
            && host.bytes().all(plain)
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    };
    text.rsplit_once(':').is_some_and(named)
}

/// The errors of `[links]` in a text for this home, without those of files: they come to the home
/// later.
pub fn refusals(text: &str, home: &Home) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let _config = super::file::check(text, home, &mut errors);
    let of_files = ["links.certificate", "links.key", "links.ca"];
    errors
        .retain(|error| error.key.starts_with("links") && !of_files.contains(&error.key.as_str()));
    errors
}

/// The path of each file of a link beneath this folder, as `role-home` writes them.
pub fn files(folder: &Path) -> [PathBuf; 3] {
    ["certificate.pem", "key.pem", "ca.pem"].map(|name| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in ["10.0.0.5:8630", "[::1]:8630", "recorder-1.example.com:1", "localhost:65535"] {
            assert!(is_address(good), "{good}");
        }
        for bad in
            ["", ":8630", "10.0.0.5", "host:0", "host:65536", "a b:1", "::1:8630", "https://h:1"]
        {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn a_role_expects_the_links_of_its_configuration_alone() {
        let file = PathBuf::from("/x.pem");
        let links = |role, listen: Option<&str>, peers: &[LinkRole]| Links {
            role,
            listen: listen.map(|address| address.parse().unwrap()),
            peers: peers.iter().map(|peer| (*peer, Vec::new())).collect(),
            trust_domain: DEFAULT_TRUST_DOMAIN.to_owned(),
            certificate: file.clone(),
            key: file.clone(),
            ca: file.clone(),
        };
        use LinkRole::{Courier, Gateway, Recorder, Runner, Viewer};
        let recorder = links(Recorder, Some("127.0.0.1:1"), &[Gateway]);
        assert!([Gateway, Runner, Courier].into_iter().all(|peer| recorder.expects(peer, false)));
        assert!(!recorder.expects(Viewer, false) && !recorder.expects(Recorder, false));
        assert!(recorder.expects(Gateway, true) && !recorder.expects(Runner, true));
        let deaf = links(Gateway, None, &[Recorder]);
        assert!(!deaf.expects(Runner, false) && !deaf.expects(Viewer, true));
    }
}
