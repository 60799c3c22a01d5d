//! A real recorder that takes the steps of a history, by the requests that its sockets carry.

use super::model::{AFTER_RESTART, PERMIT_MS, created};
use super::step::*;
use crate::world::*;
use cofferdam_core::model::document::Document;
use cofferdam_core::model::id::{CallId, Fence, PlanDigest, PolicyDigest};
use cofferdam_core::model::job::{JobView, LeasedJob, Obstacle, OperationRecord, Said, StoredJob};
use cofferdam_core::model::json::canonical;
use cofferdam_core::model::operation::{Operation, Step as PlanStep, Target};
use cofferdam_core::model::permit::SignedPermit;
use cofferdam_core::model::record::{Entry as LedgerEntry, Event};
use cofferdam_core::model::retention::Retention;
use cofferdam_core::model::statement::Verdict;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed};
use cofferdam_recorder::ledger::prove::{Prover, verify_proof};
use cofferdam_recorder::ledger::verify::verify;
use cofferdam_recorder::{Recorder, RecorderContext, RunnerSeat};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A recorder with its runners.
pub struct Real {
    world: World,
    settings: RecorderContext,
    recorder: Recorder,
    seats: Vec<(RunnerSeat, Option<(CallId, Fence)>)>,
    jobs: BTreeMap<usize, StoredJob>,
}

type Told<T> = Result<T, RoleError>;

/// The id of a call of a history.
fn id(number: usize) -> CallId {
    call(number as u128)
}

fn number(call: &CallId) -> usize {
    (0..CALLS).find(|number| id(*number) == *call).unwrap()
}

fn operations(records: &[OperationRecord]) -> Vec<(u32, bool, bool)> {
    records.iter().map(|record| (record.index, record.undo, record.after.is_some())).collect()
}

/// The plan with one object, if it has one.
fn with_object(plan: &str, object: Option<usize>) -> String {
    let Some(object) = object else { return plan.to_owned() };
    let target = Target {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "shop".to_owned(),
        name: OBJECTS[object].to_owned(),
    };
    let (document, _) = Document::read(plan).unwrap();
    let delete =
        PlanStep { operation: Operation::Delete { target }, after: vec![], reversible: false };
    canonical(&Document { operations: vec![delete], ..document }).unwrap()
}

/// A number for one request: with it, no request is the same as one before, which would get the
/// first answer.
fn another() -> u64 {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    REQUESTS.fetch_add(1, Ordering::Relaxed)
}

impl Real {
    /// Starts a recorder with these settings, whose retention removes nothing.
    pub async fn start(world: World, settings: RecorderContext) -> Self {
        let retention = Retention {
            closed_jobs: None,
            idempotency_keys: None,
            rejections: None,
            payloads: None,
        };
        let settings = RecorderContext { retention, ..settings };
        let recorder = Recorder::open(settings.clone()).await.unwrap();
        let seats = (0..SEATS).map(|_| (recorder.runner(), None)).collect();
        Self { world, settings, recorder, seats, jobs: BTreeMap::new() }
    }

    /// Takes a step.
    pub async fn step(&mut self, step: &Step) -> Answer {
        let answer = match step {
            Step::Enqueue(proposal) => self.enqueue(proposal).await,
            Step::End(call) => end(&self.recorder, *call as u128).await.map(recorded),
            Step::Claim(seat) => self.claim(*seat).await,
            Step::Report { seat, told, stale } => self.report(*seat, told, *stale).await,
            Step::LetGo(seat) => self.let_go(*seat).await,
            Step::Beat(seat) => self.beat(*seat).await,
            Step::Note(seat) => self.say(*seat).await,
            Step::Cancel { call, agent } => {
                let principal = AGENTS[*agent].to_owned();
                let ask = Propose::Cancel { principal, call: id(*call) };
                self.recorder.propose(ask).await.map(|_| Answer::Done)
            }
            Step::Sign { call, person, reject, forged } => {
                self.sign(*call, PEOPLE[*person], *reject, *forged).await
            }
            Step::Permit(call) => self.permit(*call).await,
            Step::Withdraw(call) => {
                let event =
                    Event::Ended { ending: "refused".to_owned(), code: "denied".to_owned() };
                let entry = LedgerEntry::of(event, Some(id(*call)), self.owner(*call));
                let detail = format!("the policy denies it ({})", another());
                let ask = Propose::Withdraw { call: id(*call), detail, entry };
                self.recorder.propose(ask).await.map(recorded)
            }
            Step::Resolve(call, found) => {
                let because = "I looked".to_owned();
                let ask = Operate::Resolve { call: id(*call), found: *found, because };
                self.recorder.operate(1000, ask).await.map(|_| Answer::Done)
            }
            Step::Erase(call) => {
                let ask = Operate::Erase { call: id(*call) };
                self.recorder.operate(1000, ask).await.map(|_| Answer::Done)
            }
            Step::Pass(ms) => {
                self.pass(*ms).await;
                Ok(Answer::Done)
            }
            Step::Restart => {
                self.restart().await;
                Ok(Answer::Done)
            }
            Step::Read { agent, plan, key } => self.read(AGENTS[*agent], *plan, *key).await,
        };
        answer.unwrap_or_else(|error| Answer::Failed(error.into()))
    }

