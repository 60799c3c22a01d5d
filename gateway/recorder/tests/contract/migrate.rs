//! A store moves to PostgreSQL whole, or not at all.

use crate::world::*;
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::protocol::operator_recorder::Operate;
use cofferdam_recorder::ledger::verify::verify;
use cofferdam_recorder::migrate::{AFTER, MoveError, Moved, Origin, Progress, migrate};
use cofferdam_recorder::{Recorder, RecorderContext};
use cofferdam_testkit::postgres::{Database, Server};
use sqlx::Connection as _;
use std::path::{Path, PathBuf};

/// A stopped store with jobs, signatures, an erased call and two full tiles.
async fn filled() -> World {
    let mut world = World::new();
    world.database = None;
    let (recorder, job) = world.queued().await;
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    run(&seat, &leased).await;
    let asked = world.job(2, "agent", "ask", Some(rule(1, &["bob"])));
    enqueue(&recorder, &asked, Some(key_for(&asked, "key"))).await.unwrap();
    let asked = stored(&recorder, &asked.call).await;
    hand_in(&recorder, &asked.call, sign("bob", &statement(&asked, Verdict::Approve)))
        .await
        .unwrap();
    let mut ends = tokio::task::JoinSet::new();
    for number in 10..520 {
        let recorder = recorder.clone();
        ends.spawn(async move { end(&recorder, number).await.unwrap() });
    }
    ends.join_all().await;
    recorder.operate(1000, Operate::Erase { call: job.call }).await.unwrap();
    drop(seat);
    recorder.close().await;
    world
}

fn store(world: &World) -> PathBuf {
    world.folder.path().join("store")
}

async fn moved(
    world: &World,
    to: &Database,
    mut told: impl FnMut(Progress) + Send,
) -> Result<Moved, MoveError> {
    let (store, key) = (store(world), World::key());
    let environment = environment().id;
    let from = Origin { store: &store, environment: &environment, key: &key };
    migrate(from, database(to), &mut told).await
}

/// Every file of the store.
fn bytes(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.to_str().unwrap().ends_with("-shm"))
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect();
    files.sort();
    files
}

