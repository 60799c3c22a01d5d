//! Sends one request to a new `cofferdam-guest` process, and describes its end if it gives no
//! response. Untrusted components are compiled and run only there.

use anyhow::{Context as _, Result};
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::escape::line;
use cofferdam_core::model::json::strict_into;
use cofferdam_core::protocol::role_guest::{Compute, Computed};
use cofferdam_process::frame::{self, Frame};
use cofferdam_process::spawn::{self, StandardError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// The time limit of compiling one component. The largest component needs about ten seconds of
/// processor time, and more on a busy machine.
pub const COMPILE: Duration = Duration::from_secs(120);

/// The time limit of a tool or a policy. The guest has a much lower limit of its own.
pub const COMPUTE: Duration = Duration::from_secs(20);

/// The time limit of a guest's end after it closed its socket.
const ENDING: Duration = Duration::from_secs(5);

/// The pause between two checks for its end.
const MOMENT: Duration = Duration::from_millis(5);

/// The numbers of `SIGKILL`, `SIGXCPU` and `SIGSYS` (`asm-generic/signal.h`, equal on both
/// architectures).
const KILLED: i32 = 9;
const OUT_OF_TIME: i32 = 24;
const BAD_CALL: i32 = 31;

/// The path of the guest binary, beside this binary.
///
/// # Errors
/// The path of this binary is not known.
pub fn beside() -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this binary")?;
    Ok(this.with_file_name("cofferdam-guest"))
}

/// Starts a guest, sends a request with its body, and waits at most `limit` for the response and
/// its body.
///
/// # Errors
/// The error of the guest, with its code; `spawn` if it cannot be started; `time` after `limit`;
/// `crash` if it ends without a response.
pub fn ask(
    guest: &Path,
    compute: &Compute,
    body: Vec<u8>,
    limit: Duration,
) -> Result<(Computed, Vec<u8>), GuestError> {
    let spawned = |error: io::Error| {
        let remedy = "`cofferdam doctor` says where it should be";
        error_of("spawn", format!("cannot start `{}`: {error}; {remedy}", guest.display()))
    };
    let (ours, theirs) = UnixStream::pair().map_err(spawned)?;
    let mut child = spawn::spawn(guest, &[], OwnedFd::from(theirs), StandardError::Discarded)
        .map_err(spawned)?;
    let answered = exchange(&ours, compute, body, limit);
    drop(ours);
    let answer = match answered {
        Ok(Some(answer)) => {
            let _ended_or_not = child.kill();
            let _status = child.wait();
            answer
        }
        Ok(None) => return Err(crashed(&mut child)),
        // A write to a guest that ended fails too.
        Err(error) if !slow(&error) => return Err(crashed(&mut child)),
        Err(_) => {
            let _ended_or_not = child.kill();
            let _status = child.wait();
            let detail = format!(
                "there was no answer within {} s, so its process was ended",
                limit.as_secs()
            );
            return Err(error_of("time", detail));
        }
    };
    match strict_into::<Computed>(&answer.header) {
        Ok(Computed::Failed { code, detail }) => {
            Err(GuestError { code: line(&code), detail: line(&detail) })
        }
        Ok(computed) => Ok((computed, answer.body)),
        Err(error) => Err(error_of(
            "output",
            format!("the guest process returned an unexpected response: {error}"),
        )),
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

fn error_of(code: &str, detail: String) -> GuestError {
    GuestError { code: code.to_owned(), detail }
}

/// Describes the end of a guest that closed its socket without a response.
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
    error_of(
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