    /// The agent of a call; the first one for a call without a job.
    fn owner(&self, call: usize) -> &str {
        self.jobs.get(&call).map_or(AGENTS[0], |job| &job.principal.name)
    }

    async fn pass(&self, ms: i64) {
        self.world.pass(ms);
        self.recorder.sweep().await;
    }

    async fn restart(&mut self) {
        // The runners leave after the end, so that their leases are over at the start alone.
        self.recorder.clone().close().await;
        self.seats.clear();
        self.recorder = Recorder::open(self.settings.clone()).await.unwrap();
        self.seats = (0..SEATS).map(|_| (self.recorder.runner(), None)).collect();
        for ms in AFTER_RESTART {
            self.pass(ms).await;
        }
    }

    async fn enqueue(&mut self, of: &Proposal) -> Told<Answer> {
        let agent = AGENTS[of.agent];
        if self.jobs.get(&of.call).is_some_and(|job| job.principal.name == agent) {
            return Ok(Answer::Skipped);
        }
        let asks = of.quorum.map(|quorum| rule(quorum, &PEOPLE[1..]));
        let mut job = self.world.job(of.call as u128, agent, &format!("plan {}", of.plan), asks);
        job.plan = with_object(&job.plan, of.object);
        job.plan_digest = PlanDigest::of(job.plan.as_bytes());
        if of.other_arguments {
            job.arguments = "{\"name\":\"api\"}".to_owned();
        }
        let now = self.world.now();
        job.created = Timestamp::from_millisecond(created(of, now.as_millisecond())).unwrap();
        job.expires = now + SignedDuration::from_mins(of.minutes);
        let key = of.key.map(|key| key_for(&job, &format!("key-{key}")));
        let answer = enqueue_after(&self.recorder, &job, key, of.seen.map(id)).await?;
        if matches!(answer, Proposed::Recorded(_)) {
            self.jobs.insert(of.call, job);
        }
        Ok(recorded(answer))
    }

    async fn claim(&mut self, seat: usize) -> Told<Answer> {
        let (seat, held) = &mut self.seats[seat];
        let Claimed::Leased { job } = seat.claim(Claim::Next { wait_ms: 0, token: None }).await?
        else {
            panic!("another answer")
        };
        if let Some(job) = &job {
            *held = Some((job.job.call.clone(), job.fence));
        }
        Ok(Answer::Leased(job.map(|job| Box::new(lease(&job)))))
    }

    async fn report(
        &mut self,
        seat: usize,
        told: &[super::step::Told],
        stale: bool,
    ) -> Told<Answer> {
        let (seat, held) = &mut self.seats[seat];
        let Some((call, fence)) = held.clone() else { return Ok(Answer::Skipped) };
        let fence = Fence(fence.0 - u64::from(stale));
        let events = told.iter().map(|told| event(*told)).collect();
        let answer = seat.claim(Claim::Move { call, fence, events, number: None }).await?;
        let Claimed::Recorded(recorded) = answer else { panic!("{answer:?}") };
        if told.last() == Some(&super::step::Told::Gone) {
            *held = None;
        }
        Ok(Answer::Recorded(recorded.index))
    }

