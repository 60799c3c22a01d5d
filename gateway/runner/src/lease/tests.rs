//! Leases over connections that are silent, are lost, or come back.

use super::*;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::sync::watch;

/// How long anything may take on a loaded machine before a test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A recorder behind connections that the test makes and breaks.
struct Behind {
    /// The number of the present connection; 0 without one.
    connection: watch::Sender<u64>,
    /// Every request that arrived, with the number of its connection.
    asked: Mutex<Vec<(u64, Claim)>>,
    /// The connections on which the recorder carries a request out and no answer arrives.
    breaks_at: Mutex<Vec<u64>>,
    /// The answer to a request for the lease.
    resumed: fn() -> Result<Claimed, RoleError>,
    resumes: AtomicUsize,
    silent: bool,
    /// Reports are answered after this time, and heartbeats never.
    late: Option<Duration>,
}

impl Behind {
    fn new(connection: u64) -> Self {
        Self {
            connection: watch::Sender::new(connection),
            asked: Mutex::default(),
            breaks_at: Mutex::default(),
            resumed: || Ok(Claimed::Lease { cancelled: false }),
            resumes: AtomicUsize::new(0),
            silent: false,
            late: None,
        }
    }

    /// The requests so far, but for heartbeats.
    fn asked(&self) -> Vec<(u64, Claim)> {
        let asked = self.asked.lock().unwrap();
        let beat = |(_, claim): &&(u64, Claim)| !matches!(claim, Claim::Heartbeat { .. });
        asked.iter().filter(beat).cloned().collect()
    }
}

impl Recorder for Behind {
    async fn claim_on(&self, on: u64, claim: &Claim) -> Result<Option<Claimed>, RoleError> {
        if self.silent {
            std::future::pending::<()>().await;
        }
        if *self.connection.borrow() != on {
            return Ok(None);
        }
        match (self.late, claim) {
            (Some(late), Claim::Move { .. }) => tokio::time::sleep(late).await,
            (Some(_), _) => std::future::pending::<()>().await,
            (None, _) => {}
        }
        self.asked.lock().unwrap().push((on, claim.clone()));
        let mut breaks_at = self.breaks_at.lock().unwrap();
        if let Some(at) = breaks_at.iter().position(|number| *number == on) {
            breaks_at.remove(at);
            self.connection.send_replace(0);
            return Ok(None);
        }
        match claim {
            Claim::Resume { .. } => {
                self.resumes.fetch_add(1, Ordering::SeqCst);
                (self.resumed)().map(Some)
            }
            Claim::Move { .. } => Ok(Some(Claimed::Recorded(Recorded { index: 41 }))),
            Claim::LetGo { .. } => Ok(Some(Claimed::Released)),
            _ => Ok(Some(Claimed::Lease { cancelled: false })),
        }
    }

    fn connection(&self) -> Option<u64> {
        Some(*self.connection.borrow()).filter(|number| *number > 0)
    }

    async fn next_connection(&self) -> u64 {
        *self.connection.subscribe().wait_for(|number| *number > 0).await.unwrap()
    }
}

fn token() -> ClaimToken {
    ClaimToken::from_random(5)
}

fn lease(recorder: &Arc<Behind>, seconds: u64) -> Lease<Behind> {
    let claim = ClaimedBy { token: Some(token()), connection: Some(1) };
    Lease::keep(Arc::clone(recorder), (CallId::from_random(1), Fence(1)), claim, seconds)
}

fn resume() -> Claim {
    Claim::Resume { call: CallId::from_random(1), fence: Fence(1), token: token() }
}

fn moved(events: Vec<RunnerEvent>, number: u64) -> Claim {
    Claim::Move { call: CallId::from_random(1), fence: Fence(1), events, number: Some(number) }
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it takes too long")
}

