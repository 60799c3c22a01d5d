//! Certificates and keys for tests, as PEM. `tls/make.sh` makes them again. The keys protect
//! nothing.

/// The authority that signed the others; another one signed [`STRANGER`].
pub const CA: &str = include_str!("../tls/ca.pem");

/// An authority that signed no server.
pub const OTHER_CA: &str = include_str!("../tls/other-ca.pem");

/// A certificate with its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: &'static str,
    /// The key.
    pub key: &'static str,
}

macro_rules! pair {
    ($name:literal) => {
        Pair {
            certificate: include_str!(concat!("../tls/", $name, ".pem")),
            key: include_str!(concat!("../tls/", $name, ".key")),
        }
    };
}

/// A server at `127.0.0.1`, `::1` and `localhost`.
pub const SERVER: Pair = pair!("server");

/// The same server with its next certificate and key.
pub const RENEWED: Pair = pair!("renewed");

/// A server at `elsewhere.example.com`.
pub const ELSEWHERE: Pair = pair!("elsewhere");

/// A client.
pub const CLIENT: Pair = pair!("client");

/// A client that another authority signed.
pub const STRANGER: Pair = pair!("stranger");
