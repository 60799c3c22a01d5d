//! The calls of one agent beside a hostile one, which lists tools on many connections without a pause.
//! Both have the default limits.

use super::client::{Client, prepared};
use super::run::{Expected, Length, Load, run};
use super::table::Table;
use crate::installation::TestInstallation;
use cofferdam_testkit::http::Request;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::task::{LocalSet, spawn_local};

/// The connections of the hostile agent.
const HOSTILE: usize = 64;

/// Calls a second of the other agent: half of its limit.
const CALLS: f64 = 100.0;

/// Measures both, and adds the row.
pub fn row(table: &mut Table, time: Duration) {
    let mut installation = TestInstallation::bare("example");
    let token = installation.agent("bench", "operator");
    let hostile = installation.agent("hostile", "operator");
    installation.serve(&[]);
    let address = installation.address();
    let body = json!({"namespace": "storefront", "name": "web", "replicas": 40});
    let call = Request::new("POST", "/v1/tools/deployment_scale").json(&body);
    let load = Load {
        address,
        requests: vec![prepared(call, address, &token)].into(),
        expected: Expected { status: 403, contains: "\"rule\":\"replicas-limit\"" },
        callers: 8,
        length: Length::Time(time),
        rate: Some(CALLS),
    };
    let alone = run(&load).latencies.percentile(0.99);
    let list = prepared(Request::modern("tools/list", json!({})), address, &hostile);
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let flooding = std::thread::spawn(move || flood(address, &list, &seen));
    let beside = run(&load).latencies.percentile(0.99);
    stop.store(true, SeqCst);
    let lists = flooding.join().unwrap();
    println!("p99 {alone:.2} ms alone, {beside:.2} ms beside {lists} requests of a hostile agent");
    table.row(
        "p99 of an agent's calls beside a hostile agent with 64 connections",
        format!("{:.1} × alone ({beside:.1} ms : {alone:.1} ms)", beside / alone),
        "≤ 2 × alone",
    );
}

/// Sends requests on many connections until the stop. Returns their number, refused ones included.
fn flood(address: SocketAddr, request: &[u8], stop: &Arc<AtomicBool>) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let clients = (0..HOSTILE).map(|_| {
            let (request, stop) = (request.to_vec(), Arc::clone(stop));
            spawn_local(async move {
                let mut sent = 0;
                while !stop.load(SeqCst) {
                    // The server may close the connection.
                    let Ok(mut client) = Client::connect(address).await else { continue };
                    while !stop.load(SeqCst) && client.send(&request).await.is_ok() {
                        sent += 1;
                    }
                }
                sent
            })
        });
        let mut all = 0;
        for client in clients.collect::<Vec<_>>() {
            all += client.await.unwrap();
        }
        all
    })
}
