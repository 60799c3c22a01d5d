//! Makes an installation large before its first start: copies of a shipped tool under other names,
//! and a store that the recorder filled. The filled store is kept in the cache folder of the user,
//! by schema and size, because it takes minutes to make.

use crate::installation::{TestInstallation, assets, binaries, repository, text};
use cofferdam_core::model::id::ComponentDigest;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The copied tool. A copy has a name of the same length, because the name is a part of its data.
const TOOL: &str = "deployment_scale";

/// The number of accepted tools.
pub fn tools(installation: &TestInstallation) -> usize {
    fs::read_dir(installation.home().join("plugins/tools")).unwrap().count()
}

/// The component with another name, which replaces the only place of the old one.
fn renamed(component: &[u8], name: &str) -> Vec<u8> {
    assert_eq!(name.len(), TOOL.len(), "`{name}` has another length than `{TOOL}`");
    let is_name = |window: &[u8]| window == TOOL.as_bytes();
    let places: Vec<usize> = component
        .windows(TOOL.len())
        .enumerate()
        .filter_map(|(place, window)| is_name(window).then_some(place))
        .collect();
    let [place] = places[..] else { panic!("`{TOOL}` is in {} places", places.len()) };
    let mut copy = component.to_vec();
    copy[place..place + name.len()].copy_from_slice(name.as_bytes());
    copy
}

#[test]
fn a_copy_differs_only_in_its_name() {
    assert_eq!(renamed(b"\0deployment_scale\0", "deployment_s0007"), b"\0deployment_s0007\0");
}

/// Adds this many tools. `cofferdam accept` accepts one of them; the others get the same entry with
/// their own name and digest, because a thousand commands take minutes.
pub fn add_tools(installation: &TestInstallation, number: usize) {
    let component = fs::read(assets().join(format!("tools/{TOOL}.wasm"))).unwrap();
    let home = installation.home();
    let trust_file = home.join("trust/trust.toml");
    let first = renamed(&component, &name(0));
    let path = home.join(format!("{}.wasm", name(0)));
    fs::write(&path, &first).unwrap();
    installation.run(&["accept", text(&path)]);
    fs::remove_file(path).unwrap();
    let accepted = fs::read_to_string(&trust_file).unwrap();
    let entry = entry_of(&accepted, &name(0));
    let old = ComponentDigest::of(&first).to_string();
    assert!(entry.contains(&old), "{entry}");
    let mut all = accepted.clone();
    for index in 1..number {
        let copy = renamed(&component, &name(index));
        let digest = ComponentDigest::of(&copy).to_string();
        all += "\n";
        all += &entry.replace(&old, &digest).replace(&name(0), &name(index));
        fs::write(home.join(format!("plugins/tools/{}.wasm", name(index))), copy).unwrap();
    }
    fs::write(trust_file, all).unwrap();
}

/// The names of the first added tools.
pub fn added(number: usize) -> Vec<String> {
    (0..number).map(name).collect()
}

fn name(index: usize) -> String {
    format!("deployment_s{index:04}")
}

/// The entry of this tool in a trust file, with the tables below it.
fn entry_of<'a>(trust: &'a str, name: &str) -> &'a str {
    let place = trust.find(&format!("name = \"{name}\"")).expect("the tool is accepted");
    let start = trust[..place].rfind("[[tool]]").expect("the name is in the entry of a tool");
    // The next table that is not below this entry.
    let mut rest = trust[start..].match_indices("\n[").map(|(place, _)| start + place + 1);
    let end = rest.find(|place| !trust[*place..].trim_start_matches('[').starts_with("tool."));
    &trust[start..end.unwrap_or(trust.len())]
}

#[test]
fn an_entry_has_the_tables_below_it() {
    let ceiling = "[tool.ceiling]\n[[tool.ceiling.grants]]\nkind = \"D\"\n";
    let entry = |name: &str| format!("[[tool]]\nname = \"{name}\"\n{ceiling}");
    let trust = format!("[x]\n{}{}[[approver]]\n", entry("a"), entry("b"));
    assert_eq!(entry_of(&trust, "a"), entry("a"));
    assert_eq!(entry_of(&trust, "b"), entry("b"));
    assert_eq!(entry_of(&entry("c"), "c"), entry("c"));
}

/// The folder for parts that take minutes to make, as `scripts/lib.sh` has it.
fn cache() -> PathBuf {
    let user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").expect("HOME is not set")).join(".cache")
    });
    user.join("cofferdam")
}

/// The number of the store's newest schema.
fn schema() -> usize {
    let folder = repository().join("gateway/recorder/src/store");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("schema_")).count()
}

/// A filled store of the present schema. Made once.
fn filled(entries: u64) -> PathBuf {
    let folder = cache().join(format!("store-schema{}-{entries}", schema()));
    if !folder.join("environment").exists() {
        fs::create_dir_all(cache()).unwrap();
        println!("making a store with {entries} entries (minutes, the first time)");
        let partial = folder.with_extension(format!("partial-{}", std::process::id()));
        let program = binaries().join("examples/fill");
        let made = Command::new(&program)
            .arg(&partial)
            .arg(entries.to_string())
            .status()
            .unwrap_or_else(|error| panic!("`{}` does not start: {error}", program.display()));
        assert!(made.success(), "the store was not made");
        fs::rename(partial, &folder).unwrap();
    }
    folder
}

/// Makes the filled store, if it is not kept already.
pub fn prepare(entries: u64) {
    if entries > 0 {
        filled(entries);
    }
}

/// Gives an installation that was not started yet a store with this many entries, and the key and
/// the environment that signed them. None for zero.
pub fn give_entries(installation: &TestInstallation, entries: u64) {
    if entries == 0 {
        return;
    }
    let (from, home) = (filled(entries), installation.home());
    for part in ["store", "ledger"] {
        copy(&from.join(part), &home.join(part));
    }
    // The contents change and the mode stays: only the owner reads the key.
    fs::write(home.join("keys/recorder"), fs::read(from.join("key")).unwrap()).unwrap();
    let read = |name: &str| fs::read_to_string(from.join(name)).unwrap();
    let trust_file = home.join("trust/trust.toml");
    let trust = fs::read_to_string(&trust_file).unwrap();
    let trust = replaced(&trust, "id = \"", &read("environment"));
    fs::write(trust_file, replaced(&trust, "recorder = \"ed25519:", &read("public"))).unwrap();
}

/// The text with another value in the first line that begins so.
fn replaced(text: &str, begin: &str, value: &str) -> String {
    let old =
        text.lines().find(|line| line.starts_with(begin)).expect("the trust file has the line");
    text.replacen(old, &format!("{begin}{value}\""), 1)
}

#[test]
fn only_the_value_of_the_line_is_replaced() {
    let text = "name = \"id = \"\nid = \"ab\"\nid = \"cd\"\n";
    assert_eq!(replaced(text, "id = \"", "x"), "name = \"id = \"\nid = \"x\"\nid = \"cd\"\n");
}

/// Copies a folder by `cp`, which shares the blocks where the file system can.
fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp")
        .args(["-a", "--reflink=auto", "--no-target-directory"])
        .args([from, to])
        .status()
        .unwrap();
    assert!(done.success(), "`{}` was not copied", from.display());
}
