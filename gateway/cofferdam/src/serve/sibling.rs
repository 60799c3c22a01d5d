//! One role as the supervisor sees it: a process, its control socket, and how it is started again. Never reads what the role says to others.

use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_process::control::{self, Control, Report};
use cofferdam_process::spawn::{self, Words};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Child;

/// How long a role may take until it is ready: a gateway compiles every tool at its first start.
const READY: Duration = Duration::from_secs(300);

/// The first pause before a role that died is started again; doubled at each death in a row.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A role that lived this long had a good start: the next pause is the first again.
const SETTLED: Duration = Duration::from_secs(60);

/// Which role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// Remembers.
    Recorder,
    /// Looks.
    Viewer,
    /// Faces agents.
    Gateway,
    /// Acts; one per seat.
    Runner(u8),
    /// Removes what expired; of a cluster alone.
    Reaper,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recorder => f.write_str("recorder"),
            Self::Viewer => f.write_str("viewer"),
            Self::Gateway => f.write_str("gateway"),
            Self::Runner(seat) => write!(f, "runner {seat}"),
            Self::Reaper => f.write_str("reaper"),
        }
    }
}

/// A running role.
#[derive(Debug)]
pub struct Sibling {
    pub(super) child: Child,
    pub(super) control: Arc<Control>,
    /// Whether it held its credential against the cluster's fences itself, and they stood.
    pub(super) checked: bool,
    born: Instant,
}

/// Starts a role with its settings and waits until it is ready. Its own word on why it cannot start is the error.
pub async fn start(name: Name, program: &Path, arguments: &[&str], settings: &impl Serialize) -> Result<Sibling> {
    let (ours, theirs) = control::pair().context("cannot make a socket pair")?;
    let mut command = tokio::process::Command::from(spawn::command(program, arguments, theirs, Words::Heard));
    let child = command.kill_on_drop(true).spawn().with_context(|| {
        format!("cannot start the {name}: `{}` is missing or not executable; `cofferdam doctor` says where it should be", program.display())
    })?;
    // The parent's copy of the role's end closes here: from now on the role's death is the socket's end.
    drop(command);
    ours.settings(settings).with_context(|| format!("the {name} ended before it read its settings"))?;
    let control = Arc::new(ours);
    let waiting = Arc::clone(&control);
    let report = tokio::time::timeout(READY, tokio::task::spawn_blocking(move || waiting.report()))
        .await
        .map_err(|_| anyhow!("the {name} was not ready within {} s", READY.as_secs()))???;
    match report {
        Some(Report::Ready { checked, .. }) => Ok(Sibling { child, control, checked, born: Instant::now() }),
        Some(Report::Failed(why)) => bail!("the {name} cannot start: {why}"),
        Some(Report::Leaving) => bail!("the {name} says that it leaves before it was ready"),
        None => bail!("the {name} ended before it was ready; its last log line says why"),
    }
}

/// How long to wait before the next start.
#[derive(Debug, Default)]
pub struct Backoff {
    deaths: u32,
}

impl Backoff {
    /// A role ended. None when it may start again at once: a runner that finished its job.
    pub fn ended(&mut self, sibling: Option<&Sibling>, clean: bool) -> Duration {
        let settled = sibling.is_some_and(|sibling| sibling.born.elapsed() > SETTLED);
        if clean || settled {
            self.deaths = 0;
        }
        if clean {
            return Duration::ZERO;
        }
        let pause = PAUSE.saturating_mul(1 << self.deaths.min(10)).min(LONGEST_PAUSE);
        self.deaths += 1;
        pause
    }
}
