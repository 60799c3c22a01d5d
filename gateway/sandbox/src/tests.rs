//! Tests over real guests: hostile guests from `tests/guests`, each with its expected end, and the
//! limits around them.

mod commands;
mod encode;
mod hostile;
mod journey;
mod prepared;
mod quickjs;

use crate::engine::{self, Ticker};
use crate::error::SandboxError;
use crate::execute::{Effects, Executor};
use crate::load::{Artefact, compile};
use crate::policy::Policy;
use crate::tool::Tool;
use cofferdam_core::model::operation::{Draft, ToolRefusal};
use cofferdam_core::protocol::role_guest::{GuestKind, Handle, Observed, Performed, Stop};
use encode::{Built, built};
use std::sync::{Arc, Mutex};

/// A counted engine. The ticker must live as long as guests run.
fn counted(kind: GuestKind) -> (wasmtime::Engine, Ticker) {
    let (engine, ticker) = (engine::engine(kind).unwrap(), Ticker::start().unwrap());
    ticker.add(&engine);
    (engine, ticker)
}

fn artefact(built: Built) -> Result<Artefact, SandboxError> {
    compile(built.kind, &built.wasm).map(|(artefact, _)| artefact)
}

fn plan(name: &str, arguments: &str) -> Result<Result<Draft, ToolRefusal>, SandboxError> {
    let (engine, _ticker) = counted(GuestKind::Tool);
    Tool::load(&engine, &artefact(built(name))?)?.plan(arguments)
}

fn decide(name: &str) -> Result<String, SandboxError> {
    let (engine, _ticker) = counted(GuestKind::Policy);
    Policy::load(&engine, &artefact(built(name))?, "{}")?.evaluate("cofferdam/call/decision", "{}")
}

/// The effects and texts of an executor, in order.
#[derive(Clone, Default)]
struct Seen {
    did: Arc<Mutex<Vec<String>>>,
    /// True if the plan marks its operations as reversible.
    reversible: bool,
}

impl Effects for Seen {
    fn perform(&mut self, index: u32, undo: bool) -> Result<Performed, SandboxError> {
        self.did.lock().unwrap().push(format!("{}{index}", if undo { "undo " } else { "" }));
        Ok(Performed::Done { undo: self.reversible })
    }

    /// The object is ready at the second question.
    fn observe(&mut self, index: u32, wait_ms: u64) -> Result<Observed, SandboxError> {
        let mut did = self.did.lock().unwrap();
        did.push(format!("waits {wait_ms} ms for {index}"));
        let asked = did.iter().filter(|did| did.starts_with("waits")).count();
        Ok(if asked > 1 { Observed::Ready } else { Observed::progressing("0 of 2 pods are ready") })
    }

    fn progress(&mut self, note: String) -> Result<(), SandboxError> {
        self.did.lock().unwrap().push(format!("says {note:?}"));
        Ok(())
    }
}

/// Two handles; the second operation follows the first.
fn drive(name: &str) -> (Result<Option<Stop>, SandboxError>, Vec<String>) {
    let seen = Seen {
        reversible: matches!(name, "executor-undoes.wat" | "executor-observes-early.wat"),
        ..Seen::default()
    };
    let (engine, _ticker) = counted(GuestKind::Executor);
    let handles = [Handle { index: 0, after: vec![] }, Handle { index: 1, after: vec![0] }];
    let run = || {
        Executor::load(&engine, &artefact(built(name))?)?.run(&handles, 100, Box::new(seen.clone()))
    };
    let ended = run();
    let did = seen.did.lock().unwrap().clone();
    (ended, did)
}
