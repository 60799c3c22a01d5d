//! Writing back: everything or nothing, whoever dies, and whoever changed the tree meanwhile.

use super::*;

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
    let journal = Journal::new(place.path().join("journal"), Root::open(&place.path().join("tree")).unwrap());
    Desk { place, journal }
}

fn files() -> Vec<ChangedFile> {
    let before = ObjectDigest::of(b"1");
    vec![ChangedFile { path: "a".into(), before, content: Some("2".into()) }, ChangedFile { path: "deep/b".into(), before, content: None }]
}

impl Desk {
    fn commit(&self, call: u128, step: &dyn Fn(JobStep)) -> Result<(), CommitFault> {
        self.journal.commit(&CallId::from_random(call), Fence(1), &self.place.path().join("run"), files(), step)
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
        self.journal.recover(&CallId::from_random(call), &lock).unwrap()
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
    // What came later is nobody's conflict: the job was complete before.
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
    fs::write(desk.place.path().join(format!("tree/.a.cofferdam-{}", CallId::from_random(1))), "half").unwrap();
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
    assert!(matches!(desk.commit(2, &|_| {}), Err(CommitFault::Conflict(path)) if path == Path::new("a")));
    assert_eq!((desk.recover(1), desk.recover(2)), (Recovered::Complete, Recovered::Untouched));
    assert_eq!(desk.tree(), (Some("2".into()), None));
}

#[test]
fn without_its_namespace_nobody_commits() {
    let desk = desk();
    fs::remove_dir(desk.place.path().join("run")).unwrap();
    assert!(matches!(desk.commit(1, &|_| {}), Err(CommitFault::Fenced)));
    assert_eq!((desk.tree(), desk.recover(1)), ((Some("1".into()), Some("1".into())), Recovered::Untouched));
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
        // Nobody applies it any more, not even when the file is as it was.
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
        assert_eq!((desk.recover(1), fs::read_to_string(&kept).unwrap()), (Recovered::SetAside(kept), damage.to_owned()));
    }
    let desk = desk();
    let large = File::create(desk.place.path().join(format!("journal/{}.committed", CallId::from_random(1)))).unwrap();
    large.set_len(JOURNAL + 1).unwrap();
    assert!(matches!(desk.recover(1), Recovered::SetAside(_)));
}

#[test]
fn a_file_that_would_be_too_large_to_read_back_is_never_committed() {
    let desk = desk();
    let files = vec![ChangedFile { path: "a".into(), before: ObjectDigest::of(b"1"), content: Some("2".repeat(FILE as usize + 1)) }];
    let committed = desk.journal.commit(&CallId::from_random(1), Fence(1), &desk.place.path().join("run"), files, &|_| {});
    assert!(matches!(committed, Err(CommitFault::Large(_))));
    assert_eq!(desk.recover(1), Recovered::Untouched);
}
