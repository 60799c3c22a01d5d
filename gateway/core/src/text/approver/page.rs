//! The question of a call as a page shows it: the signed text, and the same facts in parts. Only the
//! text is signed; everything here derives from the same job. Never escapes for a page: the
//! template of the page does.

use super::{Extent, ShownError, asker, in_full, later, needed, question, seconds, told, would_do};
use crate::model::document::Document;
use crate::model::escape::{legible, legible_quoted};
use crate::model::facts::facts_of;
use crate::model::id::{CallId, ShownDigest};
use crate::model::job::StoredJob;
use crate::model::person::people;
use crate::text::rights;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// A question, in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuestionPage {
    /// The id of the call.
    pub call: CallId,
    /// One line: who wants what, where.
    pub title: String,
    /// The agent with its roles, its `act` chain and its person.
    pub asked_by: String,
    /// The name of the environment.
    pub environment: String,
    /// The tool and its version.
    pub tool: String,
    /// The time of the question.
    pub asked: Timestamp,
    /// The time after which a signature does not count.
    pub expires: Timestamp,
    /// Whole seconds until then; 0 after it.
    pub seconds_left: u64,
    /// The people who approved so far.
    pub signed: Vec<String>,
    /// The number of further people who have to sign.
    pub missing: u32,
    /// Whose signatures the rule needs.
    pub needed: String,
    /// The further people and their time; `None` if the rule names no further people.
    pub later: Option<String>,
    /// The rules that ask for a person, each with its message.
    pub rules: Vec<String>,
    /// Each operation with its changes, long values shortened.
    pub operations: Vec<String>,
    /// Whether the job can undo each operation, in a sentence.
    pub undo: String,
    /// The rights that the job gets, and loses again.
    pub rights: Vec<String>,
    /// The agent's purpose, quoted: unchecked.
    pub purpose: String,
    /// The tool's summary, quoted: unchecked.
    pub summary: String,
    /// The changes in the same objects since the question, in a sentence.
    pub since: String,
    /// The text that is signed.
    pub text: String,
    /// Its digest.
    pub shown: ShownDigest,
    /// Every value in full, and the arguments.
    pub full: Vec<String>,
    /// The number of lines of values that `operations` cuts or leaves out.
    pub folded: usize,
    /// The number of lines of the arguments in `full`.
    pub argument_lines: usize,
}

impl QuestionPage {
    /// The question of a job that waits. `signers` are the people who approved, `since` the changes
    /// in the same objects.
    ///
    /// # Errors
    /// The job cannot be shown truthfully.
    pub fn of(
        job: &StoredJob,
        signers: &[String],
        since: String,
        now: Timestamp,
    ) -> Result<Self, ShownError> {
        let (text, shown) = question(job)?;
        let unreadable = |detail: String| ShownError::Unreadable { what: "plan", detail };
        let (plan, _) = Document::read(&job.plan).map_err(|error| unreadable(error.to_string()))?;
        let facts = facts_of(&plan.operations).map_err(|error| unreadable(error.to_string()))?;
        let (operations, full) =
            (would_do(job).unwrap_or_default(), in_full(job).unwrap_or_default());
        let whole = told(job, Extent::FULL).unwrap_or_default();
        let environment = legible(&job.environment.name);
        let signed: Vec<String> =
            people(signers.iter().map(String::as_str)).into_iter().map(str::to_owned).collect();
        let quorum = job.approval.as_ref().map_or(0, |rule| rule.quorum);
        let count = u32::try_from(signed.len()).unwrap_or(u32::MAX);
        let left = job.expires.duration_since(now).as_secs();
        let purpose = job.purpose.as_deref();
        Ok(Self {
            call: job.call.clone(),
            title: format!(
                "{} wants {} in {environment}",
                asker(job),
                match facts.len() {
                    1 => "a change".to_owned(),
                    many => format!("{many} changes"),
                }
            ),
            asked_by: asker(job),
            environment,
            tool: format!("{} {}", legible(&plan.tool.name), legible(&plan.tool.version)),
            asked: job.created,
            expires: job.expires,
            seconds_left: u64::try_from(left).unwrap_or(0),
            signed,
            missing: quorum.saturating_sub(count),
            needed: job.approval.as_ref().map(needed).unwrap_or_default(),
            later: job.approval.as_ref().and_then(|rule| later(rule, job.created)),
            rules: job
                .reasons
                .iter()
                .map(|reason| format!("{}: {}", legible(&reason.id), legible(&reason.message)))
                .collect(),
            undo: undo(&facts.iter().map(|fact| fact.reversible).collect::<Vec<_>>()),
            rights: rights(&facts),
            purpose: purpose.map_or_else(|| "(none given)".to_owned(), legible_quoted),
            summary: legible_quoted(&plan.summary),
            since,
            folded: not_whole(&whole, &operations),
            argument_lines: full.len().saturating_sub(whole.len()),
            operations,
            text,
            shown,
            full,
        })
    }

    /// The time left, for people.
    pub fn left(&self) -> String {
        let (minutes, hours) = (self.seconds_left / 60, self.seconds_left / 3_600);
        match self.seconds_left {
            0 => "over".to_owned(),
            1..=119 => format!("{} seconds left", self.seconds_left),
            120..=7_199 => format!("{minutes} minutes left"),
            _ => format!("{hours} hours left"),
        }
    }

    /// The end of the question, for people.
    pub fn end(&self) -> String {
        seconds(self.expires)
    }
}

/// The people who approved so far, and the number of further ones, in a line.
pub fn signatures(signed: &[String], missing: u32) -> String {
    let so_far =
        if signed.is_empty() { "none yet".to_owned() } else { legible(&signed.join(", ")) };
    format!("{so_far}; {missing} more needed")
}

/// The number of whole lines that are not among the shown ones as they are.
fn not_whole(whole: &[String], shown: &[String]) -> usize {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    shown.iter().for_each(|line| *left.entry(line).or_default() += 1);
    let mut is_shown = |line: &&String| match left.get_mut(line.as_str()) {
        Some(count @ 1..) => {
            *count -= 1;
            true
        }
        _ => false,
    };
    whole.len() - whole.iter().filter(|line| is_shown(line)).count()
}

fn undo(reversible: &[bool]) -> String {
    let count = reversible.iter().filter(|reversible| **reversible).count();
    match (count, reversible.len()) {
        (0, _) => "The plan marks nothing as reversible.".to_owned(),
        (all, of) if all == of => "The job can undo all of it if a later step fails.".to_owned(),
        (some, of) => format!("The job can undo {some} of {of} operations if a later step fails."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_that_is_cut_or_left_out_is_counted_once() {
        let lines =
            |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let whole = lines(&["patch web", "- 1: a", "+ 1: a long value", "- 1: a", "+ 3: c"]);
        for (shown, expect) in [
            (whole.clone(), 0),
            (lines(&["patch web", "- 1: a", "+ 1: a [11 more]", "- 1: a", "+ 3: c"]), 1),
            (lines(&["patch web", "- 1: a", "[3 more lines]"]), 3),
            (lines(&["patch web", "[1 more fields change, 4 lines]"]), 4),
            (Vec::new(), 5),
        ] {
            assert_eq!(not_whole(&whole, &shown), expect, "{shown:?}");
        }
    }
}
