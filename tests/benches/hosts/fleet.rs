//! An installation of many hosts on one PostgreSQL, and the loads on its gateways.

use crate::client::prepared;
use crate::hosts::{Counts, Hosts};
use crate::installation::TestInstallation;
use crate::run::{Expected, Length, Load, Run, run_all};
use cofferdam_testkit::http::Request;
use cofferdam_testkit::postgres::{Database, Server};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The connections of all gateways together.
const CALLERS: usize = 32;

/// The Deployments that jobs change: enough that few jobs wait for another job's object.
const DEPLOYMENTS: usize = 64;

/// The longest wait for accepted jobs to close.
const DRAIN: Duration = Duration::from_secs(120);

/// The response to a denied call.
pub const DENIED: Expected = Expected { status: 403, contains: "\"rule\":\"replicas-limit\"" };

/// The hosts, their database, and an agent that may call.
pub struct Fleet {
    pub hosts: Hosts,
    pub database: Database,
    token: String,
    deployments: Vec<String>,
}

impl Fleet {
    /// Makes and starts the hosts. Waits until calls can be carried out.
    pub fn start(gateways: usize, recorders: usize) -> Self {
        let installation = TestInstallation::bare("example");
        for (key, value) in [
            ("requests_per_second", "1000000"),
            ("burst", "1000000"),
            ("jobs_per_day", "100000000"),
            ("ledger_mib_per_day", "1000000"),
        ] {
            installation.configure(key, value);
        }
        let token = installation.agent("bench", "operator");
        let folder = installation.tree().join("storefront");
        let web = fs::read_to_string(folder.join("web.yaml")).unwrap();
        let deployments: Vec<String> =
            (0..DEPLOYMENTS).map(|number| format!("load-{number}")).collect();
        let manifest = web.split("\n---").find(|text| text.contains("kind: Deployment")).unwrap();
        for name in &deployments {
            let text = manifest.replace("name: web", &format!("name: {name}"));
            fs::write(folder.join(format!("{name}.yaml")), text).unwrap();
        }
        let database = Server::start().database();
        let counts = Counts { gateways, recorders, viewers: 1, runners: 1 };
        let mut hosts = Hosts::new(installation, counts);
        hosts.use_database(&database);
        hosts.start_all();
        Self { hosts, database, token, deployments }
    }

    /// The addresses of the gateways.
    pub fn gateways(&self) -> Vec<SocketAddr> {
        let gateways = self.hosts.hosts.iter().filter(|(name, _)| name.starts_with("gateway"));
        gateways.map(|(_, host)| host.edge).collect()
    }

    /// A request of the agent.
    pub fn request(&self, request: Request, address: SocketAddr) -> Vec<u8> {
        prepared(request, address, &self.token)
    }

    /// The call that the policy denies.
    pub fn denied_call(&self, address: SocketAddr) -> Vec<u8> {
        let request = Request::new("POST", "/v1/tools/deployment_scale").json(&scale("web", 40));
        self.request(request, address)
    }

    /// The same denied call at every gateway.
    pub fn denied(&self, time: Duration) -> Run {
        let gateways = self.gateways();
        let callers = CALLERS / gateways.len();
        let load = |address: &SocketAddr| Load {
            address: *address,
            requests: vec![self.denied_call(*address)].into(),
            expected: DENIED,
            callers,
            length: Length::Time(time),
            rate: None,
        };
        run_all(&gateways.iter().map(load).collect::<Vec<_>>())
    }

    /// Jobs that are accepted without a wait, at every gateway in equal parts. Returns the run, and
    /// the closed jobs a second.
    pub fn jobs(&self, calls: u64) -> (Run, f64) {
        let gateways = self.gateways();
        let (callers, part) = (CALLERS / gateways.len(), calls / gateways.len() as u64);
        let load = |(place, address): (usize, &SocketAddr)| {
            let request = |number: u64| {
                let number = place as u64 * part + number;
                let name = &self.deployments[number as usize % self.deployments.len()];
                let body = scale(name, 4 + (number / self.deployments.len() as u64) % 7);
                let request = Request::new("POST", "/v1/tools/deployment_scale?wait=0")
                    .json(&body)
                    .and("Idempotency-Key", &format!("hosts-{number}"));
                self.request(request, *address)
            };
            Load {
                address: *address,
                requests: (0..part).map(request).collect::<Vec<_>>().into(),
                expected: Expected { status: 202, contains: "\"call\":\"" },
                callers,
                length: Length::Calls(part),
                rate: None,
            }
        };
        let began = Instant::now();
        let run = run_all(&gateways.iter().enumerate().map(load).collect::<Vec<_>>());
        let mut done = self.closed();
        while done < run.calls && began.elapsed() < DRAIN {
            std::thread::sleep(Duration::from_millis(100));
            done = self.closed();
        }
        assert_eq!(done, run.calls, "jobs were lost:\n{}", self.hosts.installation.log());
        (run, done as f64 / began.elapsed().as_secs_f64())
    }

    /// The closed jobs in the database.
    fn closed(&self) -> u64 {
        let count = self.database.run("SELECT count(*) FROM jobs WHERE phase = 'closed'");
        count.unwrap().trim().parse().unwrap()
    }
}

fn scale(name: &str, replicas: u64) -> Value {
    json!({"namespace": "storefront", "name": name, "replicas": replicas})
}
