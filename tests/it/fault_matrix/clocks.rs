//! The wall clock of one role jumps against the others. The monotonic clock does not.

use super::judge::Judge;
use super::killed::prepared;
use super::table::Fault;

const HOUR: i64 = 3_600;

/// The roles, and the word that an answer or the log has when their clock is wrong.
const ROLES: [(Fault, &str); 4] = [
    (Fault::ClockGateway, "gateway"),
    (Fault::ClockRecorder, "recorder"),
    (Fault::ClockViewer, "viewer"),
    (Fault::ClockRunner, "runner"),
];

#[test]
#[ignore = "not seen to pass yet: NOT_RUN in table.rs"]
fn a_clock_that_jumps_refuses_and_changes_nothing_twice() {
    let (mut installation, faults, agent) = prepared();
    installation.serve(&[]);
    for (fault, name) in ROLES {
        let mut judge = Judge::of(fault, &installation).without_times();
        for ahead in [HOUR, -HOUR, 0] {
            faults.clock(name, ahead);
            let asked = agent.until_told();
            println!("{name} {ahead:+} s: {} {}", asked.status(), asked.said());
            assert!(ahead != 0 || asked.said().starts_with("DONE "), "{name}: {asked:#?}");
            judge.heard(asked);
        }
        judge.settle(&installation);
    }
}
