//! Makes a store with many entries, by the recorder's own batches: `fill FOLDER ENTRIES`. The folder
//! gets `store` and `ledger`, the `key` that signs the ledger, its `public` key, and the id of its
//! `environment`. For benchmarks alone. Never opens the store of an installation.
#![expect(clippy::unwrap_used, reason = "an example that cannot fill a store has no result")]

use cofferdam_core::model::id::{ArgumentsDigest, CallId, ComponentDigest, PlanDigest, hex};
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::protocol::gateway_recorder::Propose;
use cofferdam_core::protocol::operator_recorder::Disk;
use cofferdam_recorder::{Recorder, RecorderContext};
use ed25519_dalek::SigningKey;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Callers at the same time: the most entries of one commit.
const CALLERS: u64 = 256;

/// Sixteen bytes that look random and are the same in each run.
fn random_bytes(number: u64) -> u128 {
    let digest = ArgumentsDigest::of(&number.to_be_bytes());
    u128::from_be_bytes(*digest.as_bytes().first_chunk().unwrap())
}

/// The context of a recorder for this folder alone. Each record key is new.
fn context(folder: &Path, environment: &str, key: SigningKey) -> RecorderContext {
    let (seed, salt) = (AtomicU64::new(0), key.to_bytes());
    RecorderContext {
        store: folder.join("store"),
        database: None,
        stands_by: Arc::new(|| ()),
        ledger: folder.join("ledger"),
        environment: environment.to_owned(),
        key,
        clock: Arc::new(jiff::Timestamp::now),
        random: Arc::new(move || {
            let number = seed.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            Ok(*ArgumentsDigest::of(&[&salt[..], &number].concat()).as_bytes())
        }),
        free: Arc::new(|| Ok(Disk { free_bytes: 50, reserve_bytes: 10 })),
        trust: Arc::new(|| Err("a filled store has no trust file".to_owned())),
        reload: Arc::new(|_| ()),
        lease_seconds: 30,
        keeps_leases: false,
        max_queued: cofferdam_recorder::QUEUED,
        budgets: cofferdam_core::model::budget::Budgets::unlimited(),
        retention: cofferdam_core::model::retention::Retention::usual(),
        receivers: Vec::new(),
        oidc_roles: Vec::new(),
    }
}

/// A denied call with the payloads of one, except the plan and the context of the decision.
fn denied(number: u64) -> Entry {
    let event = Event::Ended { ending: "denied".to_owned(), code: "replicas-limit".to_owned() };
    let replicas = 40 + number % 900;
    let mut entry = Entry::of(event, Some(CallId::from_random(random_bytes(number))), "filler")
        .with(
            "arguments",
            format!("{{\"name\":\"web\",\"namespace\":\"storefront\",\"replicas\":{replicas}}}"),
        )
        .with("subject", "{\"id\":\"filler\",\"roles\":[\"operator\"]}".to_owned())
        .with("reasons", "[{\"audience\":\"user\",\"id\":\"replicas-limit\"}]".to_owned());
    entry.tool = Some(("deployment_scale".to_owned(), ComponentDigest::of(b"deployment_scale")));
    entry.plan = Some(PlanDigest::of(&replicas.to_be_bytes()));
    entry
}

async fn fill(recorder: &Recorder, entries: u64) {
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let recorder = recorder.clone();
        callers.spawn(async move {
            for number in (caller..entries).step_by(CALLERS as usize) {
                recorder
                    .propose(Propose::End { entry: denied(number), again: false })
                    .await
                    .unwrap();
            }
        });
    }
    callers.join_all().await;
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(Ok(entries))) =
        (arguments.next().map(PathBuf::from), arguments.next().map(|text| text.parse()))
    else {
        eprintln!("usage: fill FOLDER ENTRIES");
        std::process::exit(2);
    };
    let mut random = [0; 48];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
    let (seed, id) = random.split_first_chunk::<32>().unwrap();
    let (key, environment) = (SigningKey::from_bytes(seed), hex(id));
    // Fails if the folder exists: a filled store is never filled again.
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("key"), hex(seed)).unwrap();
    fs::write(folder.join("public"), hex(key.verifying_key().as_bytes())).unwrap();
    fs::write(folder.join("environment"), &environment).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let recorder = Recorder::open(context(&folder, &environment, key)).await.unwrap();
        fill(&recorder, entries).await;
        recorder.close().await;
    });
}
