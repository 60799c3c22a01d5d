//! The requests of the courier: the next notification of a receiver, and the end of each try. Also
//! the notifications that no entry makes. Never sends anything, and knows no address.

use super::Recorder;
use crate::settings::LONGEST_WAIT_MS;
use crate::store::change::{Change, DeliveryEnd, Done};
use crate::store::{Due, Turn};
use crate::waiters::locked;
use cofferdam_core::model::notification::{NotifyEvent, ReceiverState};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::courier_recorder::{
    Collect, Collected, Delivery, LONGEST_RETRY_AFTER_MS, Unwritable,
};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The pause between two looks for a notification whose next try is due.
const LOOK: Duration = Duration::from_secs(1);

/// Milliseconds for which new work is refused before people are told: a short stop is no news.
const UNWRITABLE_MS: i64 = 5_000;

/// The time limit of a test: a try of the courier, and its turn.
const TEST: Duration = Duration::from_secs(45);

impl Recorder {
    /// Handles a request of the courier.
    ///
    /// # Errors
    /// The receiver is not configured, or the store fails.
    pub async fn collect(&self, collect: Collect) -> Result<Collected, RoleError> {
        match collect {
            Collect::Next { receiver, wait_ms } => {
                self.check_receiver(&receiver)?;
                self.next_notification(&receiver, wait_ms).await
            }
            Collect::Delivered { receiver, delivery } => {
                self.check_receiver(&receiver)?;
                locked(&self.inner.shared.quiet).remove(&receiver);
                self.settle(receiver, delivery, DeliveryEnd::Delivered).await
            }
            Collect::Failed { receiver, delivery, error, retry_after_ms } => {
                self.check_receiver(&receiver)?;
                let bounded = retry_after_ms.min(LONGEST_RETRY_AFTER_MS);
                let retry_after_ms = i64::try_from(bounded).unwrap_or(i64::MAX);
                if retry_after_ms > 0 {
                    let until = self.now().as_millisecond().saturating_add(retry_after_ms);
                    locked(&self.inner.shared.quiet).insert(receiver.clone(), until);
                }
                self.settle(receiver, delivery, DeliveryEnd::Failed { error, retry_after_ms }).await
            }
        }
    }

    fn check_receiver(&self, name: &str) -> Result<(), RoleError> {
        let receivers = &self.inner.settings.receivers;
        if receivers.iter().any(|receiver| receiver.name == name) {
            return Ok(());
        }
        Err(RoleError::Refused(format!(
            "no receiver `{name}`; `cofferdam.toml` has it as `[notify.{name}]`, and `serve` reads \
             it at its start"
        )))
    }

    async fn next_notification(
        &self,
        receiver: &str,
        wait_ms: u64,
    ) -> Result<Collected, RoleError> {
        let until = Instant::now() + Duration::from_millis(wait_ms.min(LONGEST_WAIT_MS));
        let mut changes = self.inner.shared.outbox.subscribe();
        loop {
            let unwritable = self.unwritable();
            // While the store takes no changes, a delivery could not be stored, and would be
            // repeated for ever.
            let delivery = if self.refuses_all() { None } else { self.next_news(receiver).await? };
            if delivery.is_some() || unwritable.is_some() || Instant::now() >= until {
                return Ok(Collected::Next { delivery: delivery.map(Box::new), unwritable });
            }
            let _changed = timeout_at(until.min(Instant::now() + LOOK), changes.changed()).await;
        }
    }

    /// The next notification that is not outdated. Removes the outdated ones before it: after an
    /// outage, no notification asks for an answer that was given meanwhile.
    async fn next_news(&self, receiver: &str) -> Result<Option<Delivery>, RoleError> {
        loop {
            let now = self.now().as_millisecond();
            let quiet = locked(&self.inner.shared.quiet).get(receiver).copied();
            let turn =
                if quiet.is_some_and(|until| now < until) { Turn::Tests } else { Turn::Everything };
            match self.inner.reader.next_delivery(receiver, now, turn).await? {
                None => return Ok(None),
                Some(Due::News(delivery)) => return Ok(Some(*delivery)),
                Some(Due::Over(number)) => {
                    self.settle(receiver.to_owned(), number, DeliveryEnd::Over).await?;
                }
            }
        }
    }

