//! Following a job: holding an answer until effects are finished, never until teardown; and the caller's own look at, and withdrawal of, a job.

use super::World;
use crate::answer::{Proof, RefusalKind, Reply, Success};
use crate::caller::Principal;
use crate::decide::OperationFacts;
use crate::exchange::Fault;
use crate::exchange::propose::{Propose, Proposed};
use crate::id::CallId;
use crate::job::JobView;
use crate::limit;
use crate::ports::{Host, Recorder};
use crate::shown;
use serde_json::json;

/// One of the caller's own jobs; held up to `wait_ms` for it to finish.
pub async fn job<H: Host>(host: &H, world: &World, principal: &Principal, call: &CallId, wait_ms: u64) -> Reply {
    match watch(host, principal, call, wait_ms.min(limit::WAIT_MS)).await {
        Ok(view) => told(host, world, principal, &view, None).await,
        Err(fault) => absent(world, call, &fault),
    }
}

/// Withdraws one of the caller's own jobs: at once while nobody claimed it, else the runner is asked to stop.
pub async fn cancel<H: Host>(host: &H, world: &World, principal: &Principal, call: &CallId) -> Reply {
    let propose = Propose::Cancel { principal: principal.name.clone(), call: call.clone() };
    match host.recorder().propose(propose).await {
        Ok(Proposed::Job { job }) => shown::job_reply(&job, None),
        Ok(_) => absent(world, call, &Fault::Unavailable("another answer than was asked for".to_owned())),
        Err(fault) => absent(world, call, &fault),
    }
}

/// The outcome of a job that was just stored or joined. When the recorder goes away meanwhile, the job still runs, and the reply says so.
pub(super) async fn outcome<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    call: &CallId,
    wait_ms: u64,
    facts: Option<&[OperationFacts]>,
) -> Reply {
    match watch(host, principal, call, wait_ms).await {
        Ok(view) => told(host, world, principal, &view, facts).await,
        Err(_) => {
            let environment = crate::text::line(&world.trust.environment.name);
            let text = format!(
                "ACCEPTED {call} in {environment}\nIt is recorded and goes on by itself; its state cannot be read right now.\nNext: `job_get` with this id."
            );
            let structured = json!({"call": call, "phase": null, "outcome": null});
            Reply::Success(Success { text, structured, proof: Proof { call: call.clone(), plan: None, ledger: None }, complete: false })
        }
    }
}

/// Waits for an outcome, at most `wait_ms`.
async fn watch<H: Host>(host: &H, principal: &Principal, call: &CallId, wait_ms: u64) -> Result<JobView, Fault> {
    let start = host.now();
    let (mut beyond, mut wait) = (0, 0);
    loop {
        let propose = Propose::Job { principal: principal.name.clone(), call: call.clone(), beyond, wait_ms: wait };
        let view = match host.recorder().propose(propose).await? {
            Proposed::Job { job } => *job,
            _ => return Err(Fault::Unavailable("another answer than was asked for".to_owned())),
        };
        let passed = u64::try_from(host.now().duration_since(start).as_millis()).unwrap_or_default();
        let left = wait_ms.saturating_sub(passed);
        // The same version again means that the recorder waited as long as it was asked to.
        let unchanged = wait > 0 && view.version <= beyond;
        if view.outcome.is_some() || left == 0 || unchanged {
            return Ok(view);
        }
        (beyond, wait) = (view.version, left);
    }
}

/// Tells a job's state, and notes that its end was told.
async fn told<H: Host>(host: &H, world: &World, principal: &Principal, view: &JobView, facts: Option<&[OperationFacts]>) -> Reply {
    let mut reply = shown::job_reply(view, facts);
    if let (Reply::Success(success), Some(tool)) = (&mut reply, world.catalog.get(&view.tool)) {
        // A result that is not what the tool promises is still told, but not as the tool's own.
        success.complete = success.complete && tool.output().check(&success.structured).is_ok();
    }
    if view.outcome.is_some() {
        // Not noted means that the same call joins this job once more: told twice, run once.
        let delivered = Propose::Delivered { principal: principal.name.clone(), call: view.call.clone() };
        let _told_twice_at_worst = host.recorder().propose(delivered).await;
    }
    reply
}

fn absent(world: &World, call: &CallId, fault: &Fault) -> Reply {
    match fault {
        Fault::NotFound(_) | Fault::Refused(_) => {
            let proof = Proof { call: call.clone(), plan: None, ledger: None };
            let (why, allowed) = match fault {
                Fault::Refused(detail) => (crate::text::line(detail), "Jobs of your own that are not finished."),
                _ => ("you have no job of this id".to_owned(), "Jobs of your own."),
            };
            let words = (why.as_str(), allowed, "Check the id: it is in the first line of every answer.");
            shown::refused(RefusalKind::Absent, "REFUSED", proof, &world.trust.environment, "job", words)
        }
        Fault::Fenced | Fault::Unavailable(_) => Reply::Unavailable { reason: "jobs cannot be read right now; try again later".to_owned() },
    }
}
