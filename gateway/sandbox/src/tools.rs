//! The gateway's tools: loaded on every worker thread from artefacts whose MAC was checked, each call in a fresh sandbox. Implements the core's
//! `Planner`; knows nothing of who may call what.

use crate::engine::{Ticker, engine};
use crate::fault::{Code, Fault};
use crate::load::Artefact;
use crate::plan::Tool;
use crate::workers::Workers;
use cofferdam_core::ceiling::Definition;
use cofferdam_core::exchange::compute::GuestKind;
use cofferdam_core::id::ComponentDigest;
use cofferdam_core::operation::{Draft, ToolRefusal};
use cofferdam_core::ports::{GuestFault, Planner};
use std::collections::HashMap;

/// What one thread holds: an engine of its own, and every tool in it.
type Loaded = HashMap<ComponentDigest, Tool>;

/// The tools of a gateway.
pub struct Tools {
    workers: Workers<Loaded>,
}

impl Tools {
    /// Loads every tool on `threads` threads. One that does not load stops all, named by its digest: a gateway starts with what was accepted,
    /// or not at all.
    pub fn start(threads: usize, artefacts: Vec<(ComponentDigest, Artefact)>) -> Result<Self, Fault> {
        // Each thread keeps the ticker until it ends, so that no guest runs uncounted.
        let ticker = Ticker::start()?;
        let workers = Workers::start("tools", threads, move || {
            let engine = engine(GuestKind::Tool)?;
            ticker.add(&engine);
            artefacts
                .iter()
                .map(|(digest, artefact)| match Tool::load(&engine, artefact) {
                    Ok(tool) => Ok((*digest, tool)),
                    Err(fault) => Err(Fault::new(fault.code, format!("tool {digest}: {}", fault.detail))),
                })
                .collect()
        })?;
        Ok(Self { workers })
    }

    /// What the tool says it is; the catalog compares it with what was accepted.
    pub async fn define(&self, tool: ComponentDigest) -> Result<Definition, Fault> {
        self.workers.run(move |loaded| known(loaded, tool)?.define()).await
    }
}

impl Planner for Tools {
    async fn plan(&self, tool: ComponentDigest, arguments: &str) -> Result<Result<Draft, ToolRefusal>, GuestFault> {
        let arguments = arguments.to_owned();
        Ok(self.workers.run(move |loaded| known(loaded, tool)?.plan(&arguments)).await?)
    }
}

fn known(loaded: &Loaded, tool: ComponentDigest) -> Result<&Tool, Fault> {
    loaded.get(&tool).ok_or_else(|| Fault::new(Code::Artefact, format!("tool {tool} is not loaded; accept it and start again")))
}
