//! Loads on the real gateway with all its roles, on loopback only, against a bare hyper echo and the
//! disk of the same machine in the same run. Prints a table of ratios. `scripts/bench` runs it. A
//! part that would not end in time is left out, and its row says so.
//!
//! `COFFERDAM_BINARIES` and `COFFERDAM_ASSETS` name the measured programs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

#[path = "load/beside.rs"]
mod beside;
#[path = "load/client.rs"]
mod client;
#[path = "load/disk.rs"]
mod disk;
#[path = "load/figures.rs"]
mod figures;
#[expect(dead_code, reason = "the tests need more of the installation than a benchmark does")]
#[path = "../it/installation.rs"]
mod installation;
#[path = "load/machine.rs"]
mod machine;
#[path = "load/million.rs"]
mod million;
#[path = "load/options.rs"]
mod options;
#[path = "load/parts.rs"]
mod parts;
#[path = "load/processes.rs"]
mod processes;
#[path = "load/report.rs"]
mod report;
#[expect(dead_code, reason = "the program of many hosts sends several loads at once")]
#[path = "load/run.rs"]
mod run;
#[path = "load/scenarios.rs"]
mod scenarios;
#[path = "load/table.rs"]
mod table;

use installation::TestInstallation;
use options::Options;
use processes::Processes;
use scenarios::Bench;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The Deployments that jobs change: enough that few jobs wait for another job's object.
const DEPLOYMENTS: usize = 64;

/// The fewest denied calls before a full run compares its counters.
const COUNTED: u64 = 100_000;

/// The most denied calls whose ledger entries are read one by one: more would not fit in memory.
const READ_ONE_BY_ONE: u64 = 500_000;

/// The time that the last of so many denied calls may take.
const COUNTING: Duration = Duration::from_secs(60);

/// The longest wait for accepted jobs to close.
const DRAIN: Duration = Duration::from_secs(120);

/// The longest wait for the counters and the published ledger to follow the calls.
const FOLLOW: Duration = Duration::from_secs(30);

/// Writes Deployments that jobs can scale. Returns their names.
fn deployments(installation: &TestInstallation) -> Vec<String> {
    let folder = installation.tree().join("storefront");
    let web = fs::read_to_string(folder.join("web.yaml")).unwrap();
    let names = (0..DEPLOYMENTS).map(|number| format!("load-{number}")).collect::<Vec<_>>();
    for name in &names {
        let documents = web.split("\n---").filter(|text| text.contains("kind: Deployment"));
        let text: String = documents
            .take(1)
            .map(|text| text.replace("name: web", &format!("name: {name}")))
            .collect();
        fs::write(folder.join(format!("{name}.yaml")), text).unwrap();
    }
    names
}

fn main() {
    let Some(options) = Options::read() else {
        println!("skipped: run `scripts/bench`");
        return;
    };
    figures::check();
    let mut installation = TestInstallation::bare("example");
    // One agent is the whole load.
    installation.configure("requests_per_second", "1000000");
    installation.configure("burst", "1000000");
    installation.configure("jobs_per_day", "100000000");
    installation.configure("ledger_mib_per_day", "1000000");
    let token = installation.agent("bench", "operator");
    let deployments = deployments(&installation);
    let began = Instant::now();
    installation.serve(&[]);
    let start_ms = began.elapsed().as_secs_f64() * 1000.0;
    let idle = Processes::read(installation.supervisor());
    let echo = machine::Echo::start();
    let time = Duration::from_secs(if options.quick { 3 } else { 10 });
    let mut bench = Bench {
        installation: &installation,
        token: &token,
        echo: &echo,
        disk: disk::Disk::of(&installation.home()),
        time,
        report: report::Report::default(),
        durable: 0,
        denied: 0,
    };
    measure(&mut bench, &options, &deployments);
    // Minutes, so it is asked for by its name alone.
    if options.only.as_deref() == Some("million") {
        million::flat(&mut bench);
    }
    if !options.quick && options.wants("denied") && options.has_time(COUNTING) {
        bench.denied_until(32, COUNTED);
    }
    bench.report.table.row(
        "start to serving, shipped tools",
        format!("{start_ms:.0} ms"),
        "≤ 300 ms",
    );
    bench.report.table.row("RSS of all roles, idle, shipped tools", idle.memory(), "≤ 90 MiB");
    if options.wants("beside") {
        beside::row(&mut bench.report.table, time);
    }
    if options.only.is_none() {
        parts::rows(&mut bench.report.table, &criterion());
    }
    agree(&bench);
    bench.report.table.give(options.rows.as_deref());
    if let Some(path) = &options.json {
        fs::write(path, format!("{:#}\n", bench.report.json())).unwrap();
    }
}

