//! The model of a recorder: maps in memory, written from the rules and not from the recorder's
//! code. It shares the one table of phases with the recorder, and nothing else.

use super::step::*;
use cofferdam_core::model::job::Found;
use cofferdam_core::model::run::{ATTEMPTS, Event, Outcome, Phase};
use std::collections::{BTreeMap, BTreeSet};

/// The time at which each history begins, in milliseconds since 1970.
pub const BEGIN: i64 = 1_800_000_000_000;
/// The longest time that a job which just succeeded answers the same call again.
const ALREADY_MS: i64 = 60_000;
/// The time for which a denial counts.
const REJECTION_MS: i64 = 3_600_000;
/// The longest that a stuck job waits while others arrive.
const TURN_MS: i64 = 60_000;
/// Notes that are kept.
const NOTES: u64 = 20;

#[derive(Debug, Clone)]
struct Job {
    seq: usize,
    proposal: Proposal,
    phase: Phase,
    outcome: Option<Outcome>,
    ended: i64,
    fence: u64,
    leased: bool,
    attempts: u32,
    leases: Vec<u64>,
    cancelled: bool,
    approved: bool,
    tries: Option<u32>,
    retry_at: i64,
    created: i64,
    expires: i64,
    ledger: u64,
    version: u64,
    operations: BTreeMap<(bool, u32), bool>,
    notes: u64,
    found: Option<Found>,
    signers: BTreeSet<usize>,
    erased: bool,
}

#[derive(Debug, Clone, Default)]
struct Seat {
    /// The lease that the runner believes in.
    believes: Option<(usize, u64)>,
    /// The lease that its socket has.
    has: Option<(usize, u64)>,
}

/// A recorder in memory.
#[derive(Debug, Clone)]
pub struct Model {
    now: i64,
    jobs: BTreeMap<usize, Job>,
    ledger: Vec<Entry>,
    newest_fence: u64,
    until: BTreeMap<u64, (usize, i64)>,
    seats: Vec<Seat>,
    keys: BTreeMap<(usize, usize), (usize, bool)>,
    rejections: BTreeMap<(usize, (usize, Option<usize>)), i64>,
    verdicts: BTreeMap<String, u64>,
}

type Outcomes<T> = Result<T, Kind>;

impl Job {
    fn fire(&mut self, event: Event) -> Outcomes<Phase> {
        self.phase = self.phase.next(event).map_err(|_| Kind::Refused)?;
        Ok(self.phase)
    }

    fn finish(&mut self, outcome: Outcome, now: i64) -> Outcomes<()> {
        if self.outcome.is_some() {
            return Err(Kind::Refused);
        }
        (self.outcome, self.ended, self.tries, self.retry_at) = (Some(outcome), now, None, 0);
        Ok(())
    }

    /// A stuck job meets its obstacle again, after a pause that doubles up to ten seconds.
    fn meet(&mut self, is_new: bool, now: i64) {
        let early = matches!(self.phase, Phase::Leased | Phase::Prepared);
        let leases = if early { self.attempts - 1 } else { 0 };
        if is_new || self.tries.is_some() {
            let tries = self.tries.unwrap_or(leases) + 1;
            self.tries = Some(tries);
            self.retry_at = now + (1_000 << (tries - 1).min(16)).min(10_000);
        }
    }

    fn operations(&self) -> Vec<(u32, bool, bool)> {
        self.operations.iter().map(|((undo, number), done)| (*number, *undo, *done)).collect()
    }

    fn runs(&self) -> bool {
        matches!(self.phase, Phase::Leased | Phase::Prepared | Phase::Acting)
    }

    /// A plan is its number with its object.
    fn plan(&self) -> (usize, Option<usize>) {
        (self.proposal.plan, self.proposal.object)
    }

