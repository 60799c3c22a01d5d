//! Settings, sockets and orders that a supervisor passes to a role over the one socket that the
//! role starts with. A process may ask for no more than its sockets allow; nothing else connects
//! roles. Messages are packets (`SOCK_SEQPACKET`), so that a descriptor belongs to exactly one
//! message.

use crate::confine::Confined;
use cofferdam_core::model::id::{CallId, ComponentDigest};
use cofferdam_core::protocol::link::{LinkOrder, Linked};
use cofferdam_core::protocol::role_guest::GuestKind;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use tokio::sync::mpsc;

/// Most bytes of a packet. Settings are the largest packets, and far smaller.
const PACKET: usize = 128 * 1024;

/// Most bytes of an error report. Escaped as JSON, a report has at most six times as many, and fits
/// a packet.
const FAILURE: usize = 16 * 1024;

/// The name of the socket of a guest that has loaded its component already.
pub const LOADED_GUEST: &str = "guest/loaded";

/// The name of the socket of a guest that waits for its first request.
pub const NEW_GUEST: &str = "guest/new";

/// Most sockets that a role has not taken yet.
const BACKLOG: usize = 64;

/// The supervisor's end of the socket, until [`crate::tether::Tether`] takes it.
#[derive(Debug)]
pub struct Control(pub(crate) OwnedFd);

/// A descriptor with its name, which the role knows.
#[derive(Debug)]
pub struct Given {
    /// `recorder`, `gateway`, `viewer`, `runner`, `telemetry`, `listener`, …
    pub name: String,
    /// The descriptor: a connected Unix stream, or for `listener` a listening socket.
    pub descriptor: OwnedFd,
}

impl Given {
    /// Converts the descriptor to a stream. Every descriptor except a listener is one.
    pub fn into_stream(self) -> UnixStream {
        UnixStream::from(self.descriptor)
    }
}

/// An order of a supervisor to a role, in a packet without a descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Show that the process is alive. [`Report::Pong`] answers, from a thread with no other task.
    Ping,
    /// Begin no new work, and finish the work in progress.
    Drain,
    /// Take this notice: JSON in a form that the role knows. It replaces the notice before it.
    Know(String),
    /// To a runner: there is no guest to lend at present. It starts its own.
    NoGuest,
    /// To a gateway: load another set beside the one in use. [`Report::Loaded`] answers, or
    /// [`Report::NotLoaded`].
    Load(Load),
    /// To a gateway: use the set of the load with this number. [`Report::Using`] answers, or
    /// [`Report::NotLoaded`] for another load.
    Use(u64),
    /// To a gateway: forget the set of the load with this number; it will not be used.
    Forget(u64),
    /// To a link: connect a process, or accept links.
    Link(LinkOrder),
}

/// A set to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The number of the load: each has another one.
    pub number: u64,
    /// The settings that name the parts, in JSON, in a form that the role knows.
    pub settings: String,
}

/// A message from the supervisor, as the role takes it.
#[derive(Debug)]
pub enum Handed {
    /// A new socket.
    Socket(Given),
    /// The name of a socket that did not arrive, because no descriptor was free. See [`lost`].
    Lost(String),
    /// The order to begin no new work, and to finish the work in progress.
    Drain,
    /// A notice of the supervisor, in JSON: facts that the role cannot see itself.
    Told(String),
    /// There is no guest to lend at present.
    NoGuest,
    /// The order to load another set.
    Load(Load),
    /// The order to use the set of the load with this number.
    Use(u64),
    /// The order to forget the set of the load with this number.
    Forget(u64),
    /// The order of a supervisor to its link.
    Link(LinkOrder),
}

