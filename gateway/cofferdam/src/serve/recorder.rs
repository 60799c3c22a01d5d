//! The role `recorder`: connects the recorder to the sockets of other roles and of operators. Reads
//! its key and confines itself first. Never has a port for agents, Wasm or infrastructure.

use super::notice::Notices;
use super::role_start;
use anyhow::{Context as _, Result, anyhow};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::operator_recorder::Disk;
use cofferdam_core::protocol::role_settings::{DatabaseSettings, RecorderSettings};
use cofferdam_process::confine::{self, Calls, Confined, Files, NewSockets};
use cofferdam_process::control::{Given, Handed, Report, lost};
use cofferdam_process::rooted_fs::room;
use cofferdam_process::{rpc, secret};
use cofferdam_recorder::{Database, Recorder, RunnerSeat, TrustNow};
use cofferdam_telemetry::Role;
use cofferdam_telemetry::bootstrap::PendingSink;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// The threads that handle requests, beside those of SQLite. With a second one, requests and answers
/// go from thread to thread, which costs more than the work on them.
const WORKERS: usize = 1;

/// The most operator commands at once: people and their scripts.
const OPERATORS: usize = 32;

/// The limit of file descriptors: 656 links at most, the store, tiles, and operators.
const DESCRIPTORS: u64 = 2_048;

/// The most unfinished jobs in the report of a stop: more than the runners, and still a readable
/// line.
const LEFT: usize = 32;

/// The files that the lookup of a server's name reads.
const NAMES: [&str; 4] = ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf"];

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
    database: Option<Database>,
}

/// Prepares with one thread: reads the keys, binds the operators' socket, then confines the
/// process.
fn prepare(settings: RecorderSettings) -> Result<(Prepared, Confined)> {
    confine::descriptors(DESCRIPTORS)?;
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
    let database = settings.database.clone().map(database).transpose()?;
    let server = settings.database.as_ref();
    let by_name = server.is_some_and(|server| server.host.parse::<IpAddr>().is_err());
    let names = NAMES.iter().map(Path::new).filter(|path| by_name && path.exists());
    let read: Vec<&Path> = [trust, &settings.copies].into_iter().chain(names).collect();
    let port: Vec<u16> = server.iter().map(|server| server.port).collect();
    let confined = confine::files(Files {
        read: &read,
        write: &[&settings.store, &settings.ledger, folder],
        connect: &port,
        ..Files::default()
    })?;
    if server.is_some() && !confine::knows_ports() {
        tracing::warn!(
            what = "TCP ports",
            "this kernel does not confine TCP ports: a recorder that is taken over could connect \
             to any; Linux 6.7 or newer does"
        );
    }
    confine::new_sockets(match (server, by_name) {
        (None, _) => NewSockets::None,
        (Some(_), false) => NewSockets::Tcp,
        (Some(_), true) => NewSockets::Internet,
    })?;
    confine::calls(Calls::Recorder(server.is_some()))?;
    Ok((Prepared { settings, key, operators, database }, confined))
}

/// Reads the password and the authorities of the database.
pub fn database(settings: DatabaseSettings) -> Result<Database> {
    let password = match &settings.password_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the password in `{}`", path.display()))?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        None => None,
    };
    let ca = match &settings.ca_file {
        Some(path) => Some(std::fs::read(path).with_context(|| {
            format!("cannot read the authorities of the database in `{}`", path.display())
        })?),
        None => None,
    };
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let holder = format!("{} process {}", machine.trim(), std::process::id());
    Ok(Database { settings, password, ca, holder })
}

