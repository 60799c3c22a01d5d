//! The identity of an end of a link: the SPIFFE name of its certificate, in a URI. Checks a peer's
//! certificates against the authorities of this installation, and never believes a word of the peer.

use cofferdam_core::protocol::link::{LinkCode, LinkRefusal, LinkRole};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::fmt;
use webpki::{EndEntityCert, KeyUsage};

/// The certificate renewal that every certificate remedy names.
const RENEW: &str = "make a new one with `cofferdam certificates`, or by your certificate manager";

/// The name of an end: a role of one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The trust domain of the installation.
    pub trust_domain: String,
    /// The id of the environment.
    pub environment: String,
    /// The role.
    pub role: LinkRole,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust_domain, environment, role } = self;
        write!(f, "spiffe://{trust_domain}/{environment}/{role}")
    }
}

/// The end of a connection that showed a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It opened the connection.
    Client,
    /// It accepted the connection.
    Server,
}

impl Identity {
    /// Reads the name: `spiffe://TRUST-DOMAIN/ENVIRONMENT-ID/ROLE`, and nothing else.
    fn parse(uri: &str) -> Option<Self> {
        let mut parts = uri.strip_prefix("spiffe://")?.split('/');
        let (trust_domain, environment) = (parts.next()?, parts.next()?);
        let role = parts.next()?.parse().ok()?;
        let whole = parts.next().is_none() && !trust_domain.is_empty() && !environment.is_empty();
        let own = || (trust_domain.to_owned(), environment.to_owned());
        whole.then(own).map(|(trust_domain, environment)| Self { trust_domain, environment, role })
    }

    /// Checks a peer's certificates, the first of which is its own, and returns its identity: of
    /// this installation and environment, and any role.
    ///
    /// # Errors
    /// `link-certificate` and `link-environment`.
    pub(super) fn of_peer(
        &self,
        chain: &[CertificateDer<'_>],
        end: End,
        roots: &RootCertStore,
        now: UnixTime,
    ) -> Result<Self, LinkRefusal> {
        let peer = check(chain, end, roots, now)?;
        if peer.trust_domain != self.trust_domain {
            let why = format!(
                "the certificate is of `{peer}`, and this end has the trust domain `{}`; set \
                 `links.trust_domain` of both ends to the same, {RENEW}",
                self.trust_domain
            );
            return Err(refusal(LinkCode::LinkCertificate, why));
        }
        if peer.environment != self.environment {
            let why = format!(
                "the certificate is of `{peer}`, and this end is of the environment {}; each \
                 environment has certificates of its own",
                self.environment
            );
            return Err(refusal(LinkCode::LinkEnvironment, why));
        }
        Ok(peer)
    }

    /// Checks the own certificates of this end: they have to be of exactly this identity, and fit
    /// both ends of a connection.
    ///
    /// # Errors
    /// `link-certificate`, `link-environment` and `link-role`.
    pub(super) fn check_own(
        &self,
        chain: &[CertificateDer<'_>],
        roots: &RootCertStore,
        now: UnixTime,
    ) -> Result<(), LinkRefusal> {
        for end in [End::Client, End::Server] {
            let found = self.of_peer(chain, end, roots, now)?;
            if found.role != self.role {
                let why = format!(
                    "the certificate is of `{found}`, and this home is for the role {}; give it \
                     the certificate of its own role",
                    self.role
                );
                return Err(refusal(LinkCode::LinkRole, why));
            }
        }
        Ok(())
    }
}

/// A refusal with this code.
pub(super) fn refusal(code: LinkCode, why: impl Into<String>) -> LinkRefusal {
    LinkRefusal { code, why: why.into() }
}

/// Checks that an authority signed the certificate for this use, that it is valid now, and that it
/// has exactly one name of a role.
fn check(
    chain: &[CertificateDer<'_>],
    end: End,
    roots: &RootCertStore,
    now: UnixTime,
) -> Result<Identity, LinkRefusal> {
    let unfit = |why: String| refusal(LinkCode::LinkCertificate, format!("{why}; {RENEW}"));
    let Some((own, rest)) = chain.split_first() else {
        return Err(unfit("the other end showed no certificate".to_owned()));
    };
    let parsed = EndEntityCert::try_from(own)
        .map_err(|error| unfit(format!("the certificate cannot be read ({error})")))?;
    let usage = match end {
        End::Client => KeyUsage::client_auth(),
        End::Server => KeyUsage::server_auth(),
    };
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    parsed
        .verify_for_usage(algorithms.all, &roots.roots, rest, now, usage, None, None)
        .map_err(|error| unfit(format!("the certificate is not valid here ({error})")))?;
    // An authority of the installation alone could sign a further name that is no UTF-8: such a name
    // is not seen here, and is never read as a role.
    let names: Vec<&str> = parsed.valid_uri_names().collect();
    match names.as_slice() {
        [one] => Identity::parse(one).ok_or_else(|| {
            unfit(format!("the certificate's name `{}` is of no role", one.escape_debug()))
        }),
        _ => Err(unfit(format!("the certificate has {} names in URIs, not one", names.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_whole_or_not_at_all() {
        let check = |uri: &str, expect: Option<&str>| {
            let read = Identity::parse(uri).map(|own| own.to_string());
            assert_eq!(read.as_deref(), expect, "{uri}");
        };
        check("spiffe://cofferdam/0f0c/recorder", Some("spiffe://cofferdam/0f0c/recorder"));
        check("spiffe://corp.example/0f0c/runner", Some("spiffe://corp.example/0f0c/runner"));
        for uri in [
            "spiffe://cofferdam/0f0c/recorder/",
            "spiffe://cofferdam/0f0c/recorder/more",
            "spiffe://cofferdam/0f0c/guest",
            "spiffe://cofferdam/0f0c",
            "spiffe:///0f0c/recorder",
            "spiffe://cofferdam//recorder",
            "https://cofferdam/0f0c/recorder",
            "SPIFFE://cofferdam/0f0c/recorder",
            "",
        ] {
            check(uri, None);
        }
    }
}
