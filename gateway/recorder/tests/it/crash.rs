//! Opening again: after an end without goodbye, beside another recorder, over a store or a
//! published ledger that was changed.

use crate::world::*;
use cofferdam_core::model::run::Phase;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use cofferdam_recorder::ledger::verify::verify;
use cofferdam_recorder::{OpenError, Recorder};
use std::fs;

/// Ends a recorder as a crash would: no goodbye, its tasks dropped wherever they are.
fn crash(runtime: tokio::runtime::Runtime) {
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash_and_nothing_half_is() {
    let world = World::new();
    let first = runtime();
    // The runner's socket stays open past the end: a crash closes nothing in order.
    let (acknowledged, _seat) = first.block_on(async {
        let recorder = world.open().await;
        let job = world.job(1, "agent", "scale", None);
        enqueue(&recorder, &job, None).await.unwrap();
        let seat = recorder.runner();
        let leased = next(&seat).await.unwrap();
        report(&seat, &leased, prepared()).await.unwrap();
        report(&seat, &leased, RunnerEvent::Acting).await.unwrap();
        let mut newest = 0;
        for number in 10..200 {
            let recorder = recorder.clone();
            // Some are answered, some are on their way when it ends.
            let ask = tokio::spawn(async move { end(&recorder, number).await });
            if number % 3 == 0 {
                let Proposed::Recorded(recorded) = ask.await.unwrap().unwrap() else { panic!() };
                newest = newest.max(recorded.index);
            }
        }
        (newest, seat)
    });
    crash(first);
    runtime().block_on(async {
        let recorder = world.open().await;
        let Proposed::Head { size, .. } = recorder.propose(Propose::Head).await.unwrap() else {
            panic!()
        };
        assert!(size > acknowledged);
        // The lease ended with its socket; the phase stayed, and the next runner recovers it under
        // a higher fence.
        let seat = recorder.runner();
        let again = next(&seat).await.unwrap();
        assert_eq!((again.phase, again.fence.0), (Phase::Acting, 2));
        drop(seat);
        recorder.close().await;
        let report = verify(&world.ledger(), &World::key(), None, None).unwrap();
        assert!(report.is_sound() && report.size >= size, "{report:?}");
    });
}

#[tokio::test]
async fn a_second_recorder_is_kept_out_and_let_in_when_the_first_is_gone() {
    let world = World::new();
    let recorder = world.open().await;
    let Err(error) = Recorder::open(world.settings()).await else { panic!() };
    assert!(
        matches!(error, OpenError::Held(_))
            && error.to_string().contains("one recorder opens a store"),
        "{error}"
    );
    recorder.close().await;
    world.open().await.close().await;
}

#[tokio::test]
async fn tiles_that_are_missing_or_torn_are_written_again_from_the_store() {
    let world = World::new();
    let recorder = world.open().await;
    for number in 0..300 {
        end(&recorder, number).await.unwrap();
    }
    recorder.close().await;
    let ledger = world.ledger();
    fs::remove_file(ledger.join("tile/0/000")).unwrap();
    fs::write(ledger.join("tile/entries/000"), b"torn").unwrap();
    fs::write(ledger.join("checkpoint"), b"torn").unwrap();
    assert!(!verify(&ledger, &World::key(), None, None).unwrap().is_sound());
    world.open().await.close().await;
    let report = verify(&ledger, &World::key(), None, None).unwrap();
    assert!(report.is_sound(), "{report:?}");
    fs::remove_dir_all(&ledger).unwrap();
    world.open().await.close().await;
    assert!(verify(&ledger, &World::key(), None, None).unwrap().is_sound());
}

#[tokio::test]
async fn a_store_that_was_rolled_back_or_changed_does_not_open() {
    let world = World::new();
    let recorder = world.open().await;
    end(&recorder, 1).await.unwrap();
    recorder.close().await;
    let (store, backup) =
        (world.folder.path().join("store/cofferdam.db"), world.folder.path().join("backup"));
    fs::copy(&store, &backup).unwrap();
    let recorder = world.open().await;
    end(&recorder, 2).await.unwrap();
    recorder.close().await;
    let newest = fs::read(&store).unwrap();
    fs::copy(&backup, &store).unwrap();
    assert!(matches!(
        Recorder::open(world.settings()).await,
        Err(OpenError::RolledBack { published: 4, stored: 2 })
    ));
    let text = String::from_utf8_lossy(&newest);
    assert!(text.contains("replicas-limit"));
    let mut changed = newest.clone();
    let at = (0..changed.len()).find(|at| changed[*at..].starts_with(b"replicas-limit")).unwrap();
    changed[at] = b'R';
    fs::write(&store, changed).unwrap();
    let Err(OpenError::Ledger(what)) = Recorder::open(world.settings()).await else { panic!() };
    assert!(what.contains("was changed"), "{what}");
    fs::write(&store, newest).unwrap();
    world.open().await.close().await;
}
