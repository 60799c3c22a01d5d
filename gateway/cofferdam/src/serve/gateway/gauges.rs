//! The gauges and counters of a metrics request: from the store, the disk and the notice of the
//! supervisor.

use super::front::Gateway;
use cofferdam_core::journey::ports::{Answered, Front as _};
use cofferdam_core::model::run::{OUTCOMES, PHASES, Phase};
use cofferdam_core::protocol::gateway_recorder::{Counts, Propose, Proposed};
use cofferdam_process::access::space;

impl Gateway {
    /// Sets every gauge and counter.
    pub async fn count(&self, active: u32) {
        let exporter = &self.exporter;
        exporter.set("http_server_active_requests", &[], f64::from(active));
        if let Ok(Proposed::Counts(counts)) = self.recorder().call(&Propose::Counts).await {
            self.count_store(&counts);
        }
        if let Ok(space) = space(&self.disk) {
            exporter.set("cofferdam_disk_free_bytes", &[], number(space.free));
            exporter.set("cofferdam_disk_reserve_bytes", &[], number(space.reserve));
        }
        let ready = self.ready().await;
        exporter.set("cofferdam_ready", &[], f64::from(u8::from(ready.missing.is_empty())));
        exporter.set(
            "cofferdam_stuck_jobs",
            &[],
            number(u64::try_from(ready.stuck.len()).unwrap_or(u64::MAX)),
        );
        exporter.set(
            "cofferdam_restart_needed",
            &[],
            f64::from(u8::from(!ready.restart.is_empty())),
        );
    }

    fn count_store(&self, counts: &Counts) {
        let exporter = &self.exporter;
        exporter.set("cofferdam_ledger_entries", &[], number(counts.entries));
        for phase in PHASES.into_iter().filter(|phase| *phase != Phase::Closed) {
            let jobs = counts.phases.get(&phase).copied().unwrap_or(0);
            exporter.set("cofferdam_jobs", &[("phase", phase.word())], number(jobs));
            if phase == Phase::AwaitingApproval {
                exporter.set("cofferdam_waiting_questions", &[], number(jobs));
            }
        }
        for outcome in OUTCOMES {
            let jobs = counts.outcomes.get(&outcome).copied().unwrap_or(0);
            exporter.set("cofferdam_jobs_total", &[("outcome", outcome.word())], number(jobs));
        }
        for answer in ["approve", "reject"] {
            let signed = counts.answers.get(answer).copied().unwrap_or(0);
            exporter.set("cofferdam_approvals_total", &[("answer", answer)], number(signed));
        }
    }

    /// Counts one request with its status.
    pub fn count_answered(&self, answered: &Answered) {
        let (status, code) = (answered.status.to_string(), answered.code.to_string());
        let labels = [
            ("http_request_method", answered.method),
            ("http_route", answered.route),
            ("http_response_status_code", status.as_str()),
        ];
        self.exporter.add(
            "http_server_request_duration_seconds",
            &labels,
            answered.took.as_secs_f64(),
        );
        match answered.status {
            401 => {
                self.exporter.add("cofferdam_unauthenticated_total", &[], 1.0);
                self.world.roles.heard().unauthenticated(answered);
            }
            // Malformed requests. An unknown path, method or host, and an overload, are counted
            // elsewhere.
            400 | 406 | 408 | 413 | 415 | 422 | 431 if answered.code != 0 => {
                self.exporter.add("cofferdam_malformed_total", &[("reason", &code)], 1.0);
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
