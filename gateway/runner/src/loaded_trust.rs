//! The trust files of the viewer: that of the load in use and, for a moment after another load, the
//! one before. A call that began before the load ends with its tool. Never widens the ceiling of a
//! tool that the load in use has.

use crate::trust_file::{TrustFile, TrustFileError};
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::trust::Trust;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The time for which calls of the load before are answered: longer than a call is decided.
const GRACE: Duration = Duration::from_secs(60);

/// A trust file that other loads replace.
#[derive(Debug)]
pub struct LoadedTrust {
    file: TrustFile,
    /// The link to the load in use. It moves at each load.
    link: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    last: Option<Arc<Trust>>,
    before: Option<Arc<Trust>>,
}

impl LoadedTrust {
    /// The trust file, which is read, and the link that moves at each load.
    pub fn new(file: TrustFile, link: PathBuf) -> Self {
        let seen = Seen { last: file.read().ok(), before: None };
        Self { file, link, seen: Mutex::new(seen) }
    }

    /// The path of the trust file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The trust file for a call of this tool.
    ///
    /// # Errors
    /// It cannot be read, or it is not a trust file.
    pub fn of_call(
        &self,
        tool: &str,
        digest: ComponentDigest,
        now: SystemTime,
    ) -> Result<Arc<Trust>, TrustFileError> {
        let trust = self.file.read()?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.last.as_ref().is_none_or(|last| !Arc::ptr_eq(last, &trust)) {
            seen.before = seen.last.replace(Arc::clone(&trust));
        }
        let has = |trust: &Trust| trust.tool(tool).is_some_and(|tool| tool.digest == digest);
        match &seen.before {
            Some(before) if !has(&trust) && has(before) && self.is_fresh(now) => {
                Ok(Arc::clone(before))
            }
            _ => Ok(trust),
        }
    }

    /// Returns whether the load in use began a moment ago.
    fn is_fresh(&self, now: SystemTime) -> bool {
        let moved = fs::symlink_metadata(&self.link).and_then(|link| link.modified());
        // A time in the future is of a clock that was set back.
        moved.is_ok_and(|moved| now.duration_since(moved).is_ok_and(|age| age < GRACE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_core::model::ceiling::Ceiling;
    use cofferdam_core::model::trust::TrustedTool;
    use cofferdam_testkit::build::{environment, trust};
    use std::os::unix::fs::symlink;

    #[test]
    fn a_call_of_a_replaced_tool_ends_with_it_for_a_moment_and_an_unknown_tool_never_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("trust.toml"), folder.path().join("current"));
        let write = |component: &[u8]| {
            let (name, version) = ("scale".to_owned(), "1.0.0".to_owned());
            let ceiling = Ceiling { grants: vec![], executors: vec![] };
            let digest = ComponentDigest::of(component);
            let tools = vec![TrustedTool { name, version, digest, ceiling }];
            let trust = Trust { tools, ..trust(environment()) };
            fs::write(&path, toml::to_string(&trust).unwrap()).unwrap();
        };
        write(b"first");
        symlink("1", &link).unwrap();
        let loaded = LoadedTrust::new(TrustFile::new(path.clone()), link.clone());
        let now = SystemTime::now();
        let knows = |component: &[u8], now| {
            let digest = ComponentDigest::of(component);
            let trust = loaded.of_call("scale", digest, now).unwrap();
            trust.tool("scale").is_some_and(|tool| tool.digest == digest)
        };
        assert!(knows(b"first", now) && !knows(b"second", now));
        write(b"second");
        assert!(knows(b"second", now) && knows(b"first", now) && !knows(b"third", now));
        assert!(!knows(b"first", now + GRACE * 2), "the moment is over");
        fs::remove_file(&link).unwrap();
        assert!(!knows(b"first", now), "without a link there was no load");
    }
}
