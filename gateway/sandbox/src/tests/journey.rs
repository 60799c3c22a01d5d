//! Properties over several calls: artefacts, worker threads, fresh sandboxes.

use super::{Built, artefact, built, counted, plan};
use crate::error::Code;
use crate::load::{Artefact, about};
use crate::policy::Policy;
use crate::policy_pool::Policies;
use crate::tool::Tool;
use crate::tool_pool::Tools;
use crate::wasi_command::Command;
use crate::{engine, limit};
use cofferdam_core::journey::ports::{Judge as _, Planner as _};
use cofferdam_core::model::artefact::ArtefactKey;
use cofferdam_core::model::ceiling::Definition;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::trust::TrustedTool;
use cofferdam_core::protocol::role_guest::GuestKind;
use cofferdam_core::tool::facts;
use serde_json::json;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

#[test]
fn a_tampered_or_foreign_artefact_is_refused() {
    let key = ArtefactKey::new([1; 32]);
    let guest = built("tool-answer.wat");
    let digest = ComponentDigest::of(&guest.wasm);
    let made = artefact(guest).unwrap();
    let (engine, _ticker) = counted(GuestKind::Tool);
    let own = engine::description(&engine, GuestKind::Tool);
    let sealed = key.seal(&about(&digest, &own), made.bytes()).unwrap();
    let opened = Artefact::open(&key, &digest, &own, &sealed).unwrap();
    assert_eq!(Tool::load(&engine, &opened).unwrap().plan("{}").unwrap().unwrap().summary, "hello");

    let code = |key: &ArtefactKey, digest: &ComponentDigest, engine: &str, sealed: &[u8]| {
        Artefact::open(key, digest, engine, sealed).map(drop).unwrap_err().code
    };
    let mut tampered = sealed.clone();
    let middle = tampered.len() / 2;
    tampered[middle] ^= 1;
    assert_eq!(code(&key, &digest, &own, &tampered), Code::Artefact);
    assert_eq!(code(&key, &digest, "wasmtime 47.0.0 tool 0", &sealed), Code::Artefact);
    assert_eq!(code(&key, &ComponentDigest::of(b"another"), &own, &sealed), Code::Artefact);
    assert_eq!(code(&ArtefactKey::new([2; 32]), &digest, &own, &sealed), Code::Artefact);
}

#[test]
fn an_artefact_of_another_kind_of_engine_does_not_load() {
    let policy = artefact(built("policy-allows.wat")).unwrap();
    let (engine, _ticker) = counted(GuestKind::Tool);
    assert_eq!(Tool::load(&engine, &policy).map(drop).unwrap_err().code, Code::Artefact);
    let executor = artefact(built("executor-skips.wat")).unwrap();
    assert_eq!(Tool::load(&engine, &executor).map(drop).unwrap_err().code, Code::Import);
}

#[test]
fn arguments_beyond_the_limit_never_reach_a_tool() {
    let error = plan("tool-answer.wat", &" ".repeat(cofferdam_core::model::limit::ARGUMENTS + 1))
        .unwrap_err();
    assert_eq!(error.code, Code::Input);
}

