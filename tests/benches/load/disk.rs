//! The disk of the store: the time of a sync, and the flushes of a load. Writes one small file.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The writes whose median is the time of the disk.
const WRITES: usize = 300;

/// The place of the flushes in the `stat` of a block device (Linux 5.5 and later).
const FLUSHES: usize = 15;

/// A disk and the flushes that all programs of the machine caused. An unprivileged user cannot
/// count the syncs of one process. Each sync of a file waits for a flush; some share one.
pub struct Disk(PathBuf);

impl Disk {
    /// The disk of this folder.
    pub fn of(folder: &Path) -> Self {
        let device = std::fs::metadata(folder).unwrap().dev();
        let folder = PathBuf::from(format!("/sys/dev/block/{}:{}", major(device), minor(device)));
        // The kernel counts flushes for the whole disk alone.
        let disk = if folder.join("partition").exists() { folder.join("..") } else { folder };
        Self(disk.join("stat"))
    }

    /// The flushes so far; `None` if the file system has no disk, or the kernel does not count.
    pub fn flushes(&self) -> Option<u64> {
        flushes(&std::fs::read_to_string(&self.0).ok()?)
    }
}

/// The two halves of a device number of Linux.
fn major(device: u64) -> u64 {
    ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff)
}

fn minor(device: u64) -> u64 {
    (device & 0xff) | ((device >> 12) & 0xffff_ff00)
}

fn flushes(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(FLUSHES)?.parse().ok()
}

/// The median time of a write of 4 KiB with `fdatasync` in this folder, in milliseconds.
pub fn sync_ms(folder: &Path) -> f64 {
    let path = folder.join("fdatasync.bench");
    let mut file = File::create(&path).unwrap();
    let mut times: Vec<f64> = (0..WRITES)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    std::fs::remove_file(path).unwrap();
    times.sort_by(f64::total_cmp);
    times[WRITES / 2]
}

#[test]
fn the_flushes_of_the_right_disk_are_read() {
    let stat = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17";
    assert_eq!(flushes(stat), Some(16));
    assert_eq!(flushes("1 2 3 4 5 6 7 8 9 10 11"), None);
    for (device, expected) in [(0xfd00, (253, 0)), (0x801, (8, 1)), (0x10_0801, (8, 257))] {
        assert_eq!((major(device), minor(device)), expected, "{device:#x}");
    }
}
