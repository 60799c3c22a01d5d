//! The measured calls: denials in a closed loop, the same loop on a bare echo, and lists. The status
//! and the body of every response are checked.

use crate::client::prepared;
use crate::installation::{TIME_LIMIT, TestInstallation};
use crate::machine::Echo;
use crate::run::{Expected, Length, Load, Run, run};
use cofferdam_testkit::http::{Connection, Request};
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Connections of a loop, each with one call at a time.
pub const CALLERS: usize = 32;

/// Requests whose arguments the example policy denies, all different: the tool takes at most 1,000
/// replicas.
fn closed_loop(
    (address, token): (SocketAddr, &str),
    paths: &[String],
    expected: Expected,
    time: Duration,
) -> Run {
    let request = |(replicas, path): (u64, &String)| {
        let body = json!({"namespace": "storefront", "name": "web", "replicas": replicas});
        prepared(Request::new("POST", path).json(&body), address, token)
    };
    run(&Load {
        address,
        requests: (40..940).zip(paths.iter().cycle()).map(request).collect(),
        expected,
        callers: CALLERS,
        length: Length::Time(time),
        rate: None,
    })
}

/// Denied calls of one tool.
pub fn denied(installation: &TestInstallation, token: &str, time: Duration) -> Run {
    denied_by_tools(installation, token, &["deployment_scale".to_owned()], time)
}

/// Denied calls of these tools in turn.
pub fn denied_by_tools(
    installation: &TestInstallation,
    token: &str,
    tools: &[String],
    time: Duration,
) -> Run {
    let expected = Expected { status: 403, contains: "\"rule\":\"replicas-limit\"" };
    let paths: Vec<String> = tools.iter().map(|tool| format!("/v1/tools/{tool}")).collect();
    closed_loop((installation.address(), token), &paths, expected, time)
}

/// The same requests to the echo.
pub fn echo(echo: &Echo, time: Duration) -> Run {
    let expected = Expected { status: 200, contains: "" };
    closed_loop((echo.address, "none"), &["/".to_owned()], expected, time)
}

/// A loop in one line.
pub fn text(name: &str, run: &Run) -> String {
    let at = |part| run.latencies.percentile(part);
    format!(
        "{name}, c={CALLERS}: {:.0}/s; p50 {:.3}, p99 {:.3}, p99.9 {:.3} ms",
        run.rate(),
        at(0.5),
        at(0.99),
        at(0.999)
    )
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
