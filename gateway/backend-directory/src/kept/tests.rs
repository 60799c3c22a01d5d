//! A kept index gives what a fresh reading of the whole tree gives, whatever changed in between.

use super::*;
use crate::tree::FILES;
use cofferdam_core::model::operation::{Operation, Target};
use proptest::prelude::*;
use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    static LATER: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static START: Instant = Instant::now();
}

fn clock() -> Instant {
    START.with(|start| *start) + LATER.with(Cell::get)
}

/// A source of changes whose faults a test switches on.
#[derive(Debug)]
struct Faulty {
    watch: Watch,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    /// The queue overflows.
    overflow: AtomicBool,
    /// Changes have no event.
    silent: AtomicBool,
    /// The queue cannot be read.
    broken: AtomicBool,
    /// Folders are not watched any more.
    full: AtomicBool,
}

impl Changes for Faulty {
    fn watch(&mut self, root: &Root, folder: &Path) -> Result<FolderId, WatchError> {
        if self.faults.full.load(Ordering::Relaxed) {
            return Err(WatchError::Kernel(io::Error::from_raw_os_error(28)));
        }
        self.watch.add(root, folder)
    }

    fn unwatch(&mut self, folder: FolderId) {
        self.watch.remove(folder);
    }

    fn take(&mut self) -> io::Result<Vec<Change>> {
        let changes = self.watch.changes()?;
        if self.faults.broken.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(5));
        }
        if self.faults.silent.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let lost = self.faults.overflow.swap(false, Ordering::Relaxed);
        Ok(if lost { vec![Change::Lost] } else { changes })
    }
}

struct Desk {
    place: tempfile::TempDir,
    kept: KeptTree,
    faults: Arc<Faults>,
}

/// Two objects; the third number makes them differ in size or not.
fn text(name: &str, number: usize) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: shop}}\ndata: {{a: \
         \"{number}\"}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}-b, \
         namespace: shop}}\n"
    )
}

impl Desk {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("tree/a/b")).unwrap();
        let faults = Arc::new(Faults::default());
        let faulty = Faulty { watch: Watch::open().unwrap(), faults: Arc::clone(&faults) };
        let root = Root::open(&place.path().join("tree")).unwrap();
        let desk = Self { place, kept: KeptTree::new(root, clock, Some(Box::new(faulty))), faults };
        desk.write("a/one.yaml", &text("one", 1));
        desk.write("a/b/two.yaml", &text("two", 2));
        desk.write("three.json", "{}");
        desk
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.place.path().join("tree").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    fn look(&self, name: &str) -> Result<Arc<Index>, TreeError> {
        let target = Target {
            group: String::new(),
            version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: "shop".into(),
            name: name.into(),
        };
        let operation = Operation::Delete { target };
        self.kept.index(&[Step { operation, after: vec![], reversible: false }])
    }

    /// Checks that a look gives what a reading of the whole tree gives.
    fn check(&self, after: &str) {
        let root = Root::open(&self.at("")).unwrap();
        assert_eq!(
            shown(&self.kept.index(&[])),
            shown(&Index::read(&root, None).map(Arc::new)),
            "after: {after}"
        );
    }

    /// Returns whether an index is still the kept one.
    fn is_kept(&self, index: &Arc<Index>) -> bool {
        Arc::ptr_eq(index, &self.kept.index(&[]).unwrap())
    }

    /// Returns whether the folder of this test reports every change.
    fn is_watched(&self) -> bool {
        self.kept.index(&[]).unwrap();
        self.kept.state().is_watched()
    }
}

/// Everything that a look can show of an index.
fn shown(index: &Result<Arc<Index>, TreeError>) -> String {
    let index = match index {
        Ok(index) => index,
        Err(error) => return error.to_string(),
    };
    let files: Vec<_> = index
        .files()
        .map(|(path, file)| (path, &file.text, file.documents.as_ref().err()))
        .collect();
    let names: Vec<_> = index.names().collect();
    let found = index.list("", "v1", "ConfigMap", "shop").found;
    let values: Vec<_> =
        found.iter().map(|found| (found.place(), found.object.value().to_string())).collect();
    format!("{files:#?}\n{names:#?}\n{values:#?}\n{:#?}", index.survey())
}

type Edit = fn(&Desk);

