//! Links that peers open: bounded in number for each role, and in number and time before a
//! certificate is known.

use super::Shared;
use super::hello;
use super::identity::{End, refusal};
use super::log::Log;
use super::relay::relay;
use super::unknown::Unknown;
use cofferdam_core::protocol::link::{LinkCode, LinkRefusal, LinkRole, Linked};
use cofferdam_process::tcp;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::collections::BTreeMap;
use std::future::Future;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The roles with the most links that are up at once: runners on dozens of hosts, dozens of gateways,
/// few couriers, and telemetry. One role never takes the places of another.
const MOST: [(LinkRole, usize); 6] = [
    (LinkRole::Runner, 512),
    (LinkRole::Gateway, 128),
    (LinkRole::Courier, 16),
    (LinkRole::Recorder, 16),
    (LinkRole::Viewer, 64),
    (LinkRole::Reaper, 16),
];

/// The free places for links of each role.
type Places = BTreeMap<LinkRole, Arc<Semaphore>>;

/// The pause after a failed accept, usually because no descriptor is free.
const PAUSE: Duration = Duration::from_millis(50);

/// A link that is up: it passes bytes until its end.
pub(super) type Link = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Accepts links for ever. Passes on each that is up.
pub(super) async fn all(
    listener: TcpListener,
    shared: Arc<Shared>,
    accepted: mpsc::UnboundedSender<Link>,
) {
    let links = MOST.map(|(role, most)| (role, Arc::new(Semaphore::new(most))));
    let links = Arc::new(Places::from(links));
    let (unknown, log) = (Arc::new(Unknown::default()), Arc::new(Log::default()));
    loop {
        let (stream, address) = match listener.accept().await {
            Ok((stream, address)) => (stream, address.ip()),
            Err(error) => {
                tracing::debug!(%error, "a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let place = match unknown.take(address) {
            Ok(place) => place,
            Err(refused) => {
                log.say(address, &refused);
                continue;
            }
        };
        let (shared, accepted) = (Arc::clone(&shared), accepted.clone());
        let (links, said) = (Arc::clone(&links), Arc::clone(&log));
        let number = place.number();
        let opening = tokio::spawn(async move {
            match open(&shared, stream, &links).await {
                // Without a receiver the link ends.
                Ok(made) => drop(accepted.send(Box::pin(pass(shared, made)))),
                Err(refused) => said.say(address, &refused),
            }
            drop(place);
        });
        if let Some((address, refused)) = unknown.opening(number, opening.abort_handle()) {
            log.say(address, &refused);
        }
    }
}

/// A connection whose both ends accepted each other.
struct Made {
    stream: TlsStream<TcpStream>,
    chain: Vec<CertificateDer<'static>>,
    peer: LinkRole,
    _place: OwnedSemaphorePermit,
}

async fn open(shared: &Shared, stream: TcpStream, links: &Places) -> Result<Made, LinkRefusal> {
    let slow = |_| {
        refusal(
            LinkCode::LinkHello,
            "the other end did not say who it is in time; look for a proxy between the two",
        )
    };
    timeout(shared.times.handshake, greet(shared, stream, links)).await.map_err(slow)?
}

async fn greet(shared: &Shared, stream: TcpStream, links: &Places) -> Result<Made, LinkRefusal> {
    tcp::between_hosts(&stream).map_err(|error| hello::of_error(&error))?;
    let material = shared.certificates.now();
    let mut stream = TlsAcceptor::from(Arc::clone(&material.server))
        .accept(stream)
        .await
        .map_err(|error| hello::of_error(&error))?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    // Also for a resumed session, whose certificates TLS does not check again.
    let peer = shared.own.of_peer(&chain, End::Client, &material.roots, UnixTime::now());
    let mut place = None;
    let barred = |role: LinkRole| {
        if !*shared.serving.borrow() {
            let why = format!("this {} stands by, starts or stops", shared.own.role);
            return Some(refusal(LinkCode::LinkStandby, why));
        }
        place = links.get(&role).and_then(|links| Arc::clone(links).try_acquire_owned().ok());
        let why =
            || format!("this end has as many links of a {role} as it takes; end some of them");
        place.is_none().then(|| refusal(LinkCode::LinkFull, why()))
    };
    let accepts = &shared.accepts;
    let peer = hello::answer(&mut stream, &shared.own, peer, accepts, barred).await?;
    let full = || refusal(LinkCode::LinkFull, "no place");
    Ok(Made { stream, chain, peer, _place: place.ok_or_else(full)? })
}

/// Hands the socket over, and passes the bytes of the link.
async fn pass(shared: Arc<Shared>, made: Made) {
    let Made { stream, chain, peer, _place } = made;
    let pair = StdStream::pair().and_then(|(ours, theirs)| {
        ours.set_nonblocking(true)?;
        Ok((UnixStream::from_std(ours)?, theirs))
    });
    let linked = Linked { process: None, peer };
    let handed = pair.and_then(|(ours, theirs)| shared.hand.hand(&linked, theirs).map(|()| ours));
    let ours = match handed {
        Ok(ours) => ours,
        Err(error) => return tracing::error!(%peer, %error, "a link cannot be handed over"),
    };
    let check = || {
        let (roots, now) = (&shared.certificates.now().roots, UnixTime::now());
        shared.own.of_peer(&chain, End::Client, roots, now).map(drop)
    };
    if let Err(refused) = relay(stream, ours, shared.times.recheck, check).await {
        tracing::warn!(what = "links", %peer, "the link is ended: {refused}");
    }
}
