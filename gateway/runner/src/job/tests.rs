//! Jobs from claim to closed, on real trees, with the guest's protocol spoken by a thread and a
//! recorder that keeps the phase table.

use super::*;
use cofferdam_backend_directory::Directory;
use cofferdam_backend_directory::index::Index;
use cofferdam_backend_directory::journal::Journal;
use cofferdam_backend_directory::preview::preview;
use cofferdam_core::model::artefact::ArtefactKey;
use cofferdam_core::model::ceiling::{Ceiling, Grant};
use cofferdam_core::model::claim_token::ClaimToken;
use cofferdam_core::model::id::{ComponentDigest, Fence};
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::operation::{Action, Change, Draft, Operation, Step, Target};
use cofferdam_core::model::permit::{PERMIT_SCHEMA, Permit, verifying_key_text};
use cofferdam_core::model::record::Recorded;
use cofferdam_core::model::run::{Event, JOB_STEPS};
use cofferdam_core::model::trust::{RoleKeys, TrustedExecutor, TrustedTool};
use cofferdam_core::policy::digest::policy_digest;
use cofferdam_core::protocol::role_guest::{Compute, Computed, Performed, Stop};
use cofferdam_core::stage::seal::seal;
use cofferdam_process::frame::{self, Frame};
use cofferdam_process::rooted_fs::Root;
use cofferdam_testkit::build::{environment, principal, trust};
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

const WEB: &str = "# web\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  \
                   namespace: team-a\nspec:\n  replicas: 3 # why\n---\napiVersion: v1\nkind: \
                   ConfigMap\nmetadata: {name: c, namespace: team-a}\ndata:\n  a: b\n";
const NOW: &str = "2026-11-24T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// The behaviour of the scripted guest.
#[derive(Clone)]
struct Script {
    draft: Draft,
    output: String,
    /// The executor undoes what it did.
    undoes: bool,
    /// Said this often by the executor before anything else: a note, or a handle that does not
    /// exist.
    chatter: (usize, bool),
    /// Called before the first operation and after the last.
    during: Arc<dyn Fn(bool) + Send + Sync>,
    /// Called when the policy is asked.
    deciding: Arc<dyn Fn() + Send + Sync>,
}

impl Start for Script {
    fn start(&self, socket: OwnedFd) -> io::Result<Box<dyn Send>> {
        let script = self.clone();
        std::thread::spawn(move || script.serve(UnixStream::from(socket)));
        Ok(Box::new(()))
    }
}

impl Script {
    fn serve(&self, mut socket: UnixStream) -> Option<()> {
        let send = |socket: &mut UnixStream, computed: &Computed, body: Vec<u8>| {
            frame::write(socket, &Frame { header: serde_json::to_vec(computed).unwrap(), body })
                .ok()
        };
        let request = frame::read(&mut socket).ok()??;
        let (computed, body) = match serde_json::from_slice(&request.header).unwrap() {
            Compute::Compile { .. } => (Computed::Artefact { engine: "test".into() }, request.body),
            Compute::Plan { .. } => (Computed::Planned { draft: self.draft.clone() }, Vec::new()),
            Compute::Decide { .. } => {
                (self.deciding)();
                (Computed::Decided { output: self.output.clone() }, Vec::new())
            }
            Compute::Execute { handles, .. } => {
                (self.during)(true);
                for _ in 0..self.chatter.0 {
                    if self.chatter.1 {
                        send(&mut socket, &Computed::Progress { note: "so".into() }, Vec::new())?;
                    } else {
                        send(
                            &mut socket,
                            &Computed::Perform { index: u32::MAX, undo: false },
                            Vec::new(),
                        )?;
                        frame::read(&mut socket).ok()??;
                    }
                }
                let mut stop = None;
                let turns = handles.iter().map(|handle| (handle.index, false));
                let back =
                    handles.iter().rev().map(|handle| (handle.index, true)).filter(|_| self.undoes);
                for (index, undo) in turns.chain(back) {
                    send(&mut socket, &Computed::Perform { index, undo }, Vec::new())?;
                    let answer = frame::read(&mut socket).ok()??;
                    if let Performed::Failed { failure } =
                        serde_json::from_slice(&answer.header).unwrap()
                    {
                        stop = Some(Stop { index, note: failure });
                        break;
                    }
                }
                (self.during)(false);
                (Computed::Finished { stop }, Vec::new())
            }
            Compute::Define
            | Compute::CompileTrial
            | Compute::Examine
            | Compute::Judge { .. }
            | Compute::Try { .. }
            | Compute::Run { .. } => return None,
        };
        send(&mut socket, &computed, body)
    }
}

