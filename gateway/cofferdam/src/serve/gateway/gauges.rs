//! The metrics of the gateway: gauges and totals that are read before each export, from the store,
//! the disk and the notice of the supervisor, and the counts of HTTP requests.

use super::front::Gateway;
use cofferdam_core::journey::ports::{Answered, Front as _};
use cofferdam_core::model::run::{OUTCOMES, PHASES, Phase};
use cofferdam_core::protocol::gateway_recorder::{Counts, Propose, Proposed};
use cofferdam_core::protocol::telemetry_names::{
    HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
};
use cofferdam_process::access::space;
use cofferdam_telemetry::metrics;
use std::sync::atomic::Ordering;

impl Gateway {
    /// Sets every gauge and total that is kept elsewhere.
    pub async fn count(&self) {
        let exporter = &self.exporter;
        // Counts of this process that wait for their next batch.
        exporter.take_metrics(self.outlet.take_metrics());
        if let Ok(Proposed::Counts(counts)) = self.recorder().call(&Propose::Counts).await {
            self.count_store(&counts);
        }
        if let Ok(space) = space(&self.disk) {
            exporter.set(metrics::DISK_FREE, &[], number(space.free));
            exporter.set(metrics::DISK_RESERVE, &[], number(space.reserve));
        }
        let ready = self.ready().await;
        exporter.set(metrics::READY, &[], f64::from(u8::from(ready.missing.is_empty())));
        exporter.set(
            metrics::STUCK_JOBS,
            &[],
            number(u64::try_from(ready.stuck.len()).unwrap_or(u64::MAX)),
        );
        let active = self.active.load(Ordering::Relaxed);
        exporter.set(metrics::HTTP_ACTIVE_REQUESTS, &[], f64::from(active));
        exporter.set(metrics::RESTART_NEEDED, &[], f64::from(u8::from(!ready.restart.is_empty())));
    }

    fn count_store(&self, counts: &Counts) {
        let exporter = &self.exporter;
        exporter.set(metrics::LEDGER_ENTRIES, &[], number(counts.entries));
        for phase in PHASES.into_iter().filter(|phase| *phase != Phase::Closed) {
            let jobs = counts.phases.get(&phase).copied().unwrap_or(0);
            exporter.set(metrics::OPEN_JOBS, &[("phase", phase.word())], number(jobs));
            if phase == Phase::AwaitingApproval {
                exporter.set(metrics::WAITING_QUESTIONS, &[], number(jobs));
            }
        }
        for outcome in OUTCOMES {
            let jobs = counts.outcomes.get(&outcome).copied().unwrap_or(0);
            exporter.set(metrics::CLOSED_JOBS, &[("outcome", outcome.word())], number(jobs));
        }
        for receiver in &counts.receivers {
            let labels = [("receiver", receiver.name.as_str())];
            exporter.set(metrics::NOTIFICATIONS_WAITING, &labels, number(receiver.waiting));
            for (end, count) in [
                ("delivered", receiver.delivered),
                ("failed", receiver.failed),
                ("dropped", receiver.dropped),
                ("over", receiver.over),
            ] {
                let labels = [("receiver", receiver.name.as_str()), ("end", end)];
                exporter.set(metrics::NOTIFICATIONS, &labels, number(count));
            }
        }
        for answer in ["approve", "reject"] {
            let signed = counts.answers.get(answer).copied().unwrap_or(0);
            exporter.set(metrics::APPROVALS, &[("answer", answer)], number(signed));
        }
    }

    /// Sets the number of HTTP requests in progress.
    pub fn count_active(&self, requests: u32) {
        self.active.store(requests, Ordering::Relaxed);
    }

    /// Counts one request that named two MCP revisions.
    pub fn count_mixed_revisions(&self, client: &str) {
        self.outlet.count(metrics::MIXED_REVISIONS, &[("client", client)], 1);
    }

    /// Counts one request over a limit of its agent.
    pub fn count_over_limit(&self, limit: &'static str) {
        self.outlet.count(metrics::OVER_LIMIT, &[("limit", limit)], 1);
    }

    /// Counts one answered request.
    pub fn count_answered(&self, answered: &Answered) {
        let (status, code) = (answered.status.to_string(), answered.code.to_string());
        let labels = [
            (HTTP_REQUEST_METHOD, answered.method),
            (HTTP_ROUTE, answered.route),
            (HTTP_RESPONSE_STATUS_CODE, status.as_str()),
        ];
        self.outlet.observe(metrics::HTTP_REQUEST_DURATION, &labels, answered.took);
        if answered.code != 0 {
            let labels = [(HTTP_ROUTE, answered.route), ("code", code.as_str())];
            self.outlet.count(metrics::HTTP_REFUSALS, &labels, 1);
        }
        match answered.status {
            401 => {
                self.outlet.count(metrics::UNAUTHENTICATED, &[], 1);
                self.shared.roles.call_log().unauthenticated(answered);
            }
            // Malformed requests. An unknown path, method or host, and an overload, are counted
            // elsewhere.
            400 | 406 | 408 | 413 | 415 | 422 | 431 if answered.code != 0 => {
                self.outlet.count(metrics::MALFORMED, &[("reason", &code)], 1);
            }
            _ => {}
        }
    }
}

/// Counts below 2^53 are exact.
fn number(count: u64) -> f64 {
    let (high, low) = (
        u32::try_from(count >> 32).unwrap_or(u32::MAX),
        u32::try_from(count & 0xffff_ffff).unwrap_or(0),
    );
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_exact() {
        for count in [0, 1, u64::from(u32::MAX), 1 << 40, (1 << 53) - 1] {
            assert_eq!(format!("{}", number(count)), count.to_string());
        }
    }
}
