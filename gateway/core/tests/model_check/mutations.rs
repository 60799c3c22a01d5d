//! Rules that are wrong on purpose, each with the promise that it breaks: a check that finds none
//! of them would prove nothing.

use crate::rules::Rules;
use crate::state::Bounds;
use cofferdam_core::model::lease_rules;
use cofferdam_core::model::run::{Event, Outcome, Phase};

/// A wrong rule, the bounds within which it does harm, and the broken promise.
pub struct Mutation {
    pub name: &'static str,
    pub rules: Rules,
    pub bounds: Bounds,
    pub breaks: &'static str,
}

/// One job with one operation, two runners.
const SMALL: Bounds =
    Bounds { jobs: 1, operations: 1, runners: 2, faults: 2, words: 0, asks: false, lost_before: 0 };

/// The production rules, and within [`SMALL`].
fn wrong(name: &'static str, breaks: &'static str, change: impl FnOnce(&mut Rules)) -> Mutation {
    let mut rules = Rules::PRODUCTION;
    change(&mut rules);
    Mutation { name, rules, bounds: SMALL, breaks }
}

/// Every mutation.
pub fn mutations() -> Vec<Mutation> {
    let within = |bounds: Bounds, mutation: Mutation| Mutation { bounds, ..mutation };
    let asks = Bounds { asks: true, ..SMALL };
    let words = Bounds { words: 1, ..SMALL };
    let tired = Bounds { lost_before: 4, ..SMALL };
    let two = Bounds { jobs: 2, ..SMALL };
    vec![
        wrong("the fence is not compared", "an outcome tells the effects", |rules| {
            rules.is_held = |leased, _, _| leased;
        }),
        wrong("the term is not compared", "commits follow each other", |rules| {
            rules.is_sequencer = |_, own| own > 0;
        }),
        within(
            two,
            wrong("the token of a claim is ignored", "one claim gets one lease", |rules| {
                rules.is_same_claim = |_, _, _| false;
            }),
        ),
        wrong("the number of a report is ignored", "a repeated report is answered", |rules| {
            rules.is_repeated = |_, _| false;
        }),
        wrong("an acting job is queued again", "an outcome tells the effects", |rules| {
            rules.next = requeues;
            rules.lost = |phase, attempts, cancelled| match phase {
                Phase::Acting => Ok((Phase::Queued, None)),
                _ => lease_rules::lost(phase, attempts, cancelled),
            };
        }),
        wrong("an acting job starts its operations again", "an effect happens once", |rules| {
            rules.next = requeues;
            rules.starts_once = false;
            rules.pins_effects = false;
            rules.lost = |phase, attempts, cancelled| match phase {
                Phase::Acting => Ok((Phase::Queued, None)),
                _ => lease_rules::lost(phase, attempts, cancelled),
            };
        }),
        within(
            tired,
            wrong("an acting job is dead after too many leases", "an outcome tells the effects", {
                |rules| {
                    rules.lost = |phase, attempts, cancelled| match phase {
                        Phase::Acting if attempts >= 5 => {
                            Ok((Phase::TearingDown, Some(Outcome::Dead)))
                        }
                        _ => lease_rules::lost(phase, attempts, cancelled),
                    };
                }
            }),
        ),
        within(
            words,
            wrong("a requeued job closes at once", "a closed job was torn down", |rules| {
                rules.ended = |phase, _| phase.next(Event::Withdraw);
            }),
        ),
        within(
            words,
            wrong("an outcome is written again", "an outcome is written once", |rules| {
                rules.is_writable = |_| true;
                rules.ended = |phase, _| Ok(phase);
            }),
        ),
        wrong("a job closes without teardown", "a closed job was torn down", |rules| {
            rules.next = |phase, event| match (phase, event) {
                (Phase::Acting, Event::Finish) => Ok(Phase::Closed),
                _ => phase.next(event),
            };
        }),
        wrong("an effect comes before its intent", "an effect has a durable intent", |rules| {
            rules.intends_first = false;
        }),
        wrong("a lost runner keeps its rights", "no effect under an older lease", |rules| {
            rules.removes_rights = false;
        }),
        wrong("a recovery does not look", "indeterminate only in its window", |rules| {
            rules.looks = false;
        }),
        within(
            asks,
            wrong("a permit needs no signatures", "no effect before the signatures", |rules| {
                rules.asks_people = false;
            }),
        ),
        wrong("an answer comes before its commit", "an acknowledged job is stored", |rules| {
            rules.commits_first = false;
        }),
        wrong("a lease never ends", "every job closes", |rules| rules.leases_end = false),
        wrong("a job in teardown is not offered", "every job closes", |rules| {
            rules.is_claimable = |phase, leased| {
                phase != Phase::TearingDown && lease_rules::is_claimable(phase, leased)
            };
        }),
    ]
}

/// The table of transitions, where a lost runner of an acting job leads to the queue.
fn requeues(phase: Phase, event: Event) -> crate::rules::Next {
    match (phase, event) {
        (Phase::Acting, Event::Lose) => Ok(Phase::Queued),
        _ => phase.next(event),
    }
}