    fn view(&self) -> View {
        View {
            phase: self.phase,
            outcome: self.outcome,
            claimed: self.fence > 0,
            ledger: self.ledger,
            expires: self.expires,
            version: self.version,
            operations: self.operations(),
            notes: (self.notes.saturating_sub(NOTES) + 1..=self.notes).collect(),
            found: self.found,
            tries: self.tries,
            asks: self.proposal.quorum.filter(|_| self.phase == Phase::AwaitingApproval),
            created: self.created,
            stopping: self.cancelled && self.outcome.is_none(),
            has_plan: !self.erased,
        }
    }
}

impl Model {
    /// A recorder that was just started.
    pub fn new() -> Self {
        let mut model = Self {
            now: BEGIN,
            jobs: BTreeMap::new(),
            ledger: Vec::new(),
            newest_fence: 0,
            until: BTreeMap::new(),
            seats: vec![Seat::default(); SEATS],
            keys: BTreeMap::new(),
            rejections: BTreeMap::new(),
            verdicts: BTreeMap::new(),
        };
        model.note("administered", "start", None);
        model
    }

    /// The job of a call.
    pub fn view(&self, call: usize) -> Option<View> {
        self.jobs.get(&call).map(Job::view)
    }

    /// The entries of the ledger.
    pub fn entries(&self) -> &[Entry] {
        &self.ledger
    }

    /// Takes a step.
    pub fn step(&mut self, step: &Step) -> Answer {
        let answer = match step {
            Step::Enqueue(proposal) => self.enqueue(proposal),
            Step::End(call) => Ok(Answer::Recorded(self.note("ended", "denied", Some(*call)))),
            Step::Claim(seat) => self.claim(*seat),
            Step::Report { seat, told, stale } => self.report(*seat, told, *stale),
            Step::LetGo(seat) => self.let_go(*seat),
            Step::Beat(seat) => self.beat(*seat),
            Step::Note(seat) => self.say(*seat),
            Step::Cancel { call, agent } => self.cancel(*call, *agent),
            Step::Sign { call, person, reject, forged } => {
                self.sign(*call, *person, *reject, *forged)
            }
            Step::Permit(call) => self.permit(*call),
            Step::Withdraw(call) => self.withdraw(*call),
            Step::Resolve(call, found) => self.resolve(*call, *found),
            Step::Erase(call) => self.erase(*call),
            Step::Pass(ms) => {
                self.pass(*ms);
                Ok(Answer::Done)
            }
            Step::Restart => {
                self.note("administered", "start", None);
                self.seats = vec![Seat::default(); SEATS];
                self.lose_all();
                AFTER_RESTART.into_iter().for_each(|ms| self.pass(ms));
                Ok(Answer::Done)
            }
            Step::Read { agent, plan, key } => Ok(self.read(*agent, *plan, *key)),
        };
        answer.unwrap_or_else(Answer::Failed)
    }

    fn note(&mut self, kind: &str, word: &str, call: Option<usize>) -> u64 {
        self.ledger.push((kind.to_owned(), word.to_owned(), call));
        self.ledger.len() as u64 - 1
    }

    /// Records an entry about a job. A job names its newest entry, and after its outcome that of
    /// the outcome or of a person's finding.
    fn tell(&mut self, job: &mut Job, kind: &str, word: &str) -> u64 {
        let index = self.note(kind, word, Some(job.proposal.call));
        if job.outcome.is_none() || ["finished", "resolved"].contains(&kind) {
            job.ledger = index;
        }
        index
    }

    /// Stores a changed job.
    fn put(&mut self, mut job: Job) {
        job.version += 1;
        self.jobs.insert(job.proposal.call, job);
    }

    fn is_late(&self, job: &Job) -> bool {
        matches!(job.phase, Phase::AwaitingApproval | Phase::Queued) && job.expires <= self.now
    }

