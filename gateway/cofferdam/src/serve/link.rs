//! The role `link`: connects the role of this supervisor to roles on other hosts, by mutual TLS.
//! Checks the certificate and the hello of each peer, then passes bytes between the connection and
//! a socket pair, whose other end the supervisor gives to the role. Never reads a message between
//! roles, and has no key but that of its certificate.
//!
//! | file | content |
//! |---|---|
//! | `identity.rs` | SPIFFE names, and the check of a peer's certificates |
//! | `certificates.rs` | certificate, key and authorities from files that are followed |
//! | `hello.rs` | the first messages, and the refusals |
//! | `accept.rs` | links that peers open |
//! | `unknown.rs` | the bounds of connections whose peer is not known yet |
//! | `log.rs` | the log of refused links |
//! | `connect.rs` | links to peers, kept up |
//! | `relay.rs` | the bytes of one link |

mod accept;
mod certificates;
mod connect;
mod hello;
mod identity;
mod log;
mod relay;
#[cfg(test)]
mod tests;
mod unknown;

use super::role_start;
use anyhow::{Context as _, Result};
use certificates::{Certificates, LinkFiles};
use cofferdam_core::protocol::link::{LinkOrder, LinkRole, LinkSettings, Linked};
use cofferdam_process::confine::{self, Calls, Confined, Files, NewSockets};
use cofferdam_process::control::{Handed, Inherited};
use cofferdam_telemetry::Role;
use identity::Identity;
use std::collections::BTreeMap;
use std::net::TcpListener as StdListener;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// The threads: one encrypts while another waits for a lookup.
const WORKERS: usize = 2;

/// The descriptors: a link has two, and there are at most 752, and connections that are not links yet.
const DESCRIPTORS: u64 = 4_096;

/// The longest wait for the last bytes of links, when the supervisor ends.
const LAST: Duration = Duration::from_secs(2);

/// Files that the lookup of a name reads. Absent ones are left out.
const NAMES: [&str; 4] = ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf"];

/// The times of a link. Tests have shorter ones.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// The longest time for TLS and the first messages together.
    handshake: Duration,
    /// The longest wait for a TCP connection.
    connect: Duration,
    /// The time between two checks of the certificates of a link that is up.
    recheck: Duration,
    /// The time between two looks at the files.
    look: Duration,
    /// The first pause before another round of addresses; doubled after each.
    pause: Duration,
    /// The longest pause.
    longest_pause: Duration,
}

impl Times {
    /// The times of a running installation.
    const USUAL: Self = Self {
        handshake: Duration::from_secs(10),
        connect: Duration::from_secs(3),
        recheck: Duration::from_secs(30),
        look: Duration::from_secs(1),
        pause: Duration::from_millis(200),
        longest_pause: Duration::from_secs(2),
    };
}

/// A place that takes the sockets of new links.
trait Hand: Send + Sync + 'static {
    /// Hands over one end of a link.
    fn hand(&self, linked: &Linked, socket: StdStream) -> std::io::Result<()>;
}

impl Hand for Inherited {
    fn hand(&self, linked: &Linked, socket: StdStream) -> std::io::Result<()> {
        self.linked(linked, &socket)
    }
}

/// What every link of this process shares.
struct Shared {
    /// The identity of this end.
    own: Identity,
    /// The roles that may open a link.
    accepts: Vec<LinkRole>,
    certificates: Arc<Certificates>,
    hand: Arc<dyn Hand>,
    /// True while the role of this supervisor serves.
    serving: watch::Receiver<bool>,
    /// The place of the last good address of each peer, for every process: with a dead first address,
    /// the next process does not begin there again.
    good: Mutex<BTreeMap<LinkRole, usize>>,
    /// A random number, for pauses of different lengths.
    random: fn() -> u64,
    times: Times,
}

/// Runs until the supervisor ends.
pub fn run() -> Result<bool> {
    role_start::run(
        Role::Link,
        WORKERS,
        |settings: &LinkSettings| settings.voice.clone(),
        prepare,
        serve,
    )
}

struct Prepared {
    settings: LinkSettings,
    certificates: Arc<Certificates>,
}

