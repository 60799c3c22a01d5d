//! The processes that run components for the runner: each a `cofferdam-guest` with one socket and
//! no other resource. Compiled artefacts belong to this role, and its MAC protects them. Contains
//! no Wasm engine, and passes no credential on.

#[cfg(test)]
mod tests;

use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::artefact::ArtefactKey;
use cofferdam_core::model::id::{ComponentDigest, hex};
use cofferdam_core::protocol::role_guest::{Compute, Computed, GuestKind};
use cofferdam_process::control::Lent;
use cofferdam_process::frame::{Frame, read_async, readable, write_async};
use cofferdam_process::spawn::{self, StandardError};
use serde::Serialize;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;

/// How long compiling may take, by the clock on the wall: the largest components take seconds on a
/// slow machine.
const COMPILE: Duration = Duration::from_secs(150);

/// How long a tool or a policy may take, by the clock on the wall: milliseconds are usual, and the
/// guest counts its own time more strictly.
const COMPUTE: Duration = Duration::from_secs(20);

/// Starts a guest on its end of a socket; what it returns keeps it alive and ends it when dropped.
pub trait Start: Send + Sync + 'static {
    /// Starts one guest with this socket.
    fn start(&self, socket: OwnedFd) -> io::Result<Box<dyn Send>>;
}

/// A guest that is lent.
#[derive(Debug)]
pub struct LentGuest {
    /// The socket to it.
    pub socket: StdStream,
    /// True if it has loaded the component already.
    pub loaded: bool,
}

/// Lends guests that serve several jobs, one after the other.
pub trait Lender: Send + Sync + 'static {
    /// Borrows a guest for a component; `None` if there is none.
    fn borrow_guest(
        &self,
        guest: &Lent,
    ) -> Pin<Box<dyn Future<Output = Option<LentGuest>> + Send + '_>>;
    /// Gives it back. It waits for its next request.
    fn return_guest(&self, guest: &Lent, socket: StdStream);
}

/// Starts guests as processes.
#[derive(Debug)]
pub struct Program(pub PathBuf);

impl Start for Program {
    fn start(&self, socket: OwnedFd) -> io::Result<Box<dyn Send>> {
        let mut command = tokio::process::Command::from(spawn::command(
            &self.0,
            &[],
            socket,
            StandardError::Discarded,
        ));
        Ok(Box::new(command.kill_on_drop(true).spawn()?))
    }
}

/// Guests and their artefacts.
pub struct Guests<S> {
    start: S,
    lender: Option<Box<dyn Lender>>,
    /// The process of the executor, if it was started ahead.
    ahead: Mutex<Option<Session>>,
    artefacts: PathBuf,
    key: ArtefactKey,
}

/// A guest that is computing.
pub struct Session {
    stream: UnixStream,
    /// The process, if it is this role's own.
    _guest: Option<Box<dyn Send>>,
}

fn error(code: &str, detail: impl ToString) -> GuestError {
    GuestError { code: code.to_owned(), detail: detail.to_string() }
}

impl Session {
    /// The next answer; the guest that closes its socket without one has failed.
    pub async fn next(&mut self) -> Result<(Computed, Vec<u8>), GuestError> {
        let frame = read_async(&mut self.stream).await.map_err(|lost| error("lost", lost))?;
        let frame =
            frame.ok_or_else(|| error("lost", "the guest process ended without an answer"))?;
        let computed = cofferdam_core::model::json::strict_into(&frame.header)
            .map_err(|bad| error("output", bad))?;
        Ok((computed, frame.body))
    }

    /// Returns whether a guest that has no request yet still waits for it.
    fn waits(&self) -> bool {
        readable(&self.stream, Duration::ZERO).is_ok_and(|readable| !readable)
    }

    /// Says something to it.
    pub async fn send(
        &mut self,
        message: &impl Serialize,
        body: Vec<u8>,
    ) -> Result<(), GuestError> {
        let header = serde_json::to_vec(message).map_err(|bad| error("output", bad))?;
        write_async(&mut self.stream, &Frame { header, body })
            .await
            .map_err(|lost| error("lost", lost))
    }
}

impl<S: Start> Guests<S> {
    /// Guests started this way, with artefacts in this folder under this key.
    pub fn new(start: S, artefacts: PathBuf, key: ArtefactKey) -> Self {
        Self { start, lender: None, ahead: Mutex::default(), artefacts, key }
    }

    /// With guests of the supervisor for tools and policies, which serve several jobs. Executors
    /// and commands always get a process of their own.
    #[must_use]
    pub fn with_lender(self, lender: Box<dyn Lender>) -> Self {
        Self { lender: Some(lender), ..self }
    }