/// A message of a role to its supervisor: first [`Report::Ready`] or [`Report::Failed`], the others
/// later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// The role is loaded and serves from now on.
    Ready {
        /// The extent of its confinement by the kernel.
        confined: Confined,
        /// True if the role itself ran the self-check against the admission policies, and passed.
        checked: bool,
    },
    /// From a recorder: another one is the sequencer of the database. This one waits, and takes no
    /// socket before it is ready.
    StandsBy,
    /// The role cannot start. The text is cause and remedy; another start would fail again.
    Failed(String),
    /// From a runner that cannot start: an admission policy of the cluster is missing or does not
    /// hold. [`Report::Failed`] follows. The text is cause and remedy.
    Unfenced(String),
    /// The answer to [`Order::Ping`].
    Pong,
    /// From a runner: it has a job. The next runner of its seat may start, and wait.
    Busy,
    /// From a runner: the outcome of its job is recorded, and only cleanup remains. Another runner
    /// may start.
    Leaving,
    /// From a gateway: it refuses callers without a token from now on, because an agent was
    /// configured.
    Closed,
    /// From a gateway that drains: no call is in progress.
    Idle,
    /// From a gateway that ends: this number of connections was cut off before the response.
    Cut(usize),
    /// From a runner: it needs a guest for this component. A socket named [`LOADED_GUEST`] or
    /// [`NEW_GUEST`] answers, or [`Order::NoGuest`].
    WantsGuest(Lent),
    /// From a runner, with the socket: the guest can serve another job.
    ReturnsGuest(Lent),
    /// From a recorder: an operator asks for a reload, with the number of the request.
    Reload(u64),
    /// From a gateway: the set of the load with this number is loaded, its use is announced in the
    /// ledger, and it is not in use yet.
    Loaded(u64),
    /// From a gateway: the set of the load with this number is not used. The text is cause and
    /// remedy.
    NotLoaded(u64, String),
    /// From a gateway: each new call uses the set of the load with this number from now on.
    Using(u64),
    /// From a link, with the socket: a process here and a peer on another host are connected.
    Linked(Linked),
    /// From a recorder that ends: some jobs are not finished. The next start takes them up.
    Left {
        /// The first of these jobs.
        calls: Vec<CallId>,
        /// The number of further jobs.
        more: u64,
    },
}

/// The component of a guest that the supervisor lends. A guest never changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lent {
    /// A tool or a policy.
    pub kind: GuestKind,
    /// The digest of its Wasm.
    pub component: ComponentDigest,
}

/// Creates a control socket: the supervisor's end, and the end that a role starts with on
/// descriptor 0.
pub fn pair() -> io::Result<(Control, OwnedFd)> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Control(ours), theirs))
}

impl Control {
    /// Sends the settings of the role, as the first packet.
    pub fn settings(&self, settings: &impl Serialize) -> io::Result<()> {
        let packet = serde_json::to_vec(settings)?;
        if packet.len() > PACKET {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a role's settings exceed one packet",
            ));
        }
        sendmsg(
            &self.0,
            &[IoSlice::new(&packet)],
            &mut SendAncillaryBuffer::default(),
            SendFlags::NOSIGNAL,
        )?;
        Ok(())
    }

    /// Waits for a report of the role. Returns `None` if the role ended without one. Blocks the
    /// thread.
    pub fn report(&self) -> io::Result<Option<Report>> {
        match packet(&self.0, RecvFlags::empty())? {
            Some(packet) => Ok(Some(serde_json::from_slice(&packet.bytes)?)),
            None => Ok(None),
        }
    }

    /// Passes a descriptor under a name. Blocks while the role takes nothing.
    pub fn give(&self, name: &str, stream: &impl AsFd) -> io::Result<()> {
        give(&self.0, name, stream, SendFlags::empty())
    }

    /// Sends an order. Blocks while the role takes nothing.
    pub fn order(&self, order: Order) -> io::Result<()> {
        say(&self.0, &order, SendFlags::empty())
    }
}

/// Sends a descriptor under a name.
pub(crate) fn give(
    socket: &impl AsFd,
    name: &str,
    stream: &impl AsFd,
    flags: SendFlags,
) -> io::Result<()> {
    send_with(socket, name.as_bytes(), stream, flags)
}

/// Sends a packet with a descriptor.
fn send_with(
    socket: &impl AsFd,
    packet: &[u8],
    descriptor: &impl AsFd,
    flags: SendFlags,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(packet)], &mut ancillary, flags | SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Sends a message without a descriptor.
