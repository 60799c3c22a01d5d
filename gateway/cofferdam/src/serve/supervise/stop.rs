//! The stop: calls get their results, jobs finish, then roles end, clients before servers. Logs
//! aborted connections and unfinished jobs. Every wait has a time limit.

use super::{Name, Sign, Signals, State, Supervisor, seconds};
use cofferdam_core::model::id::CallId;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_process::control::{Order, Report};
use cofferdam_process::tether::Parcel;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The time limit of calls after the last new one: held calls end at once, and a decision takes
/// milliseconds.
const CALLS: Duration = Duration::from_secs(10);

/// The time limit for the end of gateway, viewer and reaper: the gateway gives slow readers five
/// seconds, and sends its last spans.
const LAST: Duration = Duration::from_secs(10);

/// The time limit of the recorder: it writes waiting changes, and folds its log into the store.
const RECORDER: Duration = Duration::from_secs(20);

/// The time limit of the kernel for a killed process. A process that waits for a dead disk takes
/// longer; the stop does not wait for it.
const KILLED: Duration = Duration::from_secs(2);

/// The progress of a stop.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// True if no call is in progress.
    idle: bool,
    /// The number of aborted connections.
    cut: usize,
    /// The first unfinished jobs, and the number of further ones; `None` if the recorder did not
    /// report.
    left: Option<(Vec<CallId>, u64)>,
    /// True if the recorder stood by: the jobs are those of another one.
    stood_by: bool,
    /// The roles that had to be killed.
    killed: Vec<Name>,
}