fn tables(database: &Database) -> String {
    database
        .run("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        .unwrap()
}

/// Changes the file of a store by SQL, as damage or an attacker does.
async fn change(world: &World, sql: &str) {
    let file = format!("sqlite://{}", cofferdam_recorder::database(&store(world)).display());
    let mut connection = sqlx::SqliteConnection::connect(&file).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
async fn a_store_moves_with_its_whole_ledger_and_goes_on() {
    let mut world = filled().await;
    let target = Server::shared().database();
    let before = bytes(&store(&world));
    let mut steps = Vec::new();
    let done = moved(&world, &target, |progress| steps.push(progress)).await.unwrap();
    assert!(before == bytes(&store(&world)), "the old store stays as it is");
    assert!(steps.iter().any(|progress| progress.step == AFTER && progress.done == progress.of));
    let rows = |table| done.rows.iter().find(|(name, _)| *name == table).map(|(_, rows)| *rows);
    assert_eq!(rows("jobs"), Some(2));
    assert_eq!(rows("leaves"), Some(done.ledger.entries));
    assert_eq!((rows("tiles"), rows("statements")), (Some(2), Some(1)));
    assert!(done.ledger.bare >= 1, "the payloads of the erased call stay erased");
    // A recorder goes on where the file ended, with the same published ledger.
    world.database = Some(target);
    let recorder = world.open().await;
    let job = world.job(3, "agent", "more", None);
    enqueue(&recorder, &job, None).await.unwrap();
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    assert_eq!((leased.job.call.clone(), leased.fence.0), (call(3), 2));
    run(&seat, &leased).await;
    drop(seat);
    recorder.close().await;
    let report = verify(&world.ledger(), &World::key(), None, None).unwrap();
    assert!(report.is_sound() && report.size > done.ledger.entries, "{report:?}");
    // A start on the old file would be another history.
    let old = RecorderContext { database: None, ..world.settings() };
    let refused = Recorder::open(old).await.err();
    assert!(refused.is_some_and(|error| error.to_string().contains("the published ledger has")));
}

#[tokio::test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
async fn a_move_that_is_interrupted_anywhere_moves_nothing_and_can_be_repeated() {
    let world = filled().await;
    let server = Server::start();
    let target = server.database();
    let before = bytes(&store(&world));
    for (step, stop) in [
        ("jobs", Server::kill as fn(&Server)),
        ("leaves", Server::restart),
        ("calls_end", Server::kill),
        (AFTER, Server::kill),
    ] {
        let mut stopped = false;
        let done = moved(&world, &target, |progress| {
            if progress.step == step && !std::mem::replace(&mut stopped, true) {
                stop(&server);
            }
        })
        .await;
        assert!(stopped && matches!(done, Err(MoveError::Store(_))), "{step}: {done:?}");
        if step != "leaves" {
            server.start_again();
        }
        assert_eq!(tables(&target), "0", "{step}");
        assert!(before == bytes(&store(&world)), "{step}");
    }
    moved(&world, &target, |_| ()).await.unwrap();
    let again = moved(&world, &target, |_| ()).await;
    assert!(matches!(again, Err(MoveError::NotEmpty(_))), "{again:?}");
}

#[tokio::test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
async fn a_store_that_is_not_whole_or_not_stopped_is_not_moved() {
    let world = filled().await;
    let target = Server::shared().database();
    let key = World::key();
    // An attack and its refusal. The files are restored after each.
    type Refusal = fn(&MoveError) -> bool;
    let ledger: Refusal = |error| matches!(error, MoveError::Ledger(_));
    let attacks: [(&str, Refusal); 10] = [
        ("UPDATE leaves SET entry = entry || ' ' WHERE idx = 7", ledger),
        ("UPDATE leaves SET payloads = replace(payloads, '40', '41') WHERE idx = 300", ledger),
        (
            "UPDATE leaves SET key = NULL WHERE idx = 300; UPDATE leaves SET call = 'aaaa' WHERE idx = 0",
            ledger,
        ),
        ("DELETE FROM leaves WHERE idx = (SELECT max(idx) FROM leaves)", ledger),
        ("DELETE FROM leaves WHERE idx = 9", ledger),
        ("UPDATE tiles SET root = zeroblob(32) WHERE idx = 1", ledger),
        ("UPDATE checkpoint SET note = replace(note, char(10), ' ')", ledger),
        ("CREATE TABLE more (a INTEGER)", |error| matches!(error, MoveError::Unknown(_))),
        ("PRAGMA user_version = 999", |error| {
            matches!(error, MoveError::Version { found: 999, .. })
        }),
        ("PRAGMA user_version = 14", |error| matches!(error, MoveError::Version { found: 14, .. })),
    ];
    let copy = tempfile::tempdir().unwrap();
    for (path, bytes) in bytes(&store(&world)) {
        std::fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    for (attack, refusal) in attacks {
        change(&world, attack).await;
        let error = moved(&world, &target, |_| ()).await.unwrap_err();
        assert!(refusal(&error), "{attack}: {error:?}");
        for entry in std::fs::read_dir(store(&world)).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (path, bytes) in bytes(copy.path()) {
            std::fs::write(store(&world).join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
    let (store, other) = (store(&world), ed25519_dalek::SigningKey::from_bytes(&[6; 32]));
    let empty = tempfile::tempdir().unwrap();
    for (store, environment, key, refusal) in [
        (store.as_path(), "other", &key, {
            let refusal: Refusal = |error| matches!(error, MoveError::Environment { .. });
            refusal
        }),
        (store.as_path(), "4f2a", &other.verifying_key(), ledger),
        (empty.path(), "4f2a", &key, |error| matches!(error, MoveError::Absent(_))),
    ] {
        let from = Origin { store, environment, key };
        let error = migrate(from, database(&target), &mut |_| ()).await.unwrap_err();
        assert!(refusal(&error), "{error:?}");
    }
    let recorder = world.open().await;
    let error = moved(&world, &target, |_| ()).await.unwrap_err();
    assert!(matches!(error, MoveError::Running(_)), "{error:?}");
    recorder.close().await;
    let running = World::in_postgres(&Server::shared());
    let recorder = running.open().await;
    let error = moved(&world, running.database.as_ref().unwrap(), |_| ()).await.unwrap_err();
    assert!(matches!(error, MoveError::InUse(_)), "{error:?}");
    recorder.close().await;
    // Nothing was moved by any of them, and now it is.
    assert_eq!(tables(&target), "0");
    moved(&world, &target, |_| ()).await.unwrap();
}
