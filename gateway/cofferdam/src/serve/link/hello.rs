//! The first messages of a link: each end says its versions, role and environment, and judges those
//! of the other against the other's certificate. Then bytes pass, and no message is read any more.

use super::identity::{Identity, refusal};
use cofferdam_core::protocol::link::{Answer, Hello, LinkCode, LinkRefusal, LinkRole, Verdict};
use cofferdam_core::protocol::{VERSION, Version};
use rustls::AlertDescription;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The most bytes of a message: names, versions and one refusal.
const MESSAGE: usize = 8 * 1024;

/// The most characters of a refusal of the other end, for the log.
const SHOWN: usize = 600;

/// The hello of this end.
fn own_hello(own: &Identity) -> Hello {
    Hello {
        protocol: VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        role: own.role,
        environment: own.environment.clone(),
    }
}

/// Judges the hello of a peer with this certificate.
fn judge(peer: &Identity, hello: &Hello) -> Result<(), LinkRefusal> {
    if hello.role != peer.role {
        let why = format!(
            "the peer says that it is the {}, and its certificate is of `{peer}`; start the role \
             of the certificate",
            hello.role
        );
        return Err(refusal(LinkCode::LinkRole, why));
    }
    if hello.environment != peer.environment {
        let why = format!(
            "the peer says that its environment is `{}`, and its certificate is of `{peer}`; give \
             it the trust file of this environment",
            shown(&hello.environment)
        );
        return Err(refusal(LinkCode::LinkEnvironment, why));
    }
    if !VERSION.works_with(hello.protocol) {
        let why = format!(
            "this end is Cofferdam {} with protocol {VERSION}, the other is {} with {}; install \
             versions whose protocols differ by one minor number at most, one step after the \
             other",
            env!("CARGO_PKG_VERSION"),
            shown(&hello.program),
            hello.protocol
        );
        return Err(refusal(LinkCode::LinkVersion, why));
    }
    Ok(())
}

/// A text of the other end, bounded and without control characters.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).flat_map(char::escape_debug).collect()
}

/// Greets the peer that this end connected to. `peer` is the identity of its certificate.
///
/// # Errors
/// One of the ends refuses the other.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    own: &Identity,
    peer: &Identity,
    wanted: LinkRole,
) -> Result<(), LinkRefusal> {
    if peer.role != wanted {
        let why = format!(
            "the certificate at this address is of `{peer}`, and a {wanted} is wanted; correct \
             the address in `[links]`"
        );
        return Err(refusal(LinkCode::LinkRole, why));
    }
    write(stream, &own_hello(own)).await?;
    let Answer { hello, refused } = read(stream).await?;
    if let Some(LinkRefusal { code, why }) = refused {
        return Err(refusal(code, format!("the other end refuses: {}", shown(&why))));
    }
    let judged = judge(peer, &hello);
    write(stream, &Verdict { refused: judged.clone().err() }).await?;
    judged
}

/// Answers a peer that connected to this end. `peer` is the identity of its certificate, or the
/// refusal of it; `barred` the refusal of this end that is of no peer's making.
///
/// # Errors
/// One of the ends refuses the other.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    own: &Identity,
    peer: Result<Identity, LinkRefusal>,
    accepts: &[LinkRole],
    barred: impl FnOnce(LinkRole) -> Option<LinkRefusal>,
) -> Result<LinkRole, LinkRefusal> {
    let hello: Hello = read(stream).await?;
    let judged = peer.and_then(|peer| {
        if !accepts.contains(&peer.role) {
            let why = format!(
                "a {} accepts no link of a {}; correct the address in `[links]` of the {}",
                own.role, peer.role, peer.role
            );
            return Err(refusal(LinkCode::LinkRole, why));
        }
        judge(&peer, &hello)?;
        barred(peer.role).map_or(Ok(peer.role), Err)
    });
    let answer = Answer { hello: own_hello(own), refused: judged.clone().err() };
    write(stream, &answer).await?;
    let role = judged?;
    match read(stream).await? {
        Verdict { refused: None } => Ok(role),
        Verdict { refused: Some(LinkRefusal { code, why }) } => {
            Err(refusal(code, format!("the other end refuses: {}", shown(&why))))
        }
    }
}

