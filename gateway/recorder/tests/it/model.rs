//! Random lives of jobs against a model in memory: whatever runners, agents and time do, the store
//! says what the one table says.

use crate::world::*;
use cofferdam_core::model::job::LeasedJob;
use cofferdam_core::model::run::{ATTEMPTS, Event, Outcome, Phase};
use cofferdam_core::protocol::gateway_recorder::Propose;
use cofferdam_core::protocol::runner_recorder::RunnerEvent;
use cofferdam_recorder::RunnerSeat;
use cofferdam_recorder::ledger::verify::verify;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Enqueue,
    Claim(usize),
    Prepared(usize),
    Acting(usize),
    Finished(usize, Outcome),
    Gone(usize),
    LoseAll,
    Cancel(usize),
}

#[derive(Debug)]
struct Model {
    phase: Phase,
    outcome: Option<Outcome>,
    attempts: u32,
    cancelled: bool,
    leased: bool,
}

const SEATS: usize = 2;

/// A runner's seat, with the job it believes to hold.
type Seat = (RunnerSeat, Option<(usize, Box<LeasedJob>)>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let seat = || 0..SEATS;
    let outcome = prop_oneof![
        Just(Outcome::Succeeded),
        Just(Outcome::Failed),
        Just(Outcome::Cancelled),
        Just(Outcome::Indeterminate)
    ];
    let step = prop_oneof![
        2 => Just(Step::Enqueue),
        4 => seat().prop_map(Step::Claim),
        4 => seat().prop_map(Step::Prepared),
        4 => seat().prop_map(Step::Acting),
        3 => (seat(), outcome).prop_map(|(seat, outcome)| Step::Finished(seat, outcome)),
        3 => seat().prop_map(Step::Gone),
        1 => Just(Step::LoseAll),
        1 => (0..6usize).prop_map(Step::Cancel),
    ];
    prop::collection::vec(step, 1..50)
}

impl Model {
    fn fire(&mut self, event: Event) -> bool {
        self.phase.next(event).map(|next| self.phase = next).is_ok()
    }

    fn finish(&mut self, outcome: Outcome) -> bool {
        let early = self.phase != Phase::Acting
            && matches!(outcome, Outcome::Succeeded | Outcome::Indeterminate);
        let fits = !early && self.outcome.is_none() && self.fire(Event::Finish);
        if fits {
            self.outcome = Some(outcome);
        }
        fits
    }

    fn lose(&mut self) {
        if !std::mem::take(&mut self.leased) {
            return;
        }
        let before_acting = matches!(self.phase, Phase::Leased | Phase::Prepared);
        if before_acting && self.attempts >= ATTEMPTS {
            self.finish(Outcome::Dead);
        } else if before_acting && self.cancelled {
            self.finish(Outcome::Cancelled);
        } else {
            self.fire(Event::Lose);
        }
    }

    fn cancel(&mut self) {
        match self.phase {
            Phase::Queued if self.attempts > 0 => {
                self.fire(Event::Lease);
                self.finish(Outcome::Cancelled);
            }
            Phase::AwaitingApproval | Phase::Queued => {
                self.fire(Event::Withdraw);
                self.outcome = Some(Outcome::Cancelled);
            }
            Phase::Leased | Phase::Prepared | Phase::Acting => self.cancelled = true,
            Phase::TearingDown | Phase::Closed => {}
        }
    }
}

/// Applies a runner's report to the model; true if it is accepted.
fn reported(model: &mut Model, event: &RunnerEvent) -> bool {
    match event {
        RunnerEvent::Prepared { .. } => model.fire(Event::Prepare),
        RunnerEvent::Acting => !model.cancelled && model.fire(Event::Act),
        RunnerEvent::Finished { outcome, .. } => model.finish(*outcome),
        RunnerEvent::Gone { .. } => {
            let gone = model.fire(Event::Gone);
            model.leased &= !gone;
            gone
        }
        RunnerEvent::Started { .. } | RunnerEvent::Done { .. } => false,
    }
}

