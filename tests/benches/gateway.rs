//! The cost of a whole call: a denied call against a bare echo of hyper, a preview, and a job from
//! the request to its result, by stage. It runs the real gateway with all its roles, one agent and
//! one kept connection, on loopback only. It never uses a mock and never makes two calls at once.
//!
//! `COFFERDAM_BINARIES` and `COFFERDAM_ASSETS` name the measured programs; without them the
//! benchmark prints that it is skipped. The figures are those of the profile of these binaries, not
//! of this benchmark.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

#[expect(dead_code, reason = "the tests need more of the stage than a benchmark does")]
#[path = "../it/installation.rs"]
mod installation;

use cofferdam_testkit::http::{Connection, Request};
use criterion::Criterion;
use installation::{TestInstallation, binaries};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Replicas that the example policy denies.
const TOO_MANY: u32 = 40;

/// The time in which the gateway has sent its measurements to `/metrics`.
const SETTLE: Duration = Duration::from_secs(3);

/// The pause between two jobs, so that no job waits for the teardown of the one before.
const PAUSE: Duration = Duration::from_millis(50);

/// The bytes of a request that keeps its connection. Made once, so that a benchmark does not
/// measure it.
fn bytes(request: Request, address: SocketAddr, token: &str) -> Vec<u8> {
    request.without("Connection").with("Host", &address.to_string()).bearer(token).bytes()
}

/// A `POST` over plain HTTP.
fn request(address: SocketAddr, path: &str, token: &str, body: &Value) -> Vec<u8> {
    bytes(Request::new("POST", path).json(body), address, token)
}

fn scale(replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

/// The same call over MCP, revision 2026-07-28.
fn over_mcp(address: SocketAddr, token: &str, replicas: u32) -> Vec<u8> {
    bytes(Request::call("deployment_scale", scale(replicas)), address, token)
}

fn connect(address: SocketAddr) -> Connection {
    Connection::open(address, installation::TIME_LIMIT).unwrap()
}

/// The edge's echo, ended when dropped.
struct Echo(Child, SocketAddr);

impl Echo {
    fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = binaries().join("examples/echo");
        let mut child = Command::new(&program)
            .arg(address.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|fault| {
                panic!(
                    "`{}` does not start ({fault}): build it with `cargo build --workspace \
                     --all-targets`",
                    program.display()
                )
            });
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        Self(child, address)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// `(seconds, times)` of each stage since the gateway started.
fn stages(installation: &TestInstallation) -> BTreeMap<String, (f64, f64)> {
    std::thread::sleep(SETTLE);
    let page = installation.http("GET", "/metrics", "", None).body;
    let mut found: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for line in page.as_str().unwrap().lines() {
        let Some((kind, rest)) = line
            .strip_prefix("cofferdam_stage_seconds_")
            .and_then(|line| line.split_once("{stage=\""))
        else {
            continue;
        };
        let (name, value) = rest.split_once("\"} ").unwrap_or(("", "0"));
        let one = found.entry(name.to_owned()).or_default();
        match kind {
            "sum" => one.0 = value.parse().unwrap(),
            "count" => one.1 = value.parse().unwrap(),
            _ => {}
        }
    }
    found
}

/// Prints the time of each stage of the gateway between two reads of `/metrics`. These are means,
/// since the page has no medians.
fn print_stages(
    title: &str,
    calls: f64,
    before: &BTreeMap<String, (f64, f64)>,
    after: &BTreeMap<String, (f64, f64)>,
) {
    println!(
        "\n{title}, by the gateway's stages ({calls} calls, mean)\n  {:<10} {:>14} {:>12}",
        "stage", "times a call", "ms a call"
    );
    for (name, (seconds, times)) in after {
        let (old_seconds, old_times) = before.get(name).copied().unwrap_or_default();
        if times > &old_times {
            println!(
                "  {name:<10} {:>14.1} {:>12.3}",
                (times - old_times) / calls,
                (seconds - old_seconds) * 1000.0 / calls
            );
        }
    }
}

/// Prints the time of a job between its ledger entries, as medians over the jobs. The time of an
/// entry is its arrival at the recorder.
fn print_entries(installation: &TestInstallation, calls: &[String]) {
    let mut rows: Vec<(String, Vec<f64>)> = Vec::new();
    for call in calls {
        let story = installation.closed(call);
        let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let mut last = time(&story["job"]["created"]);
        for (row, entry) in story["entries"].as_array().unwrap().iter().enumerate() {
            let now = time(&entry["time"]);
            let word = |key: &str| entry["event"][key].as_str().unwrap_or_default().to_owned();
            if rows.len() <= row {
                rows.push((format!("{} {}", word("kind"), word("phase")), Vec::new()));
            }
            rows[row].1.push(now.duration_since(last).as_secs_f64() * 1000.0);
            last = now;
        }
    }
    println!(
        "\na job, from one entry of the ledger to the next ({} jobs, median)\n  {:<16} {:>8}",
        calls.len(),
        "until",
        "ms"
    );
    for (name, mut spent) in rows {
        spent.sort_by(f64::total_cmp);
        println!("  {name:<16} {:>8.1}", spent[spent.len() / 2]);
    }
}

fn calls(criterion: &mut Criterion, installation: &TestInstallation, token: &str) {
    let echo = Echo::start();
    let gateway = installation.address();
    let denied = scale(TOO_MANY);
    let rows = [
        ("echo", echo.1, request(echo.1, "/", token, &denied), 200),
        (
            "denied call, /v1",
            gateway,
            request(gateway, "/v1/tools/deployment_scale", token, &denied),
            403,
        ),
        ("denied call, MCP", gateway, over_mcp(gateway, token, TOO_MANY), 200),
        (
            "preview, /v1",
            gateway,
            request(gateway, "/v1/tools/deployment_scale/preview", token, &scale(5)),
            200,
        ),
    ];
    let mut group = criterion.benchmark_group("call");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5));
    for (name, address, request, expected) in rows {
        let before = stages(installation);
        let mut times = 0;
        let mut connection = connect(address);
        group.bench_function(name, |bench| {
            bench.iter(|| {
                times += 1;
                let response = connection.send(&request).unwrap();
                assert_eq!(response.status, expected, "{}", response.text());
                response
            });
        });
        if address == gateway {
            print_stages(name, f64::from(times), &before, &stages(installation));
        }
    }
    group.finish();
}

