//! A fail-over under load: the host of the sequencer is killed, and the standby takes over. Counts
//! every answer; an agent may wait longer, and gets the same answer.

use crate::client::Client;
use crate::figures::Latencies;
use crate::fleet::{DENIED, Fleet};
use crate::table::Table;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::{LocalSet, spawn_local};

/// Calls a second.
const RATE: f64 = 100.0;

/// The connections: enough that calls at this rate are sent while others wait for the standby, and
/// fewer than one address may have.
const CALLERS: usize = 200;

/// The results of the load.
#[derive(Default)]
struct Answers {
    latencies: Latencies,
    /// The time of each answer after the kill.
    after: Vec<Duration>,
    /// Each other answer, by its status and the beginning of its body; no status for a lost
    /// connection.
    others: BTreeMap<String, u64>,
}

/// Runs the load, and adds its rows.
pub fn rows(table: &mut Table, quick: bool) {
    let seconds = if quick { 8.0 } else { 20.0 };
    let mut fleet = Fleet::start(1, 2);
    let (calls, kill_at) = ((RATE * seconds) as u64, Duration::from_secs_f64(seconds / 4.0));
    let address = fleet.gateways()[0];
    let request: Rc<[u8]> = fleet.denied_call(address).into();
    let answers = Rc::new(RefCell::new(Answers::default()));
    let killed = fleet.hosts.sequencer().expect("a recorder is the sequencer");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now() + Duration::from_millis(200);
    LocalSet::new().block_on(&runtime, async {
        let mut tasks = Vec::new();
        for caller in 0..CALLERS {
            let mut client = Client::connect(address).await.unwrap();
            let (request, answers) = (Rc::clone(&request), Rc::clone(&answers));
            tasks.push(spawn_local(async move {
                for number in (0..calls).filter(|number| *number as usize % CALLERS == caller) {
                    let intended = began + Duration::from_secs_f64(number as f64 / RATE);
                    tokio::time::sleep_until(intended.into()).await;
                    let other = match client.send(&request).await {
                        Ok(reply) if reply.status == DENIED.status => None,
                        Ok(reply) => Some(format!(
                            "{}: {:.120}",
                            reply.status,
                            String::from_utf8_lossy(reply.body)
                        )),
                        Err(error) => Some(format!("none: {error}")),
                    };
                    let mut answers = answers.borrow_mut();
                    if let Some(other) = other {
                        *answers.others.entry(other).or_default() += 1;
                        continue;
                    }
                    answers.latencies.add(intended.elapsed());
                    if let Some(after) = Instant::now().checked_duration_since(began + kill_at) {
                        answers.after.push(after);
                    }
                }
            }));
        }
        tokio::time::sleep_until((began + kill_at).into()).await;
        fleet.hosts.kill(&killed);
        for task in tasks {
            task.await.unwrap();
        }
    });
    let answers = answers.borrow();
    // Calls that the old sequencer committed may be answered a moment after the kill.
    let gap = answers.after.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max();
    let at = |part| answers.latencies.percentile(part);
    table.row(
        "the sequencer's host is killed: time to the first answer of the other one",
        format!("{:.1} s", gap.unwrap_or_default().as_secs_f64()),
        "≤ 5 s",
    );
    table.row(
        "the same, 100 calls/s: p50, p99 and longest latency",
        format!("{:.1} ms, {:.0} ms, {:.0} ms", at(0.5), at(0.99), at(1.0)),
        "p50 as before",
    );
    table.row(
        "the same: calls that got another answer",
        format!("{} of {calls}", answers.others.values().sum::<u64>()),
        "0",
    );
    for (other, count) in &answers.others {
        println!("{count} calls got another answer: {other}");
    }
}
