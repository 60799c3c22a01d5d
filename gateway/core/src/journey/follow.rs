//! Following a job: a reply is held until the effects are finished, never until teardown. Also the
//! caller's own requests to read and to withdraw a job.

use super::World;
use crate::journey::ports::{Host, ProgressSink, Recorder};
use crate::model::answer::{Proof, RefusalKind, Reply};
use crate::model::caller::Principal;
use crate::model::id::CallId;
use crate::model::job::JobView;
use crate::model::limit;
use crate::model::run::{Outcome, Phase};
use crate::protocol::RoleError;
use crate::protocol::gateway_recorder::{Propose, Proposed};
use crate::text;

/// How long a reply is held, and the sink for progress meanwhile.
#[derive(Clone, Copy)]
pub struct Wait<'a> {
    /// At most this many milliseconds.
    pub ms: u64,
    /// The same while a person decides.
    pub person_ms: u64,
    /// The sink for the progress of the job.
    pub progress: &'a ProgressSink,
}

/// Replies with one of the caller's own jobs. The reply is held for the job to finish; progress is
/// sent meanwhile.
pub async fn job<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    call: &CallId,
    wait: Wait<'_>,
) -> Reply {
    match watch(host, principal, call, wait).await {
        Ok(view) => told(world, &view, text::state_reply(&view)),
        Err(RoleError::NotFound(_)) => ended(host, world, principal, call).await,
        Err(error) => absent(world, call, &error),
    }
}

/// Replies with a call of the caller that has no job. A call of another principal does not exist
/// here.
async fn ended<H: Host>(host: &H, world: &World, principal: &Principal, call: &CallId) -> Reply {
    let ask = Propose::Ended { principal: principal.name.clone(), call: call.clone() };
    match host.recorder().propose(ask).await {
        Ok(Proposed::Ended { ended: Some(ended) }) => {
            Reply::Success(text::ended(call, &ended, &world.trust.environment))
        }
        Ok(_) => absent(world, call, &RoleError::NotFound(String::new())),
        Err(error) => absent(world, call, &error),
    }
}

/// Withdraws one of the caller's own jobs: at once while no runner has claimed it, else the runner
/// is asked to stop.
pub async fn cancel<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    call: &CallId,
) -> Reply {
    let propose = Propose::Cancel { principal: principal.name.clone(), call: call.clone() };
    match host.recorder().propose(propose).await {
        Ok(Proposed::Job { job, .. }) => text::withdrawal(&job),
        Err(RoleError::NotFound(_)) => ended(host, world, principal, call).await,
        Ok(_) => {
            absent(world, call, &RoleError::Unavailable("a response to another request".to_owned()))
        }
        Err(error) => absent(world, call, &error),
    }
}

/// The caller's own calls, newest first; `open`: only those without an outcome.
pub async fn calls<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    open: bool,
    limit: u32,
) -> Reply {
    let propose =
        Propose::Calls { principal: principal.name.clone(), open, limit: limit.min(limit::CALLS) };
    match host.recorder().propose(propose).await {
        Ok(Proposed::Calls { calls, more }) => {
            Reply::Listed(text::calls(&calls, more, open, &world.trust.environment))
        }
        _ => unreadable(),
    }
}

/// The outcome of a job that was just stored or joined. When the recorder goes away meanwhile, the
/// job still runs, and the reply says so.
pub(super) async fn outcome<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    call: &CallId,
    wait: Wait<'_>,
) -> Reply {
    match watch(host, principal, call, wait).await {
        Ok(view) => told(world, &view, text::job_reply(&view)),
        Err(_) => Reply::Success(text::accepted(call, &world.trust.environment)),
    }
}

/// Answers a call whose idempotency key was used before: with the outcome of the earlier call, or
/// with its unfinished job, which is joined.
pub(super) async fn replay<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    call: &CallId,
    wait: Wait<'_>,
) -> Reply {
    let at_once = Wait { ms: 0, person_ms: 0, progress: wait.progress };
    match watch(host, principal, call, at_once).await {
        Ok(view) if view.outcome.is_some() => told(world, &view, text::replayed(&view)),
        _ => outcome(host, world, principal, call, wait).await,
    }
}

