//! Durable calls per second: callers that wait together share one commit, against each waiting for
//! its own. One store, one code path, A against B.
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
        ledger: folder.join("ledger"),
        environment: "bench".to_owned(),
        key: SigningKey::from_bytes(&[5; 32]),
        clock: Arc::new(|| jiff::Timestamp::UNIX_EPOCH),
        random: Arc::new(move || {
            Ok(*ArgumentsDigest::of(&seed.fetch_add(1, Ordering::Relaxed).to_be_bytes()).as_bytes())
        }),
        free: Arc::new(|| Ok(Disk { free_bytes: 50, reserve_bytes: 10 })),
        trust: Arc::new(|| Err("none".to_owned())),
        lease_seconds: 30,
        max_queued: cofferdam_recorder::QUEUED,
    }
}

async fn end(recorder: &Recorder, number: u64) {
    let event = Event::Ended { ending: "denied".to_owned(), code: "replicas-limit".to_owned() };
    let entry = Entry::of(event, Some(CallId::from_random(number.into())), "agent")
        .with("arguments", "{\"replicas\":40}".to_owned());
    recorder.propose(Propose::End { entry }).await.unwrap();
}

/// [`CALLS`] calls by this many callers, each of which waits for its answer before it calls again.
async fn round(recorder: &Recorder, callers: u64) {
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let recorder = recorder.clone();
        tasks.spawn(async move {
            for number in 0..CALLS / callers {
                end(&recorder, caller * CALLS + number).await;
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
        group.bench_function(BenchmarkId::new("callers", callers), |bencher| {
            bencher.to_async(&runtime).iter_custom(|rounds| {
                let recorder = recorder.clone();
                async move {
                    let start = Instant::now();
                    for _ in 0..rounds {
                        round(&recorder, callers).await;
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
