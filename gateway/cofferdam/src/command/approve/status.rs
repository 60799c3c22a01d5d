//! Facts for an approver that change and are therefore not signed: earlier signatures, missing
//! signatures, the end of the question, and changes to the objects since the preview.

use super::source::Source;
use super::waiting_call::WaitingCall;
use crate::command::show::{ago, until};
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::policy::approvals::Approvals;
use cofferdam_core::protocol::operator_recorder::FreshPreview;
use cofferdam_core::stage::drift;
use cofferdam_core::text::{self, needed, seconds, shown_digest};
use jiff::Timestamp;

/// The lines with their heading. Without a source, the objects cannot be read.
pub fn lines(source: Option<&Source<'_>>, waiting: &WaitingCall, now: Timestamp) -> Vec<String> {
    let job = &waiting.job;
    let since = match source.map(|source| source.preview(&job.call)) {
        Some(Ok(seen)) => since(job, &seen),
        Some(Err(error)) => unseen(&format!("{error:#}")),
        None => unseen("this command is not connected to the gateway"),
    };
    // Without a trust file, nothing of it can be checked here.
    let whose = if waiting.trust.is_some() { "" } else { ", and not checked here" };
    vec![
        format!("Not part of what is signed{whose}, as of {}:", seconds(now)),
        format!("  asked:                {}", ago(job.created, now)),
        format!("  ends:                 {}, {}", until(job.expires, now), seconds(job.expires)),
        format!("  signatures:           {}", signatures(job, &waiting.signers)),
        format!("  since it was asked:   {since}"),
    ]
}

/// The people whose signatures of a job count at present, by this trust file.
pub fn signers(job: &StoredJob, trust: &Trust, now: Timestamp) -> Vec<String> {
    Approvals::count(job, shown_digest(job), trust, now)
        .map(|approvals| approvals.signers())
        .unwrap_or_default()
}

/// The earlier approvers, and the number of missing signatures.
fn signatures(job: &StoredJob, signers: &[String]) -> String {
    let Some(rule) = &job.approval else { return legible(&signers.join(", ")) };
    let count = u32::try_from(signers.len()).unwrap_or(u32::MAX);
    let line = text::signatures(signers, rule.quorum.saturating_sub(count));
    format!("{line} ({})", needed(rule))
}

/// The changes to the objects since the question was asked.
fn since(job: &StoredJob, seen: &FreshPreview) -> String {
    match seen {
        FreshPreview::Now { preview } => {
            drift::since_asked(&job.preview, job.preview_digest, preview)
        }
        FreshPreview::Not { why } => unseen(why),
    }
}

fn unseen(why: &str) -> String {
    format!("not known: {}", legible(why))
}
