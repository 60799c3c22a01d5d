//! What each receiver's task does: takes the next notification, sends it, reports the end, and
//! pauses after a failure. Reads no clock but the one that is passed in.

use super::receiver::{Receiver, SendError};
use cofferdam_core::model::notification::{Notification, NotifyEvent};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::courier_recorder::{Collect, Collected, Delivery, Unwritable};
use cofferdam_process::rpc;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// The way to the outbox of the recorder.
pub type Outbox = rpc::Client<Collect, Collected>;

/// The pauses of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// How long the recorder holds a request without a notification.
    pub wait: Duration,
    /// After a failed try, and after a recorder that gives no answer; doubled after each further
    /// one.
    pub first: Duration,
    /// The longest pause: a server that works again is found soon.
    pub longest: Duration,
    /// After this time without an answer of the recorder, people are told that the ledger cannot be
    /// written.
    pub silence: Duration,
    /// The same while the recorder never answered: it may read a long ledger at its start.
    pub first_silence: Duration,
}

impl Pauses {
    /// The usual pauses.
    pub const USUAL: Self = Self {
        wait: Duration::from_secs(30),
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
        silence: Duration::from_secs(60),
        first_silence: Duration::from_secs(360),
    };
}

/// Tells the receivers.
pub struct Teller {
    receivers: Vec<Receiver>,
    pauses: Pauses,
    clock: fn() -> Timestamp,
}

impl Teller {
    /// A teller for these receivers. `clock` is the wall clock.
    pub fn new(receivers: Vec<Receiver>, pauses: Pauses, clock: fn() -> Timestamp) -> Self {
        Self { receivers, pauses, clock }
    }

    /// Starts a task for each receiver. Dropping the set ends them.
    pub fn start(self, outbox: &Arc<Outbox>) -> JoinSet<()> {
        let Self { receivers, pauses, clock } = self;
        let mut tasks = JoinSet::new();
        for receiver in receivers {
            let outbox = Arc::clone(outbox);
            let task = Task {
                receiver,
                outbox,
                pauses,
                clock,
                failures: 0,
                is_failing: false,
                told: None,
                heard: None,
                quiet: None,
            };
            tasks.spawn(task.run());
        }
        tasks
    }
}

struct Task {
    receiver: Receiver,
    outbox: Arc<Outbox>,
    pauses: Pauses,
    clock: fn() -> Timestamp,
    /// The failures in a row, for the next pause.
    failures: u32,
    /// True if the log has the newest failure.
    is_failing: bool,
    /// The beginning of the newest time without a ledger that was told.
    told: Option<Timestamp>,
    /// The time of the newest answer of the recorder.
    heard: Option<Instant>,
    /// The end of the pause that the server asked for. The recorder keeps it for everything in the
    /// outbox; this pause is for notifications that are not there.
    quiet: Option<Instant>,
}

impl Task {
    async fn run(mut self) {
        let started = Instant::now();
        // The beginning of the present silence of the recorder.
        let mut silent: Option<Timestamp> = None;
        loop {
            let wait_ms = u64::try_from(self.pauses.wait.as_millis()).unwrap_or(u64::MAX);
            let receiver = self.receiver.name.clone();
            match self.outbox.call(&Collect::Next { receiver, wait_ms }).await {
                Ok(Collected::Next { delivery, unwritable }) => {
                    self.heard = Some(Instant::now());
                    silent = None;
                    self.take(delivery, unwritable).await;
                }
                Ok(Collected::Noted) => self.pause().await,
                Err(error) => {
                    let since = *silent.get_or_insert_with(self.clock);
                    let limit = match self.heard {
                        Some(_) => self.pauses.silence,
                        None => self.pauses.first_silence,
                    };
                    if self.heard.unwrap_or(started).elapsed() >= limit {
                        let why = format!("the recorder gives no answer: {error}");
                        self.tell_unwritable(Unwritable { since, why }).await;
                    }
                    sleep(self.pauses.first).await;
                }
            }
        }
    }

    async fn take(&mut self, delivery: Option<Box<Delivery>>, unwritable: Option<Unwritable>) {
        let idle = delivery.is_none() && unwritable.is_some();
        if let Some(unwritable) = unwritable {
            self.tell_unwritable(unwritable).await;
        }
        if let Some(delivery) = delivery {
            self.deliver(*delivery).await;
        } else if idle {
            // The recorder answers at once, as long as the ledger cannot be written.
            sleep(self.pauses.first).await;
        }
    }

    async fn deliver(&mut self, delivery: Delivery) {
        let Delivery { number, notification } = delivery;
        let sent = self.send(&notification).await;
        let receiver = self.receiver.name.clone();
        let report = match &sent {
            Ok(()) => Collect::Delivered { receiver, delivery: number },
            Err(error) => {
                let pause = error.retry_after().unwrap_or_default().as_millis();
                let retry_after_ms = u64::try_from(pause).unwrap_or(u64::MAX);
                let error = error.to_string();
                Collect::Failed { receiver, delivery: number, error, retry_after_ms }
            }
        };
        // Without this report the recorder would give the same notification again, so that it
        // would be sent twice.
        loop {
            match self.outbox.call(&report).await {
                Ok(_) | Err(RoleError::Refused(_)) => break,
                Err(_) => sleep(self.pauses.first).await,
            }
        }
        if sent.is_err() {
            self.pause().await;
        }
    }

    /// Tells once that the ledger cannot be written. The next turn repeats a failed try.
    async fn tell_unwritable(&mut self, unwritable: Unwritable) {
        let Unwritable { since, why } = unwritable;
        let is_quiet = self.quiet.is_some_and(|until| Instant::now() < until);
        if !self.receiver.unwritable || self.told == Some(since) || is_quiet {
            return;
        }
        let event = NotifyEvent::LedgerUnwritable;
        let id = format!("{event}.{}", since.as_millisecond());
        let notification = Notification { id, event, time: since, call: None, detail: why };
        match self.send(&notification).await {
            Ok(()) => self.told = Some(since),
            Err(_) => self.pause().await,
        }
    }

    /// Sends once. Logs when a receiver begins to fail, and when it works again.
    async fn send(&mut self, notification: &Notification) -> Result<(), SendError> {
        let name = self.receiver.name.as_str();
        let sent = self.receiver.send(notification, (self.clock)()).await;
        let asked = sent.as_ref().err().and_then(SendError::retry_after);
        self.quiet = asked.and_then(|pause| Instant::now().checked_add(pause));
        match &sent {
            Ok(()) => {
                self.failures = 0;
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!(name, "the receiver of notifications works again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(name, %error,
                    "a notification was not delivered; it is tried again");
                }
            }
        }
        sent
    }

    async fn pause(&mut self) {
        let pause = self.pauses.first.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        sleep(pause.min(self.pauses.longest)).await;
    }
}
