//! Facts for an approver that change and are therefore not signed: earlier signatures, missing
//! signatures, the end of the question, and changes to the objects since the preview.

use crate::command::recorder_client;
use crate::command::show::{ago, until};
use crate::command::ssh::signer_of;
use crate::config::home::Home;
use cofferdam_core::model::escape::legible;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::json;
use cofferdam_core::model::statement::{Statement, Verdict};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::operator_recorder::{FreshPreview, Operate, Operated};
use cofferdam_core::stage::drift;
use cofferdam_core::text::difference;
use cofferdam_core::text::{needed, seconds};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The lines with their heading.
pub fn lines(home: &Home, job: &StoredJob, trust: &Trust, now: Timestamp) -> Vec<String> {
    let since = match recorder_client::ask(home, &Operate::Preview { call: job.call.clone() }) {
        Ok(Operated::Previewed(seen)) => since(job, &seen),
        Ok(_) => unseen("the recorder returned an unexpected response"),
        Err(error) => unseen(&format!("{error:#}")),
    };
    vec![
        format!("Not part of what is signed, as of {}:", seconds(now)),
        format!("  asked:                {}", ago(job.created, now)),
        format!("  ends:                 {}, {}", until(job.expires, now), seconds(job.expires)),
        format!("  signatures:           {}", signatures(job, trust)),
        format!("  since it was asked:   {since}"),
    ]
}

/// The earlier approvers, and the number of missing signatures.
fn signatures(job: &StoredJob, trust: &Trust) -> String {
    let approves = |text: &str| {
        json::strict_into::<Statement>(text.as_bytes())
            .is_ok_and(|said| said.verdict == Verdict::Approve)
    };
    let signers: BTreeSet<&str> = job
        .statements
        .iter()
        .filter(|signed| approves(&signed.statement))
        .filter_map(|signed| signer_of(signed, &trust.approvers))
        .map(|approver| approver.name.as_str())
        .collect();
    let so_far = if signers.is_empty() {
        "none yet".to_owned()
    } else {
        signers.iter().copied().collect::<Vec<_>>().join(", ")
    };
    let Some(rule) = &job.approval else { return so_far };
    let quorum = usize::try_from(rule.quorum).unwrap_or(usize::MAX);
    let more = quorum.saturating_sub(signers.len());
    format!("{so_far}; {more} more needed ({})", needed(rule))
}

/// The changes to the objects since the question was asked.
fn since(job: &StoredJob, seen: &FreshPreview) -> String {
    match seen {
        FreshPreview::Now { preview } => {
            match drift::agree(&job.preview, job.preview_digest, preview) {
                Ok(status) => difference::sentence(&status).map_or_else(
                    || "nothing of it changed".to_owned(),
                    |changed| format!("{}; a signature still counts", legible(&changed)),
                ),
                Err(what) => format!(
                    "{}. A signature now makes nothing run: deny it, and the agent asks again",
                    legible(&what)
                ),
            }
        }
        FreshPreview::Not { why } => unseen(why),
    }
}

fn unseen(why: &str) -> String {
    format!("not known: {}", legible(why))
}
