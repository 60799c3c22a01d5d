//! The operations of a stored job in words.

use super::{named, remark_words};
use crate::model::ceiling::EPHEMERAL;
use crate::model::document::Document;
use crate::model::facts::{OperationFacts, facts_of};
use crate::model::job::{Planned, StoredJob};
use crate::model::json;
use crate::model::preview::Preview;

impl Planned {
    /// As the host found the operation to be.
    pub fn of(fact: &OperationFacts) -> Self {
        let (index, words, ephemeral) = (fact.index, named(fact), fact.namespace == EPHEMERAL);
        Self { index, words, ephemeral, executes_code: fact.executes_code, remarks: Vec::new() }
    }

    /// Every operation of a stored job; `None` where its plan is not readable.
    pub fn all(job: &StoredJob) -> Vec<Self> {
        let preview = json::strict_into::<Preview>(job.preview.as_bytes()).ok();
        let remarks = |index: u32| {
            let shown = preview.as_ref().and_then(|preview| preview.operation(index));
            shown.map(|shown| shown.remarks.iter().map(remark_words).collect()).unwrap_or_default()
        };
        facts(job)
            .iter()
            .map(|fact| Self { remarks: remarks(fact.index), ..Self::of(fact) })
            .collect()
    }

    /// The words of each alone, without its preview.
    pub fn words_of(job: &StoredJob) -> Vec<String> {
        facts(job).iter().map(named).collect()
    }
}

fn facts(job: &StoredJob) -> Vec<OperationFacts> {
    let plan = Document::read(&job.plan).ok();
    plan.and_then(|(plan, _)| facts_of(&plan.operations).ok()).unwrap_or_default()
}
