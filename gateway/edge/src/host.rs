//! A host and a port, as `Host`, `Origin` and the configuration write them. Each spelling is read
//! in one way or not at all. Looks up no name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The ports that a client leaves out, of `http` and of `https`.
const DEFAULT_PORTS: [u16; 2] = [80, 443];

/// A host with an optional port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    name: Name,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// An address. An IPv4 address in IPv6 form is that IPv4 address.
    Address(IpAddr),
    /// A name in lower case, without the dot of the root at its end.
    Dns(String),
}

impl Place {
    /// Reads `name`, `name:port`, `name:` and the same with an address. Returns `None` for another
    /// form.
    pub fn read(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                (Name::Address(IpAddr::V6(address).to_canonical()), after)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (name, after) = text.split_at_checked(end)?;
                (Name::read(name)?, after)
            }
        };
        Some(Self { name, port: read_port(port)? })
    }

    /// Returns whether this is the machine itself, in any spelling.
    pub fn is_loopback(&self) -> bool {
        match &self.name {
            Name::Address(address) => address.is_loopback(),
            Name::Dns(name) => name == "localhost",
        }
    }

    /// Returns whether this configured place includes the asked one: the same host, and the same
    /// port if the configuration has one. A client may leave out the default port of a scheme.
    pub fn covers(&self, asked: &Self) -> bool {
        let port = match (self.port, asked.port) {
            (None, _) => true,
            (Some(port), None) => DEFAULT_PORTS.contains(&port),
            (port, asked) => port == asked,
        };
        port && self.name == asked.name
    }

    /// Adds this port if there is none.
    #[must_use]
    pub fn or_port(self, port: u16) -> Self {
        Self { port: self.port.or(Some(port)), ..self }
    }

    /// The host in the form of `hosts` in the configuration, without a port.
    pub fn key(&self) -> String {
        match &self.name {
            Name::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Name::Address(address) => address.to_string(),
            Name::Dns(name) => name.clone(),
        }
    }
}

impl Name {
    fn read(text: &str) -> Option<Self> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(letter) || name.split('.').any(str::is_empty) {
            return None;
        }
        // As in the URL standard, a name whose last part is a number is an IPv4 address or an
        // error.
        let last = name.rsplit('.').next().unwrap_or_default();
        let number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
        if number { ipv4(&name).map(Self::Address) } else { Some(Self::Dns(name)) }
    }
}

/// Reads `127.0.0.1`, `127.1`, `2130706433` and `0x7f.1`, as browsers and the C library do. A part
/// with a leading zero is octal to some readers and decimal to others, so it is not read.
fn ipv4(text: &str) -> Option<IpAddr> {
    let parts: Vec<u32> = text.split('.').map(part).collect::<Option<_>>()?;
    let (last, before) = parts.split_last()?;
    // The last part fills the bytes that the other parts do not.
    let left = u32::try_from(4_usize.checked_sub(before.len())?).ok()?;
    if u64::from(*last) >= 1_u64.checked_shl(8 * left)? {
        return None;
    }
    let mut value = 0_u32;
    for byte in before {
        value = (value << 8) | u32::from(u8::try_from(*byte).ok()?);
    }
    let high = value.checked_shl(8 * left).unwrap_or(0);
    Some(IpAddr::V4(Ipv4Addr::from(high | last)))
}

fn part(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u32::from_str_radix(hex, 16).ok()
        }
        Some(_) => None,
        None if text.len() > 1 && text.starts_with('0') => None,
        None => text.parse().ok(),
    }
}

/// Reads the rest after a name: nothing, `:`, or `:` and digits. No other form is a port.
fn read_port(text: &str) -> Option<Option<u16>> {
    let Some(digits) = text.strip_prefix(':') else { return text.is_empty().then_some(None) };
    if digits.is_empty() {
        return Some(None);
    }
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_loopback_and_no_other_host() {
        let check = |text: &str, expect: bool| {
            let loopback = Place::read(text).is_some_and(|place| place.is_loopback());
            assert_eq!(loopback, expect, "{text}");
        };
        for good in [
            "localhost",
            "LOCALHOST:80",
            "localhost.",
            "localhost.:7780",
            "localhost:",
            "127.0.0.1:7780",
            "127.0.0.1.",
            "127.0.0.2",
            "127.255.255.254",
            "127.1",
            "127.0.1:80",
            "127.256",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "[::1]:7780",
            "[0:0:0:0:0:0:0:1]",
            "[::0001]",
            "[::ffff:127.0.0.1]:1",
            "[::FFFF:7f00:1]",
        ] {
            check(good, true);
        }
        for bad in [
            "",
            ".",
            ":80",
            "evil.example.com",
            "127.0.0.1.evil.com",
            "localhost.evil.com",
            "localhost..",
            "evil-localhost",
            "a@localhost",
            "localhost@evil.com",
            "localhost:80@evil.com",
            "localhost:x",
            "localhost:80:80",
            "localhost:+80",
            "localhost:65536",
            "localhost, evil.com",
            "localhost evil.com",
            "localhost/x",
            "local\u{e9}host",
            "::1",
            "[::1",
            "[::1]x",
            "[::1%25lo]",
            "[::2]",
            "0.0.0.0",
            "128.0.0.1",
            "0177.0.0.1",
            "127.0.0.01",
            "127.0.0.0.1",
            "127.16777216",
            "127.0.0.256",
            "4294967296",
            "0x",
            "1.127",
        ] {
            check(bad, false);
        }
    }

    #[test]
    fn configured_places_cover_what_clients_write() {
        let check = |configured: &str, asked: &str, expect: bool| {
            let read = |text: &str| Place::read(text).unwrap();
            assert_eq!(read(configured).covers(&read(asked)), expect, "{configured} {asked}");
        };
        check("gate.example.com", "gate.example.com:8620", true);
        check("gate.example.com", "Gate.Example.COM.:443", true);
        check("Gate.Example.com.", "gate.example.com", true);
        check("gate.example.com:443", "gate.example.com", true);
        check("gate.example.com:80", "gate.example.com", true);
        check("gate.example.com:8443", "gate.example.com:8443", true);
        check("gate.example.com:8443", "gate.example.com", false);
        check("gate.example.com:8443", "gate.example.com:443", false);
        check("gate.example.com", "agate.example.com", false);
        check("[fd00::1]", "[fd00:0:0:0::1]:8620", true);
        check("10.1.2.3", "10.1.2.3:8620", true);
        check("10.1.2.3", "[::ffff:10.1.2.3]:8620", true);
    }
}
