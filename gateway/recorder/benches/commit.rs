//! Durable calls per second: callers that wait together share one commit, against each waiting for
//! its own. One store, one code path, A against B. An entry has the payloads of a denied call, and its
//! call id is new and random in each round, as that of a real call is.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to say")]

use cofferdam_core::model::id::{ArgumentsDigest, CallId};
use cofferdam_core::model::record::{Entry, Event};
use cofferdam_core::protocol::gateway_recorder::Propose;
use cofferdam_core::protocol::operator_recorder::Disk;
use cofferdam_recorder::{Recorder, RecorderContext};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::SigningKey;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Calls in one round: enough that starting and ending tasks does not count.
const CALLS: u64 = 512;

fn settings(folder: &std::path::Path) -> RecorderContext {
    let seed = AtomicU64::new(0);
    RecorderContext {
        store: folder.join("store"),
        database: None,
        stands_by: Arc::new(|| ()),
        ledger: folder.join("ledger"),
        environment: "bench".to_owned(),
        key: SigningKey::from_bytes(&[5; 32]),
        clock: Arc::new(|| jiff::Timestamp::UNIX_EPOCH),
        random: Arc::new(move || {
            Ok(*ArgumentsDigest::of(&seed.fetch_add(1, Ordering::Relaxed).to_be_bytes()).as_bytes())
        }),
        free: Arc::new(|| Ok(Disk { free_bytes: 50, reserve_bytes: 10 })),
        trust: Arc::new(|| Err("none".to_owned())),
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

/// The bytes of the plan and of the decision's context in a denied call.
const PLAN: usize = 700;
const CONTEXT: usize = 400;

/// Sixteen bytes that look random, from a number.
fn random(number: u64) -> u128 {
    let digest = ArgumentsDigest::of(&number.to_le_bytes());
    u128::from_be_bytes(*digest.as_bytes().first_chunk().unwrap())
}

async fn end(recorder: &Recorder, number: u64) {
    let event = Event::Ended { ending: "denied".to_owned(), code: "replicas-limit".to_owned() };
    let filled = |bytes: usize| format!("{{\"text\":\"{}\"}}", "x".repeat(bytes));
    let entry = Entry::of(event, Some(CallId::from_random(random(number))), "agent")
        .with("arguments", r#"{"name":"web","namespace":"shop","replicas":40}"#.to_owned())
        .with("subject", r#"{"id":"agent","roles":["operator"]}"#.to_owned())
        .with("plan", filled(PLAN))
        .with("context", filled(CONTEXT))
        .with("reasons", r#"[{"audience":"user","id":"replicas-limit"}]"#.to_owned());
    recorder.propose(Propose::End { entry, again: false }).await.unwrap();
}

/// [`CALLS`] calls by this many callers, each of which waits for its answer before it calls again.
async fn round(recorder: &Recorder, callers: u64, numbers: &Arc<AtomicU64>) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let (recorder, numbers) = (recorder.clone(), Arc::clone(numbers));
        tasks.spawn(async move {
            for _ in 0..CALLS / callers {
                end(&recorder, numbers.fetch_add(1, Ordering::Relaxed)).await;
            }
        });
    }
    tasks.join_all().await;
}

fn durable_calls(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("durable calls");
    group
        .throughput(Throughput::Elements(CALLS))
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    for callers in [1, 8, 64, 256] {
        let folder = tempfile::tempdir().unwrap();
        let recorder = runtime.block_on(Recorder::open(settings(folder.path()))).unwrap();
        let numbers = Arc::new(AtomicU64::new(0));
        group.bench_function(BenchmarkId::new("callers", callers), |bencher| {
            bencher.to_async(&runtime).iter_custom(|rounds| {
                let (recorder, numbers) = (recorder.clone(), Arc::clone(&numbers));
                async move {
                    let start = Instant::now();
                    for _ in 0..rounds {
                        round(&recorder, callers, &numbers).await;
                    }
                    start.elapsed()
                }
            });
        });
        runtime.block_on(recorder.close());
    }
    group.finish();
}

criterion_group!(benches, durable_calls);
criterion_main!(benches);
