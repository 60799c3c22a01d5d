//! Files of the store and of the published ledger that are taken away, replaced or in the way,
//! while the recorder has them and at its start. A change that would be lost is not
//! acknowledged, and every view has the cause.

use crate::world::*;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use cofferdam_recorder::ledger::verify::verify;
use cofferdam_recorder::{OpenError, Recorder, database};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The texts of both views: the refusal of new work, and the warnings. The state may change between the
/// two reads, so a difference counts only if it stays.
async fn told(recorder: &Recorder) -> (Option<String>, Vec<String>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let Proposed::Health { refuses, warns, .. } =
            recorder.propose(Propose::Health).await.unwrap()
        else {
            panic!()
        };
        let Operated::Status { refuses: same, warns: too, .. } =
            recorder.operate(0, Operate::Status).await.unwrap()
        else {
            panic!()
        };
        if (&refuses, &warns) == (&same, &too) {
            return (refuses, warns);
        }
        assert!(
            Instant::now() < deadline,
            "health and status differ: {refuses:?} {warns:?}; {same:?} {too:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn moved(from: &Path) -> PathBuf {
    let mut name = from.file_name().unwrap().to_owned();
    name.push(".aside");
    let to = from.with_file_name(name);
    fs::rename(from, &to).unwrap();
    to
}

/// The path of a file of the store, and what happens to it; gives what puts it back.
type Break = (&'static str, &'static str, fn(&Path) -> PathBuf);

const BREAKS: [Break; 5] = [
    ("cofferdam.db", "is gone", moved),
    ("cofferdam.db", "was replaced by another file", |path| {
        let aside = moved(path);
        fs::copy(&aside, path).unwrap();
        aside
    }),
    ("cofferdam.db-wal", "is gone", moved),
    ("cofferdam.db-wal", "was replaced by another file", |path| {
        let aside = moved(path);
        fs::write(path, "").unwrap();
        aside
    }),
    ("", "is gone", moved),
];

/// A log that is gone counts as replaced as soon as SQLite opens a connection: it makes an empty
/// one.
fn is_told(why: &str, happened: &str) -> bool {
    why.contains(happened)
        || (happened == "is gone" && why.contains("was replaced by another file"))
}

#[tokio::test]
async fn nothing_is_written_to_a_store_that_is_not_at_its_path_and_it_goes_on_when_it_is_back() {
    for (file, happened, take) in BREAKS {
        let world = World::new();
        let recorder = world.open().await;
        end(&recorder, 1).await.unwrap();
        let path = world.folder.path().join("store").join(file);
        let path = if file.is_empty() { world.folder.path().join("store") } else { path };
        let aside = take(&path);
        for number in 2..5 {
            let Err(RoleError::Unavailable(why)) = end(&recorder, number).await else {
                panic!("{file} {happened}")
            };
            assert!(is_told(&why, happened) && why.contains("cofferdam.db"), "{why}");
        }
        recorder.sweep().await;
        let why = told(&recorder).await.0.unwrap();
        assert!(
            is_told(&why, happened)
                && (why.contains("from a backup") || why.contains("start it again")),
            "{why}"
        );
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::rename(&aside, &path).unwrap();
        recorder.sweep().await;
        assert_eq!(told(&recorder).await.0, None, "{file} {happened}");
        let Ok(Proposed::Recorded(recorded)) = end(&recorder, 6).await else {
            panic!("{file} {happened}")
        };
        assert_eq!(recorded.index, 2, "nothing of what was refused is there");
        recorder.close().await;
        assert!(verify(&world.ledger(), &World::key(), None, None).unwrap().is_sound());
    }
}

#[tokio::test]
async fn a_lost_store_is_seen_without_a_write() {
    for (file, happened, take) in BREAKS {
        let world = World::new();
        let recorder = world.open().await;
        let store = world.folder.path().join("store");
        take(&if file.is_empty() { store } else { store.join(file) });
        recorder.sweep().await;
        let why = told(&recorder).await.0;
        assert!(why.as_ref().is_some_and(|why| is_told(why, happened)), "{file}: {why:?}");
    }
}

#[tokio::test]
async fn no_operation_begins_over_a_lost_store() {
    let world = World::new();
    let recorder = world.open().await;
    let job = world.job(1, "agent", "scale", None);
    enqueue(&recorder, &job, None).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    report(&seat, &leased, prepared()).await.unwrap();
    let path = database(&world.folder.path().join("store"));
    let aside = moved(&path);
    assert!(matches!(
        report(&seat, &leased, RunnerEvent::Acting).await,
        Err(RoleError::Unavailable(_))
    ));
    fs::rename(aside, path).unwrap();
    report(&seat, &leased, RunnerEvent::Acting).await.unwrap();
}

#[tokio::test]
async fn a_removed_log_is_written_back_by_a_clean_end() {
    let world = World::new();
    let recorder = world.open().await;
    for number in 1..4 {
        end(&recorder, number).await.unwrap();
    }
    fs::remove_file(world.folder.path().join("store/cofferdam.db-wal")).unwrap();
    assert!(matches!(end(&recorder, 4).await, Err(RoleError::Unavailable(_))));
    recorder.close().await;
    let recorder = world.open().await;
    let Proposed::Head { size, .. } = recorder.propose(Propose::Head).await.unwrap() else {
        panic!()
    };
    assert_eq!(size, 5, "two starts and three entries");
    recorder.close().await;
    assert!(verify(&world.ledger(), &World::key(), None, None).unwrap().is_sound());
}

#[tokio::test]
async fn a_ledger_that_cannot_be_published_warns_refuses_nothing_and_is_published_later() {
    let world = World::new();
    let recorder = world.open().await;
    let checkpoint = world.ledger().join("checkpoint");
    let deadline = Instant::now() + Duration::from_secs(60);
    // The checkpoint of the start may be published between the two.
    while let Err(error) = fs::remove_file(&checkpoint).and_then(|()| fs::create_dir(&checkpoint)) {
        assert!(Instant::now() < deadline, "{error}");
    }
    end(&recorder, 1).await.unwrap();
    let warned = loop {
        assert!(Instant::now() < deadline, "nothing warns");
        let (refuses, warns) = told(&recorder).await;
        assert_eq!(refuses, None);
        if let Some(why) = warns.first() {
            break why.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for words in [
        "new checkpoints are not published",
        "ledger/checkpoint",
        "Is a directory",
        "move away the folder",
        "safe in the store",
    ] {
        assert!(warned.contains(words), "not `{words}`: {warned}");
    }
    fs::remove_dir(&checkpoint).unwrap();
    while !told(&recorder).await.1.is_empty() {
        assert!(Instant::now() < deadline, "it warns for ever");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(checkpoint.is_file(), "no further entry was needed");
    recorder.close().await;
    assert!(verify(&world.ledger(), &World::key(), None, None).unwrap().is_sound());
}

/// Breaks an installation that was used, and gives the words in which its start is refused.
async fn refused(break_it: impl FnOnce(&Path)) -> String {
    let world = World::new();
    let recorder = world.open().await;
    end(&recorder, 1).await.unwrap();
    recorder.close().await;
    break_it(world.folder.path());
    let Err(error) = Recorder::open(world.settings()).await else { panic!("it started") };
    assert!(!matches!(error, OpenError::Ledger(_)), "{error}");
    error.to_string()
}

fn folder_in_place(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

/// The damage to an installation, and words of the refusal.
type Refusal = (fn(&Path), &'static [&'static str]);

#[tokio::test]
async fn an_error_of_a_file_at_the_start_has_path_cause_and_remedy_and_accuses_no_person() {
    let table: [Refusal; 5] = [
        (
            |home| folder_in_place(&home.join("store/cofferdam.db")),
            &["store/cofferdam.db`", "SQLite code 14", "folder"],
        ),
        (
            |home| folder_in_place(&home.join("store/lock")),
            &["store/lock`", "Is a directory", "move away the folder"],
        ),
        (
            |home| folder_in_place(&home.join("ledger/checkpoint")),
            &["ledger/checkpoint`", "Is a directory", "move away the folder"],
        ),
        (
            |home| fs::write(home.join("store/cofferdam.db"), vec![7; 8192]).unwrap(),
            &["store/cofferdam.db`", "SQLite code 26", "from a copy"],
        ),
        (
            |home| {
                fs::remove_dir_all(home.join("store")).unwrap();
                fs::write(home.join("store"), "x").unwrap();
            },
            &["/store`", "move away the file"],
        ),
    ];
    for (break_it, expect) in table {
        let said = refused(break_it).await;
        for words in expect {
            assert!(said.contains(words), "not `{words}`: {said}");
        }
        assert!(!said.contains("not what its checkpoint signs"), "{said}");
    }
}

/// Each view and the sweep read at once, while another file stands at the path of the store: no new
/// connection opens it, so each read has its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_reads_at_once_open_no_file_that_replaced_the_store() {
    let world = World::new();
    let recorder = world.open().await;
    end(&recorder, 1).await.unwrap();
    let path = database(&world.folder.path().join("store"));
    let aside = moved(&path);
    fs::copy(&aside, &path).unwrap();
    let reads = (0..64).map(|_| {
        let recorder = recorder.clone();
        tokio::spawn(async move { recorder.operate(0, Operate::Status).await.map(drop) })
    });
    for read in reads.collect::<Vec<_>>() {
        read.await.unwrap().unwrap();
    }
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let opened = open.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    assert_eq!(opened.filter(|file| *file == path).count(), 0, "the copy is not open");
    fs::rename(&aside, &path).unwrap();
    end(&recorder, 2).await.unwrap();
    recorder.close().await;
    assert!(verify(&world.ledger(), &World::key(), None, None).unwrap().is_sound());
}
