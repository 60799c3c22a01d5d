//! The job protocol, checked exhaustively within small bounds: jobs, runners, recorders with terms,
//! a gateway, people, an infrastructure with preconditions, and faults at every place. Transitions
//! and guards are production's own ([`cofferdam_core::model::run`],
//! [`cofferdam_core::model::lease_rules`]). Models no time: a lease ends whenever its runner may
//! have been silent.
#![expect(clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod model;
mod mutations;
mod recorder;
mod rules;
mod runner;
mod state;

use model::Protocol;
use mutations::mutations;
use rules::Rules;
use state::{Bounds, State};
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::HashMap;

/// More states than any of these checks has, so that a mutation with endless histories ends too.
const STATES: usize = 20_000_000;

/// The bounds of the exhaustive check: each line is one check.
const BOUNDS: [Bounds; 4] = [
    bounds(1, 2, (2, 1)),
    Bounds { asks: true, ..bounds(1, 1, (2, 1)) },
    Bounds { lost_before: ATTEMPTS_LEFT, ..bounds(1, 1, (2, 1)) },
    bounds(2, 1, (1, 0)),
];

/// Larger bounds: minutes.
const DEEP: [Bounds; 4] = [
    bounds(1, 1, (4, 0)),
    bounds(1, 2, (3, 1)),
    Bounds { asks: true, ..bounds(1, 1, (2, 2)) },
    bounds(2, 1, (1, 1)),
];

/// So many lost leases that the next lost one ends a job that has not acted.
const ATTEMPTS_LEFT: u8 = 4;

const fn bounds(jobs: usize, operations: u8, (faults, words): (u8, u8)) -> Bounds {
    Bounds { jobs, operations, runners: 2, faults, words, asks: false, lost_before: 0 }
}

/// Checks every history within the bounds, and prints how many states they have.
fn check(bounds: Bounds) {
    let checker = Protocol { bounds, rules: Rules::PRODUCTION }
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(STATES)
        .spawn_bfs()
        .join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{bounds:?}: {states} states, {depth} actions at most");
    let broken: Vec<_> = checker
        .discoveries()
        .into_iter()
        .map(|(promise, path)| (promise, path.into_actions()))
        .collect();
    assert!(broken.is_empty(), "{bounds:?}: {broken:#?}");
    assert!(states < STATES, "{bounds:?} is not checked exhaustively");
}

#[test]
fn every_history_within_the_bounds_keeps_every_promise() {
    BOUNDS.into_iter().for_each(check);
}

#[test]
#[ignore = "minutes: `cargo test --test model_check -- --ignored --nocapture`"]
fn every_history_within_larger_bounds_keeps_every_promise() {
    DEEP.into_iter().for_each(check);
}

#[test]
fn every_wrong_rule_breaks_its_promise() {
    for mutation in mutations() {
        let model = Protocol { bounds: mutation.bounds, rules: mutation.rules };
        let checker = model
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AllOf([mutation.breaks].into()))
            .target_state_count(STATES)
            .spawn_bfs()
            .join();
        let found = checker.discovery(mutation.breaks);
        let length = found.map(|path| path.into_actions().len());
        println!("{}: `{}` breaks after {length:?} actions", mutation.name, mutation.breaks);
        assert!(length.is_some(), "{}: {:?}", mutation.name, checker.discoveries().keys());
    }
}

/// The checker sees a job that never closes only if no history goes in a circle.
#[test]
fn no_history_goes_in_a_circle() {
    let model = Protocol { bounds: bounds(1, 1, (1, 1)), rules: Rules::PRODUCTION };
    let mut known: HashMap<State, usize> = HashMap::new();
    let mut edges: Vec<Vec<usize>> = Vec::new();
    let mut waiting = model.init_states();
    known.insert(waiting[0].clone(), 0);
    edges.push(Vec::new());
    while let Some(state) = waiting.pop() {
        let from = known[&state];
        for next in model.next_states(&state) {
            let new = known.len();
            let to = *known.entry(next.clone()).or_insert(new);
            if to == new {
                edges.push(Vec::new());
                waiting.push(next);
            }
            edges[from].push(to);
        }
    }
    let mut before = vec![0_usize; edges.len()];
    edges.iter().flatten().for_each(|to| before[*to] += 1);
    let mut ready = vec![0];
    let mut ordered = 0;
    while let Some(from) = ready.pop() {
        ordered += 1;
        for to in &edges[from] {
            before[*to] -= 1;
            if before[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    assert_eq!(ordered, known.len(), "a history comes back to an earlier state");
    assert!(known.len() > 1_000, "{} states", known.len());
}
