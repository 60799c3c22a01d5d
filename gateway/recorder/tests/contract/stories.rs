//! Stories with the answers that every store gives: the rules of the contract, one by one.

use super::step::Answer::{Done, Failed, Joined, Recorded, Released, Signed};
use super::step::*;
use cofferdam_core::model::job::Found;
use cofferdam_core::model::run::{Outcome, Phase};

/// A name, and steps with their answers.
pub type Story = (&'static str, Vec<(Step, Answer)>);

fn enqueue(proposal: Proposal) -> Step {
    Step::Enqueue(proposal)
}

fn report(seat: usize, told: &[Told]) -> Step {
    Step::Report { seat, told: told.to_vec(), stale: false }
}

fn leased(call: usize, fence: u64, phase: Phase) -> Answer {
    Answer::Leased(Some(Box::new(Lease {
        call,
        fence,
        phase,
        outcome: None,
        operations: Vec::new(),
        earlier: (1..fence).collect(),
        given_up: false,
    })))
}

fn signs(call: usize, person: usize) -> Step {
    Step::Sign { call, person, reject: false, forged: false }
}

/// Every story.
pub fn stories() -> Vec<Story> {
    let refused = || Failed(Kind::Refused);
    let fenced = || Failed(Kind::Fenced);
    let asked = |quorum| Proposal { quorum: Some(quorum), ..Proposal::of(0, 0) };
    let keyed = |call, plan| Proposal { key: Some(0), ..Proposal::of(call, plan) };
    let about = |call, plan| Proposal { object: Some(0), ..Proposal::of(call, plan) };
    vec![
        (
            "a job goes all the way, once",
            vec![
                (enqueue(Proposal::of(0, 0)), Recorded(1)),
                (Step::Claim(0), leased(0, 1, Phase::Leased)),
                (Step::Claim(1), Answer::Leased(None)),
                (report(0, &[Told::Acting]), refused()),
                (report(0, &[Told::Prepared, Told::Acting, Told::Started(0, false)]), Recorded(5)),
                (report(0, &[Told::Started(0, false)]), refused()),
                (report(0, &[Told::Done(0, false), Told::Done(0, false)]), refused()),
                (report(0, &[Told::Done(0, false)]), Recorded(6)),
                (report(0, &[Told::Finished(Outcome::Succeeded)]), Recorded(7)),
                (report(0, &[Told::Finished(Outcome::Failed)]), refused()),
                (report(0, &[Told::Gone]), Recorded(8)),
                (Step::Claim(0), Answer::Leased(None)),
            ],
        ),
        (
            "the same call joins its job while it is open and a minute after it succeeded",
            vec![
                (enqueue(Proposal::of(0, 0)), Recorded(1)),
                (enqueue(Proposal::of(1, 0)), Joined(0)),
                (enqueue(Proposal { agent: 1, ..Proposal::of(2, 0) }), Recorded(2)),
                (enqueue(Proposal { seen: Some(0), ..Proposal::of(3, 0) }), Recorded(3)),
                (Step::Claim(0), leased(0, 1, Phase::Leased)),
                (report(0, &[Told::Prepared, Told::Acting]), Recorded(6)),
                (report(0, &[Told::Finished(Outcome::Succeeded), Told::Gone]), Recorded(8)),
                (Step::Cancel { call: 3, agent: 0 }, Done),
                (enqueue(Proposal::of(4, 0)), Joined(0)),
                (Step::Pass(60_001), Done),
                (enqueue(Proposal::of(4, 0)), Recorded(11)),
            ],
        ),
        (
            "a key names one call and its arguments",
            vec![
                (enqueue(keyed(0, 0)), Recorded(1)),
                (enqueue(keyed(1, 1)), Joined(0)),
                (enqueue(Proposal { other_arguments: true, ..keyed(1, 0) }), refused()),
                (enqueue(Proposal { agent: 1, ..keyed(1, 0) }), Recorded(2)),
                (Step::Cancel { call: 0, agent: 0 }, Done),
                (enqueue(keyed(2, 0)), Joined(0)),
                (Step::Restart, Done),
                (enqueue(keyed(2, 0)), Joined(0)),
            ],
        ),
        (
            "a runner whose lease is over can say nothing, and the next has a higher epoch",
            vec![
                (enqueue(Proposal::of(0, 0)), Recorded(1)),
                (Step::Claim(0), leased(0, 1, Phase::Leased)),
                (Step::Report { seat: 0, told: vec![Told::Prepared], stale: true }, fenced()),
                (Step::Pass(LEASE_MS - 1), Done),
                (Step::Beat(0), Answer::Lease { cancelled: false }),
                (Step::Pass(LEASE_MS), Done),
                (report(0, &[Told::Prepared]), fenced()),
                (Step::LetGo(0), fenced()),
                (Step::Claim(0), refused()),
                (Step::Claim(1), leased(0, 2, Phase::Leased)),
                (Step::Beat(0), fenced()),
                (report(1, &[Told::Prepared]), Recorded(5)),
            ],
        ),
        (
            "a job that loses its runners before it acts is dead after five",
            (1..=5)
                .flat_map(|fence| {
                    [
                        (Step::Claim(0), leased(0, fence, Phase::Leased)),
                        (Step::Pass(LEASE_MS), Done),
                        (Step::Beat(0), Failed(Kind::Fenced)),
                    ]
                })
                .fold(vec![(enqueue(Proposal::of(0, 0)), Recorded(1))], |mut steps, step| {
                    steps.push(step);
                    steps
                })
                .into_iter()
                .chain([
                    (
                        Step::Claim(1),
                        Answer::Leased(Some(Box::new(Lease {
                            call: 0,
                            fence: 6,
                            phase: Phase::TearingDown,
                            outcome: Some(Outcome::Dead),
                            operations: Vec::new(),
                            earlier: (1..6).collect(),
                            given_up: false,
                        }))),
                    ),
                    (report(1, &[Told::Finished(Outcome::Succeeded)]), refused()),
                    (report(1, &[Told::Gone]), Recorded(14)),
                ])
                .collect(),
        ),
        (
            "two people sign, once each, and the party of the call never",
            vec![
                (enqueue(asked(2)), Recorded(1)),
                (Step::Permit(0), refused()),
                (signs(0, 0), refused()),
                (Step::Sign { call: 0, person: 1, reject: false, forged: true }, refused()),
                (signs(0, 1), Signed(1)),
                (signs(0, 1), refused()),
                (Step::Permit(0), refused()),
                (signs(0, 2), Signed(0)),
                (Step::Claim(0), Answer::Leased(None)),
                (Step::Permit(0), Recorded(14)),
                (Step::Permit(0), refused()),
                (signs(0, 1), refused()),
                (Step::Claim(0), leased(0, 1, Phase::Leased)),
                (signs(1, 1), Failed(Kind::NotFound)),
            ],
        ),
        (
            "a denial ends the question and is remembered for an hour",
            vec![
                (enqueue(asked(1)), Recorded(1)),
                (Step::Sign { call: 0, person: 2, reject: true, forged: false }, Signed(0)),
                (signs(0, 1), refused()),
                (Step::Withdraw(0), refused()),
                (Step::Cancel { call: 0, agent: 0 }, Done),
                (Step::Cancel { call: 0, agent: 1 }, Failed(Kind::NotFound)),
            ],
        ),
        (
            "jobs about one object run one after the other",
            vec![
                (enqueue(about(0, 0)), Recorded(1)),
                (enqueue(about(1, 1)), Recorded(2)),
                (enqueue(Proposal { object: Some(1), ..Proposal::of(2, 2) }), Recorded(3)),
                (Step::Claim(0), leased(0, 1, Phase::Leased)),
                (
                    Step::Claim(1),
                    Answer::Leased(Some(Box::new(Lease {
                        call: 2,
                        fence: 2,
                        phase: Phase::Leased,
                        outcome: None,
                        operations: Vec::new(),
                        earlier: Vec::new(),
                        given_up: false,
                    }))),
                ),
                (Step::Claim(2), Answer::Leased(None)),
                (report(0, &[Told::Finished(Outcome::Failed)]), Recorded(6)),
                (
                    Step::Claim(2),
                    Answer::Leased(Some(Box::new(Lease {
                        call: 1,
                        fence: 3,
                        phase: Phase::Leased,
                        outcome: None,
                        operations: Vec::new(),
                        earlier: Vec::new(),
                        given_up: false,
                    }))),
                ),
            ],
        ),
        (
            "a stuck job is tried again after a pause, and a person can give it up",
            vec![
                (enqueue(Proposal::of(0, 0)), Recorded(1)),
                (Step::Claim(0), leased(0, 1, Phase::Leased)),
                (report(0, &[Told::Prepared, Told::Acting]), Recorded(4)),
                (Step::Resolve(0, Found::Failed), refused()),
                (Step::LetGo(0), Released),
                (Step::Claim(0), Answer::Leased(None)),
                (Step::Resolve(0, Found::Succeeded), refused()),
                (Step::Resolve(0, Found::Failed), Done),
                (Step::Resolve(0, Found::Failed), refused()),
                (
                    Step::Claim(0),
                    Answer::Leased(Some(Box::new(Lease {
                        call: 0,
                        fence: 2,
                        phase: Phase::Acting,
                        outcome: None,
                        operations: Vec::new(),
                        earlier: vec![1],
                        given_up: true,
                    }))),
                ),
                (report(0, &[Told::Finished(Outcome::Indeterminate)]), Recorded(12)),
                (Step::Erase(0), refused()),
                (report(0, &[Told::Gone]), Recorded(14)),
                (Step::Erase(0), Done),
                (Step::Erase(1), Failed(Kind::NotFound)),
            ],
        ),
        (
            "time ends questions and permits, and a claimed job by way of its teardown",
            vec![
                (enqueue(Proposal { minutes: 5, ..asked(1) }), Recorded(1)),
                (enqueue(Proposal { minutes: 5, ..Proposal::of(1, 1) }), Recorded(2)),
                (Step::Claim(0), {
                    Answer::Leased(Some(Box::new(Lease {
                        call: 1,
                        fence: 1,
                        phase: Phase::Leased,
                        outcome: None,
                        operations: Vec::new(),
                        earlier: Vec::new(),
                        given_up: false,
                    })))
                }),
                (Step::Pass(5 * 60_000), Done),
                (signs(0, 1), refused()),
                (
                    Step::Claim(1),
                    Answer::Leased(Some(Box::new(Lease {
                        call: 1,
                        fence: 2,
                        phase: Phase::TearingDown,
                        outcome: Some(Outcome::Expired),
                        operations: Vec::new(),
                        earlier: vec![1],
                        given_up: false,
                    }))),
                ),
            ],
        ),
    ]
}
