//! The store in a real PostgreSQL server: one recorder is the sequencer, another stands by and takes
//! over, and each fault of the database has one honest outcome.

use crate::world::*;
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_recorder::ledger::verify::verify;
use cofferdam_recorder::{OpenError, Recorder, RecorderContext};
use cofferdam_testkit::postgres::{self, Server};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The longest wait for what must come.
const SOON: Duration = Duration::from_secs(30);

/// Opens a recorder that stands by first.
async fn standby(world: &World) -> tokio::task::JoinHandle<Result<Recorder, OpenError>> {
    let waits = Arc::new(Notify::new());
    let told = Arc::clone(&waits);
    let stands_by = Arc::new(move || told.notify_one());
    let context = RecorderContext { stands_by, ..world.settings() };
    let opening = tokio::spawn(Recorder::open(context));
    tokio::time::timeout(SOON, waits.notified()).await.unwrap();
    opening
}

async fn opened(opening: tokio::task::JoinHandle<Result<Recorder, OpenError>>) -> Recorder {
    tokio::time::timeout(SOON, opening).await.unwrap().unwrap().unwrap()
}

/// The entries that the database has.
fn entries(database: &postgres::Database) -> u64 {
    database.run("SELECT count(*) FROM leaves").unwrap().trim().parse().unwrap()
}

/// The reason why the recorder takes no work.
async fn refuses(recorder: &Recorder) -> Option<String> {
    let health = recorder.propose(Propose::Health).await;
    let Ok(Proposed::Health { refuses, .. }) = health else { panic!("{health:?}") };
    refuses
}

async fn size(recorder: &Recorder) -> u64 {
    let Ok(Proposed::Head { size, .. }) = recorder.propose(Propose::Head).await else { panic!() };
    size
}

#[tokio::test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
async fn a_job_lives_in_a_database_as_in_a_file_and_its_ledger_is_verified() {
    let world = World::in_postgres(&Server::shared());
    let (recorder, job) = world.queued().await;
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    run(&seat, &leased).await;
    let ended = view(&recorder, &job).await;
    assert_eq!((ended.phase, ended.outcome), (Phase::Closed, Some(Outcome::Succeeded)));
    drop(seat);
    recorder.close().await;
    let report = verify(&world.ledger(), &World::key(), None, None).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.size, entries(world.database.as_ref().unwrap()));
    assert!(!world.folder.path().join("store/cofferdam.db").exists());
    // The next start finds it all.
    let recorder = world.open().await;
    assert_eq!(view(&recorder, &job).await.outcome, Some(Outcome::Succeeded));
    recorder.close().await;
}

#[tokio::test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
async fn a_standby_waits_takes_over_and_publishes_the_whole_ledger() {
    let first = World::in_postgres(&Server::shared());
    let second = first.beside();
    let (recorder, job) = first.queued().await;
    let opening = standby(&second).await;
    assert!(!opening.is_finished(), "two recorders write");
    assert!(!second.ledger().join("checkpoint").exists());
    recorder.close().await;
    let recorder = opened(opening).await;
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    assert_eq!(leased.job.call, job.call);
    run(&seat, &leased).await;
    drop(seat);
    recorder.close().await;
    let report = verify(&second.ledger(), &World::key(), None, None).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.size, entries(first.database.as_ref().unwrap()));
}