/// The folder of the estimates that the benchmark of the sandbox leaves.
fn criterion() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| installation::repository().join("target")).join("criterion")
}

fn measure(bench: &mut Bench<'_>, options: &Options, deployments: &[String]) {
    let sync = disk::sync_ms(&bench.installation.home());
    println!("fdatasync of 4 KiB: {sync:.3} ms (median)");
    let (echo_1, _) = bench.echo(1);
    let (echo_32, echo_cpu) = bench.echo(32);
    let ratio = |rate: f64| format!("{:.4} × echo ({rate:.0}/s)", rate / echo_32.rate());
    if options.wants("denied") {
        let (one, _) = bench.denied(1);
        let (many, cpu) = bench.denied(32);
        if !options.quick {
            bench.denied(128);
            bench.denied_open(128, many.rate() / 2.0);
        }
        bench.denied_distinct(32);
        bench.report.table.row(
            "denied call, durable, c=32: rate",
            ratio(many.rate()),
            "0.15 × echo",
        );
        bench.report.table.row(
            "CPU per denied call, all roles, over the echo's CPU per request",
            format!("{:.1} × ({cpu:.0} µs : {echo_cpu:.0} µs)", cpu / echo_cpu),
            "≤ 10 ×",
        );
        let echo = echo_1.latencies.percentile(0.5);
        let over = (one.latencies.percentile(0.5) - sync) / echo;
        bench.report.table.row(
            "denied call, c=1: latency",
            format!(
                "{:.3} ms = 1 fdatasync ({sync:.3} ms) + {over:.0} × echo",
                one.latencies.percentile(0.5)
            ),
            "≤ 1 fdatasync + 15 × echo",
        );
    }
    if options.wants("answer") {
        let (answer, _) = bench.answers(32);
        bench.report.table.row(
            "read-only answer, durable, c=32",
            ratio(answer.rate()),
            "0.10 × echo",
        );
    }
    if options.wants("mixed") {
        bench.mixed(32);
    }
    if options.wants("list") {
        let (list, cpu) = bench.tools(32);
        let measured = format!("{}, {cpu:.0} µs CPU", ratio(list.rate()));
        bench.report.table.row("tools/list of the shipped tools, c=32", measured, "0.05 × echo");
    }
    if options.wants("job") {
        let one = bench.job(deployments, 20);
        let measured = format!("{:.1} ms", one.latencies.percentile(0.5));
        bench.report.table.row("request to effect, one directory job", measured, "≤ 15 ms");
        let calls = if options.quick { 600 } else { 6_000 };
        let (accepted, completed) = bench.jobs(32, deployments, calls, options.at_most(DRAIN));
        let measured = format!("{:.0}/s", accepted.rate());
        bench.report.table.row("jobs accepted durably, c=32", measured, "≥ 1,000/s");
        bench.report.table.row("directory jobs completed", format!("{completed:.0}/s"), "≥ 200/s");
    }
}

/// Compares `/metrics` and the published ledger with the calls: no counter is lost under load.
fn agree(bench: &Bench<'_>) {
    // Both follow the calls: each role reports after a moment, and tiles are written behind.
    let (began, installation) = (Instant::now(), bench.installation);
    let counter = |name: &str, words: &str| installation.metric(name, words) as u64;
    let requests = "http_server_request_duration_seconds_count";
    let (mut counted, mut decided, mut leaves) = (0, 0, 0);
    while [counted, decided, leaves] != [bench.denied; 3] && began.elapsed() < FOLLOW {
        std::thread::sleep(Duration::from_secs(3));
        counted = counter(requests, "status_code=\"403\"");
        decided = counter("cofferdam_decisions_total", "effect=\"deny\"");
        leaves = if bench.denied > READ_ONE_BY_ONE {
            // Their number alone: the store and the starts of roles have a few entries beside.
            counter("cofferdam_ledger_entries", "").min(bench.denied)
        } else {
            let entries = installation.entries_since(0);
            entries.iter().filter(|entry| entry["event"]["ending"] == "denied").count() as u64
        };
    }
    let dropped = counter("cofferdam_telemetry_dropped_total", "");
    let entries = counter("cofferdam_ledger_entries", "");
    println!(
        "\n{} denied calls; {counted} requests and {decided} decisions in /metrics, {leaves} \
         entries of denials in the ledger; {} durable calls and the jobs, {entries} ledger \
         entries; {dropped} signals dropped",
        bench.denied, bench.durable
    );
    assert_eq!([counted, decided, leaves], [bench.denied; 3], "calls were lost");
    assert!(entries >= bench.durable, "the ledger has fewer entries than durable calls");
}
