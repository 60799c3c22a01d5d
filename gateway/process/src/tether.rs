//! The supervisor's queue for one role. Sockets and orders wait here while the role takes nothing,
//! so that a role that hangs delays no other role. Never blocks, and never interprets a silence.

use crate::control::{self, Control, Order, Reported};
use rustix::net::{SendFlags, Shutdown, shutdown};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use tokio::io::Interest;
use tokio::net::UnixStream as Socket;

/// A message that waits for the role.
#[derive(Debug)]
pub enum Parcel {
    /// A socket, with the name that the role knows.
    Socket(&'static str, OwnedFd),
    /// An order to the role.
    Order(Order),
}

impl Parcel {
    /// Wraps one end of a pair of streams.
    pub fn stream(name: &'static str, stream: UnixStream) -> Self {
        Self::Socket(name, stream.into())
    }
}

/// The connection to a role. Dropping it tells the role to end.
#[derive(Debug)]
pub struct Tether {
    socket: Socket,
    waiting: VecDeque<Parcel>,
}

impl Tether {
    /// Takes over the control socket. Call it within the runtime.
    pub fn new(control: Control) -> io::Result<Self> {
        // `control` reads and writes the packets; this type decides the time.
        let socket = UnixStream::from(control.0);
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Socket::from_std(socket)?, waiting: VecDeque::new() })
    }

    /// Appends a message to the queue.
    pub fn put(&mut self, parcel: Parcel) {
        self.waiting.push_back(parcel);
    }

    /// Tells the role to end, and discards the queue. The role may still report.
    pub fn end(&mut self) {
        self.waiting.clear();
        // A role that is gone needs no order.
        let _gone = shutdown(&self.socket, Shutdown::Write);
    }

    /// Sends the queue until the role reports. Returns `None` if the role closed its end.
    /// Cancelling it loses nothing.
    pub async fn next_report(&mut self) -> io::Result<Option<Reported>> {
        loop {
            tokio::select! {
                ready = self.socket.readable() => {
                    ready?;
                    match self.socket.try_io(Interest::READABLE,
                    || control::try_report(&self.socket)) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        heard => return heard,
                    }
                }
                ready = self.socket.writable(), if !self.waiting.is_empty() => {
                    ready?;
                    let Some(first) = self.waiting.front() else { continue };
                    match self.socket.try_io(Interest::WRITABLE, || send(&self.socket, first)) {
                        Ok(()) => drop(self.waiting.pop_front()),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        // The role closed its end; its earlier reports can still be read.
                        Err(_) => self.waiting.clear(),
                    }
                }
            }
        }
    }

    /// Returns the reports of an ended role that were not read yet.
    pub fn unread_reports(&self) -> Vec<Reported> {
        let mut rest = Vec::new();
        while let Ok(Some(report)) = control::try_report(&self.socket) {
            rest.push(report);
        }
        rest
    }
}

fn send(socket: &Socket, parcel: &Parcel) -> io::Result<()> {
    match parcel {
        Parcel::Socket(name, descriptor) => {
            control::give(socket, name, descriptor, SendFlags::DONTWAIT)
        }
        Parcel::Order(order) => control::say(socket, order, SendFlags::DONTWAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Handed, Inherited, Report, pair};
    use std::time::Duration;

    #[tokio::test]
    async fn a_role_that_takes_nothing_blocks_no_sender_and_gets_everything_in_order_later() {
        const PARCELS: usize = 600;
        let (control, theirs) = pair().unwrap();
        let mut tether = Tether::new(control).unwrap();
        for _ in 0..PARCELS {
            tether.put(Parcel::stream("peer", UnixStream::pair().unwrap().0));
        }
        tether.put(Parcel::Order(Order::Ping));
        tether.put(Parcel::Order(Order::Drain));
        assert!(
            tokio::time::timeout(Duration::from_millis(50), tether.next_report()).await.is_err(),
            "it says nothing, and the wait can be given up"
        );
        assert!(!tether.waiting.is_empty(), "more than a socket holds");
        let role = std::thread::spawn(move || {
            let role = Inherited::of(theirs);
            let mut taken = 0;
            while let Some(Handed::Socket(_)) = role.next().unwrap() {
                taken += 1;
            }
            role.report(&Report::Idle).unwrap();
            taken
        });
        for expected in [Report::Pong, Report::Idle] {
            let (report, none) = tether.next_report().await.unwrap().unwrap();
            assert!(report == expected && none.is_none(), "{report:?}");
        }
        assert_eq!(role.join().unwrap(), PARCELS);
        assert!(tether.next_report().await.unwrap().is_none());
    }
}