#[test]
fn a_look_after_any_change_is_the_look_of_a_fresh_reading() {
    let table: &[(&str, Edit)] = &[
        ("an edit in place", |desk| desk.write("a/one.yaml", &text("one", 9))),
        ("an edit in place that adds", |desk| {
            use std::io::Write as _;
            let file = fs::OpenOptions::new().append(true).open(desk.at("a/one.yaml"));
            file.unwrap().write_all(b"---\nkind: {\n").unwrap();
        }),
        ("a file cut short", |desk| {
            let file = fs::OpenOptions::new().write(true).open(desk.at("a/one.yaml"));
            file.unwrap().set_len(30).unwrap();
        }),
        ("an atomic replacement", |desk| {
            desk.write(".new", &text("one", 7));
            fs::rename(desk.at(".new"), desk.at("a/one.yaml")).unwrap();
        }),
        ("a new file", |desk| desk.write("a/new.yaml", &text("new", 1))),
        ("an object in a second file", |desk| desk.write("again.yaml", &text("one", 1))),
        ("a removed file", |desk| fs::remove_file(desk.at("a/one.yaml")).unwrap()),
        ("a new folder with a file", |desk| {
            fs::create_dir_all(desk.at("c/d")).unwrap();
            desk.write("c/d/new.yaml", &text("deep", 1));
        }),
        ("a folder moved out", |desk| {
            fs::rename(desk.at("a/b"), desk.place.path().join("out")).unwrap();
        }),
        ("a folder moved out, changed and moved in", |desk| {
            fs::rename(desk.at("a"), desk.place.path().join("out")).unwrap();
            desk.check("the move");
            fs::write(desk.place.path().join("out/one.yaml"), text("one", 5)).unwrap();
            fs::rename(desk.place.path().join("out"), desk.at("e")).unwrap();
            desk.check("the move back");
            desk.write("e/one.yaml", &text("one", 6));
        }),
        ("a removed folder", |desk| fs::remove_dir_all(desk.at("a")).unwrap()),
        ("a link to a folder outside", |desk| symlink("/etc", desk.at("a/etc")).unwrap()),
        ("a link in place of a file", |desk| {
            fs::rename(desk.at("a/one.yaml"), desk.place.path().join("one.yaml")).unwrap();
            symlink("../../one.yaml", desk.at("a/one.yaml")).unwrap();
        }),
        ("a pipe in place of a file", |desk| {
            fs::remove_file(desk.at("a/one.yaml")).unwrap();
            let made = std::process::Command::new("mkfifo").arg(desk.at("a/one.yaml")).status();
            assert!(made.unwrap().success());
        }),
        ("a file without rights", |desk| {
            let none = fs::Permissions::from_mode(0o000);
            fs::set_permissions(desk.at("a/one.yaml"), none).unwrap();
        }),
        ("a folder without rights", |desk| {
            fs::set_permissions(desk.at("a/b"), fs::Permissions::from_mode(0o000)).unwrap();
            desk.check("no rights");
            fs::set_permissions(desk.at("a/b"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("a file that is too large, then empty", |desk| {
            desk.write("a/one.yaml", &"#".repeat(2 << 20));
            desk.check("too large");
            desk.write("a/one.yaml", "");
        }),
        ("another encoding", |desk| fs::write(desk.at("a/one.yaml"), [0xff, 0xfe, 0]).unwrap()),
        ("a kustomization", |desk| {
            desk.write("a/kustomization.yaml", "namespace: other\nresources: [one.yaml]\n");
        }),
        ("hidden files", |desk| {
            fs::create_dir(desk.at(".git")).unwrap();
            desk.write(".git/x.yaml", &text("hidden", 1));
            desk.write("a/.one.yaml.tmp", &text("hidden", 1));
        }),
    ];
    for (change, edit) in table {
        let desk = Desk::new();
        desk.check("nothing");
        edit(&desk);
        desk.check(change);
        desk.write("a2.yaml", &text("after", 1));
        desk.check("one more file");
    }
}

#[test]
fn an_index_is_kept_until_a_manifest_changes() {
    let desk = Desk::new();
    if !desk.is_watched() {
        return;
    }
    let index = desk.look("one").unwrap();
    desk.write("a/notes.txt", "x");
    let index = if desk.is_kept(&index) { index } else { desk.look("one").unwrap() };
    desk.write("a/notes.txt", "y");
    fs::create_dir(desk.at(".hidden")).unwrap();
    desk.write(".hidden/x.yaml", "x");
    assert!(desk.is_kept(&index) && Arc::ptr_eq(&index, &desk.look("one").unwrap()));
    desk.write("a/one.yaml", &text("one", 3));
    assert!(!desk.is_kept(&index));
}

#[test]
fn lost_changes_are_found_by_a_reading_of_the_whole_tree() {
    let desk = Desk::new();
    desk.check("nothing");
    for round in 0..3 {
        desk.write("a/one.yaml", &text("one", round));
        desk.write("a/b/again.yaml", &text("one", round));
        desk.faults.overflow.store(true, Ordering::Relaxed);
        desk.check("an overflow");
    }
    desk.write("a/one.yaml", &text("one", 7));
    desk.faults.broken.store(true, Ordering::Relaxed);
    desk.check("a queue that cannot be read");
    desk.write("a/one.yaml", &text("one", 8));
    desk.check("the same");
}

#[test]
fn without_watches_each_look_reads_the_whole_tree() {
    let desk = Desk::new();
    desk.check("nothing");
    desk.faults.full.store(true, Ordering::Relaxed);
    fs::create_dir(desk.at("f")).unwrap();
    desk.write("f/one.yaml", &text("one", 4));
    desk.check("a folder that is not watched");
    assert!(!desk.is_watched());
    desk.write("f/one.yaml", &text("one", 5));
    desk.check("a change there");
}

#[test]
fn a_change_without_an_event_is_in_the_answer_about_its_object_and_in_time_in_all() {
    let desk = Desk::new();
    if !desk.is_watched() {
        return;
    }
    let places = |name: &str| {
        let index = desk.look(name).unwrap();
        let found = index.list("", "v1", "ConfigMap", "shop").found;
        found.iter().map(|found| found.object.value().to_string()).collect::<Vec<_>>().join(" ")
    };
    desk.faults.silent.store(true, Ordering::Relaxed);
    desk.write("a/one.yaml", &text("one", 12_345));
    desk.write("again.yaml", &text("two", 1));
    assert!(!places("two").contains("12345"));
    assert!(places("one").contains("12345"));
    LATER.with(|later| later.set(WHOLE * 2));
    desk.check("the time of a whole reading");
    LATER.with(|later| later.set(WHOLE * 4));
    desk.write("a/b/two.yaml", &text("two", 6));
    desk.check("the time of another one");
}

#[test]
fn a_tree_with_too_many_files_is_refused_until_one_is_removed() {
    let desk = Desk::new();
    fs::create_dir(desk.at("many")).unwrap();
    for number in 3..FILES {
        desk.write(&format!("many/{number}.yaml"), "");
    }
    desk.check("as many files as a tree may have");
    desk.write("many/more.yaml", "");
    assert!(matches!(desk.look("one"), Err(TreeError::Many)));
    desk.write("a/one.yaml", &text("one", 5));
    assert!(matches!(desk.look("one"), Err(TreeError::Many)));
    fs::remove_file(desk.at("many/more.yaml")).unwrap();
    desk.check("a removed file");
}

/// One change: what, of which folder and file, to what.
type Random = (u8, usize, usize, usize);

const FOLDERS: [&str; 5] = ["", "a", "a/b", "c", ".h"];
const NAMES: [&str; 6] =
    ["one.yaml", "two.yml", "three.json", "n.txt", ".x.yaml", "kustomization.yaml"];

/// Makes a change, if it can be made.
fn apply(desk: &Desk, (what, folder, name, number): Random) -> io::Result<()> {
    let folder = desk.at(FOLDERS[folder]);
    let path = folder.join(NAMES[name]);
    let other = desk.at(FOLDERS[number % FOLDERS.len()]);
    let content = match NAMES[name] {
        "kustomization.yaml" => "namespace: shop\nresources: [one.yaml]\n".to_owned(),
        name => text(name.split('.').next().unwrap_or_default(), number),
    };
    match what {
        0..3 => fs::write(path, content),
        3 => {
            fs::write(folder.join(".tmp"), content)?;
            fs::rename(folder.join(".tmp"), path)
        }
        4 => fs::remove_file(path),
        5 => fs::create_dir_all(folder),
        6 if folder != desk.at("") => fs::remove_dir_all(folder),
        7 if folder != desk.at("") && other != desk.at("") => fs::rename(folder, other.join("m")),
        8 => fs::rename(path, other.join(NAMES[number % NAMES.len()])),
        9 => symlink(&other, folder.join("link.yaml")),
        10 => symlink("one.yaml", path),
        11 => fs::set_permissions(path, fs::Permissions::from_mode(0o600)),
        12 => fs::hard_link(path, other.join("hard.yaml")),
        13 => fs::rename(folder.join("m"), &other),
        _ => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_sequence_of_changes_is_seen_as_a_fresh_reading_sees_it(
        rounds in prop::collection::vec(
            prop::collection::vec((0_u8..15, 0..FOLDERS.len(), 0..NAMES.len(), 0..7_usize), 1..4),
            1..12,
        )
    ) {
        let desk = Desk::new();
        desk.check("nothing");
        for round in rounds {
            for change in &round {
                let _may_be_impossible = apply(&desk, *change);
            }
            desk.check(&format!("{round:?}"));
        }
    }
}
