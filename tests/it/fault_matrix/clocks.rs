//! The wall clock of one role jumps against the others. The monotonic clock does not.

use super::judge::Judge;
use super::killed::prepared;
use super::table::Fault;

const HOUR: i64 = 3_600;

/// The roles whose clock jumps, and the words of an answer if it is wrong.
const ROLES: [(Fault, &str, Option<&str>); 4] = [
    (Fault::ClockGateway, "gateway", Some("compare the clocks of gateway and runner")),
    (Fault::ClockRecorder, "recorder", None),
    (Fault::ClockViewer, "viewer", None),
    (Fault::ClockRunner, "runner", Some("compare the clocks of gateway and runner")),
];

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_clock_that_jumps_refuses_and_changes_nothing_twice() {
    let (mut installation, faults, agent) = prepared();
    installation.serve(&[]);
    for (fault, name, words) in ROLES {
        let mut judge = Judge::of(fault, &installation).without_times();
        let mut said = String::new();
        for ahead in [HOUR, -HOUR, 0] {
            faults.clock(name, ahead);
            let asked = agent.until_told();
            assert!(ahead != 0 || asked.said().starts_with("DONE "), "{name}: {asked:#?}");
            said += &asked.said();
            judge.heard(asked);
        }
        if let Some(words) = words {
            judge.told(&said, words);
        }
        judge.settle(&installation);
    }
}