pub(crate) fn say(
    socket: &impl AsFd,
    message: &impl Serialize,
    flags: SendFlags,
) -> io::Result<()> {
    let packet = serde_json::to_vec(message)?;
    sendmsg(
        socket,
        &[IoSlice::new(&packet)],
        &mut SendAncillaryBuffer::default(),
        flags | SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// The role's end of the socket.
#[derive(Debug)]
pub struct Inherited(OwnedFd);

impl Inherited {
    #[cfg(test)]
    pub(crate) fn of(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Takes the socket on descriptor 0.
    pub fn from_stdin() -> io::Result<Self> {
        Ok(Self(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// Waits for the settings, the first packet.
    pub fn settings<T: DeserializeOwned>(&self) -> io::Result<T> {
        match packet(&self.0, RecvFlags::empty())? {
            Some(Packet { bytes, descriptor: None, .. }) => Ok(serde_json::from_slice(&bytes)?),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "this role is started by `cofferdam serve`, which sends its settings first",
            )),
        }
    }

    /// Waits for the next socket or order. Returns `None` when the supervisor is gone. Answers a
    /// ping itself.
    pub fn next(&self) -> io::Result<Option<Handed>> {
        loop {
            match packet(&self.0, RecvFlags::empty())? {
                Some(Packet { bytes, cut: true, .. }) => {
                    return Ok(Some(Handed::Lost(String::from_utf8_lossy(&bytes).into_owned())));
                }
                Some(Packet { bytes, descriptor: Some(descriptor), .. }) => {
                    let name = String::from_utf8(bytes)
                        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                    return Ok(Some(Handed::Socket(Given { name, descriptor })));
                }
                Some(Packet { bytes, .. }) => match serde_json::from_slice(&bytes)? {
                    Order::Ping => self.report(&Report::Pong)?,
                    Order::Drain => return Ok(Some(Handed::Drain)),
                    Order::Know(told) => return Ok(Some(Handed::Told(told))),
                    Order::NoGuest => return Ok(Some(Handed::NoGuest)),
                    Order::Load(load) => return Ok(Some(Handed::Load(load))),
                    Order::Use(number) => return Ok(Some(Handed::Use(number))),
                    Order::Forget(number) => return Ok(Some(Handed::Forget(number))),
                    Order::Link(order) => return Ok(Some(Handed::Link(order))),
                },
                None => return Ok(None),
            }
        }
    }

    /// Starts a thread that receives sockets and orders, and answers pings: the answer shows that
    /// the process runs, however busy its other threads are. The channel closes when the supervisor
    /// is gone; the role should end then.
    pub fn handed(self: std::sync::Arc<Self>) -> mpsc::Receiver<Handed> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        std::thread::spawn(move || {
            while let Ok(Some(handed)) = self.next() {
                if sender.blocking_send(handed).is_err() {
                    break;
                }
            }
        });
        receiver
    }

    /// Gives a guest back to the supervisor, with its socket.
    pub fn return_guest(&self, guest: &Lent, socket: &impl AsFd) -> io::Result<()> {
        let packet = serde_json::to_vec(&Report::ReturnsGuest(guest.clone()))?;
        send_with(&self.0, &packet, socket, SendFlags::empty())
    }

    /// Hands the supervisor one end of a new link.
    pub fn linked(&self, linked: &Linked, socket: &impl AsFd) -> io::Result<()> {
        let packet = serde_json::to_vec(&Report::Linked(linked.clone()))?;
        send_with(&self.0, &packet, socket, SendFlags::empty())
    }

    /// Sends a report to the supervisor, after the settings. Cuts a long error: a packet is sent
    /// whole or not at all.
    pub fn report(&self, report: &Report) -> io::Result<()> {
        let cut = |why: &str| -> String { why.chars().take(FAILURE / 4).chain(['…']).collect() };
        match report {
            Report::Failed(why) if why.len() > FAILURE => {
                say(&self.0, &Report::Failed(cut(why)), SendFlags::empty())
            }
            Report::NotLoaded(number, why) if why.len() > FAILURE => {
                say(&self.0, &Report::NotLoaded(*number, cut(why)), SendFlags::empty())
            }
            report => say(&self.0, report, SendFlags::empty()),
        }
    }
}

/// A report with its descriptor; only [`Report::ReturnsGuest`] and
/// [`Report::Linked`] have one.
pub type Reported = (Report, Option<OwnedFd>);

/// Returns a report that is ready to be read, or `None` if the role closed its end.
pub(crate) fn try_report(socket: &impl AsFd) -> io::Result<Option<Reported>> {
    match packet(socket, RecvFlags::DONTWAIT)? {
        Some(Packet { bytes, descriptor, .. }) => {
            Ok(Some((serde_json::from_slice(&bytes)?, descriptor)))
        }
        None => Ok(None),
    }
}

/// The error of a socket that was handed over while no descriptor was free.
pub fn lost(name: &str) -> io::Error {
    io::Error::other(format!(
        "the socket `{name}` is lost: no descriptor is free; raise the limit of open files"
    ))
}

struct Packet {
    bytes: Vec<u8>,
    descriptor: Option<OwnedFd>,
    /// True if a descriptor did not arrive, because none was free here.
    cut: bool,
}

fn packet(socket: &impl AsFd, flags: RecvFlags) -> io::Result<Option<Packet>> {
    let mut bytes = vec![0; PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            flags | RecvFlags::CMSG_CLOEXEC,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    bytes.truncate(received.bytes);
    let cut = received.flags.contains(ReturnFlags::CTRUNC);
    Ok((received.bytes > 0).then_some(Packet { bytes, descriptor, cut }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_fault_of_any_length_is_told() {
        for why in
            ["short".to_owned(), "x".repeat(1 << 20), "\u{1}".repeat(1 << 20), "€".repeat(1 << 20)]
        {
            let (control, theirs) = pair().unwrap();
            Inherited(theirs).report(&Report::Failed(why.clone())).unwrap();
            let Some(Report::Failed(told)) = control.report().unwrap() else { panic!() };
            assert!(why.starts_with(told.trim_end_matches('…')) && !told.is_empty());
        }
    }

    #[test]
    fn a_guest_is_given_back_with_its_socket() {
        let (control, theirs) = pair().unwrap();
        let role = Inherited(theirs);
        let guest = Lent { kind: GuestKind::Tool, component: ComponentDigest::of(b"tool") };
        role.report(&Report::WantsGuest(guest.clone())).unwrap();
        let (mut ours, socket) = UnixStream::pair().unwrap();
        role.return_guest(&guest, &socket).unwrap();
        drop(socket);
        let (wants, none) = try_report(&control.0).unwrap().unwrap();
        assert!(none.is_none());
        assert_eq!(wants, Report::WantsGuest(guest.clone()));
        let (returns, socket) = try_report(&control.0).unwrap().unwrap();
        assert_eq!(returns, Report::ReturnsGuest(guest));
        ours.write_all(b"x").unwrap();
        let mut byte = [0];
        UnixStream::from(socket.unwrap()).read_exact(&mut byte).unwrap();
        control.order(Order::NoGuest).unwrap();
        assert!(matches!(role.next().unwrap(), Some(Handed::NoGuest)));
    }

    #[test]
    fn a_socket_that_does_not_arrive_is_told_by_name_and_the_next_one_arrives() {
        let (control, theirs) = pair().unwrap();
        let role = Inherited(theirs);
        let (one, other) = UnixStream::pair().unwrap();
        // More descriptors than there is room for: the kernel cuts, as it does at the limit.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [one.as_fd(), other.as_fd()].repeat(4);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let packet = [IoSlice::new(b"runner")];
        sendmsg(&control.0, &packet, &mut ancillary, SendFlags::empty()).unwrap();
        control.give("gateway", &one).unwrap();
        assert!(matches!(role.next().unwrap(), Some(Handed::Lost(name)) if name == "runner"));
        let Some(Handed::Socket(given)) = role.next().unwrap() else { panic!() };
        assert_eq!(given.name, "gateway");
    }

    #[test]
    fn settings_then_sockets_then_the_end() {
        let (control, theirs) = pair().unwrap();
        let role = Inherited(theirs);
        control.settings(&vec![1, 2]).unwrap();
        let (mut a, b) = UnixStream::pair().unwrap();
        control.give("recorder", &b).unwrap();
        control.order(Order::Ping).unwrap();
        control.order(Order::Drain).unwrap();
        control.order(Order::Know("{}".to_owned())).unwrap();
        drop(b);
        assert_eq!(role.settings::<Vec<u32>>().unwrap(), [1, 2]);
        let Some(Handed::Socket(given)) = role.next().unwrap() else { panic!() };
        assert_eq!(given.name, "recorder");
        assert!(matches!(role.next().unwrap(), Some(Handed::Drain)));
        assert!(matches!(role.next().unwrap(), Some(Handed::Told(told)) if told == "{}"));
        assert_eq!(control.report().unwrap(), Some(Report::Pong));
        drop(control);
        let mut given = given.into_stream();
        a.write_all(b"x").unwrap();
        let mut byte = [0];
        given.read_exact(&mut byte).unwrap();
        assert!(role.next().unwrap().is_none());
    }
}
