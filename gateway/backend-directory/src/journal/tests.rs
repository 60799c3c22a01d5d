//! Writing back: everything or nothing, also after a runner's death, and over a tree that was
//! changed meanwhile.

use super::*;
use crate::private_copy::ChangedFile;
use cofferdam_core::model::id::{Fence, ObjectDigest};

struct Desk {
    place: tempfile::TempDir,
    journal: Journal,
}

fn desk() -> Desk {
    let place = tempfile::tempdir().unwrap();
    for folder in ["tree/deep", "journal", "run"] {
        fs::create_dir_all(place.path().join(folder)).unwrap();
    }
    fs::write(place.path().join("tree/a"), "1").unwrap();
    fs::write(place.path().join("tree/deep/b"), "1").unwrap();
    let journal =
        Journal::new(place.path().join("journal"), Root::open(&place.path().join("tree")).unwrap());
    Desk { place, journal }
}

fn files() -> Vec<ChangedFile> {
    let before = ObjectDigest::of(b"1");
    vec![
        ChangedFile { path: "a".into(), before, content: Some("2".into()) },
        ChangedFile { path: "deep/b".into(), before, content: None },
    ]
}

impl Desk {
    fn commit(&self, call: u128, step: &dyn Fn(JobStep)) -> Result<(), CommitError> {
        self.commit_files(call, files(), step)
    }

    fn commit_files(
        &self,
        call: u128,
        files: Vec<ChangedFile>,
        step: &dyn Fn(JobStep),
    ) -> Result<(), CommitError> {
        let touches = files.iter().map(|file| file.path.clone()).collect();
        let (call, namespace) = (CallId::from_random(call), self.place.path().join("run"));
        let lock = self.journal.lock().unwrap();
        let commit = Commit {
            call: &call,
            fence: Fence(1),
            namespace: &namespace,
            files,
            touches: &touches,
            moved: &|_| None,
        };
        self.journal.commit(&lock, commit, step)
    }

    /// Commits and dies right after this step.
    fn die_at(&self, call: u128, at: JobStep) {
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.commit(call, &|step| {
                if step == at {
                    std::panic::panic_any("killed")
                }
            })
        }));
        assert!(died.is_err());
    }

    fn recover(&self, call: u128) -> Recovered {
        let lock = self.journal.lock().unwrap();
        self.journal.recover(&CallId::from_random(call), &lock, false).unwrap()
    }

    fn tree(&self) -> (Option<String>, Option<String>) {
        let read = |name: &str| fs::read_to_string(self.place.path().join("tree").join(name)).ok();
        (read("a"), read("deep/b"))
    }
}

#[test]
fn a_commit_is_whole_at_once_and_once() {
    let desk = desk();
    assert_eq!(desk.recover(1), Recovered::Untouched);
    desk.commit(1, &|_| {}).unwrap();
    assert_eq!(desk.tree(), (Some("2".into()), None));
    assert_eq!(desk.recover(1), Recovered::Complete);
    // A later change is no conflict: the job was complete before.
    fs::write(desk.place.path().join("tree/a"), "3").unwrap();
    assert_eq!(desk.recover(1), Recovered::Complete);
    desk.journal.forget(&CallId::from_random(1)).unwrap();
    assert_eq!(fs::read_dir(desk.place.path().join("journal")).unwrap().count(), 0);
}

#[test]
fn a_runner_killed_behind_the_commit_record_is_completed() {
    let desk = desk();
    desk.die_at(1, JobStep::EffectCommitted);
    assert_eq!(desk.tree(), (Some("1".into()), Some("1".into())));
    // Killed again half-way, in the middle of writing a file.
    fs::write(desk.place.path().join("tree/deep/b"), "1").unwrap();
    fs::write(
        desk.place.path().join(format!("tree/.a.cofferdam-{}", CallId::from_random(1))),
        "half",
    )
    .unwrap();
    assert_eq!(desk.recover(1), Recovered::Complete);
    assert_eq!(desk.tree(), (Some("2".into()), None));
    assert_eq!(fs::read_dir(desk.place.path().join("tree")).unwrap().count(), 2);
}

