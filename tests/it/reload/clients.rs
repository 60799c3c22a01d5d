//! What clients see of a reload: a subscriber hears that the list of tools changed, and the client
//! of a call that waits for a person hears why it is closed.

use super::{policy, remove_tool, scale};
use crate::cluster::until;
use crate::installation::{TIME_LIMIT, TestInstallation, text};
use cofferdam_testkit::http::Request;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::TcpStream;

/// An open subscription, read message by message.
struct Subscription(Lines<BufReader<TcpStream>>);

impl Subscription {
    fn open(installation: &TestInstallation, token: &str, asked: Value) -> Self {
        let asked = json!({"notifications": asked});
        let request = Request::with_tasks("subscriptions/listen", asked).bearer(token);
        let mut stream = TcpStream::connect(installation.address()).unwrap();
        stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
        stream.write_all(&request.bytes()).unwrap();
        let mut subscription = Self(BufReader::new(stream).lines());
        let first = subscription.next();
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first:#}");
        subscription
    }

    fn next(&mut self) -> Value {
        let data = self.0.find_map(|line| Some(line.unwrap().strip_prefix("data: ")?.to_owned()));
        serde_json::from_str(&data.unwrap()).unwrap()
    }
}

#[test]
fn a_subscriber_hears_that_tools_come_and_go() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let token = installation.agent("bot", "deployer");
    let mut heard = Subscription::open(&installation, &token, json!({"toolsListChanged": true}));
    remove_tool(&installation, "deployment_scale");
    installation.run(&["reload"]);
    assert_eq!(heard.next()["method"], "notifications/tools/list_changed");
    let gone = installation.call(&token, "deployment_scale", &scale(2));
    assert_eq!(gone.status, 404, "{:#}", gone.body);
    // Accepted again, it is there at once.
    let file = installation.tree().join("../deployment_scale.wasm");
    fs::copy(installation.home().join("plugins/tools/deployment_scale.wasm"), &file).unwrap();
    let said = installation.run(&["accept", text(&file)]);
    assert!(said.contains("The running `cofferdam serve` has loaded it."), "{said}");
    assert_eq!(heard.next()["method"], "notifications/tools/list_changed");
    let done = installation.call(&token, "deployment_scale", &scale(2));
    assert_eq!(done.status, 200, "{:#}", done.body);
}

#[test]
fn the_client_of_a_call_that_waits_for_a_person_hears_why_it_is_closed() {
    let mut installation = TestInstallation::bare("single");
    installation.run(&["accept", "--policy", text(&policy(&installation, 1))]);
    installation.serve(&[]);
    let token = installation.agent("bot", "deployer");
    let other = installation.tree().join("../sequential.wasm");
    fs::copy(installation.home().join("plugins/executors/rollout.wasm"), &other).unwrap();
    let replacements: [(&dyn Fn() -> String, &str); 2] = [
        (
            &|| installation.run(&["accept", "--policy", text(&policy(&installation, 2))]),
            "policy was replaced after a person was asked",
        ),
        (
            &|| installation.run(&["accept", "--executor", text(&other)]),
            "executor was replaced after a person was asked: `sequential` is another",
        ),
    ];
    let files = installation.files();
    for (replace, cause) in replacements {
        // A client that holds its call, and one that follows it as a task.
        let told = std::thread::scope(|scope| {
            let held = scope.spawn(|| installation.call(&token, "deployment_scale", &scale(5)));
            let call = installation.waiting();
            let mut heard = Subscription::open(&installation, &token, json!({"taskIds": [&call]}));
            let said = replace();
            assert!(said.contains("The running `cofferdam serve` has loaded it."), "{said}");
            let end = std::iter::repeat_with(|| heard.next())
                .find(|message| message["params"]["status"] != "working")
                .unwrap();
            assert!(end.to_string().contains(cause), "{end:#}");
            held.join().unwrap().body
        });
        assert!(told["error"].is_object(), "{told:#}");
        assert!(told.to_string().contains(cause), "{told:#}");
    }
    assert_eq!(installation.files(), files);
}

#[test]
fn a_question_without_enough_approvers_is_closed() {
    let installation = TestInstallation::started();
    let token = installation.agent("bot", "operator");
    let gift = json!({"namespace": "storefront", "name": "gift-cards-v1"});
    let path = "/v1/tools/deployment_delete?wait=0";
    assert_eq!(installation.http("POST", path, &token, Some(&gift)).status, 202);
    let call = installation.waiting();
    installation.run(&["approver", "remove", "alice@example.com"]);
    assert_eq!(installation.waiting(), call, "Bob may still sign");
    installation.run(&["approver", "remove", "bob@example.com"]);
    let story = installation.closed(&call);
    let why = story["view"]["detail"].as_str().unwrap_or_default();
    assert!(why.contains("0 enrolled people may sign"), "{story:#}");
}

#[test]
fn an_agent_is_known_at_once_and_a_broken_agents_file_is_refused_by_a_reload() {
    let installation = TestInstallation::started();
    let token = installation.agent("bot", "operator");
    let list = |token: &str| installation.http("GET", "/v1/tools", token, None).status;
    assert_eq!(list(&token), 200);
    let file = installation.home().join("agents/agents.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, "no agents").unwrap();
    let said = installation.fail(&["reload"]);
    assert!(said.contains("agents.toml") && said.contains("stays in use"), "{said}");
    assert_eq!(list(&token), 200, "the last good file holds");
    fs::write(&file, good).unwrap();
    installation.run(&["reload"]);
    let rotated = installation.run(&["agents", "rotate", "bot"]);
    until("the old token to be refused", || (list(&token) == 401).then_some(()));
    assert!(rotated.contains("bot"), "{rotated}");
}