/// A recorder with one job.
struct Memory(Mutex<State>);

struct State {
    job: StoredJob,
    phase: Phase,
    fence: u64,
    outcome: Option<(Outcome, String)>,
    events: Vec<String>,
    /// The number of events of each report.
    commits: Vec<usize>,
    cancelled: bool,
}

impl Memory {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, RoleError> {
        let mut state = self.0.lock().unwrap();
        let next = |state: &State, event| {
            state.phase.next(event).map_err(|illegal| RoleError::Refused(illegal.to_string()))
        };
        let recorded = Ok(Claimed::Recorded(Recorded { index: 0 }));
        match claim {
            Claim::Next { .. } => {
                state.phase = next(&state, Event::Lease)?;
                state.fence += 1;
                let outcome = state.outcome.as_ref().map(|(outcome, _)| *outcome);
                let job = state.job.clone();
                Ok(Claimed::Leased {
                    job: Some(Box::new(LeasedJob {
                        job,
                        fence: Fence(state.fence),
                        phase: state.phase,
                        outcome,
                        operations: vec![],
                        earlier: vec![],
                        given_up: None,
                        lease_seconds: 60,
                    })),
                })
            }
            Claim::Heartbeat { fence, .. }
            | Claim::Resume { fence, .. }
            | Claim::Progress { fence, .. }
            | Claim::Move { fence, .. }
            | Claim::LetGo { fence, .. }
                if fence.0 != state.fence =>
            {
                Err(RoleError::Fenced)
            }
            Claim::LetGo { obstacle, .. } => {
                state.events.push(format!("let go: {obstacle}"));
                state.phase = next(&state, Event::Lose)?;
                Ok(Claimed::Released)
            }
            Claim::Heartbeat { .. } | Claim::Progress { .. } | Claim::Resume { .. } => {
                Ok(Claimed::Lease { cancelled: state.cancelled })
            }
            Claim::Move { events, .. } => {
                let (mut phase, mut outcome, mut words) =
                    (state.phase, state.outcome.clone(), Vec::new());
                for event in events {
                    let (event, word) = match event {
                        RunnerEvent::Prepared { .. } => {
                            (Some(Event::Prepare), "prepared".to_owned())
                        }
                        RunnerEvent::Acting if state.cancelled => {
                            return Err(RoleError::Refused("cancelled".into()));
                        }
                        RunnerEvent::Acting => (Some(Event::Act), "acting".to_owned()),
                        RunnerEvent::Started { operation, undo, .. } => (
                            None,
                            format!("started {operation}{}", if *undo { " undo" } else { "" }),
                        ),
                        RunnerEvent::Done { operation, undo, after } => (
                            None,
                            format!(
                                "done {operation}{} {}",
                                if *undo { " undo" } else { "" },
                                serde_json::to_string(after).unwrap()
                            ),
                        ),
                        RunnerEvent::Finished { outcome: end, code, detail, meanwhile, .. } => {
                            assert!(outcome.is_none(), "an outcome is written once");
                            outcome = Some((*end, code.clone()));
                            let meanwhile = cofferdam_core::text::difference::sentence(meanwhile)
                                .map(|changed| format!("; meanwhile: {changed}"))
                                .unwrap_or_default();
                            (Some(Event::Finish), format!("{end} {code}: {detail}{meanwhile}"))
                        }
                        RunnerEvent::Gone { .. } => (Some(Event::Gone), "gone".to_owned()),
                    };
                    if let Some(event) = event {
                        phase = phase
                            .next(event)
                            .map_err(|illegal| RoleError::Refused(illegal.to_string()))?;
                    }
                    words.push(word);
                }
                (state.phase, state.outcome) = (phase, outcome);
                state.events.extend(words);
                state.commits.push(events.len());
                recorded
            }
        }
    }
}

