//! The executor for work that must hold: performs operations in the order of the plan, waits after
//! each until its object is ready, looks once more at all of them at the end, and undoes what it
//! did, last first, when one fails or is not ready in time. It never retries an operation,
//! and never calls work done that it could not see ready.

mod host;
mod note;
#[cfg(test)]
mod tests;

use cofferdam_sdk::executor::{Failure, Operation, Readiness, Stop};
use host::{Host, Imports};

cofferdam_sdk::executor!(run);

/// Seconds of one question whether an object is ready: after each, a caller may be told what the
/// job waits for.
const SECONDS: u32 = 10;

/// Questions that are answered with "not yet", in all: ten minutes of the fifteen that a host gives
/// a job, so that time is left to undo.
const WAITS: u32 = 60;

/// Reports that the host takes, as `executor.wit` says.
const REPORTS: usize = 100;

/// Performs, waits, verifies; and undoes when one of the three does not succeed.
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

/// Where and why it does not go on.
struct Trouble {
    index: u32,
    why: String,
    /// The host does nothing more for this job, not even undo.
    stopped: bool,
}

struct Rollout<'a, H: Host> {
    host: &'a mut H,
    done: Vec<Done<H>>,
    waits: u32,
    reports: usize,
}

impl<H: Host> Rollout<'_, H> {
    /// All operations, each ready before the next begins; then all of them still.
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
        // What came later may have broken what was ready before.
        (0..count).try_for_each(|number| self.wait(number, count))
    }

    /// Waits until what was done is ready; `reserved` reports are kept for others.
    fn wait(&mut self, number: usize, reserved: usize) -> Result<(), Trouble> {
        let mut told = String::new();
        loop {
            let Some(done) = self.done.get(number) else { return Ok(()) };
            let index = done.index;
            let trouble = |why: String| Trouble { index, why, stopped: false };
            let Some(sight) = &done.sight else {
                return Err(trouble("the host shows nothing of it".into()));
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

    /// Undoes what was done, last first. What cannot be undone stays, and so does what it comes
    /// after: that may still need it.
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