#[tokio::test]
async fn workers_give_every_call_a_fresh_sandbox_and_survive_hostile_ones() {
    let guests =
        ["tool-remembers.wat", "tool-loop-in-plan.wat", "tool-memory-bomb.wat"].map(|name| {
            let guest = built(name);
            (ComponentDigest::of(&guest.wasm), artefact(guest).unwrap())
        });
    let [remembers, endless, greedy] = [guests[0].0, guests[1].0, guests[2].0];
    let tools = Tools::start(2, guests.into()).unwrap();
    for round in 0..20 {
        let draft = tools.plan(remembers, r#"{"secret":"4711"}"#).await.unwrap().unwrap();
        assert_eq!(draft.summary, "clean", "round {round}");
        if round % 10 == 0 {
            assert_eq!(tools.plan(endless, "{}").await.unwrap_err().code, "time");
            assert_eq!(tools.plan(greedy, "{}").await.unwrap_err().code, "memory");
        }
    }
    let unknown = tools.plan(ComponentDigest::of(b"unknown"), "{}").await.unwrap_err();
    assert_eq!(unknown.code, "artefact");
}

#[tokio::test]
async fn a_tool_that_loops_holds_up_no_other_call() {
    let guests = ["tool-answer.wat", "tool-loop-in-plan.wat"].map(|name| {
        let guest = built(name);
        (ComponentDigest::of(&guest.wasm), artefact(guest).unwrap())
    });
    let [quick, endless] = [guests[0].0, guests[1].0];
    let tools = Tools::start(1, guests.into()).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    for round in 0..3 {
        // It has all of its time on a worker thread, also after a short run here.
        let mut looping = pin!(tools.plan(endless, "{}"));
        assert!(looping.as_mut().poll(&mut cx).is_pending(), "round {round}");
        // The one serving thread is free meanwhile.
        for _ in 0..50 {
            match pin!(tools.plan(quick, "{}")).poll(&mut cx) {
                Poll::Ready(planned) => assert_eq!(planned.unwrap().unwrap().summary, "hello"),
                Poll::Pending => panic!("round {round}: a quick tool waits for a worker thread"),
            }
        }
        let error = looping.await.unwrap_err();
        assert_eq!(error.code, "time");
        assert!(error.detail.contains("100 ms of its own time"), "{}", error.detail);
    }
    assert!(tools.is_slow(endless), "it no longer begins on a serving thread");
    assert!(!tools.is_slow(quick));
}

#[tokio::test]
async fn a_decision_that_takes_too_long_is_made_again_on_a_worker_thread() {
    let policy = artefact(built("policy-endless.wat")).unwrap();
    let judge = Policies::start(1, policy, "{}".into()).unwrap();
    for _ in 0..2 {
        let error = judge.evaluate("cofferdam/call/decision", "{}").await.unwrap_err();
        assert_eq!(error.code, "time");
        assert!(error.detail.contains("200 ms of its own time"), "{}", error.detail);
    }
    assert!(judge.is_slow());
}

#[test]
fn a_tool_that_does_not_load_stops_all_named_by_its_digest() {
    let guest = built("component-exports-nothing.wat");
    let digest = ComponentDigest::of(&guest.wasm);
    let error = Tools::start(1, vec![(digest, artefact(guest).unwrap())]).map(drop).unwrap_err();
    assert!(error.code == Code::Malformed && error.detail.contains(&digest.to_string()), "{error}");
}

#[tokio::test]
async fn a_policy_is_asked_by_entry_point_and_within_its_limits() {
    let policy = || artefact(built("policy-allows.wat")).unwrap();
    let judge = Policies::start(2, policy(), "{}".into()).unwrap();
    assert_eq!(
        judge.evaluate("cofferdam/call/decision", "{}").await.unwrap(),
        r#"{"effect":"allow"}"#
    );
    assert_eq!(judge.evaluate("cofferdam/list/visible", "{}").await.unwrap_err().code, "undefined");
    let large = format!("\"{}\"", "x".repeat(cofferdam_core::model::limit::POLICY_INPUT));
    assert_eq!(judge.evaluate("cofferdam/call/decision", &large).await.unwrap_err().code, "input");
    for data in ["[]", "{", r#"{"a":1,"a":2}"#] {
        assert_eq!(
            Policies::start(1, policy(), data.into()).map(drop).unwrap_err().code,
            Code::Malformed,
            "{data}"
        );
    }
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(limit::POLICY_MEMORY));
    assert!(
        Policies::start(1, policy(), large).is_err(),
        "a data document that does not fit is refused at load"
    );
}

#[test]
fn guests_of_the_project_load_where_they_are_built() {
    // The test script sets it after the plugins are built. Without it this test proves nothing, and
    // says so.
    let Some(folder) = std::env::var_os("COFFERDAM_COMPONENTS") else {
        eprintln!("skipped: set COFFERDAM_COMPONENTS to the folder of the built plugins");
        return;
    };
    let (engine, _ticker) = counted(GuestKind::Tool);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let wasm = std::fs::read(&path).unwrap();
        match artefact(Built { kind: GuestKind::Tool, wasm: wasm.clone() }) {
            Ok(made) => {
                let tool = Tool::load(&engine, &made).unwrap();
                let definition =
                    tool.define().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                for example in definition.examples {
                    let arguments =
                        cofferdam_core::model::json::canonical(&example.arguments).unwrap();
                    let draft = tool.plan(&arguments).unwrap().unwrap();
                    assert_eq!(
                        serde_json::to_value(&draft).unwrap(),
                        example.draft,
                        "{}: {}",
                        path.display(),
                        example.title
                    );
                }
            }
            Err(error) => {
                assert_eq!(error.code, Code::Import, "{}: {error}", path.display());
                if let Err(error) =
                    artefact(Built { kind: GuestKind::Executor, wasm: wasm.clone() })
                {
                    let command = artefact(Built { kind: GuestKind::Command, wasm });
                    let command = command
                        .unwrap_or_else(|other| panic!("{}: {error}; {other}", path.display()));
                    assert!(runs(&command), "{}", path.display());
                }
            }
        }
    }
}

