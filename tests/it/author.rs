//! The commands for authors and reviewers of tools: inspect unknown files, accept one, try one, and
//! begin a new one. The real commands, with real guest processes.

mod greedy;
mod own;
mod strange;
mod trial;

use crate::installation::{TestInstallation, assets, binaries};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Runs a command without an installation: its home is a folder that does not exist.
fn bare(folder: &Path, words: &[&str]) -> Output {
    Command::new(binaries().join("cofferdam"))
        .arg("--home")
        .arg(folder.join("no-home"))
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The exit code and the JSON of a refusal.
fn refusal(done: &Output) -> (Option<i32>, Value) {
    let said = String::from_utf8_lossy(&done.stderr);
    (
        done.status.code(),
        serde_json::from_str(said.trim()).unwrap_or_else(|fault| panic!("{fault}: {said}")),
    )
}

/// The worked example, as it was built.
fn hello() -> Vec<u8> {
    std::fs::read(assets().join("tools/hello.wasm")).unwrap()
}

/// The JavaScript tool.
pub fn javascript() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/quickjs/tool.wasm")
}

/// A component with another text of the same length in its data.
fn reworded(wasm: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert!(to.len() <= from.len(), "`{to}` is longer than `{from}`");
    let to = format!("{to:width$}", width = from.len());
    let at = wasm.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("`{from}` is not in the component"));
    let mut wasm = wasm.to_vec();
    wasm[at..at + from.len()].copy_from_slice(to.as_bytes());
    wasm
}

/// Writes a file into the home that no command keeps.
fn file(installation: &TestInstallation, name: &str, bytes: &[u8]) -> String {
    let path = installation.home().join("..").join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}
