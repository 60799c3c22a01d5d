//! A role's own copy of the trust file. It is read again for each use, and parsed again when its text
//! is another one. Never writes it.

use cofferdam_core::model::trust::{Trust, TrustError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The trust file of a role.
#[derive(Debug)]
pub struct TrustFile {
    path: PathBuf,
    last: Mutex<Option<(String, Arc<Trust>)>>,
}

/// The trust file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustFileError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Its text is not a trust file.
    #[error(transparent)]
    Parse(#[from] TrustError),
}

impl TrustFile {
    /// The trust file at this path. Reads nothing yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, last: Mutex::default() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it.
    /// # Errors
    /// It cannot be read, or it is not a trust file.
    pub fn read(&self) -> Result<Arc<Trust>, TrustFileError> {
        let text = fs::read_to_string(&self.path)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, trust)) = last.as_ref()
            && *known == text
        {
            return Ok(Arc::clone(trust));
        }
        let trust = Arc::new(Trust::parse(&text)?);
        *last = Some((text, Arc::clone(&trust)));
        Ok(trust)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_testkit::build::{environment, trust};

    #[test]
    fn it_is_parsed_again_when_its_text_changes_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let file = TrustFile::new(folder.path().join("trust.toml"));
        let text = toml::to_string(&trust(environment())).unwrap();
        assert!(matches!(file.read(), Err(TrustFileError::Read(_))));
        fs::write(file.path(), &text).unwrap();
        let first = file.read().unwrap();
        assert!(Arc::ptr_eq(&first, &file.read().unwrap()));
        fs::write(file.path(), format!("# seen\n{text}")).unwrap();
        let second = file.read().unwrap();
        assert!(!Arc::ptr_eq(&first, &second) && first == second);
        fs::write(file.path(), "{").unwrap();
        assert!(matches!(file.read(), Err(TrustFileError::Parse(_))));
        fs::remove_file(file.path()).unwrap();
        assert!(matches!(file.read(), Err(TrustFileError::Read(_))));
    }
}
