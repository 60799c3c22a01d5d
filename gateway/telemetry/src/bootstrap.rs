//! How a role speaks: log lines for people on standard error, spans and metrics over the write-only
//! socket it is handed. Never waits for anybody who listens. The one place that reads the clock and
//! the operating system's randomness for telemetry.

use crate::log_format::LineFormat;
use crate::metrics::ROLE_STARTS;
use crate::outlet::{Intake, Outlet};
use crate::setup::{Setup, SetupError, Sources, install};
use crate::signal::{Batch, Role};
use cofferdam_core::protocol::role_settings::Voice;
use cofferdam_process::frame::{self, Frame};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// How long a role that ends waits for its last spans to be taken: a batch is sent half a second
/// after its first span.
pub const LINGER: Duration = Duration::from_millis(600);

/// Starts lines and spans for the whole process.
pub fn start(role: Role, voice: &Voice) -> Result<(Outlet, Intake), SetupError> {
    let (outlet, intake) = Outlet::open();
    let format = if voice.json { LineFormat::Json } else { LineFormat::People };
    let sources = Sources { now: Arc::new(SystemTime::now), random: Arc::new(random) };
    outlet.count(ROLE_STARTS, &[("role", role.word())], 1);
    install(Setup { role, format, filter: voice.level.clone(), sources }, outlet.clone())?;
    Ok((outlet, intake))
}

/// 128 random bits, for names that need not be secret: without randomness they are merely not
/// unique.
pub fn random() -> u128 {
    let mut bytes = [0; 16];
    let _zeroes = getrandom::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// What was collected, until there is a socket to send it over.
pub struct PendingSink(mpsc::UnboundedSender<StdStream>);

impl PendingSink {
    /// Not connected yet.
    pub fn new(intake: Intake) -> Self {
        let (sender, sockets) = mpsc::unbounded_channel();
        tokio::spawn(send(sockets, intake));
        Self(sender)
    }

    /// Takes a socket for what is collected from now on: the first, or the one to a gateway that
    /// was started again.
    pub fn take(&mut self, stream: StdStream) {
        // The task ends only with the process.
        let _ended = self.0.send(stream);
    }
}

/// Hands spans and metrics to the gateway, over the newest socket. What was lost on the way is
/// lost.
async fn send(mut sockets: mpsc::UnboundedReceiver<StdStream>, mut intake: Intake) {
    let mut unsent = None;
    while let Some(stream) = sockets.recv().await {
        let Ok(mut stream) =
            stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream))
        else {
            continue;
        };
        loop {
            let batch = match unsent.take() {
                Some(batch) => batch,
                None => tokio::select! {
                    biased;
                    () = gone(&stream) => break,
                    batch = intake.batch() => match batch {
                        Some(batch) => batch,
                        None => return,
                    },
                },
            };
            let Ok(header) = serde_json::to_vec(&batch) else { continue };
            let frame = Frame::of(header);
            if frame.check().is_err() {
                // Tried again it would be too large again, and nothing behind it would ever be
                // sent.
                continue;
            }
            if frame::write_async(&mut stream, &frame).await.is_err() {
                unsent = Some(batch);
                break;
            }
        }
    }
}

/// Waits until the other end, which never says anything, closed.
async fn gone(stream: &UnixStream) {
    let mut byte = [0];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut byte) {
            Err(fault) if fault.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

// Former name, until each crate has the new one.
#[doc(hidden)]
pub use PendingSink as Voicing;

/// The other end: batches of one role, until it is gone.
pub async fn receive(stream: StdStream, mut take: impl FnMut(Batch)) {
    let Ok(mut stream) = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream))
    else {
        return;
    };
    while let Ok(Some(frame)) = frame::read_async(&mut stream).await {
        // What is no batch is passed over: the role would not hear that its socket was closed for
        // it.
        if let Ok(batch) = serde_json::from_slice(&frame.header) {
            take(batch);
        }
    }
}
