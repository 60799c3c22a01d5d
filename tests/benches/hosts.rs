//! Loads on an installation of many hosts, on this machine: one PostgreSQL, one or two recorders, and
//! one, two or four gateways, each in a process tree of its own, linked by mutual TLS. Prints rows
//! for the table of `scripts/bench`. Two cores show the cost of the links and of the database, and
//! no scaling. Everything is on loopback, and ends by itself.
//!
//! `COFFERDAM_BINARIES`, `COFFERDAM_ASSETS` and `COFFERDAM_POSTGRES` name the measured programs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

#[path = "load/client.rs"]
mod client;
#[path = "hosts/fail_over.rs"]
mod fail_over;
#[path = "load/figures.rs"]
mod figures;
#[path = "hosts/fleet.rs"]
mod fleet;
#[expect(dead_code, reason = "the tests need more of the hosts than a benchmark does")]
#[path = "../it/links/hosts.rs"]
mod hosts;
#[expect(dead_code, reason = "the tests need more of the installation than a benchmark does")]
#[path = "../it/installation.rs"]
mod installation;
#[expect(dead_code, reason = "the other programs leave parts out")]
#[path = "load/options.rs"]
mod options;
#[expect(dead_code, reason = "the other program has open loops")]
#[path = "load/run.rs"]
mod run;
#[expect(dead_code, reason = "the other programs write JSON")]
#[path = "load/table.rs"]
mod table;

use fleet::Fleet;
use options::Options;
use std::time::Duration;
use table::Table;

/// The numbers of gateways.
const GATEWAYS: [usize; 3] = [1, 2, 4];

fn main() {
    let Some(options) = Options::read() else {
        println!("skipped: run `scripts/bench --only hosts`");
        return;
    };
    figures::check();
    let time = Duration::from_secs(if options.quick { 3 } else { 10 });
    let calls = if options.quick { 200 } else { 600 };
    let mut table = Table::default();
    let mut first = None;
    for gateways in GATEWAYS {
        let fleet = Fleet::start(gateways, 1);
        let denied = fleet.denied(time);
        let (accepted, completed) = fleet.jobs(calls);
        let one = *first.get_or_insert([denied.rate(), accepted.rate(), completed]);
        let row = |rate: f64, first: f64| format!("{:.2} × 1 gateway ({rate:.0}/s)", rate / first);
        let noun = if gateways == 1 { "gateway" } else { "gateways" };
        for (what, rate, first) in [
            ("denied calls, durable, c=32", denied.rate(), one[0]),
            ("jobs accepted durably, c=32", accepted.rate(), one[1]),
            ("directory jobs completed", completed, one[2]),
        ] {
            let what = format!("{gateways} {noun}, one PostgreSQL: {what}");
            println!("{what}: {rate:.0}/s");
            table.row(&what, row(rate, first), "no loss by a further gateway");
        }
    }
    fail_over::rows(&mut table, options.quick);
    table.give(options.rows.as_deref());
}
