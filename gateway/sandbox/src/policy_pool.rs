//! The gateway's policy, loaded on worker threads of its own, so that tools and decisions cannot
//! starve each other. Implements the core's `Judge`, which turns an error into a denial. Keeps the
//! answers to list questions (`list_memo.rs`), and evaluates every question about a plan.

use crate::engine::{Ticker, engine};
use crate::error::SandboxError;
use crate::list_memo::ListMemo;
use crate::load::Artefact;
use crate::policy::Policy;
use crate::workers::Workers;
use cofferdam_core::journey::ports::{GuestError, Judge};
use cofferdam_core::policy::digest::LIST_ENTRYPOINT;
use cofferdam_core::protocol::role_guest::GuestKind;

/// One policy with its data document, on every worker thread. Another policy is another value: a
/// broken policy cannot replace a good one, because its value is never made.
pub struct Policies {
    workers: Workers<Policy>,
    lists: ListMemo,
}

impl Policies {
    /// Loads the policy on `threads` threads.
    pub fn start(threads: usize, artefact: Artefact, data: String) -> Result<Self, SandboxError> {
        // Each thread keeps the ticker until it ends, so that no guest runs uncounted.
        let ticker = Ticker::start()?;
        let workers = Workers::start("policy", threads, move || {
            let engine = engine(GuestKind::Policy)?;
            ticker.add(&engine);
            Policy::load(&engine, &artefact, &data)
        })?;
        Ok(Self { workers, lists: ListMemo::new() })
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
            self.lists.answer(input, fresh).await
        } else {
            fresh.await
        }
    }
}