impl Recorder for Memory {
    async fn claim_on(&self, _: u64, claim: &Claim) -> Result<Option<Claimed>, RoleError> {
        self.claim(claim).await.map(Some)
    }

    fn connection(&self) -> Option<u64> {
        Some(1)
    }

    async fn next_connection(&self) -> u64 {
        1
    }
}

/// A tree, a runner's files, and a job to scale `web` and to change a setting.
struct World {
    place: tempfile::TempDir,
    memory: Arc<Memory>,
    script: Script,
}

fn target(kind: &str, group: &str, name: &str) -> Target {
    Target {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        namespace: "team-a".into(),
        name: name.into(),
    }
}

fn draft() -> Draft {
    let patch = |target, path: &str, value| Operation::Patch {
        target,
        changes: vec![Change { path: path.into(), value: Some(value) }],
    };
    let scale = patch(target("Deployment", "apps", "web"), "spec.replicas", json!(5));
    let set = patch(target("ConfigMap", "", "c"), "data.a", json!("c"));
    Draft {
        summary: "Scale web".into(),
        executor: Some("sequential".into()),
        operations: vec![
            Step { operation: scale, after: vec![], reversible: true },
            Step { operation: set, after: vec![0], reversible: true },
        ],
    }
}

fn grant(group: &str, kind: &str, field: &str) -> Grant {
    let namespaces = vec!["team-*".to_owned()];
    Grant {
        action: Action::Patch,
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        namespaces,
        fields: vec![field.into()],
    }
}

impl World {
    fn new() -> Self {
        Self::of(WEB)
    }

    /// With this text of the manifest.
    fn of(web: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for folder in ["tree/shop", "runs", "journal", "tools", "executors", "artefacts"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("tree/shop/web.yaml"), web).unwrap();
        fs::write(at("tree/other.yaml"), "a: {{ .Values.a }}\n").unwrap();
        fs::write(at("tools/scale.wasm"), "tool").unwrap();
        fs::write(at("executors/sequential.wasm"), "executor").unwrap();
        fs::write(at("policy.wasm"), "policy").unwrap();
        fs::write(at("data.json"), "{}").unwrap();
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let public = verifying_key_text(&key.verifying_key());
        let ceiling = Ceiling {
            grants: vec![
                grant("apps", "Deployment", "spec.replicas"),
                grant("", "ConfigMap", "data.*"),
            ],
            executors: vec!["sequential".into()],
        };
        let trust = Trust {
            keys: RoleKeys { gateway: public.clone(), recorder: public },
            policy: policy_digest(b"policy", "{}").unwrap(),
            tools: vec![TrustedTool {
                name: "scale".into(),
                version: "1.0.0".into(),
                digest: ComponentDigest::of(b"tool"),
                ceiling,
            }],
            executors: vec![TrustedExecutor {
                name: "sequential".into(),
                digest: ComponentDigest::of(b"executor"),
            }],
            ..trust(environment())
        };
        fs::write(at("trust.toml"), toml::to_string(&trust).unwrap()).unwrap();
        let job = job(&trust, &Root::open(&at("tree")).unwrap(), &key);
        let output = json!({"schema": "cofferdam.decision.v1", "effect": "allow", "covers": [0, 1],
        "obligations": [], "approval": null,
            "reasons": [{"id": "ok", "message": "fine", "remedy": "", "audience": "user"}]});
        let state = State {
            job,
            phase: Phase::Queued,
            fence: 0,
            outcome: None,
            events: vec![],
            commits: vec![],
            cancelled: false,
        };
        let script = Script {
            draft: draft(),
            output: output.to_string(),
            undoes: false,
            chatter: (0, true),
            during: Arc::new(|_| {}),
            deciding: Arc::new(|| {}),
        };
        Self { place, memory: Arc::new(Memory(Mutex::new(state))), script }
    }

