//! The address of a client behind trusted proxies, from `Forwarded` (RFC 7239) or `X-Forwarded-For`.
//! Both headers are read from the right: each trusted proxy adds the address that it was called
//! from, and anything before the first other address is the client's own word. Believes no header of
//! a peer that is not trusted.

use crate::host_origin::is_local;
use cofferdam_core::model::cidr::Block;
use hyper::HeaderMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A client whose address the proxy does not tell: one for all.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its address: of the peer, or as a trusted proxy names it.
    pub address: IpAddr,
    /// True if the peer itself is on this machine and is no trusted proxy. A header never says so:
    /// its address may be the client's own word.
    pub is_local: bool,
}

/// The trusted proxies.
#[derive(Debug, Default)]
pub struct Proxies(Vec<Block>);

impl Proxies {
    /// Trusts these blocks of addresses.
    pub fn new(blocks: Vec<Block>) -> Self {
        Self(blocks)
    }

    /// Returns whether this peer is a trusted proxy.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|block| block.holds(peer.to_canonical()))
    }

    /// Returns the client: the peer, or the client that a trusted peer names.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        if self.trusts(peer) {
            Client { address: self.named(peer, headers), is_local: false }
        } else {
            Client { address: peer, is_local: is_local(peer) }
        }
    }

    /// The address that a trusted peer names; its own if it names none.
    fn named(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let forwarded = elements(headers, "forwarded").map(|list| self.last(list.map(of_element)));
        let plain = elements(headers, "x-forwarded-for")
            .map(|list| self.last(list.map(|text| address(&text))));
        match (forwarded, plain) {
            (None, None) => peer,
            (Some(client), None) | (None, Some(client)) => client,
            (Some(client), Some(same)) if client == same => client,
            // The proxy passed on one header of the client, and which one is not known.
            (Some(_), Some(_)) => UNKNOWN,
        }
    }

    /// The right-most address that is not trusted; else the left-most.
    fn last(&self, list: impl DoubleEndedIterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = UNKNOWN;
        for address in list.rev() {
            client = address.unwrap_or(UNKNOWN);
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

/// The elements of all copies of a header, in order. `None` without the header.
fn elements(
    headers: &HeaderMap,
    name: &str,
) -> Option<impl DoubleEndedIterator<Item = String> + use<>> {
    let copies: Vec<String> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    (!copies.is_empty()).then(|| split(&copies.join(","), ',').into_iter())
}

/// Splits at a mark outside of quotation marks.
fn split(text: &str, mark: char) -> Vec<String> {
    let (mut parts, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for letter in text.chars() {
        if letter == mark && !quoted {
            parts.push(String::new());
            continue;
        }
        quoted ^= letter == '"' && !escaped;
        escaped = quoted && letter == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts
}

/// The address in an element of `Forwarded`: `for=192.0.2.1;proto=https`.
fn of_element(element: String) -> Option<IpAddr> {
    let pairs = split(&element, ';');
    let mut named = pairs.iter().filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    });
    let value = named.next()?;
    named.next().is_none().then(|| address(value)).flatten()
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:80`, also
/// between quotation marks. Any other name, such as `unknown`, is no address.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address: Option<IpAddr> = bare.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|place| place.ip());
    address.or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    #[test]
    fn the_right_most_address_that_is_not_trusted_is_the_client() {
        let block = |text| Block::parse(text).unwrap();
        let proxies = Proxies::new(vec![block("10.0.0.0/8"), block("127.0.0.1/32")]);
        let check = |peer: &str, lines: &[(&str, &str)], expected: &str| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                let name: HeaderName = name.parse().unwrap();
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            let client = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(client.address.to_string(), expected, "{peer} {headers:?}");
            let trusted = proxies.trusts(peer.parse().unwrap());
            assert!(!client.is_local || !trusted, "local by a header: {peer} {headers:?}");
        };
        let x = "x-forwarded-for";
        let f = "forwarded";
        check("192.0.2.9", &[(x, "127.0.0.1")], "192.0.2.9");
        check("127.0.0.2", &[(f, "for=192.0.2.1")], "127.0.0.2");
        check("127.0.0.1", &[], "127.0.0.1");
        check("127.0.0.1", &[(x, "192.0.2.1")], "192.0.2.1");
        check("::ffff:127.0.0.1", &[(x, "192.0.2.1")], "192.0.2.1");
        check("127.0.0.1", &[(x, "127.0.0.1, 192.0.2.1")], "192.0.2.1");
        check("127.0.0.1", &[(x, "203.0.113.1, 192.0.2.1, 10.1.2.3")], "192.0.2.1");
        check("127.0.0.1", &[(x, "203.0.113.1"), (x, "192.0.2.1:4711")], "192.0.2.1");
        check("127.0.0.1", &[(x, "10.0.0.1, 10.0.0.2")], "10.0.0.1");
        check("127.0.0.1", &[(x, "2001:db8::1")], "2001:db8::1");
        check("127.0.0.1", &[(x, "[2001:db8::1]:80")], "2001:db8::1");
        check("127.0.0.1", &[(x, "::ffff:192.0.2.1")], "192.0.2.1");
        check("127.0.0.1", &[(x, "192.0.2.1, localhost")], "0.0.0.0");
        check("127.0.0.1", &[(x, "")], "0.0.0.0");
        check("127.0.0.1", &[(f, "for=192.0.2.1")], "192.0.2.1");
        check("127.0.0.1", &[(f, "for=1.2.3.4, For=\"192.0.2.1:80\";proto=https")], "192.0.2.1");
        check("127.0.0.1", &[(f, "proto=http;for=\"[2001:db8::7]:443\"")], "2001:db8::7");
        check("127.0.0.1", &[(f, "for=1.2.3.4;by=\"a,for=5.6.7.8\"")], "1.2.3.4");
        check("127.0.0.1", &[(f, "for=192.0.2.1, for=unknown")], "0.0.0.0");
        check("127.0.0.1", &[(f, "for=192.0.2.1;for=127.0.0.1")], "0.0.0.0");
        check("127.0.0.1", &[(f, "proto=https")], "0.0.0.0");
        check("127.0.0.1", &[(f, "for=192.0.2.1"), (x, "192.0.2.1")], "192.0.2.1");
        check("127.0.0.1", &[(f, "for=127.0.0.1"), (x, "192.0.2.1")], "0.0.0.0");
        check("127.0.0.1", &[(x, "127.0.0.5")], "127.0.0.5");
        check("127.0.0.1", &[(f, "for=\"[::1]\"")], "::1");
        check("10.0.0.1", &[(x, "127.0.0.1")], "127.0.0.1");
        check("10.0.0.1", &[], "10.0.0.1");
    }

    #[test]
    fn only_a_peer_that_is_no_proxy_is_local() {
        let proxies = Proxies::new(vec![Block::parse("127.0.0.1/32").unwrap()]);
        let local = |peer: &str| proxies.client(peer.parse().unwrap(), &HeaderMap::new()).is_local;
        assert!(local("127.0.0.2") && local("::1") && local("::ffff:127.0.0.2"));
        assert!(!local("127.0.0.1") && !local("::ffff:127.0.0.1") && !local("192.0.2.1"));
    }
}
