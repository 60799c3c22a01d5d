//! The address of a gateway's MCP endpoint, from the command line or the configuration. Never
//! connects.

use crate::config::Config;
use crate::config::home::Home;
use anyhow::Result;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// The path of the MCP endpoint.
const ENDPOINT: &str = "/mcp";

/// An address such as `http://127.0.0.1:8620/mcp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayUrl {
    /// True for `https`.
    pub tls: bool,
    /// The host, with the port if the address names one.
    pub authority: String,
    /// The path, `/mcp` unless the address names another.
    pub path: String,
}

impl GatewayUrl {
    /// The given address, or the address in the configuration of this home.
    ///
    /// # Errors
    /// The configuration cannot be read.
    pub fn find(given: Option<Self>, home: &Home) -> Result<Self> {
        match given {
            Some(given) => Ok(given),
            None => {
                let edge = Config::read(home)?.edge;
                let url = Self::of_edge(edge.listen);
                match edge.tls {
                    None => Ok(url),
                    Some(_) => Ok(url.secured(edge.hosts.first(), edge.listen.port())),
                }
            }
        }
    }

    /// The given address, or the address of this home's edge for a bridge on the same machine, and
    /// its certificate if it has TLS. No name of another machine is needed for it.
    ///
    /// # Errors
    /// The configuration cannot be read.
    pub fn find_near(given: Option<Self>, home: &Home) -> Result<(Self, Option<PathBuf>)> {
        if let Some(given) = given {
            return Ok((given, None));
        }
        let edge = Config::read(home)?.edge;
        let url = Self { tls: edge.tls.is_some(), ..Self::of_edge(edge.listen) };
        Ok((url, edge.tls.map(|tls| tls.certificate)))
    }

    /// The address for clients on the machine of an edge. An edge that listens on all addresses is
    /// reached by loopback.
    pub fn of_edge(listen: SocketAddr) -> Self {
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let authority = SocketAddr::new(ip, listen.port()).to_string();
        Self { tls: false, authority, path: ENDPOINT.to_owned() }
    }

    /// The same address with TLS: by the first configured host, because a certificate has a name.
    fn secured(self, host: Option<&String>, port: u16) -> Self {
        let named = host.map(|host| match host.rsplit_once(':') {
            Some((_, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => host.clone(),
            _ => format!("{host}:{port}"),
        });
        Self { tls: true, authority: named.unwrap_or(self.authority), path: self.path }
    }

    /// Parses an address. An address without a path means `/mcp`.
    ///
    /// # Errors
    /// The text is not an address of a gateway; the error says the form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "write it as `http://127.0.0.1:8620/mcp`";
        let (tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(format!("the address has no `http://` or `https://`; {form}")),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let plain = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_graphic() && !b"@?#\\\"'`<>{}$".contains(&byte))
        };
        if authority.is_empty() || !plain(authority) || !plain(path) {
            return Err(format!("the address needs a host, a port and a path alone; {form}"));
        }
        let path = if path.is_empty() || path == "/" { ENDPOINT } else { path };
        Ok(Self { tls, authority: authority.to_owned(), path: path.to_owned() })
    }

    /// The host and the port to connect to.
    pub fn target(&self) -> String {
        let bare = self.authority.rsplit_once(']').map_or(self.authority.as_str(), |(_, end)| end);
        let port = if self.tls { 443 } else { 80 };
        match bare.contains(':') {
            true => self.authority.clone(),
            false => format!("{}:{port}", self.authority),
        }
    }

    /// The host alone: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        match self.authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => self.authority.split(':').next().unwrap_or_default(),
        }
    }

    /// The path of another endpoint of the same gateway, also behind a proxy with a prefix.
    pub fn beside(&self, path: &str) -> String {
        let prefix = self.path.strip_suffix(ENDPOINT).unwrap_or(&self.path);
        format!("{}{path}", prefix.trim_end_matches('/'))
    }

    /// The same server with another path.
    pub fn at(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.authority)
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.at(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_whole_or_refused() {
        for (given, shown, target) in [
            ("http://127.0.0.1:8620/mcp", "http://127.0.0.1:8620/mcp", "127.0.0.1:8620"),
            ("http://[::1]:8620", "http://[::1]:8620/mcp", "[::1]:8620"),
            ("http://[::1]/", "http://[::1]/mcp", "[::1]:80"),
            (
                "https://ops.example.com/x/mcp",
                "https://ops.example.com/x/mcp",
                "ops.example.com:443",
            ),
        ] {
            let url = GatewayUrl::parse(given).unwrap();
            assert_eq!((url.to_string().as_str(), url.target().as_str()), (shown, target));
        }
        for given in [
            "",
            "127.0.0.1:8620",
            "ftp://a/mcp",
            "http://",
            "http:///mcp",
            "http://u:p@h/mcp",
            "http://h/mcp?token=x",
            "http://h/a b",
            "http://h\r\nx/mcp",
            "http://h/\"",
        ] {
            let told = GatewayUrl::parse(given).unwrap_err();
            assert!(told.contains("http://127.0.0.1:8620/mcp"), "{given}: {told}");
        }
    }

    #[test]
    fn the_other_endpoints_are_beside_the_one_of_mcp() {
        for (given, host, path) in [
            ("https://ops.example.com", "ops.example.com", "/v1/approvals"),
            ("https://ops.example.com:8620/mcp", "ops.example.com", "/v1/approvals"),
            ("https://[::1]:8620/x/mcp", "::1", "/x/v1/approvals"),
            ("https://10.0.0.7/x/", "10.0.0.7", "/x/v1/approvals"),
        ] {
            let url = GatewayUrl::parse(given).unwrap();
            assert_eq!((url.host(), url.beside("/v1/approvals").as_str()), (host, path));
        }
    }

    #[test]
    fn an_edge_on_all_addresses_is_reached_by_loopback() {
        for (listen, url) in [
            ("127.0.0.1:8620", "http://127.0.0.1:8620/mcp"),
            ("0.0.0.0:9", "http://127.0.0.1:9/mcp"),
            ("[::]:9", "http://[::1]:9/mcp"),
            ("10.0.0.7:9", "http://10.0.0.7:9/mcp"),
        ] {
            assert_eq!(GatewayUrl::of_edge(listen.parse().unwrap()).to_string(), url);
        }
        let secured = |host: Option<&str>| {
            let url = GatewayUrl::of_edge("0.0.0.0:8620".parse().unwrap());
            url.secured(host.map(str::to_owned).as_ref(), 8620).to_string()
        };
        assert_eq!(secured(None), "https://127.0.0.1:8620/mcp");
        assert_eq!(secured(Some("gate.example.com")), "https://gate.example.com:8620/mcp");
        assert_eq!(secured(Some("gate.example.com:443")), "https://gate.example.com:443/mcp");
        assert_eq!(secured(Some("[fd00::1]")), "https://[fd00::1]:8620/mcp");
    }
}
