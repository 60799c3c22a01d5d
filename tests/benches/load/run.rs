//! Loads: callers in a closed loop, or calls at a fixed rate. Checks the status and the body of
//! every response. Ends by itself, after a time or a number of calls.

use super::client::{Client, Reply};
use super::figures::Latencies;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::{LocalSet, spawn_local};

/// The expected response of each call of a load.
#[derive(Clone, Copy)]
pub struct Expected {
    pub status: u16,
    /// Bytes that the body contains. An echo is compared with the whole request body instead.
    pub contains: &'static str,
}

/// When a load ends.
#[derive(Clone, Copy)]
pub enum Length {
    Time(Duration),
    Calls(u64),
}

/// A load on one server.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    /// The requests, sent in turn, again from the first after the last.
    pub requests: Rc<[Vec<u8>]>,
    pub expected: Expected,
    /// The connections.
    pub callers: usize,
    pub length: Length,
    /// Calls a second of an open loop; a closed loop without one.
    pub rate: Option<f64>,
}

/// The result of a load.
pub struct Run {
    pub calls: u64,
    pub seconds: f64,
    pub latencies: Latencies,
}

impl Run {
    /// Calls a second.
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.seconds
    }
}

#[test]
fn a_rate_is_calls_over_seconds() {
    let run = Run { calls: 1_000, seconds: 4.0, latencies: Latencies::default() };
    assert_eq!(run.rate(), 250.0);
}

/// The state that the callers of a load share.
#[derive(Default)]
struct Shared {
    next: Cell<u64>,
    latencies: RefCell<Latencies>,
}

/// Sends the load from one thread, so that the rest of the machine is the server's.
///
/// # Panics
/// A call failed, or its response was another one.
pub fn run(load: &Load) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, drive(load))
}

/// Sends several loads at the same time, as [`run`] does; the result is that of all.
///
/// # Panics
/// As [`run`].
pub fn run_all(loads: &[Load]) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let one = |load: Load| spawn_local(async move { drive(&load).await });
        let running: Vec<_> = loads.iter().cloned().map(one).collect();
        let mut all = Run { calls: 0, seconds: 0.0, latencies: Latencies::default() };
        for run in running {
            let run = run.await.unwrap();
            all.calls += run.calls;
            all.seconds = f64::max(all.seconds, run.seconds);
            all.latencies.append(run.latencies);
        }
        all
    })
}

async fn drive(load: &Load) -> Run {
    let mut clients = Vec::with_capacity(load.callers);
    for _ in 0..load.callers {
        clients.push(Client::connect(load.address).await.unwrap());
    }
    let shared = Rc::new(Shared::default());
    let began = Instant::now();
    let callers = clients
        .into_iter()
        .map(|client| spawn_local(call_until_end(load.clone(), client, Rc::clone(&shared), began)))
        .collect::<Vec<_>>();
    for caller in callers {
        caller.await.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    let latencies = shared.latencies.take();
    Run { calls: latencies.count(), seconds, latencies }
}

async fn call_until_end(load: Load, mut client: Client, shared: Rc<Shared>, began: Instant) {
    loop {
        let number = shared.next.get();
        let ended = match load.length {
            Length::Time(time) => began.elapsed() >= time,
            Length::Calls(calls) => number >= calls,
        };
        if ended {
            return;
        }
        shared.next.set(number + 1);
        // An open loop counts from the intended time: a late call has waited.
        let intended = match load.rate {
            Some(rate) => {
                let at = began + Duration::from_secs_f64(number as f64 / rate);
                tokio::time::sleep_until(at.into()).await;
                at
            }
            None => Instant::now(),
        };
        let request = &load.requests[number as usize % load.requests.len()];
        let reply = client.send(request).await.unwrap();
        let spent = intended.elapsed();
        check(request, &reply, load.expected);
        shared.latencies.borrow_mut().add(spent);
    }
}

fn check(request: &[u8], reply: &Reply<'_>, expected: Expected) {
    let wanted = expected.contains.as_bytes();
    let right = if wanted.is_empty() {
        request.ends_with(reply.body)
    } else {
        reply.body.windows(wanted.len()).any(|window| window == wanted)
    };
    assert!(
        right && reply.status == expected.status,
        "expected status {} and `{}`, not {}: {}",
        expected.status,
        expected.contains,
        reply.status,
        String::from_utf8_lossy(&reply.body[..reply.body.len().min(2_000)])
    );
}
