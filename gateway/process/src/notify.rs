//! Notifications to a service manager: datagrams to the socket that `NOTIFY_SOCKET` names, as
//! `sd_notify(3)` describes them. Only the supervisor sends them; roles start without an
//! environment. Never waits, and receives nothing.

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with,
};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

/// The longest wait for a busy manager, which reads the messages of many services.
const BUSY: Duration = Duration::from_secs(1);

/// The service manager of this process.
#[derive(Debug)]
pub struct Manager {
    socket: OwnedFd,
    address: SocketAddrUnix,
    watchdog: Option<Duration>,
}

impl Manager {
    /// Returns the manager that this environment names, or `None` if it names none. `own` is the id
    /// of this process: a watchdog for another process is ignored.
    /// # Errors
    /// The variable names neither an absolute path nor an abstract socket (`@name`).
    pub fn named(
        variable: impl Fn(&str) -> Option<OsString>,
        own: u32,
    ) -> io::Result<Option<Self>> {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
            path @ [b'/', ..] => SocketAddrUnix::new(path)?,
            _ => {
                let problem = "`NOTIFY_SOCKET` is neither an absolute path nor `@` and a name";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
            }
        };
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        set_socket_timeout(&socket, Timeout::Send, Some(BUSY))?;
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(own));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| ours && *usec > 0);
        Ok(Some(Self { socket, address, watchdog: watchdog.map(Duration::from_micros) }))
    }

    /// Returns the time after which the manager ends this process without a sign of life, or `None`
    /// if it never does.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Sends a state: `READY=1`, `STATUS=…`; several states have a line each. Waits for at most one
    /// second for a busy manager. A manager that is away must not delay its service.
    pub fn tell(&self, state: &str) {
        let _lost = sendto(&self.socket, state.as_bytes(), SendFlags::NOSIGNAL, &self.address);
    }

    /// Sends a sign of life, without a wait.
    pub fn live(&self) {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let _lost = sendto(&self.socket, b"WATCHDOG=1", flags, &self.address);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "the manager's protocol is datagrams")]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    fn check(name: &str, listener: &UnixDatagram) {
        let variable = |wanted: &str| match wanted {
            "NOTIFY_SOCKET" => Some(OsString::from(name)),
            "WATCHDOG_USEC" => Some("30000000".into()),
            "WATCHDOG_PID" => Some("7".into()),
            _ => None,
        };
        let manager = Manager::named(variable, 7).unwrap().unwrap();
        assert_eq!(manager.watchdog(), Some(Duration::from_secs(30)));
        assert_eq!(Manager::named(variable, 8).unwrap().unwrap().watchdog(), None);
        manager.tell("READY=1\nSTATUS=serving");
        let mut bytes = [0; 64];
        let count = listener.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"READY=1\nSTATUS=serving");
    }

    #[test]
    fn a_manager_is_told_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        check(path.to_str().unwrap(), &UnixDatagram::bind(&path).unwrap());
        let name = format!("cofferdam-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        check(&format!("@{name}"), &UnixDatagram::bind_addr(&address).unwrap());
        assert!(Manager::named(|_| None, 7).unwrap().is_none());
        assert!(Manager::named(|_| Some("relative".into()), 7).is_err());
    }
}