async fn serve(
    prepared: Prepared,
    ready: role_start::Ready,
    mut handed: mpsc::Receiver<Handed>,
) -> Result<()> {
    let Prepared { settings, key, operators, database } = prepared;
    let has_database = database.is_some();
    let (store, trust_file) = (settings.store.clone(), settings.trust_file.clone());
    let (control, asked, waits) = (ready.control(), ready.control(), ready.control());
    let opening = Recorder::open(cofferdam_recorder::RecorderContext {
        store: settings.store.clone(),
        database,
        stands_by: Arc::new(move || {
            // Without a supervisor this role ends.
            let _gone = waits.report(&Report::StandsBy);
        }),
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
        // A recorder that takes over knows nothing of the runners of the one before.
        keeps_leases: settings.keeps_leases || settings.links || has_database,
        max_queued: settings.max_queued,
        budgets: settings.budgets,
        retention: settings.retention,
        receivers: settings.receivers,
        oidc_roles: settings.oidc_roles,
    });
    // A standby ends with its supervisor, however long it waits.
    let recorder = tokio::select! {
        opened = opening => opened?,
        () = supervisor_gone(&mut handed), if has_database => return Ok(()),
    };
    let answering = tokio::spawn(operate(recorder.clone(), UnixListener::from_std(operators)?));
    let mut voice = PendingSink::new(ready.say()?);
    let notices = Notices::default();
    let (breaks, mut broken) = mpsc::channel(1);
    let mut connections = JoinSet::new();
    let mut ended = Ok(());
    loop {
        let next = tokio::select! {
            handed = handed.recv() => handed,
            why = recorder.over() => return Err(anyhow!("{why}")),
            // This task has a sender, so the channel stays open.
            Some(why) = broken.recv() => {
                ended = Err(anyhow!("{why}"));
                None
            }
        };
        while connections.try_join_next().is_some() {}
        let Some(handed) = next else { break };
        match handed {
            Handed::Socket(given) if given.name == "telemetry" => voice.take(given.into_stream()),
            Handed::Socket(given) => {
                let recorder = (recorder.clone(), settings.links);
                connections.spawn(connect(recorder, given, breaks.clone()));
            }
            Handed::Lost(name) if settings.links => {
                tracing::error!(name, error = %lost(&name), "a link is lost; its peer makes it again");
            }
            Handed::Lost(name) => return Err(lost(&name).into()),
            Handed::NoGuest
            | Handed::Load(_)
            | Handed::Use(_)
            | Handed::Forget(_)
            | Handed::Link(_) => {}
            Handed::Drain => recorder.drain(),
            Handed::Told(told) => {
                notices.store(&told);
                recorder.know(notices.now());
            }
        }
    }
    answering.abort();
    // A request without an answer is sent again, to the next recorder, which answers what is
    // recorded. An error would end it.
    recorder.hand_over();
    connections.shutdown().await;
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
    ended
}

/// Waits for the end of the supervisor. What it sends before this role is ready has no meaning.
async fn supervisor_gone(handed: &mut mpsc::Receiver<Handed>) {
    while handed.recv().await.is_some() {}
}

/// Serves one socket; its name decides the permitted requests. If the socket breaks, this role ends,
/// and the supervisor connects it again. `links`: the other side may be on another host, and a broken
/// socket is closed alone.
async fn connect((recorder, links): (Recorder, bool), given: Given, breaks: mpsc::Sender<String>) {
    let name = given.name.clone();
    let stream = given.into_stream();
    let seat = recorder.role(&name);
    let ended = match name.as_str() {
        "gateway" => {
            let seat = if links { recorder.linked_gateway() } else { recorder.gateway() };
            let asked = seat.clone();
            let ended = rpc::serve(stream, move |ask| {
                let seat = asked.clone();
                async move { seat.propose(ask).await }
            })
            .await;
            seat.left().await;
            ended
        }
        "runner" => {
            let seat = if links { recorder.linked_runner() } else { recorder.runner() };
            let chair: Arc<RunnerSeat> = Arc::new(seat);
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
        // The courier talks to servers outside, and a link comes from another host: neither must be
        // able to end the ledger's only writer. The peer makes its link again.
        if links || name == "courier" {
            tracing::error!(role = name, %error, "the socket to the {name} is broken; closed");
            return;
        }
        let _ending = breaks.send(format!("the socket to the {name} is broken: {error}")).await;
    }
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
