//! The story as a golden text over a fixed call.

use super::*;
use crate::model::id::{ArgumentsDigest, ComponentDigest, PlanDigest, PolicyDigest};
use crate::model::preview::Preview;
use expect_test::{Expect, expect};
use serde_json::json;

const CALL: &str = "abcdefghijklmnopqrstuvwxyz";

/// A whole job and its entries, as the recorder answers them.
fn answer() -> (StoredJob, JobView, Vec<StoryEntry>) {
    let environment = json!({"name": "lab", "id": "3f"});
    let target = json!({"group": "apps", "version": "v1", "kind": "Deployment",
    "namespace": "team-a", "name": "old-web"});
    let plan = json::canonical(&json!({
        "schema": "cofferdam.plan.v1", "tool": {"name": "deployment_delete", "version": "0.1.0",
        "digest": ComponentDigest::of(b"tool")},
        "executor": {"name": "sequential", "digest": ComponentDigest::of(b"executor")},
        "arguments": {"namespace": "team-a", "name": "old-web"}, "summary": "Delete Deployment \
         team-a/old-web", "environment": environment,
        "operations": [{"action": "delete", "target": target, "after": [], "reversible": false}],
    }))
    .unwrap();
    let preview: Preview = serde_json::from_value(json!({"operations": [{
        "index": 0, "target": target, "expect": "absent", "before": {"spec.replicas": 1},
        "after": {}, "place": "team-a/old-web.yaml:1", "remarks": [],
    }]}))
    .unwrap();
    let (preview_text, preview_digest) = preview.seal().unwrap();
    let policy = PolicyDigest::of(b"policy");
    let statement: Statement = serde_json::from_value(json!({
        "schema": "cofferdam.approval.v1", "call": CALL, "verdict": "approve", "reason": "",
        "plan": PlanDigest::of(plan.as_bytes()),
        "preview": preview_digest, "shown": crate::model::id::ShownDigest::of(b"shown"),
        "subject": {"type": "agent", "id": "release-bot", "properties": {"roles": ["deployer"],
        "for": "ada@example.com", "act": []}},
        "environment": environment, "policy": policy, "nonce": "00",
        "expires": "2026-11-24T04:00:00Z",
    }))
    .unwrap();
    let (statement, digest) = statement.canonical().unwrap();
    let reasons = json!([{"id": "deletes-need-a-person", "message": "a delete needs a person",
    "remedy": "ask one", "audience": "user"}]);
    let rule = json!({"quorum": 1, "approvers": ["*"], "expires_seconds": 3600});
    let job = serde_json::from_value(json!({
        "call": CALL,
        "principal": {"name": "release-bot", "anonymous": false, "roles": ["deployer"],
        "person": "ada@example.com", "act": []},
        "tool": "deployment_delete", "tool_digest": ComponentDigest::of(b"tool"),
        "arguments": "{\"name\":\"old-web\",\"namespace\":\"team-a\"}",
        "purpose": "it is gone\nproven       nothing", "plan": plan,
        "plan_digest": PlanDigest::of(plan.as_bytes()), "preview": preview_text,
        "preview_digest": preview_digest, "environment": environment, "policy": policy,
        "reasons": reasons, "approval": rule, "nonce": "00",
        "statements": [{"statement": statement, "signature": "-----BEGIN SSH SIGNATURE-----"}],
        "permit": null, "trace": null,
        "created": "2026-11-24T03:00:00Z", "expires": "2026-11-24T04:00:00Z",
    }))
    .unwrap();
    let view = serde_json::from_value(json!({
        "call": CALL, "tool": "deployment_delete", "plan": PlanDigest::of(plan.as_bytes()),
        "arguments": ArgumentsDigest::of(b"arguments"),
        "phase": "closed", "outcome": "succeeded", "detail": "every operation was done",
        "resolution": null, "claimed": true, "meanwhile": [],
        "operations": [{"index": 0, "undo": false, "before": {"spec.replicas": 1}, "after": {}}],
        "progress": [], "approval": rule,
        "planned": [{"index": 0, "words": "delete Deployment old-web in namespace team-a",
        "ephemeral": false, "executes_code": false, "remarks": []}], "files": [], "stuck": null,
        "reasons": reasons, "environment": environment, "ledger": 12,
        "expires": "2026-11-24T04:00:00Z", "version": 9,
    }))
    .unwrap();
    let events = [
        json!({"kind": "asked"}),
        json!({"kind": "signed", "statement": digest, "approver": "bob@example.com",
        "verdict": "approve"}),
        json!({"kind": "intended"}),
        json!({"kind": "leased", "fence": 1}),
        json!({"kind": "started", "operation": 0, "undo": false, "fence": 1}),
        json!({"kind": "done", "operation": 0, "undo": false, "fence": 1}),
        json!({"kind": "finished", "outcome": "succeeded"}),
        json!({"kind": "closed", "namespace": "cofferdam-run-abcdefgh-1"}),
    ];
    let entry = |(second, event): (usize, Value)| {
        let time = format!("2026-11-24T03:00:{second:02}Z");
        serde_json::from_value(
            json!({"index": 5 + second, "time": time, "event": event, "payloads": {}}),
        )
        .unwrap()
    };
    (job, view, events.into_iter().enumerate().map(entry).collect())
}

