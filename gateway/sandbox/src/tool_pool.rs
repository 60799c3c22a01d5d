//! The gateway's tools, loaded from artefacts with a checked MAC for every thread that runs them,
//! each call in a fresh sandbox. Implements the core's `Planner`. Knows nothing of the rights of
//! callers.

use crate::engine::{Ticker, for_tools};
use crate::error::{Code, SandboxError};
use crate::limit;
use crate::load::Artefact;
use crate::overrun::Overruns;
use crate::tool::Tool;
use crate::workers::Workers;
use cofferdam_core::journey::ports::{GuestError, Planner};
use cofferdam_core::model::ceiling::Definition;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::operation::{Draft, ToolRefusal};
use std::collections::HashMap;
use std::sync::Arc;

/// The state of one thread: an engine of its own, and every tool in it.
type Loaded = HashMap<ComponentDigest, Tool>;

/// The tools of a gateway.
pub struct Tools {
    workers: Workers<Loaded>,
    overruns: Overruns<ComponentDigest>,
}

impl Tools {
    /// Loads every tool for `threads` serving threads. A tool that does not load stops the start, with its
    /// digest in the error: a gateway starts with every accepted tool or not at all.
    pub fn start(
        threads: usize,
        artefacts: Vec<(ComponentDigest, Artefact)>,
    ) -> Result<Self, SandboxError> {
        let ticker = Arc::new(Ticker::start()?);
        let counted = Arc::clone(&ticker);
        let workers = Workers::start("tools", threads, ticker, move || {
            let engine = for_tools(artefacts.len())?;
            counted.add(&engine);
            artefacts
                .iter()
                .map(|(digest, artefact)| match Tool::load(&engine, artefact) {
                    Ok(tool) => Ok((*digest, tool)),
                    Err(error) => Err(SandboxError::new(
                        error.code,
                        format!("tool {digest}: {}", error.detail),
                    )),
                })
                .collect()
        })?;
        Ok(Self { workers, overruns: Overruns::new() })
    }

    /// Returns the tool's description of itself. The catalog compares it with the accepted one.
    pub async fn define(&self, tool: ComponentDigest) -> Result<Definition, SandboxError> {
        // Before the gateway serves, so that no caller waits meanwhile.
        match self.workers.here(|loaded| known(loaded, tool)?.define()) {
            Some(defined) => defined,
            None => self.workers.run(move |loaded| known(loaded, tool)?.define()).await,
        }
    }

    /// Returns whether this tool runs on worker threads alone at present.
    #[cfg(test)]
    pub(crate) fn is_slow(&self, tool: ComponentDigest) -> bool {
        self.overruns.has(&tool, std::time::Instant::now)
    }

    /// Plans on this thread. `None` for a tool that takes too long, and where no sandbox is free.
    fn plan_here(
        &self,
        tool: ComponentDigest,
        arguments: &str,
    ) -> Option<Result<Result<Draft, ToolRefusal>, SandboxError>> {
        self.overruns.run(tool, || {
            self.workers
                .here(|loaded| known(loaded, tool)?.plan_within(limit::SERVING_TICKS, arguments))
        })
    }
}

impl Planner for Tools {
    async fn plan(
        &self,
        tool: ComponentDigest,
        arguments: &str,
    ) -> Result<Result<Draft, ToolRefusal>, GuestError> {
        if let Some(planned) = self.plan_here(tool, arguments) {
            return Ok(planned?);
        }
        let arguments = arguments.to_owned();
        Ok(self.workers.run(move |loaded| known(loaded, tool)?.plan(&arguments)).await?)
    }
}

fn known(loaded: &Loaded, tool: ComponentDigest) -> Result<&Tool, SandboxError> {
    loaded.get(&tool).ok_or_else(|| {
        SandboxError::new(
            Code::Artefact,
            format!("tool {tool} is not loaded; accept it and start again"),
        )
    })
}
