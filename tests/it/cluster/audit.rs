//! The audit log of a control plane. Each event is read and parsed once, for all tests.

use serde_json::Value;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// An event of `audit.k8s.io/v1`, without bodies but the options of deletes.
pub type Event = Arc<Value>;

/// The events that were read so far.
#[derive(Default)]
pub struct Audit(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// The number of bytes that were read, to the end of a line.
    at: u64,
    events: Vec<Event>,
}

impl Audit {
    /// Reads the new events. Returns all of them.
    pub fn events(&self, log: &Path) -> Vec<Event> {
        // A test that failed while it read left whole events behind.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = File::open(log).unwrap();
        file.seek(SeekFrom::Start(seen.at)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        // The last line may be on its way.
        for line in
            bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"))
        {
            seen.events.push(Arc::new(serde_json::from_slice(line).unwrap()));
            seen.at += line.len() as u64;
        }
        seen.events.clone()
    }
}
