//! The measured calls: denials in a closed loop, the same loop on a bare echo, and lists. Checks
//! the status and the body of every response.

use crate::installation::{TIME_LIMIT, TestInstallation, binaries};
use cofferdam_testkit::http::{Connection, Request};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Connections of a loop, each with one call at a time.
pub const CALLERS: usize = 32;

/// The finished calls of a loop.
pub struct Rate {
    /// Milliseconds of each call, sorted.
    spent: Vec<f64>,
    seconds: f64,
}

impl Rate {
    fn new(mut spent: Vec<f64>, seconds: f64) -> Self {
        assert!(!spent.is_empty() && seconds > 0.0, "a loop without a call has no rate");
        spent.sort_by(f64::total_cmp);
        Self { spent, seconds }
    }

    /// Calls a second.
    pub fn per_second(&self) -> f64 {
        self.spent.len() as f64 / self.seconds
    }

    /// The time that this part (0 to 1) of the calls does not exceed, in milliseconds: the nearest
    /// rank.
    pub fn percentile(&self, part: f64) -> f64 {
        let rank = (part * self.spent.len() as f64).ceil() as usize;
        self.spent[rank.saturating_sub(1)]
    }

    /// The loop in one line.
    pub fn text(&self, name: &str) -> String {
        let at = |part| self.percentile(part);
        format!(
            "{name}, c={CALLERS}: {:.0}/s; p50 {:.3}, p99 {:.3}, p99.9 {:.3} ms",
            self.per_second(),
            at(0.5),
            at(0.99),
            at(0.999)
        )
    }
}

#[test]
fn a_percentile_is_the_nearest_rank() {
    let thousand = Rate::new((1..=1_000).rev().map(f64::from).collect(), 4.0);
    let rows = [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1_000.0)];
    for (part, ms) in rows {
        assert_eq!(thousand.percentile(part), ms, "{part}");
    }
    assert_eq!(thousand.per_second(), 250.0);
    let one = Rate::new(vec![7.0], 1.0);
    for part in [0.0, 0.5, 0.999] {
        assert_eq!(one.percentile(part), 7.0, "{part}");
    }
}

/// A request that keeps its connection.
fn prepared(request: Request, address: SocketAddr, token: &str) -> Vec<u8> {
    request.without("Connection").with("Host", &address.to_string()).bearer(token).bytes()
}

/// The arguments of a call that the example policy denies. Numbers below 900 give different ones;
/// the tool takes at most 1,000 replicas.
fn too_many(number: usize) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": 40 + number % 900})
}

/// Sends requests from all callers for this time. The request has a number; the response must pass
/// the check.
fn closed_loop(
    address: SocketAddr,
    time: Duration,
    request: impl Fn(usize) -> Vec<u8> + Sync,
    check: impl Fn(usize, u16, &str) -> bool + Sync,
) -> Rate {
    let began = Instant::now();
    let call_until_end = |caller: usize| {
        let mut connection = Connection::open(address, TIME_LIMIT).unwrap();
        let (mut spent, mut number) = (Vec::new(), caller);
        while began.elapsed() < time {
            let bytes = request(number);
            let sent = Instant::now();
            let response = connection.send(&bytes).unwrap();
            spent.push(sent.elapsed().as_secs_f64() * 1000.0);
            let text = response.text();
            assert!(check(number, response.status, &text), "{} {text}", response.status);
            number += CALLERS;
        }
        spent
    };
    let spent = std::thread::scope(|scope| {
        let call = &call_until_end;
        let callers: Vec<_> =
            (0..CALLERS).map(|caller| scope.spawn(move || call(caller))).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    Rate::new(spent, began.elapsed().as_secs_f64())
}

/// Denied calls whose arguments differ.
pub fn denied(installation: &TestInstallation, token: &str, time: Duration) -> Rate {
    let address = installation.address();
    let request = |number| {
        let request = Request::new("POST", "/v1/tools/deployment_scale").json(&too_many(number));
        prepared(request, address, token)
    };
    let check = |_, status, text: &str| status == 403 && text.contains("\"replicas-limit\"");
    closed_loop(address, time, request, check)
}

/// The edge's bare echo of JSON, in a process of its own. Ended when dropped.
pub struct Echo(Child, SocketAddr);

impl Echo {
    pub fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = binaries().join("examples/echo");
        let mut child = Command::new(&program)
            .arg(address.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`{}` does not start: {error}", program.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(child, address)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The same calls on the echo, by the same callers.
pub fn echo(echo: &Echo, time: Duration) -> Rate {
    let request =
        |number| prepared(Request::new("POST", "/").json(&too_many(number)), echo.1, "none");
    let check = |number, status, text: &str| {
        status == 200
            && serde_json::from_str(text).is_ok_and(|body: Value| body == too_many(number))
    };
    closed_loop(echo.1, time, request, check)
}

/// The status of a page that needs no token; `None` if the server does not answer.
pub fn status(address: SocketAddr, path: &str) -> Option<u16> {
    let request = Request::new("GET", path).with("Host", &address.to_string());
    let mut connection = Connection::open(address, TIME_LIMIT).ok()?;
    Some(connection.send(&request.bytes()).ok()?.status)
}

/// A list of all tools, page after page.
pub struct List {
    pub tools: usize,
    pub pages: usize,
    pub ms: f64,
}

/// Lists all tools over MCP, on one connection.
pub fn list(installation: &TestInstallation, token: &str) -> List {
    let address = installation.address();
    let mut connection = Connection::open(address, TIME_LIMIT).unwrap();
    let (mut list, began) = (List { tools: 0, pages: 0, ms: 0.0 }, Instant::now());
    let mut params = json!({});
    loop {
        let request = Request::modern("tools/list", params);
        let response = connection.send(&prepared(request, address, token)).unwrap();
        let body = response.json();
        let tools = body["result"]["tools"].as_array().unwrap_or_else(|| panic!("{body:#}"));
        list.tools += tools.len();
        list.pages += 1;
        let Some(cursor) = body["result"]["nextCursor"].as_str() else { break };
        params = json!({"cursor": cursor});
    }
    list.ms = began.elapsed().as_secs_f64() * 1000.0;
    list
}