    fn runner(&self, drill: Option<JobStep>) -> Runner<Memory, Script, Directory> {
        let at = |name: &str| self.place.path().join(name);
        let root = || Root::open(&at("tree")).unwrap();
        Runner {
            recorder: Arc::clone(&self.memory),
            guests: Guests::new(self.script.clone(), at("artefacts"), ArtefactKey::new([1; 32])),
            components: Components {
                tools: at("tools"),
                executors: at("executors"),
                commands: at("commands"),
                policy_module: at("policy.wasm"),
                policy_data: at("data.json"),
            },
            trust_file: TrustFile::new(at("trust.toml")),
            backend: Directory::new(root(), Journal::new(at("journal"), root()), at("runs")),
            marks: at("runs"),
            now,
            claim: Mutex::new(ClaimedBy {
                token: Some(ClaimToken::from_random(7)),
                connection: None,
            }),
            random: || 7,
            drill,
            end: || std::panic::panic_any("drill"),
            leaving: Box::new(|| {}),
        }
    }

    async fn run(&self) -> Result<CallId, ActError> {
        self.runner(None).run().await
    }

    fn web(&self) -> String {
        fs::read_to_string(self.place.path().join("tree/shop/web.yaml")).unwrap()
    }

    fn left(&self, folder: &str) -> Vec<String> {
        let names = fs::read_dir(self.place.path().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.memory.0.lock().unwrap())
    }

    /// Checks the remaining files once a job is closed.
    fn check(&self, outcome: Outcome, code: &str, changed: bool) {
        let events = self.state(|state| state.events.clone());
        assert_eq!(
            self.state(|state| state.outcome.clone()),
            Some((outcome, code.to_owned())),
            "{events:?}"
        );
        assert_eq!(self.state(|state| state.phase), Phase::Closed);
        let meant = WEB.replace("replicas: 3 ", "replicas: 5 ").replace("a: b", "a: c");
        assert_eq!(self.web(), if changed { meant } else { WEB.to_owned() });
        assert_eq!(
            (self.left("runs"), self.left("journal"), self.left("tree/shop")),
            (vec![], vec![], vec!["web.yaml".to_owned()])
        );
    }
}