#[tokio::test]
async fn a_heartbeat_without_an_answer_loses_the_lease() {
    let recorder = Arc::new(Behind { silent: true, ..Behind::new(1) });
    let lease = lease(&recorder, 0);
    assert_eq!(lease.stopped().await, None);
    in_time(async {
        while !lease.is_stopped() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(lease.stopped().await, Some(Stopped::Lost));
}

#[tokio::test]
async fn an_answer_after_the_end_of_the_lease_does_not_count() {
    for (late, expected) in [(0, Ok(Recorded { index: 41 })), (4_000, Err(RoleError::Fenced))] {
        let late = Some(Duration::from_millis(late));
        let recorder = Arc::new(Behind { late, ..Behind::new(1) });
        let lease = lease(&recorder, 2);
        assert_eq!(lease.report(RunnerEvent::Acting).await, expected, "{late:?}");
        assert_eq!(lease.is_stopped(), expected.is_err(), "{late:?}");
    }
}

#[tokio::test]
async fn a_report_whose_answer_was_lost_comes_again_over_the_next_connection() {
    let recorder = Arc::new(Behind::new(1));
    let lease = lease(&recorder, 60);
    lease.defer(RunnerEvent::Acting);
    recorder.breaks_at.lock().unwrap().extend([1, 2]);
    let report = lease.report(RunnerEvent::Gone { namespace: String::new() });
    let reconnect = async {
        for number in [2, 3] {
            recorder.connection.subscribe().wait_for(|now| *now == 0).await.unwrap();
            recorder.connection.send_replace(number);
        }
    };
    let (reported, ()) = in_time(async { tokio::join!(report, reconnect) }).await;
    assert_eq!(reported, Ok(Recorded { index: 41 }));
    let events = vec![RunnerEvent::Acting, RunnerEvent::Gone { namespace: String::new() }];
    let report = moved(events, 1);
    let asked = [(1, report.clone()), (2, resume()), (3, resume()), (3, report)];
    assert_eq!(recorder.asked(), asked, "the same report, after the lease is taken over");
    lease.report(RunnerEvent::Acting).await.unwrap();
    let last = recorder.asked().pop();
    assert_eq!(last, Some((3, moved(vec![RunnerEvent::Acting], 2))), "a new one has a new number");
}

#[tokio::test]
async fn nothing_begins_while_the_recorder_is_away_and_the_job_goes_on_after_it() {
    let recorder = Arc::new(Behind::new(1));
    let lease = lease(&recorder, 60);
    recorder.connection.send_replace(0);
    let wait = tokio::time::timeout(Duration::from_millis(50), lease.stopped()).await;
    assert!(wait.is_err(), "an effect began without a connection: {wait:?}");
    assert!(!lease.is_stopped(), "the lease lasts");
    recorder.connection.send_replace(2);
    assert_eq!(in_time(lease.stopped()).await, None);
    assert_eq!(recorder.asked(), [(2, resume())]);
    assert_eq!(lease.confirm().await, None);
    assert_eq!(recorder.resumes.load(Ordering::SeqCst), 1, "once for each connection");
}

#[tokio::test]
async fn a_lease_ends_by_the_runners_own_clock_while_the_recorder_is_away() {
    let recorder = Arc::new(Behind::new(1));
    let lease = lease(&recorder, 1);
    recorder.connection.send_replace(0);
    assert_eq!(in_time(lease.stopped()).await, Some(Stopped::Lost));
    recorder.connection.send_replace(2);
    assert_eq!(lease.stopped().await, Some(Stopped::Lost), "what was lost stays lost");
    assert_eq!(lease.report(RunnerEvent::Acting).await, Err(RoleError::Fenced));
    assert_eq!(recorder.asked(), [], "nothing is asked under a lost lease");
}

#[tokio::test]
async fn a_lease_that_the_recorder_does_not_give_back_is_lost() {
    let answers: [fn() -> Result<Claimed, RoleError>; 2] =
        [|| Err(RoleError::Fenced), || Err(RoleError::Refused("another job".to_owned()))];
    for resumed in answers {
        let recorder = Arc::new(Behind { resumed, ..Behind::new(2) });
        let lease = lease(&recorder, 60);
        assert_eq!(in_time(lease.stopped()).await, Some(Stopped::Lost));
        assert_eq!(lease.report(RunnerEvent::Acting).await, Err(RoleError::Fenced));
        assert_eq!(recorder.asked(), [(2, resume())]);
    }
}

#[tokio::test]
async fn a_cancellation_that_came_meanwhile_stops_the_job() {
    let resumed = || Ok(Claimed::Lease { cancelled: true });
    let recorder = Arc::new(Behind { resumed, ..Behind::new(2) });
    let lease = lease(&recorder, 60);
    assert_eq!(in_time(lease.stopped()).await, Some(Stopped::Cancelled));
}

#[tokio::test]
async fn a_claim_without_a_token_ends_with_its_connection() {
    let recorder = Arc::new(Behind::new(1));
    let claim = ClaimedBy { token: None, connection: Some(1) };
    let one = (CallId::from_random(1), Fence(1));
    let lease = Lease::keep(Arc::clone(&recorder), one, claim, 60);
    lease.report(RunnerEvent::Acting).await.unwrap();
    recorder.connection.send_replace(2);
    assert_eq!(lease.stopped().await, Some(Stopped::Lost));
    let [(1, Claim::Move { number: None, .. })] = &recorder.asked()[..] else {
        panic!("a recorder that knows no token gets no number: {:?}", recorder.asked())
    };
}