impl Supervisor<'_> {
    /// Handles a report that a role sends only at its end.
    pub(super) fn handle_final_report(&mut self, report: Report) {
        let Some(ending) = &mut self.ending else { return };
        match report {
            Report::Idle => ending.idle = true,
            Report::Cut(count) => ending.cut += count,
            Report::Left { calls, more } => ending.left = Some((calls, more)),
            Report::Ready { .. }
            | Report::Failed(_)
            | Report::Unfenced(_)
            | Report::Pong
            | Report::Busy
            | Report::Leaving
            | Report::WantsGuest(_)
            | Report::ReturnsGuest(_)
            | Report::Reload(_)
            | Report::Loaded(_)
            | Report::NotLoaded(..)
            | Report::Using(_)
            | Report::StandsBy
            | Report::Linked(_)
            | Report::Closed => {}
        }
    }

    /// Ends all roles in order. Returns false if another signal ended them at once.
    pub(super) async fn stop(&mut self, signals: &mut Signals) -> bool {
        let drain = self.installation.config.serve.drain;
        tracing::info!("stopping: no new calls; running jobs have {} to finish", seconds(drain));
        self.notify("STOPPING=1\nSTATUS=stopping: running jobs finish");
        let recorder = self.roles.get(&Name::Recorder);
        let stood_by = recorder.is_some_and(|recorder| recorder.state == State::StandsBy);
        self.ending = Some(Ending { stood_by, ..Ending::default() });
        self.refuse_links();
        // A process that rehearses ends with its control socket.
        self.reloading = None;
        self.due.clear();
        self.listener = None;
        self.links = None;
        self.over.store(true, Ordering::SeqCst);
        let in_order = tokio::select! {
            biased;
            () = another_stop(signals) => false,
            () = self.drain(Instant::now() + drain) => true,
        };
        if in_order {
            self.tell();
        } else {
            tracing::warn!(
                what = "stop",
                clean = false,
                "a second signal: ended at once; calls may have been cut off, and jobs that were \
                 under way are taken up at the next start"
            );
        }
        in_order
    }

    /// Ends every role at once after a failed start: no call was accepted yet.
    pub(super) async fn give_up(&mut self) {
        self.ending = Some(Ending::default());
        self.due.clear();
        self.over.store(true, Ordering::SeqCst);
        for role in self.roles.values_mut() {
            role.kill("the start failed".to_owned());
        }
        self.settle(Instant::now() + KILLED, |it| it.roles.is_empty()).await;
    }

    async fn drain(&mut self, end: Instant) {
        // A role that is not ready has no call and no job.
        self.kill(|name, state| state == State::Starting && name != Name::Recorder);
        self.roles
            .iter()
            .filter(|(name, _)| matches!(name, Name::Next(_)))
            .for_each(|(_, role)| role.end());
        self.order(|name| name == Name::Gateway);
        let calls = end.min(Instant::now() + CALLS);
        self.settle(calls, |it| it.is_idle() || !it.roles.contains_key(&Name::Gateway)).await;

        // The recorder first: then a waiting runner is told at once that there is no job.
        self.order(|name| name == Name::Recorder);
        self.order(Name::is_runner);
        self.settle(end, Self::is_without_runners).await;
        self.kill(|name, _| name.is_runner());
        self.settle(Instant::now() + KILLED, Self::is_without_runners).await;

        self.end(|name| !matches!(name, Name::Recorder | Name::Link)).await;
        self.end(|name| name != Name::Link).await;
        // The last bytes of the others pass through it.
        self.end(|_| true).await;
    }

    fn is_idle(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.idle)
    }

    fn is_without_runners(&self) -> bool {
        self.leaving.is_empty() && !self.roles.keys().any(|name| name.is_runner())
    }

    fn order(&self, which: impl Fn(Name) -> bool) {
        self.roles
            .iter()
            .filter(|(name, _)| which(**name))
            .for_each(|(_, role)| role.put(Parcel::Order(Order::Drain)));
    }

    /// Tells these roles to end, and kills the remaining ones after the time limit.
    async fn end(&mut self, which: impl Fn(Name) -> bool) {
        let here = |it: &Self| it.roles.keys().any(|name| which(*name));
        self.roles.iter().filter(|(name, _)| which(**name)).for_each(|(_, role)| role.end());
        let last = |name: &Name| matches!(name, Name::Recorder | Name::Link);
        let most = if here(self) && self.roles.keys().all(last) { RECORDER } else { LAST };
        self.settle(Instant::now() + most, |it| !here(it)).await;
        self.kill(|name, _| which(name));
        self.settle(Instant::now() + KILLED, |it| !here(it)).await;
    }

    fn kill(&mut self, which: impl Fn(Name, State) -> bool) {
        let Some(ending) = &mut self.ending else { return };
        let leaving = self.leaving.iter_mut().map(|role| (Name::Runner(0), role));
        for (name, role) in self.roles.iter_mut().map(|(name, role)| (*name, role)).chain(leaving) {
            if role.killed.is_none() && which(name, role.state) {
                if role.state != State::Starting {
                    tracing::warn!(role = %name, pid = role.pid,
                    "the {name} did not end in time: it is killed");
                    ending.killed.push(name);
                }
                role.kill("it did not end in time".to_owned());
            }
        }
    }

    /// Handles events until this holds, or the time limit.
    async fn settle(&mut self, end: Instant, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            match timeout_at(end, self.turn()).await {
                // No role is started any more, so no start can fail.
                Ok(_) => {}
                Err(_elapsed) => return,
            }
        }
    }

    fn tell(&self) {
        let Some(Ending { cut, left, killed, stood_by, .. }) = &self.ending else { return };
        let (mut errors, mut goes_on) = (Vec::new(), String::from("no job is left"));
        match cut {
            0 if killed.contains(&Name::Gateway) => {
                errors.push("the gateway was killed, and calls may have been cut off".to_owned())
            }
            0 => {}
            1 => errors.push("1 waiting call was cut off".to_owned()),
            more => errors.push(format!("{more} waiting calls were cut off")),
        }
        match left {
            Some((calls, 0)) if calls.is_empty() => {}
            Some((calls, more)) => {
                let many = u64::try_from(calls.len()).unwrap_or(u64::MAX).saturating_add(*more);
                let (jobs, beside) = (
                    if many == 1 { "job is" } else { "jobs are" },
                    if *more == 0 { "" } else { ", …" },
                );
                let names: Vec<String> = calls.iter().map(ToString::to_string).collect();
                let names = names.join(", ");
                if self.installation.config.links.is_some() {
                    // Runners of other hosts keep them, and ask the next recorder.
                    goes_on = format!("{many} {jobs} left for the next recorder: {names}{beside}");
                } else {
                    errors.push(format!("{many} {jobs} left for the next start: {names}{beside}"));
                }
            }
            None if *stood_by || !self.has(LinkRole::Recorder) => {}
            None => errors
                .push("the recorder did not say which jobs are left for the next start".to_owned()),
        }
        if errors.is_empty() {
            tracing::info!(clean = true, "stopped: no call was cut off, and {goes_on}");
        } else {
            tracing::warn!(what = "stop", clean = false, "stopped: {}", errors.join("; "));
        }
    }
}

/// Waits for another signal to stop.
async fn another_stop(signals: &mut Signals) {
    loop {
        match signals.next().await {
            Sign::Stop => return,
            Sign::Hangup => {
                tracing::warn!(name = "SIGHUP", "SIGHUP: nothing is reloaded; it is stopping")
            }
            Sign::Other(name) => {
                tracing::warn!(name, "{name} has no meaning here, and is ignored; it is stopping")
            }
        }
    }
}
