//! What the supervisor sees and a confined role cannot: handed to the gateway as a file that is replaced whole. Holds
//! names and causes for operators, never a value of a key or a token.

use crate::home::write_private;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How old what was read may be: a probe costs one look at a second, however often it comes.
const FRESH: Duration = Duration::from_secs(1);

/// What is to be said beside the roles' own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// What a restart would bring into use.
    pub restart: Vec<String>,
    /// What makes calls fail.
    pub faults: Vec<String>,
}

impl Notice {
    /// Its file, in the folder of notices.
    pub fn file(folder: &Path) -> PathBuf {
        folder.join("notice.json")
    }

    /// Replaces the one that was told before.
    pub fn tell(&self, folder: &Path) -> Result<()> {
        write_private(&Self::file(folder), &serde_json::to_vec(self)?)
    }
}

/// Reads notices, at most one in [`FRESH`].
#[derive(Debug)]
pub struct Notices {
    file: PathBuf,
    last: Mutex<Option<(Instant, Notice)>>,
}

impl Notices {
    /// Of this folder.
    pub fn new(folder: &Path) -> Self {
        Self { file: Notice::file(folder), last: Mutex::new(None) }
    }

    /// The newest. Before the supervisor told one there is nothing to say.
    pub fn now(&self) -> Notice {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, notice)) = last.as_ref().filter(|(when, _)| when.elapsed() < FRESH) {
            return notice.clone();
        }
        let read = std::fs::read(&self.file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let notice: Notice = read.unwrap_or_default();
        *last = Some((Instant::now(), notice.clone()));
        notice
    }
}
