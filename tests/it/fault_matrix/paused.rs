//! Roles that stand still past the lease and go on, and roles that stand still for good.

use super::agent::Agent;
use super::judge::Judge;
use super::killed::{prepared, stop_at, stopped};
use super::shim::Faults;
use super::table::Fault;
use crate::cluster::until;
use crate::installation::TestInstallation;
use crate::supervise::processes::{alive, kill};
use crate::supervise::role;
use cofferdam_core::model::run::JobStep;
use std::thread;
use std::time::Duration;

/// The shortest lease that the configuration takes, and a pause that is longer.
const LEASE: &str = "3";
const LONGER: Duration = Duration::from_millis(4_500);

/// A supervisor that waits longer for a sign of life than any pause of these tests.
const PATIENT: [&str; 2] = ["--heartbeat-ms", "60000"];

/// A supervisor that waits 2.8 seconds.
const BRISK: [&str; 2] = ["--heartbeat-ms", "700"];

fn served(options: &[&str]) -> (TestInstallation, Faults, Agent) {
    let (mut installation, faults, agent) = prepared();
    installation.configure("lease_seconds", LEASE);
    installation.serve(options);
    (installation, faults, agent)
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_runner_that_slept_past_its_lease_changes_nothing() {
    let (installation, faults, agent) = served(&PATIENT);
    let mut judge = Judge::of(Fault::RunnerPaused, &installation);
    for step in [
        JobStep::Claimed,
        JobStep::NamespaceRecorded,
        JobStep::OperationStarted,
        JobStep::ExecutorFinished,
        JobStep::EffectCommitted,
        JobStep::OutcomeRecorded,
    ] {
        stop_at(&faults, step);
        let asked = thread::scope(|scope| {
            let asking = scope.spawn(|| agent.until_told());
            let runner = stopped(&installation, &faults);
            thread::sleep(LONGER);
            kill("CONT", &[runner]);
            let asked = asking.join().unwrap();
            // It ends by itself.
            until("the end of the runner", || (!alive(runner)).then_some(()));
            asked
        });
        judge.heard(asked);
    }
    judge.settle(&installation);
}

/// Stops a role in the middle of a job, which goes on.
fn paused(fault: Fault, name: &str) {
    let (installation, faults, agent) = served(&PATIENT);
    let mut judge = Judge::of(fault, &installation);
    for step in [JobStep::Claimed, JobStep::OperationStarted, JobStep::EffectCommitted] {
        stop_at(&faults, step);
        let asked = thread::scope(|scope| {
            let asking = scope.spawn(|| agent.until_told());
            let runner = stopped(&installation, &faults);
            let id = role(&installation, name).id;
            kill("STOP", &[id]);
            kill("CONT", &[runner]);
            thread::sleep(LONGER);
            kill("CONT", &[id]);
            asking.join().unwrap()
        });
        judge.heard(asked);
    }
    judge.settle(&installation);
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_gateway_that_slept_past_the_lease_answers_late() {
    paused(Fault::GatewayPaused, "gateway");
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_viewer_that_slept_past_the_lease_answers_late() {
    paused(Fault::ViewerPaused, "viewer");
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_recorder_that_slept_past_the_lease_loses_no_job() {
    paused(Fault::RecorderPaused, "recorder");
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_role_that_hangs_in_a_job_is_replaced() {
    let (installation, faults, agent) = served(&BRISK);
    let mut judge = Judge::of(Fault::RoleHangs, &installation);
    for name in ["recorder", "viewer", "gateway", "runner"] {
        stop_at(&faults, JobStep::OperationStarted);
        let asked = thread::scope(|scope| {
            let asking = scope.spawn(|| agent.until_told());
            let runner = stopped(&installation, &faults);
            let hung = if name == "runner" { runner } else { role(&installation, name).id };
            kill("STOP", &[hung]);
            if hung != runner {
                kill("CONT", &[runner]);
            }
            let words = format!("it gave no sign of life for 2.8 s and was killed pid={hung} ");
            installation.until_logged(&words);
            judge.told(&installation.log(), &words);
            asking.join().unwrap()
        });
        judge.heard(asked);
    }
    judge.settle(&installation);
}
