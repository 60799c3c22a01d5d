//! The check of the host and of the page's origin of a request, against DNS rebinding and foreign
//! pages. Never a substitute for tokens.

use crate::deny::Deny;
use crate::header::{excerpt, single};
use crate::host::Place;
use hyper::HeaderMap;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use std::net::IpAddr;

/// The configured hosts and origins, parsed once.
#[derive(Debug, Default)]
pub struct HostOrigin {
    hosts: Vec<Place>,
    origins: Vec<Origin>,
}

/// The origin of a page. An origin outside of the web is compared as text.
#[derive(Debug, PartialEq, Eq)]
enum Origin {
    Web { secure: bool, place: Place },
    Other(String),
}

impl HostOrigin {
    /// Parses `hosts` and `origins` of the settings. An entry that cannot be parsed allows no
    /// request.
    pub fn new(hosts: &[String], origins: &[String]) -> Self {
        let place = |host: &String| {
            let place = Place::read(host);
            if place.is_none() {
                tracing::warn!(
                    name = host,
                    "this entry of `hosts` is no host; write `name` or `name:port`"
                );
            }
            place
        };
        Self {
            hosts: hosts.iter().filter_map(place).collect(),
            origins: origins
                .iter()
                .map(|origin| Origin::read(origin.trim_end_matches('/')))
                .collect(),
        }
    }

    /// Checks that the request is for a host of this server: loopback, or configured.
    pub fn host(&self, parts: &Parts) -> Result<(), Deny> {
        let error = "is missing; name the host that this server is reached by";
        let missing = || Deny::BadHeader { name: "host", error: error.into() };
        let header = single(&parts.headers, "host")?.ok_or_else(missing)?;
        let named = parts.uri.authority().map(Authority::as_str);
        std::iter::once(header).chain(named).try_for_each(|host| self.answers_for(host))
    }

    /// Returns whether this is a name of this server for a client. The names of loopback are the
    /// same on every machine, so they count for clients on this machine alone.
    pub fn is_own(&self, server: &str, is_local: bool) -> bool {
        let loopback = Place::read(server).is_some_and(|place| place.is_loopback());
        self.answers_for(server).is_ok() && (!loopback || is_local)
    }

    fn answers_for(&self, host: &str) -> Result<(), Deny> {
        let Some(place) = Place::read(host) else {
            return Err(Deny::Host { host: excerpt(host), key: None });
        };
        if place.is_loopback() || self.hosts.iter().any(|ours| ours.covers(&place)) {
            return Ok(());
        }
        Err(Deny::Host { host: excerpt(host), key: Some(excerpt(&place.key())) })
    }

    /// Checks that the page of a request has an allowed origin. Programs send no origin.
    pub fn origin<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a str>, Deny> {
        let Some(text) = single(headers, "origin")? else { return Ok(None) };
        let origin = Origin::read(text);
        let ours = match &origin {
            Origin::Web { place, .. } if place.is_loopback() => true,
            origin => self.origins.contains(origin),
        };
        if ours { Ok(Some(text)) } else { Err(Deny::Origin(excerpt(text))) }
    }
}

impl Origin {
    fn read(text: &str) -> Self {
        let scheme = text.split_once("://").and_then(|(scheme, rest)| {
            let secure = scheme.eq_ignore_ascii_case("https");
            (secure || scheme.eq_ignore_ascii_case("http")).then_some((secure, rest))
        });
        let web = scheme.and_then(|(secure, rest)| {
            let place = Place::read(rest)?.or_port(if secure { 443 } else { 80 });
            Some(Self::Web { secure, place })
        });
        web.unwrap_or_else(|| Self::Other(text.to_owned()))
    }
}

/// Returns whether a peer is on this machine. An IPv4 address in IPv6 form counts as IPv4.
pub fn is_local(client: IpAddr) -> bool {
    client.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderValue, ORIGIN};

    fn allows(configured: &[&str], origin: &str) -> bool {
        let configured: Vec<String> = configured.iter().map(|text| (*text).to_owned()).collect();
        let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_str(origin).unwrap())]);
        HostOrigin::new(&[], &configured).origin(&headers).is_ok()
    }

    #[test]
    fn only_loopback_origins_without_configuration() {
        for good in [
            "http://localhost:3000",
            "https://127.0.0.1",
            "http://[::1]:8080",
            "HTTP://LocalHost",
            "http://[::ffff:127.0.0.1]",
            "http://localhost.:1",
        ] {
            assert!(allows(&[], good), "{good}");
        }
        for bad in [
            "null",
            "",
            "http://evil.example.com",
            "http://localhost.evil.com",
            "file://localhost",
            "localhost",
            "http://localhost/x",
            "http://x@localhost",
            "http://localhost?x",
            "http://localhost#x",
            "ftp://localhost",
        ] {
            assert!(!allows(&[], bad), "{bad}");
        }
    }

    #[test]
    fn a_name_of_loopback_is_own_for_clients_on_this_machine_alone() {
        let own = HostOrigin::new(&["gate.example.com:8620".to_owned()], &[]);
        let check = |server: &str, local: bool, expect: bool| {
            assert_eq!(own.is_own(server, local), expect, "{server} {local}");
        };
        check("gate.example.com:8620", false, true);
        check("GATE.example.com.:8620", true, true);
        check("gate.example.com:8621", false, false);
        check("gate.example.com", false, false);
        check("evil.example.com:8620", true, false);
        check("localhost:8620", true, true);
        check("127.1:1", true, true);
        check("localhost:8620", false, false);
        check("[::1]:8620", false, false);
        check("", true, false);
    }

    #[test]
    fn configured_origins_in_any_spelling() {
        let ours = ["https://agents.example.com", "http://Console.example.com:8080/", "app://desk"];
        for good in [
            "https://agents.example.com",
            "https://agents.example.com:443",
            "https://AGENTS.example.com.",
            "http://console.example.com:8080",
            "app://desk",
        ] {
            assert!(allows(&ours, good), "{good}");
        }
        for bad in [
            "http://agents.example.com",
            "https://agents.example.com:8443",
            "https://console.example.com:8080",
            "http://console.example.com",
            "https://agents.example.com.evil.com",
            "app://desk2",
            "null",
        ] {
            assert!(!allows(&ours, bad), "{bad}");
        }
    }
}