fn jobs(criterion: &mut Criterion, installation: &TestInstallation, token: &str) {
    let gateway = installation.address();
    let requests = [5, 6]
        .map(|replicas| request(gateway, "/v1/tools/deployment_scale", token, &scale(replicas)));
    let before = stages(installation);
    let mut connection = connect(gateway);
    let mut done = Vec::new();
    let mut group = criterion.benchmark_group("job");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(10));
    group.bench_function("request to answer, /v1", |bench| {
        bench.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times {
                let began = Instant::now();
                let response = connection.send(&requests[done.len() % 2]).unwrap();
                spent += began.elapsed();
                let body = response.json();
                assert_eq!(
                    (response.status, &body["result"]["outcome"]),
                    (200, &json!("succeeded")),
                    "{body:#}"
                );
                done.push(body["call"].as_str().unwrap().to_owned());
                std::thread::sleep(PAUSE);
            }
            spent
        });
    });
    group.finish();
    if !done.is_empty() {
        print_stages("a job", done.len() as f64, &before, &stages(installation));
        print_entries(installation, &done);
    }
}

fn main() {
    // `cargo test --all-targets` runs this file, too; it measures only when it is asked to.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("skipped: run it with `cargo bench`");
        return;
    }
    if std::env::var_os("COFFERDAM_BINARIES").is_none()
        || std::env::var_os("COFFERDAM_ASSETS").is_none()
    {
        println!(
            "skipped: set COFFERDAM_BINARIES and COFFERDAM_ASSETS to what `scripts/setup` built \
             (target/debug and target/assets, as full paths)"
        );
        return;
    }
    let mut installation = TestInstallation::bare("example");
    let token = installation.agent("bench", "operator");
    installation.serve(&[]);
    let mut criterion = Criterion::default().configure_from_args();
    calls(&mut criterion, &installation, &token);
    jobs(&mut criterion, &installation, &token);
    criterion.final_summary();
}
