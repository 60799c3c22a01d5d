//! `cofferdam-runner`: looks (role `viewer`) or acts (role `runner`), as its settings say. Started by `cofferdam serve` with one socket on standard
//! input; reads what it needs, confines itself, and talks to nobody but over the sockets it is handed.

use anyhow::{Context as _, Result, bail};
use cofferdam_core::artefact::ArtefactKey;
use cofferdam_core::exchange::Fault;
use cofferdam_core::exchange::claim::{Claim, Claimed};
use cofferdam_core::exchange::look::{Look, Looked};
use cofferdam_core::id::unhex;
use cofferdam_core::settings::{ActorSettings, RunnerSettings, ViewerSettings};
use cofferdam_core::trust::Trust;
use cofferdam_process::beneath::Root;
use cofferdam_process::confine::{self, Confined, Files, NewSockets};
use cofferdam_process::control::{Inherited, Report};
use cofferdam_process::peer;
use cofferdam_process::spawn;
use cofferdam_runner::act::Runner;
use cofferdam_runner::admit::Components;
use cofferdam_runner::directory::journal::Journal;
use cofferdam_runner::directory::look::Looker;
use cofferdam_runner::guest::{Guests, Program};
use cofferdam_runner::voice::{self, Voicing};
use cofferdam_telemetry::{Intake, Role};
use jiff::Timestamp;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Where the dynamic loader and the libraries lie that a guest process is linked with; what is not there is left out.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("cofferdam-runner: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let inherited = Arc::new(Inherited::from_stdin()?);
    let settings: ActorSettings = inherited.settings()?;
    confine::baseline()?;
    let role = match settings {
        ActorSettings::Viewer(settings) => viewer(settings).map(Ready::Viewer),
        ActorSettings::Runner(settings) => runner(settings).map(|actor| Ready::Runner(Box::new(actor))),
    };
    let role = match role {
        Ok(role) => role,
        Err(fault) => {
            inherited.report(&Report::Failed(format!("{fault:#}")))?;
            return Err(fault);
        }
    };
    // Threads inherit the confinement only when it came before them.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async move {
        match role {
            Ready::Viewer(viewer) => serve(viewer, inherited).await,
            Ready::Runner(actor) => act(*actor, inherited).await,
        }
    })
}

type Recorder = peer::Client<Claim, Claimed>;

/// A role that has read what it needs and confined itself.
enum Ready {
    Viewer(Viewer),
    Runner(Box<Actor>),
}

struct Viewer {
    looker: Looker,
    settings: ViewerSettings,
    confined: Confined,
    intake: Intake,
}

struct Actor {
    runner: Runner<Recorder, Program>,
    confined: Confined,
    intake: Intake,
}

fn trust(path: &Path) -> Result<Trust> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read the trust file `{}`", path.display()))?;
    Ok(Trust::parse(&text)?)
}

fn folder(path: &Path) -> Result<&Path> {
    path.parent().with_context(|| format!("`{}` lies in no folder", path.display()))
}

fn viewer(settings: ViewerSettings) -> Result<Viewer> {
    let intake = voice::start(Role::Viewer, &settings.voice)?;
    let accepted = trust(&settings.trust_file)?;
    if accepted.environment != settings.environment {
        bail!("the viewer's trust file is for another environment than the one that is served");
    }
    let looker = Looker::new(open(&settings.tree)?);
    let read = [settings.tree.as_path(), folder(&settings.trust_file)?];
    let confined = confine::files(Files { read: &read, ..Files::default() })?;
    confine::new_sockets(NewSockets::None)?;
    Ok(Viewer { looker, settings, confined, intake })
}

fn open(tree: &Path) -> Result<Root> {
    Root::open(tree).with_context(|| format!("cannot open the tree `{}`", tree.display()))
}

