//! Whole journeys over the small world, with golden texts.

use super::*;
use crate::journey::ports::no_progress;
use crate::model::answer::RefusalKind;
use crate::model::caller::Standing;
use crate::model::record::Event;
use crate::model::statement;
use crate::testing::*;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

const NOT_HELD: Wait<'static> = Wait { ms: 0, person_ms: 0, progress: &no_progress };

fn text(reply: &Reply) -> String {
    match reply {
        Reply::Listed(listed) => listed.text.clone(),
        Reply::Success(success) => success.text.clone(),
        Reply::Refused(refusal) => refusal.text(),
        other => format!("{other:?}"),
    }
}

fn called(host: &Bench, arguments: Value) -> Reply {
    now_or_never(ask(host, &world(), raw(host, arguments), Mode::Call, &no_progress))
}

fn check(arguments: Value, expect: Expect) {
    let host = Bench::new();
    expect.assert_eq(&text(&called(&host, arguments)));
    assert!(!host.entries.lock().unwrap().is_empty(), "every ending is recorded");
}

#[test]
fn futures_can_cross_threads() {
    fn is_send<T: Send>(_: &T) {}
    let (host, world) = (Bench::new(), world());
    is_send(&ask(&host, &world, raw(&host, json!({})), Mode::Call, &no_progress));
    is_send(&resume(&host, &world, 0));
}

