//! The home folder: where each file of an installation lies, and how a secret or a trusted file is
//! written into it. Never reads what they mean.

use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A folder only its owner may enter.
const PRIVATE_FOLDER: u32 = 0o700;
/// A file only its owner may read.
const PRIVATE_FILE: u32 = 0o600;

/// A secret of one role, each 32 random bytes, kept as 64 hexadecimal digits in a file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// Seed of the Ed25519 key that signs permits; the gateway's alone.
    Permits,
    /// Seed of the Ed25519 key that signs checkpoints; the recorder's alone.
    Checkpoints,
    /// MAC key of the gateway's compiled artefacts.
    GatewayArtefacts,
    /// MAC key of the runner's compiled artefacts.
    RunnerArtefacts,
}

/// Every secret, in the order `init` makes them.
pub const SECRETS: [Secret; 4] =
    [Secret::Permits, Secret::Checkpoints, Secret::GatewayArtefacts, Secret::RunnerArtefacts];

impl Secret {
    /// Its file below `keys/`.
    pub fn file(self) -> &'static str {
        match self {
            Self::Permits => "gateway",
            Self::Checkpoints => "recorder",
            Self::GatewayArtefacts => "gateway-artefacts",
            Self::RunnerArtefacts => "runner-artefacts",
        }
    }
}

/// Where everything of one installation lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// A home at this folder, absolute. It need not exist yet.
    #[cfg(test)]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The home to use: as given on the command line or in `COFFERDAM_HOME`, else below the user's
    /// data folder. Made absolute.
    pub fn find(
        given: Option<PathBuf>,
        variable: impl Fn(&str) -> Option<OsString>,
        working: &Path,
    ) -> Result<Self> {
        let full = |name: &str| variable(name).filter(|text| !text.is_empty()).map(PathBuf::from);
        let root =
            match (given.or_else(|| full("COFFERDAM_HOME")), full("XDG_DATA_HOME"), full("HOME")) {
                (Some(given), _, _) => working.join(given),
                (None, Some(data), _) if data.is_absolute() => data.join("cofferdam"),
                (None, _, Some(user)) => user.join(".local/share/cofferdam"),
                (None, _, None) => bail!("no home folder: give `--home DIR` or set COFFERDAM_HOME"),
            };
        Ok(Self { root: fs::canonicalize(&root).unwrap_or(root) })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `cofferdam.toml`.
    pub fn config(&self) -> PathBuf {
        self.root.join("cofferdam.toml")
    }

    /// `agents.toml`: the agents and their tokens' digests. The gateway reads it again when it
    /// changes. In a folder of its own, because what a role may read is given by folder: a file
    /// that is replaced by renaming is another file to the kernel.
    pub fn agents(&self) -> PathBuf {
        self.root.join("agents/agents.toml")
    }

    /// Is there if a command named an agent since `cofferdam serve` started.
    pub fn agents_mark(&self) -> PathBuf {
        agents_mark(&self.agents())
    }

    /// `trust.toml`, in a folder of its own for the same reason.
    pub fn trust(&self) -> PathBuf {
        self.root.join("trust/trust.toml")
    }

    /// The folder of keys.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// The file of one secret.
    pub fn secret(&self, secret: Secret) -> PathBuf {
        self.keys().join(secret.file())
    }

    /// Folder of tools, executors and commands.
    pub fn plugins(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// Folder of tools, a `NAME.wasm` each.
    pub fn tools(&self) -> PathBuf {
        self.plugins().join("tools")
    }

    /// Folder of executors, a `NAME.wasm` each.
    pub fn executors(&self) -> PathBuf {
        self.plugins().join("executors")
    }

    /// Folder of commands, a `NAME.wasm` each.
    pub fn commands(&self) -> PathBuf {
        self.plugins().join("commands")
    }

    /// Folder of the compiled policy.
    pub fn policy(&self) -> PathBuf {
        self.root.join("policy")
    }

    /// The policy's module.
    pub fn policy_module(&self) -> PathBuf {
        self.policy().join("policy.wasm")
    }

    /// The policy's data document.
    pub fn policy_data(&self) -> PathBuf {
        self.policy().join("data.json")
    }

    /// Folder of the recorder's database.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Folder of the ledger's tiles and checkpoints.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// Folder of the jobs' private copies: the ephemeral namespaces of a directory.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Folder of the write-back journal.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// Folder of one role's compiled artefacts.
    pub fn artefacts(&self, role: &str) -> PathBuf {
        self.root.join("artefacts").join(role)
    }

    /// Folder of the copies that `serve` uses until its next start.
    pub fn served(&self) -> PathBuf {
        self.root.join("served")
    }

    /// Copies of this home, in this folder: the same layout.
    pub fn beneath(&self, folder: &Path) -> Self {
        Self { root: self.root.join(folder) }
    }

    /// Folder of the operators' socket.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The socket on which the recorder answers operator commands.
    pub fn operator_socket(&self) -> PathBuf {
        self.run().join("operator.sock")
    }

    /// Makes every folder, the root and all below it private.
    pub fn make_folders(&self) -> Result<()> {
        let folders = [
            self.root.clone(),
            self.root.join("agents"),
            self.root.join("trust"),
            self.keys(),
            self.tools(),
            self.executors(),
            self.commands(),
            self.policy(),
            self.store(),
            self.ledger(),
            self.runs(),
            self.journal(),
            self.artefacts("gateway"),
            self.artefacts("runner"),
            self.run(),
        ];
        for folder in folders {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(PRIVATE_FOLDER)
                .create(&folder)
                .with_context(|| {
                    format!(
                        "cannot make the folder `{}`; choose another with `--home`",
                        folder.display()
                    )
                })?;
        }
        fs::set_permissions(&self.root, fs::Permissions::from_mode(PRIVATE_FOLDER)).with_context(
            || format!("cannot make `{}` private; it has to be yours", self.root.display()),
        )
    }

    /// Reads one secret.
    pub fn read_secret(&self, secret: Secret) -> Result<[u8; 32]> {
        Ok(cofferdam_process::secret::read(&self.secret(secret))?)
    }
}

/// Writes a file so that a reader sees the old bytes or the new, never a mixture, and no other user
/// reads either: mode 0600, flushed, renamed.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("the path has no folder")?;
    let name = path.file_name().context("the path has no name")?.to_string_lossy();
    // One writer at a time: an older leftover of a writer that died is replaced.
    let fresh = folder.join(format!(".{name}.new"));
    let put = || -> std::io::Result<()> {
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        fs::File::open(folder)?.sync_all()
    };
    put().with_context(|| format!("cannot write `{}`", path.display()))
}