async fn play(steps: Vec<Step>) {
    let world = World::new();
    let recorder = world.open().await;
    let mut jobs = Vec::new();
    let mut models: Vec<Model> = Vec::new();
    let mut seats: Vec<Seat> = (0..SEATS).map(|_| (recorder.runner(), None)).collect();
    let mut newest_fence = 0;
    for step in steps {
        match step {
            Step::Enqueue if jobs.len() < 6 => {
                let number = jobs.len() as u128;
                let mut job = world.job(number, "agent", &format!("plan {number}"), None);
                job.expires = world.now() + jiff::SignedDuration::from_hours(24);
                enqueue(&recorder, &job, None).await.unwrap();
                jobs.push(job);
                models.push(Model {
                    phase: Phase::Queued,
                    outcome: None,
                    attempts: 0,
                    cancelled: false,
                    leased: false,
                });
            }
            Step::Enqueue => {}
            Step::Claim(at) if seats[at].1.is_none() => {
                let free = |model: &&mut Model| !model.leased;
                let lost =
                    |model: &Model| matches!(model.phase, Phase::Acting | Phase::TearingDown);
                let expect = models
                    .iter_mut()
                    .enumerate()
                    .filter(|(_, model)| {
                        free(model) && (lost(model) || model.phase == Phase::Queued)
                    })
                    .min_by_key(|(number, model)| (!lost(model), *number));
                let got = next(&seats[at].0).await;
                assert_eq!(
                    got.as_ref().map(|job| &job.job.call),
                    expect.as_ref().map(|(number, _)| &jobs[*number].call)
                );
                if let (Some(got), Some((number, model))) = (got, expect) {
                    assert!(got.fence.0 > newest_fence);
                    newest_fence = got.fence.0;
                    model.attempts += u32::from(model.phase == Phase::Queued);
                    model.fire(Event::Lease);
                    model.leased = true;
                    assert_eq!(got.phase, model.phase);
                    seats[at].1 = Some((number, got));
                }
            }
            Step::Claim(_) => {}
            Step::Prepared(at) => tell(&mut seats[at], &mut models, prepared()).await,
            Step::Acting(at) => tell(&mut seats[at], &mut models, RunnerEvent::Acting).await,
            Step::Finished(at, outcome) => {
                tell(&mut seats[at], &mut models, finished(outcome)).await
            }
            Step::Gone(at) => tell(&mut seats[at], &mut models, gone()).await,
            Step::LoseAll => {
                world.pass(31_000);
                recorder.sweep().await;
                models.iter_mut().for_each(Model::lose);
                // The seats still believe that they hold their jobs; every word of theirs is
                // fenced.
                for (seat, held) in &mut seats {
                    if let Some((_, job)) = held.take() {
                        assert!(report(seat, &job, prepared()).await.is_err());
                        *seat = recorder.runner();
                    }
                }
            }
            Step::Cancel(number) if number < jobs.len() => {
                let ask = Propose::Cancel {
                    principal: "agent".to_owned(),
                    call: jobs[number].call.clone(),
                };
                recorder.propose(ask).await.unwrap();
                models[number].cancel();
            }
            Step::Cancel(_) => {}
        }
        for (job, model) in jobs.iter().zip(&models) {
            let view = view(&recorder, job).await;
            assert_eq!((view.phase, view.outcome), (model.phase, model.outcome), "{model:?}");
        }
    }
    drop(seats);
    recorder.close().await;
    assert!(verify(&world.ledger(), &World::key(), None, None).unwrap().is_sound());
}

async fn tell(seat: &mut Seat, models: &mut [Model], event: RunnerEvent) {
    let Some((number, job)) = &seat.1 else { return };
    let expect = reported(&mut models[*number], &event);
    let got = report(&seat.0, job, event).await;
    assert_eq!(got.is_ok(), expect, "{got:?} {:?}", models[*number]);
    if models[*number].phase == Phase::Closed {
        seat.1 = None;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None,
    ..ProptestConfig::default() })]
    #[test]
    fn the_store_lives_as_the_table_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}