    /// The newest job of an equal call: one without an outcome, else one that succeeded just now.
    fn same(&self, agent: usize, plan: (usize, Option<usize>)) -> Option<&Job> {
        let of = |job: &&Job| job.proposal.agent == agent && job.plan() == plan;
        let open = |job: &&Job| job.outcome.is_none() && !self.is_late(job);
        let just = |job: &&Job| {
            job.outcome == Some(Outcome::Succeeded) && job.ended >= self.now - ALREADY_MS
        };
        let newest = |jobs: Vec<&'_ Job>| jobs.into_iter().map(|job| job.seq).max();
        let all: Vec<&Job> = self.jobs.values().filter(of).collect();
        let found = newest(all.iter().copied().filter(|job| open(job)).collect())
            .or_else(|| newest(all.iter().copied().filter(|job| just(job)).collect()))?;
        all.into_iter().find(|job| job.seq == found)
    }

    fn enqueue(&mut self, of: &Proposal) -> Outcomes<Answer> {
        if let Some(job) = self.jobs.get(&of.call) {
            // The id is taken: by the same request, which the driver does not repeat, or another one.
            let is_own = job.proposal.agent == of.agent;
            return if is_own { Ok(Answer::Skipped) } else { Err(Kind::Refused) };
        }
        let key = of.key.map(|key| (of.agent, key));
        if let Some((call, other)) = key.and_then(|key| self.keys.get(&key)) {
            let same = *other == of.other_arguments;
            return if same { Ok(Answer::Joined(*call)) } else { Err(Kind::Refused) };
        }
        if key.is_none()
            && let Some(job) = self.same(of.agent, (of.plan, of.object))
            && of.seen != Some(job.proposal.call)
        {
            return Ok(Answer::Joined(job.proposal.call));
        }
        if self.ledger.iter().any(|(_, _, call)| *call == Some(of.call)) {
            return Err(Kind::Refused);
        }
        if let Some(key) = key {
            self.keys.insert(key, (of.call, of.other_arguments));
        }
        let permitted = of.quorum.is_none();
        let mut job = Job {
            seq: self.jobs.len(),
            proposal: of.clone(),
            phase: if permitted { Phase::Queued } else { Phase::AwaitingApproval },
            outcome: None,
            ended: 0,
            fence: 0,
            leased: false,
            attempts: 0,
            leases: Vec::new(),
            cancelled: false,
            approved: false,
            tries: None,
            retry_at: 0,
            created: created(of, self.now),
            expires: self.now + of.minutes * 60_000,
            ledger: 0,
            version: 0,
            operations: BTreeMap::new(),
            notes: 0,
            found: None,
            signers: BTreeSet::new(),
            erased: false,
        };
        let index = self.tell(&mut job, if permitted { "intended" } else { "asked" }, "");
        self.put(job);
        Ok(Answer::Recorded(index))
    }

    /// Whether another job has the object of this one: a running one, or an earlier queued one. A
    /// stuck job delays no other.
    fn waits_for_another(&self, job: &Job) -> bool {
        let Some(object) = job.proposal.object else { return false };
        self.jobs.values().any(|other| {
            other.seq != job.seq
                && other.proposal.object == Some(object)
                && other.tries.is_none()
                && (other.runs() || other.phase == Phase::Queued && other.seq < job.seq)
        })
    }

