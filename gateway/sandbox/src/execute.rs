//! One executor, one job: the executor uses handles of the host, in a sandbox without anything
//! else. This crate does not know operations: an effect is an index, sent to the process that has
//! the right to perform it.
//! The guest's thread waits inside the host during an effect, so nothing here can abort one. A
//! guest that runs out of time or traps does so between two effects, and the role that performs
//! them has every answer of each.

use crate::accounting::{Account, Accounted, store};
use crate::bindings::executor::observation::{self, Readiness};
use crate::bindings::executor::operations::{self, Failure, Outcome};
use crate::bindings::executor::{ExecutorWorld, ExecutorWorldPre, progress};
use crate::convert;
use crate::error::{Code, SandboxError};
use crate::limit;
use crate::load::{self, Artefact};
use cofferdam_core::protocol::role_guest::{
    GuestKind, Handle, OBSERVE_MS, Observed, Performed, Stop,
};
use std::collections::BTreeSet;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{Engine, Result};

/// Performs the effects of an executor. In the guest process this is its socket.
pub trait Effects: Send {
    /// Performs one effect, from its start until it was observed. An error ends the executor: the
    /// asking role is gone.
    fn perform(&mut self, index: u32, undo: bool) -> std::result::Result<Performed, SandboxError>;
    /// Returns the state of the object of a done operation, when it is ready or has failed, and at
    /// the latest after `wait_ms` milliseconds.
    fn observe(&mut self, index: u32, wait_ms: u64) -> std::result::Result<Observed, SandboxError>;
    /// Passes on a progress text of the executor.
    fn progress(&mut self, note: String) -> std::result::Result<(), SandboxError>;
}

/// The content of one handle.
pub struct Ticket {
    index: u32,
    after: Vec<u32>,
    undo: bool,
}

/// The content of one observation: the index of its operation.
pub struct Sight(u32);

/// A loaded executor. It has the imports of its world and no others.
pub struct Executor {
    engine: Engine,
    world: ExecutorWorldPre<Desk>,
}

impl Executor {
    /// Loads an executor from its artefact. The engine must have a [`crate::engine::Ticker`].
    pub fn load(engine: &Engine, artefact: &Artefact) -> std::result::Result<Self, SandboxError> {
        let component = load::component(GuestKind::Executor, engine, artefact)?;
        let beyond = |error: wasmtime::Error| {
            SandboxError::new(
                Code::Import,
                format!("it is not built for `wit/executor.wit`: {error:#}"),
            )
        };
        let mut linker = Linker::new(engine);
        operations::add_to_linker::<_, HasSelf<Desk>>(&mut linker, |desk| desk).map_err(beyond)?;
        observation::add_to_linker::<_, HasSelf<Desk>>(&mut linker, |desk| desk).map_err(beyond)?;
        progress::add_to_linker::<_, HasSelf<Desk>>(&mut linker, |desk| desk).map_err(beyond)?;
        let linked = linker.instantiate_pre(&component).map_err(beyond)?;
        let world = ExecutorWorldPre::new(linked).map_err(|error| {
            SandboxError::new(
                Code::Malformed,
                format!("it does not export what `wit/executor.wit` says: {error:#}"),
            )
        })?;
        Ok(Self { engine: engine.clone(), world })
    }

    /// Runs the executor over these handles, in the order of the plan, with at most `guest_ms`
    /// milliseconds of the guest's own time. Returns the place where it stopped, or `None` if it
    /// finished. The effects are the record of the work, whatever this returns.
    pub fn run(
        &self,
        handles: &[Handle],
        guest_ms: u64,
        effects: Box<dyn Effects>,
    ) -> std::result::Result<Option<Stop>, SandboxError> {
        let ticks = u64::try_from(limit::TICK.as_millis()).map_or(0, |tick| guest_ms / tick.max(1));
        let account =
            Account::new(limit::EXECUTOR_MEMORY, u32::try_from(ticks).unwrap_or(u32::MAX));
        // Each operation has its handle, perhaps the handle that undoes it, and one to observe it.
        let granted = handles.len().saturating_mul(3);
        let mut table = ResourceTable::new();
        table.set_max_capacity(granted.max(1));
        let desk = Desk { account, table, effects, done: BTreeSet::new(), calls: 0, reports: 0 };
        let mut store = store(&self.engine, desk, granted.saturating_add(limit::HANDLES));
        let run = |store: &mut wasmtime::Store<Desk>| -> Result<_> {
            let mut given = Vec::with_capacity(handles.len());
            for Handle { index, after } in handles {
                given.push(store.data_mut().table.push(Ticket {
                    index: *index,
                    after: after.clone(),
                    undo: false,
                })?);
            }
            let world: ExecutorWorld = self.world.instantiate(&mut *store)?;
            world.cofferdam_executor_executor().call_run(store, &given)
        };
        match run(&mut store).map_err(|error| SandboxError::of(&error, &store.data().account))? {
            Ok(()) => Ok(None),
            Err(stop) if handles.iter().any(|handle| handle.index == stop.index) => {
                Ok(Some(Stop { index: stop.index, note: convert::note("stop: note", stop.note)? }))
            }
            Err(stop) => Err(SandboxError::new(
                Code::Malformed,
                format!("it stopped at operation {}, which it was not given", stop.index),
            )),
        }
    }
}

