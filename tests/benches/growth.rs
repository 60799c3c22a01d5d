//! What grows: the start, the memory, the list and the rate of a gateway with few and with many
//! tools and ledger entries. The real gateway with all its roles, on loopback only. Prints a table;
//! a figure that was not measured says so. It never measures two gateways at once.
//!
//! `COFFERDAM_BINARIES` and `COFFERDAM_ASSETS` name the measured programs. `--quick` has no store
//! with many entries and no thousand tools.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

#[path = "growth/calls.rs"]
mod calls;
#[path = "load/client.rs"]
mod client;
#[path = "load/figures.rs"]
mod figures;
#[path = "growth/fill.rs"]
mod fill;
#[expect(dead_code, reason = "the tests need more of the installation than a benchmark does")]
#[path = "../it/installation.rs"]
mod installation;
#[expect(dead_code, reason = "the other program also measures the echo's CPU")]
#[path = "load/machine.rs"]
mod machine;
#[expect(dead_code, reason = "this program has no choice of loads")]
#[path = "load/options.rs"]
mod options;
#[expect(dead_code, reason = "the other program also measures CPU and written bytes")]
#[path = "load/processes.rs"]
mod processes;
#[expect(dead_code, reason = "the other program also counts calls")]
#[path = "load/run.rs"]
mod run;
#[path = "load/table.rs"]
mod table;

use installation::TestInstallation;
use machine::Echo;
use options::Options;
use processes::Processes;
use run::Run;
use serde_json::json;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use table::Table;

/// Tools and entries of the large installation.
const TOOLS: usize = 100;
const ENTRIES: u64 = 1_000_000;

/// The tools of the longest list.
const MANY_TOOLS: usize = 1_000;

/// The tools that a load calls in turn.
const MIXED_TOOLS: usize = 30;

/// The time that the longest list may take, with the start that compiles its tools.
const LISTING: Duration = Duration::from_secs(150);

/// Lists of all tools after the first: the median of these is the warm one.
const LISTS: usize = 5;

/// The rest after a start, so that an idle gateway is measured.
const SETTLE: Duration = Duration::from_secs(3);

/// Starts the gateway. Returns the milliseconds until it said that it is ready.
fn start(installation: &mut TestInstallation) -> f64 {
    let (address, began) = (installation.address(), Instant::now());
    // A finer watch than that of the tests, which looks every 50 ms.
    let watch = std::thread::spawn(move || {
        while !is_ready(address) {
            std::thread::sleep(Duration::from_millis(2));
        }
        began.elapsed().as_secs_f64() * 1000.0
    });
    installation.serve(&[]);
    watch.join().unwrap()
}

fn is_ready(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok() && calls::status(address, "/readyz") == Some(200)
}

/// The start with compiled tools, the memory after it, and the rate of denied calls.
fn measure(
    installation: &mut TestInstallation,
    token: &str,
    time: Duration,
) -> (f64, Processes, Run) {
    // The first start compiles the machine code of new tools.
    installation.serve(&[]);
    installation.stop();
    let ms = start(installation);
    std::thread::sleep(SETTLE);
    let memory = Processes::read(installation.supervisor());
    let rate = calls::denied(installation, token, time);
    (ms, memory, rate)
}

/// An installation whose one agent is the whole load.
fn unlimited() -> TestInstallation {
    let installation = TestInstallation::bare("example");
    installation.configure("requests_per_second", "1000000");
    installation.configure("burst", "1000000");
    installation.configure("jobs_per_day", "100000000");
    installation.configure("ledger_mib_per_day", "1000000");
    installation
}

fn main() {
    let Some(options) = Options::read() else {
        println!("skipped: run `cargo bench --workspace --bench growth`");
        return;
    };
    let entries = if options.quick { 0 } else { ENTRIES };
    if options.prepare {
        return fill::prepare(entries);
    }
    let time = Duration::from_secs(if options.quick { 3 } else { 10 });
    figures::check();
    let mut table = Table::default();
    let echo = Echo::start();
    let line = calls::echo(&echo, time);
    println!("{}", calls::text("bare echo", &line));
    drop(echo);

    let mut small = unlimited();
    let shipped = fill::tools(&small);
    let token = small.agent("bench", "operator");
    let (ms, memory, rate) = measure(&mut small, &token, time);
    println!("{}", calls::text(&format!("denied, {shipped} tools, empty store"), &rate));
    table.row(
        &format!("start to serving, {shipped} tools, empty store"),
        format!("{ms:.0} ms"),
        "",
    );
    table.row(&format!("RSS of all roles, idle, {shipped} tools"), memory.memory(), "≤ 90 MiB");
    small.stop();

    let mut large = unlimited();
    fill::add_tools(&large, TOOLS - shipped);
    fill::give_entries(&large, entries);
    let token = large.agent("bench", "operator");
    let (ms, memory, full) = measure(&mut large, &token, time);
    let name = format!("{TOOLS} tools, {entries} ledger entries");
    println!("{}", calls::text(&format!("denied, {name}"), &full));
    table.row(&format!("start to serving, {name}"), format!("{ms:.0} ms"), "≤ 300 ms");
    table.row(&format!("RSS of all roles, idle, {TOOLS} tools"), memory.memory(), "≤ 150 MiB");
    let (now, then) = (full.rate() / line.rate(), rate.rate() / line.rate());
    table.row(
        &format!("denied call, durable, c={}: {name}", calls::CALLERS),
        format!("{now:.4} × echo; {then:.4} × on an empty store with {shipped} tools"),
        "0.15 × echo",
    );
    let mixed = calls::denied_by_tools(&large, &token, &fill::added(MIXED_TOOLS), time);
    println!("{}", calls::text(&format!("denied, {MIXED_TOOLS} tools in turn, {name}"), &mixed));
    table.row(
        &format!("denied call, durable, c={}: {MIXED_TOOLS} tools in turn", calls::CALLERS),
        format!("{:.4} × echo", mixed.rate() / line.rate()),
        "0.15 × echo",
    );
    large.stop();
    drop(large);

    let what = format!("`tools/list`, {MANY_TOOLS} tools, all pages");
    let wanted = "≤ 20 ms warm, ≤ 600 ms cold";
    if options.quick {
        table.row(&what, "not measured with --quick".to_owned(), wanted);
    } else if !options.has_time(LISTING) {
        table.row(&what, "not measured: it would not end in ten minutes".to_owned(), wanted);
    } else {
        table.row(&what, list_many(), wanted);
    }
    table.give(options.rows.as_deref());
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", json!({"rows": table.json()}))).unwrap();
    }
}

/// The list of very many tools: the first one after a start, and the median of later ones.
fn list_many() -> String {
    let mut many = unlimited();
    fill::add_tools(&many, MANY_TOOLS - fill::tools(&many));
    let token = many.agent("bench", "operator");
    many.serve(&[]);
    let cold = calls::list(&many, &token);
    assert!(cold.tools >= MANY_TOOLS, "the list has only {} tools", cold.tools);
    let mut warm: Vec<f64> = (0..LISTS).map(|_| calls::list(&many, &token).ms).collect();
    warm.sort_by(f64::total_cmp);
    many.stop();
    format!("{:.0} ms warm, {:.0} ms cold ({} pages)", warm[LISTS / 2], cold.ms, cold.pages)
}