async fn serve(viewer: Viewer, inherited: Arc<Inherited>) -> Result<()> {
    let Viewer { looker, settings, confined, intake } = viewer;
    let looker = Arc::new(looker);
    let trust_file = Arc::new(settings.trust_file);
    inherited.report(&Report::Ready { confined })?;
    let mut sockets = inherited.sockets();
    let mut voice = Voicing::new(intake);
    while let Some(given) = sockets.recv().await {
        if given.name != "gateway" {
            voice.take(given);
            continue;
        }
        let (looker, trust_file) = (Arc::clone(&looker), Arc::clone(&trust_file));
        tokio::spawn(async move {
            let ended = peer::serve(given.into_stream(), move |look: Look| {
                let (looker, trust_file) = (Arc::clone(&looker), Arc::clone(&trust_file));
                async move {
                    // A look reads files and parses them; one that panics is an answer, not a lost request.
                    let looked = tokio::task::spawn_blocking(move || one_look(&looker, &trust_file, &look)).await;
                    looked.unwrap_or_else(|_| Err(Fault::Unavailable("the look failed".to_owned())))
                }
            });
            if let Err(fault) = ended.await {
                tracing::warn!(error = %fault, "a peer does not speak the protocol");
            }
        });
    }
    Ok(())
}

fn one_look(looker: &Looker, trust_file: &Path, look: &Look) -> Result<Looked, Fault> {
    let accepted = trust(trust_file).map_err(|fault| Fault::Unavailable(format!("{fault:#}")))?;
    looker.look(look, &accepted).map_err(|fault| Fault::Unavailable(fault.to_string()))
}

fn runner(settings: RunnerSettings) -> Result<Actor> {
    let intake = voice::start(Role::Runner, &settings.voice)?;
    let accepted = trust(&settings.trust_file)?;
    if accepted.environment != settings.environment {
        bail!("the runner's trust file is for another environment than the one that is served");
    }
    let key = fs::read_to_string(&settings.artefact_key).context("cannot read the key of compiled artefacts")?;
    let key =
        unhex(key.trim()).and_then(|bytes| bytes.try_into().ok()).context("the key of compiled artefacts is not 64 hexadecimal digits")?;
    let runner = Runner {
        recorder: Arc::new(Recorder::new()),
        guests: Guests::new(Program(settings.guest.clone()), settings.artefacts.clone(), ArtefactKey::new(key)),
        components: Components {
            tools: settings.tools.clone(),
            executors: settings.executors.clone(),
            policy_module: settings.policy_module.clone(),
            policy_data: settings.policy_data.clone(),
        },
        trust_file: settings.trust_file.clone(),
        root: open(&settings.tree)?,
        journal: Journal::new(settings.journal.clone(), open(&settings.tree)?),
        runs: settings.runs.clone(),
        now: Timestamp::now,
        random: voice::random,
        drill: settings.drill,
        end: spawn::kill_self,
    };
    let read = [
        folder(&settings.trust_file)?,
        &settings.tools,
        &settings.executors,
        folder(&settings.policy_module)?,
        folder(&settings.policy_data)?,
    ];
    let write = [settings.tree.as_path(), &settings.runs, &settings.journal, &settings.artefacts];
    let mut execute = vec![settings.guest.as_path()];
    execute.extend(LIBRARIES.iter().map(Path::new).filter(|path| path.exists()));
    // The standard library gives a process that hears nothing `/dev/null`.
    let write = [write.as_slice(), &[Path::new("/dev/null")]].concat();
    let confined = confine::files(Files { read: &read, write: &write, execute: &execute, network: false })?;
    confine::new_sockets(NewSockets::None)?;
    Ok(Actor { runner, confined, intake })
}

async fn act(actor: Actor, inherited: Arc<Inherited>) -> Result<()> {
    let Actor { runner, confined, intake } = actor;
    inherited.report(&Report::Ready { confined })?;
    let recorder = Arc::clone(&runner.recorder);
    let (told, mut stop) = tokio::sync::watch::channel(false);
    let mut sockets = inherited.sockets();
    let mut voice = Voicing::new(intake);
    tokio::spawn(async move {
        while let Some(given) = sockets.recv().await {
            // After the recorder was restarted a fresh socket is another seat: a job under way is another's then, and the next word says so.
            if given.name != "recorder" {
                voice.take(given);
            } else if let Err(fault) = recorder.connect(given.into_stream()) {
                tracing::warn!(error = %fault, "the recorder's socket cannot be used");
            }
        }
        // The supervisor closed the control socket: an idle runner ends, a busy one finishes its job.
        let _nobody_waits = told.send(true);
    });
    let leased = tokio::select! {
        leased = runner.claim() => leased?,
        _ = stop.wait_for(|told| *told) => return Ok(()),
    };
    runner.see_through(leased).await?;
    tokio::time::sleep(voice::LINGER).await;
    Ok(())
}