#[test]
fn a_change_says_before_and_after() {
    check(
        scale("team-a", 5),
        expect![[r#"
            DONE baaaaaaaaaaaaaaaaaaaaaaaaa in staging
            Changed: edited team/web.yaml; not committed, not rolled out
            patch Deployment web in namespace team-a
              spec.replicas: 3 → 5
            Plan: sha256:ae876f6213c6665aee56633fa9bed0afb491a34ad757bf16d6a6518002a33f7e
            Ledger: 0"#]],
    );
}

#[test]
fn refusals_are_five_lines() {
    check(
        scale("team-a", 40),
        expect![[r#"
        DENIED baaaaaaaaaaaaaaaaaaaaaaaaa by replicas-limit in staging
        Nothing was changed.
        Why: 40 replicas are more than 20.
        Allowed: At most 20 replicas.
        Next: Ask again within what is allowed, or tell your user."#]],
    );
    check(
        scale("nowhere", 5),
        expect![[r#"
        DECLINED baaaaaaaaaaaaaaaaaaaaaaaaa by not-found in staging
        Nothing was changed.
        Why: There is no Deployment web in namespace nowhere.
        Allowed: List the workloads.
        Next: Read the objects first, then ask again."#]],
    );
    check(
        scale("team-a", BEYOND_CEILING),
        expect![[r#"
        REFUSED baaaaaaaaaaaaaaaaaaaaaaaaa by beyond-ceiling in staging
        Nothing was changed.
        Why: Operation 0 is beyond the tool's ceiling, which lacks the line: patch apps/v1 Deployment field spec.paused.
        Allowed: Plans within the ceiling that an operator accepted for this tool.
        Next: Tell your user: the tool's author or an operator has to look at it."#]],
    );
    check(
        scale("team-a", TOOL_REFUSES),
        expect![[r#"
        DECLINED baaaaaaaaaaaaaaaaaaaaaaaaa by deployment_scale in staging
        Nothing was changed.
        Why: No such number.
        Allowed: Give another.
        Next: Ask again with other arguments."#]],
    );
    check(
        scale("team-a", TOOL_FAILS),
        expect![[r#"
        FAILED baaaaaaaaaaaaaaaaaaaaaaaaa by tool-time in staging
        Nothing was changed.
        Why: The tool gave no plan.
        Allowed: Nothing of this tool until it is repaired.
        Next: Tell your user: an operator sees more with `cofferdam show`."#]],
    );
    check(
        scale("trap", 5),
        expect![[r#"
        DENIED baaaaaaaaaaaaaaaaaaaaaaaaa by policy-trap in staging
        Nothing was changed.
        Why: Policy could not decide, and what is not decided is denied.
        Allowed: Ask an operator: `cofferdam show` with this id says more.
        Next: Ask again within what is allowed, or tell your user."#]],
    );
    check(
        scale(UNKNOWN_MEMBER, 5),
        expect![[r#"
        DENIED baaaaaaaaaaaaaaaaaaaaaaaaa by policy-output in staging
        Nothing was changed.
        Why: Policy could not decide, and what is not decided is denied.
        Allowed: Ask an operator: `cofferdam show` with this id says more.
        Next: Ask again within what is allowed, or tell your user."#]],
    );
    check(
        scale("uncovered", 5),
        expect![[r#"
        DENIED baaaaaaaaaaaaaaaaaaaaaaaaa by not-covered in staging
        Nothing was changed.
        Why: No rule covers operation 0: patch Deployment web in namespace uncovered.
        Allowed: Ask an operator: `cofferdam show` with this id says more.
        Next: Ask again within what is allowed, or tell your user."#]],
    );
    check(
        scale(UNKNOWN_OBLIGATION, 5),
        expect![[r#"
        DENIED baaaaaaaaaaaaaaaaaaaaaaaaa by obligation-unsupported in staging
        Nothing was changed.
        Why: Policy obliges to `redact`, which this host cannot carry out.
        Allowed: Ask an operator: `cofferdam show` with this id says more.
        Next: Ask again within what is allowed, or tell your user."#]],
    );
    check(
        json!({"namespace": "team-a", "name": "web", "replicas": 1001}),
        expect![[
            r#"BadArguments { path: "/replicas", reason: "1001 is greater than the maximum of 1000" }"#
        ]],
    );
}

#[test]
fn looking_answers_at_once() {
    check(
        scale("team-a", READS),
        expect![[r#"
        LOOKED baaaaaaaaaaaaaaaaaaaaaaaaa in staging
        {"results":[{"fields":{"spec.replicas":3},"kind":"Deployment","name":"web","namespace":"team-a"}]}
        Plan: sha256:ee8da3d22e1c4dc84c41ff79c86ec154689f8eefd5a786ac4acc36a262d4510d
        Ledger: 0"#]],
    );
}

#[test]
fn a_preview_changes_nothing_and_is_recorded() {
    let host = Bench::new();
    let reply = now_or_never(ask(
        &host,
        &world(),
        raw(&host, scale("asks-b", 5)),
        Mode::Preview,
        &no_progress,
    ));
    expect![[r#"
        PREVIEW baaaaaaaaaaaaaaaaaaaaaaaaa in staging
        Nothing was changed.
        Summary (the tool's words): "Scale web"
        Operations:
          0. patch Deployment web in namespace asks-b
             at team/web.yaml:7
             spec.replicas: 3 → 5
        Rights:
          in asks-b: get, patch deployments.apps web
        Decision: needs a person, by operators
        Why: Operators may scale.
        Allowed: At most 20 replicas.
        Needed: 1 of bob.
        Plan: sha256:9bfb32e12516f0801d9ddca577606739cc2b918021056877c95603e842f68e9a
        Ledger: 0"#]]
    .assert_eq(&text(&reply));
    assert!(host.jobs.lock().unwrap().is_empty());
    let ended = host.entries.lock().unwrap()[0].event.clone();
    assert_eq!(ended, Event::Ended { ending: "previewed".into(), code: "require_approval".into() });
}

#[test]
fn a_person_signs_and_it_runs_once_by_itself() {
    let host = Bench::new();
    expect![[r#"
        WAITING baaaaaaaaaaaaaaaaaaaaaaaaa in staging
        Nothing was changed yet.
        Tool: deployment_scale
        Would: patch Deployment web in namespace asks-b
        Why: Operators may scale.
        Allowed: At most 20 replicas.
        Needed: 1 of bob, until 2026-11-23T12:10:00Z.
        Next: an approver runs `cofferdam approve baaaaaaaaaaaaaaaaaaaaaaaaa`; it then runs by itself. Your user sees its state at /calls/baaaaaaaaaaaaaaaaaaaaaaaaa. Follow it with `job_get` and this id; the same call again joins it.
        Plan: sha256:9bfb32e12516f0801d9ddca577606739cc2b918021056877c95603e842f68e9a
        Ledger: 0"#]]
    .assert_eq(&text(&called(&host, scale("asks-b", 5))));
    let job = host.jobs.lock().unwrap()[0].0.clone();
    expect![[r#"
        Cofferdam asks for a person's signature.

        Call:         baaaaaaaaaaaaaaaaaaaaaaaaa
        Environment:  staging (5f2d)
        Asked by:     agent-7 (operator) for alice
        Asked at:     2026-11-23 12:00:00Z
        Runs out at:  2026-11-23 12:10:00Z
        Tool:         deployment_scale 0.1.0 sha256:7c9bbe5ec9b3fb774e8fa0f54247e93c34ddf8e5d16fe3073420de0ae81a262d
        Executor:     sequential sha256:8fba13dab71d6fdd8a9b9db1f06e81315dfbfd69167b6097f724604db3c91cdf

        What it would do, 1 operation:
          0. patch Deployment web in namespace asks-b
             at team/web.yaml:7
             spec.replicas: 3 → 5

        Rights it would get, and lose again:
          in asks-b: get, patch deployments.apps web

        In the words of others, unchecked:
          purpose:    (none given)
          summary:    "Scale web"
          arguments:  {"name":"web","namespace":"asks-b","replicas":5}
          why asked:  operators: operators may scale
          needed:     1 of bob

        Plan:         sha256:9bfb32e12516f0801d9ddca577606739cc2b918021056877c95603e842f68e9a
        Preview:      sha256:e490e466dac0dcbca377736b05a1816357286dc2953a11c95dff0bfc42a61c0c
        Policy:       sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812
        Question:     0000000000000000000000000000002a
    "#]]
    .assert_eq(&crate::text::question(&job).unwrap().0);
    let signed = host.sign(&job, "bob", statement::Verdict::Approve);
    host.jobs.lock().unwrap()[0].0.statements.push(signed);
    assert_eq!(now_or_never(resume(&host, &world(), 0)), Ok(Resumed::Permitted(job.call.clone())));
    assert_eq!(host.objects.lock().unwrap()["asks-b"], 5);
    let told = now_or_never(super::job(&host, &world(), &agent(), &job.call, NOT_HELD));
    assert!(text(&told).starts_with("DONE"), "{}", text(&told));
}

#[test]
fn signatures_that_do_not_count_withdraw_the_call() {
    let with = |name: &str, verdict, change: &dyn Fn(&Bench, &mut crate::model::job::StoredJob)| {
        let host = Bench::new();
        let _waiting = called(&host, scale("asks-b", 5));
        let mut job = host.jobs.lock().unwrap()[0].0.clone();
        job.statements = vec![host.sign(&job, name, verdict)];
        change(&host, &mut job);
        host.jobs.lock().unwrap()[0].0 = job;
        match now_or_never(resume(&host, &world(), 0)) {
            Ok(Resumed::Withdrawn { code, .. }) => code,
            other => format!("{other:?}"),
        }
    };
    let keep: &dyn Fn(&Bench, &mut crate::model::job::StoredJob) = &|_, _| {};
    use statement::Verdict::{Approve, Reject};
    assert_eq!(with("bob", Reject, keep), "rejected");
    assert_eq!(
        with("bob", Approve, &|_, job| job.arguments = scale("asks-b", 6).to_string()),
        "plan-differs"
    );
    assert_eq!(with("bob", Approve, &|host, _| host.meddle("asks-b", 4)), "world-differs");
    assert_eq!(
        with("bob", Approve, &|_, job| job.policy = crate::model::id::PolicyDigest::of(b"other")),
        "policy-differs"
    );
}

#[test]
fn a_queued_call_of_a_replaced_policy_is_decided_once_more() {
    let again = |namespace: &str, change: &dyn Fn(&Bench, &mut crate::model::job::StoredJob)| {
        let host = Bench::new();
        let _told = called(&host, scale(namespace, 5));
        host.objects.lock().unwrap().insert(namespace.to_owned(), 3);
        let mut job = host.jobs.lock().unwrap()[0].0.clone();
        let permit = String::new();
        job.permit = Some(crate::model::permit::SignedPermit { permit, signature: String::new() });
        job.policy = crate::model::id::PolicyDigest::of(b"replaced");
        change(&host, &mut job);
        host.jobs.lock().unwrap()[0].0 = job.clone();
        let told = match now_or_never(resume_job(&host, &world(), job)) {
            Ok(Resumed::Permitted(_)) => "permitted".to_owned(),
            Ok(Resumed::Withdrawn { code, .. }) => code,
            other => format!("{other:?}"),
        };
        let entries = host.entries.lock().unwrap();
        (told, entries.last().and_then(|entry| entry.policy) == Some(world().policy))
    };
    let keep: &dyn Fn(&Bench, &mut crate::model::job::StoredJob) = &|_, _| {};
    assert_eq!(again("team-a", keep), ("permitted".to_owned(), true));
    // A load that was not used: the policy before decides.
    let same: &dyn Fn(&Bench, &mut crate::model::job::StoredJob) =
        &|_, job| job.policy = world().policy;
    assert_eq!(again("team-a", same).0, "permitted");
    let code = |namespace, change| again(namespace, change).0;
    assert_eq!(code("asks-b", keep), "approval-needed");
    // A signature under the replaced policy is none under the new one.
    let signed: &dyn Fn(&Bench, &mut crate::model::job::StoredJob) =
        &|host, job| job.statements = vec![host.sign(job, "bob", statement::Verdict::Approve)];
    assert_eq!(code("asks-b", signed), "approval-needed");
    assert_eq!(code("team-a", &|host, _| host.meddle("team-a", 4)), "world-differs");
    assert_eq!(
        code("team-a", &|_, job| {
            job.tool_digest = crate::model::id::ComponentDigest::of(b"other");
        }),
        "tool-differs"
    );
    let other: &dyn Fn(&Bench, &mut crate::model::job::StoredJob) =
        &|_, job| job.arguments = scale("team-a", 6).to_string();
    assert_eq!(code("team-a", other), "plan-differs");
}

#[test]
fn what_was_removed_while_a_call_waited_counts_no_more() {
    let signed = || {
        let host = Bench::new();
        let _waiting = called(&host, scale("asks-b", 5));
        let job = host.jobs.lock().unwrap()[0].0.clone();
        let statement = host.sign(&job, "bob", statement::Verdict::Approve);
        host.jobs.lock().unwrap()[0].0.statements.push(statement);
        host
    };
    let code = |host: &Bench| match now_or_never(resume(host, &world(), 0)) {
        Ok(Resumed::Withdrawn { code, .. }) => code,
        other => format!("{other:?}"),
    };
    for (standing, expect) in
        [(Standing::Removed, "agent-removed"), (Standing::Changed, "agent-changed")]
    {
        let host = signed();
        *host.standing.lock().unwrap() = standing;
        assert_eq!(code(&host), expect);
        assert_eq!(host.objects.lock().unwrap()["asks-b"], 3);
    }
    // A key of bob's that was removed; another of his that came after the start counts from the
    // next one on.
    let host = signed();
    let other = crate::model::trust::Approver {
        name: "bob".into(),
        key: person("bob's other key").public_key().to_openssh().unwrap(),
    };
    *host.approvers.lock().unwrap() = Ok(vec![other]);
    assert_eq!(code(&host), "approval-missing");
    let host = signed();
    host.approvers.lock().unwrap().as_mut().unwrap().retain(|approver| approver.name != "alice");
    assert!(code(&host).contains("Permitted"), "the removal of another person changes nothing");
    // A trust file that cannot be read decides nothing.
    let host = signed();
    *host.approvers.lock().unwrap() =
        Err(crate::protocol::RoleError::Unavailable("the trust file".into()));
    assert!(matches!(
        now_or_never(resume(&host, &world(), 0)),
        Err(crate::protocol::RoleError::Unavailable(_))
    ));
    *host.approvers.lock().unwrap() = Ok(trust().approvers);
    assert!(matches!(now_or_never(resume(&host, &world(), 0)), Ok(Resumed::Permitted(_))));
}

#[test]
fn the_second_decision_counts_further_people_after_their_time_alone() {
    use crate::model::reason::{ApprovalRule, Escalation};
    let decided = |created: &str, says: bool| {
        let host = Bench::new();
        let _waiting = called(&host, scale("asks-b", 5));
        let mut job = host.jobs.lock().unwrap()[0].0.clone();
        let later = Escalation { after_seconds: 300, approvers: vec!["bob".into()] };
        let rule = ApprovalRule::of(1, vec!["carl".into()], 3_600);
        job.created = created.parse().unwrap();
        job.approval = Some(ApprovalRule { escalate: Some(later), ..rule });
        let escalated = job.approval.as_ref().and_then(|rule| rule.escalates(job.created));
        let signed =
            host.sign_with(&job, "bob", |said| said.escalated = escalated.filter(|_| says));
        job.statements.push(signed);
        host.jobs.lock().unwrap()[0].0 = job;
        match now_or_never(resume(&host, &world(), 0)) {
            Ok(Resumed::Withdrawn { code, .. }) => code,
            Ok(Resumed::Permitted(_)) => "permitted".to_owned(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(decided("2026-11-23T11:55:00Z", true), "permitted");
    assert_eq!(decided("2026-11-23T11:55:00Z", false), "approval-missing");
    assert_eq!(decided("2026-11-23T11:56:00Z", true), "approval-missing");
    assert_eq!(decided("2026-11-23T12:00:00Z", false), "approval-missing");
}

#[test]
fn a_passing_fault_of_a_guest_leaves_the_signature_standing() {
    let check = |guest, code, kept| {
        let host = Bench::new();
        let _waiting = called(&host, scale("asks-b", 5));
        let job = host.jobs.lock().unwrap()[0].0.clone();
        let signed = host.sign(&job, "bob", statement::Verdict::Approve);
        host.jobs.lock().unwrap()[0].0.statements.push(signed);
        host.failing.lock().unwrap().push((guest, code));
        let entries = host.entries.lock().unwrap().len();
        let first = now_or_never(resume(&host, &world(), 0));
        if kept {
            assert!(
                matches!(first, Err(crate::protocol::RoleError::Unavailable(_))),
                "{guest} {code}: {first:?}"
            );
            assert_eq!(host.entries.lock().unwrap().len(), entries, "nothing was decided");
            assert_eq!(now_or_never(resume(&host, &world(), 0)), Ok(Resumed::Permitted(job.call)));
        } else {
            assert!(matches!(first, Ok(Resumed::Withdrawn { .. })), "{guest} {code}: {first:?}");
        }
    };
    for guest in ["plan", "call", "list"] {
        for (code, kept) in
            [("busy", true), ("time", true), ("engine", true), ("trap", false), ("memory", false)]
        {
            check(guest, code, kept);
        }
    }
}

#[test]
fn another_spelling_of_the_requester_does_not_approve() {
    for (person, kept) in [("Bob", false), ("bob@example.com", false), ("bobby", true)] {
        let host = Bench::new();
        let mut call = raw(&host, scale("asks-b", 5));
        call.caller.principal.person = Some(person.to_owned());
        let reply = now_or_never(ask(&host, &world(), call, Mode::Call, &no_progress));
        // Policy names bob alone: where that is who asks, no one is left to be asked.
        assert_eq!(text(&reply).starts_with("WAITING"), kept, "{person}: {}", text(&reply));
        let mut job = match host.jobs.lock().unwrap().first() {
            Some((job, _)) => job.clone(),
            None => continue,
        };
        job.statements.push(host.sign(&job, "bob", statement::Verdict::Approve));
        host.jobs.lock().unwrap()[0].0 = job;
        assert!(matches!(now_or_never(resume(&host, &world(), 0)), Ok(Resumed::Permitted(_))));
    }
}

#[test]
fn the_floor_stands_whatever_policy_says_and_the_requester_never_signs() {
    for (namespace, replicas) in [("prod", 5), ("team-a", -1)] {
        let host = Bench::new();
        assert!(text(&called(&host, scale(namespace, replicas))).starts_with("WAITING"));
        let mut job = host.jobs.lock().unwrap()[0].0.clone();
        for (name, permitted) in [("alice", false), ("mallory", false), ("bob", true)] {
            job.statements = vec![host.sign(&job, name, statement::Verdict::Approve)];
            host.jobs.lock().unwrap()[0].0 = job.clone();
            let resumed = now_or_never(resume(&host, &world(), 0)).unwrap();
            assert_eq!(matches!(resumed, Resumed::Permitted(_)), permitted, "{name}: {resumed:?}");
        }
    }
}

#[test]
fn keys_replay_the_same_and_refuse_the_rest() {
    let host = Bench::new();
    let keyed = |arguments| {
        let mut raw = raw(&host, arguments);
        raw.key = Some("k".into());
        now_or_never(ask(&host, &world(), raw, Mode::Call, &no_progress))
    };
    let first = keyed(scale("team-a", 5));
    assert!(text(&first).starts_with("DONE"));
    let Reply::Success(again) = keyed(scale("team-a", 5)) else { panic!() };
    let Reply::Success(first) = first else { panic!() };
    assert_eq!(again.proof, first.proof);
    assert_eq!(host.jobs.lock().unwrap().len(), 1);
    let Reply::Refused(refusal) = keyed(scale("team-a", 6)) else { panic!() };
    assert_eq!((refusal.kind, refusal.rule.as_str()), (RefusalKind::Conflict, "idempotency-key"));
}

#[test]
fn what_cannot_be_recorded_is_not_done() {
    let host = Bench::new();
    *host.down.lock().unwrap() = true;
    for arguments in [scale("team-a", 5), scale("team-a", 40), scale("team-a", READS), json!({})] {
        assert!(matches!(called(&host, arguments), Reply::Unavailable { .. }));
    }
    assert_eq!(host.objects.lock().unwrap()["team-a"], 3);
}

#[test]
fn a_full_queue_is_no_denial_and_the_same_call_succeeds_later() {
    let host = Bench::new();
    host.failing.lock().unwrap().push(("queue", "full"));
    let Reply::Busy { reason, retry_after_seconds } = called(&host, scale("team-a", 5)) else {
        panic!()
    };
    assert_eq!((reason.as_str(), retry_after_seconds), ("4000 jobs wait for a runner", 120));
    let ended = host.entries.lock().unwrap().last().unwrap().event.clone();
    let expected = Event::Ended { ending: "busy".into(), code: "queue-full".into() };
    assert_eq!((ended, host.jobs.lock().unwrap().len()), (expected, 0));
    assert!(matches!(called(&host, scale("team-a", 5)), Reply::Success(_)));
    assert_eq!(host.objects.lock().unwrap()["team-a"], 5);
}

#[test]
fn a_signed_call_waits_for_a_full_queue() {
    let host = Bench::new();
    let _waiting = called(&host, scale("asks-b", 5));
    let job = host.jobs.lock().unwrap()[0].0.clone();
    let signed = host.sign(&job, "bob", statement::Verdict::Approve);
    host.jobs.lock().unwrap()[0].0.statements.push(signed);
    host.failing.lock().unwrap().push(("queue", "full"));
    let first = now_or_never(resume(&host, &world(), 0));
    assert!(matches!(first, Err(crate::protocol::RoleError::Busy { .. })), "{first:?}");
    assert_eq!(now_or_never(resume(&host, &world(), 0)), Ok(Resumed::Permitted(job.call)));
}

#[test]
fn hidden_tools_do_not_exist_and_nothing_invented_is_listed() {
    let host = Bench::new();
    let listed: Vec<_> = now_or_never(list(&host, &world(), &agent()))
        .unwrap()
        .iter()
        .map(|tool| tool.name.clone())
        .collect();
    assert_eq!(listed, ["deployment_scale"]);
    let stranger = crate::model::caller::Principal { roles: Vec::new(), ..agent() };
    assert_eq!(now_or_never(list(&host, &world(), &stranger)).unwrap().len(), 0);
    let mut hidden = raw(&host, scale("team-a", 5));
    hidden.caller.principal = stranger;
    assert!(matches!(
        now_or_never(ask(&host, &world(), hidden, Mode::Call, &no_progress)),
        Reply::UnknownTool { .. }
    ));
}

#[test]
fn a_kept_list_is_the_list_of_the_same_caller_and_no_error_is_kept() {
    let (host, world) = (Bench::new(), world());
    let fails = || host.failing.lock().unwrap().push(("list", "memory"));
    let count = |roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let caller = crate::model::caller::Principal { roles, ..agent() };
        now_or_never(list(&host, &world, &caller)).map(|tools| tools.len())
    };
    fails();
    assert!(count(&["operator"]).is_err());
    assert_eq!(count(&["operator"]), Ok(1), "the error was not kept");
    fails();
    assert_eq!(count(&["operator"]), Ok(1), "policy is not asked again");
    assert!(count(&["viewer"]).is_err(), "another caller is another question");
    assert_eq!(count(&["viewer"]), Ok(0));
    assert_eq!(count(&["operator"]), Ok(1));
}

#[test]
fn a_rejection_is_remembered() {
    let host = Bench::new();
    *host.rejection.lock().unwrap() = Some("not today".into());
    expect![[r#"
        REJECTED baaaaaaaaaaaaaaaaaaaaaaaaa by an approver in staging
        Nothing was changed.
        Why: The approver bob denied this same change at 12:00 UTC ("not today"); it can be asked again after 13:00 UTC.
        Allowed: What the approvers agree to.
        Next: Do not ask for the same again; tell your user what the approver said."#]]
    .assert_eq(&text(&called(&host, scale("team-a", 5))));
}

#[test]
fn an_anonymous_caller_may_look_and_every_change_needs_a_person() {
    let host = Bench::new();
    let mut call = raw(&host, scale("team-a", 5));
    call.caller.principal.anonymous = true;
    let reply = now_or_never(ask(&host, &world(), call, Mode::Call, &no_progress));
    assert!(text(&reply).starts_with("WAITING"), "{}", text(&reply));
}

#[test]
fn purpose_is_shown_and_outside_the_digest() {
    let host = Bench::new();
    let mut with = scale("team-a", 5);
    with["purpose"] = json!("load test");
    let (Reply::Success(a), Reply::Success(b)) =
        (called(&host, with), called(&Bench::new(), scale("team-a", 5)))
    else {
        panic!()
    };
    assert_eq!(a.proof.plan, b.proof.plan);
    assert_eq!(host.jobs.lock().unwrap()[0].0.purpose.as_deref(), Some("load test"));
}

#[test]
fn a_job_that_did_not_succeed_says_what_is_known_of_it() {
    let host = Bench::new();
    let _done = called(&host, scale("team-a", 5));
    let view = host.jobs.lock().unwrap()[0].1.clone();
    let lines = |outcome, detail: &str| {
        let view = crate::model::job::JobView {
            outcome: Some(outcome),
            detail: detail.to_owned(),
            ..view.clone()
        };
        text(&crate::text::job_reply(&view)).lines().take(3).collect::<Vec<_>>().join("\n")
    };
    use crate::model::run::Outcome;
    expect![[r#"
        FAILED baaaaaaaaaaaaaaaaaaaaaaaaa by the runner in staging
        Nothing was changed.
        Why: Operation 0 was not done: conflict; the tree is untouched."#]]
    .assert_eq(&lines(
        Outcome::Failed,
        "operation 0 was not done: conflict; the tree is untouched",
    ));
    expect![[r#"
        UNKNOWN baaaaaaaaaaaaaaaaaaaaaaaaa by the runner in staging
        It is not known whether anything was changed.
        Why: The runner was lost after the commit."#]]
    .assert_eq(&lines(Outcome::Indeterminate, "the runner was lost after the commit"));
    expect![[r#"
        REJECTED baaaaaaaaaaaaaaaaaaaaaaaaa by an approver in staging
        Nothing was changed.
        Why: Bob rejected it: not today."#]]
    .assert_eq(&lines(Outcome::Rejected, "bob rejected it: not today"));
    expect![[r#"
        EXPIRED baaaaaaaaaaaaaaaaaaaaaaaaa by its deadline in staging
        Nothing was changed.
        Why: It was not approved in time, or no runner took it in time."#]]
    .assert_eq(&lines(Outcome::Expired, ""));
}

#[test]
fn a_job_as_a_task_ends_with_the_reply_of_its_call() {
    use crate::model::caller::Principal;
    use crate::model::id::CallId;
    use crate::model::task::TaskState;
    let host = Bench::new();
    let done = called(&host, scale("team-a", 5));
    let _waiting = called(&host, scale("asks-b", 5));
    let jobs: Vec<_> = host.jobs.lock().unwrap().iter().map(|(job, _)| job.call.clone()).collect();
    let task = |principal: &Principal, call: &CallId| {
        now_or_never(super::task(&host, &world(), principal, call))
    };
    let ended = task(&agent(), &jobs[0]).unwrap().unwrap();
    assert_eq!(ended.state, TaskState::Ended(Box::new(done)));
    expect!["DONE baaaaaaaaaaaaaaaaaaaaaaaaa in staging"].assert_eq(&ended.message);
    let waits = task(&agent(), &jobs[1]).unwrap().unwrap();
    assert_eq!((&waits.state, waits.is_over()), (&TaskState::Waiting, false));
    assert!(waits.message.starts_with("WAITING "), "{}", waits.message);
    let other = Principal { name: "other".to_owned(), ..agent() };
    assert_eq!(task(&other, &jobs[0]), Ok(None));
    assert_eq!(task(&agent(), &CallId::from_random(99)), Ok(None));
    *host.down.lock().unwrap() = true;
    assert!(task(&agent(), &jobs[0]).is_err());
}
