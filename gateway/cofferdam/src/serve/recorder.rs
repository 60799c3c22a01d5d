//! The role `recorder`: connects the recorder to the sockets of other roles and of operators. Reads
//! its key and confines itself first. Never has a port for agents, Wasm or infrastructure.

use super::notice::Notices;
use super::role_start;
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::operator_recorder::Disk;
use cofferdam_core::protocol::role_settings::RecorderSettings;
use cofferdam_process::confine::{self, Calls, Confined, Files, NewSockets};
use cofferdam_process::control::{Given, Handed, Report};
use cofferdam_process::rooted_fs::room;
use cofferdam_process::{rpc, secret};
use cofferdam_recorder::{Recorder, RunnerSeat, TrustNow};
use cofferdam_telemetry::Role;
use cofferdam_telemetry::bootstrap::PendingSink;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc};

/// The threads that handle requests, beside those of SQLite. With a second one, requests and answers
/// go from thread to thread, which costs more than the work on them.
const WORKERS: usize = 1;

/// The most operator commands at once: people and their scripts.
const OPERATORS: usize = 32;

/// The most unfinished jobs in the report of a stop: more than the runners, and still a readable
/// line.
const LEFT: usize = 32;

/// The pause after a failed accept, usually because no descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Runs until the supervisor ends.
pub fn run() -> Result<bool> {
    role_start::run(
        Role::Recorder,
        WORKERS,
        |settings: &RecorderSettings| settings.voice.clone(),
        prepare,
        serve,
    )
}

struct Prepared {
    settings: RecorderSettings,
    key: SigningKey,
    operators: StdListener,
}

