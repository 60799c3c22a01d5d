//! A store that cannot be written for a while: nothing is half recorded, every view names the
//! cause, and it goes on by itself. The faults are the operating system's own: a limit on the size
//! of files, a small file system, a pinned log.

use crate::world::*;
use cofferdam_core::model::record::{Entry, Event, Recorded};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_recorder::Recorder;
use cofferdam_recorder::ledger::verify::verify;
use sqlx::Connection as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Tells a test that it runs in the process whose files are limited.
const LIMITED: &str = "COFFERDAM_TEST_LIMITED";

async fn health(recorder: &Recorder) -> (Option<String>, Vec<String>) {
    match recorder.propose(Propose::Health).await.unwrap() {
        Proposed::Health { refuses, warns, .. } => (refuses, warns),
        other => panic!("{other:?}"),
    }
}

fn run_to_end(program: &str, words: &[&str]) {
    let done = Command::new(program).args(words).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Limits every file of this process to so many bytes.
fn limit_files(most: &str) {
    run_to_end(
        "prlimit",
        &["--pid", &std::process::id().to_string(), &format!("--fsize={most}:unlimited")],
    );
}

/// While `fail` stands nothing is recorded and the cause is named; after `heal` all goes on,
/// without a gap and without a restart.
async fn fails_and_goes_on(world: &World, cause: &str, fail: impl FnOnce(), heal: impl FnOnce()) {
    let recorder = world.open().await;
    assert_eq!(end(&recorder, 1).await, Ok(Proposed::Recorded(Recorded { index: 1 })));
    assert_eq!(health(&recorder).await.0, None);
    fail();
    for number in 2..6 {
        assert!(matches!(end(&recorder, number).await, Err(RoleError::Unavailable(_))), "{number}");
        // A look must not make it worse.
        let Operated::Status { refuses, entries, .. } =
            recorder.operate(0, Operate::Status).await.unwrap()
        else {
            panic!()
        };
        assert_eq!((refuses.is_some(), entries), (true, 2));
    }
    let (refuses, _) = health(&recorder).await;
    let refuses = refuses.unwrap();
    assert!(refuses.contains("cofferdam.db") && refuses.contains(cause), "{refuses}");
    recorder.sweep().await;
    assert!(health(&recorder).await.0.is_some(), "a try that failed does not clear it");
    heal();
    recorder.sweep().await;
    assert_eq!(health(&recorder).await.0, None);
    assert_eq!(end(&recorder, 7).await, Ok(Proposed::Recorded(Recorded { index: 2 })));
    let job = world.job(8, "agent", "scale", None);
    enqueue(&recorder, &job, None).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    run(&seat, &leased).await;
    drop(seat);
    recorder.close().await;
    let report = verify(&world.ledger(), &World::key(), None, None).unwrap();
    assert!(report.is_sound() && report.size == 11, "{report:?}");
    world.open().await.close().await;
}

#[tokio::test]
async fn a_store_that_cannot_grow_names_the_cause_and_goes_on_by_itself() {
    if std::env::var_os(LIMITED).is_none() {
        // The limit is of a whole process: one of its own, in which the signal that comes with it
        // is ignored.
        let test = "failing::a_store_that_cannot_grow_names_the_cause_and_goes_on_by_itself";
        let script = "trap '' XFSZ; exec \"$0\" --exact \"$1\" --nocapture";
        let exe = std::env::current_exe().unwrap();
        let status = Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg(exe)
            .arg(test)
            .env(LIMITED, "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let world = World::new();
    let log = world.folder.path().join("store/cofferdam.db-wal");
    // Also less than the file that a sweep tries to write.
    let full = || {
        limit_files(&std::fs::metadata(&log).unwrap().len().min(128 * 1024).to_string());
    };
    fails_and_goes_on(&world, "SQLite code 778", full, || limit_files("unlimited")).await;
}

/// A small file system at a folder, for as long as this lives.
struct Small(std::path::PathBuf);

impl Small {
    fn mounted(at: std::path::PathBuf) -> Self {
        std::fs::create_dir(&at).unwrap();
        run_to_end("mount", &["-t", "tmpfs", "-o", "size=4m", "tmpfs", at.to_str().unwrap()]);
        Self(at)
    }

    /// Fills it to the last page.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _gone_with_the_machine = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
#[ignore = "mounts a small file system, which only root may"]
async fn a_full_disk_is_named_and_work_goes_on_when_it_has_room() {
    let world = World::new();
    let disk = Small::mounted(world.folder.path().join("store"));
    let free = || std::fs::remove_file(disk.0.join("filler")).unwrap();
    fails_and_goes_on(&world, "No space left on device (os error 28)", || disk.fill(), free).await;
}

/// An ending with a large payload.
async fn large(recorder: &Recorder, number: u128) {
    let event = Event::Ended { ending: "denied".to_owned(), code: "replicas-limit".to_owned() };
    let entry = Entry::of(event, Some(call(number)), "agent").with("plan", "y".repeat(200_000));
    recorder.propose(Propose::End { entry, again: false }).await.unwrap();
}

/// Sweeps until what is looked for is seen.
async fn until(recorder: &Recorder, what: &str, seen: impl Fn(&[String]) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !seen(&health(recorder).await.1) {
        assert!(Instant::now() < deadline, "not seen: {what}");
        recorder.sweep().await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reader_that_pins_the_log_is_named_and_the_log_is_short_again_once_it_is_gone() {
    let world = World::new();
    let recorder = world.open().await;
    let store = world.folder.path().join("store/cofferdam.db");
    let log = |path: &Path| std::fs::metadata(path.with_extension("db-wal")).unwrap().len();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&store).read_only(true);
    let mut reader = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM leaves").execute(&mut reader).await.unwrap();
    for number in 0..60 {
        large(&recorder, number).await;
    }
    assert!(log(&store) > 8 << 20);
    until(&recorder, "the log is named", |warns| {
        warns.iter().any(|why| why.contains("cofferdam.db-wal") && why.contains("fuser"))
    })
    .await;
    reader.close().await.unwrap();
    until(&recorder, "nothing is wrong any more", <[String]>::is_empty).await;
    assert_eq!(log(&store), 0);
    recorder.close().await;
}

/// SQLite answers a truncation that a reader prevents with "busy", not with an error.
#[tokio::test]
async fn a_reader_keeps_erased_bytes_in_the_log_only_until_it_is_gone() {
    let world = World::new();
    let recorder = world.open().await;
    large(&recorder, 1).await;
    let store = world.folder.path().join("store/cofferdam.db");
    let log = || std::fs::read(store.with_extension("db-wal")).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&store).read_only(true);
    let mut reader = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM leaves").execute(&mut reader).await.unwrap();
    recorder.operate(0, Operate::Erase { call: call(1) }).await.unwrap();
    assert!(log().windows(9).any(|bytes| bytes == b"yyyyyyyyy"), "the reader keeps the log");
    reader.close().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !log().is_empty() {
        assert!(Instant::now() < deadline, "the log still has the erased bytes");
        recorder.sweep().await;
        tokio::task::yield_now().await;
    }
    let kept = std::fs::read(&store).unwrap();
    assert!(!kept.windows(9).any(|bytes| bytes == b"yyyyyyyyy"), "no byte is left in the store");
    recorder.close().await;
}