    /// The job that a runner gets: first those of lost runners, then the oldest queued one. One
    /// runner at a time retries one stuck job, after its pause and when no other job waits.
    fn next(&mut self) -> Option<usize> {
        let turn = self.now - TURN_MS;
        let retried = self.jobs.values().any(|job| job.leased && job.tries.is_some());
        loop {
            let class = |job: &Job| -> Option<(u8, i64, usize)> {
                let recovers = matches!(job.phase, Phase::Acting | Phase::TearingDown);
                let queued = job.phase == Phase::Queued && job.expires > self.now;
                if job.leased || !(recovers || queued) {
                    return None;
                }
                match (job.tries, recovers) {
                    (None, true) => Some((1, 0, job.seq)),
                    (None, false) => (!self.waits_for_another(job)).then_some((3, 0, job.seq)),
                    (Some(_), _) if retried || job.retry_at > self.now => None,
                    (Some(_), true) if job.retry_at <= turn => Some((2, job.retry_at, job.seq)),
                    (Some(_), true) => Some((5, job.retry_at, job.seq)),
                    (Some(_), false) if job.retry_at <= turn => Some((4, job.retry_at, job.seq)),
                    (Some(_), false) => Some((6, job.retry_at, job.seq)),
                }
            };
            let best = self
                .jobs
                .values()
                .filter_map(|job| Some((class(job)?, job)))
                .min_by_key(|(class, _)| *class);
            let call = best?.1.proposal.call;
            let job = self.jobs[&call].clone();
            if job.tries.is_none() || job.phase != Phase::Queued || !self.waits_for_another(&job) {
                return Some(call);
            }
            self.jobs.get_mut(&call).unwrap().retry_at = self.now + 1_000;
        }
    }

    fn claim(&mut self, seat: usize) -> Outcomes<Answer> {
        if self.seats[seat].has.is_some() {
            return Err(Kind::Refused);
        }
        let Some(call) = self.next() else { return Ok(Answer::Leased(None)) };
        let mut job = self.jobs[&call].clone();
        let first = job.phase == Phase::Queued;
        let earlier = job.leases.clone();
        self.newest_fence += 1;
        let fence = self.newest_fence;
        job.fire(Event::Lease)?;
        (job.fence, job.leased) = (fence, true);
        if first {
            job.attempts += 1;
            job.leases.push(fence);
            (job.tries, job.retry_at) = (None, 0);
        }
        if job.tries.is_none() {
            self.tell(&mut job, "leased", &fence.to_string());
        }
        let lease = Lease {
            call,
            fence,
            phase: job.phase,
            outcome: job.outcome,
            operations: job.operations(),
            earlier,
            given_up: job.found.is_some() && job.outcome.is_none(),
        };
        self.put(job);
        self.until.insert(fence, (call, self.now + LEASE_MS));
        let held = Some((call, fence));
        self.seats[seat] = Seat { believes: held, has: held };
        Ok(Answer::Leased(Some(Box::new(lease))))
    }

    /// The job of a seat's lease, if the lease is still in effect.
    fn held(&self, seat: usize) -> Outcomes<Job> {
        let (call, fence) = self.seats[seat].has.ok_or(Kind::Fenced)?;
        let job = &self.jobs[&call];
        if job.leased && job.fence == fence { Ok(job.clone()) } else { Err(Kind::Fenced) }
    }

    fn renew(&mut self, call: usize, fence: u64) {
        self.until.insert(fence, (call, self.now + LEASE_MS));
    }

    fn report(&mut self, seat: usize, told: &[Told], stale: bool) -> Outcomes<Answer> {
        let Some((call, fence)) = self.seats[seat].believes else { return Ok(Answer::Skipped) };
        if stale {
            return Err(Kind::Fenced);
        }
        let mut job = self.held(seat)?;
        // All events of a report, or none.
        let before = self.ledger.len();
        let mut index = 0;
        if job.tries.is_some() {
            self.tell(&mut job, "leased", &fence.to_string());
            (job.tries, job.retry_at) = (None, 0);
        }
        for event in told {
            match self.apply(&mut job, *event) {
                Ok(recorded) => index = recorded,
                Err(kind) => {
                    self.ledger.truncate(before);
                    return Err(kind);
                }
            }
        }
        self.put(job);
        if told.last() == Some(&Told::Gone) {
            self.until.remove(&fence);
            self.seats[seat] = Seat::default();
        } else {
            self.renew(call, fence);
        }
        Ok(Answer::Recorded(index))
    }

