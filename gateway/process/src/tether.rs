//! The supervisor's hold on one role. What it hands over waits here while the role takes nothing,
//! so that a role that hangs holds up no other. Never blocks, and never decides what a silence
//! means.

use crate::control::{self, Control, Order, Report};
use rustix::net::{SendFlags, Shutdown, shutdown};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use tokio::io::Interest;
use tokio::net::UnixStream as Socket;

/// What waits to be handed over.
#[derive(Debug)]
pub enum Parcel {
    /// A socket, under the name that the role knows it by.
    Socket(&'static str, OwnedFd),
    /// An order.
    Order(Order),
}

impl Parcel {
    /// One end of a pair.
    pub fn stream(name: &'static str, stream: UnixStream) -> Self {
        Self::Socket(name, stream.into())
    }
}

/// A hold on a role; dropped, it tells the role to end.
#[derive(Debug)]
pub struct Tether {
    socket: Socket,
    waiting: VecDeque<Parcel>,
}

impl Tether {
    /// Takes the control socket over. Must be called within the runtime.
    pub fn new(control: Control) -> io::Result<Self> {
        // Packets are read and written by `control`; this type only says when.
        let socket = UnixStream::from(control.0);
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Socket::from_std(socket)?, waiting: VecDeque::new() })
    }

    /// Puts a parcel behind those that wait.
    pub fn put(&mut self, parcel: Parcel) {
        self.waiting.push_back(parcel);
    }

    /// Tells the role to end; what waits is not handed over any more. It may still report.
    pub fn end(&mut self) {
        self.waiting.clear();
        // A role that is gone needs no telling.
        let _gone = shutdown(&self.socket, Shutdown::Write);
    }

    /// Hands over what waits, until the role says something. None when its end is closed. Dropping
    /// this loses nothing.
    pub async fn hear(&mut self) -> io::Result<Option<Report>> {
        loop {
            tokio::select! {
                ready = self.socket.readable() => {
                    ready?;
                    match self.socket.try_io(Interest::READABLE, || control::heard(&self.socket)) {
                        Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                        heard => return heard,
                    }
                }
                ready = self.socket.writable(), if !self.waiting.is_empty() => {
                    ready?;
                    let Some(first) = self.waiting.front() else { continue };
                    match self.socket.try_io(Interest::WRITABLE, || send(&self.socket, first)) {
                        Ok(()) => drop(self.waiting.pop_front()),
                        Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                        // Its end is closed: what it said before can still be read.
                        Err(_) => self.waiting.clear(),
                    }
                }
            }
        }
    }

    /// What the role had said and was not heard yet: for a role that has ended.
    pub fn rest(&self) -> Vec<Report> {
        let mut rest = Vec::new();
        while let Ok(Some(report)) = control::heard(&self.socket) {
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
    use crate::control::{Handed, Inherited, pair};
    use std::time::Duration;

    #[tokio::test]
    async fn a_role_that_takes_nothing_blocks_nobody_and_gets_everything_in_order_later() {
        const PARCELS: usize = 600;
        let (control, theirs) = pair().unwrap();
        let mut tether = Tether::new(control).unwrap();
        for _ in 0..PARCELS {
            tether.put(Parcel::stream("peer", UnixStream::pair().unwrap().0));
        }
        tether.put(Parcel::Order(Order::Ping));
        tether.put(Parcel::Order(Order::Drain));
        assert!(
            tokio::time::timeout(Duration::from_millis(50), tether.hear()).await.is_err(),
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
        assert_eq!(tether.hear().await.unwrap(), Some(Report::Pong));
        assert_eq!(tether.hear().await.unwrap(), Some(Report::Idle));
        assert_eq!(role.join().unwrap(), PARCELS);
        assert_eq!(tether.hear().await.unwrap(), None);
    }
}
