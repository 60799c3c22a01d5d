//! A courier that was taken over: the kernel leaves it the ports of its issuers and its sockets, and
//! no file, no key, no store, no process. The child of the test has the confinement of the role.

#![expect(clippy::disallowed_types, reason = "the test tries to use UDP, and is refused")]

use crate::server::{Server, connects, ok};
use cofferdam_core::model::web_address::WebAddress;
use cofferdam_courier::role::confine;
use cofferdam_process::confine::knows_ports;
use std::io::ErrorKind::PermissionDenied;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;

/// The variable with the addresses for the child.
const PLACES: &str = "COURIER_PLACES";

/// Not a test of its own: the process that was taken over.
#[test]
fn child() {
    let Ok(places) = std::env::var(PLACES) else { return };
    let [issuer, other, file, socket] = places.split(' ').collect::<Vec<_>>()[..] else { panic!() };
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let (knows, other) = (knows_ports(), at(other));
    // Before the confinement everything is there.
    assert!(std::fs::read(file).is_ok() && connects(other).is_ok());
    assert!(UnixStream::connect(socket).is_ok());
    let address = WebAddress::read(&format!("http://{issuer}")).unwrap();
    confine(&[address.place()]).unwrap();
    let denied = |what: &str, kind: Option<std::io::ErrorKind>| {
        assert_eq!(kind, Some(PermissionDenied), "{what}");
    };
    connects(at(issuer)).unwrap();
    if knows {
        denied("another port", connects(other).err().map(|error| error.kind()));
    }
    denied("a file of the home", std::fs::read(file).err().map(|error| error.kind()));
    denied("a new file", std::fs::write(format!("{file}.new"), "").err().map(|error| error.kind()));
    denied("the root", std::fs::read_dir("/").err().map(|error| error.kind()));
    denied("the operators' socket", UnixStream::connect(socket).err().map(|error| error.kind()));
    denied("UDP", UdpSocket::bind("127.0.0.1:0").err().map(|error| error.kind()));
    // Any other call kills it: a new process is the last thing that it tries.
    let _killed = Command::new("/bin/true").status();
    eprintln!("it started a process");
}

#[test]
fn a_courier_that_is_taken_over_reaches_its_issuers_and_nothing_else() {
    use std::os::unix::process::ExitStatusExt as _;
    /// `SIGSYS`.
    const KILLED: i32 = 31;
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("key"), folder.path().join("operator.sock"));
    std::fs::write(&file, "secret").unwrap();
    let _operators = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let issuer = Server::plain(|_| ok("{}"));
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let places = format!(
        "{} {} {} {}",
        issuer.address,
        other.local_addr().unwrap(),
        file.display(),
        socket.display()
    );
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "confined::child", "--nocapture", "--test-threads=1"])
        .env(PLACES, places)
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(done.status.signal(), Some(KILLED), "{said}");
    assert!(!said.contains("it started a process") && !said.contains("panicked"), "{said}");
}