#[test]
fn the_example_policy_lists_every_tool_of_the_project_in_its_time() {
    let Some(folder) = std::env::var_os("COFFERDAM_COMPONENTS").map(std::path::PathBuf::from)
    else {
        eprintln!(
            "skipped: set COFFERDAM_COMPONENTS to the folder of the built plugins, beside that of \
             the built policy"
        );
        return;
    };
    let (engine, _ticker) = counted(GuestKind::Tool);
    let tools = std::fs::read_dir(&folder).unwrap().filter_map(|entry| {
        let wasm = std::fs::read(entry.unwrap().path()).unwrap();
        let digest = ComponentDigest::of(&wasm);
        // Executors and Wasm commands are in the same folder if all were built into one.
        let tool =
            Tool::load(&engine, &artefact(Built { kind: GuestKind::Tool, wasm }).ok()?).unwrap();
        let Definition { name, version, ceiling, .. } = tool.define().unwrap();
        Some(facts::resource(&TrustedTool { name, version, digest, ceiling }))
    });
    let tools: Vec<_> = tools.collect();
    let policy = folder.join("../policy-example");
    let wasm = std::fs::read(policy.join("policy.wasm")).unwrap();
    let data = std::fs::read_to_string(policy.join("data.json")).unwrap();
    let (engine, _ticker) = counted(GuestKind::Policy);
    let policy =
        Policy::load(&engine, &artefact(Built { kind: GuestKind::Policy, wasm }).unwrap(), &data)
            .unwrap();
    let seen = |role: &str| {
        let subject = json!({"type": "agent", "id": "ada", "properties": {"roles": [role],
        "for": "alice@example.com", "act": []}});
        let context = json!({
            "environment": {"name": "staging", "id": "5d3e"}, "time": "2026-11-24T10:00:00Z",
            "weekday": "Tuesday", "minute": 600,
            "purpose": null, "approval": null, "policy": ComponentDigest::of(b"policy"),
            "supported_obligations": ["ttl"],
        });
        let input = json!({"schema": "cofferdam.authz.v1", "phase": "list", "subject": subject,
        "tools": tools, "context": context});
        let names = policy
            .evaluate("cofferdam/list/visible", &input.to_string())
            .unwrap_or_else(|error| panic!("{role}: {error}"));
        serde_json::from_str::<Vec<String>>(&names).unwrap()
    };
    let (viewer, deployer, operator) = (seen("viewer"), seen("deployer"), seen("operator"));
    assert_eq!(viewer, ["config_show", "events_list", "workload_status", "workloads_list"]);
    let only = |role: &[String], without: &[String]| {
        role.iter().filter(|name| !without.contains(name)).cloned().collect::<Vec<_>>()
    };
    let changes = [
        "config_set",
        "deployment_restart",
        "deployment_rollout",
        "deployment_scale",
        "environment_preview",
        "hello",
        "image_set",
        "pod_logs",
        "task_run",
    ];
    assert_eq!(only(&deployer, &viewer), changes);
    assert_eq!(only(&operator, &deployer), ["deployment_delete", "manifests_apply"]);
}

/// Returns whether a Wasm command of the project runs: it reads manifests, and reports an empty
/// input.
fn runs(command: &Artefact) -> bool {
    let (engine, _ticker) = counted(GuestKind::Command);
    let command = Command::load(&engine, command).unwrap();
    let (none, bad) =
        (command.run("lint", "[]", 5_000).unwrap(), command.run("lint", "{", 5_000).unwrap());
    none.code == 0
        && none.output.contains("\"checked\":0")
        && bad.code == 1
        && bad.note.contains("not JSON")
}
