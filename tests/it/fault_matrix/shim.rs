//! Copies of the programs whose system calls a test fails while they run. `shim.c` is the library
//! inside of the copies; the rules here are the bytes that it reads. Never changes a built program.

use crate::installation::{TestInstallation, binaries, repository, text};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The programs that get the library, and those that stay as they are. A guest stays: its filter of
/// system calls kills it for a call of the library.
const CHANGED: [&str; 2] = ["cofferdam", "cofferdam-runner"];
const UNCHANGED: [&str; 2] = ["cofferdam-guest", "cofferdam-courier"];

/// The processes that have a control file. All runners share one.
const ROLES: [&str; 5] = ["serve", "gateway", "recorder", "viewer", "runner"];

/// Kinds of system calls, as `shim.c` numbers them.
pub const WRITE: u32 = 1;
pub const SYNC: u32 = 2;
pub const READ: u32 = 4;
pub const CREATE: u32 = 8;
pub const LOG: u32 = 16;

/// Error numbers (`asm-generic/errno-base.h`).
pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
pub const EROFS: i32 = 30;

/// The bytes of a control file, before its rules, and of one rule.
const HEAD: u64 = 64;
const RULE: usize = 128;
const RULES: u64 = 8;

/// What the library does at a call.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Counts it.
    Count,
    /// Fails it with this error number.
    Fail(i32),
    /// Writes half of the bytes.
    Short,
    /// Stops the process after it, as `kill -STOP` does.
    Stop,
    /// Ends the process in place of it, as `kill -9` does.
    Kill,
    /// Ends the process after it.
    KillAfter,
}

impl Action {
    fn numbers(self) -> (u32, i32) {
        match self {
            Self::Count => (0, 0),
            Self::Fail(error) => (1, error),
            Self::Short => (2, 0),
            Self::Stop => (3, 0),
            Self::Kill => (4, 0),
            Self::KillAfter => (5, 0),
        }
    }
}

/// A fault: these calls on files whose path has this part, or on log lines that have it.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'a> {
    pub calls: u32,
    pub place: &'a str,
    pub action: Action,
    /// The matching calls that pass first, and the number that the action meets (0: all).
    pub skip: u32,
    pub times: u32,
}

impl<'a> Rule<'a> {
    /// Every such call.
    pub fn every(calls: u32, place: &'a str, action: Action) -> Self {
        Self { calls, place, action, skip: 0, times: 0 }
    }

    /// The one such call after `skip` others.
    pub fn one(calls: u32, place: &'a str, action: Action, skip: u32) -> Self {
        Self { calls, place, action, skip, times: 1 }
    }

    /// The bytes of the rule, not armed yet.
    fn bytes(&self) -> [u8; RULE] {
        let (action, error) = self.action.numbers();
        let mut bytes = [0; RULE];
        let numbers = [0, self.calls, action, error.cast_unsigned(), self.skip, self.times, 0, 0];
        for (slot, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            slot.copy_from_slice(&number.to_ne_bytes());
        }
        bytes[32..32 + self.place.len()].copy_from_slice(self.place.as_bytes());
        assert_eq!(bytes[RULE - 1], 0, "the part of a path is too long: {}", self.place);
        bytes
    }
}

/// The control of the faults of one installation.
pub struct Faults(PathBuf);

impl Faults {
    /// Makes this installation run from copies of the programs, without a fault yet.
    pub fn of(installation: &mut TestInstallation) -> Self {
        let programs = installation.beside("programs");
        let control = programs.join("control");
        fs::create_dir_all(&control).unwrap();
        for name in CHANGED {
            link(&changed().join(name), &programs.join(name));
        }
        for name in UNCHANGED.iter().filter(|name| binaries().join(name).exists()) {
            link(&binaries().join(name), &programs.join(name));
        }
        for role in ROLES {
            let size = usize::try_from(HEAD + RULES * RULE as u64).unwrap();
            fs::write(control.join(role), vec![0; size]).unwrap();
        }
        installation.run_from(programs);
        Self(control)
    }

    fn file(&self, role: &str) -> File {
        OpenOptions::new().read(true).write(true).open(self.0.join(role)).unwrap()
    }

    /// Replaces the faults of a role by these.
    pub fn arm(&self, role: &str, rules: &[Rule<'_>]) {
        self.calm(role);
        let file = self.file(role);
        for (at, rule) in (HEAD..).step_by(RULE).zip(rules) {
            file.write_all_at(&rule.bytes(), at).unwrap();
        }
        for at in (HEAD..).step_by(RULE).take(rules.len()) {
            file.write_all_at(&1_u32.to_ne_bytes(), at).unwrap();
        }
    }

    /// Ends the faults of a role.
    pub fn calm(&self, role: &str) {
        let file = self.file(role);
        for at in (HEAD..).step_by(RULE).take(RULES as usize) {
            file.write_all_at(&0_u32.to_ne_bytes(), at).unwrap();
        }
    }

    /// The number of calls that the first rule of a role met, and the number of its actions.
    pub fn counts(&self, role: &str) -> (u32, u32) {
        let mut bytes = [0; 8];
        self.file(role).read_exact_at(&mut bytes, HEAD + 24).unwrap();
        let [a, b, c, d, e, f, g, h] = bytes;
        (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]))
    }

    /// Sets the wall clock of a role to so many seconds ahead; negative: behind.
    pub fn clock(&self, role: &str, seconds: i64) {
        let ahead = (seconds * 1_000_000_000).to_ne_bytes();
        self.file(role).write_all_at(&ahead, 0).unwrap();
    }
}

/// The folder of the changed copies, made once for each build.
fn changed() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = binaries().parent().unwrap().join("fault-copies");
        fs::create_dir_all(&folder).unwrap();
        let library = folder.join("shim.so");
        let source = repository().join("tests/it/fault_matrix/shim.c");
        renewed(&source, &library, |new| {
            let flags = ["-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o"];
            run("cc", &[&flags[..], &[text(new), text(&source)]].concat());
        });
        for name in CHANGED {
            renewed(&binaries().join(name), &folder.join(name), |new| {
                fs::copy(binaries().join(name), new).unwrap();
                run("patchelf", &["--add-needed", text(&library), text(new)]);
            });
        }
        folder
    })
}

/// Makes a file again if its source is newer. Another process sees the old file or the new one.
fn renewed(source: &Path, made: &Path, make: impl FnOnce(&Path)) {
    let time = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    if time(made).is_some_and(|made| Some(made) > time(source)) {
        return;
    }
    let new = made.with_extension(format!("{}.new", std::process::id()));
    make(&new);
    fs::rename(&new, made).unwrap();
}

fn link(from: &Path, to: &Path) {
    // A link keeps a path of its own in `/proc/self/exe`. Another file system needs a copy.
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

fn run(program: &str, words: &[&str]) {
    let done = Command::new(program).args(words).output().unwrap_or_else(|why| {
        panic!(
            "`{program}` cannot be run ({why}); install it (Debian: gcc, patchelf), or leave these \
             tests out with COFFERDAM_FAULTS=0"
        )
    });
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}
