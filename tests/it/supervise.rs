//! Start, stop and restart of roles: signals to one process and to all, calls and jobs at the stop,
//! roles that hang, and an idle machine. Real processes, and the signals of terminals and service
//! managers.

mod manager;
pub mod processes;

use crate::cluster::until;
use crate::installation::{Answer, TestInstallation};
use processes::{Process, alive, descendants, kill};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// A change that policy allows at once.
fn scale(replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": "web", "replicas": replicas})
}

/// A change that a person must approve: a delete.
fn gone() -> Value {
    json!({"namespace": "storefront", "name": "gift-cards-v1"})
}

fn replicas(installation: &TestInstallation) -> String {
    let text = fs::read_to_string(installation.tree().join("storefront/web.yaml")).unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with("replicas:")).unwrap();
    line.split('#').next().unwrap().trim().to_owned()
}

/// A call on its own thread. Returns the head and the body of the response.
fn ask(
    installation: &TestInstallation,
    path: &str,
    token: &str,
    body: &Value,
) -> thread::JoinHandle<(String, Value)> {
    let (address, body) = (installation.address(), body.to_string());
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer \
         {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut text = String::new();
        // It asks for a kept connection, so that its end shows that the server closed it.
        stream.read_to_string(&mut text).unwrap();
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        (head.to_ascii_lowercase(), serde_json::from_str(body).unwrap())
    })
}

fn roles(installation: &TestInstallation) -> Vec<Process> {
    descendants(installation.supervisor())
}

pub fn role(installation: &TestInstallation, name: &str) -> Process {
    until("a role", || {
        roles(installation)
            .into_iter()
            .find(|process| process.words == format!("cofferdam: {name}"))
    })
}

pub fn runners(installation: &TestInstallation) -> Vec<u32> {
    let runners = || {
        roles(installation)
            .into_iter()
            .filter(|process| process.words.starts_with("cofferdam: runner"))
            .map(|process| process.id)
    };
    until("two runners", || Some(runners().collect::<Vec<_>>()).filter(|ids| ids.len() == 2))
}

#[test]
fn a_seat_goes_to_another_runner_after_each_job() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let mut before = runners(&installation);
    for replicas in [5, 6] {
        let answer = installation.call(&token, "deployment_scale", &scale(replicas));
        assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
        // One seat has another runner, and none is left without a seat.
        let now = until("the next runner of a seat", || {
            let now = runners(&installation);
            let new = now.iter().filter(|id| !before.contains(id)).count();
            (new == 1).then_some(now)
        });
        before = now;
    }
}

fn is_ready(installation: &TestInstallation) -> bool {
    installation.http("GET", "/readyz", "", None).status == 200
}

fn text(answer: &Answer) -> String {
    answer.body.as_str().unwrap_or_default().to_owned()
}

/// A stop in the middle of a job, with the signal to these processes.
fn stopped_in_a_job(signal: &str, whom: impl Fn(&TestInstallation) -> Vec<u32>) {
    let mut installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let call = ask(&installation, "/v1/tools/deployment_scale?wait=30", &token, &scale(5));
    installation.until_logged("claimed a job");
    kill(signal, &whom(&installation));
    let (head, body) = call.join().unwrap();
    assert!(
        head.starts_with("http/1.1 20")
            && body["call"].as_str().is_some_and(|call| call.len() == 26),
        "{head}\n{body:#}"
    );
    assert!(installation.ended().success());
    let log = installation.log();
    assert!(log.contains("stopped: no call was cut off, and no job is left clean=true"), "{log}");
    assert!(!log.contains("WARN"), "{log}");
    assert_eq!(replicas(&installation), "replicas: 5");
    assert_eq!(installation.namespaces(), [""; 0]);
    installation.verify_ledger();
}

#[test]
fn ctrl_c_in_a_terminal_and_a_stop_of_all_processes_let_jobs_finish() {
    let all = |installation: &TestInstallation| {
        let mut ids: Vec<u32> = roles(installation).iter().map(|process| process.id).collect();
        // The supervisor gets it last: the order of a terminal and of a control group is not
        // defined.
        ids.push(installation.supervisor());
        ids
    };
    stopped_in_a_job("INT", all);
    stopped_in_a_job("TERM", all);
    stopped_in_a_job("TERM", |installation| vec![installation.supervisor()]);
}

#[test]
fn roles_and_guests_do_not_obey_signals_from_outside() {
    let mut installation = TestInstallation::started();
    let before: Vec<u32> = roles(&installation).iter().map(|process| process.id).collect();
    for signal in ["INT", "TERM", "HUP"] {
        kill(signal, &before);
    }
    for process in roles(&installation) {
        // The bits of HUP, INT and TERM in the mask of ignored signals.
        let ignored =
            process.status("SigIgn").map(|mask| u64::from_str_radix(&mask, 16).unwrap()).unwrap();
        assert_eq!(ignored & 0x4003, 0x4003, "{process:?}");
    }
    assert!(is_ready(&installation));
    assert_eq!(roles(&installation).iter().map(|process| process.id).collect::<Vec<_>>(), before);
    // The end of the control socket ends a role, also after the death of the supervisor.
    kill("KILL", &[installation.supervisor()]);
    installation.ended();
    until("all roles to end", || before.iter().all(|id| !alive(*id)).then_some(()));
}

