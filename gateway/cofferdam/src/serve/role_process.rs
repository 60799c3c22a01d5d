//! One role as the supervisor sees it: a process, its control socket, and how it is started again.
//! Never reads what the role says to others, and never waits for it.

use anyhow::{Context as _, Result};
use cofferdam_process::control::{self, Order, Report};
use cofferdam_process::spawn::{self, Words};
use cofferdam_process::tether::{Parcel, Tether};
use serde::Serialize;
use std::fmt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

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

impl Name {
    /// Returns whether it acts.
    pub fn is_runner(self) -> bool {
        matches!(self, Self::Runner(_))
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was started, and has not said that it is ready.
    Starting,
    /// It serves.
    Ready,
    /// A runner that only cleans up: another may take its place.
    Leaving,
}

/// What happened to a role.
#[derive(Debug)]
pub enum Event {
    /// It said this.
    Said(Report),
    /// Its process ended; how, as far as the system told. Everything it said was told before.
    Ended(Option<ExitStatus>),
}

/// An event, and the number of the process it is of.
pub type Told = (u64, Event);

/// A running role; let go of, it is told to end.
#[derive(Debug)]
pub struct RoleProcess {
    /// The process's number among all that this supervisor started.
    pub serial: u64,
    /// Its process id.
    pub pid: u32,
    /// When it was started.
    pub begun: Instant,
    /// How far it is.
    pub state: State,
    /// Its own word on why it cannot go on.
    pub error: Option<String>,
    /// Why it was killed.
    pub killed: Option<String>,
    /// Pings that it has not answered.
    missed: u32,
    words: UnboundedSender<Word>,
}

#[derive(Debug)]
enum Word {
    Put(Parcel),
    End,
    Kill,
}

/// Starts a role with its settings. What becomes of it is told as events.
///
/// # Errors
/// The program is missing or not executable, or it ended before it read its settings.
pub fn start(
    (name, serial): (Name, u64),
    program: &Path,
    arguments: &[&str],
    settings: &impl Serialize,
    events: UnboundedSender<Told>,
) -> Result<RoleProcess> {
    let (ours, theirs) = control::pair().context("cannot make a socket pair")?;
    let mut command = spawn::command(program, arguments, theirs, Words::Heard);
    // What `ps` shows.
    command.arg0(format!("cofferdam: {name}"));
    let mut command = tokio::process::Command::from(command);
    let child = command.kill_on_drop(true).spawn().with_context(|| {
        format!(
            "cannot start the {name}: `{}` is missing or not executable; `cofferdam doctor` says \
             where it should be",
            program.display()
        )
    })?;
    // The parent's copy of the role's end closes here: from now on the role's death is the socket's
    // end.
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
        error: None,
        killed: None,
        missed: 0,
        words,
    })
}

impl RoleProcess {
    /// Hands something over, as soon as the role takes it.
    pub fn put(&self, parcel: Parcel) {
        self.say(Word::Put(parcel));
    }

    /// Asks for a sign of life. Gives how many were asked for before without an answer.
    pub fn ping(&mut self) -> u32 {
        let missed = self.missed;
        self.missed += 1;
        self.put(Parcel::Order(Order::Ping));
        missed
    }

    /// It gave a sign of life.
    pub fn lives(&mut self) {
        self.missed = 0;
    }

    /// Tells it to end.
    pub fn end(&self) {
        self.say(Word::End);
    }

    /// Kills it, for a reason that is told when it has ended.
    pub fn kill(&mut self, why: String) {
        self.killed = Some(why);
        self.say(Word::Kill);
    }

    fn say(&self, word: Word) {
        // A role that has ended needs nothing.
        let _ended = self.words.send(word);
    }
}

/// Owns the process and its socket, until the process has ended.
async fn attend(
    serial: u64,
    mut child: Child,
    mut tether: Tether,
    mut words: UnboundedReceiver<Word>,
    events: UnboundedSender<Told>,
) {
    let tell = |event| {
        // Without a supervisor nothing is to be done about it.
        let _over = events.send((serial, event));
    };
    let (mut speaks, mut held) = (true, true);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            report = tether.hear(), if speaks => match report {
                Ok(Some(report)) => tell(Event::Said(report)),
                Ok(None) | Err(_) => speaks = false,
            },
            word = words.recv(), if held => match word {
                Some(Word::Put(parcel)) => tether.put(parcel),
                Some(Word::End) => tether.end(),
                Some(Word::Kill) => {
                    // One that has ended already needs no killing.
                    let _ended = child.start_kill();
                }
                None => {
                    held = false;
                    tether.end();
                }
            },
        }
    };
    for report in tether.rest() {
        tell(Event::Said(report));
    }
    tell(Event::Ended(status.ok()));
}

/// How long to wait before the next start.
#[derive(Debug, Default)]
pub struct Backoff {
    deaths: u32,
}

impl Backoff {
    /// A role ended, having lived this long. No pause for a runner that finished its job.
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