/// The refusal for an error of TLS or of the connection.
pub(super) fn of_error(error: &io::Error) -> LinkRefusal {
    use AlertDescription as Alert;
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let code = match of_tls {
        Some(
            rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::AlertReceived(
                Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::CertificateRequired
                | Alert::DecryptError,
            ),
        ) => LinkCode::LinkCertificate,
        _ => LinkCode::LinkHello,
    };
    let remedy = match code {
        LinkCode::LinkCertificate => {
            "; both ends need valid certificates of the same authority, see `cofferdam certificates`"
        }
        _ => "; correct the address in `[links]`, and look for a proxy between the two",
    };
    refusal(code, format!("{error}{remedy}"))
}

async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    message: &impl Serialize,
) -> Result<(), LinkRefusal> {
    let unsent = |error: &io::Error| of_error(error);
    let bytes = serde_json::to_vec(message).map_err(|error| unsent(&error.into()))?;
    let length = u16::try_from(bytes.len())
        .map_err(|_| refusal(LinkCode::LinkHello, "a first message is too long"))?;
    let whole = [&length.to_be_bytes()[..], &bytes].concat();
    stream.write_all(&whole).await.map_err(|error| unsent(&error))?;
    stream.flush().await.map_err(|error| unsent(&error))
}

async fn read<S: AsyncRead + Unpin, T: DeserializeOwned>(stream: &mut S) -> Result<T, LinkRefusal> {
    let length = usize::from(stream.read_u16().await.map_err(|error| of_error(&error))?);
    let unfit = |why: &str| refusal(LinkCode::LinkHello, format!("the other end {why}"));
    if length > MESSAGE {
        return Err(unfit(
            "began with a message that is too long; it is no link: correct the address",
        ));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(|error| of_error(&error))?;
    serde_json::from_slice(&bytes).map_err(|_| of_unread(&bytes))
}

/// The refusal of a message that this version cannot read: of another version, or of no link.
fn of_unread(bytes: &[u8]) -> LinkRefusal {
    /// What every version of a hello has, by itself or in an answer.
    #[derive(serde::Deserialize)]
    struct Versions {
        protocol: Option<Version>,
        hello: Option<Box<Versions>>,
    }
    let read: Option<Versions> = serde_json::from_slice(bytes).ok();
    let version = read.and_then(|read| read.protocol.or_else(|| read.hello?.protocol));
    match version {
        Some(version) if version != VERSION => {
            let why = format!(
                "the other end has protocol {version} and a word that protocol {VERSION} does not \
                 have; install the same version on both"
            );
            refusal(LinkCode::LinkVersion, why)
        }
        _ => refusal(
            LinkCode::LinkHello,
            "the other end sent a first message that cannot be read; it is no link: correct the \
             address",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(role: LinkRole) -> Identity {
        Identity { trust_domain: "cofferdam".to_owned(), environment: "e".to_owned(), role }
    }

    /// The outcome of both ends: of the one that greets, and of the one that answers.
    async fn both(
        peer: LinkRole,
        change: impl FnOnce(&mut Hello),
        barred: Option<LinkRefusal>,
    ) -> (Result<(), LinkCode>, Result<LinkRole, LinkCode>) {
        let (mut one, mut other) = tokio::io::duplex(64 * 1024);
        let own = identity(LinkRole::Recorder);
        let answering = tokio::spawn(async move {
            let accepts = [LinkRole::Gateway, LinkRole::Runner];
            answer(&mut other, &own, Ok(identity(peer)), &accepts, |_| barred).await
        });
        let mut hello = own_hello(&identity(peer));
        change(&mut hello);
        let greeted = async {
            write(&mut one, &hello).await?;
            let Answer { hello, refused } = read(&mut one).await?;
            let judged = judge(&identity(LinkRole::Recorder), &hello);
            match refused {
                Some(refused) => return Err(refused),
                None => write(&mut one, &Verdict { refused: judged.clone().err() }).await?,
            }
            judged
        };
        let greeted = greeted.await.map_err(|refused| refused.code);
        (greeted, answering.await.unwrap().map_err(|refused| refused.code))
    }

    #[tokio::test]
    async fn a_peer_is_what_its_certificate_says_and_of_a_role_that_is_accepted() {
        let plain = |_: &mut Hello| {};
        let (greeted, answered) = both(LinkRole::Runner, plain, None).await;
        assert_eq!((greeted, answered), (Ok(()), Ok(LinkRole::Runner)));
        let refused = |code: LinkCode| (Err(code), Err(code));
        assert_eq!(both(LinkRole::Viewer, plain, None).await, refused(LinkCode::LinkRole));
        let says_gateway = |hello: &mut Hello| hello.role = LinkRole::Gateway;
        assert_eq!(both(LinkRole::Runner, says_gateway, None).await, refused(LinkCode::LinkRole));
        let elsewhere = |hello: &mut Hello| hello.environment = "other".to_owned();
        assert_eq!(
            both(LinkRole::Runner, elsewhere, None).await,
            refused(LinkCode::LinkEnvironment)
        );
        let standby = refusal(LinkCode::LinkStandby, "it stands by");
        assert_eq!(
            both(LinkRole::Runner, plain, Some(standby)).await,
            refused(LinkCode::LinkStandby)
        );
    }

    #[tokio::test]
    async fn versions_that_differ_by_more_than_one_minor_are_refused_with_both_numbers() {
        for (minor, expect) in [(1, Ok(LinkRole::Runner)), (2, Err(LinkCode::LinkVersion))] {
            let newer = |hello: &mut Hello| hello.protocol.minor += minor;
            assert_eq!(both(LinkRole::Runner, newer, None).await.1, expect, "{minor}");
        }
        let mut hello = own_hello(&identity(LinkRole::Runner));
        hello.protocol = Version { major: 9, minor: 7 };
        let refused = judge(&identity(LinkRole::Runner), &hello).unwrap_err();
        assert!(refused.why.contains("9.7") && refused.why.contains("one minor"), "{refused}");
    }

    #[test]
    fn an_unknown_word_of_another_version_is_refused_as_a_version() {
        let newer = Version { major: VERSION.major, minor: VERSION.minor + 1 };
        let hello = |protocol: Version| {
            serde_json::json!({"protocol": protocol, "program": "9", "role": "witness",
                "environment": "e"})
        };
        for message in [hello(newer), serde_json::json!({"hello": hello(newer)})] {
            let refused = of_unread(message.to_string().as_bytes());
            assert_eq!(refused.code, LinkCode::LinkVersion, "{refused}");
        }
        let refused = of_unread(hello(VERSION).to_string().as_bytes());
        assert_eq!(refused.code, LinkCode::LinkHello, "{refused}");
    }

    #[tokio::test]
    async fn a_stranger_that_speaks_something_else_is_no_link() {
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 2, b'{', b'}'], &[0, 1, b'x'], &[0]] {
            let (mut one, mut other) = tokio::io::duplex(1024);
            one.write_all(bytes).await.unwrap();
            drop(one);
            let own = identity(LinkRole::Recorder);
            let peer = Ok(identity(LinkRole::Gateway));
            let answered = answer(&mut other, &own, peer, &[LinkRole::Gateway], |_| None).await;
            assert_eq!(answered.unwrap_err().code, LinkCode::LinkHello, "{bytes:?}");
        }
    }
}