#[test]
fn a_third_state_is_a_conflict_and_nothing_of_it_is_written() {
    let desk = desk();
    desk.die_at(1, JobStep::EffectCommitted);
    fs::write(desk.place.path().join("tree/deep/b"), "else").unwrap();
    assert_eq!(desk.recover(1), Recovered::Conflict("deep/b".into()));
    assert_eq!(desk.tree(), (Some("1".into()), Some("else".into())));
}

#[test]
fn the_next_job_completes_the_one_before() {
    let desk = desk();
    desk.die_at(1, JobStep::EffectCommitted);
    // The second job was approved over the state before the first: it finds another one now.
    assert!(matches!(desk.commit(2, &|_| {}),
        Err(CommitError::Conflict(path)) if path == Path::new("a")));
    assert_eq!((desk.recover(1), desk.recover(2)), (Recovered::Complete, Recovered::Untouched));
    assert_eq!(desk.tree(), (Some("2".into()), None));
}

#[test]
fn without_its_namespace_no_runner_commits() {
    let desk = desk();
    fs::remove_dir(desk.place.path().join("run")).unwrap();
    assert!(matches!(desk.commit(1, &|_| {}), Err(CommitError::Fenced)));
    assert_eq!(
        (desk.tree(), desk.recover(1)),
        ((Some("1".into()), Some("1".into())), Recovered::Untouched)
    );
}

#[test]
fn what_cannot_be_read_in_the_tree_is_a_conflict_and_its_journal_is_kept() {
    type Bend = fn(&Path);
    let cases: [Bend; 3] = [
        |file| std::os::unix::fs::symlink("deep/b", file).unwrap(),
        |file| fs::create_dir(file).unwrap(),
        |file| fs::write(file, vec![b'1'; FILE as usize + 1]).unwrap(),
    ];
    for bend in cases {
        let desk = desk();
        desk.die_at(1, JobStep::EffectCommitted);
        fs::remove_file(desk.place.path().join("tree/a")).unwrap();
        bend(&desk.place.path().join("tree/a"));
        let call = CallId::from_random(1);
        assert_eq!(desk.recover(1), Recovered::Conflict("a".into()));
        desk.journal.forget(&call).unwrap();
        let kept = desk.place.path().join(format!("journal/{call}.conflict"));
        assert_eq!(desk.recover(1), Recovered::SetAside(kept));
        // It is not applied any more, not even when the file is as it was.
        let file = desk.place.path().join("tree/a");
        let _either = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
        fs::write(&file, "1").unwrap();
        desk.commit(2, &|_| {}).unwrap();
        assert_eq!(desk.recover(2), Recovered::Complete);
    }
}

#[test]
fn a_damaged_journal_is_set_aside_and_hinders_no_other_job() {
    for damage in ["{", r#"{"call":"x","call":"y"}"#] {
        let desk = desk();
        let call = CallId::from_random(1);
        fs::write(desk.place.path().join(format!("journal/{call}.committed")), damage).unwrap();
        desk.commit(2, &|_| {}).unwrap();
        let kept = desk.place.path().join(format!("journal/{call}.unreadable"));
        assert_eq!(desk.recover(1), Recovered::SetAside(kept.clone()));
        desk.journal.forget(&call).unwrap();
        assert_eq!(
            (desk.recover(1), fs::read_to_string(&kept).unwrap()),
            (Recovered::SetAside(kept), damage.to_owned())
        );
    }
    let desk = desk();
    let large = File::create(
        desk.place.path().join(format!("journal/{}.committed", CallId::from_random(1))),
    )
    .unwrap();
    large.set_len(JOURNAL + 1).unwrap();
    assert!(matches!(desk.recover(1), Recovered::SetAside(_)));
}

#[test]
fn a_file_that_would_be_too_large_to_read_back_is_never_committed() {
    let desk = desk();
    let files = vec![ChangedFile {
        path: "a".into(),
        before: ObjectDigest::of(b"1"),
        content: Some("2".repeat(FILE as usize + 1)),
    }];
    let committed = desk.commit_files(1, files, &|_| {});
    assert!(matches!(committed, Err(CommitError::Large(_))));
    assert_eq!(desk.recover(1), Recovered::Untouched);
}