#[tokio::test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
async fn a_take_over_reads_what_it_has_not_published_and_checks_the_rest_beside_the_work() {
    let first = World::in_postgres(&Server::shared());
    let second = first.beside();
    let database = first.database.clone().unwrap();
    for (world, numbers) in [(&second, 0..300), (&first, 300..900)] {
        let recorder = world.open().await;
        let mut ends = tokio::task::JoinSet::new();
        for number in numbers {
            let recorder = recorder.clone();
            ends.spawn(async move { end(&recorder, number).await.unwrap() });
        }
        ends.join_all().await;
        recorder.close().await;
    }
    // The whole ledger is not read before it takes over: a start that reads it finds this.
    database.run("UPDATE leaves SET entry = entry || ' ' WHERE idx = 0").unwrap();
    let recorder = second.open().await;
    assert_eq!(size(&recorder).await, entries(&database));
    let mut found = None;
    for _ in 0..100 {
        found = refuses(&recorder).await;
        if found.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let found = found.unwrap();
    assert!(found.contains("entry 0 is missing or was changed"), "{found}");
    recorder.close().await;
    let report = verify(&second.ledger(), &World::key(), None, None).unwrap();
    assert!(report.is_sound() && report.size == entries(&database), "{report:?}");
    // A machine without any copy reads it all.
    let refused = Recorder::open(first.beside().settings()).await.err();
    assert!(matches!(refused, Some(OpenError::Ledger(_))), "{refused:?}");
}

#[tokio::test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
async fn a_sequencer_whose_term_is_over_commits_nothing_and_has_to_end() {
    let world = World::in_postgres(&Server::shared());
    let database = world.database.clone().unwrap();
    let recorder = world.open().await;
    assert!(matches!(end(&recorder, 1).await, Ok(Proposed::Recorded(_))));
    let before = entries(&database);
    // As a recorder that took over does, while this one has not noticed it.
    database.run("UPDATE sequencer SET term = term + 1").unwrap();
    let Err(RoleError::Unavailable(why)) = end(&recorder, 2).await else { panic!() };
    assert!(why.contains("another recorder took over in term 2"), "{why}");
    let over = tokio::time::timeout(SOON, recorder.over()).await.unwrap();
    assert!(over.contains("starts again as a standby"), "{over}");
    assert_eq!(entries(&database), before);
    recorder.close().await;
}

#[test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
fn a_standby_takes_over_from_a_recorder_that_ended_without_goodbye() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().unwrap()
    };
    let first = World::in_postgres(&Server::shared());
    let second = first.beside();
    let (old, new) = (runtime(), runtime());
    let recorder = old.block_on(first.open());
    let Ok(Proposed::Recorded(newest)) = old.block_on(end(&recorder, 1)) else { panic!() };
    let opening = new.block_on(standby(&second));
    drop(recorder);
    old.shutdown_timeout(SOON);
    new.block_on(async {
        let recorder = opened(opening).await;
        assert!(size(&recorder).await > newest.index);
        assert!(matches!(end(&recorder, 2).await, Ok(Proposed::Recorded(_))));
        recorder.close().await;
    });
    let report = verify(&second.ledger(), &World::key(), None, None).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.size, entries(first.database.as_ref().unwrap()));
}

#[tokio::test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
async fn a_database_with_a_changed_entry_does_not_open() {
    let world = World::in_postgres(&Server::shared());
    let database = world.database.clone().unwrap();
    let recorder = world.open().await;
    assert!(matches!(end(&recorder, 1).await, Ok(Proposed::Recorded(_))));
    recorder.close().await;
    let newest = "WHERE idx = (SELECT max(idx) FROM leaves)";
    for (attack, repair) in [
        ("UPDATE leaves SET entry = entry || ' '", "UPDATE leaves SET entry = rtrim(entry)"),
        ("UPDATE leaves SET idx = idx + 1", "UPDATE leaves SET idx = idx - 1"),
    ] {
        database.run(&format!("{attack} {newest}")).unwrap();
        let refused = Recorder::open(world.settings()).await.err();
        assert!(matches!(refused, Some(OpenError::Ledger(_))), "{attack}: {refused:?}");
        database.run(&format!("{repair} {newest}")).unwrap();
        world.open().await.close().await;
    }
}

/// Makes the database do this at each new entry, at the moment that is named.
fn at_each_entry(database: &postgres::Database, body: &str, deferred: bool) {
    let kind = if deferred { "CONSTRAINT TRIGGER" } else { "TRIGGER" };
    let when = if deferred { "DEFERRABLE INITIALLY DEFERRED" } else { "" };
    database
        .run(&format!(
            "CREATE SEQUENCE tries; GRANT ALL ON SEQUENCE tries TO PUBLIC; CREATE FUNCTION fail() \
             RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN {body} RETURN NULL; END \
             $$; CREATE {kind} fail AFTER INSERT ON leaves {when} FOR EACH ROW EXECUTE FUNCTION \
             fail()"
        ))
        .unwrap();
}

fn heal(database: &postgres::Database) {
    database.run("DROP TRIGGER fail ON leaves; DROP FUNCTION fail; DROP SEQUENCE tries").unwrap();
}

