//! The gateway's policy, loaded for every thread that decides: apart from the tools, so that tools
//! and decisions cannot starve each other. Implements the core's `Judge`, which turns an error into
//! a denial. Keeps the answers to list questions (`list_memo.rs`), and evaluates every question
//! about a plan.

use crate::engine::{Ticker, engine};
use crate::error::SandboxError;
use crate::limit;
use crate::list_memo::ListMemo;
use crate::load::Artefact;
use crate::overrun::Overruns;
use crate::policy::Policy;
use crate::workers::Workers;
use cofferdam_core::journey::ports::{GuestError, Judge};
use cofferdam_core::policy::digest::LIST_ENTRYPOINT;
use cofferdam_core::protocol::role_guest::GuestKind;
use std::sync::Arc;

/// One policy with its data document, for every thread that decides. Another policy is another value: a
/// broken policy cannot replace a good one, because its value is never made.
pub struct Policies {
    workers: Workers<Policy>,
    lists: ListMemo,
    overruns: Overruns<()>,
}

impl Policies {
    /// Loads the policy for `threads` serving threads.
    pub fn start(threads: usize, artefact: Artefact, data: String) -> Result<Self, SandboxError> {
        let ticker = Arc::new(Ticker::start()?);
        let counted = Arc::clone(&ticker);
        let workers = Workers::start("policy", threads, ticker, move || {
            let engine = engine(GuestKind::Policy)?;
            counted.add(&engine);
            Policy::load(&engine, &artefact, &data)
        })?;
        Ok(Self { workers, lists: ListMemo::new(), overruns: Overruns::new() })
    }

    /// Returns whether decisions are made on worker threads alone at present.
    #[cfg(test)]
    pub(crate) fn is_slow(&self) -> bool {
        self.overruns.has(&(), std::time::Instant::now)
    }

    /// Decides on this thread. `None` for a question that takes too long, and where no sandbox is
    /// free.
    fn evaluate_here(&self, entrypoint: &str, input: &str) -> Option<Result<String, SandboxError>> {
        if input.len() > limit::SERVING_INPUT {
            return None;
        }
        self.overruns.run((), || {
            self.workers
                .here(|policy| policy.evaluate_within(limit::SERVING_TICKS, entrypoint, input))
        })
    }

    async fn fresh(&self, entrypoint: &str, input: &str) -> Result<String, GuestError> {
        let (entrypoint, input) = (entrypoint.to_owned(), input.to_owned());
        Ok(self.workers.run(move |policy| policy.evaluate(&entrypoint, &input)).await?)
    }
}

impl Judge for Policies {
    async fn evaluate(&self, entrypoint: &str, input: &str) -> Result<String, GuestError> {
        let fresh = self.fresh(entrypoint, input);
        if entrypoint == LIST_ENTRYPOINT {
            // A list takes longer than a decision, and is kept.
            self.lists.answer(input, fresh).await
        } else if let Some(decided) = self.evaluate_here(entrypoint, input) {
            Ok(decided?)
        } else {
            fresh.await
        }
    }
}
