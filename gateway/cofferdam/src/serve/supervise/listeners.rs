//! The addresses that `serve` listens on, before any role starts. Accepts no connection itself.

use crate::config::Config;
use anyhow::{Context as _, Result};
use cofferdam_core::protocol::link::LinkRole;
use std::net::{SocketAddr, TcpListener};

/// The listening sockets of a home.
pub(super) struct Listeners {
    /// For agents; `None` in a home without a gateway.
    pub edge: Option<TcpListener>,
    /// For links of peers; `None` if none opens one.
    pub links: Option<TcpListener>,
}

impl Listeners {
    /// Binds the addresses of this configuration.
    pub fn bind(config: &Config) -> Result<Self> {
        let edge = &config.edge;
        let faces = config.has_role(LinkRole::Gateway);
        let own = faces.then(|| listen(edge.listen, "edge.listen")).transpose()?;
        if faces {
            if let (None, Some(proxy)) = (&edge.tls, &edge.behind_proxy) {
                tracing::info!(address = %edge.listen, "plain HTTP, behind `{proxy}`");
            }
            if let Some(warning) = edge.shared_address() {
                tracing::warn!(what = "edge.trusted_proxies", "{warning}");
            }
        }
        let address = config.links.as_ref().and_then(|links| links.listen);
        let links = address.map(|address| listen(address, "links.listen")).transpose()?;
        Ok(Self { edge: own, links })
    }
}

fn listen(address: SocketAddr, key: &str) -> Result<TcpListener> {
    TcpListener::bind(address).with_context(|| {
        format!(
            "cannot listen on `{address}`; end what listens there, or set `{key}` in \
             cofferdam.toml"
        )
    })
}
