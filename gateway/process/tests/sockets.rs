//! What a role that was told to make no sockets can still do: shown by a process of its own, for the confinement does not end.

#![cfg(test)]
#![expect(clippy::disallowed_types, reason = "shows that a datagram socket is denied")]

use cofferdam_process::confine::{NewSockets, new_sockets};
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

/// Names the role that the test binary plays, and the path of a socket that listens.
const ROLE: &str = "SOCKETS_ROLE";
const PATH: &str = "SOCKETS_PATH";

/// Not a test of its own: what the child does. Without the variable it is the parent's pass over the file.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var(PATH).unwrap();
    let mut given = UnixStream::from(std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned().unwrap());
    UnixStream::connect(&path).expect("the socket listens");
    new_sockets(if role == "none" { NewSockets::None } else { NewSockets::Internet }).unwrap();
    let mut said = Vec::new();
    let mut say =
        |what: &str, fault: Option<std::io::Error>| said.push(format!("{what} {:?}", fault.and_then(|fault| fault.raw_os_error())));
    say("connect", UnixStream::connect(&path).err());
    say("listen", UnixListener::bind(format!("{path}.2")).err());
    say("udp", UdpSocket::bind("127.0.0.1:0").err());
    // Port 1 has no listener: a connection that is not denied is refused.
    say("tcp", TcpStream::connect("127.0.0.1:1").err());
    say("pair", UnixStream::pair().err());
    let nested = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "grandchild", "--nocapture"])
        .env_remove(ROLE)
        .env("SOCKETS_GRANDCHILD", &path)
        .output();
    say("start", nested.as_ref().err().map(|fault| std::io::Error::from(fault.kind())));
    let nested = String::from_utf8(nested.unwrap().stdout).unwrap();
    said.push(nested.lines().find_map(|line| line.split_once("inherited: ")).unwrap().1.to_owned());
    given.write_all(said.join("\n").as_bytes()).unwrap();
    given.shutdown(std::net::Shutdown::Write).unwrap();
}

/// What a process that the child starts does.
#[test]
fn grandchild() {
    let Ok(path) = std::env::var("SOCKETS_GRANDCHILD") else { return };
    println!("\ninherited: connect {:?}", UnixStream::connect(path).err().and_then(|fault| fault.raw_os_error()));
}

fn check(role: &str, expect: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("operators");
    let _listener = UnixListener::bind(&path).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(ROLE, role)
        .env(PATH, &path)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .output()
        .unwrap();
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(said, expect, "{role}");
}

#[test]
fn a_role_without_network_makes_no_socket_and_talks_over_what_it_holds() {
    check("none", "connect Some(1)\nlisten Some(1)\nudp Some(1)\ntcp Some(1)\npair None\nstart None\nconnect Some(1)");
}

#[test]
fn a_role_with_a_collector_reaches_the_network_and_no_path() {
    check("internet", "connect Some(1)\nlisten Some(1)\nudp None\ntcp Some(111)\npair None\nstart None\nconnect Some(1)");
}
