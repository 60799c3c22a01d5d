//! The results of a run: lines while it goes on, a table at the end, and JSON. Computes no figure
//! that was not measured.

use super::processes::Processes;
use super::run::Run;
use super::table::Table;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The counters of the system at one moment.
pub struct Snapshot {
    pub processes: Processes,
    /// The flushes of the disk so far, by all programs.
    pub flushes: Option<u64>,
}

/// Everything that was measured.
#[derive(Default)]
pub struct Report {
    pub table: Table,
    pub loads: Vec<Value>,
}

impl Report {
    /// Prints a load with its cost, and keeps it for the JSON.
    pub fn load(&mut self, name: &str, run: &Run, before: &Snapshot, after: &Snapshot) {
        let flushes = after.flushes.zip(before.flushes);
        let flushes = flushes.map(|(now, then)| now.saturating_sub(then) as f64 / run.calls as f64);
        let (before, after) = (&before.processes, &after.processes);
        let micros = |seconds: f64| seconds * 1e6 / run.calls as f64;
        let cpu: BTreeMap<&str, f64> = after
            .cpu
            .iter()
            .map(|(role, now)| {
                let then = before.cpu.get(role).copied().unwrap_or_default();
                (role.as_str(), micros((now - then).max(0.0)))
            })
            .filter(|(_, micros)| *micros > 0.5)
            .collect();
        // Not the sum of the shown roles: a small one is left out, and an ended process moves.
        let sum = micros(after.all() - before.all());
        let written = after
            .written
            .zip(before.written)
            .map(|(now, then)| now.saturating_sub(then) as f64 / 1024.0 / run.calls as f64);
        let at = |part| run.latencies.percentile(part);
        println!(
            "{name:<38} {:>9.0}/s  p50 {:>8.3}  p99 {:>8.3}  p99.9 {:>8.3} ms  {sum:>7.0} µs CPU{}{}",
            run.rate(),
            at(0.5),
            at(0.99),
            at(0.999),
            written.map(|kib| format!("  {kib:>6.1} KiB written")).unwrap_or_default(),
            flushes.map(|flushes| format!("  {flushes:.2} flushes")).unwrap_or_default()
        );
        let roles: Vec<String> =
            cpu.iter().map(|(role, micros)| format!("{role} {micros:.0}")).collect();
        println!("{:<38} µs of CPU a call: {}", "", roles.join(", "));
        self.loads.push(json!({
            "name": name, "calls": run.calls, "per_second": run.rate(),
            "p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999),
            "cpu_us_per_call": cpu, "written_kib_per_call": written,
            "disk_flushes_per_call": flushes,
        }));
    }

    pub fn json(&self) -> Value {
        json!({"rows": self.table.json(), "loads": self.loads})
    }
}
