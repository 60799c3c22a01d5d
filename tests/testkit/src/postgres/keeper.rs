//! Ends a server after its test, also if the test was killed: a shell waits until the test's end of
//! a pipe is closed. The processes of a server are those that work in its folder.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Waits for the end of its input; then ends the processes of the folder `$1/data`, and removes
/// `$1`.
const SCRIPT: &str = r#"
cat >/dev/null
signal() {
    found=
    for process in /proc/[0-9]*; do
        if [ "$(readlink "$process/cwd")" = "$1/data" ]; then
            found=1
            kill "-$2" "${process#/proc/}"
        fi
    done
}
for try in 1 2 3 4 5 6 7 8 9 10; do
    signal "$1" QUIT
    signal "$1" CONT
    [ -n "$found" ] || break
    sleep 0.3
done
signal "$1" KILL
rm -rf "$1"
"#;

/// The shell of one server.
pub struct Keeper(Child);

impl Keeper {
    /// Begins to wait for the end of the test.
    pub fn of(folder: &Path) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", SCRIPT, "sh"])
            .arg(folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        Self(shell.spawn().unwrap())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ended = self.0.wait();
    }
}

/// The processes that work in the folder of a server.
pub fn processes(data: &Path) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let of_server = |id: &u32| {
        let works_in: Option<PathBuf> = fs::read_link(format!("/proc/{id}/cwd")).ok();
        works_in.as_deref() == Some(data)
    };
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(of_server).collect()
}

/// Sends a signal to processes. Some may have ended.
pub fn signal(name: &str, processes: &[u32]) {
    if !processes.is_empty() {
        let ids = processes.iter().map(u32::to_string);
        let _some_ended = Command::new("kill").arg(format!("-{name}")).args(ids).output().unwrap();
    }
}
