//! The measured loads on one gateway: denials, answers of reading tools, lists, jobs. Each call is a
//! call that a client could make.

use super::client::prepared;
use super::disk::Disk;
use super::machine::Echo;
use super::processes::Processes;
use super::report::{Report, Snapshot};
use super::run::{Expected, Length, Load, Run, run};
use crate::installation::TestInstallation;
use cofferdam_testkit::http::Request;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Replicas that the example policy denies, and the first of many such numbers.
const TOO_MANY: u64 = 40;

/// Replicas that no person has to approve, and the first of several such numbers.
const FEW: u64 = 4;

/// The response to a denied call.
const DENIED: Expected = Expected { status: 403, contains: "\"rule\":\"replicas-limit\"" };

/// A gateway under load.
pub struct Bench<'a> {
    pub installation: &'a TestInstallation,
    pub token: &'a str,
    pub echo: &'a Echo,
    pub disk: Disk,
    /// The time of each load.
    pub time: Duration,
    pub report: Report,
    /// The durable calls so far: each has one ledger entry.
    pub durable: u64,
    /// The denied calls so far.
    pub denied: u64,
}

fn scale(name: &str, replicas: u64) -> Value {
    json!({"namespace": "storefront", "name": name, "replicas": replicas})
}

impl Bench<'_> {
    fn post(&self, path: &str, body: &Value) -> Vec<u8> {
        let request = Request::new("POST", path).json(body);
        prepared(request, self.installation.address(), self.token)
    }

    fn measure(&mut self, name: &str, supervisor: u32, load: &Load) -> (Run, f64) {
        let snapshot =
            || Snapshot { processes: Processes::read(supervisor), flushes: self.disk.flushes() };
        let before = snapshot();
        let run = run(load);
        let after = snapshot();
        self.report.load(name, &run, &before, &after);
        let cpu = after.processes.all() - before.processes.all();
        let cpu_us = cpu * 1e6 / run.calls as f64;
        (run, cpu_us)
    }

    fn load(&self, requests: Vec<Vec<u8>>, expected: Expected, callers: usize) -> Load {
        Load {
            address: self.installation.address(),
            requests: requests.into(),
            expected,
            callers,
            length: Length::Time(self.time),
            rate: None,
        }
    }

    /// The calibration: the echo with the body of a denied call. Returns the run and the CPU time
    /// of a call in microseconds.
    pub fn echo(&mut self, callers: usize) -> (Run, f64) {
        let address = self.echo.address;
        let body = scale("web", TOO_MANY);
        let request = prepared(Request::new("POST", "/").json(&body), address, self.token);
        let expected = Expected { status: 200, contains: "" };
        let load = Load { address, ..self.load(vec![request], expected, callers) };
        self.measure(&format!("echo, c={callers}"), self.echo.id(), &load)
    }

    /// The same denied call again and again.
    pub fn denied(&mut self, callers: usize) -> (Run, f64) {
        let request = self.post("/v1/tools/deployment_scale", &scale("web", TOO_MANY));
        self.deny(&format!("denied call, c={callers}"), vec![request], callers, None)
    }

    /// Denied calls whose arguments differ. The tool takes at most 1,000 replicas.
    pub fn denied_distinct(&mut self, callers: usize) -> (Run, f64) {
        let requests = (0..900)
            .map(|more| self.post("/v1/tools/deployment_scale", &scale("web", TOO_MANY + more)))
            .collect();
        self.deny(&format!("denied, distinct arguments, c={callers}"), requests, callers, None)
    }

    /// Denied calls at a fixed rate.
    pub fn denied_open(&mut self, callers: usize, rate: f64) -> (Run, f64) {
        let request = self.post("/v1/tools/deployment_scale", &scale("web", TOO_MANY));
        let name = format!("denied call, open loop, {rate:.0}/s");
        self.deny(&name, vec![request], callers, Some(rate))
    }

    /// The same denied call until there were this many denied calls in all.
    pub fn denied_until(&mut self, callers: usize, all: u64) {
        let Some(calls) = all.checked_sub(self.denied).filter(|calls| *calls > 0) else { return };
        let request = self.post("/v1/tools/deployment_scale", &scale("web", TOO_MANY));
        let load = self.load(vec![request], DENIED, callers);
        let load = Load { length: Length::Calls(calls), ..load };
        let name = format!("denied call, until {all}, c={callers}");
        let (run, _) = self.measure(&name, self.installation.supervisor(), &load);
        self.durable += run.calls;
        self.denied += run.calls;
    }

    fn deny(
        &mut self,
        name: &str,
        requests: Vec<Vec<u8>>,
        callers: usize,
        rate: Option<f64>,
    ) -> (Run, f64) {
        let load = Load { rate, ..self.load(requests, DENIED, callers) };
        let measured = self.measure(name, self.installation.supervisor(), &load);
        self.durable += measured.0.calls;
        self.denied += measured.0.calls;
        measured
    }

    /// Answers of tools that only read.
    pub fn answers(&mut self, callers: usize) -> (Run, f64) {
        let body = json!({"namespace": "storefront"});
        let request = self.post("/v1/tools/workloads_list", &body);
        let expected = Expected { status: 200, contains: "\"metadata.name\":\"web\"" };
        let load = self.load(vec![request], expected, callers);
        let name = format!("read-only answer, c={callers}");
        let measured = self.measure(&name, self.installation.supervisor(), &load);
        self.durable += measured.0.calls;
        measured
    }

    /// Reading, denied and refused calls of several tools in turn.
    pub fn mixed(&mut self, callers: usize) -> (Run, f64) {
        let web = json!({"namespace": "storefront", "name": "web"});
        let preview = |tool: &str, body: Value| (format!("/v1/tools/{tool}/preview"), body);
        let image = json!({"namespace": "storefront", "name": "web", "container": "web",
            "image": "registry.example.com/storefront/web:9.9.9"});
        let calls = [
            preview("deployment_scale", scale("web", 5)),
            preview("deployment_restart", web.clone()),
            preview("image_set", image),
            preview("workload_status", web),
            preview("workloads_list", json!({"namespace": "storefront"})),
            preview("config_show", json!({"namespace": "storefront"})),
        ];
        let requests = calls.iter().map(|(path, body)| self.post(path, body)).collect();
        let expected = Expected { status: 200, contains: "\"plan\":\"sha256:" };
        let load = self.load(requests, expected, callers);
        let name = format!("previews of six tools, c={callers}");
        self.measure(&name, self.installation.supervisor(), &load)
    }

    /// `tools/list` over MCP.
    pub fn tools(&mut self, callers: usize) -> (Run, f64) {
        let request = prepared(
            Request::modern("tools/list", json!({})),
            self.installation.address(),
            self.token,
        );
        let expected = Expected { status: 200, contains: "\"deployment_scale\"" };
        let load = self.load(vec![request], expected, callers);
        let name = format!("tools/list, c={callers}");
        self.measure(&name, self.installation.supervisor(), &load)
    }

    /// Jobs that are accepted without a wait. Returns the run, and the closed jobs a second. Waits
    /// this long at most for the jobs to close.
    pub fn jobs(
        &mut self,
        callers: usize,
        deployments: &[String],
        calls: u64,
        drain: Duration,
    ) -> (Run, f64) {
        let address = self.installation.address();
        let requests = (0..calls)
            .map(|number| {
                let name = &deployments[number as usize % deployments.len()];
                let replicas = FEW + (number / deployments.len() as u64) % 7;
                let request = Request::new("POST", "/v1/tools/deployment_scale?wait=0")
                    .json(&scale(name, replicas))
                    .and("Idempotency-Key", &format!("bench-{number}"));
                prepared(request, address, self.token)
            })
            .collect();
        let expected = Expected { status: 202, contains: "\"call\":\"" };
        let load = Load { length: Length::Calls(calls), ..self.load(requests, expected, callers) };
        let (closed, began) = (self.closed(), Instant::now());
        let (run, _) = self.measure(
            &format!("jobs accepted, c={callers}"),
            self.installation.supervisor(),
            &load,
        );
        let mut done = self.closed() - closed;
        while done < run.calls && began.elapsed() < drain {
            std::thread::sleep(Duration::from_millis(100));
            done = self.closed() - closed;
        }
        let rate = done as f64 / began.elapsed().as_secs_f64();
        println!("{:<38} {rate:>9.0}/s closed, {done} of {}", "jobs completed", run.calls);
        (run, rate)
    }

    /// One job after the other, each from the request to its outcome.
    pub fn job(&mut self, deployments: &[String], calls: u64) -> Run {
        let requests = (0..calls)
            .map(|number| {
                let name = &deployments[number as usize % deployments.len()];
                let body = scale(name, FEW + number % 5);
                let request = Request::new("POST", "/v1/tools/deployment_scale?wait=45")
                    .json(&body)
                    .and("Idempotency-Key", &format!("one-{number}"));
                prepared(request, self.installation.address(), self.token)
            })
            .collect();
        let expected = Expected { status: 200, contains: "\"outcome\":\"succeeded\"" };
        let load = Load {
            length: Length::Calls(calls),
            // A pause, so that no job waits for the end of the one before.
            rate: Some(4.0),
            ..self.load(requests, expected, 1)
        };
        self.measure("one job, request to effect", self.installation.supervisor(), &load).0
    }

    fn closed(&self) -> u64 {
        self.installation.metric("cofferdam_jobs_closed_total", "") as u64
    }
}