/// Prepares with one thread: reads certificate, key and authorities, then confines the process.
fn prepare(settings: LinkSettings) -> Result<(Prepared, Confined)> {
    confine::descriptors(DESCRIPTORS)?;
    let own = own(&settings);
    let files = LinkFiles {
        certificate: settings.certificate.clone(),
        key: settings.key.clone(),
        ca: settings.ca.clone(),
    };
    let certificates = certificates::open(files, own).context("`links`")?;
    let addresses = || settings.peers.iter().flat_map(|peer| &peer.addresses);
    let by_name = addresses().any(|text| text.parse::<std::net::SocketAddr>().is_err());
    let ports: Vec<u16> = addresses().filter_map(|text| port(text)).collect();
    let names = NAMES.iter().map(Path::new).filter(|path| by_name && path.exists());
    let read: Vec<&Path> =
        settings.folders.iter().map(std::path::PathBuf::as_path).chain(names).collect();
    let confined = confine::files(Files { read: &read, connect: &ports, ..Files::default() })?;
    if !ports.is_empty() && !confine::knows_ports() {
        tracing::warn!(
            what = "TCP ports",
            "this kernel does not confine TCP ports: a link that is taken over could connect to \
             any; Linux 6.7 or newer does"
        );
    }
    confine::new_sockets(match (ports.is_empty(), by_name) {
        (true, _) => NewSockets::None,
        (false, false) => NewSockets::Tcp,
        (false, true) => NewSockets::Internet,
    })?;
    confine::calls(Calls::Link(!settings.accepts.is_empty(), !ports.is_empty()))?;
    Ok((Prepared { settings, certificates }, confined))
}

/// A random number. Without randomness, pauses are of one length.
fn random() -> u64 {
    let bytes = role_start::random().unwrap_or_default();
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn own(settings: &LinkSettings) -> Identity {
    Identity {
        trust_domain: settings.trust_domain.clone(),
        environment: settings.environment.clone(),
        role: settings.role,
    }
}

/// The port of `HOST:PORT`.
fn port(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

async fn serve(
    prepared: Prepared,
    ready: role_start::Ready,
    handed: mpsc::Receiver<Handed>,
) -> Result<()> {
    let Prepared { settings, certificates } = prepared;
    let (serving, is_serving) = watch::channel(false);
    let shared = Arc::new(Shared {
        own: own(&settings),
        accepts: settings.accepts.clone(),
        certificates: Arc::clone(&certificates),
        hand: ready.control(),
        serving: is_serving,
        good: Mutex::default(),
        random,
        times: Times::USUAL,
    });
    let following = tokio::spawn(certificates.follow(shared.times.look));
    // The link sends no spans: it would have to connect for them.
    let _unsent = ready.say()?;
    attend(shared, &settings, serving, handed).await;
    following.abort();
    Ok(())
}

/// Follows the orders of the supervisor until it ends, then waits for the last bytes of links.
async fn attend(
    shared: Arc<Shared>,
    settings: &LinkSettings,
    serving: watch::Sender<bool>,
    mut handed: mpsc::Receiver<Handed>,
) {
    let mut accepting = None;
    let mut links = JoinSet::new();
    // Dropping the sender of a process ends its connections to come.
    let mut processes: BTreeMap<u64, watch::Sender<()>> = BTreeMap::new();
    let (accepted, mut incoming) = mpsc::unbounded_channel();
    loop {
        let next = tokio::select! {
            handed = handed.recv() => handed,
            Some(link) = incoming.recv() => {
                links.spawn(link);
                continue;
            }
            Some(_ended) = links.join_next(), if !links.is_empty() => continue,
        };
        match next {
            None => break,
            Some(Handed::Socket(given)) if given.name == "listener" => {
                let listener = StdListener::from(given.descriptor);
                let listener =
                    listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
                match listener {
                    Ok(listener) => {
                        let (shared, accepted) = (Arc::clone(&shared), accepted.clone());
                        accepting = Some(tokio::spawn(accept::all(listener, shared, accepted)));
                    }
                    Err(error) => {
                        tracing::error!(what = "links", %error, "links cannot be accepted")
                    }
                }
            }
            Some(Handed::Link(LinkOrder::Accept(accepts))) => {
                serving.send_replace(accepts);
            }
            Some(Handed::Link(LinkOrder::Forget { process })) => {
                processes.remove(&process);
            }
            Some(Handed::Link(LinkOrder::Connect { process, peer })) => {
                let found = settings.peers.iter().find(|known| known.role == peer);
                let Some(addresses) = found.map(|peer| peer.addresses.clone()) else { continue };
                let gone = processes.entry(process).or_insert_with(|| watch::channel(()).0);
                let linked = Linked { process: Some(process), peer };
                let gone = gone.subscribe();
                links.spawn(connect::keep(Arc::clone(&shared), linked, addresses, gone));
            }
            Some(_useless) => {}
        }
    }
    serving.send_replace(false);
    if let Some(accepting) = accepting {
        accepting.abort();
    }
    processes.clear();
    // Roles ended before: their sockets are closed, and links end when the rest has passed.
    let ended = async { while links.join_next().await.is_some() {} };
    let _late = tokio::time::timeout(LAST, ended).await;
}
