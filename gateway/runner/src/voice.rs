//! How the role speaks: log lines for people on standard error, spans and metrics over the write-only socket it is handed. Never waits for anybody who
//! listens.

use cofferdam_core::settings::Voice;
use cofferdam_process::control::Given;
use cofferdam_process::frame::{Frame, write_async};
use cofferdam_telemetry::{Intake, LineFormat, Outlet, Role, Setup, SetupError, Sources, install};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::UnixStream;

/// How long a role that ends waits for its last spans to be taken: a batch is sent half a second after its first span.
pub const LINGER: Duration = Duration::from_millis(600);

/// Starts lines and spans for the whole process.
pub fn start(role: Role, voice: &Voice) -> Result<Intake, SetupError> {
    let (outlet, intake) = Outlet::open();
    let format = if voice.json { LineFormat::Json } else { LineFormat::People };
    let sources = Sources { now: Arc::new(SystemTime::now), random: Arc::new(random) };
    install(Setup { role, format, filter: voice.level.clone(), sources }, outlet)?;
    Ok(intake)
}

/// 128 random bits, for names that need not be secret: without randomness they are merely not unique.
pub fn random() -> u128 {
    let mut bytes = [0; 16];
    let _zeroes = getrandom::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// Spans on their way out.
pub struct Voicing(Option<Intake>);

impl Voicing {
    /// Not connected yet.
    pub fn new(intake: Intake) -> Self {
        Self(Some(intake))
    }

    /// Takes the socket for spans; any other that this role has no use for is closed.
    pub fn take(&mut self, given: Given) {
        if given.name != "telemetry" {
            return;
        }
        let stream = given.into_stream();
        let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
        if let (Ok(mut stream), Some(mut intake)) = (stream, self.0.take()) {
            tokio::spawn(async move {
                while let Some(batch) = intake.batch().await {
                    let Ok(header) = serde_json::to_vec(&batch) else { continue };
                    if write_async(&mut stream, &Frame::of(header)).await.is_err() {
                        break;
                    }
                }
            });
        }
    }
}
