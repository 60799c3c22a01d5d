//! `cofferdam resolve`: records an operator's finding about an indeterminate call. The outcome
//! remains; the finding is an entry of its own.

use super::recorder_client;
use super::report::{Report, Usage};
use crate::config::home::Home;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::{Found, JobView};
use cofferdam_core::model::limit::PURPOSE;
use cofferdam_core::model::run::{Outcome, Phase};
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use serde_json::json;

/// Records the real outcome of a call that ended as `indeterminate`: the runner, or the response to
/// a write, was lost during an effect.
///
/// Also gives up a stuck call (`cofferdam status` names it): its change was committed, and a file
/// cannot be written. A runner tries once more. If that fails too, the runner ends the call and
/// names the written and the missing files.
///
/// Read the infrastructure first: `cofferdam show ID` names the operations without a known end, and
/// each value before them. The outcome of the call stays `indeterminate`. Your finding is recorded
/// beside it, once, with your user id, and the agent reads it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam jobs                     those whose STATE is \
                        `indeterminate` wait for you\n  cofferdam show 4kq2\n  cofferdam resolve \
                        4kq2 --as succeeded --because \"web has 5 replicas since 14:02, as \
                        approved\"\n  cofferdam resolve 4kq2 --as failed --because \"web still \
                        has 3 replicas\"")]
pub struct Resolve {
    /// The id of the call, or at least its first 4 characters
    id: String,
    /// `succeeded`: every change is in effect; `failed`: at least one is not
    #[arg(long = "as", value_name = "WHAT")]
    found: Finding,
    /// Your evidence, in one sentence; the agent reads it
    #[arg(long, value_name = "TEXT")]
    because: String,
}

/// [`Found`], as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Finding {
    Succeeded,
    Failed,
}

impl Resolve {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let because = self.because.trim().to_owned();
        if because.is_empty()
            || because.chars().count() > PURPOSE
            || cofferdam_core::model::escape::unseen(&because).is_some()
        {
            return Err(Usage(format!(
                "give your evidence in 1 to {PURPOSE} visible characters; the agent reads it"
            ))
            .into());
        }
        let Operated::Story { call, view, .. } =
            recorder_client::ask(home, &Operate::Show { call: self.id })?
        else {
            return Err(recorder_client::unexpected());
        };
        match view.as_deref() {
            None => bail!(
                "the call {call} ended without a job: there is nothing to resolve; `cofferdam \
                 show {call}` tells it"
            ),
            Some(JobView {
                outcome: None,
                phase: Phase::Acting,
                stuck: Some(_),
                environment,
                ..
            }) if !environment.is_cluster() => {
                return give_up(home, call, self.found, because);
            }
            Some(JobView { outcome: None, phase, .. }) => {
                bail!(
                    "the call {call} has no outcome yet: it is {phase}; `cofferdam show {call}` \
                     follows it"
                )
            }
            Some(JobView {
                outcome: Some(Outcome::Indeterminate),
                resolution: Some(resolution),
                ..
            }) => {
                bail!(
                    "the call {call} is resolved already, as {} by user {}; a call is resolved \
                     once",
                    resolution.found,
                    resolution.by
                )
            }
            Some(JobView { outcome: Some(Outcome::Indeterminate), .. }) => {}
            Some(JobView { outcome: Some(outcome), .. }) => {
                bail!(
                    "the outcome of the call {call} is known, {outcome}; only an `indeterminate` \
                     call can be resolved"
                )
            }
        }
        let found = match self.found {
            Finding::Succeeded => Found::Succeeded,
            Finding::Failed => Found::Failed,
        };
        let Operated::Done = recorder_client::ask(
            home,
            &Operate::Resolve { call: call.clone(), found, because: because.clone() },
        )?
        else {
            return Err(recorder_client::unexpected());
        };
        let text = format!(
            "Resolved {call} as {found}; its agent reads it.\n  its story: cofferdam show {call}"
        );
        Ok(Report::new(text, json!({"call": call, "as": found, "because": because})))
    }
}

/// Gives up a stuck job.
fn give_up(home: &Home, call: CallId, found: Finding, because: String) -> Result<Report> {
    let found = match found {
        Finding::Failed => Found::Failed,
        Finding::Succeeded => bail!(
            "the call {call} is not finished: it continues once the obstacle that `cofferdam show \
             {call}` names is removed; `--as failed` gives it up"
        ),
    };
    let Operated::Done = recorder_client::ask(
        home,
        &Operate::Resolve { call: call.clone(), found, because: because.clone() },
    )?
    else {
        return Err(recorder_client::unexpected());
    };
    let text = format!(
        "Gave up {call}: a runner tries it once more. If that fails, it ends the call and names \
         the written files.\n  its story: cofferdam show {call}"
    );
    Ok(Report::new(text, json!({"call": call, "given_up": true, "because": because})))
}
