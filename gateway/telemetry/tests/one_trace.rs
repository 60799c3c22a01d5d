//! One trace across two roles, and the metrics, as a real collector receives them over HTTP,
//! without a secret in them. The collector is a socket that keeps the posted bodies.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

use cofferdam_core::model::caller::TraceParent;
use cofferdam_telemetry::metrics::{DECISIONS, DISK_FREE, ROLE_STARTS, STAGE_DURATION};
use cofferdam_telemetry::{
    Batch, Exporter, LineFormat, Outlet, Role, Setup, Signal, Sources, current, dispatch,
};
use serde_json::Value;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tracing::{Span, info, info_span};

const CLIENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const CANARY: &str = "hunter2-canary";

/// Answers every request with this status, and keeps its head and its body.
async fn collector(status: &'static str) -> (String, Arc<Mutex<Vec<(String, Value)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let start = head.len();
                stream.read_line(&mut head).await.unwrap();
                if let Some(text) =
                    head[start..].to_ascii_lowercase().strip_prefix("content-length:")
                {
                    length = text.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            keep.lock().unwrap().push((head, serde_json::from_slice(&body).unwrap()));
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: \
                 2\r\n\r\n{{}}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, kept)
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs the code of one role under its own subscriber, as another process would, and returns the
/// batch that it would send, through JSON.
async fn role<T>(
    role: Role,
    format: LineFormat,
    seed: u64,
    lines: &Written,
    work: impl FnOnce() -> T,
) -> (T, Batch) {
    let (clock, ids) = (AtomicU64::new(1_000), AtomicU64::new(seed));
    let sources = Sources {
        now: Arc::new(move || {
            UNIX_EPOCH + Duration::from_secs(clock.fetch_add(1, Ordering::Relaxed))
        }),
        random: Arc::new(move || u128::from(ids.fetch_add(1, Ordering::Relaxed))),
    };
    let (outlet, mut intake) = Outlet::open();
    let writer = lines.clone();
    let setup_role = role;
    let setup = Setup { role, format, filter: "info".to_owned(), spans: true, sources };
    let subscriber = dispatch(setup, outlet.clone(), move || writer.clone()).unwrap();
    let result = tracing::dispatcher::with_default(&subscriber, work);
    outlet.count(ROLE_STARTS, &[("role", setup_role.word())], 1);
    drop((outlet, subscriber));
    let batch = intake.batch().await.unwrap();
    let text = serde_json::to_string(&batch).unwrap();
    (result, serde_json::from_str(&text).unwrap())
}

fn gateway_work() -> TraceParent {
    let call = info_span!(
        "call",
        traceparent = CLIENT,
        otel.kind = "server",
        otel.name = "tools/call deployment_scale",
        mcp.method.name = "tools/call",
        arguments = CANARY,
        authorization = %CANARY,
        error.type = tracing::field::Empty,
    );
    call.in_scope(|| {
        let decide = info_span!(
            "decide",
            cofferdam.stage = "decide",
            cofferdam.plan.operations = 1_u64,
            token = CANARY
        );
        decide.in_scope(|| {
            tracing::event!(target: "cofferdam_test", tracing::Level::INFO,
        code = "allowed", token = CANARY, "decided")
        });
    });
    call.record("error.type", "timeout");
    current(&call).unwrap()
}

fn runner_work(parent: &TraceParent) {
    let run = info_span!(
        "run",
        traceparent = parent.0,
        otel.kind = "consumer",
        cofferdam.job.fence = 2_u64
    );
    run.in_scope(|| drop(info_span!("teardown")));
}

/// The spans of a posted body: service, name and JSON.
fn spans(body: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for resource in body["resourceSpans"].as_array().unwrap() {
        let service = resource["resource"]["attributes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|a| a["key"] == "service.name")
            .unwrap();
        for span in resource["scopeSpans"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|scope| scope["spans"].as_array().unwrap())
        {
            let (service, name) =
                (service["value"]["stringValue"].as_str().unwrap(), span["name"].as_str().unwrap());
            all.push((service.to_owned(), name.to_owned(), span.clone()));
        }
    }
    all
}

#[tokio::test]
async fn one_trace_from_the_client_through_two_roles_and_no_secret() {
    let lines = Written::default();
    let (parent, from_gateway) =
        role(Role::Gateway, LineFormat::People, 100, &lines, gateway_work).await;
    let ((), from_runner) =
        role(Role::Runner, LineFormat::Json, 200, &lines, || runner_work(&parent)).await;

    let (address, kept) = collector("200 OK").await;
    let exporter = Exporter::new(Some(&address), "staging").unwrap();
    exporter.take(Role::Gateway, from_gateway);
    exporter.take(Role::Runner, from_runner);
    exporter.finish().await.unwrap();

    let kept = kept.lock().unwrap();
    assert!(kept.iter().all(|(head, _)| head.contains("application/json")), "{kept:?}");
    let posted = |path: &str| {
        let line = format!("POST {path} HTTP/1.1\r\n");
        kept.iter().filter(move |(head, _)| head.starts_with(&line)).map(|(_, body)| body)
    };
    assert_eq!(posted("/v1/traces").count() + posted("/v1/metrics").count(), kept.len());
    let spans: Vec<_> = posted("/v1/traces").flat_map(spans).collect();
    let one = |name: &str| {
        spans
            .iter()
            .find(|span| span.1 == name)
            .unwrap_or_else(|| panic!("no {name} in {spans:?}"))
            .clone()
    };
    let (call, decide, run, teardown) =
        (one("tools/call deployment_scale"), one("decide"), one("run"), one("teardown"));

    assert_eq!(spans.len(), 4);
    assert!(
        spans.iter().all(|(_, _, span)| span["traceId"] == "0af7651916cd43dd8448eb211c80319c"),
        "{spans:?}"
    );
    assert_eq!((call.0.as_str(), run.0.as_str()), ("cofferdam-gateway", "cofferdam-runner"));
    assert_eq!(call.2["parentSpanId"], "b7ad6b7169203331");
    assert_eq!(decide.2["parentSpanId"], call.2["spanId"]);
    assert_eq!(run.2["parentSpanId"], call.2["spanId"]);
    assert_eq!(teardown.2["parentSpanId"], run.2["spanId"]);
    assert_eq!(call.2["status"]["message"], "timeout");

    let everything = format!("{kept:?}{}{}", lines.text(), exporter.prometheus());
    assert!(!everything.contains(CANARY), "{everything}");
    assert!(everything.contains("cofferdam_role_starts_total{role=\"runner\"} 1"), "{everything}");
    assert!(
        lines.text().contains(" gateway  INFO  decided code=allowed token=[withheld]\n"),
        "{}",
        lines.text()
    );
}

#[tokio::test]
async fn a_collector_gets_the_metrics_that_prometheus_reads() {
    let (address, kept) = collector("200 OK").await;
    let exporter = Exporter::new(Some(&address), "staging").unwrap();
    exporter.add(DECISIONS, &[("effect", "deny"), ("rule", "replicas-limit")], 2.0);
    exporter.set(DISK_FREE, &[], 4096.0);
    exporter.add(STAGE_DURATION, &[("stage", "plan")], 0.0003);
    exporter.send_metrics().await;

    let kept = kept.lock().unwrap();
    let (head, body) = &kept[0];
    assert!(head.starts_with("POST /v1/metrics HTTP/1.1\r\n"), "{head}");
    let resource = &body["resourceMetrics"][0];
    assert!(resource["resource"].to_string().contains("cofferdam-gateway"), "{resource}");
    let metrics = resource["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let one = |name: &str| {
        let found = metrics.iter().find(|metric| metric["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {metrics:#?}"))
    };
    let decisions = one("cofferdam.decisions");
    assert_eq!(decisions["sum"]["isMonotonic"], true, "{decisions}");
    assert_eq!(decisions["sum"]["dataPoints"][0]["asDouble"], 2.0, "{decisions}");
    assert!(decisions.to_string().contains("replicas-limit"), "{decisions}");
    assert_eq!(one("cofferdam.disk.free")["gauge"]["dataPoints"][0]["asDouble"], 4096.0);
    assert_eq!(one("cofferdam.disk.free")["unit"], "By");
    assert_eq!(one("cofferdam.stage")["histogram"]["dataPoints"][0]["sum"], 0.0003);

    let text = exporter.prometheus();
    for line in [
        "cofferdam_decisions_total{effect=\"deny\",rule=\"replicas-limit\"} 2",
        "cofferdam_disk_free_bytes 4096",
        "cofferdam_stage_seconds_sum{stage=\"plan\"} 0.0003",
    ] {
        assert!(text.lines().any(|own| own == line), "no line `{line}` in\n{text}");
    }
}

#[tokio::test]
async fn a_hostile_role_cannot_add_attributes_or_pass_for_another() {
    let foreign = r#"{"signals": [
        {"span": {"place": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "parent": null, "remote": false, "name": "run",
                  "kind": "internal", "start_ns": 2, "end_ns": 1, "attributes": {"service.name": "cofferdam-gateway", "password": "hunter2-canary"}}},
        {"span": {"place": "no place", "parent": null, "remote": false, "name": "x", "kind": "internal", "start_ns": 1, "end_ns": 2, "attributes": {}}},
        {"metric": {"name": "made_up", "labels": {}, "value": 1.0}},
        {"metric": {"name": "cofferdam.stage", "labels": {"stage": "plan"}, "value": 1.0, "values": 60000}},
        {"metric": {"name": "cofferdam.stage", "labels": {"stage": "plan"}, "value": 1.0, "values": 60000}},
        {"metric": {"name": "cofferdam.stage", "labels": {"stage": "plan"}, "value": 1.0, "values": 18446744073709551615}}], "dropped": 3}"#;
    let (address, kept) = collector("200 OK").await;
    let exporter = Exporter::new(Some(&address), "staging").unwrap();
    exporter.take(Role::Runner, serde_json::from_str(foreign).unwrap());
    exporter.finish().await.unwrap();
    let kept = kept.lock().unwrap();
    let spans = spans(&kept[0].1);
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].0, "cofferdam-runner");
    assert!(!format!("{kept:?}").contains(CANARY));
    assert!(
        exporter.prometheus().contains("cofferdam_telemetry_dropped_total{role=\"runner\"} 7\n"),
        "{}",
        exporter.prometheus()
    );
    assert!(serde_json::from_str::<Batch>(&foreign.replace("dropped", "role")).is_err());
}