#[test]
fn a_hangup_loads_again_and_ends_no_role() {
    let installation = TestInstallation::started();
    let before = roles(&installation);
    kill("HUP", &[installation.supervisor()]);
    installation.until_logged("loaded tools, executors, policy ");
    assert!(is_ready(&installation));
    until("the process that rehearsed to end", || (roles(&installation) == before).then_some(()));
}

#[test]
fn at_the_stop_held_calls_are_told_where_they_are_and_new_ones_to_come_again() {
    let mut installation = TestInstallation::bare("example");
    installation.configure("drain_seconds", "100");
    installation.serve(&[]);
    let token = installation.agent("release", "operator");
    let held = ask(&installation, "/v1/tools/deployment_delete?wait=45", &token, &gone());
    let waiting = installation.waiting();
    // A slow runner: the stop waits for it.
    let slow = runners(&installation);
    kill("STOP", &slow);
    kill("TERM", &[installation.supervisor()]);
    let (head, body) = held.join().unwrap();
    assert!(head.starts_with("http/1.1 202") && head.contains("connection: close"), "{head}");
    assert_eq!(body["call"], waiting.as_str(), "{body:#}");
    assert!(body["text"].as_str().unwrap().starts_with("WAITING"), "{body:#}");

    let (head, body) =
        ask(&installation, "/v1/tools/deployment_scale", &token, &scale(5)).join().unwrap();
    assert!(
        head.starts_with("http/1.1 503")
            && head.contains("retry-after: ")
            && head.contains("connection: close"),
        "{head}"
    );
    assert!(body["error"]["text"].as_str().unwrap().contains("nothing was executed"), "{body:#}");
    let ready = installation.http("GET", "/readyz", "", None);
    assert_eq!((ready.status, text(&ready)), (503, "stopping\n".to_owned()));
    assert_eq!(installation.http("GET", "/healthz", "", None).status, 200);
    assert_eq!(
        installation.http("GET", &format!("/v1/jobs/{waiting}"), &token, None).body["call"],
        waiting.as_str()
    );

    kill("CONT", &slow);
    assert!(installation.ended().success());
    assert!(
        installation.log().contains("stopped: no call was cut off, and no job is left clean=true"),
        "{}",
        installation.log()
    );
}

#[test]
fn what_does_not_finish_in_time_is_named_and_taken_up_at_the_next_start() {
    let mut installation = TestInstallation::bare("example");
    installation.configure("drain_seconds", "1");
    installation.serve(&[]);
    let token = installation.agent("release", "operator");
    kill("STOP", &runners(&installation));
    let held = ask(&installation, "/v1/tools/deployment_scale?wait=45", &token, &scale(5));
    let call = until("the job", || {
        installation.json(&["jobs"])["jobs"][0]["job"]["call"].as_str().map(str::to_owned)
    });
    kill("TERM", &[installation.supervisor()]);
    let (head, body) = held.join().unwrap();
    assert!(head.starts_with("http/1.1 202") && body["call"] == call.as_str(), "{head}\n{body:#}");
    assert!(installation.ended().success());
    let said = format!("stopped: 1 job is left for the next start: {call} clean=false");
    assert!(installation.log().contains(&said), "not `{said}`:\n{}", installation.log());
    installation.serve(&[]);
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
    assert_eq!(replicas(&installation), "replicas: 5");
}

#[test]
fn another_signal_ends_at_once() {
    let mut installation = TestInstallation::started();
    let all: Vec<u32> = roles(&installation).iter().map(|process| process.id).collect();
    kill("STOP", &runners(&installation));
    kill("INT", &[installation.supervisor()]);
    installation.until_logged("stopping: no new calls; running jobs have 30 s to finish");
    let began = Instant::now();
    kill("INT", &[installation.supervisor()]);
    let status = installation.ended();
    assert!(began.elapsed() < Duration::from_secs(30), "the thirty seconds were not waited for");
    assert_eq!(status.code(), Some(1));
    assert!(
        installation.log().contains("a second signal: ended at once"),
        "{}",
        installation.log()
    );
    until("all roles to end", || all.iter().all(|id| !alive(*id)).then_some(()));
}

#[test]
fn a_role_that_hangs_while_it_starts_holds_up_no_other() {
    let mut installation = TestInstallation::bare("example");
    // Long enough for the start alone to show.
    installation.serve(&["--heartbeat-ms", "60000"]);
    let known: Vec<u32> = roles(&installation).iter().map(|process| process.id).collect();
    kill("KILL", &runners(&installation)[..1]);
    let born = || {
        descendants(installation.supervisor())
            .into_iter()
            .find(|process| !known.contains(&process.id))
    };
    let hung = until("a runner's birth", born).id;
    kill("STOP", &[hung]);
    let gateway = role(&installation, "gateway").id;
    kill("KILL", &[gateway]);
    until("another gateway", || is_ready_if_there(&installation).then_some(()));
    assert_ne!(role(&installation, "gateway").id, gateway);
    assert!(
        roles(&installation).iter().any(|process| process.id == hung && process.is_stopped()),
        "the hung runner was waited for"
    );
}

