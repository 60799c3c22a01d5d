//! A rolling restart: each host is stopped with TERM and started again, one after the other, while
//! agents call without a pause. No call is lost, each is answered, and the ledger has each once.

use super::hosts::{Counts, Hosts};
use crate::cluster::until;
use crate::installation::{TIME_LIMIT, TestInstallation};
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_testkit::http::{Connection, Request};
use cofferdam_testkit::postgres::{Database, Server};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The pause of an agent between two requests.
const PAUSE: Duration = Duration::from_millis(100);

/// The order in which an operator restarts hosts (docs/many-hosts.md).
const ORDER: [LinkRole; 4] =
    [LinkRole::Recorder, LinkRole::Viewer, LinkRole::Runner, LinkRole::Gateway];

/// What an agent does again and again: a tool, and the object that it is about.
type Work = (&'static str, &'static str);

/// An agent that calls at each gateway in turn, and at the other one when one sends it away. It
/// keeps the key of a call until it has the outcome.
struct Agent<'a> {
    gateways: [SocketAddr; 2],
    token: &'a str,
    work: Work,
    /// The gateway that is restarted now.
    away: &'a Mutex<Option<SocketAddr>>,
}

impl Agent<'_> {
    fn arguments(&self, number: usize) -> Value {
        let (tool, name) = self.work;
        let mut arguments = json!({"namespace": "storefront", "name": name});
        if tool == "deployment_scale" {
            arguments["replicas"] = json!(5 + number % 2);
        }
        arguments
    }

    fn send(&self, gateway: SocketAddr, number: usize) -> Option<(u16, Value)> {
        let (tool, name) = self.work;
        let request = Request::new("POST", &format!("/v1/tools/{tool}?wait=45"));
        let request = request.json(&self.arguments(number)).bearer(self.token);
        let bytes = request.and("Idempotency-Key", &format!("{name}-{number}")).bytes();
        let response = Connection::open(gateway, TIME_LIMIT).ok()?.send(&bytes).ok()?;
        Some((response.status, response.json()))
    }

    /// Makes one call. Returns its id once it has succeeded.
    fn call(&self, number: usize) -> String {
        let (began, mut at) = (Instant::now(), number);
        loop {
            let gateway = self.gateways[at % 2];
            // A restart that ends during the request explains its answer too.
            let before = *self.away.lock().unwrap();
            let answered = self.send(gateway, number);
            let after = *self.away.lock().unwrap();
            if let Some((200, body)) = &answered {
                return body["call"].as_str().unwrap().to_owned();
            }
            // Only a gateway that stops sends an agent away, and never with an error of the call.
            let work = self.work;
            assert!([before, after].contains(&Some(gateway)), "{work:?} {number}: {answered:?}");
            let again = answered.as_ref().is_none_or(|(status, _)| matches!(status, 202 | 503));
            assert!(again, "{work:?} {number}: {answered:?}");
            assert!(began.elapsed() < TIME_LIMIT, "{work:?} {number}: {answered:?}");
            at += 1;
            thread::sleep(PAUSE);
        }
    }
}

fn hosts() -> (Hosts, [String; 2], Database) {
    let installation = TestInstallation::bare("example");
    let tokens =
        [installation.agent("release", "operator"), installation.agent("triage", "viewer")];
    let counts = Counts { gateways: 2, recorders: 2, viewers: 2, runners: 2 };
    let mut hosts = Hosts::new(installation, counts);
    let database = Server::start().database();
    hosts.use_database(&database);
    hosts.start_all();
    (hosts, tokens, database)
}

/// Waits until each host that was started has said that it serves: a recorder may stand by.
fn until_begun(hosts: &Hosts, starts: usize) {
    until("the banner of each start", || {
        let begun = hosts.installation.log().matches("Cofferdam serves the role").count();
        (begun >= starts).then_some(())
    });
}

