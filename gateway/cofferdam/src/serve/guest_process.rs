//! Asking a `cofferdam-guest` process one thing, and what became of it where it gives no answer.
//! Whatever a stranger wrote is compiled and run there, never in the process that asks.

use anyhow::{Context as _, Result};
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::escape::line;
use cofferdam_core::model::json::strict_into;
use cofferdam_core::protocol::role_guest::{Compute, Computed};
use cofferdam_process::frame::{self, Frame};
use cofferdam_process::spawn::{self, Words};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How long compiling one component may take, by the clock on the wall: a loaded machine is slow,
/// and an honest component of the largest size takes some ten seconds of processor time.
pub const COMPILE: Duration = Duration::from_secs(120);

/// How long a tool or a policy may take, by the clock on the wall: the guest counts its own time
/// far more strictly.
pub const COMPUTE: Duration = Duration::from_secs(20);

/// How long a guest that closed its socket may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// How often it is asked whether it has ended.
const MOMENT: Duration = Duration::from_millis(5);

/// `SIGKILL`, `SIGXCPU`, `SIGSYS` (`asm-generic/signal.h`, the same on both architectures).
const KILLED: i32 = 9;
const OUT_OF_TIME: i32 = 24;
const BAD_CALL: i32 = 31;

/// The binary of guests, which lies beside this one.
///
/// # Errors
/// This binary's own place cannot be found.
pub fn beside() -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this binary")?;
    Ok(this.with_file_name("cofferdam-guest"))
}

/// Starts a guest, asks it one thing over a body, and waits at most `limit` for the answer and its
/// body.
///
/// # Errors
/// The guest's own fault, with its code; `spawn` where it cannot be started; `time` where it gives
/// no answer within `limit`; `crash` where it ends without one.
pub fn ask(
    guest: &Path,
    compute: &Compute,
    body: Vec<u8>,
    limit: Duration,
) -> Result<(Computed, Vec<u8>), GuestError> {
    let spawned = |error: io::Error| {
        let remedy = "`cofferdam doctor` says where it should be";
        fault_of("spawn", format!("cannot start `{}`: {error}; {remedy}", guest.display()))
    };
    let (ours, theirs) = UnixStream::pair().map_err(spawned)?;
    let mut child =
        spawn::spawn(guest, &[], OwnedFd::from(theirs), Words::Unheard).map_err(spawned)?;
    let answered = exchange(&ours, compute, body, limit);
    drop(ours);
    let answer = match answered {
        Ok(Some(answer)) => {
            let _ended_or_not = child.kill();
            let _status = child.wait();
            answer
        }
        Ok(None) => return Err(crashed(&mut child)),
        // A guest that is gone cannot be written to either.
        Err(error) if !slow(&error) => return Err(crashed(&mut child)),
        Err(_) => {
            let _ended_or_not = child.kill();
            let _status = child.wait();
            let detail = format!(
                "there was no answer within {} s, so its process was ended",
                limit.as_secs()
            );
            return Err(fault_of("time", detail));
        }
    };
    match strict_into::<Computed>(&answer.header) {
        Ok(Computed::Failed { code, detail }) => {
            Err(GuestError { code: line(&code), detail: line(&detail) })
        }
        Ok(computed) => Ok((computed, answer.body)),
        Err(error) => {
            Err(fault_of("output", format!("the guest process answered something else: {error}")))
        }
    }
}

fn exchange(
    ours: &UnixStream,
    compute: &Compute,
    body: Vec<u8>,
    limit: Duration,
) -> io::Result<Option<Frame>> {
    ours.set_read_timeout(Some(limit))?;
    ours.set_write_timeout(Some(limit))?;
    frame::write(&mut &*ours, &Frame { header: serde_json::to_vec(compute)?, body })?;
    frame::read(&mut &*ours)
}

fn slow(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn fault_of(code: &str, detail: String) -> GuestError {
    GuestError { code: code.to_owned(), detail }
}

/// It closed its socket without an answer: what became of it.
fn crashed(child: &mut Child) -> GuestError {
    let until = Instant::now() + ENDING;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(MOMENT),
            Ok(None) | Err(_) => {
                let _ended_or_not = child.kill();
                break child.wait().ok();
            }
        }
    };
    let how = status.map_or_else(|| "without a word".to_owned(), ended);
    fault_of(
        "crash",
        format!(
            "the process that looked at it ended {how}; it cannot be used, and nothing else was \
             touched"
        ),
    )
}

fn ended(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(KILLED), _) => {
            "by SIGKILL: the machine had no more memory, or a person killed it".to_owned()
        }
        (Some(OUT_OF_TIME), _) => "because it used up its processor time".to_owned(),
        (Some(BAD_CALL), _) => "because it made a system call that guests may not make".to_owned(),
        (Some(signal), _) => {
            format!("by signal {signal}: it crashed, or needed more memory than it may have")
        }
        (None, code) => format!("by itself, with exit code {}", code.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn check(script: &str, limit: Duration, code: &str, words: &str) {
        let folder = tempfile::tempdir().unwrap();
        let guest = folder.path().join("guest");
        std::fs::write(&guest, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&guest, std::fs::Permissions::from_mode(0o700)).unwrap();
        let began = Instant::now();
        let error = ask(&guest, &Compute::Examine, vec![7; 1 << 20], limit)
            .map(|(computed, _)| computed)
            .unwrap_err();
        assert!(error.code == code && error.detail.contains(words), "{script}: {error}");
        assert!(began.elapsed() < Duration::from_secs(60), "{script}: {:?}", began.elapsed());
    }

    #[test]
    fn a_guest_that_gives_no_answer_is_a_refusal_in_words() {
        let long = Duration::from_secs(50);
        check("kill -9 $$", long, "crash", "SIGKILL");
        check("kill -11 $$", long, "crash", "signal 11");
        check("kill -24 $$", long, "crash", "processor time");
        check("exit 3", long, "crash", "exit code 3");
        check("exec sleep 70", Duration::from_millis(200), "time", "no answer within 0 s");
        let missing = ask(Path::new("/nowhere/guest"), &Compute::Examine, Vec::new(), long)
            .map(drop)
            .unwrap_err();
        assert!(missing.code == "spawn" && missing.detail.contains("doctor"), "{missing}");
    }
}
