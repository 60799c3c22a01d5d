//! The executor for changes that must work. It performs the operations in the order of the plan and
//! waits after each until its object is ready. At the end it checks all objects once more. If an
//! operation fails, or an object is not ready in time, it undoes its operations, the last one
//! first. It never retries an operation, and never reports success for an object that is not ready.

mod host;
mod note;
#[cfg(test)]
mod tests;

use cofferdam_sdk::executor::{Failure, Operation, Readiness, Stop};
use host::{Host, Imports};

cofferdam_sdk::executor!(run);

/// Seconds of one wait for an object. After each wait the executor may send a progress note.
const SECONDS: u32 = 10;

/// The number of waits that may end without a ready object. They take ten of the fifteen minutes
/// that a host gives a job, so that time remains to undo.
const WAITS: u32 = 60;

/// The number of progress notes that the host accepts, as in `executor.wit`.
const REPORTS: usize = 100;

/// Performs the operations, waits for each and checks all of them. Undoes them if a step fails.
pub fn run(operations: Vec<Operation>) -> Result<(), Stop> {
    drive(operations, &mut Imports)
}

fn drive<H: Host>(handles: Vec<H::Handle>, host: &mut H) -> Result<(), Stop> {
    let mut rollout =
        Rollout { host, done: Vec::with_capacity(handles.len()), waits: WAITS, reports: REPORTS };
    rollout.forward(handles).map_err(|trouble| rollout.back(trouble))
}

/// An operation that is done.
struct Done<H: Host> {
    index: u32,
    after: Vec<u32>,
    undo: Option<H::Handle>,
    sight: Option<H::Sight>,
}

/// The operation at which the executor stops, and the cause.
struct Trouble {
    index: u32,
    why: String,
    /// True if the host performs no further operation for this job, not even an undo.
    stopped: bool,
}

struct Rollout<'a, H: Host> {
    host: &'a mut H,
    done: Vec<Done<H>>,
    waits: u32,
    reports: usize,
}

impl<H: Host> Rollout<'_, H> {
    /// Performs all operations, each after the one before is ready. Then checks all of them again.
    fn forward(&mut self, handles: Vec<H::Handle>) -> Result<(), Trouble> {
        let count = handles.len();
        for (number, handle) in handles.into_iter().enumerate() {
            let (index, after) = (self.host.index(&handle), self.host.after(&handle));
            self.say(&format!("operation {index}: {} of {count}", number + 1));
            let undo = self.host.perform(handle).map_err(|failure| Trouble {
                index,
                why: note::failure(failure).into(),
                stopped: failure == Failure::Stopped,
            })?;
            let sight = self.host.observe(index);
            self.done.push(Done { index, after, undo, sight });
            // One report for each operation that is to come, and one to undo each, come before
            // those on waiting.
            self.wait(number, count - number - 1 + count)?;
        }
        // A later operation may have broken an earlier object.
        (0..count).try_for_each(|number| self.wait(number, count))
    }

    /// Waits until an object is ready. Keeps `reserved` notes for other operations.
    fn wait(&mut self, number: usize, reserved: usize) -> Result<(), Trouble> {
        let mut told = String::new();
        loop {
            let Some(done) = self.done.get(number) else { return Ok(()) };
            let index = done.index;
            let trouble = |why: String| Trouble { index, why, stopped: false };
            let Some(sight) = &done.sight else {
                return Err(trouble("the host gives no observation".into()));
            };
            match self.host.ready(sight, SECONDS) {
                Readiness::Ready => return Ok(()),
                Readiness::Failed(why) => return Err(trouble(format!("it failed: {why}"))),
                Readiness::Progressing(missing) if self.waits == 0 => {
                    return Err(trouble(format!("it was not ready in time: {missing}")));
                }
                Readiness::Progressing(missing) => {
                    self.waits -= 1;
                    if missing != told && self.reports > reserved {
                        self.say(&note::cut(
                            &format!("operation {index}: waiting: {missing}"),
                            note::MOST,
                        ));
                        told = missing;
                    }
                }
            }
        }
    }

    /// Undoes the operations, the last one first. An operation without an undo stays in effect. So
    /// do the operations that it comes after, because it may need them.
    fn back(&mut self, trouble: Trouble) -> Stop {
        let (mut undone, mut kept, mut needed) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(Done { index, after, undo, .. }) = self.done.pop() {
            let undo = undo.filter(|_| !trouble.stopped && !needed.contains(&index));
            match undo {
                None => kept.push(index),
                Some(handle) => {
                    self.say(&format!("operation {index}: undoing"));
                    match self.host.perform(handle) {
                        Ok(_) => {
                            undone.push(index);
                            continue;
                        }
                        Err(_) => kept.push(index),
                    }
                }
            }
            needed.extend(after);
        }
        Stop { index: trouble.index, note: note::stop(&trouble.why, &undone, &kept) }
    }

    fn say(&mut self, text: &str) {
        if self.reports > 0 {
            self.reports -= 1;
            self.host.report(text);
        }
    }
}
