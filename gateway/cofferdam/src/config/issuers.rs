//! Reads how the courier reaches the issuers of access tokens, `issuers` of `[edge.oauth]`, and joins
//! the issuer of people to them. Never
//! reads a secret: the courier opens its own files.

use super::people::People;
use super::toml_reader::Section;
use super::{oauth, paths};
use crate::config::home::Home;
use cofferdam_core::model::web_address::WebAddress;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_core::protocol::role_settings::{
    IntrospectionClient, IssuerConnection, OauthSettings,
};
use std::path::{Path, PathBuf};

/// The permissions that no other user may have on the secret of a client.
pub(super) const OTHERS: u32 = 0o077;

/// The issuers that the courier reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Courier {
    /// At least one issuer, each once.
    pub issuers: Vec<IssuerConnection>,
    /// The file of trusted certificates; `None` for those of the system.
    pub ca_file: Option<PathBuf>,
}

impl Courier {
    /// The secrets of the clients, each with its key in the configuration.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &Path)> {
        let clients = self.issuers.iter().enumerate();
        let clients = clients.filter_map(|(index, issuer)| {
            let client = issuer.introspection.as_ref()?;
            let key = format!("edge.oauth.issuers[{index}].introspection.secret_file");
            Some((key, client.secret_file.as_path()))
        });
        let people = self.issuers.iter().filter_map(|issuer| issuer.sign_in.as_ref());
        clients.chain(
            people
                .map(|client| ("people.oidc.secret_file".to_owned(), client.secret_file.as_path())),
        )
    }

    /// The issuers of agents, and the issuer of people, which may be one of them.
    ///
    /// # Errors
    /// Both name a file of certificates, and not the same; or other keys for one issuer.
    pub fn joined(
        agents: Option<Self>,
        people: Option<&People>,
    ) -> Result<Option<Self>, (&'static str, String)> {
        let Some(people) = people else { return Ok(agents) };
        let mut joined =
            agents.unwrap_or_else(|| Self { issuers: Vec::new(), ca_file: people.ca_file.clone() });
        if people.ca_file.is_some() && people.ca_file != joined.ca_file {
            return Err(("ca_file", "it differs from `ca_file` in [edge.oauth]".to_owned()));
        }
        let own = people.connection.clone();
        match joined.issuers.iter_mut().find(|known| known.issuer.text() == own.issuer.text()) {
            None => joined.issuers.push(own),
            Some(known) if own.jwks_uri.is_some() && own.jwks_uri != known.jwks_uri => {
                let problem = "it differs from `jwks_uri` of this issuer in [edge.oauth]";
                return Err(("jwks_uri", problem.to_owned()));
            }
            Some(known) => known.sign_in = own.sign_in,
        }
        Ok(Some(joined))
    }
}

/// Reads `[edge.oauth]`: how its issuers are reached, and how their tokens are checked. Returns
/// `None` if a required value is missing.
pub(super) fn check(section: &mut Section<'_>, home: &Home) -> Option<(Courier, OauthSettings)> {
    let ca_file = section
        .optional_string("ca_file")
        .and_then(|path| paths::file(section, LinkRole::Courier, "ca_file", &path, 0));
    let (connections, checks): (Vec<_>, Vec<_>) = section
        .each("issuers", |section| {
            let connection = connection(section, home);
            let issuer = connection.as_ref().map(|found| found.issuer.text().to_owned());
            (connection, oauth::issuer(section, issuer))
        })
        .into_iter()
        .unzip();
    let issuers: Vec<IssuerConnection> = connections.into_iter().flatten().collect();
    let mut seen: Vec<&str> = Vec::new();
    for issuer in &issuers {
        let name = issuer.issuer.text();
        if seen.contains(&name) {
            let problem = format!("`{name}` is there twice");
            section.report("issuers", &problem, "remove one of them");
        }
        seen.push(name);
    }
    let oauth = oauth::check(section, checks);
    Some((Courier { issuers, ca_file }, oauth?))
}

/// Reads the connection of one issuer.
fn connection(section: &mut Section<'_>, home: &Home) -> Option<IssuerConnection> {
    let text = section.string(
        "issuer",
        "the issuer exactly as its tokens name it: issuer = \"https://login.example.com/realms/ops\"",
    );
    let issuer = text.and_then(|text| address(section, "issuer", &text));
    if let Some(issuer) = &issuer {
        section.hold(
            "issuer",
            !issuer.text().contains('?'),
            &format!("`{issuer}` has a query"),
            "write scheme, host and path alone",
        );
    }
    let jwks_uri = optional_address(section, "jwks_uri");
    let introspection = if section.has("introspection") {
        section.optional("introspection", |section| client(section, home))
    } else {
        None
    };
    Some(IssuerConnection { issuer: issuer?, jwks_uri, introspection, sign_in: None })
}

fn client(section: &mut Section<'_>, home: &Home) -> Option<IntrospectionClient> {
    let endpoint = optional_address(section, "endpoint");
    let client_id = section
        .string("client_id", "the client of Cofferdam at the issuer: client_id = \"cofferdam\"");
    let path = section.string(
        "secret_file",
        "the file with the secret of this client: secret_file = \"/etc/cofferdam/issuer.secret\"",
    );
    let secret_file =
        path.and_then(|path| paths::file(section, LinkRole::Courier, "secret_file", &path, OTHERS));
    if let Some(file) = &secret_file {
        paths::hidden(section, "secret_file", file, home);
    }
    Some(IntrospectionClient { endpoint, client_id: client_id?, secret_file: secret_file? })
}

pub(super) fn optional_address(section: &mut Section<'_>, key: &'static str) -> Option<WebAddress> {
    let text = section.optional_string(key)?;
    address(section, key, &text)
}

pub(super) fn address(
    section: &mut Section<'_>,
    key: &'static str,
    text: &str,
) -> Option<WebAddress> {
    match WebAddress::read(text) {
        Ok(address) => Some(address),
        Err(error) => {
            let error = error.to_string();
            let (problem, remedy) =
                error.split_once("; ").unwrap_or((&error, "write https://HOST/PATH"));
            section.report(key, &format!("`{text}` is no address here: {problem}"), remedy);
            None
        }
    }
}