    async fn let_go(&mut self, seat: usize) -> Told<Answer> {
        let (seat, held) = &mut self.seats[seat];
        let Some((call, fence)) = held.clone() else { return Ok(Answer::Skipped) };
        let obstacle = Obstacle::new("the file `a` is locked", "unlock it");
        seat.claim(Claim::LetGo { call, fence, obstacle }).await?;
        *held = None;
        Ok(Answer::Released)
    }

    async fn beat(&mut self, seat: usize) -> Told<Answer> {
        let recorder = self.recorder.clone();
        let (seat, held) = &mut self.seats[seat];
        let Some((call, fence)) = held.clone() else { return Ok(Answer::Skipped) };
        match seat.claim(Claim::Heartbeat { call, fence }).await {
            Ok(Claimed::Lease { cancelled }) => Ok(Answer::Lease { cancelled }),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                (*seat, *held) = (recorder.runner(), None);
                Err(error)
            }
        }
    }

    async fn say(&mut self, seat: usize) -> Told<Answer> {
        let (seat, held) = &mut self.seats[seat];
        let Some((call, fence)) = held.clone() else { return Ok(Answer::Skipped) };
        let said = vec![Said { operation: None, text: "halfway".to_owned(), skipped: 0 }];
        match seat.claim(Claim::Progress { call, fence, said }).await? {
            Claimed::Lease { cancelled } => Ok(Answer::Lease { cancelled }),
            other => panic!("{other:?}"),
        }
    }

    async fn sign(
        &mut self,
        call: usize,
        person: &str,
        reject: bool,
        forged: bool,
    ) -> Told<Answer> {
        let ask = Operate::Show { call: id(call).to_string() };
        let shown = match self.recorder.operate(1000, ask).await {
            Ok(Operated::Story { job, .. }) => job.map(|job| *job),
            _ => None,
        };
        // A call that has no question: a statement about another one.
        let job = shown.unwrap_or_else(|| self.world.job(call as u128, "agent", "none", None));
        let verdict = if reject { Verdict::Reject } else { Verdict::Approve };
        let mut statement = statement(&job, verdict);
        if forged {
            statement.nonce = "0".repeat(32);
        }
        let (_, missing) = hand_in(&self.recorder, &id(call), sign(person, &statement)).await?;
        Ok(Answer::Signed(missing))
    }

    async fn permit(&mut self, call: usize) -> Told<Answer> {
        let mut entry = LedgerEntry::of(Event::Intended, Some(id(call)), self.owner(call));
        entry.plan = self.jobs.get(&call).map(|job| job.plan_digest);
        let expires = self.world.now() + SignedDuration::from_millis(PERMIT_MS);
        let permit = SignedPermit { permit: "{}".to_owned(), signature: another().to_string() };
        let ask = Propose::Permit { call: id(call), permit, entry, expires };
        self.recorder.propose(ask).await.map(recorded)
    }

    async fn read(&self, agent: &str, plan: usize, key: usize) -> Told<Answer> {
        let principal = || agent.to_owned();
        let plan = self.world.job(0, agent, &format!("plan {plan}"), None).plan_digest;
        let policy = PolicyDigest::of(b"policy");
        let ask = async |ask| self.recorder.propose(ask).await;
        let Proposed::Same { job, ended_ms } =
            ask(Propose::Same { principal: principal(), plan, policy }).await?
        else {
            panic!("another answer")
        };
        let same = job.map(|job| (number(&job.call), ended_ms));
        let key = format!("key-{key}");
        let Proposed::Key { used } = ask(Propose::Key { principal: principal(), key }).await?
        else {
            panic!("another answer")
        };
        let Proposed::Rejection { rejected } =
            ask(Propose::Rejection { principal: principal(), plan }).await?
        else {
            panic!("another answer")
        };
        let mut lists = Vec::new();
        for open in [false, true] {
            let list = Propose::Calls { principal: principal(), open, limit: 50 };
            let Proposed::Calls { calls, more: false } = ask(list).await? else {
                panic!("another answer")
            };
            lists.push(calls);
        }
        let Proposed::Counts(counts) = ask(Propose::Counts).await? else {
            panic!("another answer")
        };
        Ok(Answer::Read(Box::new(Summary {
            same,
            key: used.map(|used| number(&used.call)),
            rejected_until: rejected.map(|rejected| rejected.until.as_millisecond()),
            calls: lists[0]
                .iter()
                .map(|call| (number(&call.call), call.phase, call.outcome))
                .collect(),
            open: lists[1].iter().map(|call| number(&call.call)).collect(),
            phases: counts.phases,
            outcomes: counts.outcomes,
            verdicts: counts.answers,
            entries: counts.entries,
        })))
    }

    /// The job of a call, as its owner sees it.
    pub async fn view(&self, call: usize) -> Option<View> {
        let principal = self.jobs.get(&call)?.principal.name.clone();
        let ask = Propose::Task { principal: principal.clone(), call: id(call) };
        let Proposed::Task(task) = self.recorder.propose(ask).await.unwrap() else {
            panic!("another answer")
        };
        let ask = Propose::Plan { principal, call: id(call) };
        let Proposed::Plan { plan } = self.recorder.propose(ask).await.unwrap() else {
            panic!("another answer")
        };
        let JobView { phase, outcome, claimed, ledger, expires, version, .. } = task.job;
        Some(View {
            phase,
            outcome,
            claimed,
            ledger,
            expires: expires.as_millisecond(),
            version,
            operations: operations(&task.job.operations),
            notes: task.job.progress.iter().map(|note| note.number).collect(),
            found: task.job.resolution.map(|resolution| resolution.found),
            tries: task.job.stuck.map(|stuck| stuck.tries),
            asks: task.job.approval.map(|rule| rule.quorum),
            created: task.created.as_millisecond(),
            stopping: task.stopping,
            has_plan: plan.is_some(),
        })
    }

    /// Ends the recorder. Returns the entries of its published ledger, which is sound and proves
    /// each of them.
    pub async fn finish(mut self) -> Vec<Entry> {
        self.recorder.clone().close().await;
        self.seats.clear();
        let folder = self.world.ledger();
        let report = verify(&folder, &World::key(), None, None).unwrap();
        assert!(report.is_sound(), "{report:?}");
        let key = World::key();
        let mut prover = Prover::open(&folder, &key).unwrap();
        let proven = |index| verify_proof(&prover.prove(index).unwrap(), &key).unwrap().entry;
        (0..report.size).map(proven).map(|text| told_entry(&text)).collect()
    }
}

