//! The address of a server that a role connects to, read in one way or not at all: `https`, or
//! `http` on this machine. Looks up no name.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Most bytes of an address: many times more than the longest path in use.
const LONGEST: usize = 2_048;

/// An address of a server: scheme, host, port, path and query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebAddress {
    /// The address as it was written: an issuer is compared by it.
    text: String,
    place: Place,
    target: String,
}

/// Scheme, host and port: two addresses with an equal place are on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// True for `https`.
    pub secure: bool,
    /// The name in lower case, or the address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// An address that no role connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebAddressError {
    /// The scheme is neither `https` nor `http`.
    #[error("it does not begin with https://; write https://HOST/PATH")]
    Scheme,
    /// The scheme is `http`, and the host is not this machine.
    #[error(
        "http:// is for this machine alone, because others could read and change what is sent; \
         write https://"
    )]
    Plain,
    /// It has a user name.
    #[error("it has a user name; write https://HOST/PATH")]
    User,
    /// The host is not a name or an address.
    #[error("its host is not a name or an address; write https://HOST/PATH")]
    Host,
    /// The port is not a number from 1 to 65,535.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// It has a fragment.
    #[error("it has a fragment; leave out `#` and the text after it")]
    Fragment,
    /// It has a character that an address cannot have.
    #[error("it has a space, a character outside of ASCII or a sign that is not for addresses")]
    Character,
    /// It is too long.
    #[error("it has more than {LONGEST} characters")]
    Long,
}

impl WebAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// The address is not one that a role may connect to.
    pub fn read(text: &str) -> Result<Self, WebAddressError> {
        if text.len() > LONGEST {
            return Err(WebAddressError::Long);
        }
        if text.contains('#') {
            return Err(WebAddressError::Fragment);
        }
        let visible = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if !text.bytes().all(visible) {
            return Err(WebAddressError::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(WebAddressError::Scheme)?;
        let secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(WebAddressError::Scheme),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).ok_or(WebAddressError::Host)?;
        if authority.contains('@') {
            return Err(WebAddressError::User);
        }
        let (host, port) = split(authority)?;
        let port = match port {
            None => {
                if secure {
                    443
                } else {
                    80
                }
            }
            Some(digits) => number(digits).ok_or(WebAddressError::Port)?,
        };
        let place = Place { secure, host, port };
        if !secure && !place.is_loopback() {
            return Err(WebAddressError::Plain);
        }
        let target = match target.starts_with('/') {
            true => target.to_owned(),
            false => format!("/{target}"),
        };
        Ok(Self { text: text.to_owned(), place, target })
    }

    /// The address as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Path and query, as they are sent: at least `/`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path without the query and without `/` at its end.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default().trim_end_matches('/')
    }

    /// Another path at the same place.
    ///
    /// # Errors
    /// The new address would not be one.
    pub fn at(&self, path: &str) -> Result<Self, WebAddressError> {
        Self::read(&format!("{}{path}", self.place))
    }
}

impl Place {
    /// Returns whether this is the machine itself.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(|address| address.is_loopback())
    }

    /// The address, if the host is one: then no name has to be looked up.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The value of the header `Host`: with the port, unless it is the usual one.
    pub fn header(&self) -> String {
        let host = match self.address() {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.clone(),
        };
        if self.port == if self.secure { 443 } else { 80 } {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.header())
    }
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for WebAddress {
    type Error = WebAddressError;

    fn try_from(text: String) -> Result<Self, WebAddressError> {
        Self::read(&text)
    }
}

impl From<WebAddress> for String {
    fn from(address: WebAddress) -> Self {
        address.text
    }
}

/// Splits `host`, `host:port` and `[address]:port`.
fn split(authority: &str) -> Result<(String, Option<&str>), WebAddressError> {
    let (host, after) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(WebAddressError::Host)?;
            let address: Ipv6Addr = address.parse().map_err(|_| WebAddressError::Host)?;
            (address.to_string(), after)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (name, after) = authority.split_at_checked(end).ok_or(WebAddressError::Host)?;
            (named(name)?, after)
        }
    };
    match after.strip_prefix(':') {
        None if after.is_empty() => Ok((host, None)),
        None => Err(WebAddressError::Host),
        Some(port) => Ok((host, Some(port))),
    }
}

