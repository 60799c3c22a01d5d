//! Roles that are killed at each step of a job. The runner stops itself right after the step, so that
//! the other role dies at exactly that step; then the runner goes on.

use super::agent::Agent;
use super::judge::Judge;
use super::shim::{Action, Faults, LOG, Rule, SYNC, WRITE};
use super::table::Fault;
use crate::cluster::until;
use crate::installation::TestInstallation;
use crate::supervise::processes::{Process, alive, descendants, kill};
use crate::supervise::role;
use cofferdam_core::model::run::{JOB_STEPS, JobStep};
use std::thread;

/// An installation whose runners can be stopped at a step, with an agent.
pub fn prepared() -> (TestInstallation, Faults, Agent) {
    let mut installation = TestInstallation::bare("example");
    // A runner names its steps at this level.
    installation.configure("log_level", "\"debug\"");
    let faults = Faults::of(&mut installation);
    let agent = Agent::of(&installation);
    (installation, faults, agent)
}

/// Makes the next runner that comes to this step stop right after it.
pub fn stop_at(faults: &Faults, step: JobStep) {
    faults.arm("runner", &[Rule::one(LOG, &format!("name={step:?}"), Action::Stop, 0)]);
}

/// The runner that stopped at the step.
pub fn stopped(installation: &TestInstallation, faults: &Faults) -> u32 {
    until("a runner at the step", || {
        let mut all = descendants(installation.supervisor()).into_iter();
        let runner = all.find(|one| one.words.starts_with("cofferdam: runner") && one.is_stopped());
        runner.filter(|_| faults.counts("runner").1 == 1).map(|runner| runner.id)
    })
}

/// A supervisor starts a role again at once after a few ends, and after a longer and longer pause
/// then. So many kills come between two new supervisors.
const KILLS: usize = 3;

/// Does this at each step of a job, in the middle of a call, and judges in the end.
fn at_each_step(fault: Fault, told: Option<&str>, act: impl Fn(&mut TestInstallation, u32)) {
    let (mut installation, faults, agent) = prepared();
    installation.serve(&[]);
    let mut judge = Judge::of(fault, &installation);
    for (number, step) in JOB_STEPS.into_iter().enumerate() {
        if number > 0 && number % KILLS == 0 {
            installation.stop();
            installation.serve(&[]);
        }
        stop_at(&faults, step);
        let asked = thread::scope(|scope| {
            let asking = scope.spawn(|| agent.until_told());
            let runner = stopped(&installation, &faults);
            act(&mut installation, runner);
            asking.join().unwrap()
        });
        // The next rule must meet the runner of the next job.
        installation.closed(&asked.call().unwrap());
        judge.heard(asked);
    }
    if let Some(words) = told {
        judge.told(&installation.log(), words);
    }
    judge.settle(&installation);
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_runner_that_is_killed_at_any_step_loses_no_job() {
    at_each_step(Fault::RunnerKilled, Some("restarting runner "), |_, runner| {
        kill("KILL", &[runner]);
    });
}

fn role_at_each_step(fault: Fault, name: &str) {
    at_each_step(fault, Some(&format!("restarting {name} in 0.2 s: ")), |installation, runner| {
        let id = role(installation, name).id;
        kill("KILL", &[id]);
        kill("CONT", &[runner]);
        until("the end of the role", || (!alive(id)).then_some(()));
    });
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_gateway_that_is_killed_at_any_step_loses_no_job() {
    role_at_each_step(Fault::GatewayKilled, "gateway");
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_viewer_that_is_killed_at_any_step_loses_no_job() {
    role_at_each_step(Fault::ViewerKilled, "viewer");
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_recorder_that_is_killed_at_any_step_loses_no_job() {
    role_at_each_step(Fault::RecorderKilled, "recorder");
}

/// Waits for the end of these processes, and serves again.
fn serve_again(installation: &mut TestInstallation, before: &[Process]) {
    installation.ended();
    until("the end of all roles", || before.iter().all(|process| !alive(process.id)).then_some(()));
    installation.serve(&[]);
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_supervisor_that_is_killed_at_any_step_loses_no_job() {
    at_each_step(Fault::SupervisorKilled, None, |installation, runner| {
        let roles = descendants(installation.supervisor());
        kill("KILL", &[installation.supervisor()]);
        kill("CONT", &[runner]);
        serve_again(installation, &roles);
    });
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn all_processes_killed_at_any_step_lose_no_job() {
    at_each_step(Fault::MachineStopped, None, |installation, _| {
        let roles = descendants(installation.supervisor());
        let mut all: Vec<u32> = roles.iter().map(|process| process.id).collect();
        all.push(installation.supervisor());
        kill("KILL", &all);
        serve_again(installation, &roles);
    });
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_recorder_killed_within_a_commit_has_all_of_it_or_nothing() {
    let (mut installation, faults, agent) = prepared();
    installation.serve(&[]);
    let mut judge = Judge::of(Fault::CommitKilled, &installation);
    // The number of flushes and of writes of one job.
    let count = |calls| {
        faults.arm("recorder", &[Rule::every(calls, "/store/", Action::Count)]);
        let asked = agent.until_told();
        installation.closed(&asked.call().unwrap());
        (asked, faults.counts("recorder").0)
    };
    let ((first, flushes), (second, writes)) = (count(SYNC), count(WRITE));
    judge.heard(first);
    judge.heard(second);
    println!("one job has {flushes} flushes and {writes} writes");
    assert!(flushes > 2 && writes > 2 * flushes, "{flushes} flushes, {writes} writes");
    let middle = |flush| writes * (2 * flush + 1) / (2 * flushes);
    for flush in 0..flushes {
        for rule in [
            Rule::one(SYNC, "/store/", Action::Kill, flush),
            Rule::one(SYNC, "/store/", Action::KillAfter, flush),
            Rule::one(WRITE, "/store/", Action::Kill, middle(flush)),
        ] {
            faults.arm("recorder", &[rule]);
            judge.heard(agent.until_told());
            faults.calm("recorder");
        }
        installation.stop();
        installation.serve(&[]);
    }
    judge.told(&installation.log(), "restarting recorder in 0.2 s: ");
    judge.settle(&installation);
}
