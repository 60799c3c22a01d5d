//! One Wasm command of a `task` operation, one run: a fresh sandbox with an input and an output and
//! nothing else. It gets no file, no connection, no environment, no clock and no randomness, so the
//! same input gives the same result, and a second run can check it.
//! Wasm commands are the only guests with WASI. `link` has the linked part. Interfaces that the
//! runtime of a program imports without need are present and empty (folders, environment,
//! terminals), or end the program with a cause (clocks, randomness).

use crate::accounting::{Account, Accounted, store};
use crate::error::{Code, SandboxError};
use crate::limit;
use crate::load::{self, Artefact};
use bytes::Bytes;
use cofferdam_core::model::escape;
use cofferdam_core::model::limit as core_limit;
use cofferdam_core::protocol::role_guest::GuestKind;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable, ResourceType};
use wasmtime::{Engine, Result};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::sync::{self, CommandPre};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView, async_trait};

/// Most bytes that a Wasm command writes in one call: the buffer of its library.
const WRITE: usize = 64 << 10;

/// Imports that end a Wasm command when it calls them: interface, functions, and the word for the
/// error. A clock that stands still, or a constant instead of randomness, would give wrong results.
const DENIED: [(&str, &[&str], &str); 4] = [
    ("wasi:clocks/wall-clock@0.2.0", &["now", "resolution"], "the time"),
    (
        "wasi:clocks/monotonic-clock@0.2.0",
        &["now", "resolution", "subscribe-instant", "subscribe-duration"],
        "the time",
    ),
    ("wasi:random/random@0.2.0", &["get-random-bytes", "get-random-u64"], "randomness"),
    (
        "wasi:random/insecure@0.2.0",
        &["get-insecure-random-bytes", "get-insecure-random-u64"],
        "randomness",
    ),
];

/// A loaded Wasm command. Its imports are within its world, and it exports `wasi:cli/run`.
pub struct Command {
    engine: Engine,
    world: CommandPre<Room>,
}

/// The result of a Wasm command that ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The standard output.
    pub output: String,
    /// The first lines of standard error, with invisible characters escaped.
    pub note: String,
    /// The exit code.
    pub code: i32,
}

impl Command {
    /// Loads a Wasm command from its artefact. The engine must have a [`crate::engine::Ticker`].
    pub fn load(engine: &Engine, artefact: &Artefact) -> std::result::Result<Self, SandboxError> {
        let component = load::component(GuestKind::Command, engine, artefact)?;
        let beyond = |error: wasmtime::Error| {
            SandboxError::new(
                Code::Import,
                format!("it is not built for `wasi:cli/command@0.2`: {error:#}"),
            )
        };
        let mut linker = Linker::new(engine);
        link(&mut linker).map_err(beyond)?;
        let linked = linker.instantiate_pre(&component).map_err(beyond)?;
        let world = CommandPre::new(linked).map_err(|error| {
            SandboxError::new(
                Code::Malformed,
                format!("it does not export `wasi:cli/run`: {error:#}"),
            )
        })?;
        Ok(Self { engine: engine.clone(), world })
    }

    /// Runs the command with its name as its one argument and this input, for at most `guest_ms`
    /// milliseconds of its own time. An exit code is a result and not an error. Do not call it
    /// within an asynchronous runtime.
    pub fn run(
        &self,
        name: &str,
        input: &str,
        guest_ms: u64,
    ) -> std::result::Result<Ran, SandboxError> {
        if input.len() > core_limit::TASK_INPUT {
            let detail = format!(
                "the input has {} bytes, at most {} are given",
                input.len(),
                core_limit::TASK_INPUT
            );
            return Err(SandboxError::new(Code::Input, detail));
        }
        // The streams of WASI need a runtime. The streams here never wait, so this runtime has no
        // thread and no timer, and opens nothing, which a confined process may not.
        let quiet = tokio::runtime::Builder::new_current_thread().build();
        let quiet = quiet.map_err(|error| {
            SandboxError::new(Code::Engine, format!("no runtime for a command's streams: {error}"))
        })?;
        let _entered = quiet.enter();
        let (output, words) =
            (Sink::new(core_limit::TASK_OUTPUT, true), Sink::new(core_limit::TASK_NOTE, false));
        let mut wasi = WasiCtx::builder();
        wasi.arg(name)
            .stdin(MemoryInputPipe::new(input.to_owned()))
            .stdout(output.clone())
            .stderr(words.clone())
            .insecure_random_seed(0);
        let ticks = u64::try_from(limit::TICK.as_millis()).map_or(0, |tick| guest_ms / tick.max(1));
        let account = Account::new(limit::COMMAND_MEMORY, u32::try_from(ticks).unwrap_or(u32::MAX));
        let mut table = ResourceTable::new();
        table.set_max_capacity(limit::HANDLES);
        let mut store =
            store(&self.engine, Room { account, wasi: wasi.build(), table }, limit::HANDLES);
        let ended = self
            .world
            .instantiate(&mut store)
            .and_then(|world| world.wasi_cli_run().call_run(&mut store));
        let code = match ended {
            Ok(Ok(())) => 0,
            Ok(Err(())) => 1,
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(code)) => *code,
                None => {
                    return Err(told(
                        SandboxError::of(&error, &store.data().account),
                        &words.note(),
                    ));
                }
            },
        };
        let output = String::from_utf8(output.taken())
            .map_err(|_| SandboxError::new(Code::Malformed, "its output is not UTF-8 text"))?;
        Ok(Ran { output, note: words.note(), code })
    }
}

