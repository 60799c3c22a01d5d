//! The folder of a new server. `initdb` makes it once for each version and user; a server gets a
//! copy. Texts are ordered by a language, as on most servers, and not by their bytes.

use super::SUPERUSER;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The user and the group of the server.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    user: u32,
    group: u32,
    is_own: bool,
}

impl Account {
    /// This user; if it is root, `postgres` or `nobody`, because a server refuses to run as root.
    pub fn of_server() -> Self {
        let own = fs::metadata("/proc/self").unwrap();
        if own.uid() != 0 {
            return Self { user: own.uid(), group: own.gid(), is_own: true };
        }
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let account = ["postgres", "nobody"].iter().find_map(|name| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut ids = line.split(':').skip(2);
            let (user, group) = (ids.next()?.parse().ok()?, ids.next()?.parse().ok()?);
            Some(Self { user, group, is_own: false })
        });
        account.expect("a user `postgres` or `nobody` in /etc/passwd, since root runs no server")
    }

    /// Gives a file or a folder to the server, and to no other user.
    pub fn give(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        if !self.is_own {
            chown(path, Some(self.user), Some(self.group)).unwrap();
        }
    }

    /// A program of PostgreSQL as this user, without the environment of the test.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs().join(program));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0);
        if !self.is_own {
            command.uid(self.user).gid(self.group);
        }
        command
    }
}

/// The folder of the programs of PostgreSQL.
pub fn programs() -> PathBuf {
    let folder = std::env::var_os("COFFERDAM_POSTGRES").filter(|folder| !folder.is_empty());
    folder.map(PathBuf::from).expect(
        "COFFERDAM_POSTGRES names the folder of PostgreSQL's programs; `scripts/test` sets it",
    )
}

/// Makes the folder `data` of a new server.
pub fn make(data: &Path, account: &Account) {
    let version = account.command("postgres").arg("--version").output().unwrap();
    let version: String = String::from_utf8(version.stdout)
        .unwrap()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/postgres");
    fs::create_dir_all(&kept).unwrap();
    let template = kept.join(format!("{version}-{}", account.user));
    let lock = File::create(kept.join("lock")).unwrap();
    lock.lock().unwrap();
    if !template.is_dir() {
        let made = account
            .command("initdb")
            .arg("--pgdata")
            .arg(data)
            .args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C.UTF-8"])
            .args(["--locale-provider", "icu", "--icu-locale", "en"])
            .args(["--auth-local", "trust", "--auth-host", "scram-sha-256"])
            .args(["--wal-segsize", "1", "--no-sync", "--no-instructions"])
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let half = kept.join(format!("{version}-{}.half", account.user));
        let _absent = fs::remove_dir_all(&half);
        copy(data, &half, &|_, _| ());
        fs::rename(&half, &template).unwrap();
        return;
    }
    copy(&template, data, &|path, mode| account.give(path, mode));
}

/// Copies a folder, and gives each copy to its owner.
fn copy(from: &Path, to: &Path, give: &impl Fn(&Path, u32)) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copied = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &copied, give);
        } else {
            fs::copy(entry.path(), &copied).unwrap();
            give(&copied, 0o600);
        }
    }
    give(to, 0o700);
}