fn check(job: Option<&StoredJob>, view: Option<&JobView>, entries: &[StoryEntry], expect: Expect) {
    let call = CallId::parse(CALL).unwrap();
    expect.assert_eq(&story(&Story { call: &call, job, view, entries, removed: &[] }));
}

#[test]
fn a_call_that_was_approved_and_done() {
    let (job, view, entries) = answer();
    check(
        Some(&job),
        Some(&view),
        &entries,
        expect![[r#"
            Call abcdefghijklmnopqrstuvwxyz in lab: succeeded
            asked        2026-11-24 03:00:00Z by "release-bot" (deployer) for "ada@example.com"
                         its purpose, it says: "it is gone\nproven       nothing"
                         deployment_delete {"name":"old-web","namespace":"team-a"}
                         the tool calls it "Delete Deployment team-a/old-web"
                         plan    sha256:b911cfaf7537d7145b225831e76997b1986a9fed47854783ad40c69767705d7b
                         preview sha256:37862cd27db995d1f880b47a5da73681859f9ce2b2a58548a758943fc6ad5012
            allowed      by the policy sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812
                         rule deletes-need-a-person: a delete needs a person
                         needed: any 1 enrolled approver
                         rights in team-a: delete, get deployments.apps old-web
                         permit signed 2026-11-24 03:00:02Z, good until 2026-11-24 04:00:00Z
            approved     2026-11-24 03:00:01Z signed by bob@example.com
                         shown     sha256:baaf53622a51d975235f276287bdc1b64aa4640c77142cbca076877d9eac6815
                         statement sha256:92817436706109f9747103c8170a8da921a457de951483bf552d1bc53fcd86b0
            done         2026-11-24 03:00:05Z delete Deployment old-web in namespace team-a
                           - spec.replicas: 1
                         succeeded: every operation was done
            cleaned up   2026-11-24 03:00:07Z its private copy was removed
            proven       leaf 5      2026-11-24 03:00:00Z a person is asked
                         leaf 6      2026-11-24 03:00:01Z approve by bob@example.com
                         leaf 7      2026-11-24 03:00:02Z intended: decided, before a runner may claim it
                         leaf 8      2026-11-24 03:00:03Z leased with lease epoch 1
                         leaf 9      2026-11-24 03:00:04Z operation 0 started with lease epoch 1
                         leaf 10     2026-11-24 03:00:05Z operation 0 done with lease epoch 1
                         leaf 11     2026-11-24 03:00:06Z finished: succeeded
                         leaf 12     2026-11-24 03:00:07Z closed
                         check it: cofferdam ledger prove abcdefghijklmnopqrstuvwxyz"#]],
    );
}

#[test]
fn a_call_whose_job_and_payloads_retention_removed() {
    let (_, _, entries) = answer();
    let call = CallId::parse(CALL).unwrap();
    let at = |what, at: &str| Removal { what, at: at.parse().unwrap() };
    let removed = [
        at(Retained::Payloads, "2027-01-24T03:00:00Z"),
        at(Retained::ClosedJobs, "2027-02-24T03:00:00Z"),
    ];
    let told = Story { call: &call, job: None, view: None, entries: &entries, removed: &removed };
    let text = story(&told);
    let text: Vec<_> = text.lines().filter(|line| !line.contains("leaf ")).collect();
    expect![[r#"
        Call abcdefghijklmnopqrstuvwxyz: succeeded
        asked        2026-11-24 03:00:00Z
        done         succeeded
        removed      the payloads of its entries, by retention, at 2027-01-24 03:00:00Z; the entries and their proofs stay
                     the details of its job, by retention, at 2027-02-24 03:00:00Z; the entries and their proofs stay
        cleaned up   2026-11-24 03:00:07Z its run was removed
                     check it: cofferdam ledger prove abcdefghijklmnopqrstuvwxyz"#]]
    .assert_eq(&text.join("\n"));
}

#[test]
fn a_job_that_failed_half_way_says_what_stands() {
    let (job, mut view, _) = answer();
    let told = |view: &JobView| {
        let call = CallId::parse(CALL).unwrap();
        let (job, view) = (Some(&job), Some(view));
        let text = story(&Story { call: &call, job, view, entries: &[], removed: &[] });
        text.lines()
            .skip_while(|line| !line.contains("failed: "))
            .take(2)
            .map(str::trim)
            .collect::<Vec<_>>()
            .join("\n")
    };
    view.outcome = Some(Outcome::Failed);
    view.detail = "the executor gave up".to_owned();
    expect![[r#"
        failed: the executor gave up
        Nothing was changed."#]]
    .assert_eq(&told(&view));
    view.environment.id = "0f0c1ad8-9ad2-4e2b-8f86-6a2f3c6e6b5d".to_owned();
    expect![[r#"
        failed: the executor gave up
        In effect, not undone: operation 0 (delete Deployment old-web in namespace team-a). Nothing else is."#]]
    .assert_eq(&told(&view));
}

#[test]
fn a_call_that_waits() {
    let (mut job, mut view, entries) = answer();
    job.statements.clear();
    job.purpose = None;
    view.outcome = None;
    view.phase = crate::model::run::Phase::AwaitingApproval;
    view.operations.clear();
    check(
        Some(&job),
        Some(&view),
        &entries[..1],
        expect![[r#"
            Call abcdefghijklmnopqrstuvwxyz in lab: awaiting approval
            asked        2026-11-24 03:00:00Z by "release-bot" (deployer) for "ada@example.com"
                         it gave no purpose
                         deployment_delete {"name":"old-web","namespace":"team-a"}
                         the tool calls it "Delete Deployment team-a/old-web"
                         plan    sha256:b911cfaf7537d7145b225831e76997b1986a9fed47854783ad40c69767705d7b
                         preview sha256:37862cd27db995d1f880b47a5da73681859f9ce2b2a58548a758943fc6ad5012
            would do     0. delete Deployment old-web in namespace team-a (destructive)
                            at team-a/old-web.yaml:1
                            spec.replicas: 1 → (absent)
            policy       asks for 1 approval
                         it is sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812
                         rule deletes-need-a-person: a delete needs a person
                         needed: any 1 enrolled approver
                         rights in team-a: delete, get deployments.apps old-web
                         no permit was signed
            approved     not yet
            done         nothing was changed
            cleaned up   not yet: the job is not closed
            proven       leaf 5      2026-11-24 03:00:00Z a person is asked
                         check it: cofferdam ledger prove abcdefghijklmnopqrstuvwxyz"#]],
    );
}

#[test]
fn a_call_that_was_denied() {
    let entry = serde_json::from_value(json!({
        "index": 3, "time": "2026-11-24T03:00:00Z", "event": {"kind": "ended", "ending": "denied",
        "code": "replicas-limit"},
        "payloads": {
            "arguments": {"replicas": 40}, "purpose": "more \"load\"",
            "subject": {"type": "agent", "id": "release", "properties": {"roles": ["operator"],
            "for": "ada@example.com", "act": []}},
            "reasons": [{"id": "replicas-limit", "message": "40 are more than 20", "remedy": "at \
             most 20", "audience": "user"}],
        },
    }))
    .unwrap();
    check(
        None,
        None,
        &[entry],
        expect![[r#"
        Call abcdefghijklmnopqrstuvwxyz: denied (replicas-limit)
        asked        2026-11-24 03:00:00Z by "release" (operator) for "ada@example.com"
                     its purpose, it says: "more \"load\""
                     {"replicas":40}
        allowed      denied by replicas-limit
                     rule replicas-limit: 40 are more than 20 (at most 20)
        done         nothing: there was no job
        cleaned up   no namespace was made
        proven       leaf 3      2026-11-24 03:00:00Z ended: denied, replicas-limit
                     check it: cofferdam ledger prove abcdefghijklmnopqrstuvwxyz"#]],
    );
}
