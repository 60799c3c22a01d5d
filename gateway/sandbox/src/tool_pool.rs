//! The gateway's tools, loaded on every worker thread from artefacts with a checked MAC, each call
//! in a fresh sandbox. Implements the core's `Planner`. Knows nothing of the rights of callers.

use crate::engine::{Ticker, for_tools};
use crate::error::{Code, SandboxError};
use crate::load::Artefact;
use crate::tool::Tool;
use crate::workers::Workers;
use cofferdam_core::journey::ports::{GuestError, Planner};
use cofferdam_core::model::ceiling::Definition;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::operation::{Draft, ToolRefusal};
use std::collections::HashMap;

/// The state of one thread: an engine of its own, and every tool in it.
type Loaded = HashMap<ComponentDigest, Tool>;

/// The tools of a gateway.
pub struct Tools {
    workers: Workers<Loaded>,
}

impl Tools {
    /// Loads every tool on `threads` threads. A tool that does not load stops the start, with its
    /// digest in the error: a gateway starts with every accepted tool or not at all.
    pub fn start(
        threads: usize,
        artefacts: Vec<(ComponentDigest, Artefact)>,
    ) -> Result<Self, SandboxError> {
        // Each thread keeps the ticker until it ends, so that no guest runs uncounted.
        let ticker = Ticker::start()?;
        let workers = Workers::start("tools", threads, move || {
            let engine = for_tools(artefacts.len())?;
            ticker.add(&engine);
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
        Ok(Self { workers })
    }

    /// Returns the tool's description of itself. The catalog compares it with the accepted one.
    pub async fn define(&self, tool: ComponentDigest) -> Result<Definition, SandboxError> {
        self.workers.run(move |loaded| known(loaded, tool)?.define()).await
    }
}

impl Planner for Tools {
    async fn plan(
        &self,
        tool: ComponentDigest,
        arguments: &str,
    ) -> Result<Result<Draft, ToolRefusal>, GuestError> {
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