/// A file system of its own over a folder: full or read-only at will, for every user that runs the
/// tests. Tests that cannot mount fail, and never pass unseen.
struct Mount(PathBuf);

impl Mount {
    fn over(place: &Path, options: &str) -> Self {
        fs::create_dir_all(place).unwrap();
        run(&["mount", "-t", "tmpfs", "-o", options, "tmpfs", place.to_str().unwrap()]);
        Self(place.to_owned())
    }

    fn again(&self, options: &str) {
        run(&["mount", "-o", &format!("remount,{options}"), self.0.to_str().unwrap()]);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run(&["umount", "--lazy", self.0.to_str().unwrap()]);
    }
}

fn run(words: &[&str]) {
    let done = std::process::Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(
        done.status.success(),
        "{words:?} (these tests need root): {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// A desk whose `deep/` is a file system of its own.
fn mounted() -> (Mount, Desk) {
    let place = tempfile::tempdir().unwrap();
    let mount = Mount::over(&place.path().join("tree/deep"), "size=256k");
    for folder in ["journal", "run"] {
        fs::create_dir_all(place.path().join(folder)).unwrap();
    }
    fs::write(place.path().join("tree/a"), "1").unwrap();
    fs::write(place.path().join("tree/deep/b"), "1").unwrap();
    let journal =
        Journal::new(place.path().join("journal"), Root::open(&place.path().join("tree")).unwrap());
    (mount, Desk { place, journal })
}

/// Both files get new content; the second lies on the other file system.
fn both() -> Vec<ChangedFile> {
    let before = ObjectDigest::of(b"1");
    ["a", "deep/b"]
        .map(|path| ChangedFile { path: path.into(), before, content: Some("2".into()) })
        .to_vec()
}

fn old() -> (Option<String>, Option<String>) {
    (Some("1".into()), Some("1".into()))
}

#[test]
fn what_cannot_be_written_shows_before_the_commit_record_and_leaves_nothing() {
    let (mount, desk) = mounted();
    let refused = |files, words: &str| {
        let Err(CommitError::Unwritable(obstacle)) = desk.commit_files(1, files, &|_| {}) else {
            panic!("{words}: it was committed")
        };
        assert!(
            obstacle.cause.contains("`deep/b` cannot be replaced: ")
                && obstacle.cause.contains(words),
            "{words}: {obstacle}"
        );
        assert_eq!((desk.tree(), desk.recover(1)), (old(), Recovered::Untouched), "{words}");
        let left = |folder: &str| fs::read_dir(desk.place.path().join(folder)).unwrap().count();
        assert_eq!((left("tree"), left("tree/deep"), left("journal")), (2, 1, 0), "{words}");
        obstacle
    };
    mount.again("ro");
    assert!(
        refused(both(), "Read-only file system (os error 30)").remedy.contains("mount it writable")
    );
    refused(files(), "Read-only file system");
    mount.again("rw");
    // All of it is taken: what is written beside the file finds no room.
    let mut filler = File::create(mount.0.join(".filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    let Err(CommitError::Unwritable(obstacle)) = desk.commit_files(1, both(), &|_| {}) else {
        panic!("it was committed")
    };
    assert!(
        obstacle.cause.contains("No space left on device (os error 28)")
            && obstacle.remedy.contains("free some space"),
        "{obstacle}"
    );
    assert_eq!(desk.tree(), old());
    drop(filler);
    fs::remove_file(mount.0.join(".filler")).unwrap();
    // A file that is a mount of its own.
    let (file, other) = (desk.place.path().join("tree/deep/b"), desk.place.path().join("other"));
    fs::write(&other, "1").unwrap();
    run(&["mount", "--bind", other.to_str().unwrap(), file.to_str().unwrap()]);
    let over = Mount(file);
    refused(both(), "mounted over it");
    drop(over);
    desk.commit_files(1, both(), &|_| {}).unwrap();
    assert_eq!(desk.tree(), (Some("2".into()), Some("2".into())));
}

#[test]
fn what_cannot_be_finished_blocks_the_same_files_alone_and_closes_by_itself() {
    let (mount, desk) = mounted();
    let committed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        desk.commit_files(1, both(), &|step| {
            if step == JobStep::EffectCommitted {
                std::panic::panic_any("killed")
            }
        })
    }));
    assert!(committed.is_err());
    mount.again("ro");
    let lock = desk.journal.lock().unwrap();
    let stuck = |given_up| desk.journal.recover(&CallId::from_random(1), &lock, given_up);
    let obstacle = stuck(false).unwrap_err();
    assert!(
        obstacle.cause.starts_with(
            "it is committed, 1 of 2 files are written, and `deep/b` cannot be replaced: "
        ),
        "{obstacle}"
    );
    assert_eq!(stuck(false).unwrap_err(), obstacle, "tried again, it finds the same");
    drop(lock);
    // Another job: elsewhere it goes on, at the same files it does not.
    fs::write(desk.place.path().join("tree/c"), "1").unwrap();
    let change = |path: &str, before: &str| {
        vec![ChangedFile {
            path: path.into(),
            before: ObjectDigest::of(before.as_bytes()),
            content: Some("3".into()),
        }]
    };
    desk.commit_files(2, change("c", "1"), &|_| {}).unwrap();
    for (path, before) in [("a", "2"), ("deep/b", "1")] {
        let Err(CommitError::Blocked { path: at, call, .. }) =
            desk.commit_files(3, change(path, before), &|_| {})
        else {
            panic!("{path}")
        };
        assert_eq!((at, call), (PathBuf::from(path), CallId::from_random(1)));
    }
    mount.again("rw");
    desk.commit_files(4, change("deep/b", "2"), &|_| {}).unwrap();
    assert_eq!(desk.recover(1), Recovered::Complete);
    assert_eq!(desk.tree(), (Some("2".into()), Some("3".into())));
}