/// Waits for an outcome; while a person decides, at most `person_ms`.
async fn watch<H: Host>(
    host: &H,
    principal: &Principal,
    call: &CallId,
    wait: Wait<'_>,
) -> Result<JobView, RoleError> {
    let Wait { ms, person_ms, progress } = wait;
    let start = host.now();
    let (mut beyond, mut wait_ms) = (0, 0);
    let mut heard = Heard::default();
    loop {
        let propose =
            Propose::Job { principal: principal.name.clone(), call: call.clone(), beyond, wait_ms };
        let view = match host.recorder().propose(propose).await? {
            Proposed::Job { job, .. } => *job,
            _ => {
                return Err(RoleError::Unavailable("a response to another request".to_owned()));
            }
        };
        if ms > 0 {
            heard.tell(&view, progress);
        }
        let passed =
            u64::try_from(host.now().duration_since(start).as_millis()).unwrap_or_default();
        let most = if view.phase == Phase::AwaitingApproval { person_ms.min(ms) } else { ms };
        let left = most.min(limit::WAIT_MS).saturating_sub(passed);
        // The same version again means that the recorder waited as long as it was asked to.
        let unchanged = wait_ms > 0 && view.version <= beyond;
        if view.outcome.is_some() || left == 0 || unchanged {
            return Ok(view);
        }
        (beyond, wait_ms) = (view.version, left);
    }
}

/// The part of a job that a waiting caller was told so far.
#[derive(Default)]
struct Heard {
    phase: Option<Phase>,
    note: u64,
}

impl Heard {
    /// Sends the news: each phase once, each note once. The outcome is left to the reply.
    fn tell(&mut self, view: &JobView, progress: &ProgressSink) {
        if view.outcome.is_none() && self.phase.replace(view.phase) != Some(view.phase) {
            progress(text::describe_phase(view));
        }
        for note in &view.progress {
            if note.number > self.note {
                progress(text::describe_note(note, note.number - self.note - 1));
                self.note = note.number;
            }
        }
    }
}

/// A reply about a job. It is complete only if the result has the form that the tool promises.
pub(super) fn told(world: &World, view: &JobView, mut reply: Reply) -> Reply {
    if let (Reply::Success(success), Some(tool)) = (&mut reply, world.catalog.get(&view.tool)) {
        // A result of another form is still shown, but not as the tool's own.
        let promised = view.outcome != Some(Outcome::Succeeded)
            || tool.output().check(&success.structured).is_ok();
        success.complete = success.complete && promised;
    }
    reply
}

fn absent(world: &World, call: &CallId, error: &RoleError) -> Reply {
    match error {
        RoleError::NotFound(_) | RoleError::Refused(_) => {
            let proof = Proof { call: call.clone(), plan: None, ledger: None };
            let (why, allowed) = match error {
                RoleError::Refused(detail) => {
                    (crate::model::escape::line(detail), "Jobs of your own that are not finished.")
                }
                _ => ("you have no job of this id".to_owned(), "Jobs of your own."),
            };
            let words = (
                why.as_str(),
                allowed,
                "`calls_list` lists your jobs. Reads, previews and refusals are no jobs.",
            );
            text::refused(
                RefusalKind::Absent,
                "REFUSED",
                proof,
                &world.trust.environment,
                "job",
                words,
            )
        }
        RoleError::Fenced
        | RoleError::TooLarge(_)
        | RoleError::Busy { .. }
        | RoleError::OverLimit { .. }
        | RoleError::Stopped { .. }
        | RoleError::Unavailable(_) => unreadable(),
    }
}

fn unreadable() -> Reply {
    Reply::Unavailable { reason: "jobs cannot be read right now; try again later".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::{Note, Said};
    use crate::testing::some_view;
    use expect_test::expect;
    use std::sync::{Arc, Mutex};

    #[test]
    fn each_phase_and_each_note_is_told_once() {
        let heard = Arc::new(Mutex::new(String::new()));
        let ear = Arc::clone(&heard);
        let progress = move |line: String| ear.lock().unwrap().push_str(&(line + "\n"));
        let view = |phase, notes: std::ops::Range<u64>, outcome| {
            let said =
                |number| Said { operation: None, text: format!("note {number}"), skipped: 0 };
            JobView {
                phase,
                progress: notes.map(|number| Note { number, said: said(number) }).collect(),
                outcome,
                ..some_view()
            }
        };
        let mut so_far = Heard::default();
        for view in [
            view(Phase::Queued, 1..1, None),
            view(Phase::Queued, 1..1, None),
            view(Phase::Acting, 1..2, None),
            view(Phase::Acting, 1..4, None),
            // More came at once than are kept.
            view(Phase::Acting, 6..8, None),
            // The end is the reply's; what came with it is not lost.
            view(Phase::TearingDown, 7..9, Some(Outcome::Failed)),
        ] {
            so_far.tell(&view, &progress);
        }
        expect![[r#"
            RUNNING abcdefghijklmnopqrstuvwxyz in lab. Now: queued.
            RUNNING abcdefghijklmnopqrstuvwxyz in lab. Now: acting.
            The executor says: "note 1"
            The executor says: "note 2"
            The executor says: "note 3"
            The executor says, after 2 lines that are not shown: "note 6"
            The executor says: "note 7"
            The executor says: "note 8"
        "#]]
        .assert_eq(&heard.lock().unwrap());
    }
}
