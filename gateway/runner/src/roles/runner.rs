//! The role `runner`: claims one job, carries it out, ends.

use super::lent_guests::{self, Answers};
use super::{confine, folder, made_again, trust};
use crate::infrastructure::{Acted, Backend, is_about_fences};
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::artefact::ArtefactKey;
use cofferdam_core::model::claim_token::ClaimToken;
use cofferdam_core::model::escape;
use cofferdam_core::protocol::role_settings::{IN_USE, RunnerSettings};
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed};
use cofferdam_process::confine::{Calls, Confined, Files};
use cofferdam_process::control::{Given, Handed, Inherited, LOADED_GUEST, NEW_GUEST, Report, lost};
use cofferdam_process::rpc;
use cofferdam_process::secret;
use cofferdam_process::spawn;
use cofferdam_runner::admit::{Components, moved};
use cofferdam_runner::guest_process::{Guests, Program};
use cofferdam_runner::job::Runner;
use cofferdam_runner::lease::ClaimedBy;
use cofferdam_runner::trust_file::TrustFile;
use cofferdam_telemetry::bootstrap::{self, PendingSink};
use cofferdam_telemetry::{Intake, Role};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Folders of the dynamic loader and the libraries of a guest process. Absent ones are left out.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// The time that an idle runner waits, when it drains, for the recorder to say that no job waits.
/// The recorder has the request already, and answers at once.
const LAST_CLAIM: Duration = Duration::from_secs(2);

type Recorder = rpc::Client<Claim, Claimed>;

/// A runner that has read what it needs and confined itself.
pub struct Actor {
    settings: RunnerSettings,
    trust_file: TrustFile,
    key: ArtefactKey,
    infrastructure: Acted,
    confined: Confined,
    intake: Intake,
}

/// Reads what it needs, then gives up everything else.
pub fn prepare(settings: RunnerSettings) -> Result<Actor> {
    let (_, intake) = bootstrap::start(Role::Runner, &settings.voice)?;
    let trust_file = trust(&settings.trust_file, "runner", &settings.environment)?;
    let key =
        secret::read(&settings.artefact_key).context("cannot use the key of compiled artefacts")?;
    for folder in [&settings.runs, &settings.artefacts] {
        made_again(folder)?;
    }
    let mut write = vec![settings.runs.clone(), settings.artefacts.clone()];
    let mut read = vec![
        folder(&settings.trust_file)?.to_owned(),
        settings.tools.clone(),
        settings.executors.clone(),
        folder(&settings.policy_module)?.to_owned(),
        folder(&settings.policy_data)?.to_owned(),
        // Another load is another folder.
        settings.copies.clone(),
    ];
    // An installation that never accepted a command has no folder for them.
    if settings.commands.is_dir() {
        read.push(settings.commands.clone());
    }
    let (infrastructure, paths) = Acted::open(&settings)?;
    read.extend(paths.read);
    write.extend(paths.write);
    // The standard library gives `/dev/null` to a process without input.
    write.push(PathBuf::from("/dev/null"));
    let mut execute = vec![settings.guest.as_path()];
    execute.extend(LIBRARIES.iter().map(Path::new).filter(|path| path.exists()));
    let (read, write) = (borrowed(&read), borrowed(&write));
    let server = infrastructure.server();
    let files = Files { read: &read, write: &write, execute: &execute, connect: &[] };
    let confined = confine(files, server, Calls::Runner(server.is_some()))?;
    let key = ArtefactKey::new(key);
    Ok(Actor { settings, trust_file, key, infrastructure, confined, intake })
}

fn borrowed(paths: &[PathBuf]) -> Vec<&Path> {
    paths.iter().map(PathBuf::as_path).collect()
}

impl Actor {
    /// Claims one job and sees it through; ends early, without one, when the supervisor closes the
    /// control socket.
    pub async fn act(self, inherited: Arc<Inherited>) -> Result<ExitCode> {
        let Self { settings, trust_file, key, infrastructure, confined, intake } = self;
        let link = settings.copies.join(IN_USE);
        let files = (settings, trust_file);
        let backend = match infrastructure.connect(&files.0).await {
            Ok(backend) => backend,
            Err(error) => {
                let why = escape::chain(error.as_ref());
                if is_about_fences(&error) {
                    inherited.report(&Report::Unfenced(why.clone()))?;
                }
                inherited.report(&Report::Failed(why))?;
                return Ok(ExitCode::FAILURE);
            }
        };
        let checked = matches!(backend, Backend::Kubernetes(_, true));
        inherited.report(&Report::Ready { confined, checked })?;
        let voice = PendingSink::new(intake);
        match backend {
            Backend::Directory(directory) => {
                let (runner, guests) = runner(files, key, directory, &inherited);
                work(runner, link, guests, inherited, voice).await
            }
            Backend::Kubernetes(kubernetes, _) => {
                let (runner, guests) = runner(files, key, kubernetes, &inherited);
                work(runner, link, guests, inherited, voice).await
            }
        }
    }
}

