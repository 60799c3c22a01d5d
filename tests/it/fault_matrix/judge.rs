//! The check of each promise after a fault: by the answers that agents got, by the published ledger,
//! and by each version that the file had. A promise counts as held only after its check.

use super::agent::{Asked, call_of, said};
use super::table::{Fault, Promise, promised};
use crate::cluster::until;
use crate::installation::TestInstallation;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The file that the calls change, from the tree.
const FILE: &str = "storefront/web.yaml";

/// The time between two looks at the file.
const LOOK: Duration = Duration::from_millis(2);

/// The kernel stamps files with the time of its last tick, up to ten milliseconds old. The ledger
/// has whole milliseconds.
const TICK_MS: i64 = 11;

/// A version that the file had: its number of replicas, and the time at which it came.
#[derive(Debug, Clone, Copy)]
struct Version {
    replicas: u32,
    since_ms: i64,
}

/// Looks at the file until it is told to end.
struct Watch {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Version>>,
}

impl Watch {
    fn on(file: PathBuf) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        let mut last = stamp(&file);
        let thread = std::thread::spawn(move || {
            let mut versions = Vec::new();
            loop {
                let ending = told.load(Ordering::SeqCst);
                let now = stamp(&file);
                if let (Some(now), true) = (now, now != last) {
                    last = Some(now);
                    let replicas = replicas(&file).expect("each version of the file is whole");
                    let since_ms = now.1 * 1_000 + now.2 / 1_000_000;
                    versions.push(Version { replicas, since_ms });
                }
                if ending {
                    return versions;
                }
                std::thread::sleep(LOOK);
            }
        });
        Self { end, thread }
    }

    fn end(self) -> Vec<Version> {
        self.end.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

/// Another stamp is another version: each replaces the file by a new one.
fn stamp(file: &Path) -> Option<(u64, i64, i64)> {
    let file = fs::metadata(file).ok()?;
    Some((file.ino(), file.ctime(), file.ctime_nsec()))
}

fn replicas(file: &Path) -> Option<u32> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("replicas:"))?;
    line.split('#').next()?.trim().parse().ok()
}

/// What one fault has to leave intact.
pub struct Judge {
    fault: Fault,
    /// The number of entries and the files before the fault.
    first: u64,
    files: BTreeMap<PathBuf, String>,
    watch: Watch,
    asked: Vec<Asked>,
    held: BTreeSet<Promise>,
    /// True if entries have the time of this machine.
    times: bool,
}

impl Judge {
    /// Notes the state before the fault.
    pub fn of(fault: Fault, installation: &TestInstallation) -> Self {
        let first = installation.home().join("ledger/checkpoint").exists();
        Self {
            fault,
            first: if first { installation.published() } else { 0 },
            files: installation.files(),
            watch: Watch::on(installation.tree().join(FILE)),
            asked: Vec::new(),
            held: BTreeSet::new(),
            times: true,
        }
    }

    /// The times of entries are not those of this machine.
    pub fn without_times(mut self) -> Self {
        self.times = false;
        self
    }

    /// Notes a request with its answers.
    pub fn heard(&mut self, asked: Asked) {
        self.asked.push(asked);
    }

    /// A view or the log names the fault.
    pub fn told(&mut self, place: &str, words: &str) {
        assert!(place.contains(words), "{:?}: `{words}` is not told: {place}", self.fault);
        self.held.insert(Promise::Told);
    }