#[tokio::test]
async fn a_collector_that_refuses_or_is_away_costs_telemetry_and_is_counted() {
    let lines = Written::default();
    let (_, batch) = role(Role::Gateway, LineFormat::People, 1, &lines, gateway_work).await;
    let (address, _kept) = collector("400 Bad Request").await;
    for endpoint in [address.as_str(), "http://127.0.0.1:1"] {
        let exporter = Exporter::new(Some(endpoint), "staging").unwrap();
        exporter.take(Role::Gateway, batch.clone());
        exporter.finish().await.unwrap();
        assert!(
            exporter
                .prometheus()
                .contains("cofferdam_telemetry_export_failures_total{role=\"gateway\"} 2\n"),
            "{}",
            exporter.prometheus()
        );
    }
    let none = Exporter::new(None, "staging").unwrap();
    none.take(Role::Gateway, batch);
    none.finish().await.unwrap();
    for wrong in [
        "https://collector:4318",
        "collector:4318",
        "http://",
        "http://user@collector",
        "http://collector/v1",
    ] {
        assert!(Exporter::new(Some(wrong), "staging").is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_span_without_a_parent_starts_a_trace_and_lines_stay_lines() {
    let lines = Written::default();
    let ((), batch) = role(Role::Recorder, LineFormat::Json, 7, &lines, || {
        let span = info_span!("append", traceparent = "not one");
        span.in_scope(|| info!(path = "/a\u{1b}[31m", "two\nlines"));
        assert!(current(&Span::none()).is_none());
    })
    .await;
    let Signal::Span(span) = &batch.signals[0] else { panic!("{batch:?}") };
    assert_eq!(span.place, "00-00000000000000000000000000000007-0000000000000008-01");
    assert_eq!((span.parent.as_deref(), span.remote), (None, false));
    let line: Value = serde_json::from_str(lines.text().trim_end()).unwrap();
    assert_eq!(
        (line["message"].as_str(), line["fields"]["path"].as_str()),
        (Some("two lines"), Some("/a[31m"))
    );
}

#[test]
fn without_a_collector_only_the_ids_of_a_call_are_kept() {
    let (outlet, _intake) = Outlet::open();
    let sources = Sources { now: Arc::new(|| UNIX_EPOCH), random: Arc::new(|| 7) };
    let (role, format, filter) = (Role::Gateway, LineFormat::People, "debug".to_owned());
    let lines = Written::default();
    let writer = lines.clone();
    let setup = Setup { role, format, filter, spans: false, sources };
    let subscriber = dispatch(setup, outlet, move || writer.clone()).unwrap();
    tracing::dispatcher::with_default(&subscriber, || {
        let call = info_span!("call", traceparent = CLIENT, mcp.method.name = "tools/call");
        call.in_scope(|| {
            let stage = info_span!("stage", cofferdam.stage = "decide");
            assert!(stage.is_disabled(), "a stage of a call is not made");
            stage.in_scope(|| info!(target: "cofferdam_test", code = "allowed", "decided"));
            assert_eq!(current(&Span::current()).unwrap().0[..36], CLIENT[..36]);
        });
        let own = info_span!("call", traceparent = Option::<&str>::None);
        assert_eq!(
            current(&own).unwrap().0,
            "00-00000000000000000000000000000007-0000000000000007-01"
        );
    });
    assert!(lines.text().ends_with(" gateway  INFO  decided code=allowed\n"), "{}", lines.text());
}
