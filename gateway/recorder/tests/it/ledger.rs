//! The published ledger: checked, proved, tampered with, erased from; and checked a second time by
//! another program.

use crate::world::*;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_recorder::ledger::note::{Checkpoint, vkey};
use cofferdam_recorder::ledger::prove::{diff, prove, verify_proof};
use cofferdam_recorder::ledger::tile::{Kind, Place};
use cofferdam_recorder::ledger::verify::verify;
use cofferdam_recorder::{OpenError, Recorder};
use ed25519_dalek::SigningKey;
use sqlx::Connection as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

async fn fill(recorder: &Recorder, from: u128, to: u128) {
    let mut asks = tokio::task::JoinSet::new();
    for number in from..to {
        let recorder = recorder.clone();
        asks.spawn(async move { end(&recorder, number).await.unwrap() });
    }
    asks.join_all().await;
}

/// Waits until the published checkpoint is of so many entries.
async fn published(ledger: &Path, entries: u128) {
    let began = std::time::Instant::now();
    loop {
        let text = fs::read_to_string(ledger.join("checkpoint")).unwrap_or_default();
        if text.lines().nth(1) == Some(&entries.to_string()) {
            return;
        }
        assert!(
            began.elapsed() < std::time::Duration::from_secs(120),
            "{entries} entries were never published: {text}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn head(recorder: &Recorder) -> (u64, String) {
    match recorder.propose(Propose::Head).await.unwrap() {
        Proposed::Head { size, checkpoint } => (size, checkpoint),
        other => panic!("{other:?}"),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_ledger_is_sound_proves_its_entries_and_continues_its_past() {
    let world = World::new();
    let recorder = world.open().await;
    fill(&recorder, 0, 300).await;
    let (_, older) = head(&recorder).await;
    fill(&recorder, 300, 700).await;
    recorder.close().await;
    let report = verify(&world.ledger(), &World::key(), None, None).unwrap();
    assert_eq!(
        (report.errors.clone(), report.size, report.origin.as_str()),
        (vec![], 701, "cofferdam.dev/4f2a")
    );
    assert!(report.unproven[0].contains("no outside witness"), "{:?}", report.unproven);
    let with_older = verify(&world.ledger(), &World::key(), Some(&older), None).unwrap();
    assert!(
        with_older.is_sound() && with_older.unproven[0].contains("from 301 on"),
        "{with_older:?}"
    );
    let other = SigningKey::from_bytes(&[6; 32]).verifying_key();
    assert!(!verify(&world.ledger(), &other, None, None).unwrap().is_sound());
    for index in [0, 1, 255, 256, 511, 512, 700] {
        let proof = prove(&world.ledger(), &World::key(), index).unwrap();
        let proven = verify_proof(&proof, &World::key()).unwrap();
        assert!(proven.entry.contains(&format!("\"index\":{index},")));
        let forged =
            proof.replacen(&format!("index {index}"), &format!("index {}", (index + 1) % 701), 1);
        assert!(verify_proof(&forged, &World::key()).is_err());
    }
    assert!(prove(&world.ledger(), &World::key(), 701).is_err());
    let continued = diff(&older, &world.ledger(), &World::key()).unwrap();
    assert_eq!((continued.old.size, continued.new.size), (301, 701));
    let fork =
        Checkpoint { root: [1; 32], ..continued.old }.sign(&SigningKey::from_bytes(&[5; 32]));
    assert!(diff(&fork, &world.ledger(), &World::key()).is_err());
    let report = verify(&world.ledger(), &World::key(), Some(&fork), None).unwrap();
    assert!(report.errors[0].what.contains("history was rewritten"), "{report:?}");
}

#[tokio::test]
async fn one_changed_byte_in_any_file_is_found_and_its_entry_named() {
    let world = World::new();
    let recorder = world.open().await;
    fill(&recorder, 0, 520).await;
    // Small commits leave partial tiles of several sizes; those are checked too.
    for number in 520..523 {
        end(&recorder, number).await.unwrap();
        // Published by itself; the first entry is the start's.
        published(&world.ledger(), number + 2).await;
    }
    recorder.close().await;
    let folder = world.ledger();
    let all = files(&folder);
    assert!(all.len() >= 9, "{all:?}");
    for file in all {
        let name = file.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
        let sound = fs::read(&file).unwrap();
        for at in (0..sound.len()).step_by(sound.len() / 9 + 1).chain([sound.len() - 1]) {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;
            fs::write(&file, &bytes).unwrap();
            let report = verify(&folder, &World::key(), None, None).unwrap();
            let expect = match Place::parse(&name) {
                None => None,
                Some(Place { kind: Kind::Hashes(level), index, .. }) => {
                    Some((index * 256 + at as u64 / 32) * 256u64.pow(level))
                }
                Some(place) => Some(place.index * 256 + bundle_entry(&sound, at)),
            };
            assert!(!report.is_sound(), "{name} byte {at}");
            assert_eq!(report.first_bad(), expect, "{name} byte {at}: {:?}", report.errors.first());
        }
        fs::write(&file, &sound).unwrap();
        if name != "checkpoint" {
            // A partial tile of an earlier size may be gone; one that the checkpoint needs may not.
            fs::remove_file(&file).unwrap();
            let report = verify(&folder, &World::key(), None, None).unwrap();
            let needed =
                !name.contains(".p/") || name.ends_with(".p/12") || name == "tile/1/000.p/2";
            assert_eq!(report.is_sound(), !needed, "{name}");
            fs::write(&file, &sound).unwrap();
        }
    }
    assert!(verify(&folder, &World::key(), None, None).unwrap().is_sound());
}

/// Which entry of a bundle a byte belongs to.
fn bundle_entry(bundle: &[u8], at: usize) -> u64 {
    let (mut start, mut entry) = (0, 0);
    loop {
        start += 2 + usize::from(u16::from_be_bytes([bundle[start], bundle[start + 1]]));
        if at < start {
            return entry;
        }
        entry += 1;
    }
}

#[tokio::test]
async fn a_forger_without_the_key_who_rewrites_entry_and_tiles_is_named_by_the_next_entry() {
    let world = World::new();
    let recorder = world.open().await;
    for number in 0..5 {
        end(&recorder, number).await.unwrap();
    }
    recorder.close().await;
    let bundle = world.ledger().join("tile/entries/000.p/6");
    let text = String::from_utf8_lossy(&fs::read(&bundle).unwrap()).replace("\u{fffd}", "?");
    assert!(text.contains("replicas-limit"));
    let mut bytes = fs::read(&bundle).unwrap();
    let place =
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"replicas-limit")).nth(2).unwrap();
    bytes[place] = b'R';
    fs::write(&bundle, &bytes).unwrap();
    // A new tile that fits the forged entries, as a forger would write it.
    let (entries, _) = cofferdam_recorder::ledger::tile::unbundle(&bytes);
    let tile: Vec<u8> = entries
        .iter()
        .flat_map(|entry| cofferdam_recorder::ledger::tree::leaf_hash(entry))
        .collect();
    fs::write(world.ledger().join("tile/0/000.p/6"), tile).unwrap();
    for width in 1..6 {
        for kind in ["0", "entries"] {
            let _gone = fs::remove_file(world.ledger().join(format!("tile/{kind}/000.p/{width}")));
        }
    }
    let report = verify(&world.ledger(), &World::key(), None, None).unwrap();
    assert_eq!(report.first_bad(), Some(3), "{report:?}");
    assert!(
        report.errors.iter().any(|error| error.what.contains("not those that were signed")),
        "{report:?}"
    );
}

/// Runs statements on a store that no recorder has open.
pub async fn on_the_store(world: &World, statements: &'static str) {
    let store = cofferdam_recorder::database(&world.folder.path().join("store"));
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(store);
    let mut store = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(statements).execute(&mut store).await.unwrap();
    store.close().await.unwrap();
}

pub async fn refuses(recorder: &Recorder) -> Option<String> {
    match recorder.propose(Propose::Health).await.unwrap() {
        Proposed::Health { refuses, .. } => refuses,
        other => panic!("{other:?}"),
    }
}

/// Waits until the recorder refuses new work.
pub async fn refused(recorder: &Recorder) -> String {
    let began = std::time::Instant::now();
    loop {
        if let Some(why) = refuses(recorder).await {
            return why;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(120), "nothing is refused");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A ledger of 700 entries has two full tiles: a start reads only what comes after them. Every
/// change is found: of the edge and of the newest entries before the start, of others after it.
#[tokio::test]
async fn a_start_reads_the_edge_and_an_older_entry_that_was_changed_stops_new_work() {
    let before_the_start = [
        "UPDATE leaves SET entry = replace(entry, 'agent', 'other') WHERE idx = 690",
        "DELETE FROM leaves WHERE idx = 600",
        "DELETE FROM leaves WHERE idx = 700",
        "UPDATE leaves SET hash = zeroblob(32) WHERE idx = 699",
    ];
    for change in before_the_start {
        let world = World::new();
        let recorder = world.open().await;
        fill(&recorder, 1, 701).await;
        recorder.close().await;
        on_the_store(&world, change).await;
        let Err(error) = Recorder::open(world.settings()).await else { panic!("{change}") };
        assert!(matches!(error, OpenError::Ledger(_)), "{change}: {error}");
    }
    let after_the_start = [
        ("UPDATE leaves SET entry = replace(entry, 'agent', 'other') WHERE idx = 3", "entry 3 "),
        ("DELETE FROM leaves WHERE idx = 255", "entry 255 "),
        ("UPDATE leaves SET hash = zeroblob(32) WHERE idx = 256", "entry 256 "),
    ];
    for (change, entry) in after_the_start {
        let world = World::new();
        let recorder = world.open().await;
        fill(&recorder, 1, 701).await;
        recorder.close().await;
        on_the_store(&world, change).await;
        let recorder = world.open().await;
        let why = refused(&recorder).await;
        assert!(why.contains("is not what its checkpoint signs") && why.contains(entry), "{why}");
        assert!(matches!(end(&recorder, 1_000).await, Err(RoleError::Unavailable(_))));
        recorder.close().await;
    }
    // An edge that does not fit costs a longer start, and is corrected.
    for change in ["DELETE FROM tiles", "UPDATE tiles SET root = zeroblob(32)"] {
        let world = World::new();
        let recorder = world.open().await;
        fill(&recorder, 1, 701).await;
        recorder.close().await;
        on_the_store(&world, change).await;
        for _ in 0..2 {
            let recorder = world.open().await;
            assert_eq!(refuses(&recorder).await, None);
            recorder.close().await;
        }
        assert!(verify(&world.ledger(), &World::key(), None, None).unwrap().is_sound());
    }
}

#[tokio::test]
async fn erasing_payloads_leaves_ledger_and_proofs_sound() {
    let world = World::new();
    let (recorder, job) = world.queued().await;
    let seat = recorder.runner();
    let leased = next(&seat).await.unwrap();
    run(&seat, &leased).await;
    end(&recorder, 2).await.unwrap();
    for call in [job.call.clone(), call(2)] {
        assert_eq!(
            recorder.operate(1000, Operate::Erase { call: call.clone() }).await,
            Ok(Operated::Done)
        );
        let told = recorder.operate(1000, Operate::Show { call: call.to_string() }).await.unwrap();
        let Operated::Story { job, entries, .. } = told else { panic!() };
        assert!(job.is_none() && entries.iter().all(|entry| entry.payloads.is_empty()));
    }
    drop(seat);
    recorder.close().await;
    for file in ["cofferdam.db", "cofferdam.db-wal"] {
        let bytes = fs::read(world.folder.path().join("store").join(file)).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&bytes).contains("spec.replicas"),
            "{file} still has a payload"
        );
    }
    assert!(verify(&world.ledger(), &World::key(), None, None).unwrap().is_sound());
    verify_proof(&prove(&world.ledger(), &World::key(), 0).unwrap(), &World::key()).unwrap();
}

#[tokio::test]
async fn another_program_agrees() {
    let world = World::new();
    let recorder = world.open().await;
    fill(&recorder, 0, 600).await;
    recorder.close().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify_ledger.py");
    let check = |folder: &Path| {
        let key = vkey("cofferdam.dev/4f2a", &World::key());
        let run = Command::new("python3")
            .arg(&script)
            .arg(folder)
            .arg(&key)
            .output()
            .expect("python3 is needed: `scripts/setup` says how");
        (
            run.status.success(),
            String::from_utf8_lossy(&run.stdout).into_owned()
                + &String::from_utf8_lossy(&run.stderr),
        )
    };
    let (sound, told) = check(&world.ledger());
    assert!(sound && told.contains("601 entries"), "{told}");
    let bundle = world.ledger().join("tile/entries/001");
    let mut bytes = fs::read(&bundle).unwrap();
    bytes[100] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    let (sound, told) = check(&world.ledger());
    assert!(!sound && told.contains("entry 256"), "{told}");
}
