//! A service manager as a service sees it: it listens on `NOTIFY_SOCKET` and sends the signals of
//! systemd. Also the check by systemd itself of the shipped unit.

#![expect(clippy::disallowed_types, reason = "systemd's protocol is datagrams")]

use super::processes::{alive, descendants, kill};
use crate::installation::{TIME_LIMIT, TestInstallation, binaries, repository, text};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// Every line of a service from now on.
fn listen(socket: UnixDatagram) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count) = socket.recv(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            if text.lines().any(|line| sender.send(line.to_owned()).is_err()) {
                return;
            }
        }
    });
    lines
}

/// Waits until the service sends this line. Returns all lines until then.
fn told(lines: &Receiver<String>, line: &str) -> Vec<String> {
    let mut before = Vec::new();
    loop {
        let next = lines
            .recv_timeout(TIME_LIMIT)
            .unwrap_or_else(|_| panic!("it never told `{line}`: {before:?}"));
        before.push(next);
        if before.last().is_some_and(|told| told == line) {
            return before;
        }
    }
}

/// Starts and stops a service, with TERM to all of its processes or to the first alone. Then kills
/// the rest, as systemd does.
fn served(all: bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let lines = listen(socket);
    let mut installation = TestInstallation::bare("example");
    let environment = [("NOTIFY_SOCKET", text(&path)), ("WATCHDOG_USEC", "400000")];
    installation.serve_in(&environment, &[]);
    told(&lines, "READY=1");
    told(&lines, "WATCHDOG=1");
    told(&lines, "WATCHDOG=1");
    let supervisor = installation.supervisor();
    let roles: Vec<u32> = descendants(supervisor).iter().map(|process| process.id).collect();
    for role in &roles {
        let environment = fs::read(format!("/proc/{role}/environ")).unwrap();
        assert!(environment.is_empty(), "{}", String::from_utf8_lossy(&environment));
    }
    kill("TERM", &if all { [roles.as_slice(), &[supervisor]].concat() } else { vec![supervisor] });
    told(&lines, "STOPPING=1");
    told(&lines, "STATUS=stopping: running jobs finish");
    assert!(installation.ended().success());
    // No process remains for the kill that follows.
    assert!(roles.iter().all(|role| !alive(*role)));
    assert!(installation.log().contains("clean=true"), "{}", installation.log());
}

#[test]
fn it_tells_a_service_manager_how_it_is_and_obeys_its_stop() {
    served(false);
    served(true);
}

fn unit() -> String {
    fs::read_to_string(repository().join("deploy/systemd/cofferdam.service")).unwrap()
}

fn value(key: &str) -> String {
    let unit = unit();
    let found =
        unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned));
    found.unwrap_or_else(|| panic!("the unit has no `{key}`"))
}

#[test]
fn the_unit_gives_a_stop_the_time_it_may_take() {
    assert_eq!(
        [value("Type"), value("NotifyAccess"), value("KillMode"), value("Restart")],
        ["notify", "main", "mixed", "on-failure"]
    );
    // The drain, ten seconds for each role, twenty for the store, and the time in which the kernel
    // kills them.
    assert!(value("TimeoutStopSec").parse::<u64>().unwrap() >= 30 + 10 + 20 + 3 * 2);
    assert!(value("WatchdogSec").parse::<u64>().unwrap() >= 30);
}

#[test]
fn systemd_takes_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cofferdam.service");
    // It checks the path of the program; the built one replaces the installed one.
    let program = binaries().join("cofferdam");
    let installed = "/usr/local/bin/cofferdam ";
    assert!(unit().contains(installed));
    let unit = unit().replace(installed, &format!("{} ", text(&program)));
    fs::write(&path, unit).unwrap();
    let done = Command::new("systemd-analyze").args(["verify", "--man=no", text(&path)]).output();
    let done = done.unwrap_or_else(|why| {
        panic!("`systemd-analyze` cannot be run ({why}); install systemd (Debian: systemd)")
    });
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && !said.contains("cofferdam.service:"), "{said}");
}
