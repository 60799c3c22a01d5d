//! One tool, one call: a fresh sandbox each time, with every limit before its first instruction.
//! Never keeps an instance.

use crate::accounting::{Account, store};
use crate::bindings::tool::{ToolWorld, ToolWorldPre};
use crate::convert;
use crate::error::{Code, SandboxError};
use crate::limit;
use crate::load::{self, Artefact};
use cofferdam_core::model::ceiling::Definition;
use cofferdam_core::model::limit as core_limit;
use cofferdam_core::model::operation::{Draft, ToolRefusal};
use cofferdam_core::protocol::role_guest::GuestKind;
use wasmtime::component::Linker;
use wasmtime::{Engine, Store};

/// A loaded tool. It has no imports, and the exports of its world.
pub struct Tool {
    engine: Engine,
    world: ToolWorldPre<Account>,
}

impl Tool {
    /// Loads a tool from its artefact. The engine must have a [`crate::engine::Ticker`].
    pub fn load(engine: &Engine, artefact: &Artefact) -> Result<Self, SandboxError> {
        let component = load::component(GuestKind::Tool, engine, artefact)?;
        let linked = Linker::new(engine)
            .instantiate_pre(&component)
            .map_err(|error| SandboxError::new(Code::Import, format!("{error:#}")))?;
        let world = ToolWorldPre::new(linked).map_err(|error| {
            SandboxError::new(
                Code::Malformed,
                format!("it does not export what `wit/tool.wit` says: {error:#}"),
            )
        })?;
        Ok(Self { engine: engine.clone(), world })
    }

    /// Returns the tool's description of itself.
    pub fn define(&self) -> Result<Definition, SandboxError> {
        let said = self.run(limit::DEFINE_TICKS, |world, store| {
            world.cofferdam_tool_tool().call_define(store)
        })?;
        convert::definition(said)
    }

    /// Plans from canonical arguments. Returns a draft, or the tool's own refusal.
    pub fn plan(&self, arguments: &str) -> Result<Result<Draft, ToolRefusal>, SandboxError> {
        self.plan_within(limit::TOOL_TICKS, arguments)
    }

    /// Plans as [`Tool::plan`] does, within this many ticks.
    pub(crate) fn plan_within(
        &self,
        ticks: u32,
        arguments: &str,
    ) -> Result<Result<Draft, ToolRefusal>, SandboxError> {
        if arguments.len() > core_limit::ARGUMENTS {
            let detail = format!(
                "the arguments have {} bytes, at most {} are taken",
                arguments.len(),
                core_limit::ARGUMENTS
            );
            return Err(SandboxError::new(Code::Input, detail));
        }
        match self
            .run(ticks, |world, store| world.cofferdam_tool_tool().call_plan(store, arguments))?
        {
            Ok(said) => convert::draft(said).map(Ok),
            Err(said) => convert::refusal(said).map(Err),
        }
    }

    /// Uses a fresh sandbox for one call and drops it, whatever the result.
    fn run<R>(
        &self,
        ticks: u32,
        call: impl FnOnce(&ToolWorld, &mut Store<Account>) -> wasmtime::Result<R>,
    ) -> Result<R, SandboxError> {
        let mut store =
            store(&self.engine, Account::new(limit::TOOL_MEMORY, ticks), limit::HANDLES);
        let outcome = self.world.instantiate(&mut store).and_then(|world| call(&world, &mut store));
        outcome.map_err(|error| SandboxError::of(&error, store.data()))
    }
}