    /// The reason why new work is refused, once that lasts.
    fn unwritable(&self) -> Option<Unwritable> {
        let (why, now) = (self.refuses(), self.now());
        let mut known = locked(&self.inner.shared.unwritable);
        let Some(why) = why else {
            *known = None;
            return None;
        };
        let since = *known.get_or_insert(now);
        let lasts = now.as_millisecond().saturating_sub(since.as_millisecond());
        (lasts >= UNWRITABLE_MS).then_some(Unwritable { since, why })
    }

    async fn settle(
        &self,
        receiver: String,
        delivery: u64,
        end: DeliveryEnd,
    ) -> Result<Collected, RoleError> {
        let name = receiver.clone();
        let result = match &end {
            DeliveryEnd::Failed { error, .. } => Some(error.clone()),
            DeliveryEnd::Delivered | DeliveryEnd::Over => None,
        };
        match self.submit(Change::Settle { receiver, delivery, end }).await? {
            Done::Settled { test: true, .. } => {
                locked(&self.inner.shared.tested).insert(name, result);
                self.inner.shared.outbox.send_replace(());
            }
            Done::Settled { dropped: true, .. } => {
                tracing::error!(
                    what = "notification",
                    name,
                    "a notification could not be delivered within a day, and is given up"
                );
            }
            _ => {}
        }
        Ok(Collected::Noted)
    }

    /// Sends a test to a receiver and waits for the result.
    ///
    /// # Errors
    /// The receiver is not configured, the store fails, or the courier gave no result in time.
    pub(super) async fn test_receiver(
        &self,
        receiver: String,
    ) -> Result<Option<String>, RoleError> {
        self.check_receiver(&receiver)?;
        let until = Instant::now() + TEST;
        let mut changes = self.inner.shared.outbox.subscribe();
        locked(&self.inner.shared.tested).remove(&receiver);
        let (event, detail, only) = (NotifyEvent::Test, String::new(), Some(receiver.clone()));
        self.submit(Change::Tell { event, detail, receiver: only }).await?;
        loop {
            if let Some(result) = locked(&self.inner.shared.tested).remove(&receiver) {
                return Ok(result);
            }
            if timeout_at(until, changes.changed()).await.is_err() {
                return Err(RoleError::Unavailable(format!(
                    "there is no result within {} s; `cofferdam status` says if the courier is \
                     connected",
                    TEST.as_secs()
                )));
            }
        }
    }

    /// Makes the notifications that time makes. Runs with each sweep.
    pub(super) async fn remind(&self) {
        if self.inner.settings.receivers.is_empty() {
            return;
        }
        let due = self.inner.reader.due_to_tell(self.now().as_millisecond()).await;
        // An unreadable store is reported by the sweep itself.
        if due.unwrap_or(false)
            && let Err(error) = self.submit(Change::Remind).await
        {
            tracing::error!(what = "notifications", %error,
            "people could not be told in time; tried again");
        }
    }

    /// Makes a notification when a self-check of the cluster begins to fail.
    pub(super) fn note_fences(&self, why: Option<&str>) {
        let mut told = locked(&self.inner.shared.unfenced);
        let was = std::mem::replace(&mut *told, why.is_some());
        let (Some(why), false) = (why, was) else { return };
        let (recorder, detail) = (self.clone(), why.to_owned());
        tokio::spawn(async move {
            let event = NotifyEvent::FenceMissing;
            let change = Change::Tell { event, detail, receiver: None };
            if let Err(error) = recorder.submit(change).await {
                tracing::error!(what = "notifications", %error,
                "people could not be told of a missing admission policy");
            }
        });
    }

    /// A warning for each receiver that takes nothing at present.
    pub(super) async fn failing_receivers(&self) -> Vec<String> {
        let failing = |state: ReceiverState| {
            let ReceiverState { name, waiting, error, .. } = state;
            error.map(|error| {
                format!(
                    "notifications to `{name}` fail, and {waiting} wait: {error}; `cofferdam \
                     notify test {name}` tries once more"
                )
            })
        };
        self.deliveries().await.into_iter().filter_map(failing).collect()
    }

    /// The deliveries to each receiver. An unreadable store is reported elsewhere, with its cause.
    pub(super) async fn deliveries(&self) -> Vec<ReceiverState> {
        let receivers = &self.inner.settings.receivers;
        if receivers.is_empty() {
            return Vec::new();
        }
        self.inner.reader.deliveries(receivers).await.unwrap_or_default()
    }
}
