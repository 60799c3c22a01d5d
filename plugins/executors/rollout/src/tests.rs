//! The order of a rollout, with a host that records the requests and replies by a script.

use crate::host::Host;
use crate::{REPORTS, WAITS, drive, note};
use cofferdam_sdk::executor::{Failure, Readiness, Stop};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A handle: index, the indexes before it, and true if it undoes.
type Handle = (u32, Vec<u32>, bool);

/// The replies of the host, and the requests that it got.
#[derive(Default)]
struct Script {
    fails: BTreeMap<(u32, bool), Failure>,
    /// The replies for an operation, in order. After the last one the object is ready.
    ready: BTreeMap<u32, VecDeque<Readiness>>,
    /// Operations without an undo.
    lasting: BTreeSet<u32>,
    /// Operations without an observation.
    hidden: BTreeSet<u32>,
    did: Vec<String>,
    said: Vec<String>,
}

impl Host for Script {
    type Handle = Handle;
    type Sight = u32;

    fn index(&self, handle: &Handle) -> u32 {
        handle.0
    }

    fn after(&self, handle: &Handle) -> Vec<u32> {
        handle.1.clone()
    }

    fn perform(&mut self, (index, _, undo): Handle) -> Result<Option<Handle>, Failure> {
        self.did.push(format!("{}{index}", if undo { "undo " } else { "" }));
        match self.fails.get(&(index, undo)) {
            Some(failure) => Err(*failure),
            None => {
                Ok((!undo && !self.lasting.contains(&index)).then(|| (index, Vec::new(), true)))
            }
        }
    }

    fn observe(&mut self, index: u32) -> Option<u32> {
        (!self.hidden.contains(&index)).then_some(index)
    }

    fn ready(&mut self, sight: &u32, _seconds: u32) -> Readiness {
        self.did.push(format!("ready {sight}"));
        self.ready.get_mut(sight).and_then(VecDeque::pop_front).unwrap_or(Readiness::Ready)
    }

    fn report(&mut self, note: &str) {
        assert!(note.chars().count() <= note::MOST, "{note}");
        self.said.push(note.to_owned());
    }
}

impl Script {
    fn answers(mut self, index: u32, answers: impl IntoIterator<Item = Readiness>) -> Self {
        self.ready.insert(index, answers.into_iter().collect());
        self
    }

    fn fails(mut self, index: u32, undo: bool, failure: Failure) -> Self {
        self.fails.insert((index, undo), failure);
        self
    }
}

/// Three operations, the second after the first.
fn run(script: &mut Script) -> Result<(), (u32, String)> {
    let handles = vec![(0, vec![], false), (1, vec![0], false), (2, vec![], false)];
    drive(handles, script).map_err(|Stop { index, note }| (index, note))
}

fn check(mut script: Script, did: &str, end: Result<(), (u32, &str)>) {
    let ended = run(&mut script);
    assert_eq!(script.did.join(", "), did);
    assert_eq!(ended, end.map_err(|(index, note)| (index, note.to_owned())));
    assert!(script.said.len() <= REPORTS, "{}", script.said.len());
}

fn missing(text: &str) -> Readiness {
    Readiness::Progressing(text.into())
}

fn broken(text: &str) -> Readiness {
    Readiness::Failed(text.into())
}

#[test]
fn each_object_is_ready_before_the_next_and_all_are_at_the_end() {
    check(
        Script::default(),
        "0, ready 0, 1, ready 1, 2, ready 2, ready 0, ready 1, ready 2",
        Ok(()),
    );
    let slow =
        Script::default().answers(1, [missing("0 of 2"), missing("0 of 2"), missing("1 of 2")]);
    check(
        slow,
        "0, ready 0, 1, ready 1, ready 1, ready 1, ready 1, 2, ready 2, ready 0, ready 1, ready 2",
        Ok(()),
    );
}

#[test]
fn a_failure_undoes_the_operations_the_last_one_first() {
    let fails = |index, failure| Script::default().fails(index, false, failure);
    check(fails(0, Failure::Refused), "0", Err((0, "the infrastructure refused it")));
    check(
        fails(2, Failure::Conflict),
        "0, ready 0, 1, ready 1, 2, undo 1, undo 0",
        Err((2, "undone: 1, 0; the object is no longer in the approved state")),
    );
    check(
        Script::default().answers(1, [broken("ImagePullBackOff")]),
        "0, ready 0, 1, ready 1, undo 1, undo 0",
        Err((1, "undone: 1, 0; it failed: ImagePullBackOff")),
    );
    // Ready at first, then broken by a later operation.
    check(
        Script::default().answers(0, [Readiness::Ready, broken("CrashLoopBackOff")]),
        "0, ready 0, 1, ready 1, 2, ready 2, ready 0, undo 2, undo 1, undo 0",
        Err((0, "undone: 2, 1, 0; it failed: CrashLoopBackOff")),
    );
    // Without an observation no object counts as ready.
    check(
        Script { hidden: BTreeSet::from([0]), ..Script::default() },
        "0, undo 0",
        Err((0, "undone: 0; the host gives no observation")),
    );
}

#[test]
fn an_object_that_is_never_ready_ends_the_job_in_time() {
    let mut script =
        Script::default().answers(0, (0..1_000).map(|_| missing("0 of 2 pods are ready")));
    assert_eq!(
        run(&mut script),
        Err((0, "undone: 0; it was not ready in time: 0 of 2 pods are ready".to_owned()))
    );
    assert_eq!(
        script.did.iter().filter(|did| *did == "ready 0").count(),
        usize::try_from(WAITS).unwrap() + 1
    );
    assert_eq!(
        script.said,
        [
            "operation 0: 1 of 3",
            "operation 0: waiting: 0 of 2 pods are ready",
            "operation 0: undoing"
        ]
    );
}

#[test]
fn an_operation_without_an_undo_keeps_those_that_it_needs() {
    check(
        Script::default().fails(1, true, Failure::Conflict).fails(2, false, Failure::Refused),
        "0, ready 0, 1, ready 1, 2, undo 1",
        Err((2, "not undone: 1, 0; the infrastructure refused it")),
    );
    check(
        Script { lasting: BTreeSet::from([0]), ..Script::default() }.answers(2, [broken("x")]),
        "0, ready 0, 1, ready 1, 2, ready 2, undo 2, undo 1",
        Err((2, "undone: 2, 1; not undone: 0; it failed: x")),
    );
    // A stopped job performs no further operation, not even an undo.
    check(
        Script::default().fails(1, false, Failure::Stopped),
        "0, ready 0, 1",
        Err((1, "not undone: 0; the job was stopped")),
    );
}

#[test]
fn notes_stay_within_the_limits_of_the_host() {
    let count: u32 = 64;
    let handles = (0..count).map(|index| (index, vec![], false)).collect();
    let long = "x".repeat(200);
    let mut script = Script::default()
        .answers(0, (0..40).map(|number| missing(&format!("{number} {long}"))))
        .answers(63, [broken(&long)]);
    let stop = drive(handles, &mut script).unwrap_err();
    assert!(
        stop.note.starts_with("undone: 64 operations; it failed: xxx") && stop.note.ends_with('…'),
        "{}",
        stop.note
    );
    assert_eq!((stop.index, stop.note.chars().count()), (63, note::MOST));
    assert!(script.said.len() <= REPORTS, "{}", script.said.len());
}