    fn apply(&mut self, job: &mut Job, event: Told) -> Outcomes<u64> {
        let acting = job.phase == Phase::Acting;
        match event {
            Told::Prepared => {
                let phase = job.fire(Event::Prepare)?;
                Ok(self.tell(job, "moved", phase.word()))
            }
            Told::Acting if job.cancelled => Err(Kind::Refused),
            Told::Acting => {
                let phase = job.fire(Event::Act)?;
                Ok(self.tell(job, "moved", phase.word()))
            }
            Told::Started(number, undo) => {
                if !acting || job.operations.insert((undo, number), false).is_some() {
                    return Err(Kind::Refused);
                }
                Ok(self.tell(job, "started", ""))
            }
            Told::Done(number, undo) => {
                if !acting || job.operations.get(&(undo, number)) != Some(&false) {
                    return Err(Kind::Refused);
                }
                job.operations.insert((undo, number), true);
                Ok(self.tell(job, "done", ""))
            }
            Told::Finished(outcome) => {
                let own = match outcome {
                    Outcome::Rejected | Outcome::Dead => false,
                    Outcome::Succeeded | Outcome::Indeterminate | Outcome::Held => acting,
                    _ => true,
                };
                if !own {
                    return Err(Kind::Refused);
                }
                job.finish(outcome, self.now)?;
                job.fire(Event::Finish)?;
                if outcome != Outcome::Indeterminate {
                    job.found = None;
                }
                Ok(self.tell(job, "finished", outcome.word()))
            }
            Told::Gone => {
                job.fire(Event::Gone)?;
                job.leased = false;
                Ok(self.tell(job, "closed", ""))
            }
        }
    }

    fn let_go(&mut self, seat: usize) -> Outcomes<Answer> {
        let Some((_, fence)) = self.seats[seat].believes else { return Ok(Answer::Skipped) };
        let job = self.held(seat)?;
        self.lose(job, true);
        self.until.remove(&fence);
        self.seats[seat] = Seat::default();
        Ok(Answer::Released)
    }

    /// Ends a lease. Before acting, the job goes back to the queue, five times; while acting or
    /// tearing down it keeps its phase.
    fn lose(&mut self, mut job: Job, is_obstacle: bool) {
        let was_stuck = job.tries.is_some();
        job.leased = false;
        job.meet(is_obstacle, self.now);
        if was_stuck {
            return self.put(job);
        }
        let early = matches!(job.phase, Phase::Leased | Phase::Prepared);
        let end = match early {
            true if job.attempts >= ATTEMPTS => Some(Outcome::Dead),
            true if job.cancelled => Some(Outcome::Cancelled),
            _ => None,
        };
        let event = match end {
            Some(outcome) => {
                job.finish(outcome, self.now).unwrap();
                self.tell(&mut job, "finished", outcome.word());
                Event::Finish
            }
            None => Event::Lose,
        };
        let phase = job.fire(event).unwrap();
        self.tell(&mut job, "moved", phase.word());
        self.put(job);
    }

    fn beat(&mut self, seat: usize) -> Outcomes<Answer> {
        let Some((call, fence)) = self.seats[seat].believes else { return Ok(Answer::Skipped) };
        match self.held(seat) {
            Ok(job) => {
                self.renew(call, fence);
                Ok(Answer::Lease { cancelled: job.cancelled })
            }
            Err(kind) => {
                self.seats[seat] = Seat::default();
                Err(kind)
            }
        }
    }

    fn say(&mut self, seat: usize) -> Outcomes<Answer> {
        let Some((call, fence)) = self.seats[seat].believes else { return Ok(Answer::Skipped) };
        let mut job = self.held(seat)?;
        job.notes += 1;
        let cancelled = job.cancelled;
        self.put(job);
        self.renew(call, fence);
        Ok(Answer::Lease { cancelled })
    }

