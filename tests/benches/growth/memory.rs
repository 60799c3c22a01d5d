//! The memory of a supervisor and all processes below it, from `/proc`. Signals no process.

use std::fs;

/// Bytes that the kernel counts for a process.
#[derive(Clone, Copy, Default)]
pub struct Memory {
    /// Resident bytes. A shared page counts for each process that has it.
    resident: u64,
    /// The proportional set: a shared page counts in equal parts. `None` if the kernel does not
    /// show it to this user.
    proportional: Option<u64>,
}

impl Memory {
    /// Reads the memory of this process and of all processes below it. A process that ended
    /// meanwhile has none.
    pub fn read(supervisor: u32) -> Self {
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|id| Some((id, parent(&read(id, "stat")?)?)))
            .collect();
        let mut sum = Self { resident: 0, proportional: Some(0) };
        for id in below(supervisor, &parents) {
            let Some(status) = read(id, "status") else { continue };
            sum.resident += bytes(&status, "VmRSS:").unwrap_or_default();
            let own = read(id, "smaps_rollup").and_then(|text| bytes(&text, "Pss:"));
            sum.proportional = sum.proportional.zip(own).map(|(sum, own)| sum + own);
        }
        sum
    }

    /// Both figures in MiB.
    pub fn text(&self) -> String {
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
}

fn read(id: u32, file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{id}/{file}")).ok()
}

/// The parent in a line of `stat`. The name before it may contain spaces and parentheses.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// A value in kB, as bytes.
fn bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
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
    assert_eq!(parent("7 (a) b) S 3 7 7 0"), Some(3));
    assert_eq!(parent("7 nothing"), None);
    assert_eq!(bytes("Rss: 9 kB\nPss:      12 kB\n", "Pss:"), Some(12 * 1024));
    assert_eq!(bytes("Pss: much", "Pss:"), None);
    let rows: [(u32, &[u32]); 3] = [(1, &[1, 2, 4, 3]), (4, &[4]), (9, &[9])];
    for (root, expected) in rows {
        assert_eq!(below(root, &[(2, 1), (3, 2), (4, 1), (6, 5)]), expected);
    }
}
