//! The published ledger of an installation, read as an outsider reads it: the checkpoint for the
//! size, the bundles for the entries. Verifies nothing; `cofferdam ledger verify` does that.

use super::TestInstallation;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// The entries of a full bundle (C2SP tlog-tiles).
const FULL: u64 = 256;

/// The path of a bundle with this index and width, below the folder of the ledger.
fn path(index: u64, width: u64) -> PathBuf {
    let mut number = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        number = format!("x{:03}/{number}", rest % 1000);
        rest /= 1000;
    }
    let partial = if width < FULL { format!(".p/{width}") } else { String::new() };
    PathBuf::from(format!("tile/entries/{number}{partial}"))
}

/// The entries of a bundle: each has its length in two bytes before it.
fn split(bundle: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut entries) = (bundle, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry);
        rest = after;
    }
    entries
}

impl TestInstallation {
    /// The number of published entries.
    pub fn published(&self) -> u64 {
        let checkpoint = fs::read_to_string(self.home().join("ledger/checkpoint")).unwrap();
        checkpoint.lines().nth(1).unwrap().parse().unwrap()
    }

    /// The published entries from this index on.
    pub fn entries_since(&self, first: u64) -> Vec<Value> {
        let size = self.published();
        let (ledger, mut entries) = (self.home().join("ledger"), Vec::new());
        for index in first / FULL..size.div_ceil(FULL) {
            let begin = index * FULL;
            // A bundle that was filled meanwhile replaces its partial one.
            let bundle = [(size - begin).min(FULL), FULL]
                .into_iter()
                .find_map(|width| fs::read(ledger.join(path(index, width))).ok())
                .unwrap_or_else(|| panic!("the ledger of {size} entries lacks bundle {index}"));
            let skip = first.saturating_sub(begin) as usize;
            let take = (size - begin) as usize;
            let part = split(&bundle).into_iter().take(take).skip(skip);
            entries.extend(part.map(|entry| serde_json::from_slice::<Value>(entry).unwrap()));
        }
        entries
    }

    /// The sum of a metric of `/metrics` over the series whose labels contain these words.
    pub fn metric(&self, name: &str, words: &str) -> f64 {
        let page = self.http("GET", "/metrics", "", None).body;
        let series = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && line.contains(words)
        };
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        page.as_str().unwrap().lines().filter(series).map(value).sum()
    }
}

#[test]
fn paths_and_bundles_are_those_of_tlog_tiles() {
    let rows = [
        (0, 1, "tile/entries/000.p/1"),
        (67, 256, "tile/entries/067"),
        (3_905, 255, "tile/entries/x003/905.p/255"),
        (1_234_067, 256, "tile/entries/x001/x234/067"),
    ];
    for (index, width, expected) in rows {
        assert_eq!(path(index, width), PathBuf::from(expected));
    }
    assert_eq!(split(b"\0\x02{}\0\0\0\x01a"), [&b"{}"[..], b"", b"a"]);
    assert!(split(b"").is_empty());
}
