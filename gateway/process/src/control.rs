//! Settings and sockets, handed to a role by its supervisor over the one socket it starts with. The socket a process is handed is what it may ask
//! for; nothing else connects roles. Messages are packets (`SOCK_SEQPACKET`), so that a descriptor belongs to exactly one of them.

use crate::confine::Confined;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use tokio::sync::mpsc;

/// Bytes of one packet: settings are the largest, and far smaller.
const PACKET: usize = 128 * 1024;

/// Sockets a role has not taken yet.
const BACKLOG: usize = 64;

/// The supervisor's end.
#[derive(Debug)]
pub struct Control(OwnedFd);

/// A descriptor with the name the role knows it by.
#[derive(Debug)]
pub struct Given {
    /// `recorder`, `gateway`, `viewer`, `runner`, `telemetry`, `listener`, …
    pub name: String,
    /// The descriptor: a connected Unix stream, or for `listener` a listening socket.
    pub descriptor: OwnedFd,
}

impl Given {
    /// The descriptor as what all but listeners are.
    pub fn into_stream(self) -> UnixStream {
        UnixStream::from(self.descriptor)
    }
}

/// What a role answers its settings with, and a runner says once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// It loaded everything and serves from now on.
    Ready {
        /// How far the kernel confines it.
        confined: Confined,
        /// Whether it held its credential against the cluster's fences itself, and they stood.
        checked: bool,
    },
    /// It cannot start: what is wrong, with the remedy. Starting it again would not help.
    Failed(String),
    /// Of a runner: its job's outcome is recorded, and it only cleans up. Another may start in its place.
    Leaving,
}

/// Makes a control socket: the supervisor's end, and the end a role starts with on descriptor 0.
pub fn pair() -> io::Result<(Control, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Control(ours), theirs))
}

impl Control {
    /// Sends the role's settings, its first packet.
    pub fn settings(&self, settings: &impl Serialize) -> io::Result<()> {
        let packet = serde_json::to_vec(settings)?;
        if packet.len() > PACKET {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a role's settings exceed one packet"));
        }
        sendmsg(&self.0, &[IoSlice::new(&packet)], &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for the role's report; none when it ended without one. Blocks: call it from a thread that may wait.
    pub fn report(&self) -> io::Result<Option<Report>> {
        match packet(&self.0, RecvFlags::empty())? {
            Some((bytes, _)) => Ok(Some(serde_json::from_slice(&bytes)?)),
            None => Ok(None),
        }
    }

    /// A further report, if there is one now; never waits.
    pub fn heard(&self) -> io::Result<Option<Report>> {
        match packet(&self.0, RecvFlags::DONTWAIT) {
            Ok(Some((bytes, _))) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Ok(None) => Ok(None),
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Hands over a descriptor under a name.
    pub fn give(&self, name: &str, stream: &impl AsFd) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [stream.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(&self.0, &[IoSlice::new(name.as_bytes())], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// The role's end.
#[derive(Debug)]
pub struct Inherited(OwnedFd);

impl Inherited {
    /// The socket on descriptor 0.
    pub fn from_stdin() -> io::Result<Self> {
        Ok(Self(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// Waits for the settings.
    pub fn settings<T: DeserializeOwned>(&self) -> io::Result<T> {
        match packet(&self.0, RecvFlags::empty())? {
            Some((bytes, None)) => Ok(serde_json::from_slice(&bytes)?),
            _ => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "this role is started by `cofferdam serve`, which sends its settings first"))
            }
        }
    }

    /// Waits for the next socket; none when the supervisor is gone.
    pub fn next(&self) -> io::Result<Option<Given>> {
        match packet(&self.0, RecvFlags::empty())? {
            Some((name, Some(descriptor))) => {
                let name = String::from_utf8(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                Ok(Some(Given { name, descriptor }))
            }
            Some((_, None)) => Err(io::Error::new(io::ErrorKind::InvalidData, "a packet without a socket")),
            None => Ok(None),
        }
    }

    /// Sockets as they come, from a thread of its own; the channel closes when the supervisor is gone, and with it the role should end.
    pub fn sockets(self: std::sync::Arc<Self>) -> mpsc::Receiver<Given> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        std::thread::spawn(move || {
            while let Ok(Some(given)) = self.next() {
                if sender.blocking_send(given).is_err() {
                    break;
                }
            }
        });
        receiver
    }

    /// Reports to the supervisor, after the settings.
    pub fn report(&self, report: &Report) -> io::Result<()> {
        let packet = serde_json::to_vec(report)?;
        sendmsg(&self.0, &[IoSlice::new(&packet)], &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

fn packet(socket: &OwnedFd, flags: RecvFlags) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
    let mut bytes = vec![0; PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    bytes.truncate(received.bytes);
    Ok((received.bytes > 0).then_some((bytes, descriptor)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn settings_then_sockets_then_the_end() {
        let (control, theirs) = pair().unwrap();
        let role = Inherited(theirs);
        control.settings(&vec![1, 2]).unwrap();
        let (mut a, b) = UnixStream::pair().unwrap();
        control.give("recorder", &b).unwrap();
        role.report(&Report::Leaving).unwrap();
        assert_eq!((control.heard().unwrap(), control.heard().unwrap()), (Some(Report::Leaving), None));
        drop((control, b));
        assert_eq!(role.settings::<Vec<u32>>().unwrap(), [1, 2]);
        let given = role.next().unwrap().unwrap();
        assert_eq!(given.name, "recorder");
        let mut given = given.into_stream();
        a.write_all(b"x").unwrap();
        let mut byte = [0];
        given.read_exact(&mut byte).unwrap();
        assert!(role.next().unwrap().is_none());
    }
}
