//! The relying party of passkeys: the web address at which people reach the gateway. A browser
//! makes a passkey for one host, and signs the origin of the page into each assertion. Looks up no
//! name.

use std::fmt;

/// Most bytes of a host name (RFC 1035).
const HOST: usize = 253;

/// The origin of the gateway's pages, and the host in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    origin: String,
    host: usize,
}

/// An address for which no browser makes a passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RelyingPartyError {
    /// The scheme is not one under which browsers offer passkeys.
    #[error(
        "browsers offer passkeys on https:// pages alone, and on http://localhost; set `url` in `[edge]` to the https:// address at which people reach this server"
    )]
    Scheme,
    /// The host is an address, and browsers take names alone.
    #[error(
        "browsers make passkeys for host names, never for IP addresses; set `url` in `[edge]` to https://NAME"
    )]
    Address,
    /// The host or the port is not readable, or something follows them.
    #[error(
        "it is not https://NAME or https://NAME:PORT in lower case; set `url` in `[edge]` to one"
    )]
    Form,
}

impl RelyingParty {
    /// Reads an origin exactly as browsers write it: scheme, host in lower case, and a port that is
    /// not the scheme's own.
    ///
    /// # Errors
    /// No browser would make a passkey for it.
    pub fn read(origin: &str) -> Result<Self, RelyingPartyError> {
        let secure = origin.strip_prefix("https://");
        let rest = secure.or_else(|| origin.strip_prefix("http://"));
        let rest = rest.ok_or(RelyingPartyError::Scheme)?;
        if rest.starts_with('[') {
            return Err(RelyingPartyError::Address);
        }
        let (host, port) = match rest.split_once(':') {
            None => (rest, None),
            Some((host, port)) => (host, Some(port)),
        };
        if port.is_some_and(|port| !is_port(port, secure.is_some())) || !is_name(host) {
            return Err(RelyingPartyError::Form);
        }
        // The last label of a name is never a number (RFC 3696).
        if host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
            return Err(RelyingPartyError::Address);
        }
        if secure.is_none() && host != "localhost" {
            return Err(RelyingPartyError::Scheme);
        }
        Ok(Self { origin: origin.to_owned(), host: host.len() })
    }

    /// The origin of the pages: `https://gate.example.com`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Host and port, as the `Host` header has them.
    pub fn authority(&self) -> &str {
        self.origin.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// The id of the relying party: the host, without a port.
    pub fn id(&self) -> &str {
        let start = self.origin.find("://").map_or(0, |at| at + 3);
        self.origin.get(start..start + self.host).unwrap_or_default()
    }
}

impl fmt::Display for RelyingParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    host.len() <= HOST && host.split('.').all(is_label)
}

fn is_port(text: &str, secure: bool) -> bool {
    let own = if secure { "443" } else { "80" };
    !text.starts_with('0')
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok_and(|port| port > 0)
        && text != own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_browsers_write_it_or_not_at_all() {
        for (good, id) in [
            ("https://gate.example.com", "gate.example.com"),
            ("https://gate.example.com:8443", "gate.example.com"),
            ("http://localhost:8620", "localhost"),
            ("http://localhost", "localhost"),
            ("https://localhost", "localhost"),
            ("https://gate", "gate"),
        ] {
            let read = RelyingParty::read(good).unwrap();
            assert_eq!((read.id(), read.origin()), (id, good));
        }
        use RelyingPartyError::{Address, Form, Scheme};
        for (bad, expect) in [
            ("", Scheme),
            ("gate.example.com", Scheme),
            ("ftp://gate.example.com", Scheme),
            ("http://gate.example.com", Scheme),
            ("http://localhost.example.com", Scheme),
            ("HTTPS://gate.example.com", Scheme),
            ("https://127.0.0.1", Address),
            ("http://127.0.0.1:8620", Address),
            ("https://[::1]:8620", Address),
            ("https://", Form),
            ("https://Gate.example.com", Form),
            ("https://gate.example.com/", Form),
            ("https://gate.example.com.", Form),
            ("https://gate..com", Form),
            ("https://bob@gate.example.com", Form),
            ("https://gate.example.com:443", Form),
            ("https://gate.example.com:0", Form),
            ("https://gate.example.com:", Form),
            ("https://gate.example.com:99999", Form),
            ("https://g\u{e4}te.example.com", Form),
        ] {
            assert_eq!(RelyingParty::read(bad), Err(expect), "{bad}");
        }
    }
}
