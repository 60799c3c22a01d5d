//! The folders of a user that clients read. The environment is passed in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folders of a user.
#[derive(Debug, Clone)]
pub struct Places {
    /// The working folder.
    pub working: PathBuf,
    /// The home folder of the user.
    pub user: PathBuf,
    /// The folder for configurations.
    pub config: PathBuf,
    /// The folder of Codex.
    pub codex: PathBuf,
}

impl Places {
    /// Finds the folders, or returns `None` if the user has no home folder.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>, working: &Path) -> Option<Self> {
        let folder =
            |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let user = folder("HOME")?;
        Some(Self {
            working: working.to_owned(),
            config: folder("XDG_CONFIG_HOME").unwrap_or_else(|| user.join(".config")),
            codex: folder("CODEX_HOME").unwrap_or_else(|| user.join(".codex")),
            user,
        })
    }

    /// The folder with the data of desktop programs.
    pub fn applications(&self) -> PathBuf {
        match cfg!(target_os = "macos") {
            true => self.user.join("Library/Application Support"),
            false => self.config.clone(),
        }
    }

    /// The default file of a token for the bridge.
    pub fn token_file(&self, name: &str) -> PathBuf {
        self.config.join("cofferdam").join(format!("{name}.token"))
    }
}
