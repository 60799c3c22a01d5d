//! Limits of one agent, over real HTTP and all roles: a budget of the store is refused with 429 on
//! both ways in and outlives a restart, and an agent in a loop takes nothing from another one.

use crate::cluster::until;
use crate::installation::{TIME_LIMIT, TestInstallation, text};
use cofferdam_testkit::http::{Connection, Request, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

/// The connections of the agent in a loop.
const HOSTILE: usize = 64;

fn scale(replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

fn send(address: SocketAddr, request: &Request) -> Response {
    Connection::open(address, TIME_LIMIT).unwrap().send(&request.bytes()).unwrap()
}

/// The same call over MCP and over plain HTTP, which holds it for a moment at most.
fn calls(token: &str, replicas: u32) -> [Request; 2] {
    let plain = Request::new("POST", "/v1/tools/deployment_scale?wait=1").json(&scale(replicas));
    [Request::call("deployment_scale", scale(replicas)).bearer(token), plain.bearer(token)]
}

/// Refuses both forms of a call with 429, a time and this cause.
fn refused(installation: &TestInstallation, token: &str, replicas: u32, cause: &str) {
    for (request, start) in calls(token, replicas).iter().zip(["429 -32603 id 7: ", "429 "]) {
        let response = send(installation.address(), request);
        let expected = format!("{start}over a limit: this agent {cause}");
        assert!(response.line().starts_with(&expected), "{} for {expected}", response.line());
        let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=86_400).contains(&seconds), "{seconds}");
    }
}

#[test]
fn budgets_of_an_agent_outlive_a_restart_and_are_its_own() {
    let mut installation = TestInstallation::bare("single");
    installation.configure("waiting_approvals", "1");
    installation.configure("jobs_per_day", "3");
    installation.serve(&[]);
    let token = installation.agent("release", "deployer");
    let other = installation.agent("other", "deployer");
    let entries = |installation: &TestInstallation| installation.published();
    let question = send(installation.address(), &calls(&token, 12)[1]);
    assert_eq!(question.status, 202, "{}", question.line());
    let before = entries(&installation);
    refused(&installation, &token, 13, "has 1 calls that wait for a person");
    assert_eq!(entries(&installation), before, "a refused call leaves no entry");
    // The same question joins its call, and a call without a question is none.
    assert_eq!(send(installation.address(), &calls(&token, 12)[1]).status, 202);
    for replicas in [5, 6] {
        assert_eq!(installation.call(&token, "deployment_scale", &scale(replicas)).status, 200);
    }
    refused(&installation, &token, 7, "had 3 jobs today");

    installation.stop();
    installation.serve(&[]);
    refused(&installation, &token, 8, "had 3 jobs today");
    assert_eq!(installation.call(&other, "deployment_scale", &scale(9)).status, 200);
    until("the status to name the agent", || {
        let named = "agent `release` was over its limit `jobs_per_day`";
        installation.run(&["status"]).contains(named).then_some(())
    });
    assert!(installation.metric("cofferdam_edge_over_limit_total", "limit=\"budget\"") >= 2.0);
    installation.verify_ledger();
}

#[test]
fn limits_of_a_role_are_in_policy_data_and_change_with_the_policy() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let token = installation.agent("release", "deployer");
    let other = installation.agent("other", "viewer");
    let folder = installation.tree().join("../another-policy");
    std::fs::create_dir_all(&folder).unwrap();
    let own = installation.home().join("policy");
    std::fs::copy(own.join("policy.wasm"), folder.join("policy.wasm")).unwrap();
    let mut data: Value =
        serde_json::from_slice(&std::fs::read(own.join("data.json")).unwrap()).unwrap();
    let mut write = |limits: Value| {
        data["agent_limits"] = limits;
        std::fs::write(folder.join("data.json"), data.to_string()).unwrap();
    };
    let accept = ["accept", "--policy", text(&folder)];
    write(json!({"deployer": {"jobs_per_day": 0}}));
    let refused = installation.fail(&accept);
    let cause = "`agent_limits.deployer.jobs_per_day` in the policy's data is 0; write a whole \
                 number from 1 to 100000000";
    assert!(refused.contains(cause), "{refused}");

    write(json!({"deployer": {"jobs_per_day": 1, "requests_per_second": 1, "burst": 9}}));
    installation.run(&accept);
    assert_eq!(installation.call(&token, "deployment_scale", &scale(5)).status, 200);
    until("the budget of the role", || {
        let response = send(installation.address(), &calls(&token, 6)[1]);
        response.line().starts_with("429 over a limit: this agent had 1 jobs today").then_some(())
    });
    let list = Request::new("GET", "/v1/tools");
    until("the rate of the role", || {
        let response = send(installation.address(), &list.clone().bearer(&token));
        let cause = "429 over a limit: this agent sends more than 1 requests a second";
        response.line().starts_with(cause).then_some(())
    });
    for _ in 0..20 {
        assert_eq!(send(installation.address(), &list.clone().bearer(&other)).status, 200);
    }
}

#[test]
fn an_agent_beside_a_hostile_one_is_always_served() {
    let installation = TestInstallation::started();
    let hostile = installation.agent("hostile", "operator");
    let token = installation.agent("release", "operator");
    let address = installation.address();
    let list = Request::modern("tools/list", json!({})).without("Connection");
    let (flood, own) = (list.clone().bearer(&hostile).bytes(), list.bearer(&token));
    let (stop, limited) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..HOSTILE {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    // The server may close the connection.
                    let Ok(mut connection) = Connection::open(address, TIME_LIMIT) else {
                        continue;
                    };
                    while let Ok(response) = connection.send(&flood) {
                        limited.fetch_add(u32::from(response.status == 429), SeqCst);
                        if stop.load(SeqCst) {
                            break;
                        }
                    }
                }
            });
        }
        until("the hostile agent to be over its limit", || {
            (limited.load(SeqCst) > 0).then_some(())
        });
        let [over_mcp, plain] = calls(&token, 40);
        let mut refused = Vec::new();
        for number in 0..40 {
            // Calls that policy denies, and lists.
            for (request, expected) in [(&over_mcp, 200), (&plain, 403), (&own, 200)] {
                let response = send(address, request);
                if response.status != expected {
                    refused.push(format!("{number}: {}", response.line()));
                }
            }
        }
        stop.store(true, SeqCst);
        assert_eq!(refused, [""; 0]);
    });
}