/// Restarts each host as an operator does: the next one after the peers of this one serve again.
fn restart_each(hosts: &mut Hosts, away: &Mutex<Option<SocketAddr>>) {
    let mut starts = hosts.hosts.len();
    until_begun(hosts, starts);
    for role in ORDER {
        let own = hosts.hosts.iter().filter(|(_, host)| host.role == role);
        let names: Vec<String> = own.map(|(name, _)| name.clone()).collect();
        for name in names {
            let edge = hosts.hosts[&name].edge;
            *away.lock().unwrap() = (role == LinkRole::Gateway).then_some(edge);
            assert!(hosts.stop(&name), "{name}:\n{}", hosts.installation.log());
            hosts.start(&name);
            starts += 1;
            until_begun(hosts, starts);
            hosts.until_ready();
            *away.lock().unwrap() = None;
        }
    }
}

/// Checks that the ledger has each of these calls once, with one effect, and no call beside them.
fn recorded_once(hosts: &Hosts, calls: &BTreeSet<String>) {
    let closed = |entries: &[Value]| {
        let ends = entries.iter().filter(|entry| entry["event"]["kind"] == "closed");
        ends.count() >= calls.len()
    };
    let entries = until("the closed jobs in the ledger", || {
        Some(hosts.installation.entries_since(0)).filter(|entries| closed(entries))
    });
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for entry in &entries {
        let kind = entry["event"]["kind"].as_str().unwrap();
        let Some(call) = entry["call"].as_str() else { continue };
        *counts.entry((kind, call)).or_default() += 1;
    }
    let log = hosts.installation.log();
    for kind in ["intended", "done", "finished", "closed"] {
        let of_kind = counts.iter().filter(|((own, _), _)| *own == kind);
        let of_kind: BTreeMap<&str, usize> = of_kind.map(|((_, call), n)| (*call, *n)).collect();
        let once: BTreeMap<&str, usize> = calls.iter().map(|call| (call.as_str(), 1)).collect();
        assert_eq!(of_kind, once, "{kind}: {log}");
    }
}

#[test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
fn a_rolling_restart_of_every_role_under_load_loses_no_call_and_answers_each() {
    let (mut hosts, [writer, reader], _database) = hosts();
    let (over, away) = (AtomicBool::new(false), Mutex::new(None));
    let gateways = ["gateway-1", "gateway-2"].map(|name| hosts.hosts[name].edge);
    let work: [(&str, Work); 3] = [
        (&writer, ("deployment_scale", "web")),
        (&writer, ("deployment_scale", "api")),
        (&reader, ("workload_status", "web")),
    ];
    let answered: Vec<Vec<String>> = thread::scope(|scope| {
        let calling: Vec<_> = work
            .map(|(token, work)| Agent { gateways, token, work, away: &away })
            .into_iter()
            .map(|agent| {
                let over = &over;
                scope.spawn(move || {
                    let mut calls = Vec::new();
                    while !over.load(Ordering::SeqCst) {
                        calls.push(agent.call(calls.len()));
                        thread::sleep(PAUSE);
                    }
                    calls
                })
            })
            .collect();
        let restarted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            restart_each(&mut hosts, &away);
        }));
        over.store(true, Ordering::SeqCst);
        let answered = calling.into_iter().map(|agent| agent.join());
        let answered: Result<Vec<_>, _> = answered.collect();
        let log = || hosts.installation.log();
        assert!(restarted.is_ok(), "a host was not restarted:\n{}", log());
        answered.unwrap_or_else(|_| panic!("an agent got another answer:\n{}", log()))
    });
    let numbers: Vec<usize> = answered.iter().map(Vec::len).collect();
    assert!(numbers.iter().all(|calls| *calls > 0), "{numbers:?}");
    let changes: BTreeSet<String> = answered[..2].concat().into_iter().collect();
    assert_eq!(changes.len(), numbers[0] + numbers[1], "each request is a call of its own");
    let recorder = hosts.sequencer().expect("a sequencer");
    let home = hosts.hosts[&recorder].home.clone();
    hosts.installation.operate(home);
    recorded_once(&hosts, &changes);
    hosts.installation.verify_ledger();
    let log = hosts.installation.log();
    assert!(!log.contains("clean=false"), "{log}");
    assert_eq!(log.matches("clean=true").count(), hosts.hosts.len(), "{log}");
}
