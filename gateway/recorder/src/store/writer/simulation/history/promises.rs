//! The promises at the end of a history: no acknowledged job is lost, each has one outcome that
//! tells its effects, nothing is left, and the ledger verifies. Never repairs anything.

use super::History;
use crate::ledger::leaf::Leaf;
use crate::store::sql;
use crate::store::writer::simulation::planted::Planted;
use crate::store::writer::simulation::store::entry;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::record::Event;
use cofferdam_core::model::run::{Outcome, Phase};

impl History<'_> {
    /// Returns whether each job is closed, and each message arrived.
    pub(super) async fn is_over(&mut self) -> bool {
        let rows = self.store.rows().await;
        for call in &self.calls {
            let row = rows.get(call.job.call.as_str());
            let is_lost = row.is_none() && call.acknowledged.is_some();
            assert!(!is_lost, "an acknowledged job is lost");
            if row.is_none_or(|row| row.phase != Phase::Closed.word()) {
                return false;
            }
        }
        self.late.is_empty() && self.waiting.is_empty() && self.paused.is_none()
    }

    /// The jobs that are not closed, for people.
    pub(super) async fn open_jobs(&mut self) -> String {
        let waiting = (self.late.len(), self.waiting.len(), self.paused.is_some());
        let rows = self.store.rows().await.values();
        let open = rows.filter(|row| row.phase != Phase::Closed.word());
        let words = open.map(|row| {
            format!(
                "{} {} {:?}",
                row.call,
                row.phase,
                (row.stuck(), row.leased, row.fence, row.cancelled)
            )
        });
        format!("{:?}, {waiting:?} messages wait", words.collect::<Vec<_>>())
    }

    /// Checks the promises.
    pub(super) async fn check_end(&mut self) {
        for request in std::mem::take(&mut self.cluster.underway) {
            self.arrive(request).await;
        }
        if self.planted == Planted::Tampers {
            sql::query("UPDATE leaves SET entry = entry || ' ' WHERE idx = 1")
                .execute(&mut self.store.connection)
                .await
                .unwrap();
        }
        let (head, entries) = self.store.verified().await;
        self.note(&head.tree.root());
        let entries: Vec<_> = entries.iter().map(|text| entry(text)).collect();
        for at in 0..self.calls.len() {
            self.check_call(at, &entries).await;
        }
    }

    async fn check_call(&mut self, at: usize, entries: &[Leaf]) {
        let call = self.calls[at].job.call.clone();
        let row = self.store.row(&call).await.unwrap();
        let (detail, fence, outcome) =
            (row.detail.clone(), row.fence(), row.outcome().unwrap().unwrap());
        let own = |index: u64| {
            let entry = usize::try_from(index).ok().and_then(|index| entries.get(index));
            entry.is_some_and(|entry| is_of(entry, &call))
        };
        let is_kept = self.calls[at].acknowledged.is_none_or(own);
        assert!(is_kept, "an acknowledged entry is of another call: {call}");
        let named = |event: fn(&Event) -> bool| {
            entries.iter().filter(|leaf| is_of(leaf, &call) && event(&leaf.event)).count()
        };
        let finished = named(|event| matches!(event, Event::Finished { .. }));
        let closed = named(|event| matches!(event, Event::Closed { .. }));
        assert_eq!((finished, closed), (1, 1), "one outcome and one end: {call}");
        let applied = self.cluster.applied(&call);
        match outcome {
            Outcome::Indeterminate => {
                let started = named(|event| matches!(event, Event::Started { .. }));
                let done = named(|event| matches!(event, Event::Done { .. }));
                assert!(started > done, "indeterminate without an unknown effect: {call}");
            }
            _ if detail.starts_with("in effect: ") => {
                let told = detail == format!("in effect: {applied:?}");
                assert!(told, "an outcome differs from the effects: {detail}, {applied:?}");
                let all = applied.len() == usize::try_from(self.calls[at].operations).unwrap();
                let fits = all || outcome != Outcome::Succeeded;
                assert!(fits, "an outcome differs from the effects: {outcome}, {applied:?}");
            }
            _ => assert!(applied.is_empty(), "{outcome} with {applied:?}"),
        }
        assert!(!self.cluster.runs(&call).contains(&fence), "a closed job has its run");
        self.counts.jobs += 1;
        self.counts.indeterminate += u64::from(outcome == Outcome::Indeterminate);
    }
}

fn is_of(leaf: &Leaf, call: &CallId) -> bool {
    leaf.call.as_ref() == Some(call)
}
