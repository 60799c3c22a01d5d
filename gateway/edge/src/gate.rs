//! Who may knock: the Host a request is for and the Origin of the page it comes from. Against DNS rebinding and foreign pages; not a
//! substitute for tokens.

use crate::deny::Deny;
use crate::header::{excerpt, single};
use crate::settings::EdgeSettings;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use std::net::IpAddr;

/// Names under which the machine itself is reached.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The request must be for a host we answer for: loopback, or configured.
pub fn host(parts: &Parts, settings: &EdgeSettings) -> Result<(), Deny> {
    let header = single(&parts.headers, "host")?.ok_or(Deny::BadHeader { name: "host", fault: "is missing" })?;
    let named = parts.uri.authority().map(Authority::as_str);
    for host in std::iter::once(header).chain(named) {
        if !answers_for(host, &settings.hosts) {
            return Err(Deny::Host(excerpt(host)));
        }
    }
    Ok(())
}

fn answers_for(host: &str, configured: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if host.contains('@') {
        return false;
    }
    let is = |name: &str| authority.host().eq_ignore_ascii_case(name);
    LOOPBACK.iter().any(|name| is(name)) || configured.iter().any(|allowed| host.eq_ignore_ascii_case(allowed) || is(allowed))
}

/// A page that calls must be one of ours; programs send no Origin.
pub fn origin(parts: &Parts, settings: &EdgeSettings) -> Result<(), Deny> {
    match single(&parts.headers, "origin")? {
        None => Ok(()),
        Some(origin) if is_loopback_origin(origin) || settings.origins.iter().any(|allowed| allowed == origin) => Ok(()),
        Some(origin) => Err(Deny::Origin(excerpt(origin))),
    }
}

fn is_loopback_origin(origin: &str) -> bool {
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|host| !host.contains(['/', '?', '#']) && answers_for(host, &[]))
}

/// Whether a peer is on this machine, an IPv4 address in IPv6 form included.
pub fn is_local(client: IpAddr) -> bool {
    client.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_configured_hosts() {
        let configured = ["gate.example.com".to_owned(), "pinned.example.com:8443".to_owned()];
        let check = |host: &str, expect: bool| assert_eq!(answers_for(host, &configured), expect, "{host}");
        for good in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:7780",
            "[::1]:7780",
            "gate.example.com",
            "Gate.Example.com:443",
            "pinned.example.com:8443",
        ] {
            check(good, true);
        }
        for bad in [
            "",
            "evil.example.com",
            "127.0.0.1.evil.com",
            "localhost.",
            "localhost.evil.com",
            "127.0.0.2",
            "a@localhost",
            "localhost@evil.com",
            "pinned.example.com",
            "pinned.example.com:80",
            "::1",
            "localhost, evil.com",
            "localhost/x",
            "0.0.0.0",
            "2130706433",
        ] {
            check(bad, false);
        }
    }

    #[test]
    fn only_loopback_origins_without_configuration() {
        let check = |origin: &str, expect: bool| assert_eq!(is_loopback_origin(origin), expect, "{origin}");
        for good in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080"] {
            check(good, true);
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
        ] {
            check(bad, false);
        }
    }
}