/// A fault of the database: its beginning, its end, and a part of the refusal.
type Fault = (fn(&postgres::Database), fn(&postgres::Database), &'static str);

const FAULTS: &[(&str, Fault)] = &[
    ("read-only", (|it| it.read_only(true), |it| it.read_only(false), "25006")),
    (
        "disk full",
        (
            |it| at_each_entry(it, "RAISE EXCEPTION 'no space' USING ERRCODE = '53100';", false),
            heal,
            "free space on the disk of the database server",
        ),
    ),
    (
        "the session ends in the middle of a commit",
        (
            |it| at_each_entry(it, "PERFORM pg_terminate_backend(pg_backend_pid());", true),
            heal,
            "cannot be written",
        ),
    ),
    (
        "no session is free",
        (
            |it| {
                it.run(&format!("ALTER ROLE {} CONNECTION LIMIT 0", it.name())).unwrap();
                it.end_sessions();
            },
            |it| drop(it.run(&format!("ALTER ROLE {} CONNECTION LIMIT -1", it.name())).unwrap()),
            "53300",
        ),
    ),
    (
        "each transaction meets another one",
        (
            |it| at_each_entry(it, "RAISE EXCEPTION 'again' USING ERRCODE = '40001';", false),
            heal,
            "40001",
        ),
    ),
];

#[tokio::test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
async fn each_fault_of_the_database_refuses_with_its_cause_and_work_goes_on_after_it() {
    for (name, (begin, heals, told)) in FAULTS {
        let world = World::in_postgres(&Server::shared());
        let database = world.database.clone().unwrap();
        let recorder = world.open().await;
        assert!(matches!(end(&recorder, 1).await, Ok(Proposed::Recorded(_))), "{name}");
        let before = entries(&database);
        begin(&database);
        // The first request may find a session that has ended.
        for number in 2..4 {
            let refused = end(&recorder, number).await;
            assert!(matches!(refused, Err(RoleError::Unavailable(_))), "{name}: {refused:?}");
        }
        let why = refuses(&recorder).await.unwrap();
        assert!(why.contains(told) && why.contains(database.name()), "{name}: {why}");
        assert_eq!(entries(&database), before, "{name}: a refused request was committed");
        heals(&database);
        for _ in 0..100 {
            recorder.sweep().await;
            if refuses(&recorder).await.is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(matches!(end(&recorder, 9).await, Ok(Proposed::Recorded(_))), "{name}");
        assert_eq!((entries(&database), size(&recorder).await), (before + 1, before + 1), "{name}");
        recorder.close().await;
        let report = verify(&world.ledger(), &World::key(), None, None).unwrap();
        assert!(report.is_sound(), "{name}: {report:?}");
    }
}

#[tokio::test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
async fn a_transaction_that_meets_another_one_is_repeated_and_committed_once() {
    let world = World::in_postgres(&Server::shared());
    let database = world.database.clone().unwrap();
    let recorder = world.open().await;
    assert!(matches!(end(&recorder, 1).await, Ok(Proposed::Recorded(_))));
    let before = entries(&database);
    at_each_entry(
        &database,
        "IF nextval('tries') <= 2 THEN RAISE EXCEPTION 'again' USING ERRCODE = '40P01'; END IF;",
        false,
    );
    assert!(matches!(end(&recorder, 2).await, Ok(Proposed::Recorded(_))));
    assert_eq!(entries(&database), before + 1);
    heal(&database);
    recorder.close().await;
}

#[tokio::test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
async fn a_server_that_is_killed_and_started_again_has_all_that_was_acknowledged() {
    let server = Server::start();
    let world = World::in_postgres(&server);
    let database = world.database.clone().unwrap();
    let recorder = world.open().await;
    let mut acknowledged = 0;
    for number in 1..20 {
        if let Ok(Proposed::Recorded(recorded)) = end(&recorder, number).await {
            acknowledged = acknowledged.max(recorded.index + 1);
        }
        if number == 10 {
            server.kill();
        }
        if number == 14 {
            server.start_again();
        }
    }
    for number in 100..200 {
        if end(&recorder, number).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(entries(&database) > acknowledged);
    assert_eq!(entries(&database), size(&recorder).await);
    recorder.close().await;
    let report = verify(&world.ledger(), &World::key(), None, None).unwrap();
    assert!(report.is_sound() && report.size == entries(&database), "{report:?}");
}
