//! The contract of a store: stories with their answers, and random histories whose answers, jobs and
//! ledger equal those of a model in memory. Every store of the recorder keeps it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod migrate;
mod model;
mod real;
mod roles;
mod step;
mod stories;
#[path = "../it/world.rs"]
#[expect(dead_code, reason = "the other tests of the recorder use the rest of it")]
mod world;

use crate::world::World;
use cofferdam_testkit::postgres::Server;
use model::Model;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use real::Real;
use step::{CALLS, Step, steps};

/// Steps of a random history, at most.
const STEPS: usize = 60;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A recorder on SQLite.
async fn sqlite() -> Real {
    let world = World::new();
    let settings = world.settings();
    Real::start(world, settings).await
}

/// A recorder on a database of a real PostgreSQL server.
async fn postgresql() -> Real {
    let world = World::in_postgres(&Server::shared());
    let settings = world.settings();
    Real::start(world, settings).await
}

/// Runs every story on a store.
async fn exercise(start: impl AsyncFn() -> Real) {
    for (name, steps) in stories::stories() {
        let mut store = start().await;
        for (number, (step, expected)) in steps.iter().enumerate() {
            let answer = store.step(step).await;
            assert_eq!(answer, *expected, "{name}: step {number}, {step:?}");
        }
        store.finish().await;
    }
}

/// Compares a store with the model: after each step its answer, the jobs that the step changed and
/// one more, and at the end every job and the ledger.
async fn compare(mut store: Real, steps: &[Step]) -> TestCaseResult {
    let mut model = Model::new();
    for (number, step) in steps.iter().enumerate() {
        let before = model.clone();
        let (expected, answer) = (model.step(step), store.step(step).await);
        prop_assert_eq!(answer, expected, "step {}: {:?}", number, step);
        let is_last = number + 1 == steps.len();
        let looked_at = |call: &usize| {
            is_last || *call == number % CALLS || before.view(*call) != model.view(*call)
        };
        for call in (0..CALLS).filter(looked_at) {
            let (expected, view) = (model.view(call), store.view(call).await);
            prop_assert_eq!(view, expected, "call {} after step {}: {:?}", call, number, step);
        }
    }
    prop_assert_eq!(store.finish().await, model.entries().to_vec());
    Ok(())
}

#[test]
fn the_model_tells_each_story() {
    for (name, steps) in stories::stories() {
        let mut model = Model::new();
        for (number, (step, expected)) in steps.iter().enumerate() {
            assert_eq!(model.step(step), *expected, "{name}: step {number}, {step:?}");
        }
    }
}

#[test]
fn sqlite_tells_each_story() {
    runtime().block_on(exercise(sqlite));
}

#[test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
fn postgresql_tells_each_story() {
    runtime().block_on(exercise(postgresql));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None,
    ..ProptestConfig::default() })]
    #[test]
    fn sqlite_is_as_the_model(steps in steps(STEPS)) {
        runtime().block_on(async { compare(sqlite().await, &steps).await })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None,
    ..ProptestConfig::default() })]
    #[test]
    #[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
    fn postgresql_is_as_the_model(steps in steps(STEPS)) {
        runtime().block_on(async { compare(postgresql().await, &steps).await })?;
    }
}
