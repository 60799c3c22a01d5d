//! The default executor. It performs the operations in the order of the plan and stops at the first
//! failure. It never retries and never undoes: earlier operations stay in effect, and the result
//! names them. `rollout` undoes them.

use cofferdam_sdk::executor::{Failure, Operation, Outcome, Stop, report};

cofferdam_sdk::executor!(run);

/// Performs each handle once. After a failure it drops the other handles, and the host records
/// their operations as skipped.
pub fn run(operations: Vec<Operation>) -> Result<(), Stop> {
    drive(operations, Operation::index, Operation::perform, report)
}

/// The order, for any type of handle.
fn drive<H>(
    handles: Vec<H>,
    index: fn(&H) -> u32,
    perform: impl Fn(H) -> Outcome,
    report: impl Fn(&str),
) -> Result<(), Stop> {
    let count = handles.len();
    for (done, handle) in handles.into_iter().enumerate() {
        let index = index(&handle);
        // One note for each operation: a plan has at most 64, and the host accepts 100.
        report(&format!("operation {index}: {} of {count}", done + 1));
        match perform(handle) {
            // This executor never undoes, so that it drops the undo handle.
            Outcome::Done(_undo) => {}
            Outcome::Failed(failure) => {
                return Err(Stop { index, note: note(failure, count - done - 1) });
            }
        }
    }
    Ok(())
}

/// The cause, and the number of operations that were not begun.
fn note(failure: Failure, left: usize) -> String {
    let why = match failure {
        Failure::OutOfOrder => "an operation that it depends on is not done",
        Failure::Conflict => "the object is no longer in the approved state",
        Failure::Refused => "the infrastructure refused it",
        Failure::Stopped => "the job was stopped",
    };
    match left {
        0 => why.into(),
        1 => format!("{why}; the one operation after it was not begun"),
        _ => format!("{why}; the {left} operations after it were not begun"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Outcome, drive};
    use std::cell::RefCell;

    /// Runs three operations, of which one may fail. Compares the performed ones and the end.
    fn check(fails: Option<(u32, Failure)>, performed: &[u32], end: Result<(), (u32, &str)>) {
        let (seen, notes) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let perform = |handle: u32| {
            seen.borrow_mut().push(handle);
            match fails {
                Some((at, failure)) if at == handle => Outcome::Failed(failure),
                _ => Outcome::Done(None),
            }
        };
        let ended = drive(
            vec![0, 1, 2],
            |handle| *handle,
            perform,
            |note| notes.borrow_mut().push(note.to_owned()),
        );
        assert_eq!(*seen.borrow(), performed);
        assert_eq!(notes.borrow().len(), performed.len());
        assert_eq!(notes.borrow().first().map(String::as_str), Some("operation 0: 1 of 3"));
        assert_eq!(
            ended.map_err(|stop| (stop.index, stop.note)),
            end.map_err(|(index, note)| (index, note.to_owned()))
        );
    }

    #[test]
    fn stops_at_the_first_failure() {
        check(None, &[0, 1, 2], Ok(()));
        check(
            Some((0, Failure::Refused)),
            &[0],
            Err((0, "the infrastructure refused it; the 2 operations after it were not begun")),
        );
        check(
            Some((1, Failure::Conflict)),
            &[0, 1],
            Err((
                1,
                "the object is no longer in the approved state; the one operation after it was not \
                 begun",
            )),
        );
        check(Some((2, Failure::Stopped)), &[0, 1, 2], Err((2, "the job was stopped")));
    }
}