/// The mark beside an agents file: a command named an agent since `cofferdam serve` started. It
/// outlives the agent and the gateway, so that callers without a token stay outside until the next
/// start.
pub fn agents_mark(agents: &Path) -> PathBuf {
    agents.with_file_name("named")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: Option<&str>, variables: &[(&str, &str)], expect: &str) {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, text)| OsString::from(text))
        };
        let home = Home::find(given.map(PathBuf::from), variable, Path::new("/nowhere"));
        assert_eq!(
            home.map_or_else(|error| error.to_string(), |home| home.root().display().to_string()),
            expect
        );
    }

    #[test]
    fn home_is_where_it_is_said_to_be() {
        check(Some("h"), &[("HOME", "/user")], "/nowhere/h");
        check(Some("/h"), &[("COFFERDAM_HOME", "/other")], "/h");
        check(None, &[("COFFERDAM_HOME", "here"), ("HOME", "/user")], "/nowhere/here");
        check(None, &[("XDG_DATA_HOME", "/data"), ("HOME", "/user")], "/data/cofferdam");
        check(None, &[("XDG_DATA_HOME", ""), ("HOME", "/user")], "/user/.local/share/cofferdam");
        check(
            None,
            &[("XDG_DATA_HOME", "relative"), ("HOME", "/user")],
            "/user/.local/share/cofferdam",
        );
        check(None, &[], "no home folder: give `--home DIR` or set COFFERDAM_HOME");
    }

    #[test]
    fn writes_are_whole_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trust.toml");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE_FILE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
