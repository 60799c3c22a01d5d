//! The process of one role: its control socket, its state, and its restarts. Never reads messages
//! between roles, and never waits for a role.

use anyhow::{Context as _, Result};
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_process::control::{self, Order, Report};
use cofferdam_process::spawn::{self, StandardError};
use cofferdam_process::tether::{Parcel, Tether};
use serde::Serialize;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// The first pause before a restart; doubled at each further end in a row.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A role that ran this long resets the pause.
const SETTLED: Duration = Duration::from_secs(60);

/// The name of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// The recorder: store and ledger.
    Recorder,
    /// The viewer: reads the infrastructure.
    Viewer,
    /// Faces agents.
    Gateway,
    /// A runner: one for each seat.
    Runner(u8),
    /// The next runner of a seat: started while another one has a job, and without a socket to the
    /// recorder until that one leaves.
    Next(u8),
    /// The reaper: removes expired objects; only with a cluster.
    Reaper,
    /// The courier: reaches issuers of access tokens and receivers of notifications; only if one is
    /// configured.
    Courier,
    /// The link: connects the one role of this home to those on other hosts.
    Link,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recorder => f.write_str("recorder"),
            Self::Viewer => f.write_str("viewer"),
            Self::Gateway => f.write_str("gateway"),
            Self::Runner(seat) => write!(f, "runner {seat}"),
            Self::Next(seat) => write!(f, "next runner {seat}"),
            Self::Reaper => f.write_str("reaper"),
            Self::Courier => f.write_str("courier"),
            Self::Link => f.write_str("link"),
        }
    }
}

impl Name {
    /// The role that the other end of a link knows; `None` for the link itself.
    pub fn role(self) -> Option<LinkRole> {
        match self {
            Self::Recorder => Some(LinkRole::Recorder),
            Self::Viewer => Some(LinkRole::Viewer),
            Self::Gateway => Some(LinkRole::Gateway),
            Self::Runner(_) | Self::Next(_) => Some(LinkRole::Runner),
            Self::Reaper => Some(LinkRole::Reaper),
            Self::Courier => Some(LinkRole::Courier),
            Self::Link => None,
        }
    }

    /// Returns whether this is a runner, with a seat or not.
    pub fn is_runner(self) -> bool {
        matches!(self, Self::Runner(_) | Self::Next(_))
    }
}

/// The state of the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Started, and not ready yet.
    Starting,
    /// A recorder that waits until it is the sequencer. It takes no socket.
    StandsBy,
    /// Ready, and serving.
    Ready,
    /// A runner that only cleans up: another can take its seat.
    Leaving,
}

/// An event of a role.
#[derive(Debug)]
pub enum Event {
    /// The role sent this report, with a descriptor if it gives a guest back.
    Reported(Report, Option<OwnedFd>),
    /// The process ended, with its status if known. All of its reports came before.
    Ended(Option<ExitStatus>),
}

/// An event with the number of its process.
pub type RoleEvent = (u64, Event);

/// A running role. Dropping it ends the role.
#[derive(Debug)]
pub struct RoleProcess {
    /// The number of the process among all that this supervisor started.
    pub serial: u64,
    /// The process id.
    pub pid: u32,
    /// The time of its start.
    pub begun: Instant,
    /// The state of the role.
    pub state: State,
    /// True if this is a runner that reported a job.
    pub has_job: bool,
    /// The error that the role reported.
    pub error: Option<String>,
    /// The reason why it was killed.
    pub killed: Option<String>,
    /// The number of unanswered heartbeat requests.
    missed: u32,
    words: UnboundedSender<Word>,
}

#[derive(Debug)]
enum Word {
    Put(Parcel),
    End,
    Kill,
}