#[test]
fn what_is_given_up_says_what_is_written() {
    for (die, written, missing) in
        [(true, vec!["a"], vec!["deep/b"]), (false, vec![], vec!["deep/b"])]
    {
        let (mount, desk) = mounted();
        let files = if die { both() } else { both().split_off(1) };
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            desk.commit_files(1, files, &|step| {
                if step == JobStep::EffectCommitted {
                    std::panic::panic_any("killed")
                }
            })
        }));
        assert!(killed.is_err());
        mount.again("ro");
        let call = CallId::from_random(1);
        let lock = desk.journal.lock().unwrap();
        let Recovered::GivenUp { written: told, missing: left, kept, .. } =
            desk.journal.recover(&call, &lock, true).unwrap()
        else {
            panic!("it was not given up")
        };
        let paths = |names: Vec<&str>| names.into_iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!((told, left), (paths(written), paths(missing)));
        assert_eq!(desk.journal.recover(&call, &lock, false).unwrap(), Recovered::SetAside(kept));
        // No runner completes it any more, not even where it could be.
        mount.again("rw");
        drop(lock);
        desk.commit_files(2, vec![], &|_| {}).unwrap();
        assert_eq!(desk.tree().1, Some("1".into()));
    }
}

#[test]
fn a_job_that_changes_nothing_is_held_against_the_tree_too() {
    let desk = desk();
    let lock = desk.journal.lock().unwrap();
    let (call, namespace) = (CallId::from_random(1), desk.place.path().join("run"));
    let commit = |moved: &dyn Fn(&[ChangedFile]) -> Option<PathBuf>| {
        let touches = ["a".into()].into();
        desk.journal.commit(
            &lock,
            Commit {
                call: &call,
                fence: Fence(1),
                namespace: &namespace,
                files: vec![],
                touches: &touches,
                moved,
            },
            &|_| {},
        )
    };
    assert!(matches!(commit(&|_| Some("a".into())),
        Err(CommitError::Conflict(path)) if path == Path::new("a")));
    commit(&|_| None).unwrap();
}
