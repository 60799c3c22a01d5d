//! One trace from the agent's `traceparent` through every process to the teardown, as a collector
//! receives it, without a secret.

use crate::installation::{TIME_LIMIT, TestInstallation};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const AGENT: &str = "00f067aa0ba902b7";

/// A collector: accepts OTLP over HTTP in JSON and passes on each body.
fn collector() -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (bodies, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap() == 0 || line.trim().is_empty() {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            stream
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                .unwrap();
            if bodies.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (address, received)
}

/// `(service, span name, span id, parent id)` of every span of the trace.
fn spans(body: &Value) -> Vec<(String, String, String, String)> {
    let mut found = Vec::new();
    for resource in body["resourceSpans"].as_array().into_iter().flatten() {
        let attributes = resource["resource"]["attributes"].as_array().cloned().unwrap_or_default();
        let service = attributes
            .iter()
            .find(|one| one["key"] == "service.name")
            .map(|one| one["value"]["stringValue"].as_str().unwrap_or("").to_owned());
        for span in resource["scopeSpans"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|scope| scope["spans"].as_array().into_iter().flatten())
        {
            if span["traceId"].as_str() == Some(TRACE) {
                let word = |key: &str| span[key].as_str().unwrap_or("").to_owned();
                found.push((
                    service.clone().unwrap_or_default(),
                    word("name"),
                    word("spanId"),
                    word("parentSpanId"),
                ));
            }
        }
    }
    found
}

/// True if every wanted span is there, and the parent of every span is another of them or the
/// agent's: a parent ends, and so arrives, after its children.
fn whole(seen: &[(String, String, String, String)], wanted: &[&str]) -> bool {
    let ids: BTreeSet<&str> = seen.iter().map(|(_, _, id, _)| id.as_str()).collect();
    wanted.iter().all(|name| seen.iter().any(|(_, own, _, _)| own == name))
        && seen.iter().all(|(_, _, _, parent)| parent == AGENT || ids.contains(parent.as_str()))
}

/// Returns whether the bodies so far have this metric, as OTLP writes it.
fn has_metric(bodies: &str, name: &str) -> bool {
    bodies.contains("resourceMetrics") && bodies.contains(&format!("\"name\":\"{name}\""))
}

#[test]
fn one_trace_goes_from_the_agent_to_the_teardown() {
    let (address, received) = collector();
    let mut installation = TestInstallation::bare("example");
    let config = installation.home().join("cofferdam.toml");
    let lines: Vec<String> = fs::read_to_string(&config)
        .unwrap()
        .lines()
        .map(|line| {
            if line.trim_start_matches(['#', ' ']).starts_with("otlp =") {
                format!("otlp = \"{address}\"")
            } else {
                line.to_owned()
            }
        })
        .collect();
    fs::write(&config, lines.join("\n") + "\n").unwrap();
    let token = installation.agent("release", "operator");
    installation.serve(&[]);
    let arguments = json!({"namespace": "storefront", "name": "web", "replicas": 5,
        "purpose": "canary-of-the-purpose"});
    let answer = installation.traced_call(
        &token,
        "deployment_scale",
        &arguments,
        &format!("00-{TRACE}-{AGENT}-01"),
    );
    assert_eq!(answer.status, 200, "{:#}", answer.body);

    let wanted = ["plan", "decide", "preview", "enqueue", "admit", "act", "tear down"];
    let (mut seen, mut all, began) = (Vec::new(), String::new(), Instant::now());
    while !whole(&seen, &wanted) || !has_metric(&all, "cofferdam.decisions") {
        assert!(
            began.elapsed() < TIME_LIMIT,
            "the trace is not whole, or the metrics did not arrive: {seen:#?}\n{}",
            installation.log()
        );
        if let Ok(body) = received.recv_timeout(Duration::from_secs(1)) {
            all += &body.to_string();
            seen.extend(spans(&body));
        }
    }
    let services: BTreeSet<&str> = seen.iter().map(|(service, ..)| service.as_str()).collect();
    assert!(
        services.contains("cofferdam-gateway") && services.contains("cofferdam-runner"),
        "{services:?}"
    );
    for secret in [token.as_str(), "canary-of-the-purpose"] {
        assert!(!all.contains(secret), "a span or a metric carries `{secret}`");
    }
    let metrics = installation.http("GET", "/metrics", "", None).body.to_string();
    for name in [
        "cofferdam_decisions_total",
        "cofferdam_stage_seconds",
        "mcp_server_operation_duration_seconds",
    ] {
        assert!(metrics.contains(name), "no {name} in:\n{metrics}");
    }
}