/// Starts a role with its settings. Its reports and its end arrive as events.
///
/// # Errors
/// The program is missing or not executable, or it ended before it read its settings.
pub fn start(
    (name, serial): (Name, u64),
    program: &Path,
    arguments: &[&str],
    settings: &impl Serialize,
    events: UnboundedSender<RoleEvent>,
) -> Result<RoleProcess> {
    let (ours, theirs) = control::pair().context("cannot make a socket pair")?;
    let mut command = spawn::command(program, arguments, theirs, StandardError::Inherited);
    // The name in `ps`.
    command.arg0(match name {
        // It keeps this name when it gets the seat.
        Name::Next(seat) => format!("cofferdam: {}", Name::Runner(seat)),
        name => format!("cofferdam: {name}"),
    });
    let mut command = tokio::process::Command::from(command);
    let child = command.kill_on_drop(true).spawn().with_context(|| {
        format!(
            "cannot start the {name}: `{}` is missing or not executable; `cofferdam doctor` says \
             where it should be",
            program.display()
        )
    })?;
    // Closes the parent's copy of the role's socket: from now on the socket ends with the role.
    drop(command);
    ours.settings(settings)
        .with_context(|| format!("the {name} ended before it read its settings"))?;
    let tether = Tether::new(ours).context("cannot watch a control socket")?;
    let (words, heard) = mpsc::unbounded_channel();
    let pid = child.id().unwrap_or_default();
    tokio::spawn(attend(serial, child, tether, heard, events));
    Ok(RoleProcess {
        serial,
        pid,
        begun: Instant::now(),
        state: State::Starting,
        has_job: false,
        error: None,
        killed: None,
        missed: 0,
        words,
    })
}

impl RoleProcess {
    /// Queues a parcel for the role.
    pub fn put(&self, parcel: Parcel) {
        self.say(Word::Put(parcel));
    }

    /// Sends a heartbeat request. Returns the number of earlier ones without a response.
    pub fn ping(&mut self) -> u32 {
        let missed = self.missed;
        self.missed += 1;
        self.put(Parcel::Order(Order::Ping));
        missed
    }

    /// Notes a heartbeat of the role.
    pub fn lives(&mut self) {
        self.missed = 0;
    }

    /// Tells the role to end.
    pub fn end(&self) {
        self.say(Word::End);
    }

    /// Kills the role, with the reason for the log.
    pub fn kill(&mut self, why: String) {
        self.killed = Some(why);
        self.say(Word::Kill);
    }

    fn say(&self, word: Word) {
        // A role that has ended needs no message.
        let _ended = self.words.send(word);
    }
}

/// Owns the process and its socket until the process ends.
async fn attend(
    serial: u64,
    mut child: Child,
    mut tether: Tether,
    mut words: UnboundedReceiver<Word>,
    events: UnboundedSender<RoleEvent>,
) {
    let tell = |event| {
        // Without a supervisor there is no receiver.
        let _over = events.send((serial, event));
    };
    let (mut speaks, mut held) = (true, true);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            report = tether.next_report(), if speaks => match report {
                Ok(Some((report, descriptor))) => tell(Event::Reported(report, descriptor)),
                Ok(None) | Err(_) => speaks = false,
            },
            word = words.recv(), if held => match word {
                Some(Word::Put(parcel)) => tether.put(parcel),
                Some(Word::End) => tether.end(),
                Some(Word::Kill) => {
                    // A process that already ended cannot be killed.
                    let _ended = child.start_kill();
                }
                None => {
                    held = false;
                    tether.end();
                }
            },
        }
    };
    for (report, descriptor) in tether.unread_reports() {
        tell(Event::Reported(report, descriptor));
    }
    tell(Event::Ended(status.ok()));
}

/// The pause before the next start of a role.
#[derive(Debug, Default)]
pub struct Backoff {
    deaths: u32,
}

impl Backoff {
    /// Returns the pause after a role that ran for `lived`: none for a runner that finished its
    /// job.
    pub fn ended(&mut self, lived: Duration, clean: bool) -> Duration {
        if clean || lived > SETTLED {
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
