//! The requests of a `cofferdam-guest` process: confine, read, load, confine further, run, answer.
//! One component a process. The process gives up new sockets before it reads its first request.
//! Before it compiles, and before it loads a tool or a policy, it gives up files and every system
//! call that this does not need. Before the guest's first instruction, it gives up every system
//! call that a computation does not need.

use crate::engine::{self, Ticker};
use crate::error::{Code, SandboxError};
use crate::examine::{Examined, examine};
use crate::execute::{Effects, Executor};
use crate::load::{self, Artefact};
use crate::policy::{Policy, Purpose};
use crate::tool::Tool;
use crate::wasi_command::{Command, Ran};
use cofferdam_core::model::json::{JsonError, strict_into};
use cofferdam_core::protocol::role_guest::{
    Compute, Computed, GuestKind, Observed, Performed, Tried,
};
use cofferdam_process::confine::{self, NewSockets};
use cofferdam_process::frame::{self, Frame};
use std::io;
use std::mem::ManuallyDrop;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::Engine;

/// Bytes of address space for compiling. Cranelift needs some hundred MiB for the largest accepted
/// Wasm, and the one trial of a policy reserves four GiB for its memory.
const COMPILE_SPACE: u64 = 8 << 30;
/// Seconds of processor time for compiling, on all threads together.
const COMPILE_SECONDS: u64 = 120;
/// Bytes of address space for running. Each memory reserves four GiB, which saves bounds checks;
/// the account limits the used part.
const RUN_SPACE: u64 = 32 << 30;
/// Seconds of processor time for loading and answering, beyond the guest's own time.
const RUN_SECONDS: u64 = 10;
/// Further seconds of processor time for the requests of one process: what each may take, as often
/// as there may be one.
const SEVERAL_SECONDS: u64 = 13;
/// Further seconds of processor time for the tests and trials of a policy.
const TRIAL_SECONDS: u64 = 110;

/// Most requests of one process. Each has a fresh instance.
const REQUESTS: u32 = 64;
/// The time of a process for requests after its first one.
const LIFE: Duration = Duration::from_secs(10);

/// Serves one request. After a plan or a decision, serves further ones over the same component,
/// each in a fresh instance: at most `REQUESTS`, within `LIFE`, until the first error. An error
/// of a guest is an answer.
/// Nothing is torn down: the caller exits at once, because a confined process may not close
/// descriptors as a runtime does.
/// # Errors
/// The asking role is gone, or breaks the protocol.
pub fn serve(socket: &Arc<UnixStream>) -> io::Result<()> {
    confine::baseline()
        .and_then(|()| confine::new_sockets(NewSockets::None))
        .map_err(io::Error::other)?;
    let Some(request) = frame::read(&mut &**socket)? else {
        return Ok(());
    };
    let mut loaded = None;
    let answered = answer(socket, compute(&request)?, request.body, &mut loaded);
    let Some(loaded) = tell(socket, answered)?.then_some(loaded).flatten() else {
        return Ok(());
    };
    let end = Instant::now() + LIFE;
    for _ in 1..REQUESTS {
        let left = end.saturating_duration_since(Instant::now());
        if !frame::readable(&**socket, left)? {
            break;
        }
        let Some(request) = frame::read(&mut &**socket)? else { break };
        let again = loaded.answer(compute(&request)?, &request.body)?;
        if !tell(socket, again.map(|computed| (computed, Vec::new())))? {
            break;
        }
    }
    Ok(())
}