/// Adds the last words of the command to an error, in quotes: a panic names its cause there.
fn told(error: SandboxError, note: &str) -> SandboxError {
    if note.is_empty() {
        error
    } else {
        SandboxError::new(
            error.code,
            format!("{}; it said: \"{}\"", error.detail, note.replace('"', "'")),
        )
    }
}

/// The host's state of one run.
struct Room {
    account: Account,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Accounted for Room {
    fn account(&mut self) -> &mut Account {
        &mut self.account
    }
}

impl WasiView for Room {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The type of the streams of a run.
struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links every function that a Wasm command can call. Sockets and HTTP are not among them: a
/// command that imports them is refused when it is accepted.
fn link(linker: &mut Linker<Room>) -> Result<()> {
    errors(linker)?;
    sync::io::poll::add_to_linker::<Room, Io>(linker, |room| &mut room.table)?;
    sync::io::streams::add_to_linker::<Room, Io>(linker, |room| &mut room.table)?;
    cli::environment::add_to_linker::<Room, WasiCli>(linker, Room::cli)?;
    cli::exit::add_to_linker::<Room, WasiCli>(linker, Room::cli)?;
    cli::stdin::add_to_linker::<Room, WasiCli>(linker, Room::cli)?;
    cli::stdout::add_to_linker::<Room, WasiCli>(linker, Room::cli)?;
    cli::stderr::add_to_linker::<Room, WasiCli>(linker, Room::cli)?;
    cli::terminal_input::add_to_linker::<Room, WasiCli>(linker, Room::cli)?;
    cli::terminal_output::add_to_linker::<Room, WasiCli>(linker, Room::cli)?;
    cli::terminal_stdin::add_to_linker::<Room, WasiCli>(linker, Room::cli)?;
    cli::terminal_stdout::add_to_linker::<Room, WasiCli>(linker, Room::cli)?;
    cli::terminal_stderr::add_to_linker::<Room, WasiCli>(linker, Room::cli)?;
    // No folder is open, so no file can be named.
    filesystem::preopens::add_to_linker::<Room, WasiFilesystem>(linker, Room::filesystem)?;
    sync::filesystem::types::add_to_linker::<Room, WasiFilesystem>(linker, Room::filesystem)?;
    // The seed of a program's hash maps: a constant, which this interface allows.
    random::insecure_seed::add_to_linker::<Room, WasiRandom>(linker, |room| room.wasi.random())?;
    for (interface, functions, what) in DENIED {
        let mut instance = linker.instance(interface)?;
        for function in functions {
            instance.func_new(function, move |_, _, _, _| Err(denied(what).into()))?;
        }
    }
    Ok(())
}

fn denied(what: &str) -> SandboxError {
    let detail = format!(
        "it asked for {what}; a command has its input alone, so that the same input gives the \
         same result: put it there"
    );
    SandboxError::new(Code::Denied, detail)
}

/// Links `wasi:io/error`: the description of a failed stream.
fn errors(linker: &mut Linker<Room>) -> Result<()> {
    let mut instance = linker.instance("wasi:io/error@0.2.0")?;
    instance.resource("error", ResourceType::host::<wasmtime::Error>(), |mut store, rep| {
        store.data_mut().table.delete(Resource::<wasmtime::Error>::new_own(rep))?;
        Ok(())
    })?;
    instance.func_wrap(
        "[method]error.to-debug-string",
        |store, (error,): (Resource<wasmtime::Error>,)| {
            Ok((format!("{:?}", store.data().table.get(&error)?),))
        },
    )
}

/// One of the outputs of a Wasm command, kept up to a limit. Beyond it the result is refused, and
/// error text is dropped.
#[derive(Clone)]
struct Sink {
    kept: Arc<Mutex<Vec<u8>>>,
    most: usize,
    whole: bool,
}

impl Sink {
    fn new(most: usize, whole: bool) -> Self {
        Self { kept: Arc::default(), most, whole }
    }

    fn taken(&self) -> Vec<u8> {
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept)
            .trim_end()
            .lines()
            .map(escape::line)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl OutputStream for Sink {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.most.saturating_sub(kept.len());
        if self.whole && bytes.len() > room {
            let error = SandboxError::new(
                Code::Output,
                format!("it wrote more than {} bytes of output", self.most),
            );
            return Err(StreamError::Trap(error.into()));
        }
        kept.extend(bytes.into_iter().take(room));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE)
    }
}

#[async_trait]
impl Pollable for Sink {
    async fn ready(&mut self) {}
}

impl IsTerminal for Sink {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Sink {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // For WASI 0.1 and 0.3, which are not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}
