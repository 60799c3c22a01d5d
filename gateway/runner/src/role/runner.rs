//! The role `runner`: claims one job, sees it through, ends.

use super::{confine, credential, folder, network, open, same, trust};
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::artefact::ArtefactKey;
use cofferdam_core::model::escape;
use cofferdam_core::protocol::role_settings::{Infrastructure, RunnerSettings};
use cofferdam_core::protocol::runner_recorder::{Claim, Claimed};
use cofferdam_process::confine::{Calls, Confined, Files};
use cofferdam_process::control::{Given, Handed, Inherited, Report};
use cofferdam_process::peer;
use cofferdam_process::secret;
use cofferdam_process::spawn;
use cofferdam_runner::act::Runner;
use cofferdam_runner::admit::Components;
use cofferdam_runner::backend::Backend;
use cofferdam_runner::directory::Directory;
use cofferdam_runner::directory::journal::Journal;
use cofferdam_runner::guest::{Guests, Program};
use cofferdam_runner::kubernetes::Kubernetes;
use cofferdam_runner::kubernetes::credential::Credential;
use cofferdam_telemetry::voice::{self, Voicing};
use cofferdam_telemetry::{Intake, Role};
use jiff::Timestamp;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Where the dynamic loader and the libraries lie that a guest process is linked with; what is not
/// there is left out.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// How long an idle runner that drains waits for the recorder to say that no job waits: it is asked
/// already, and says so at once.
const LAST_CLAIM: Duration = Duration::from_secs(2);

type Recorder = peer::Client<Claim, Claimed>;

/// A runner that has read what it needs and confined itself.
pub struct Actor {
    settings: RunnerSettings,
    key: ArtefactKey,
    ground: Ground,
    confined: Confined,
    intake: Intake,
}

/// What it will change.
enum Ground {
    Tree(Directory),
    /// And how long its API server may work on one write.
    Cluster(Box<Credential>, Duration),
}

/// Reads what it needs, then gives up everything else.
pub fn prepare(settings: RunnerSettings) -> Result<Actor> {
    let (_, intake) = voice::start(Role::Runner, &settings.voice)?;
    trust(&settings.trust_file, "runner", &settings.environment)?;
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
    ];
    // An installation that never accepted a command has no folder for them.
    if settings.commands.is_dir() {
        read.push(settings.commands.clone());
    }
    let ground = match &settings.infrastructure {
        Infrastructure::Directory { tree } => {
            made_again(&settings.journal)?;
            write.extend([tree.clone(), settings.journal.clone()]);
            let journal = Journal::new(settings.journal.clone(), open(tree)?);
            Ground::Tree(Directory { root: open(tree)?, journal, runs: settings.runs.clone() })
        }
        Infrastructure::Kubernetes { kubeconfig, write_ms } => {
            let credential = credential(kubeconfig)?;
            read.extend(network(&credential));
            Ground::Cluster(Box::new(credential), Duration::from_millis(*write_ms))
        }
    };
    // The standard library gives a process that hears nothing `/dev/null`.
    write.push(PathBuf::from("/dev/null"));
    let mut execute = vec![settings.guest.as_path()];
    execute.extend(LIBRARIES.iter().map(Path::new).filter(|path| path.exists()));
    let (read, write) = (borrowed(&read), borrowed(&write));
    let server = match &ground {
        Ground::Tree(_) => None,
        Ground::Cluster(credential, _) => Some(&**credential),
    };
    let files = Files { read: &read, write: &write, execute: &execute, connect: &[] };
    let confined = confine(files, server, Calls::Runner(server.is_some()))?;
    Ok(Actor { settings, key: ArtefactKey::new(key), ground, confined, intake })
}

/// A removed folder of the runner's own is made again: what was in it is lost either way, and
/// without it no job runs.
fn made_again(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the missing folder `{}` again", folder.display()))?;
    tracing::warn!(path = %folder.display(), "a folder of this installation was missing and was made again, empty");
    Ok(())
}

fn borrowed(paths: &[PathBuf]) -> Vec<&Path> {
    paths.iter().map(PathBuf::as_path).collect()
}