    /// Ends a job without a lease. One that was claimed before may have a namespace, and is torn
    /// down.
    fn end(&mut self, mut job: Job, outcome: Outcome) -> Outcomes<u64> {
        job.finish(outcome, self.now)?;
        self.tell(&mut job, "finished", outcome.word());
        let index = if job.attempts > 0 {
            job.fire(Event::Lease)?;
            let phase = job.fire(Event::Finish)?;
            self.tell(&mut job, "moved", phase.word())
        } else {
            job.fire(Event::Withdraw)?;
            self.tell(&mut job, "closed", "")
        };
        self.put(job);
        Ok(index)
    }

    fn cancel(&mut self, call: usize, agent: usize) -> Outcomes<Answer> {
        let job = self.jobs.get(&call).filter(|job| job.proposal.agent == agent).cloned();
        let mut job = job.ok_or(Kind::NotFound)?;
        if matches!(job.phase, Phase::AwaitingApproval | Phase::Queued) {
            self.end(job, Outcome::Cancelled)?;
        } else if job.runs() && !job.cancelled {
            job.cancelled = true;
            self.put(job);
        }
        Ok(Answer::Done)
    }

    /// The job of a call whose document is there.
    fn readable(&self, call: usize) -> Option<&Job> {
        self.jobs.get(&call).filter(|job| !job.erased)
    }

    fn sign(&mut self, call: usize, person: usize, reject: bool, forged: bool) -> Outcomes<Answer> {
        // The signer reads the question first, and both requests are recorded, whatever becomes
        // of them.
        self.note("administered", "operator show", None);
        let known = self.readable(call).map(|_| call);
        self.note("administered", "operator sign", known);
        let mut job = self.readable(call).cloned().ok_or(Kind::NotFound)?;
        let quorum = job.proposal.quorum.unwrap_or(0) as usize;
        let may = job.phase == Phase::AwaitingApproval
            && job.expires > self.now
            && !forged
            && person > 0
            && !job.signers.contains(&person);
        if !may {
            return Err(Kind::Refused);
        }
        let word = if reject { "reject" } else { "approve" };
        *self.verdicts.entry(word.to_owned()).or_default() += 1;
        job.signers.insert(person);
        self.tell(&mut job, "signed", word);
        if reject {
            let denied = (job.proposal.agent, job.plan());
            self.rejections.insert(denied, self.now + REJECTION_MS);
            self.end(job, Outcome::Rejected)?;
            return Ok(Answer::Signed(0));
        }
        let missing = quorum.saturating_sub(job.signers.len());
        job.approved = missing == 0;
        self.put(job);
        Ok(Answer::Signed(missing as u32))
    }

    fn question(&self, call: usize) -> Outcomes<Job> {
        let job = self.jobs.get(&call).ok_or(Kind::NotFound)?;
        if job.phase == Phase::AwaitingApproval { Ok(job.clone()) } else { Err(Kind::Refused) }
    }

    fn permit(&mut self, call: usize) -> Outcomes<Answer> {
        let mut job = self.question(call)?;
        if !job.approved {
            return Err(Kind::Refused);
        }
        job.fire(Event::Approve)?;
        job.expires = self.now + PERMIT_MS;
        let index = self.tell(&mut job, "intended", "");
        self.put(job);
        Ok(Answer::Recorded(index))
    }

    fn withdraw(&mut self, call: usize) -> Outcomes<Answer> {
        let job = self.question(call)?;
        self.note("ended", "denied", Some(call));
        self.end(job, Outcome::Refused).map(Answer::Recorded)
    }

    fn resolve(&mut self, call: usize, found: Found) -> Outcomes<Answer> {
        let known = self.readable(call).map(|_| call);
        self.note("administered", "operator resolve", known);
        let mut job = self.jobs.get(&call).cloned().ok_or(Kind::NotFound)?;
        let stuck = job.tries.is_some() && job.phase == Phase::Acting;
        let may = match job.outcome {
            Some(outcome) => outcome == Outcome::Indeterminate,
            None => stuck && found == Found::Failed,
        };
        if !may || job.found.is_some() {
            return Err(Kind::Refused);
        }
        (job.found, job.retry_at) = (Some(found), 0);
        self.tell(&mut job, "resolved", "");
        self.put(job);
        Ok(Answer::Done)
    }

