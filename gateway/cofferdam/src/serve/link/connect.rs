//! Links to peers: for each process and peer one, made again whenever it is lost. Addresses are
//! tried in order, beginning with the last good one of any process, with a pause of random length
//! between two rounds.

use super::Shared;
use super::hello;
use super::identity::{End, Identity, refusal};
use super::relay::relay;
use cofferdam_core::protocol::link::{LinkCode, LinkRefusal, LinkRole, Linked};
use cofferdam_process::tcp;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A link that was up this long is made again without a longer pause.
const SETTLED: Duration = Duration::from_secs(10);

/// A connection whose both ends accepted each other.
pub(super) struct Made {
    stream: TlsStream<TcpStream>,
    chain: Vec<CertificateDer<'static>>,
}

/// The reason why an address gives no link.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// No connection was made.
    #[error("it cannot be reached ({0}); start its host, open the port, or correct the address")]
    Unreached(io::Error),
    /// One end refused the other.
    #[error("{0}")]
    Refused(#[from] LinkRefusal),
}

impl Failed {
    fn code(&self) -> Option<LinkCode> {
        match self {
            Self::Unreached(_) => None,
            Self::Refused(refused) => Some(refused.code),
        }
    }

    /// What tells one cause from another one, for the log.
    fn cause(&self) -> Cause {
        match self {
            Self::Unreached(error) => (None, Some(error.kind())),
            Self::Refused(refused) => (Some(refused.code), None),
        }
    }
}

/// The code of a refusal, or the kind of an error of the network.
type Cause = (Option<LinkCode>, Option<io::ErrorKind>);

/// Keeps a process connected to a peer until `gone` has no sender any more.
pub(super) async fn keep(
    shared: Arc<Shared>,
    linked: Linked,
    addresses: Vec<String>,
    mut gone: watch::Receiver<()>,
) {
    let peer = linked.peer;
    let mut pause = shared.times.pause;
    let mut told: BTreeMap<usize, Cause> = BTreeMap::new();
    loop {
        let mut was_up = false;
        let good = shared.good(peer);
        for at in (good..addresses.len()).chain(0..good) {
            let Some(address) = addresses.get(at) else { continue };
            let made = tokio::select! {
                made = open(&shared, peer, address) => made,
                _ended = gone.changed() => return,
            };
            let made = match made {
                Ok(made) => made,
                Err(failed) => {
                    // Once for each cause: the next rounds say nothing new.
                    if told.insert(at, failed.cause()) != Some(failed.cause()) {
                        say(peer, address, &failed);
                    }
                    continue;
                }
            };
            shared.note_good(peer, at);
            told.clear();
            tracing::info!(%peer, %address, "linked");
            let begun = Instant::now();
            pass(&shared, &linked, made).await;
            was_up = begun.elapsed() >= SETTLED;
            if gone.has_changed().is_ok() {
                tracing::info!(%peer, %address, "the link ended");
            }
            break;
        }
        if was_up {
            pause = shared.times.pause;
        }
        tokio::select! {
            () = sleep(shared.spread(pause)) => {}
            _ended = gone.changed() => return,
        }
        if !was_up {
            pause = pause.saturating_mul(2).min(shared.times.longest_pause);
        }
    }
}

impl Shared {
    fn good(&self, peer: LinkRole) -> usize {
        let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        good.get(&peer).copied().unwrap_or_default()
    }

    fn note_good(&self, peer: LinkRole, at: usize) {
        self.good.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, at);
    }

    /// A random pause between the half and the whole of this one: processes that lost one peer do not
    /// come back in step.
    fn spread(&self, pause: Duration) -> Duration {
        let random = u32::try_from((self.random)() >> 32).unwrap_or_default();
        let share = f64::from(random) / f64::from(u32::MAX);
        pause.mul_f64(share.mul_add(0.5, 0.5))
    }
}

fn say(peer: LinkRole, address: &str, failed: &Failed) {
    if failed.code() == Some(LinkCode::LinkStandby) {
        tracing::info!(%peer, %address, "no link: {failed}");
    } else {
        tracing::warn!(what = "links", %peer, %address, "no link: {failed}");
    }
}

/// Opens a link to a peer of this role at an address.
///
/// # Errors
/// Nothing accepts connections there, or one of the ends refuses the other.
pub(super) async fn open(shared: &Shared, peer: LinkRole, address: &str) -> Result<Made, Failed> {
    let late = |_| Failed::Unreached(io::ErrorKind::TimedOut.into());
    let stream = timeout(shared.times.connect, TcpStream::connect(address)).await;
    over(shared, peer, stream.map_err(late)?.map_err(Failed::Unreached)?).await
}

/// Opens a link over a connection.
///
/// # Errors
/// One of the ends refuses the other, or the connection ends.
pub(super) async fn over(
    shared: &Shared,
    peer: LinkRole,
    stream: TcpStream,
) -> Result<Made, Failed> {
    tcp::between_hosts(&stream).map_err(Failed::Unreached)?;
    let greeted = timeout(shared.times.handshake, greet(shared, peer, stream)).await;
    let slow = |_| {
        refusal(
            LinkCode::LinkHello,
            "the other end gave no answer in time; look for a proxy between the two",
        )
    };
    Ok(greeted.map_err(slow)??)
}

async fn greet(shared: &Shared, peer: LinkRole, stream: TcpStream) -> Result<Made, LinkRefusal> {
    let material = shared.certificates.now();
    // Any name: the peer's own is in its certificate. The key of its sessions, too.
    let name = ServerName::try_from(format!("{peer}.cofferdam"))
        .map_err(|_| refusal(LinkCode::LinkRole, "a role without a name"))?;
    let mut stream = TlsConnector::from(Arc::clone(&material.client))
        .connect(name, stream)
        .await
        .map_err(|error| hello::of_error(&error))?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    // Also for a resumed session, whose certificates TLS does not check again.
    let own = &shared.own;
    let found: Identity = own.of_peer(&chain, End::Server, &material.roots, UnixTime::now())?;
    hello::greet(&mut stream, own, &found, peer).await?;
    Ok(Made { stream, chain })
}

async fn pass(shared: &Shared, linked: &Linked, made: Made) {
    let pair = StdStream::pair().and_then(|(ours, theirs)| {
        ours.set_nonblocking(true)?;
        Ok((UnixStream::from_std(ours)?, theirs))
    });
    let handed = pair.and_then(|(ours, theirs)| shared.hand.hand(linked, theirs).map(|()| ours));
    let ours = match handed {
        Ok(ours) => ours,
        Err(error) => {
            return tracing::error!(peer = %linked.peer, %error, "a link cannot be handed over");
        }
    };
    let check = || {
        let (roots, now) = (&shared.certificates.now().roots, UnixTime::now());
        shared.own.of_peer(&made.chain, End::Server, roots, now).map(drop)
    };
    if let Err(refused) = relay(made.stream, ours, shared.times.recheck, check).await {
        tracing::warn!(what = "links", peer = %linked.peer, "the link is ended: {refused}");
    }
}