fn recorded(answer: Proposed) -> Answer {
    match answer {
        Proposed::Recorded(recorded) => Answer::Recorded(recorded.index),
        Proposed::Joined { call } => Answer::Joined(number(&call)),
        other => panic!("{other:?}"),
    }
}

fn lease(job: &LeasedJob) -> Lease {
    Lease {
        call: number(&job.job.call),
        fence: job.fence.0,
        phase: job.phase,
        outcome: job.outcome,
        operations: operations(&job.operations),
        earlier: job.earlier.iter().map(|fence| fence.0).collect(),
        given_up: job.given_up.is_some(),
    }
}

fn event(told: super::step::Told) -> cofferdam_core::protocol::runner_recorder::RunnerEvent {
    use cofferdam_core::protocol::runner_recorder::RunnerEvent;
    match told {
        super::step::Told::Prepared => prepared(),
        super::step::Told::Acting => RunnerEvent::Acting,
        super::step::Told::Started(operation, undo) => {
            RunnerEvent::Started { operation, undo, before: BTreeMap::new() }
        }
        super::step::Told::Done(operation, undo) => {
            RunnerEvent::Done { operation, undo, after: BTreeMap::new() }
        }
        super::step::Told::Finished(outcome) => finished(outcome),
        super::step::Told::Gone => gone(),
    }
}

/// Kind, word and call of a published entry.
fn told_entry(text: &str) -> Entry {
    let leaf: serde_json::Value = serde_json::from_str(text).unwrap();
    let event = &leaf["event"];
    let kind = event["kind"].as_str().unwrap().to_owned();
    let word = match kind.as_str() {
        "administered" => event["what"].as_str().unwrap().to_owned(),
        "moved" => event["phase"].as_str().unwrap().to_owned(),
        "finished" => event["outcome"].as_str().unwrap().to_owned(),
        "signed" => event["verdict"].as_str().unwrap().to_owned(),
        "leased" => event["fence"].to_string(),
        "ended" => "denied".to_owned(),
        _ => String::new(),
    };
    (kind, word, leaf["call"].as_str().map(|call| number(&CallId::parse(call).unwrap())))
}
