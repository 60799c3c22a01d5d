//! The demo's story on PostgreSQL: two gateways, a sequencer, a standby, a viewer and a runner, each in
//! a process tree of its own over mutual TLS. Then the host of the sequencer fails.

use super::hosts::{Counts, Hosts};
use crate::cluster::until;
use crate::installation::{Answer, TIME_LIMIT, TestInstallation, text};
use cofferdam_testkit::http::{Connection, Request};
use cofferdam_testkit::postgres::{Database, Server};
use serde_json::{Value, json};
use std::net::SocketAddr;

fn scale(replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

/// The hosts of the story, an agent's token, and the database of the recorders.
fn hosts() -> (Hosts, String, Database) {
    let installation = TestInstallation::bare("example");
    let token = installation.agent("release", "operator");
    let counts = Counts { gateways: 2, recorders: 2, viewers: 1, runners: 1 };
    let mut hosts = Hosts::new(installation, counts);
    let database = Server::start().database();
    hosts.use_database(&database);
    hosts.start_all();
    (hosts, token, database)
}

/// The host of the sequencer. Operator commands go there from now on.
fn sequencer(hosts: &mut Hosts) -> String {
    let found = until("a sequencer", || hosts.sequencer());
    let home = hosts.hosts[&found].home.clone();
    hosts.installation.operate(home);
    found
}

/// A call at one of the gateways, held until its job has an outcome.
fn call(hosts: &Hosts, gateway: &str, token: &str, tool: &str, arguments: &Value) -> Answer {
    send(hosts.hosts[gateway].edge, token, tool, arguments)
}

fn send(address: SocketAddr, token: &str, tool: &str, arguments: &Value) -> Answer {
    let request = Request::new("POST", &format!("/v1/tools/{tool}?wait=45"));
    let request = request.json(arguments).bearer(token).bytes();
    let mut connection = Connection::open(address, TIME_LIMIT).unwrap();
    let response = connection.send(&request).expect("the gateway answers");
    Answer { status: response.status, body: response.json() }
}

#[test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
fn the_story_passes_on_postgresql_and_a_standby_takes_over_in_the_middle_of_it() {
    let (mut hosts, token, database) = hosts();
    let first = sequencer(&mut hosts);
    let installation = &hosts.installation;
    let tools = installation.http("GET", "/v1/tools", &token, None);
    assert!(tools.body.to_string().contains("deployment_scale"), "{:#}", tools.body);
    for (replicas, gateway) in [(5, "gateway-1"), (6, "gateway-2")] {
        let done = call(&hosts, gateway, &token, "deployment_scale", &scale(replicas));
        assert_eq!(done.status, 200, "{gateway}: {:#}\n{}", done.body, installation.log());
        let story = installation.closed(done.body["call"].as_str().unwrap());
        assert_eq!(story["view"]["outcome"], "succeeded", "{gateway}");
    }

    // The agent waits at one gateway; a person approves; the sequencer's host fails before the
    // answer, and the agent gets it all the same.
    let delete = json!({"namespace": "storefront", "name": "gift-cards-v1"});
    let approved = std::thread::scope(|scope| {
        let calling = scope.spawn({
            let (address, token) = (hosts.hosts["gateway-2"].edge, token.clone());
            move || send(address, &token, "deployment_delete", &delete)
        });
        let id = hosts.installation.waiting();
        hosts.kill(&first);
        let second = sequencer(&mut hosts);
        assert_ne!(second, first);
        let key = text(&hosts.installation.key("bob")).to_owned();
        hosts.installation.run(&["approve", &id, "--key", &key, "--yes"]);
        calling.join().unwrap()
    });
    let log = hosts.installation.log();
    assert_eq!(approved.status, 200, "{:#}\n{log}", approved.body);
    hosts.installation.closed(approved.body["call"].as_str().unwrap());
    assert!(!hosts.installation.tree().join("storefront/gift-cards-v1.yaml").exists());
    hosts.installation.verify_ledger();

    // The failed host comes back as the standby, and takes over in its turn.
    let second = sequencer(&mut hosts);
    hosts.start(&first);
    until("the standby", || hosts.installation.log().contains("stands by").then_some(()));
    assert!(hosts.stop(&second), "{}", hosts.installation.log());
    assert_eq!(sequencer(&mut hosts), first);
    let done = call(&hosts, "gateway-1", &token, "deployment_scale", &scale(7));
    assert_eq!(done.status, 200, "{:#}\n{}", done.body, hosts.installation.log());
    hosts.installation.verify_ledger();
    let terms = database.run("SELECT term FROM sequencer").unwrap();
    assert!(terms.trim().parse::<u64>().unwrap() >= 3, "three take-overs: {terms}");
}