fn job(trust: &Trust, root: &Root, key: &ed25519_dalek::SigningKey) -> StoredJob {
    let arguments = json!({"name": "web"});
    let sealed =
        seal(draft(), &trust.tools[0], &trust.executors, &arguments, &trust.environment).unwrap();
    let (text, digest) =
        preview(&Index::read(root, None).unwrap(), sealed.operations()).unwrap().seal().unwrap();
    let principal = principal("agent");
    let call = CallId::from_random(9);
    let expires = now() + std::time::Duration::from_secs(300);
    let permit = Permit {
        schema: PERMIT_SCHEMA.into(),
        call: call.clone(),
        plan: sealed.digest(),
        preview: digest,
        subject: principal.subject(),
        purpose: None,
        environment: trust.environment.clone(),
        policy: trust.policy,
        reasons: vec![],
        approvers: vec![],
        issued: now(),
        expires,
    };
    StoredJob {
        call,
        principal,
        tool: "scale".into(),
        tool_digest: trust.tools[0].digest,
        arguments: arguments.to_string(),
        purpose: None,
        plan: sealed.text().into(),
        plan_digest: sealed.digest(),
        preview: text,
        preview_digest: digest,
        environment: trust.environment.clone(),
        policy: trust.policy,
        reasons: vec![],
        approval: None,
        nonce: "0".repeat(32),
        statements: vec![],
        permit: Some(permit.sign(key).unwrap()),
        trace: None,
        created: now(),
        expires,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_from_claim_to_closed_and_two_lines_change() {
    let world = World::new();
    world.run().await.unwrap();
    world.check(Outcome::Succeeded, "done", true);
    let events = world.state(|state| state.events.clone());
    let done = r#"prepared, acting, started 0, done 0 {"spec.replicas":5}, started 1, done 1 {"data.a":"c"}, succeeded done: every operation was done; files written: 1, gone"#;
    assert_eq!(events.join(", "), done);
    // Intent before effect: up to the start of an operation, its end with the start of the next
    // one, and the last end with the outcome, after the commit record.
    assert_eq!(world.state(|state| state.commits.clone()), [3, 2, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_cancelled_before_its_first_operation_uses_no_permit() {
    // Cancelled while the executor starts: the recorder refuses the use of the permit.
    let mut world = World::new();
    let memory = Arc::clone(&world.memory);
    world.script.during = Arc::new(move |first| {
        if first {
            memory.0.lock().unwrap().cancelled = true
        }
    });
    world.run().await.unwrap();
    world.check(Outcome::Cancelled, "cancelled", false);
    let events = world.state(|state| state.events.join(", "));
    assert!(events.starts_with("prepared, cancelled cancelled: "), "{events}");

    // The executor does nothing: its end is recorded with the use of the permit.
    let mut world = World::new();
    world.script.chatter = (1_001, false);
    world.run().await.unwrap();
    world.check(Outcome::Failed, "executor-failed", false);
    let events = world.state(|state| state.events.join(", "));
    assert!(events.starts_with("prepared, acting, failed executor-failed: "), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_after_any_step_leaves_nothing_behind_and_runs_nothing_twice() {
    for step in JOB_STEPS {
        let world = World::new();
        let runner = world.runner(Some(step));
        let killed = tokio::spawn(async move { runner.run().await.map(drop) }).await;
        assert!(killed.is_err(), "{step:?}: {killed:?}");
        if step == JobStep::ClosedRecorded {
            world.check(Outcome::Succeeded, "done", true);
            continue;
        }
        if step < JobStep::EffectCommitted {
            assert_eq!(world.web(), WEB, "{step:?}");
        }
        world.state(|state| state.phase = state.phase.next(Event::Lose).unwrap());
        world.runner(Some(step)).run().await.unwrap();
        match step {
            JobStep::Claimed
            | JobStep::Admitted
            | JobStep::NamespaceMade
            | JobStep::NamespaceRecorded => world.check(Outcome::Succeeded, "done", true),
            step if step <= JobStep::ExecutorFinished => {
                world.check(Outcome::Failed, "runner-lost", false)
            }
            JobStep::EffectCommitted | JobStep::EffectApplied => {
                world.check(Outcome::Succeeded, "recovered", true)
            }
            _ => world.check(Outcome::Succeeded, "done", true),
        }
        let started =
            world.state(|state| state.events.iter().filter(|event| *event == "started 0").count());
        assert!(started <= 1, "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_doubt_is_a_refusal_that_touches_nothing() {
    type Bend = fn(&mut World);
    let cases: [(&str, Bend); 9] = [
        ("world-differs", |world| {
            fs::write(
                world.place.path().join("tree/shop/web.yaml"),
                WEB.replace("replicas: 3", "replicas: 4"),
            )
            .unwrap()
        }),
        ("plan-differs", |world| world.script.draft.summary = "Scale it".into()),
        ("plan-refused", |world| world.script.draft.operations[0].after = vec![7]),
        ("policy-denies", |world| {
            world.script.output = world.script.output.replace("[0,1]", "[0]")
        }),
        ("policy-denies", |world| world.script.output = "{}".into()),
        ("policy-differs", |world| {
            fs::write(world.place.path().join("data.json"), "{\"a\":1}").unwrap()
        }),
        ("tool-differs", |world| {
            fs::write(world.place.path().join("tools/scale.wasm"), "another").unwrap()
        }),
        ("permit-missing", |world| world.state(|state| state.job.permit = None)),
        ("permit-signature", |world| {
            world.state(|state| state.job.permit.as_mut().unwrap().permit.push(' '))
        }),
    ];
    for (code, bend) in cases {
        let mut world = World::new();
        bend(&mut world);
        let before = world.web();
        world.run().await.unwrap();
        assert_eq!(
            world.state(|state| state.outcome.clone()),
            Some((Outcome::Refused, code.to_owned())),
            "{:?}",
            world.state(|state| state.events.clone())
        );
        assert_eq!(
            (world.web(), world.left("runs"), world.state(|state| state.phase)),
            (before, vec![], Phase::Closed)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_undone_or_cancelled_leaves_no_trace() {
    let mut world = World::new();
    world.script.undoes = true;
    world.run().await.unwrap();
    world.check(Outcome::Failed, "operation-skipped", false);
    let events = world.state(|state| state.events.clone());
    assert!(events.contains(&r#"done 0 undo {"spec.replicas":3}"#.to_owned()), "{events:?}");

    let world = World::new();
    world.state(|state| state.cancelled = true);
    world.run().await.unwrap();
    world.check(Outcome::Cancelled, "cancelled", false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_changed_meanwhile_is_a_conflict_and_a_lost_runner_commits_nothing() {
    let mut world = World::new();
    let file = world.place.path().join("tree/shop/web.yaml");
    world.script.during = Arc::new(move |first| {
        if !first {
            fs::write(&file, "b: 1\n").unwrap()
        }
    });
    world.run().await.unwrap();
    assert_eq!(
        world.state(|state| state.outcome.clone()),
        Some((Outcome::Failed, "conflict".to_owned()))
    );
    assert_eq!(world.web(), "b: 1\n");

    // Another runner took the job over while the executor ran: its namespace is gone.
    let mut world = World::new();
    let runs = world.place.path().join("runs");
    world.script.during = Arc::new(move |first| {
        if !first {
            for entry in fs::read_dir(&runs).unwrap() {
                fs::remove_dir_all(entry.unwrap().path()).unwrap();
            }
        }
    });
    assert!(world.run().await.is_err());
    assert_eq!((world.web(), world.left("journal")), (WEB.to_owned(), vec![]));

    // The lease is another's: the next durable word is refused and nothing further happens.
    let mut world = World::new();
    let memory = Arc::clone(&world.memory);
    world.script.during = Arc::new(move |first| {
        if first {
            memory.0.lock().unwrap().fence += 1
        }
    });
    assert!(matches!(world.run().await, Err(ActError::Recorder(RoleError::Fenced))));
    assert_eq!((world.web(), world.left("journal")), (WEB.to_owned(), vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_says_too_much_is_ended() {
    for (chatter, ended) in
        [((100, true), false), ((101, true), true), ((998, false), false), ((1_001, false), true)]
    {
        let mut world = World::new();
        world.script.chatter = chatter;
        world.run().await.unwrap();
        if ended {
            world.check(Outcome::Failed, "executor-failed", false);
        } else {
            world.check(Outcome::Succeeded, "done", true);
        }
    }
}

#[test]
fn a_value_of_the_host_is_filled_in_where_it_stands() {
    let host = Host::new(CallId::from_random(0), now());
    let filled = host.fill(
        &json!({"a": {"$host": "call_id"}, "b": [{"$host": "started_at"}], "c": {"$host": "x"}}),
    );
    assert_eq!(filled, json!({"a": "a".repeat(26), "b": [NOW], "c": {"$host": "x"}}) as Value);
}

/// The tree already has the requested state.
fn as_asked() -> String {
    WEB.replace("replicas: 3 ", "replicas: 5 ").replace("a: b", "a: c")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_changes_nothing_is_held_against_the_tree_at_its_commit() {
    let cases = [
        // Another writer's value came between: the value that the job saw is not there any more.
        (as_asked().replace("replicas: 5", "replicas: 4"), Outcome::Failed, "conflict"),
        // What it does not name may change.
        (
            as_asked().replace("  name: web\n", "  name: web\n  labels: {a: b}\n"),
            Outcome::Succeeded,
            "done",
        ),
        ("b: 1\n".to_owned(), Outcome::Failed, "conflict"),
        // The objects are as they were approved, whatever else stands in the file.
        (format!("{}---\nb: 1\n", as_asked()), Outcome::Succeeded, "done"),
    ];
    for (meanwhile, outcome, code) in cases {
        let mut world = World::of(&as_asked());
        let file = world.place.path().join("tree/shop/web.yaml");
        let text = meanwhile.clone();
        world.script.during = Arc::new(move |first| {
            if !first {
                fs::write(&file, &text).unwrap()
            }
        });
        world.run().await.unwrap();
        assert_eq!(
            world.state(|state| state.outcome.clone()),
            Some((outcome, code.to_owned())),
            "{meanwhile}"
        );
        assert_eq!(
            (world.web(), world.left("journal"), world.left("runs")),
            (meanwhile, vec![], vec![])
        );
    }
}

/// `web` with a label that the plan does not name.
fn labelled() -> String {
    WEB.replace("  name: web\n", "  name: web\n  labels: {a: b}\n")
}

/// The moment at which another process writes the file.
#[derive(Clone, Copy)]
enum When {
    /// Before the runner's last look.
    Before,
    /// Between that and the private copy.
    Decided,
    /// While the executor works.
    Working,
    /// Right before the commit.
    Done,
}

/// Runs a job whose file is written meanwhile. Returns the event of its end.
async fn meanwhile(text: String, when: When, unchanged: bool) -> (World, String) {
    let mut world = World::new();
    if unchanged {
        let mut output: Value = serde_json::from_str(&world.script.output).unwrap();
        output["obligations"] =
            json!([{"id": "still", "type": "unchanged", "properties": {"scope": "object"}}]);
        world.script.output = output.to_string();
    }
    let file = world.place.path().join("tree/shop/web.yaml");
    let write = move || fs::write(&file, &text).unwrap();
    match when {
        When::Before => write(),
        When::Decided => world.script.deciding = Arc::new(write),
        When::Working => {
            world.script.during = Arc::new(move |first| {
                if first {
                    write()
                }
            })
        }
        When::Done => {
            world.script.during = Arc::new(move |first| {
                if !first {
                    write()
                }
            })
        }
    }
    world.run().await.unwrap();
    let end = world.state(|state| {
        state.events.iter().find(|event| event.contains(": ")).cloned().unwrap_or_default()
    });
    (world, end)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_elsewhere_is_kept_and_named() {
    let label = "`metadata.labels.a` of Deployment web in namespace team-a was absent and is \
                 \"b\" (at `shop/web.yaml:6`)";
    for when in [When::Before, When::Decided, When::Working, When::Done] {
        let (world, end) = meanwhile(labelled(), when, false).await;
        assert_eq!(
            end,
            format!(
                "succeeded done: every operation was done; files written: 1; meanwhile: {label}"
            )
        );
        assert_eq!(
            world.web(),
            labelled().replace("replicas: 3 ", "replicas: 5 ").replace("a: b\n", "a: c\n"),
            "both changes are there"
        );
        // Comments, layout and other objects are no part of the object.
        let moved = format!("# new\n\n{WEB}---\nb: 1\n");
        let (world, end) = meanwhile(moved.clone(), when, true).await;
        assert_eq!(end, "succeeded done: every operation was done; files written: 1");
        assert_eq!(
            world.web(),
            moved.replace("replicas: 3 ", "replicas: 5 ").replace("a: b\n", "a: c\n")
        );
        // The rule that policy obliges to.
        let (world, end) = meanwhile(labelled(), when, true).await;
        assert!(end.contains(label) && !end.starts_with("succeeded"), "{end}");
        assert_eq!(world.web(), labelled());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_voids_an_approval_is_named_with_file_and_line() {
    let replicas = "`spec.replicas` of Deployment web in namespace team-a was 3 and is 4 (at \
                    `shop/web.yaml:8`)";
    for when in [When::Before, When::Decided, When::Working, When::Done] {
        let other = WEB.replace("replicas: 3 ", "replicas: 4 ");
        let (world, end) = meanwhile(other.clone(), when, false).await;
        assert!(end.contains(replicas) && !end.starts_with("succeeded"), "{end}");
        assert_eq!(world.web(), other);
    }
    let gone = "b: 1\n".to_owned();
    for when in [When::Working, When::Done] {
        let (world, end) = meanwhile(gone.clone(), when, false).await;
        assert!(
            end.starts_with("failed conflict: Deployment web in namespace team-a is gone"),
            "{end}"
        );
        assert_eq!(world.web(), gone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_after_the_tree_was_read_ahead_is_seen_by_the_admission() {
    let world = World::new();
    let runner = world.runner(None);
    let leased = runner.claim(|| false).await.unwrap().unwrap();
    let other = WEB.replace("replicas: 3 ", "replicas: 4 ");
    fs::write(world.place.path().join("tree/shop/web.yaml"), &other).unwrap();
    runner.see_through(leased).await.unwrap();
    let end = (Outcome::Refused, "world-differs".to_owned());
    assert_eq!((world.state(|state| state.outcome.clone()), world.web()), (Some(end), other));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_machine_lacks_ends_the_job_in_words_before_anything_is_changed() {
    type Bend = fn(&mut World);
    let cases: [(&str, &str, Bend); 3] = [
        (
            "cannot-begin",
            "trust.toml` cannot be read: No such file or directory (os error 2); ",
            |world| fs::remove_file(world.place.path().join("trust.toml")).unwrap(),
        ),
        ("cannot-begin", "trust.toml` cannot be used: ", |world| {
            fs::write(world.place.path().join("trust.toml"), "{").unwrap()
        }),
        (
            "unwritable",
            "journal` cannot be used: No such file or directory (os error 2); ",
            |world| {
                let journal = world.place.path().join("journal");
                world.script.during = Arc::new(move |first| {
                    if first {
                        fs::remove_dir(&journal).unwrap();
                    }
                });
            },
        ),
    ];
    for (code, words, bend) in cases {
        let mut world = World::new();
        bend(&mut world);
        world.run().await.unwrap();
        let (outcome, events) =
            world.state(|state| (state.outcome.clone(), state.events.join(", ")));
        assert_eq!(outcome, Some((Outcome::Failed, code.to_owned())), "{events}");
        assert!(
            events.contains(words) && events.contains("; the tree is untouched"),
            "not `{words}`: {events}"
        );
        assert_eq!(
            (world.web(), world.left("runs"), world.state(|state| state.phase)),
            (WEB.to_owned(), vec![], Phase::Closed)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_whose_own_folders_are_gone_takes_no_job_and_lets_go_of_the_one_it_has() {
    let world = World::new();
    fs::remove_dir(world.place.path().join("runs")).unwrap();
    let runner = world.runner(None);
    let Err(ActError::Backend(error)) = runner.claim(|| false).await.map(drop) else {
        panic!("it claimed a job")
    };
    assert!(error.to_string().contains("runs` cannot be used: No such file"), "{error}");
    let Ok(Claimed::Leased { job: Some(job) }) =
        world.memory.claim(&Claim::Next { wait_ms: 0, token: None }).await
    else {
        panic!()
    };
    runner.see_through(*job).await.unwrap();
    let events = world.state(|state| state.events.join(", "));
    assert!(events.starts_with("let go: ") && events.contains("runs` cannot be used"), "{events}");
    assert_eq!((world.state(|state| state.phase), world.web()), (Phase::Queued, WEB.to_owned()));
}