/// Claims one job and sees it through. Ends early, without a job, when the supervisor closes the
/// control socket.
async fn work<B: cofferdam_backend::Backend>(
    mut runner: Runner<Recorder, Program, B>,
    link: PathBuf,
    guests: Answers,
    inherited: Arc<Inherited>,
    voice: PendingSink,
) -> Result<ExitCode> {
    let (told, stop) = watch::channel(Stop::NotYet);
    let flush = voice.flush();
    let recorder = Arc::clone(&runner.recorder);
    tokio::spawn(listen(Arc::clone(&inherited).handed(), recorder, guests, voice, told));
    let draining = stop.clone();
    let leased = tokio::select! {
        leased = runner.claim(|| *draining.borrow() != Stop::NotYet) => leased?,
        () = enough(stop) => None,
        // A busy runner goes on with the next socket.
        why = runner.recorder.broken() => bail!("the socket to the recorder is broken: {why}"),
    };
    // A busy runner finishes its job.
    if let Some(leased) = leased {
        // Without a supervisor no other runner waits for this place.
        let _gone = inherited.report(&Report::Busy);
        // One job uses one load from its beginning to its end: the link is resolved once. Copies
        // without a link stay the same.
        if let Ok(load) = std::fs::canonicalize(&link) {
            runner.components = runner.components.moved(&link, &load);
            runner.trust_file = TrustFile::new(moved(runner.trust_file.path(), &link, &load));
        }
        runner.see_through(leased).await?;
        flush.wait().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// The supervisor's message to an idle runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    NotYet,
    /// Take a job that waits already, or end.
    Drain,
    /// End: the supervisor closed the control socket.
    Now,
}

/// Takes what the supervisor hands over.
async fn listen(
    mut handed: mpsc::Receiver<Handed>,
    recorder: Arc<Recorder>,
    guests: Answers,
    mut voice: PendingSink,
    told: watch::Sender<Stop>,
) {
    while let Some(handed) = handed.recv().await {
        let given: Given = match handed {
            Handed::Socket(given) => given,
            Handed::Drain => {
                told.send_replace(Stop::Drain);
                continue;
            }
            Handed::Lost(name) => {
                // An idle runner ends, and the next one gets its sockets.
                tracing::error!(name, error = %lost(&name), "a socket did not arrive");
                break;
            }
            Handed::Told(_)
            | Handed::Load(_)
            | Handed::Use(_)
            | Handed::Forget(_)
            | Handed::Link(_) => continue,
            Handed::NoGuest => {
                let _ending = guests.send(None);
                continue;
            }
        };
        // After a restart of the recorder, a job in progress goes on over the new socket: its lease
        // is taken over first.
        match given.name.as_str() {
            "recorder" => {
                if let Err(error) = recorder.connect(given.into_stream()) {
                    tracing::warn!(
                        peer = "recorder",
                        error = %error,
                        "the recorder's socket cannot be used"
                    );
                }
            }
            "telemetry" => voice.take(given.into_stream()),
            LOADED_GUEST | NEW_GUEST => {
                let _ending = guests.send(Some(lent_guests::lent(given)));
            }
            _ => {}
        }
    }
    told.send_replace(Stop::Now);
}

/// Waits until an idle runner need not wait for a job any more.
async fn enough(mut stop: watch::Receiver<Stop>) {
    // Without a sender the supervisor has ended.
    drop(stop.wait_for(|stop| *stop != Stop::NotYet).await);
    drop(tokio::time::timeout(LAST_CLAIM, stop.wait_for(|stop| *stop == Stop::Now)).await);
}

fn runner<B>(
    (settings, trust_file): (RunnerSettings, TrustFile),
    key: ArtefactKey,
    backend: B,
    inherited: &Arc<Inherited>,
) -> (Runner<Recorder, Program, B>, Answers) {
    let (lender, answers) = lent_guests::Supervisor::new(Arc::clone(inherited));
    let inherited = Arc::clone(inherited);
    let runner = Runner {
        recorder: Arc::new(Recorder::new()),
        guests: Guests::new(Program(settings.guest), settings.artefacts, key)
            .with_lender(Box::new(lender)),
        components: Components {
            tools: settings.tools,
            executors: settings.executors,
            commands: settings.commands,
            policy_module: settings.policy_module,
            policy_data: settings.policy_data,
        },
        trust_file,
        backend,
        marks: settings.runs,
        now: Timestamp::now,
        claim: Mutex::new(ClaimedBy {
            // Without randomness there is no token, and a lost connection ends the lease.
            token: Some(bootstrap::random()).filter(|bits| *bits > 0).map(ClaimToken::from_random),
            connection: None,
        }),
        random: bootstrap::random,
        drill: settings.drill,
        end: spawn::kill_self,
        leaving: Box::new(move || {
            // Without a supervisor no other runner waits for this place.
            let _gone = inherited.report(&Report::Leaving);
        }),
    };
    (runner, answers)
}
