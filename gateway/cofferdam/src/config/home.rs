//! The home: the path of each file of an installation, and the writing of secrets and trusted
//! files. Never interprets a file.

use anyhow::{Context as _, Result, bail};
use cofferdam_core::protocol::link::LinkRole;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The mode of a folder that only its owner can enter.
const PRIVATE_FOLDER: u32 = 0o700;
/// The mode of a file that only its owner can read.
const PRIVATE_FILE: u32 = 0o600;

/// A secret of one role: 32 random bytes, stored as 64 hexadecimal digits in a file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// The seed of the Ed25519 key that signs permits; only for the gateway.
    Permits,
    /// The seed of the Ed25519 key that signs checkpoints; only for the recorder.
    Checkpoints,
    /// The MAC key of the gateway's compiled artefacts.
    GatewayArtefacts,
    /// The MAC key of the runner's compiled artefacts.
    RunnerArtefacts,
}

/// Every secret, in the order of their creation.
pub const SECRETS: [Secret; 4] =
    [Secret::Permits, Secret::Checkpoints, Secret::GatewayArtefacts, Secret::RunnerArtefacts];

impl Secret {
    /// The role that reads it.
    pub fn role(self) -> LinkRole {
        match self {
            Self::Permits | Self::GatewayArtefacts => LinkRole::Gateway,
            Self::Checkpoints => LinkRole::Recorder,
            Self::RunnerArtefacts => LinkRole::Runner,
        }
    }

    /// The name of its file in `keys/`.
    pub fn file(self) -> &'static str {
        match self {
            Self::Permits => "gateway",
            Self::Checkpoints => "recorder",
            Self::GatewayArtefacts => "gateway-artefacts",
            Self::RunnerArtefacts => "runner-artefacts",
        }
    }
}

/// The folder of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// The name of the file with the policy's rules, beside its data document.
pub const POLICY_RULES: &str = "rules.rego";

impl Home {
    /// A home at this absolute path, which need not exist yet.
    #[cfg(test)]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Finds the home: from the command line or `COFFERDAM_HOME`, else below the user's data
    /// folder. Returns an absolute path.
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

    /// The path of the home.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The checked `cofferdam.toml`.
    pub fn config(&self) -> PathBuf {
        self.root.join("cofferdam.toml")
    }

    /// `agents.toml`: the agents and the digests of their tokens. The gateway reads it again after
    /// a change. It has a folder of its own, because roles get rights for folders: after a rename,
    /// the kernel treats a file as another one.
    pub fn agents(&self) -> PathBuf {
        self.root.join("agents/agents.toml")
    }

    /// The mark of an added agent: it exists if a command added an agent since `cofferdam serve`
    /// started.
    pub fn agents_mark(&self) -> PathBuf {
        agents_mark(&self.agents())
    }

    /// `trust.toml`, in a folder of its own for the same reason.
    pub fn trust(&self) -> PathBuf {
        self.root.join("trust/trust.toml")
    }

    /// The folder of the keys.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// The path of one secret.
    pub fn secret(&self, secret: Secret) -> PathBuf {
        self.keys().join(secret.file())
    }

    /// The folder of a link's certificate, key and authority, where no other is configured.
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// The folder of tools, executors and commands.
    pub fn plugins(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// The folder of tools: a `NAME.wasm` each.
    pub fn tools(&self) -> PathBuf {
        self.plugins().join("tools")
    }

    /// The folder of executors: a `NAME.wasm` each.
    pub fn executors(&self) -> PathBuf {
        self.plugins().join("executors")
    }

    /// The folder of Wasm commands: a `NAME.wasm` each.
    pub fn commands(&self) -> PathBuf {
        self.plugins().join("commands")
    }

    /// The folder of the compiled policy.
    pub fn policy(&self) -> PathBuf {
        self.root.join("policy")
    }

    /// The path of the policy's module.
    pub fn policy_module(&self) -> PathBuf {
        self.policy().join("policy.wasm")
    }

    /// The path of the policy's data document.
    pub fn policy_data(&self) -> PathBuf {
        self.policy().join("data.json")
    }

    /// The path of the policy's rules, for people to read. A policy may be without them.
    pub fn policy_rules(&self) -> PathBuf {
        self.policy().join(POLICY_RULES)
    }

    /// Copies the rules of a policy, if its folder has them. Removes the rules of an earlier
    /// policy.
    pub fn keep_policy_rules(&self, from: &Path) -> Result<()> {
        if let Ok(rules) = std::fs::read(from.join(POLICY_RULES)) {
            return write_private(&self.policy_rules(), &rules);
        }
        match std::fs::remove_file(self.policy_rules()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("cannot remove the rules of the earlier policy")
            }
            _ => Ok(()),
        }
    }

    /// The folder of the recorder's database.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// The folder of the ledger's tiles and checkpoints.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// The folder of the runs' private copies.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The folder of the write-back journal.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The folder of one role's compiled artefacts.
    pub fn artefacts(&self, role: &str) -> PathBuf {
        self.root.join("artefacts").join(role)
    }

    /// The folder of the copies that `serve` uses until its next start.
    pub fn served(&self) -> PathBuf {
        self.root.join("served")
    }

    /// The home with the same layout in another folder, for copies.
    pub fn beneath(&self, folder: &Path) -> Self {
        Self { root: self.root.join(folder) }
    }

    /// The folder of the operators' socket.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The socket of the recorder for operator commands.
    pub fn operator_socket(&self) -> PathBuf {
        self.run().join("operator.sock")
    }

    /// Makes every folder, with access for its owner alone.
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

    /// Reads one secret from its file.
    pub fn read_secret(&self, secret: Secret) -> Result<[u8; 32]> {
        Ok(cofferdam_process::secret::read(&self.secret(secret))?)
    }
}

/// Replaces a file atomically: a reader gets the old bytes or the new ones. The file has mode 0600,
/// is flushed and then renamed.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("the path has no folder")?;
    let name = path.file_name().context("the path has no name")?.to_string_lossy();
    // One writer at a time: replaces the file of a writer that died.
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

/// The mark beside an agents file: a command added an agent since `cofferdam serve` started. It
/// outlives the agent and the gateway, so that callers without a token are refused until the next
/// start.
pub fn agents_mark(agents: &Path) -> PathBuf {
    agents.with_file_name("named")
}

/// The file beside this agents file with the digests of the tokens that commands replaced or
/// removed, one a line. A backup of `agents.toml` alone brings none of them back.
pub fn ended_tokens(agents: &Path) -> PathBuf {
    agents.with_file_name("ended-tokens")
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