/// Prepares with one thread: reads the keys, binds the operators' socket, then confines the
/// process.
fn prepare(settings: RecorderSettings) -> Result<(Prepared, Confined)> {
    let key = SigningKey::from_bytes(&secret::read(&settings.checkpoint_key)?);
    let path = &settings.operator_socket;
    let folder = path.parent().context("the operator socket lies in no folder")?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace `{}`", path.display()));
        }
        _ => {}
    }
    let operators = StdListener::bind(path)
        .with_context(|| format!("cannot make the operator socket `{}`", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    operators.set_nonblocking(true)?;
    let trust = settings.trust_file.parent().context("the trust file lies in no folder")?;
    let confined = confine::files(Files {
        read: &[trust, &settings.copies],
        write: &[&settings.store, &settings.ledger, folder],
        ..Files::default()
    })?;
    confine::new_sockets(NewSockets::None)?;
    confine::calls(Calls::Recorder)?;
    Ok((Prepared { settings, key, operators }, confined))
}

async fn serve(
    prepared: Prepared,
    ready: role_start::Ready,
    mut handed: mpsc::Receiver<Handed>,
) -> Result<()> {
    let Prepared { settings, key, operators } = prepared;
    let (store, trust_file) = (settings.store.clone(), settings.trust_file.clone());
    let (control, asked) = (ready.control(), ready.control());
    let recorder = Recorder::open(cofferdam_recorder::RecorderContext {
        store: settings.store.clone(),
        ledger: settings.ledger.clone(),
        environment: settings.environment.id.clone(),
        key,
        clock: Arc::new(Timestamp::now),
        random: Arc::new(|| role_start::random().map_err(|error| error.to_string())),
        free: Arc::new(move || {
            let (free_bytes, reserve_bytes) = room(&store).map_err(|error| error.to_string())?;
            Ok(Disk { free_bytes, reserve_bytes })
        }),
        trust: Arc::new(move || {
            let text = std::fs::read_to_string(&trust_file).map_err(|error| error.to_string())?;
            let trust = Trust::parse(&text).map_err(|error| error.to_string())?;
            Ok(TrustNow { trust, digest: Trust::digest(&text) })
        }),
        reload: Arc::new(move |request| {
            // Without a supervisor no notice comes, and the operator's request ends at its limit.
            let _gone = asked.report(&Report::Reload(request));
        }),
        lease_seconds: settings.lease_seconds,
        max_queued: settings.max_queued,
        budgets: settings.budgets,
        retention: settings.retention,
        receivers: settings.receivers,
        oidc_roles: settings.oidc_roles,
    })
    .await?;
    let answering = tokio::spawn(operate(recorder.clone(), UnixListener::from_std(operators)?));
    let mut voice = PendingSink::new(ready.say()?);
    let notices = Notices::default();
    let (breaks, mut broken) = mpsc::channel(1);
    loop {
        let next = tokio::select! {
            handed = handed.recv() => handed,
            // This task has a sender, so the channel stays open.
            Some(why) = broken.recv() => {
                recorder.close().await;
                bail!("{why}");
            }
        };
        let Some(handed) = next else { break };
        match handed {
            Handed::Socket(given) if given.name == "telemetry" => voice.take(given.into_stream()),
            Handed::Socket(given) => connect(recorder.clone(), given, breaks.clone()),
            Handed::NoGuest | Handed::Load(_) | Handed::Use(_) | Handed::Forget(_) => {}
            Handed::Drain => recorder.drain(),
            Handed::Told(told) => {
                notices.store(&told);
                recorder.know(notices.now());
            }
        }
    }
    answering.abort();
    match recorder.unfinished(LEFT).await {
        Ok((calls, more)) => {
            // If the supervisor has ended, the next start finds the jobs itself.
            let _gone = control.report(&Report::Left { calls, more });
        }
        Err(error) => {
            tracing::warn!(what = "jobs that are left", %error,
            "which jobs are left cannot be read")
        }
    }
    recorder.close().await;
    Ok(())
}

/// Serves one socket in one task; its name decides the permitted requests. If the socket breaks,
/// this role ends, and the supervisor connects it again.
fn connect(recorder: Recorder, given: Given, breaks: mpsc::Sender<String>) {
    let name = given.name.clone();
    let stream = given.into_stream();
    tokio::spawn(async move {
        let seat = recorder.role(&name);
        let ended = match name.as_str() {
            "gateway" => {
                let asked = recorder.clone();
                let ended = rpc::serve(stream, move |ask| {
                    let recorder = asked.clone();
                    async move { recorder.propose(ask).await }
                })
                .await;
                recorder.gateway_gone();
                ended
            }
            "runner" => {
                let chair: Arc<RunnerSeat> = Arc::new(recorder.runner());
                rpc::serve(stream, move |ask| {
                    let chair = Arc::clone(&chair);
                    async move { chair.claim(ask).await }
                })
                .await
            }
            "courier" => {
                let asked = recorder.clone();
                rpc::serve(stream, move |ask| {
                    let recorder = asked.clone();
                    async move { recorder.collect(ask).await }
                })
                .await
            }
            other => {
                tracing::warn!(name = other, "an unknown socket is closed");
                Ok(())
            }
        };
        drop(seat);
        if let Err(error) = ended {
            // It talks to servers outside: it must not be able to end the ledger's only writer.
            if name == "courier" {
                tracing::error!(role = name, %error, "the socket to the courier is broken; closed");
                return;
            }
            let _ending = breaks.send(format!("the socket to the {name} is broken: {error}")).await;
        }
    });
}

/// Serves operator commands, from processes of this user or of root (by the kernel's peer
/// credentials).
async fn operate(recorder: Recorder, listener: UnixListener) {
    let own = role_start::user();
    let places = Arc::new(Semaphore::new(OPERATORS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = match listener
            .accept()
            .await
            .and_then(|(stream, _)| stream.peer_cred().map(|peer| (stream, peer)))
        {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(what = "operator socket", %error,
                "an operator's command could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (recorder, uid) = (recorder.clone(), peer.uid());
        tokio::spawn(async move {
            let _place = place;
            let _broken = rpc::serve_stream(stream, move |ask| {
                let recorder = recorder.clone();
                async move {
                    if uid == own || uid == 0 {
                        recorder.operate(uid, ask).await
                    } else {
                        Err(RoleError::Refused(format!(
                            "this socket is for the user who runs the recorder; you are user {uid}"
                        )))
                    }
                }
            })
            .await;
        });
    }
}
