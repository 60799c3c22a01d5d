//! The sockets that a role without new sockets can still use. A process of its own shows it,
//! because the confinement does not end. Each row is a call that succeeds without the filter, or
//! fails for another reason.

#![cfg(test)]
#![expect(clippy::disallowed_types, reason = "shows that a datagram socket is denied")]

use cofferdam_process::confine::{NewSockets, new_sockets};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket, socketpair};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};

/// The variable that names the role of the test binary, and the path of a socket that listens.
const ROLE: &str = "SOCKETS_ROLE";
const PATH: &str = "SOCKETS_PATH";

/// Not a test of its own: the work of the child. Without the variable the test does nothing.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var(PATH).unwrap();
    let mut given =
        UnixStream::from(std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned().unwrap());
    UnixStream::connect(&path).expect("the socket listens");
    let (held, _other) = UnixDatagram::pair().unwrap();
    held.send_to(b"x", format!("{path}.log")).expect("the log listens");
    new_sockets(match role.as_str() {
        "none" => NewSockets::None,
        "tcp" => NewSockets::Tcp,
        _ => NewSockets::Internet,
    })
    .unwrap();
    let mut said = Vec::new();
    let mut say = |what: &str, error: Option<std::io::Error>| {
        said.push(format!("{what} {:?}", error.and_then(|error| error.raw_os_error())))
    };
    say("connect", UnixStream::connect(&path).err());
    say("listen", UnixListener::bind(format!("{path}.2")).err());
    say("udp", UdpSocket::bind("127.0.0.1:0").err());
    // Port 1 has no listener: an allowed connection is refused.
    say("tcp", TcpStream::connect("127.0.0.1:1").err());
    say("pair", UnixStream::pair().err());
    let datagram =
        UnixDatagram::pair().and_then(|(one, _other)| one.send_to(b"x", format!("{path}.log")));
    say("datagram to a path", datagram.err());
    say("datagram to a path, over what it holds", held.send_to(b"x", format!("{path}.log")).err());
    for (what, domain, kind, protocol) in [
        ("datagrams of paths", AddressFamily::UNIX, SocketType::DGRAM, None),
        ("packets of paths", AddressFamily::UNIX, SocketType::SEQPACKET, None),
        ("kernel tables", AddressFamily::NETLINK, SocketType::RAW, None),
        ("kernel tables by datagram", AddressFamily::NETLINK, SocketType::DGRAM, None),
        ("virtual machines", AddressFamily::VSOCK, SocketType::STREAM, None),
        ("ciphers", AddressFamily::from_raw(38), SocketType::SEQPACKET, None),
        ("raw", AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)),
        ("raw 6", AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6)),
        ("ping", AddressFamily::INET, SocketType::DGRAM, Some(ipproto::ICMP)),
        ("mptcp", AddressFamily::INET, SocketType::STREAM, Some(ipproto::MPTCP)),
    ] {
        say(what, socket(domain, kind, protocol).err().map(Into::into));
    }
    for (what, kind) in [
        ("pair of packets", SocketType::SEQPACKET),
        ("pair of datagrams", SocketType::DGRAM),
        ("raw pair", SocketType::RAW),
    ] {
        say(
            what,
            socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).err().map(Into::into),
        );
    }
    let nested = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "grandchild", "--nocapture"])
        .env_remove(ROLE)
        .env("SOCKETS_GRANDCHILD", &path)
        .output();
    say("start", nested.as_ref().err().map(|error| std::io::Error::from(error.kind())));
    let nested = String::from_utf8(nested.unwrap().stdout).unwrap();
    said.push(nested.lines().find_map(|line| line.split_once("inherited: ")).unwrap().1.to_owned());
    given.write_all(said.join("\n").as_bytes()).unwrap();
    given.shutdown(std::net::Shutdown::Write).unwrap();
}

/// The work of a process that the child starts.
#[test]
fn grandchild() {
    let Ok(path) = std::env::var("SOCKETS_GRANDCHILD") else { return };
    println!(
        "\ninherited: connect {:?}",
        UnixStream::connect(path).err().and_then(|error| error.raw_os_error())
    );
}

/// Plays a role, and compares. `expect` lists the calls that do not fail with `EPERM`, and their
/// other errors.
fn check(role: &str, expect: &[(&str, Option<i32>)]) {
    const CALLS: [&str; 22] = [
        "connect",
        "listen",
        "udp",
        "tcp",
        "pair",
        "datagram to a path",
        "datagram to a path, over what it holds",
        "datagrams of paths",
        "packets of paths",
        "kernel tables",
        "kernel tables by datagram",
        "virtual machines",
        "ciphers",
        "raw",
        "raw 6",
        "ping",
        "mptcp",
        "pair of packets",
        "pair of datagrams",
        "raw pair",
        "start",
        "connect",
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("operators");
    let _listener = UnixListener::bind(&path).unwrap();
    let _log = UnixDatagram::bind(format!("{}.log", path.display())).unwrap();
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
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let rows = CALLS.map(|call| {
        let error =
            expect.iter().find(|(name, _)| *name == call).map_or(Some(1), |(_, error)| *error);
        format!("{call} {error:?}")
    });
    assert_eq!(said, rows.join("\n"), "{role}");
}

#[test]
fn a_role_without_network_makes_no_socket_and_talks_over_what_it_holds() {
    check("none", &[("pair", None), ("pair of packets", None), ("start", None)]);
}

#[test]
fn a_role_with_a_server_at_an_address_makes_tcp_sockets_alone() {
    check("tcp", &[("tcp", Some(111)), ("pair", None), ("pair of packets", None), ("start", None)]);
}

#[test]
fn a_role_with_a_collector_reaches_the_network_and_no_path() {
    check(
        "internet",
        &[
            ("udp", None),
            ("tcp", Some(111)),
            ("pair", None),
            ("pair of packets", None),
            ("start", None),
        ],
    );
}

/// The variable that names the port that a child may connect to.
const PORT: &str = "SOCKETS_PORT";

/// Not a test of its own: a role with one port in its Landlock rules.
#[test]
fn connects_to_one_port() {
    let Some(ports) = std::env::var(PORT).ok() else { return };
    let ports: Vec<u16> = ports.split(' ').map(|port| port.parse().unwrap()).collect();
    let [allowed, other] = ports[..] else { panic!() };
    cofferdam_process::confine::files(cofferdam_process::confine::Files {
        connect: &[allowed],
        ..Default::default()
    })
    .unwrap();
    let code = |error: std::io::Error| error.raw_os_error();
    assert_eq!(TcpStream::connect(("127.0.0.1", allowed)).map(drop).map_err(code), Ok(()));
    assert_eq!(TcpStream::connect(("127.0.0.1", other)).map(drop).map_err(code), Err(Some(13)));
    assert_eq!(TcpListener::bind("127.0.0.1:0").map(drop).map_err(code), Err(Some(13)));
}

#[test]
fn a_role_with_a_server_connects_to_its_port_and_binds_none() {
    if !cofferdam_process::confine::knows_ports() {
        eprintln!("this kernel's Landlock knows no ports: nothing is shown");
        return;
    }
    let listeners =
        [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let ports = listeners
        .each_ref()
        .map(|listener| listener.local_addr().unwrap().port().to_string())
        .join(" ");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "connects_to_one_port", "--nocapture"])
        .env(PORT, ports)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