impl Actor {
    /// Claims one job and sees it through; ends early, without one, when the supervisor closes the
    /// control socket.
    pub async fn act(self, inherited: Arc<Inherited>) -> Result<ExitCode> {
        let Self { settings, key, ground, confined, intake } = self;
        let (runner, checked) = match runner(settings, key, ground, Arc::clone(&inherited)).await {
            Ok(ready) => ready,
            Err(fault) => {
                inherited.report(&Report::Failed(escape::chain(fault.as_ref())))?;
                return Ok(ExitCode::FAILURE);
            }
        };
        inherited.report(&Report::Ready { confined, checked })?;
        let (told, stop) = watch::channel(Stop::NotYet);
        tokio::spawn(listen(
            inherited.handed(),
            Arc::clone(&runner.recorder),
            Voicing::new(intake),
            told,
        ));
        let draining = stop.clone();
        let leased = tokio::select! {
            leased = runner.claim(|| *draining.borrow() != Stop::NotYet) => leased?,
            () = enough(stop) => None,
            // A busy runner has lost its lease with the socket, and ends by itself.
            why = runner.recorder.broken() => bail!("the socket to the recorder is broken: {why}"),
        };
        // A busy runner finishes its job.
        if let Some(leased) = leased {
            runner.see_through(leased).await?;
            tokio::time::sleep(voice::LINGER).await;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What an idle runner was told.
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
    mut voice: Voicing,
    told: watch::Sender<Stop>,
) {
    while let Some(handed) = handed.recv().await {
        let given: Given = match handed {
            Handed::Socket(given) => given,
            Handed::Drain => {
                told.send_replace(Stop::Drain);
                continue;
            }
            Handed::Told(_) => continue,
        };
        // After the recorder was restarted a fresh socket is another seat: a job under way is
        // another's then, and the next word says so.
        match given.name.as_str() {
            "recorder" => {
                if let Err(fault) = recorder.connect(given.into_stream()) {
                    tracing::warn!(peer = "recorder", error = %fault, "the recorder's socket cannot be used");
                }
            }
            "telemetry" => voice.take(given.into_stream()),
            _ => {}
        }
    }
    told.send_replace(Stop::Now);
}

/// Waits until an idle runner need not wait for a job any more.
async fn enough(mut stop: watch::Receiver<Stop>) {
    // Without a sender the supervisor is gone.
    drop(stop.wait_for(|stop| *stop != Stop::NotYet).await);
    drop(tokio::time::timeout(LAST_CLAIM, stop.wait_for(|stop| *stop == Stop::Now)).await);
}

/// A runner, and whether it held its credential against its fences itself.
async fn runner(
    settings: RunnerSettings,
    key: ArtefactKey,
    ground: Ground,
    inherited: Arc<Inherited>,
) -> Result<(Runner<Recorder, Program>, bool)> {
    let (backend, checked) = match ground {
        Ground::Tree(directory) => (Backend::Directory(directory), false),
        Ground::Cluster(credential, write) => {
            // Some fifty requests: another runner's look a moment ago is as good. The supervisor
            // told of it, and it also names the credential.
            let ago = settings.checked_ms.map(Duration::from_millis);
            let kubernetes =
                Kubernetes::connect(Credential::clone(&credential), write, settings.job_identity)?
                    .stood(ago);
            let checked = kubernetes.stands().await?;
            same(&credential, &settings.environment).await?;
            (Backend::Kubernetes(kubernetes), checked)
        }
    };
    let runner = Runner {
        recorder: Arc::new(Recorder::new()),
        guests: Guests::new(Program(settings.guest), settings.artefacts, key),
        components: Components {
            tools: settings.tools,
            executors: settings.executors,
            commands: settings.commands,
            policy_module: settings.policy_module,
            policy_data: settings.policy_data,
        },
        trust_file: settings.trust_file,
        backend,
        marks: settings.runs,
        now: Timestamp::now,
        random: voice::random,
        drill: settings.drill,
        end: spawn::kill_self,
        leaving: Box::new(move || {
            // Without a supervisor no other runner waits for this place.
            let _gone = inherited.report(&Report::Leaving);
        }),
    };
    Ok((runner, checked))
}
