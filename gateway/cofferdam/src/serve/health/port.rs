//! Checks that the address of `serve` is free, or in use by the `serve` of this home.

use super::Findings;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

/// Checks the address. `ours`: the `serve` of this home listens on it.
pub fn port(listen: SocketAddr, ours: bool, found: &mut Findings) {
    if ours {
        found.good("port", format!("`cofferdam serve` listens on `{listen}`"));
        return;
    }
    match TcpListener::bind(listen) {
        Ok(_) => found.good("port", format!("`{listen}` is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let detail = format!("`{listen}` is taken by another program: {error}");
            found.bad(
                "port",
                detail,
                "end what listens there, or set `edge.listen` in cofferdam.toml",
            );
        }
        Err(error) => {
            let detail = format!("cannot listen on `{listen}`: {error}");
            let remedy = "set `edge.listen` in cofferdam.toml to an address of this machine and a \
                          port above 1023";
            found.bad("port", detail, remedy);
        }
    }
}
