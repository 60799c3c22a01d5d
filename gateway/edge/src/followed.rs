//! Files that are read again when they change, as programs renew certificates: changed files are read
//! once two looks in a row find them the same. Files that cannot be used leave the earlier content in
//! use, and are tried again at each look. Knows nothing of their content.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Files that belong together, and what they make.
pub trait FollowedFiles: Send + Sync + 'static {
    /// What the files make.
    type Content: Send + Sync;
    /// The reason why they make nothing.
    type Error: std::fmt::Display;

    /// The files.
    fn paths(&self) -> Vec<&Path>;

    /// Reads them as they are.
    ///
    /// # Errors
    /// They make nothing; the error has cause and remedy.
    fn read(&self) -> Result<Self::Content, Self::Error>;

    /// Logs that new files are in use.
    fn renewed(&self);

    /// Logs that the earlier content stays in use; once for each text of an error.
    fn refused(&self, error: &str);
}

/// The state of a file that tells a changed one from the same one. A change of its permissions alone
/// changes the last two numbers.
type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

/// The content of files, which follows them.
#[derive(Debug)]
pub struct Followed<F: FollowedFiles> {
    files: F,
    current: RwLock<Arc<F::Content>>,
    opened: Vec<Stamp>,
}

/// What the looks found so far.
#[derive(Debug, Clone, Default)]
struct Looks {
    /// The state of the files whose content is in use.
    used: Vec<Stamp>,
    /// The state at the last look.
    seen: Vec<Stamp>,
    /// The last error that was logged.
    told: Option<String>,
}

impl<F: FollowedFiles> Followed<F> {
    /// Reads the files.
    ///
    /// # Errors
    /// They make nothing; the error has cause and remedy.
    pub fn open(files: F) -> Result<Arc<Self>, F::Error> {
        // Before the content: a change between the two is read once more.
        let opened = stamps(&files);
        let current = RwLock::new(Arc::new(files.read()?));
        Ok(Arc::new(Self { files, current, opened }))
    }

    /// The content in use.
    pub fn now(&self) -> Arc<F::Content> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The files.
    pub fn files(&self) -> &F {
        &self.files
    }

    /// Follows the files for ever, with a look each time that this time has passed.
    pub async fn follow(self: Arc<Self>, look: Duration) {
        let mut ticks = interval(look);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (used, seen) = (self.opened.clone(), self.opened.clone());
        let mut looks = Looks { used, seen, told: None };
        loop {
            ticks.tick().await;
            let (this, before) = (Arc::clone(&self), looks.clone());
            // Files may lie on a slow disk.
            if let Ok(now) = tokio::task::spawn_blocking(move || this.look(before)).await {
                looks = now;
            }
        }
    }

    fn look(&self, mut looks: Looks) -> Looks {
        let now = stamps(&self.files);
        let settled = now == looks.seen;
        looks.seen = now;
        // Programs write certificate and key one after the other.
        if looks.seen == looks.used || !settled {
            return looks;
        }
        match self.files.read() {
            Ok(content) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(content);
                drop(current);
                self.files.renewed();
                looks.used.clone_from(&looks.seen);
                looks.told = None;
            }
            // The same files may be right later: a certificate becomes valid, a descriptor free.
            Err(error) => {
                let why = error.to_string();
                if looks.told.as_ref() != Some(&why) {
                    self.files.refused(&why);
                    looks.told = Some(why);
                }
            }
        }
        looks
    }
}

fn stamps(files: &impl FollowedFiles) -> Vec<Stamp> {
    let stamp = |path: &Path| {
        let found = std::fs::metadata(path).ok()?;
        let (modified, changed) = (found.mtime(), found.ctime());
        let (of_modified, of_changed) = (found.mtime_nsec(), found.ctime_nsec());
        Some((found.ino(), found.len(), modified, of_modified, changed, of_changed))
    };
    files.paths().into_iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::Mutex;

    /// A number in a file. It can be used only while the gate is open.
    struct Number {
        path: PathBuf,
        open: Arc<Mutex<bool>>,
        told: Arc<Mutex<Vec<String>>>,
    }

    impl FollowedFiles for Number {
        type Content = u32;
        type Error = String;

        fn paths(&self) -> Vec<&Path> {
            vec![&self.path]
        }

        fn read(&self) -> Result<u32, String> {
            let text = std::fs::read_to_string(&self.path).map_err(|error| error.to_string())?;
            match *self.open.lock().unwrap() {
                true => text.parse().map_err(|_| "no number".to_owned()),
                false => Err("not yet valid".to_owned()),
            }
        }

        fn renewed(&self) {
            self.told.lock().unwrap().push("renewed".to_owned());
        }

        fn refused(&self, error: &str) {
            self.told.lock().unwrap().push(error.to_owned());
        }
    }

    #[test]
    fn changed_files_are_used_once_they_have_settled_and_refused_ones_are_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        std::fs::write(&path, "1").unwrap();
        let (open, told) = (Arc::new(Mutex::new(true)), Arc::new(Mutex::new(Vec::new())));
        let files = Number { path: path.clone(), open: Arc::clone(&open), told: Arc::clone(&told) };
        let followed = Followed::open(files).unwrap();
        let (used, seen) = (followed.opened.clone(), followed.opened.clone());
        let mut looks = Looks { used, seen, told: None };
        let mut look = || {
            looks = followed.look(looks.clone());
            *followed.now()
        };
        assert_eq!(look(), 1);
        std::fs::write(&path, "22").unwrap();
        *open.lock().unwrap() = false;
        // The first look sees a change; the others find the files the same, and not valid.
        assert_eq!([look(), look(), look()], [1, 1, 1]);
        assert_eq!(*told.lock().unwrap(), ["not yet valid"]);
        // The files stay the same, and become valid.
        *open.lock().unwrap() = true;
        assert_eq!([look(), look()], [22, 22]);
        std::fs::write(&path, "three").unwrap();
        assert_eq!([look(), look(), look()], [22, 22, 22]);
        assert_eq!(*told.lock().unwrap(), ["not yet valid", "renewed", "no number"]);
    }
}
