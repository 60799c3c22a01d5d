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
use tokio::sync::{mpsc, oneshot};

/// The longest wait of a role at its end for its last spans: a batch is sent half a second after its
/// first span.
pub const LINGER: Duration = Duration::from_millis(600);

/// Starts log lines and spans for the whole process.
/// # Errors
/// The log filter is not valid, or the process has a subscriber already.
pub fn start(role: Role, voice: &LogSettings) -> Result<(Outlet, Intake), SetupError> {
    let (outlet, intake) = Outlet::open();
    let format = if voice.json { LineFormat::Json } else { LineFormat::People };
    let sources = Sources { now: Arc::new(SystemTime::now), random: Arc::new(random) };
    outlet.count(ROLE_STARTS, &[("role", role.word())], 1);
    let (filter, spans) = (voice.level.clone(), voice.spans);
    install(Setup { role, format, filter, spans, sources }, outlet.clone())?;
    Ok((outlet, intake))
}

/// 128 random bits, for names that need not be secret. Without randomness the names are not unique.
pub fn random() -> u128 {
    let mut bytes = [0; 16];
    let _zeroes = getrandom::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// Spans and metrics that wait for the socket to the gateway.
pub struct PendingSink {
    sockets: mpsc::UnboundedSender<StdStream>,
    flushes: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

/// Sends the signals of a role that ends.
pub struct Flush(mpsc::UnboundedSender<oneshot::Sender<()>>);

impl PendingSink {
    /// Starts the task that sends, without a socket.
    pub fn new(intake: Intake) -> Self {
        let (sockets, taken) = mpsc::unbounded_channel();
        let (flushes, asked) = mpsc::unbounded_channel();
        tokio::spawn(send(taken, asked, intake));
        Self { sockets, flushes }
    }

    /// Takes the socket for signals from now on: the first one, or the one to a gateway that
    /// started again.
    pub fn take(&mut self, stream: StdStream) {
        // The task ends only with the process.
        let _ended = self.sockets.send(stream);
    }

    /// The flush of this sink, for the end of the role.
    pub fn flush(&self) -> Flush {
        Flush(self.flushes.clone())
    }
}

impl Flush {
    /// Waits until the socket has every signal so far. The kernel keeps them for the gateway after
    /// the end of this process. Waits at most [`LINGER`] for a socket, or for a gateway that reads
    /// nothing.
    pub async fn wait(self) {
        let (done, flushed) = oneshot::channel();
        // Without the task there is nothing to send.
        if self.0.send(done).is_ok() {
            let _late = tokio::time::timeout(LINGER, flushed).await;
        }
    }
}

/// Sends spans and metrics to the gateway, over the newest socket. Signals that are lost on the way
/// are not sent again.
async fn send(
    mut sockets: mpsc::UnboundedReceiver<StdStream>,
    mut flushes: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    mut intake: Intake,
) {
    let mut unsent = None;
    // Those that wait for the end of the signals so far.
    let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
    while let Some(stream) = sockets.recv().await {
        let Ok(mut stream) =
            stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream))
        else {
            continue;
        };
        loop {
            let batch = match unsent.take() {
                Some(batch) => batch,
                None if !waiting.is_empty() => match intake.batch_now() {
                    Some(batch) => batch,
                    None => {
                        for done in waiting.drain(..) {
                            // A role that waited too long has ended.
                            let _late = done.send(());
                        }
                        continue;
                    }
                },
                None => tokio::select! {
                    biased;
                    () = gone(&stream) => break,
                    Some(done) = flushes.recv() => {
                        waiting.push(done);
                        continue;
                    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::UNAUTHENTICATED;

    #[tokio::test]
    async fn the_signals_of_a_role_that_ends_are_in_its_socket_before_it_ends() {
        let (outlet, intake) = Outlet::open();
        let mut sink = PendingSink::new(intake);
        outlet.count(UNAUTHENTICATED, &[], 1);
        outlet.count(ROLE_STARTS, &[("role", "gateway")], 1);
        outlet.count(ROLE_STARTS, &[("role", "recorder")], 1);
        let (ours, theirs) = StdStream::pair().unwrap();
        let waiting = tokio::spawn(sink.flush().wait());
        sink.take(theirs);
        waiting.await.unwrap();
        // What is there is read without a wait.
        ours.set_nonblocking(true).unwrap();
        let frame = frame::read(&mut &ours).unwrap().unwrap();
        let batch: Batch = serde_json::from_slice(&frame.header).unwrap();
        assert_eq!(batch.signals.len(), 3);
    }
}
