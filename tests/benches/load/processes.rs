//! The processes of a gateway as the kernel counts them: CPU time, memory, written bytes. Reads only
//! `/proc`, and signals no process.

use std::collections::BTreeMap;
use std::fs;

/// Clock ticks a second, for all architectures of Linux.
const TICKS: f64 = 100.0;

/// The role of all processes that end with a job: the live ones, and those that ended.
const SHORT: &str = "runners and guests";

/// Bytes of a page.
const PAGE: u64 = 4096;

/// A snapshot of the supervisor and all processes below it.
#[derive(Clone, Default)]
pub struct Processes {
    /// CPU seconds by role. Runners and guests end during a load, and then count as children of the
    /// process that awaited them, so they are one role with all ended children.
    pub cpu: BTreeMap<String, f64>,
    /// Resident bytes of all together. Shared pages count for each process.
    pub resident: u64,
    /// Bytes that all have sent to the disk; `None` if the kernel does not show them to this user.
    pub written: Option<u64>,
}

impl Processes {
    /// Reads the processes below this one.
    pub fn read(supervisor: u32) -> Self {
        let all: Vec<Process> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Process::read)
            .collect();
        let mut found = Self { written: Some(0), ..Self::default() };
        for process in &all {
            if process.id == supervisor
                || all.iter().any(|of| process.is_below(of, supervisor, &all))
            {
                found.add(process);
            }
        }
        found
    }

    fn add(&mut self, process: &Process) {
        *self.cpu.entry(process.role()).or_default() += process.own;
        *self.cpu.entry(SHORT.to_owned()).or_default() += process.children;
        self.resident += process.resident;
        let written = written(process.id);
        self.written = self.written.zip(written).map(|(sum, more)| sum + more);
    }

    /// The CPU seconds of all roles.
    pub fn all(&self) -> f64 {
        self.cpu.values().sum()
    }
}

struct Process {
    id: u32,
    parent: u32,
    /// CPU seconds of the process, and of its ended children.
    own: f64,
    children: f64,
    resident: u64,
}

impl Process {
    /// A process that ended meanwhile is not there.
    fn read(id: u32) -> Option<Self> {
        Self::parse(id, &fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    /// Reads a line of `/proc/ID/stat`.
    fn parse(id: u32, stat: &str) -> Option<Self> {
        // The name may contain spaces and parentheses.
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
        Some(Self {
            id,
            parent: fields.get(1)?.parse().ok()?,
            own: (ticks(11)? + ticks(12)?) / TICKS,
            children: (ticks(13)? + ticks(14)?) / TICKS,
            resident: fields.get(21)?.parse::<u64>().ok()? * PAGE,
        })
    }

    fn is_below(&self, of: &Self, supervisor: u32, all: &[Self]) -> bool {
        of.id == self.parent
            && (of.id == supervisor || all.iter().any(|next| of.is_below(next, supervisor, all)))
    }

    fn role(&self) -> String {
        let line = fs::read(format!("/proc/{}/cmdline", self.id)).unwrap_or_default();
        role(&String::from_utf8_lossy(&line))
    }
}

/// The role as the process names itself in its command line: `cofferdam: recorder` is the
/// `recorder`. The supervisor keeps the name of its program.
fn role(line: &str) -> String {
    let name = line.split('\0').next().unwrap_or_default();
    let name = name.strip_prefix("cofferdam: ").unwrap_or(name);
    let word = name.split(' ').next().unwrap_or_default();
    match word.rsplit('/').next().unwrap_or_default() {
        "cofferdam" => "supervisor".to_owned(),
        "runner" | "guest" | "cofferdam-runner" | "cofferdam-guest" => SHORT.to_owned(),
        other => other.to_owned(),
    }
}

fn written(id: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{id}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
}

#[test]
fn cpu_time_is_read_from_the_right_fields() {
    // Fields 14 to 17: own user and system time, then that of awaited children; 24: pages.
    let stat = "7 (a) b c) S 3 7 7 0 -1 4 1 2 3 4 150 50 20 10 20 0 9 0 100 4096 12 99";
    let process = Process::parse(7, stat).unwrap();
    assert_eq!((process.parent, process.own, process.children), (3, 2.0, 0.3));
    assert_eq!(process.resident, 12 * PAGE);
    assert!(Process::parse(7, "7 (a) S 3 7").is_none());
}

#[test]
fn each_process_has_one_role_and_short_ones_share_theirs() {
    let rows = [
        ("cofferdam: recorder\0role\0recorder\0", "recorder"),
        ("/usr/bin/cofferdam\0serve\0", "supervisor"),
        ("cofferdam: runner 1\0", SHORT),
        ("cofferdam-guest\0", SHORT),
        ("", ""),
    ];
    for (line, expected) in rows {
        assert_eq!(role(line), expected, "{line}");
    }
}
