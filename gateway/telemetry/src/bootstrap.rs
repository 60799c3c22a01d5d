//! The start of telemetry in a role: log lines for people on standard error, spans and metrics over
//! the write-only socket to the gateway. Never waits for a reader. The one place that reads the
//! clock and the randomness of the operating system for telemetry.

use crate::log_format::LineFormat;
use crate::metrics::ROLE_STARTS;
use crate::outlet::{Intake, Outlet};
use crate::setup::{Setup, SetupError, Sources, install};
use crate::signal::{Batch, Role};
use cofferdam_core::protocol::role_settings::LogSettings;
use cofferdam_process::frame::{self, Frame};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// The wait of a role at its end for its last spans: a batch is sent half a second after its first
/// span.
pub const LINGER: Duration = Duration::from_millis(600);

/// Starts log lines and spans for the whole process.
/// # Errors
/// The log filter is not valid, or the process has a subscriber already.
pub fn start(role: Role, voice: &LogSettings) -> Result<(Outlet, Intake), SetupError> {
    let (outlet, intake) = Outlet::open();
    let format = if voice.json { LineFormat::Json } else { LineFormat::People };
    let sources = Sources { now: Arc::new(SystemTime::now), random: Arc::new(random) };
    outlet.count(ROLE_STARTS, &[("role", role.word())], 1);
    install(Setup { role, format, filter: voice.level.clone(), sources }, outlet.clone())?;
    Ok((outlet, intake))
}

/// 128 random bits, for names that need not be secret. Without randomness the names are not unique.
pub fn random() -> u128 {
    let mut bytes = [0; 16];
    let _zeroes = getrandom::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// Spans and metrics that wait for the socket to the gateway.
pub struct PendingSink(mpsc::UnboundedSender<StdStream>);

impl PendingSink {
    /// Starts the task that sends, without a socket.
    pub fn new(intake: Intake) -> Self {
        let (sender, sockets) = mpsc::unbounded_channel();
        tokio::spawn(send(sockets, intake));
        Self(sender)
    }

    /// Takes the socket for signals from now on: the first one, or the one to a gateway that
    /// started again.
    pub fn take(&mut self, stream: StdStream) {
        // The task ends only with the process.
        let _ended = self.0.send(stream);
    }
}

/// Sends spans and metrics to the gateway, over the newest socket. Signals that are lost on the way
/// are not sent again.
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
                // A second try would be too large again, and would block every later batch.
                continue;
            }
            if frame::write_async(&mut stream, &frame).await.is_err() {
                unsent = Some(batch);
                break;
            }
        }
    }
}

/// Waits until the other end, which never sends, closes.
async fn gone(stream: &UnixStream) {
    let mut byte = [0];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut byte) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

/// Receives batches of one role until its socket closes.
pub async fn receive(stream: StdStream, mut take: impl FnMut(Batch)) {
    let Ok(mut stream) = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream))
    else {
        return;
    };
    while let Ok(Some(frame)) = frame::read_async(&mut stream).await {
        // Skips a frame that is not a batch: the role could not learn that its socket was closed
        // for it.
        if let Ok(batch) = serde_json::from_slice(&frame.header) {
            take(batch);
        }
    }
}
