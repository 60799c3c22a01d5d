//! Official clients, unmodified, against the real gateway: each does the whole list of
//! `clients/story.rs`, and what it shows is a golden file. `tests/clients` has a small program for
//! each; `scripts/setup clients` installs them. `scripts/test` runs the quick ones, and
//! `scripts/test --full` all of them.

pub mod driver;
mod full;
pub mod known;
mod story;

use std::path::PathBuf;

/// The folder of an installed client.
pub fn installed(name: &str) -> PathBuf {
    let clients = std::env::var_os("COFFERDAM_CLIENTS")
        .map(PathBuf::from)
        .expect("COFFERDAM_CLIENTS is not set: run `scripts/test`, which installs the clients");
    let folder = clients.join(name);
    assert!(folder.exists(), "`{name}` is not installed: run `scripts/setup clients`");
    folder
}

#[test]
fn python_2_does_the_whole_list_in_the_newest_revision() {
    story::whole_list(known::python_2("python-mcp-2.3.0-auto", "auto"));
}

#[test]
fn python_2_does_the_whole_list_as_a_legacy_client() {
    story::whole_list(known::python_2("python-mcp-2.3.0-legacy", "legacy"));
}

#[test]
fn typescript_2_does_the_whole_list_in_the_newest_revision() {
    story::whole_list(known::typescript_2("typescript-2.4.0-auto", "auto"));
}

#[test]
fn typescript_2_does_the_whole_list_as_a_legacy_client() {
    story::whole_list(known::typescript_2("typescript-2.4.0-legacy", "legacy"));
}
