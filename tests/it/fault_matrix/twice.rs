//! A second supervisor of the same home.

use super::judge::Judge;
use super::killed::{prepared, stop_at, stopped};
use super::table::Fault;
use crate::supervise::processes::kill;
use cofferdam_core::model::run::JobStep;
use std::thread;

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_second_supervisor_is_refused_and_disturbs_no_job() {
    let (mut installation, faults, agent) = prepared();
    installation.serve(&[]);
    let mut judge = Judge::of(Fault::SecondSupervisor, &installation);
    for step in [JobStep::Claimed, JobStep::OperationStarted, JobStep::EffectCommitted] {
        stop_at(&faults, step);
        let asked = thread::scope(|scope| {
            let asking = scope.spawn(|| agent.until_told());
            let runner = stopped(&installation, &faults);
            let address = format!("\"{}\"", installation.address());
            installation.configure("listen", &address);
            judge.told(&installation.fail(&["serve"]), "end what listens there");
            // With an address of its own it gets as far as the home.
            installation.configure("listen", "\"127.0.0.1:0\"");
            let refused = installation.fail(&["serve"]);
            judge.told(&refused, "another `cofferdam serve` serves this home");
            kill("CONT", &[runner]);
            asking.join().unwrap()
        });
        assert!(asked.said().starts_with("DONE "), "{asked:#?}");
        judge.heard(asked);
    }
    judge.settle(&installation);
}
