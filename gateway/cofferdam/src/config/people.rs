//! Reads `[people.oidc]`: the issuer at which auditors and operators sign in, and the groups that
//! give these roles. No group makes an approver. Never reads a secret, and connects to nothing.

use super::issuers::{OTHERS, address, optional_address};
use super::toml_reader::Section;
use super::{oauth, paths};
use crate::config::home::Home;
use cofferdam_core::model::console_role::ConsoleRole;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_core::protocol::role_settings::{IssuerConnection, PeopleIssuer, SignInClient};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The most groups of one role: a few teams.
const GROUPS: usize = 32;

/// The issuer of people, and how the courier reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct People {
    /// The check of its ID tokens.
    pub issuer: PeopleIssuer,
    /// The way to it.
    pub connection: IssuerConnection,
    /// The file of trusted certificates; `None` for those of the system.
    pub ca_file: Option<PathBuf>,
}

impl People {
    /// The roles that some group gives.
    pub fn roles(&self) -> Vec<ConsoleRole> {
        let given =
            |role: &ConsoleRole| self.issuer.roles_of.values().any(|roles| roles.contains(role));
        ConsoleRole::ALL.into_iter().filter(given).collect()
    }
}

/// Reads the section. Returns `None` if a required value is missing.
pub(super) fn check(section: &mut Section<'_>, home: &Home) -> Option<People> {
    let text = section.string(
        "issuer",
        "the issuer exactly as its tokens name it: issuer = \"https://login.example.com/realms/ops\"",
    );
    let issuer = text.and_then(|text| address(section, "issuer", &text));
    let client_id = section
        .string("client_id", "the client of Cofferdam at the issuer: client_id = \"cofferdam\"");
    let path = section.string(
        "secret_file",
        "the file with the secret of this client: secret_file = \"/etc/cofferdam/people.secret\"",
    );
    let secret_file =
        path.and_then(|path| paths::file(section, LinkRole::Courier, "secret_file", &path, OTHERS));
    if let Some(file) = &secret_file {
        paths::hidden(section, "secret_file", file, home);
    }
    let jwks_uri = optional_address(section, "jwks_uri");
    let authorization_endpoint = optional_address(section, "authorization_endpoint");
    let token_endpoint = optional_address(section, "token_endpoint");
    let ca_file = section
        .optional_string("ca_file")
        .and_then(|path| paths::file(section, LinkRole::Courier, "ca_file", &path, 0));
    let algorithms = oauth::algorithms(section);
    let name_claim =
        section.string("name", "the claim with the name of the person: name = \"email\"");
    let groups_claim =
        section.string("groups", "the claim with the groups of the person: groups = \"groups\"");
    let scopes = scopes(section);
    let roles_of = roles_of(section);
    let (issuer, client_id) = (issuer?, client_id?);
    Some(People {
        issuer: PeopleIssuer {
            issuer: issuer.text().to_owned(),
            client_id: client_id.clone(),
            algorithms: algorithms?,
            scopes: scopes?,
            name_claim: name_claim.filter(|claim| !claim.is_empty())?,
            groups_claim: groups_claim.filter(|claim| !claim.is_empty())?,
            roles_of: roles_of?,
        },
        connection: IssuerConnection {
            issuer,
            jwks_uri,
            introspection: None,
            sign_in: Some(SignInClient {
                authorization_endpoint,
                token_endpoint,
                client_id,
                secret_file: secret_file?,
            }),
        },
        ca_file,
    })
}

/// The scopes of a sign-in.
fn scopes(section: &mut Section<'_>) -> Option<Vec<String>> {
    let mut scopes = section.strings("scopes");
    if scopes.is_empty() {
        scopes = ["openid", "profile", "email"].map(str::to_owned).to_vec();
    }
    let good = scopes.iter().all(|scope| oauth::is_scope(scope));
    let open = scopes.iter().any(|scope| scope == "openid");
    let remedy = "write scopes = [\"openid\", \"email\", \"groups\"], with \"openid\" among them";
    section
        .hold("scopes", good && open, "this does not ask for an ID token", remedy)
        .then_some(scopes)
}

/// The roles of each group. Every group that gives a role is named.
fn roles_of(section: &mut Section<'_>) -> Option<BTreeMap<String, Vec<ConsoleRole>>> {
    let mut roles_of: BTreeMap<String, Vec<ConsoleRole>> = BTreeMap::new();
    let mut good = true;
    for (key, role) in [("auditor", ConsoleRole::Auditor), ("operator", ConsoleRole::Operator)] {
        let groups = section.strings(key);
        good &= section.hold(
            key,
            groups.len() <= GROUPS && groups.iter().all(|group| !group.is_empty()),
            "this is not a list of groups",
            &format!("name at most {GROUPS} groups: {key} = [\"security-audit\"]"),
        );
        for group in groups {
            let roles = roles_of.entry(group).or_default();
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
    }
    good &= section.hold(
        "auditor",
        !roles_of.is_empty(),
        "no group gives a role, so that no person could enter",
        "name the groups: auditor = [\"security-audit\"], operator = [\"on-call\"]",
    );
    good.then_some(roles_of)
}
