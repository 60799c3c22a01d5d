//! A durable claim from a short queue against one from a long queue. The queue keeps its length: a
//! new job replaces each claimed one, outside of the measured time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot run has nothing to say"
)]

#[expect(dead_code, reason = "the tests need more of the world than a benchmark does")]
#[path = "../tests/it/world.rs"]
mod world;

use cofferdam_recorder::Recorder;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::cell::Cell;
use std::time::{Duration, Instant};
use world::World;

/// Jobs that wait: a few, and the backlog of a bad day.
const QUEUES: [u128; 2] = [10, 30_000];

/// Jobs that are put into the queue at the same time.
const TOGETHER: u128 = 256;

async fn enqueue(world: &World, recorder: &Recorder, number: u128) {
    let job = world.job(number, "agent", &format!("plan {number}"), None);
    world::enqueue(recorder, &job, None).await.unwrap();
}

/// A recorder with this many queued jobs.
async fn filled(world: &World, jobs: u128) -> Recorder {
    let recorder = world.open().await;
    for first in (0..jobs).step_by(TOGETHER as usize) {
        let mut tasks = tokio::task::JoinSet::new();
        for number in first..(first + TOGETHER).min(jobs) {
            let job = world.job(number, "agent", &format!("plan {number}"), None);
            let recorder = recorder.clone();
            tasks.spawn(async move {
                world::enqueue(&recorder, &job, None).await.unwrap();
            });
        }
        tasks.join_all().await;
    }
    recorder
}

fn claims(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("claim");
    group.sample_size(10);
    for queued in QUEUES {
        let world = World::new();
        let recorder = runtime.block_on(filled(&world, queued));
        let next = Cell::new(queued);
        group.bench_function(BenchmarkId::new("queued", queued), |bencher| {
            bencher.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let seat = recorder.runner();
                    let began = Instant::now();
                    let claimed = runtime.block_on(world::next(&seat));
                    spent += began.elapsed();
                    assert!(claimed.is_some(), "the queue of {queued} is empty");
                    runtime.block_on(enqueue(&world, &recorder, next.get()));
                    next.set(next.get() + 1);
                }
                spent
            });
        });
        runtime.block_on(recorder.close());
    }
    group.finish();
}

criterion_group!(benches, claims);
criterion_main!(benches);