    fn erase(&mut self, call: usize) -> Outcomes<Answer> {
        self.note("administered", "operator erase", None);
        if self.jobs.get(&call).is_some_and(|job| job.phase != Phase::Closed) {
            return Err(Kind::Refused);
        }
        if !self.ledger.iter().any(|(_, _, of)| *of == Some(call)) {
            return Err(Kind::NotFound);
        }
        if let Some(mut job) = self.jobs.get(&call).cloned() {
            job.erased = true;
            (job.notes, job.operations) = (0, BTreeMap::new());
            self.put(job);
        }
        self.note("administered", "erase", Some(call));
        Ok(Answer::Done)
    }

    fn lose_all(&mut self) {
        for (fence, (call, _)) in std::mem::take(&mut self.until) {
            let job = self.jobs[&call].clone();
            if job.leased && job.fence == fence {
                self.lose(job, false);
            }
        }
    }

    /// Ends the leases that ran out, by their numbers, and then the jobs that are out of time, by
    /// the time of their end.
    fn pass(&mut self, ms: i64) {
        self.now += ms;
        let over = self.until.iter().filter(|(_, (_, until))| *until <= self.now);
        for (fence, (call, _)) in over.map(|(fence, of)| (*fence, *of)).collect::<Vec<_>>() {
            self.until.remove(&fence);
            let job = self.jobs[&call].clone();
            if job.leased && job.fence == fence {
                self.lose(job, false);
            }
        }
        let mut late: Vec<Job> =
            self.jobs.values().filter(|job| self.is_late(job)).cloned().collect();
        late.sort_by_key(|job| (job.expires, job.seq));
        for job in late {
            self.end(job, Outcome::Expired).unwrap();
        }
    }

    fn read(&self, agent: usize, plan: usize, key: usize) -> Answer {
        let plan = (plan, None);
        let mut own: Vec<&Job> =
            self.jobs.values().filter(|job| job.proposal.agent == agent).collect();
        own.sort_by_key(|job| std::cmp::Reverse(job.seq));
        let mut summary = Summary {
            same: self.same(agent, plan).map(|job| {
                let ended = job.outcome.map_or(0, |_| self.now - job.ended);
                (job.proposal.call, ended as u64)
            }),
            key: self.keys.get(&(agent, key)).map(|(call, _)| *call),
            rejected_until: self
                .rejections
                .get(&(agent, plan))
                .copied()
                .filter(|until| *until > self.now),
            calls: own.iter().map(|job| (job.proposal.call, job.phase, job.outcome)).collect(),
            open: own
                .iter()
                .filter(|job| job.outcome.is_none())
                .map(|job| job.proposal.call)
                .collect(),
            phases: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            verdicts: self.verdicts.clone(),
            entries: self.ledger.len() as u64,
        };
        for job in self.jobs.values() {
            *summary.phases.entry(job.phase).or_default() += 1;
            if let (Phase::Closed, Some(outcome)) = (job.phase, job.outcome) {
                *summary.outcomes.entry(outcome).or_default() += 1;
            }
        }
        Answer::Read(Box::new(summary))
    }
}

/// The milliseconds that pass after a restart: until every lease of the time before is over, and
/// until every stuck job is due.
pub const AFTER_RESTART: [i64; 2] = [2 * LEASE_MS + 1_000, 80_000];

/// The milliseconds for which the second decision permits a job.
pub const PERMIT_MS: i64 = 24 * 3_600_000;

/// The time of a call. A permitted one came long ago, so that the bound of the queue, which depends
/// on the life of a permit, refuses none.
pub fn created(of: &Proposal, now: i64) -> i64 {
    if of.quorum.is_some() { now } else { now - 7 * 24 * 3_600_000 }
}