    /// Checks every promise but the last. Each job of the fault comes to its end first.
    pub fn settle(mut self, installation: &TestInstallation) {
        let fault = self.fault;
        let acknowledged: BTreeSet<String> =
            self.asked.iter().flat_map(|asked| &asked.answers).filter_map(call_of).collect();
        assert!(!acknowledged.is_empty(), "{fault:?}: no call was acknowledged");
        // A call that ended without a job has no outcome.
        let stories: BTreeMap<&str, Value> = acknowledged
            .iter()
            .map(|call| (call.as_str(), installation.story_of_end(call)["view"].clone()))
            .filter(|(_, view)| !view.is_null())
            .collect();
        let closed = |entries: &[Value]| {
            let of = |call: &str| {
                entries.iter().any(|one| one["call"] == call && one["event"]["kind"] == "closed")
            };
            stories.keys().all(|call| of(call))
        };
        let entries = until("the published entries of the closed jobs", || {
            Some(installation.entries_since(self.first)).filter(|entries| closed(entries))
        });
        let versions = self.watch.end();
        let outcome = |call: &str| {
            stories.get(call).map_or("failed", |view| view["outcome"].as_str().unwrap()).to_owned()
        };

        // Each answer that tells an outcome tells the recorded one.
        for answer in self.asked.iter().flat_map(|asked| &asked.answers) {
            let (Some(call), text) = (call_of(answer), said(answer)) else { continue };
            for (word, told) in
                [("DONE ", "succeeded"), ("FAILED ", "failed"), ("UNKNOWN ", "indeterminate")]
            {
                assert!(
                    !text.starts_with(word) || outcome(&call) == told,
                    "{fault:?}: {call} is {}, and its agent was told: {text}",
                    outcome(&call)
                );
            }
        }
        self.held.insert(Promise::Kept);

        let mut done = 0;
        let mut wanted = BTreeMap::new();
        for asked in &self.asked {
            wanted.extend(asked.call().map(|call| (call, asked.wanted)));
        }
        let mut started = BTreeMap::new();
        for (call, of_call) in by_call(&entries) {
            let succeeded = stories.get(call).is_some_and(|view| view["outcome"] == "succeeded");
            done += usize::from(succeeded);
            let begun = in_order(fault, call, &of_call, succeeded);
            started.extend(begun.map(|time| (call.to_owned(), time)));
        }
        self.held.insert(Promise::Once);

        // Each version of the file is the effect of a call that succeeded, and came after its start.
        let effects: Vec<(u32, i64)> = started
            .iter()
            .filter(|(call, _)| outcome(call) == "succeeded")
            .map(|(call, time)| (wanted[call], *time))
            .collect();
        assert!(versions.len() <= done, "{fault:?}: {done} calls succeeded: {versions:?}");
        for version in &versions {
            let explained = effects.iter().any(|(replicas, time)| {
                *replicas == version.replicas
                    && (!self.times || *time <= version.since_ms + TICK_MS)
            });
            assert!(explained, "{fault:?}: {version:?} is the effect of no call: {effects:?}");
        }
        let mut files = installation.files();
        let last = entries.iter().rev().find_map(|entry| {
            let call = entry["call"].as_str()?;
            let finished = entry["event"]["kind"] == "finished" && outcome(call) == "succeeded";
            finished.then(|| wanted[call])
        });
        let path = Path::new(FILE);
        let now = replicas(&installation.tree().join(path));
        if let Some(last) = last {
            assert_eq!(now, Some(last), "{fault:?}: the file has not the last effect");
            files.insert(path.to_owned(), self.files[path].clone());
        }
        assert_eq!(files, self.files, "{fault:?}: another file differs");
        assert!(installation.namespaces().is_empty(), "{fault:?}: {:?}", installation.namespaces());
        self.held.insert(Promise::Intent);

        assert!(
            entries.iter().all(|entry| entry["event"]["outcome"] != "indeterminate"),
            "{fault:?}: {entries:#?}"
        );
        self.held.insert(Promise::Window);

        installation.verify_ledger();
        self.held.insert(Promise::Ledger);
        assert_eq!(self.held, promised(fault), "{fault:?}: the table promises something else");
    }
}

/// The entries of each call, in order.
fn by_call(entries: &[Value]) -> BTreeMap<&str, Vec<&Value>> {
    let mut calls: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for entry in entries {
        if let Some(call) = entry["call"].as_str() {
            calls.entry(call).or_default().push(entry);
        }
    }
    calls
}

/// Checks the entries of one call. Returns the time of the first start of an operation, in
/// milliseconds.
fn in_order(fault: Fault, call: &str, entries: &[&Value], succeeded: bool) -> Option<i64> {
    let (mut fence, mut intended, mut started) = (0, false, None);
    let (mut done, mut count) = (BTreeSet::new(), BTreeMap::new());
    for entry in entries {
        let event = &entry["event"];
        let kind = event["kind"].as_str().unwrap();
        *count.entry(kind).or_insert(0) += 1;
        let own = event["fence"].as_u64();
        let operation = event["operation"].as_u64();
        match kind {
            "intended" => intended = true,
            "leased" => {
                assert!(intended, "{fault:?}: {call} was claimed before its intent: {entries:#?}");
                assert!(
                    own > Some(fence),
                    "{fault:?}: {call}: the fence did not grow: {entries:#?}"
                );
                fence = own.unwrap();
            }
            "started" | "done" | "moved" => {
                assert_eq!(own, Some(fence), "{fault:?}: {call}: an old fence: {entries:#?}");
                if kind == "started" {
                    let time: Timestamp = entry["time"].as_str().unwrap().parse().unwrap();
                    started = started.or(Some(time.as_millisecond()));
                } else if kind == "done" {
                    assert!(started.is_some(), "{fault:?}: {call} was done before its start");
                    let key = (operation, event["undo"].as_bool(), fence);
                    assert!(done.insert(key), "{fault:?}: {call} was done twice: {entries:#?}");
                }
            }
            _ => {}
        }
    }
    if intended {
        for kind in ["finished", "closed"] {
            assert_eq!(count.get(kind), Some(&1), "{fault:?}: {call}: {entries:#?}");
        }
        assert!(!succeeded || started.is_some(), "{fault:?}: {call} succeeded without a start");
    }
    started
}
