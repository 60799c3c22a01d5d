//! `cofferdam resolve`: a person looked at what a runner could not tell, and says what became of it. Changes nothing but the record: the outcome stays, the
//! finding is an entry of its own.

use super::operator;
use super::report::{Report, Usage};
use crate::home::Home;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use cofferdam_core::exchange::operate::{Operate, Operated};
use cofferdam_core::job::{Found, JobView};
use cofferdam_core::limit::PURPOSE;
use cofferdam_core::run::Outcome;
use serde_json::json;

/// Says what became of a call whose outcome is `indeterminate`: its runner was lost, or an answer, while an effect was on its way.
///
/// Look at the infrastructure first: `cofferdam show ID` names the operations whose end is not known, and each value before. The call's outcome stays
/// `indeterminate`; what you found is recorded beside it with your user id, once, and its agent is told.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cofferdam jobs                     those whose STATE is `indeterminate` wait for you\n  cofferdam show 4kq2\n  \
    cofferdam resolve 4kq2 --as succeeded --because \"web has 5 replicas since 14:02, as approved\"\n  \
    cofferdam resolve 4kq2 --as failed --because \"web still has 3 replicas\""
)]
pub struct Resolve {
    /// The call's id, or the beginning of one, at least 4 characters
    id: String,
    /// What you found: `succeeded`, all of it is in effect; `failed`, not all of it is
    #[arg(long = "as", value_name = "WHAT")]
    found: Finding,
    /// How you know, in a sentence that the agent is told
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
    /// Runs it.
    pub fn run(self, home: &Home) -> Result<Report> {
        let because = self.because.trim().to_owned();
        if because.is_empty() || because.chars().count() > PURPOSE || cofferdam_core::text::unseen(&because).is_some() {
            return Err(Usage(format!("say how you know, in 1 to {PURPOSE} visible characters: the agent is told it")).into());
        }
        let Operated::Story { call, view, .. } = operator::ask(home, &Operate::Show { call: self.id })? else {
            return Err(operator::unexpected());
        };
        match view.as_deref() {
            None => bail!("the call {call} ended without a job: there is nothing to resolve; `cofferdam show {call}` tells it"),
            Some(JobView { outcome: None, phase, .. }) => {
                bail!("the call {call} has no outcome yet: it is {phase}; `cofferdam show {call}` follows it")
            }
            Some(JobView { outcome: Some(Outcome::Indeterminate), resolution: Some(resolution), .. }) => {
                bail!("the call {call} was resolved as {} by user {}; once is all there is", resolution.found, resolution.by)
            }
            Some(JobView { outcome: Some(Outcome::Indeterminate), .. }) => {}
            Some(JobView { outcome: Some(outcome), .. }) => {
                bail!("what became of the call {call} is known: {outcome}; only `indeterminate` can be resolved")
            }
        }
        let found = match self.found {
            Finding::Succeeded => Found::Succeeded,
            Finding::Failed => Found::Failed,
        };
        let Operated::Done = operator::ask(home, &Operate::Resolve { call: call.clone(), found, because: because.clone() })? else {
            return Err(operator::unexpected());
        };
        let text = format!("Resolved {call} as {found}; its agent is told.\n  its story: cofferdam show {call}");
        Ok(Report::new(text, json!({"call": call, "as": found, "because": because})))
    }
}