fn compute(request: &Frame) -> io::Result<Compute> {
    strict_into::<Compute>(&request.header)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

/// Sends an answer. Returns false if it is an error.
fn tell(
    socket: &UnixStream,
    answered: Result<(Computed, Vec<u8>), SandboxError>,
) -> io::Result<bool> {
    let done = answered.is_ok();
    let (computed, body) = answered.unwrap_or_else(|error| (error.into(), Vec::new()));
    send(socket, &computed, body)?;
    Ok(done)
}

/// A component that stays loaded for further requests. Each one gets a fresh instance.
enum Loaded {
    Tool(ManuallyDrop<Tool>),
    Policy { policy: ManuallyDrop<Policy>, data: String },
}

impl Loaded {
    fn plan(tool: &Tool, arguments: &str) -> Result<Computed, SandboxError> {
        Ok(match tool.plan(arguments)? {
            Ok(draft) => Computed::Planned { draft },
            Err(refusal) => Computed::Declined { refusal },
        })
    }

    /// Answers a request without a component of its own.
    /// # Errors
    /// The request is about another component, another kind or other data.
    fn answer(&self, compute: Compute, body: &[u8]) -> io::Result<Result<Computed, SandboxError>> {
        match (self, compute) {
            (Self::Tool(tool), Compute::Plan { arguments }) if body.is_empty() => {
                Ok(Self::plan(tool, &arguments))
            }
            (Self::Policy { policy, data }, Compute::Decide { entrypoint, data: own, input })
                if body.is_empty() && own == *data =>
            {
                Ok(policy.evaluate(&entrypoint, &input).map(|output| Computed::Decided { output }))
            }
            _ => {
                let problem = "a further request is about another component";
                Err(io::Error::new(io::ErrorKind::InvalidData, problem))
            }
        }
    }
}

fn answer(
    socket: &Arc<UnixStream>,
    compute: Compute,
    body: Vec<u8>,
    loaded: &mut Option<Loaded>,
) -> Result<(Computed, Vec<u8>), SandboxError> {
    let computed = match compute {
        Compute::Compile { kind } => {
            compiles()?;
            let (artefact, engine) = load::compile_confined(kind, &body, calls)?;
            return Ok((Computed::Artefact { engine }, artefact.bytes().to_vec()));
        }
        Compute::CompileTrial => {
            limits(COMPILE_SPACE, COMPILE_SECONDS)?;
            files()?;
            let (artefact, engine) = load::compile_trial(&body, calls)?;
            return Ok((Computed::Artefact { engine }, artefact.bytes().to_vec()));
        }
        Compute::Examine => {
            compiles()?;
            let Examined { kind, imports, unused, artefact } = examine(&body)?;
            return Ok((Computed::Examined { kind, imports, unused }, artefact.bytes().to_vec()));
        }
        Compute::Judge { data } => {
            let load = |engine: &Engine| {
                Ok((engine.clone(), load::module(engine, &Artefact::vouched(body))?))
            };
            let guest = confined(GuestKind::Policy, 0, load)?;
            let (engine, module) = &*guest;
            let policy = Policy::of(engine, module.clone(), &data, Purpose::Decide)?;
            Computed::Judging { entrypoints: policy.entrypoints().map(str::to_owned).collect() }
        }
        Compute::Define => {
            let tool = confined(GuestKind::Tool, 0, |engine| {
                Tool::load(engine, &Artefact::vouched(body))
            })?;
            Computed::Defined { definition: Box::new(tool.define()?) }
        }
        Compute::Plan { arguments } => {
            let load = |engine: &Engine| Tool::load(engine, &Artefact::vouched(body));
            let tool = confined_early(GuestKind::Tool, load)?;
            let planned = Loaded::plan(&tool, &arguments)?;
            *loaded = Some(Loaded::Tool(tool));
            planned
        }
        Compute::Decide { entrypoint, data, input } => {
            let load = |engine: &Engine| {
                Ok((engine.clone(), load::module(engine, &Artefact::vouched(body))?))
            };
            let guest = confined_early(GuestKind::Policy, load)?;
            let (engine, module) = &*guest;
            // Loading a policy runs it, so it follows the confinement.
            let policy =
                ManuallyDrop::new(Policy::of(engine, module.clone(), &data, Purpose::Decide)?);
            let output = policy.evaluate(&entrypoint, &input)?;
            *loaded = Some(Loaded::Policy { policy, data });
            Computed::Decided { output }
        }
        Compute::Try { data, trials } => {
            let load = |engine: &Engine| {
                Ok((engine.clone(), load::module(engine, &Artefact::vouched(body))?))
            };
            let guest = confined_in(engine::counting, TRIAL_SECONDS, load)?;
            let (engine, module) = &*guest;
            let policy = Policy::of(engine, module.clone(), &data, Purpose::Try)?;
            let tried: Vec<Tried> = trials.iter().map(|trial| policy.attempt(trial)).collect();
            let body = serde_json::to_vec(&tried).map_err(|error| {
                SandboxError::new(Code::Engine, format!("what came of it: {error}"))
            })?;
            return Ok((Computed::Tried, body));
        }
        Compute::Execute { handles, guest_ms } => {
            let load = |engine: &Engine| Executor::load(engine, &Artefact::vouched(body));
            let executor = confined(GuestKind::Executor, guest_ms.div_ceil(1_000), load)?;
            Computed::Finished {
                stop: executor.run(&handles, guest_ms, Box::new(Wire(Arc::clone(socket))))?,
            }
        }
        Compute::Run { name, input, guest_ms } => {
            let load = |engine: &Engine| Command::load(engine, &Artefact::vouched(body));
            let command = confined(GuestKind::Command, guest_ms.div_ceil(1_000), load)?;
            let Ran { output, note, code } = command.run(&name, &input, guest_ms)?;
            Computed::Ran { output, note, code }
        }
    };
    Ok((computed, Vec::new()))
}

/// Loads with the rights to files and calls, then gives them up. The kernel sets the order:
/// Landlock while there is one thread, then the thread that counts time, then the system calls, for
/// both. Guest and ticker live until the process ends.
fn confined<G>(
    kind: GuestKind,
    seconds: u64,
    load: impl FnOnce(&Engine) -> Result<G, SandboxError>,
) -> Result<ManuallyDrop<G>, SandboxError> {
    confined_in(|| engine::engine(kind), seconds, load)
}

fn confined_in<G>(
    engine: impl FnOnce() -> Result<Engine, SandboxError>,
    seconds: u64,
    load: impl FnOnce(&Engine) -> Result<G, SandboxError>,
) -> Result<ManuallyDrop<G>, SandboxError> {
    limits(RUN_SPACE, RUN_SECONDS.saturating_add(seconds))?;
    let engine = engine()?;
    let guest = ManuallyDrop::new(load(&engine)?);
    files()?;
    let ticker = ManuallyDrop::new(Ticker::start()?);
    ticker.add(&engine);
    calls()?;
    Ok(guest)
}

/// As [`confined`], for a process that several jobs use, and that the supervisor started: it gives
/// up files, and every call that loading does not need, before it loads.
fn confined_early<G>(
    kind: GuestKind,
    load: impl FnOnce(&Engine) -> Result<G, SandboxError>,
) -> Result<ManuallyDrop<G>, SandboxError> {
    limits(RUN_SPACE, RUN_SECONDS.saturating_add(SEVERAL_SECONDS))?;
    files()?;
    confine::compile_calls().map_err(|error| SandboxError::new(Code::Engine, error.to_string()))?;
    let engine = engine::engine(kind)?;
    let guest = ManuallyDrop::new(load(&engine)?);
    let ticker = ManuallyDrop::new(Ticker::start()?);
    ticker.add(&engine);
    calls()?;
    Ok(guest)
}

/// The confinement before a guest compiles: no check has read the component yet.
fn compiles() -> Result<(), SandboxError> {
    limits(COMPILE_SPACE, COMPILE_SECONDS)?;
    files()?;
    confine::compile_calls().map_err(|error| SandboxError::new(Code::Engine, error.to_string()))
}

fn calls() -> Result<(), SandboxError> {
    confine::guest_calls().map_err(|error| SandboxError::new(Code::Engine, error.to_string()))
}

fn limits(space: u64, seconds: u64) -> Result<(), SandboxError> {
    confine::guest_limits(space, seconds)
        .map_err(|error| SandboxError::new(Code::Engine, error.to_string()))
}

fn files() -> Result<(), SandboxError> {
    // `doctor` reports the limits of the kernel; a guest does not.
    confine::files(confine::Files::default())
        .map(drop)
        .map_err(|error| SandboxError::new(Code::Engine, error.to_string()))
}

/// Effects over the socket: one question, one answer, in turn.
struct Wire(Arc<UnixStream>);

impl Wire {
    /// Sends a question, and returns the text of the answer.
    fn ask(&self, question: &Computed) -> Result<Vec<u8>, SandboxError> {
        send(&self.0, question, Vec::new()).map_err(|error| lost(&error))?;
        let answer = frame::read(&mut &*self.0).map_err(|error| lost(&error))?;
        answer.map(|answer| answer.header).ok_or_else(|| lost(&io::ErrorKind::UnexpectedEof.into()))
    }
}

fn unclear(error: &JsonError) -> SandboxError {
    SandboxError::new(Code::Engine, format!("the asking role: {error}"))
}

impl Effects for Wire {
    fn perform(&mut self, index: u32, undo: bool) -> Result<Performed, SandboxError> {
        strict_into(&self.ask(&Computed::Perform { index, undo })?).map_err(|error| unclear(&error))
    }

    fn observe(&mut self, index: u32, wait_ms: u64) -> Result<Observed, SandboxError> {
        strict_into(&self.ask(&Computed::Observe { index, wait_ms })?)
            .map_err(|error| unclear(&error))
    }

    fn progress(&mut self, note: String) -> Result<(), SandboxError> {
        send(&self.0, &Computed::Progress { note }, Vec::new()).map_err(|error| lost(&error))
    }
}

fn send(socket: &UnixStream, computed: &Computed, body: Vec<u8>) -> io::Result<()> {
    let header = serde_json::to_vec(computed)?;
    frame::write(&mut &*socket, &Frame { header, body })
}

fn lost(error: &io::Error) -> SandboxError {
    SandboxError::new(Code::Engine, format!("the asking role is gone: {error}"))
}
