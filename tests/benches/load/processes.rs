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
    resident: u64,
    /// The proportional set of all together: a shared page counts in equal parts. `None` if the
    /// kernel does not show it to this user.
    proportional: Option<u64>,
    /// Bytes that all have sent to the disk; `None` if the kernel does not show them to this user.
    pub written: Option<u64>,
    /// The open descriptors of all together.
    pub descriptors: u64,
}

impl Processes {
    /// Reads the processes below this one.
    pub fn read(supervisor: u32) -> Self {
        let all: Vec<Process> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Process::read)
            .collect();
        let parents: Vec<_> = all.iter().map(|process| (process.id, process.parent)).collect();
        let tree = below(supervisor, &parents);
        let mut found = Self { written: Some(0), proportional: Some(0), ..Self::default() };
        all.iter()
            .filter(|process| tree.contains(&process.id))
            .for_each(|process| found.add(process));
        found
    }

    fn add(&mut self, process: &Process) {
        *self.cpu.entry(process.role()).or_default() += process.own;
        *self.cpu.entry(SHORT.to_owned()).or_default() += process.children;
        self.resident += process.resident;
        let written = value(process.id, "io", "write_bytes:");
        self.written = self.written.zip(written).map(|(sum, more)| sum + more);
        let proportional = value(process.id, "smaps_rollup", "Pss:");
        self.proportional = self.proportional.zip(proportional).map(|(sum, more)| sum + more);
        // A process that just ended has none.
        let open = fs::read_dir(format!("/proc/{}/fd", process.id)).map_or(0, Iterator::count);
        self.descriptors += open as u64;
    }

    /// The memory of all together, in bytes: shared pages in equal parts where the kernel says so.
    pub fn bytes(&self) -> u64 {
        self.proportional.unwrap_or(self.resident)
    }

    /// The memory of all together, in MiB.
    pub fn memory(&self) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let resident = mib(self.resident);
        match self.proportional {
            Some(bytes) => format!(
                "{:.0} MiB (PSS: a shared page in equal parts); {resident:.0} MiB RSS",
                mib(bytes)
            ),
            None => format!("{resident:.0} MiB RSS; the kernel does not show PSS to this user"),
        }
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

/// A value of a file of this process.
fn value(id: u32, file: &str, name: &str) -> Option<u64> {
    bytes(&fs::read_to_string(format!("/proc/{id}/{file}")).ok()?, name)
}

/// The value of this name, in bytes. The kernel gives bytes, or kB.
fn bytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?.trim();
    match value.strip_suffix(" kB") {
        Some(kib) => Some(kib.parse::<u64>().ok()? * 1024),
        None => value.parse().ok(),
    }
}

/// A process and all below it, from pairs of process and parent.
fn below(root: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let (mut found, mut next) = (vec![root], 0);
    while let Some(of) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(id, _)| *id));
        next += 1;
    }
    found
}

#[test]
fn the_tree_and_the_sizes_are_read_right() {
    let zeros = " 0".repeat(20);
    assert_eq!(Process::parse(7, &format!("7 (a) b) S 3{zeros}")).map(|it| it.parent), Some(3));
    assert!(Process::parse(7, "7 nothing").is_none());
    assert_eq!(bytes("Rss: 9 kB\nPss:      12 kB\n", "Pss:"), Some(12 * 1024));
    assert_eq!(bytes("Pss: much", "Pss:"), None);
    assert_eq!(bytes("rchar: 7\nwrite_bytes: 4096\n", "write_bytes:"), Some(4096));
    let rows: [(u32, &[u32]); 3] = [(1, &[1, 2, 4, 3]), (4, &[4]), (9, &[9])];
    for (root, expected) in rows {
        assert_eq!(below(root, &[(2, 1), (3, 2), (4, 1), (6, 5)]), expected);
    }
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