/// The host's state of one job.
struct Desk {
    account: Account,
    table: ResourceTable,
    effects: Box<dyn Effects>,
    /// Operations that are done and not undone.
    done: BTreeSet<u32>,
    calls: u32,
    reports: u32,
}

impl Accounted for Desk {
    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}

impl Desk {
    /// Counts a call into the host: many cheap calls would cost the host more than the guest.
    fn count(&mut self) -> Result<()> {
        self.calls = self.calls.saturating_add(1);
        if self.calls > limit::HOST_CALLS {
            return Err(SandboxError::new(
                Code::HostCalls,
                format!("it called the host more than {} times", limit::HOST_CALLS),
            )
            .into());
        }
        Ok(())
    }
}

impl operations::Host for Desk {}

impl operations::HostOperation for Desk {
    fn index(&mut self, operation: Resource<Ticket>) -> Result<u32> {
        self.count()?;
        Ok(self.table.get(&operation)?.index)
    }

    fn after(&mut self, operation: Resource<Ticket>) -> Result<Vec<u32>> {
        self.count()?;
        Ok(self.table.get(&operation)?.after.clone())
    }

    fn perform(&mut self, operation: Resource<Ticket>) -> Result<Outcome> {
        self.count()?;
        let ticket = self.table.delete(operation)?;
        if !ticket.after.iter().all(|index| self.done.contains(index)) {
            return Ok(Outcome::Failed(Failure::OutOfOrder));
        }
        match self.effects.perform(ticket.index, ticket.undo)? {
            Performed::Failed { failure } => Ok(Outcome::Failed(word(&failure)?)),
            Performed::Done { .. } if ticket.undo => {
                self.done.remove(&ticket.index);
                Ok(Outcome::Done(None))
            }
            Performed::Done { undo } => {
                self.done.insert(ticket.index);
                let undo = if undo {
                    Some(self.table.push(Ticket {
                        index: ticket.index,
                        after: Vec::new(),
                        undo: true,
                    })?)
                } else {
                    None
                };
                Ok(Outcome::Done(undo))
            }
        }
    }

    fn drop(&mut self, operation: Resource<Ticket>) -> Result<()> {
        self.count()?;
        self.table.delete(operation)?;
        Ok(())
    }
}

impl observation::Host for Desk {
    fn observe(&mut self, index: u32) -> Result<Option<Resource<Sight>>> {
        self.count()?;
        if !self.done.contains(&index) {
            return Ok(None);
        }
        let full = |_| {
            SandboxError::new(
                Code::Handles,
                "it holds more observations than there are operations; it must drop those it is \
                 done with",
            )
        };
        Ok(Some(self.table.push(Sight(index)).map_err(full)?))
    }
}

impl observation::HostObservation for Desk {
    fn ready(&mut self, observation: Resource<Sight>, seconds: u32) -> Result<Readiness> {
        self.count()?;
        let index = self.table.get(&observation)?.0;
        if !self.done.contains(&index) {
            return Ok(Readiness::Failed("it was undone".to_owned()));
        }
        let wait_ms = u64::from(seconds).saturating_mul(1_000).min(OBSERVE_MS);
        Ok(match self.effects.observe(index, wait_ms)? {
            Observed::Ready => Readiness::Ready,
            Observed::Progressing { note } => Readiness::Progressing(seen(note)?),
            Observed::Failed { note } => Readiness::Failed(seen(note)?),
        })
    }

    fn drop(&mut self, observation: Resource<Sight>) -> Result<()> {
        self.count()?;
        self.table.delete(observation)?;
        Ok(())
    }
}

/// Checks a note of the asking role against the contract for texts: an executor may pass it on as
/// its own.
fn seen(note: String) -> std::result::Result<String, SandboxError> {
    convert::note("note", note).map_err(|error| {
        SandboxError::new(Code::Engine, format!("the asking role's {}", error.detail))
    })
}

impl progress::Host for Desk {
    fn report(&mut self, note: String) -> Result<()> {
        self.count()?;
        self.reports = self.reports.saturating_add(1);
        if self.reports > limit::REPORTS {
            return Err(SandboxError::new(
                Code::HostCalls,
                format!("it reported more than {} times", limit::REPORTS),
            )
            .into());
        }
        let note = convert::note("report", note)?;
        Ok(self.effects.progress(note)?)
    }
}

fn word(failure: &str) -> std::result::Result<Failure, SandboxError> {
    match failure {
        "out-of-order" => Ok(Failure::OutOfOrder),
        "conflict" => Ok(Failure::Conflict),
        "refused" => Ok(Failure::Refused),
        "stopped" => Ok(Failure::Stopped),
        other => Err(SandboxError::new(
            Code::Engine,
            format!("the asking role answered {other:?}, which is no failure of the contract"),
        )),
    }
}