fn is_ready_if_there(installation: &TestInstallation) -> bool {
    TcpStream::connect(installation.address()).is_ok() && is_ready(installation)
}

#[test]
fn a_role_without_a_sign_of_life_is_killed_and_started_again() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&["--heartbeat-ms", "700"]);
    let token = installation.agent("release", "operator");
    let hung = ["recorder", "viewer", "gateway", "runner 0"]
        .map(|name| (name, role(&installation, name).id));
    kill("STOP", &hung.map(|(_, id)| id));
    for (name, id) in hung {
        installation.until_logged(&format!(
            "restarting {name} in 0.2 s: it gave no sign of life for 2.8 s and was killed \
             pid={id} role={}",
            quoted(name)
        ));
        assert!(!alive(id));
    }
    until("all to be back", || is_ready_if_there(&installation).then_some(()));
    let answer = installation.call(&token, "deployment_scale", &scale(5));
    assert_eq!(
        (answer.status, replicas(&installation).as_str()),
        (200, "replicas: 5"),
        "{:#}",
        answer.body
    );
}

/// A text as a log line shows it.
fn quoted(name: &str) -> String {
    if name.contains(' ') { format!("\"{name}\"") } else { name.to_owned() }
}

#[test]
fn an_idle_installation_wakes_fewer_than_twenty_times_a_second() {
    const SECONDS: u64 = 6;
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    // Everything was used once, so that processes which start later count too.
    installation.call(&token, "deployment_scale", &scale(5));
    installation.call(
        &token,
        "workload_status",
        &json!({"namespace": "storefront", "name": "web"}),
    );
    let count = || {
        let mut all = roles(&installation);
        all.push(Process::of(installation.supervisor()).unwrap());
        all.into_iter()
            .map(|process| (process.words.clone(), process.switches()))
            .collect::<Vec<_>>()
    };
    // The end of the used roles takes a machine's time: spans are sent, and another runner starts.
    until("an idle time", || {
        let before = count();
        thread::sleep(Duration::from_secs(SECONDS));
        let after = count();
        let each = before
            .iter()
            .zip(&after)
            .map(|((words, a), (_, b))| format!("{words}: {}", b.saturating_sub(*a)));
        let told: Vec<String> = each.collect();
        let sum = |counts: &[(String, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
        let woken = sum(&after).saturating_sub(sum(&before));
        println!("{woken} in {SECONDS} s: {told:?}");
        // A new process has counted less.
        let same = before.len() == after.len()
            && before.iter().zip(&after).all(|(a, b)| a.0 == b.0 && a.1 <= b.1);
        (same && woken < 20 * SECONDS).then_some(())
    });
}

#[test]
fn a_signal_without_a_meaning_ends_neither_the_supervisor_nor_a_role() {
    let installation = TestInstallation::started();
    installation.until_logged("Cofferdam serves the environment");
    let ids: Vec<u32> =
        [installation.supervisor()].into_iter().chain(runners(&installation)).collect();
    for signal in ["USR1", "USR2"] {
        kill(signal, &ids);
        installation.until_logged(&format!("SIG{signal} has no meaning here"));
    }
    for signal in ["ALRM", "VTALRM", "PROF", "IO", "PWR"] {
        kill(signal, &[installation.supervisor()]);
        installation.until_logged(&format!("SIG{signal} has no meaning here"));
    }
    assert_eq!(runners(&installation), ids.get(1..).unwrap(), "the same runners wait");
    assert!(is_ready(&installation));
}

#[test]
fn an_agent_that_came_and_went_keeps_callers_without_a_token_out_until_the_next_start() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let tools =
        |installation: &TestInstallation| installation.http("GET", "/v1/tools", "", None).status;
    assert_eq!(tools(&installation), 200, "without agents callers of this machine may look");
    // No request comes between the two, and the gateway that would know it is gone.
    installation.agent("release", "operator");
    installation.run(&["agents", "remove", "release"]);
    let gateway = role(&installation, "gateway");
    kill("KILL", &[gateway.id]);
    until("another gateway", || {
        Some(role(&installation, "gateway")).filter(|role| role.id != gateway.id)
    });
    until("a ready gateway", || is_ready(&installation).then_some(()));
    assert_eq!(tools(&installation), 401, "{}", installation.log());
    installation.stop();
    installation.serve(&[]);
    assert_eq!(tools(&installation), 200, "at the next start the file alone counts");
}

#[test]
fn a_role_that_makes_a_call_of_no_role_is_ended_and_its_end_is_told() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    // The signals of the kernel for such a call; a role ignores only INT, TERM and HUP.
    kill("SYS", &[role(&installation, "viewer").id]);
    installation.until_logged(
        "restarting viewer in 0.2 s: it made a system call that its role may not make",
    );
    until("another viewer", || is_ready(&installation).then_some(()));
}