fn named(name: &str) -> Result<String, WebAddressError> {
    let name = name.to_ascii_lowercase();
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let formed = !name.is_empty()
        && name.bytes().all(letter)
        && name.split('.').all(|part| !part.is_empty());
    // A name whose last part is a number is an address to some readers: only four numbers are one.
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    let clear = !numeric || name.parse::<IpAddr>().is_ok();
    (formed && clear).then_some(name).ok_or(WebAddressError::Host)
}

fn number(digits: &str) -> Option<u16> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port > 0)
}

/// Encodes a value for a form (`application/x-www-form-urlencoded`).
pub fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            encoded.push(char::from(byte));
        } else if byte == b' ' {
            encoded.push('+');
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_one_way_or_not_at_all() {
        let good = |text: &str, place: &str, target: &str| {
            let address = WebAddress::read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((address.place().to_string().as_str(), address.target()), (place, target));
            assert_eq!(address.text(), text);
        };
        good("https://login.example.com", "https://login.example.com", "/");
        good("https://Login.Example.com:443/a/", "https://login.example.com", "/a/");
        good("https://login.example.com:8443/a?b=c", "https://login.example.com:8443", "/a?b=c");
        good("https://login.example.com?b=c", "https://login.example.com", "/?b=c");
        good("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443", "/");
        good("https://10.0.0.5/", "https://10.0.0.5", "/");
        good("http://127.0.0.1:9000/realms/a", "http://127.0.0.1:9000", "/realms/a");
        good("http://localhost/", "http://localhost", "/");
        good("http://[::1]/", "http://[::1]", "/");
        for (text, error) in [
            ("", WebAddressError::Scheme),
            ("login.example.com", WebAddressError::Scheme),
            ("HTTPS://login.example.com", WebAddressError::Scheme),
            ("file:///etc/passwd", WebAddressError::Scheme),
            ("http://login.example.com/", WebAddressError::Plain),
            ("http://10.0.0.5/", WebAddressError::Plain),
            ("http://localhost.example.com/", WebAddressError::Plain),
            ("https://a@login.example.com/", WebAddressError::User),
            ("https://a:b@login.example.com/", WebAddressError::User),
            ("https://", WebAddressError::Host),
            ("https:///path", WebAddressError::Host),
            ("https://a..b/", WebAddressError::Host),
            ("https://a.example.com./", WebAddressError::Host),
            ("https://[::1", WebAddressError::Host),
            ("https://[::1]x/", WebAddressError::Host),
            ("https://2130706433/", WebAddressError::Host),
            ("https://127.1/", WebAddressError::Host),
            ("https://0x7f.1/", WebAddressError::Host),
            ("https://a.0x7f/", WebAddressError::Host),
            ("https://a:b/", WebAddressError::Port),
            ("https://a:/", WebAddressError::Port),
            ("https://a:0/", WebAddressError::Port),
            ("https://a:+1/", WebAddressError::Port),
            ("https://a:65536/", WebAddressError::Port),
            ("https://a/#b", WebAddressError::Fragment),
            ("https://a/b c", WebAddressError::Character),
            ("https://a/\r\nHost: b", WebAddressError::Character),
            ("https://\u{e4}.example.com/", WebAddressError::Character),
            ("https://a\\b/", WebAddressError::Character),
        ] {
            assert_eq!(WebAddress::read(text), Err(error), "{text}");
        }
        let long = format!("https://a/{}", "x".repeat(LONGEST));
        assert_eq!(WebAddress::read(&long), Err(WebAddressError::Long));
    }

    #[test]
    fn another_path_stays_at_the_same_place() {
        let issuer = WebAddress::read("https://login.example.com:8443/realms/ops/").unwrap();
        assert_eq!(issuer.path(), "/realms/ops");
        let other = issuer.at("/.well-known/x").unwrap();
        assert_eq!(other.text(), "https://login.example.com:8443/.well-known/x");
        assert_eq!(other.place(), issuer.place());
        assert!(issuer.at(".evil.example.com/").is_err());
    }
}