    /// Starts the process of the job's executor, which then waits for its request. Does nothing if
    /// one waits already. An error shows at the request.
    pub fn start_ahead(&self) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if !ahead.as_ref().is_some_and(Session::waits) {
            *ahead = self.start_guest().ok();
        }
    }

    /// Starts a guest with a request over a component.
    pub async fn open(
        &self,
        kind: GuestKind,
        wasm: &[u8],
        compute: &Compute,
    ) -> Result<Session, GuestError> {
        let artefact = self.artefact(kind, wasm).await?;
        self.begin(compute, artefact).await
    }

    /// Asks a guest over a component and waits for its one answer. A stored artefact that its
    /// engine does not take is compiled again, once.
    pub async fn ask(
        &self,
        kind: GuestKind,
        wasm: &[u8],
        compute: &Compute,
    ) -> Result<Computed, GuestError> {
        self.ask_within(COMPUTE, kind, wasm, compute).await
    }

    /// As [`Guests::ask`], with another limit on the clock.
    pub async fn ask_within(
        &self,
        limit: Duration,
        kind: GuestKind,
        wasm: &[u8],
        compute: &Compute,
    ) -> Result<Computed, GuestError> {
        if let Some(computed) = self.ask_lent(limit, kind, wasm, compute).await {
            return Ok(computed);
        }
        for attempt in 0..2 {
            let mut session = self.open(kind, wasm, compute).await?;
            match within(limit, session.next()).await?.0 {
                Computed::Failed { code, .. } if code == "artefact" && attempt == 0 => {
                    let _gone = fs::remove_file(self.place(kind, wasm));
                }
                Computed::Failed { code, detail } => return Err(GuestError { code, detail }),
                computed => return Ok(computed),
            }
        }
        Err(error("artefact", "the guest does not take what it compiled itself"))
    }

    /// Asks a lent guest. `None` if there is none, or if it gives no result: a computation has no
    /// effect, and a process of this role's own repeats it and reports the cause.
    async fn ask_lent(
        &self,
        limit: Duration,
        kind: GuestKind,
        wasm: &[u8],
        compute: &Compute,
    ) -> Option<Computed> {
        let lender = self.lender.as_ref()?;
        if !matches!(compute, Compute::Plan { .. } | Compute::Decide { .. }) {
            return None;
        }
        let lent = Lent { kind, component: ComponentDigest::of(wasm) };
        let LentGuest { socket, loaded } = lender.borrow_guest(&lent).await?;
        socket.set_nonblocking(true).ok()?;
        let mut session = Session { stream: UnixStream::from_std(socket).ok()?, _guest: None };
        let artefact = if loaded { Vec::new() } else { self.artefact(kind, wasm).await.ok()? };
        session.send(compute, artefact).await.ok()?;
        match within(limit, session.next()).await.ok()?.0 {
            // The guest ends after an error.
            Computed::Failed { code, detail } => {
                tracing::debug!(code, detail, "a lent guest failed");
                None
            }
            computed => {
                if let Ok(socket) = session.stream.into_std() {
                    lender.return_guest(&lent, socket);
                }
                Some(computed)
            }
        }
    }

    async fn begin(&self, compute: &Compute, body: Vec<u8>) -> Result<Session, GuestError> {
        let ahead = if matches!(compute, Compute::Execute { .. }) {
            self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take()
        } else {
            None
        };
        let waiting = ahead.filter(Session::waits);
        let mut session = waiting.map_or_else(|| self.start_guest(), Ok)?;
        session.send(compute, body).await?;
        Ok(session)
    }

    fn start_guest(&self) -> Result<Session, GuestError> {
        let (ours, theirs) = StdStream::pair().map_err(|fail| error("spawn", fail))?;
        let guest = self
            .start
            .start(OwnedFd::from(theirs))
            .map_err(|fail| error("spawn", format!("cannot start `cofferdam-guest`: {fail}")))?;
        ours.set_nonblocking(true).map_err(|fail| error("spawn", fail))?;
        let stream = UnixStream::from_std(ours).map_err(|fail| error("spawn", fail))?;
        Ok(Session { stream, _guest: Some(guest) })
    }

    fn place(&self, kind: GuestKind, wasm: &[u8]) -> PathBuf {
        let kind = match kind {
            GuestKind::Tool => "tool",
            GuestKind::Executor => "executor",
            GuestKind::Policy => "policy",
            GuestKind::Command => "command",
        };
        self.artefacts.join(format!("{}.{kind}", hex(ComponentDigest::of(wasm).as_bytes())))
    }

    /// The compiled component: this role's own, or compiled now. The file holds the engine's name,
    /// a line break, and the sealed artefact.
    async fn artefact(&self, kind: GuestKind, wasm: &[u8]) -> Result<Vec<u8>, GuestError> {
        let place = self.place(kind, wasm);
        let digest = ComponentDigest::of(wasm);
        if let Ok(stored) = fs::read(&place)
            && let Some(at) = stored.iter().position(|byte| *byte == b'\n')
            && let Some((engine, sealed)) = stored.split_at_checked(at)
            && let Ok(engine) = std::str::from_utf8(engine)
            && let Ok(artefact) =
                self.key.open(&format!("{digest} {engine}"), sealed.get(1..).unwrap_or_default())
        {
            return Ok(artefact.to_vec());
        }
        let mut session = self.begin(&Compute::Compile { kind }, wasm.to_vec()).await?;
        let (engine, artefact) = match within(COMPILE, session.next()).await? {
            (Computed::Artefact { engine }, artefact) => (engine, artefact),
            (Computed::Failed { code, detail }, _) => return Err(GuestError { code, detail }),
            _ => return Err(error("output", "the guest sent an unexpected response")),
        };
        let sealed = self
            .key
            .seal(&format!("{digest} {engine}"), &artefact)
            .map_err(|fail| error("artefact", fail))?;
        // Kept for the next time. If that fails, the job goes on. Renamed, so that no reader sees a
        // half-written file.
        let temporary = place.with_extension(format!("{}.writing", std::process::id()));
        let kept = fs::write(&temporary, [engine.as_bytes(), b"\n", &sealed].concat())
            .and_then(|()| fs::rename(&temporary, &place));
        if let Err(fail) = kept {
            tracing::warn!(
                path = %place.display(),
                error = %fail,
                "a compiled artefact cannot be kept"
            );
        }
        Ok(artefact)
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, GuestError>>,
) -> Result<T, GuestError> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(error("time", format!("no answer within {} s", limit.as_secs()))),
    }
}
