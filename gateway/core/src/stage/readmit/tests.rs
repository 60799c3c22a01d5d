//! Tests of the runner's readmission: one good job, and one changed thing at a time.

use super::Inadmissible;
use crate::journey::ports::no_progress;
use crate::journey::{Mode, ask};
use crate::model::id::{ComponentDigest, PolicyDigest};
use crate::model::job::StoredJob;
use crate::model::permit::Permit;
use crate::model::reason::{ApprovalRule, Escalation};
use crate::model::trust::Trust;
use crate::testing::*;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;

/// A job as the gateway stored it, and the world as it was then.
fn queued(namespace: &str) -> (Bench, StoredJob) {
    let host = Bench::new();
    let _done = now_or_never(ask(
        &host,
        &world(),
        raw(&host, scale(namespace, 5)),
        Mode::Call,
        &no_progress,
    ));
    let job = host.jobs.lock().unwrap()[0].0.clone();
    (Bench::new(), job)
}

fn check(change: impl Fn(&Bench, &mut StoredJob, &mut Trust, &mut Timestamp), expect: &str) {
    let (bench, mut job) = queued("team-a");
    let (mut trust, mut now) = (trust(), noon());
    change(&bench, &mut job, &mut trust, &mut now);
    let got =
        bench.admit(job, &trust, now).map_or_else(|Inadmissible { code, .. }| code, |_| "admitted");
    assert_eq!(got, expect);
}

/// Signs a permit for a job with the gateway's own key: what a gateway that was taken over can do.
fn forge(job: &mut StoredJob, key: &SigningKey, change: impl Fn(&mut Permit)) {
    let mut permit: Permit = serde_json::from_str(&job.permit.as_ref().unwrap().permit).unwrap();
    change(&mut permit);
    job.permit = Some(permit.sign(key).unwrap());
}

#[test]
fn a_runner_trusts_no_other_role() {
    check(|_, _, _, _| {}, "admitted");
    check(|_, job, _, _| job.permit = None, "permit-missing");
    check(|_, job, _, _| forge(job, &SigningKey::from_bytes(&[8; 32]), |_| {}), "permit-signature");
    check(|_, _, _, now| *now = "2026-11-23T12:10:00Z".parse().unwrap(), "permit-expired");
    check(|_, _, _, now| *now = "2026-11-23T11:00:00Z".parse().unwrap(), "permit-expired");
    let year = |permit: &mut Permit| permit.expires = "2027-11-23T12:00:00Z".parse().unwrap();
    check(|_, job, _, _| forge(job, &gateway_key(), year), "permit-expired");
    check(|_, job, _, _| job.principal.roles.push("admin".into()), "permit-differs");
    check(|_, job, _, _| job.purpose = Some("x".into()), "permit-differs");
    check(|_, _, trust, _| trust.environment.id = "other".into(), "environment-differs");
    check(|_, _, trust, _| trust.policy = PolicyDigest::of(b"other"), "policy-differs");
    check(|_, _, trust, _| trust.tools.clear(), "tool-unknown");
    check(|_, _, trust, _| trust.tools[0].digest = ComponentDigest::of(b"other"), "tool-differs");
    check(|_, _, trust, _| trust.executors.clear(), "executor-unknown");
    check(|_, _, trust, _| trust.tools[0].ceiling.grants.clear(), "plan-refused");
    check(|_, job, _, _| job.arguments.push(' '), "arguments-malformed");
    let six = crate::model::json::canonical(&scale("team-a", 6)).unwrap();
    check(|_, job, _, _| job.arguments.clone_from(&six), "plan-differs");
    check(|bench, _, _, _| bench.meddle("team-a", 4), "world-differs");
    check(|_, _, trust, _| trust.floor.namespaces.push("team-*".into()), "approval-missing");
}

#[test]
fn a_refusal_names_what_drifted() {
    let (bench, job) = queued("team-a");
    bench.meddle("team-a", 4);
    let detail = bench.admit(job, &trust(), noon()).unwrap_err().detail;
    assert_eq!(
        detail,
        "`spec.replicas` of Deployment web in namespace team-a was 3 and is 4; ask again"
    );
    // A change that came with the job is told only where it is about the decided state.
    let (bench, mut job) = queued("team-a");
    bench.meddle("team-a", 4);
    job.preview = job.preview.replace("3", "7");
    let detail = bench.admit(job, &trust(), noon()).unwrap_err().detail;
    assert_eq!(detail, "the infrastructure changed since it was approved; ask again");
}

/// A permit in the job's own words, as of this time.
fn permit(job: &StoredJob, issued: Timestamp) -> Permit {
    Permit {
        schema: crate::model::permit::PERMIT_SCHEMA.into(),
        call: job.call.clone(),
        plan: job.plan_digest,
        preview: job.preview_digest,
        subject: job.principal.subject(),
        purpose: None,
        environment: job.environment.clone(),
        policy: job.policy,
        reasons: Vec::new(),
        approvers: vec!["bob".into()],
        issued,
        expires: issued + jiff::SignedDuration::from_mins(5),
    }
}

#[test]
fn a_permit_for_what_needs_a_person_is_worth_nothing_alone() {
    // The gateway's own key signs a permit for a plan that is waiting for a person.
    let (bench, mut job) = queued("asks-b");
    job.permit = Some(permit(&job, noon()).sign(&gateway_key()).unwrap());
    assert_eq!(bench.admit(job.clone(), &trust(), noon()).unwrap_err().code, "approval-missing");
    job.statements = vec![bench.sign(&job, "alice", crate::model::statement::Verdict::Approve)];
    assert_eq!(bench.admit(job.clone(), &trust(), noon()).unwrap_err().code, "approval-missing");
    job.statements = vec![bench.sign(&job, "bob", crate::model::statement::Verdict::Approve)];
    assert!(bench.admit(job, &trust(), noon()).is_ok());
}

#[test]
fn a_permit_is_for_the_call_it_names_and_no_other() {
    let check = |change: &dyn Fn(&mut Permit), what: &str| {
        let (bench, mut job) = queued("team-a");
        forge(&mut job, &gateway_key(), change);
        let Inadmissible { code, detail } = bench.admit(job, &trust(), noon()).unwrap_err();
        assert_eq!(
            (code, detail),
            ("permit-differs", format!("the permit is for another {what} than the job"))
        );
    };
    check(&|permit| permit.call = crate::model::id::CallId::from_random(99), "call");
    check(&|permit| permit.plan = crate::model::id::PlanDigest::of(b"other"), "plan");
    check(&|permit| permit.preview = crate::model::id::PreviewDigest::of(b"other"), "state");
    check(&|permit| permit.subject.id = "other".into(), "requester");
    check(&|permit| permit.subject.properties.roles.push("admin".into()), "requester");
    check(&|permit| permit.subject.properties.person = None, "requester");
    check(&|permit| permit.purpose = Some("other".into()), "purpose");
    check(&|permit| permit.environment.id = "other".into(), "environment");
    check(&|permit| permit.environment.name = "other".into(), "environment");
    check(&|permit| permit.policy = PolicyDigest::of(b"other"), "policy");
}

#[test]
fn two_spellings_of_one_person_are_one_voice() {
    let (bench, mut job) = queued("asks-b");
    let mut trust = trust();
    for name in ["bob@example.com", "Bob", "carl"] {
        let key = person(name).public_key().to_openssh().unwrap();
        trust.approvers.push(crate::model::trust::Approver { name: name.into(), key });
    }
    let rule = crate::model::reason::ApprovalRule::of(2, vec!["*".into()], 600);
    job.approval = Some(rule.clone());
    let mut counted = |names: &[&str]| {
        job.statements = names
            .iter()
            .map(|name| bench.sign(&job, name, crate::model::statement::Verdict::Approve))
            .collect();
        let counted = crate::policy::approvals::Approvals::count(
            &job,
            crate::text::shown_digest(&job),
            &trust,
            noon(),
        )
        .unwrap();
        (
            counted.approvers().len(),
            counted.facts().unwrap().approvers.len(),
            counted.satisfy(&rule),
        )
    };
    assert_eq!(counted(&["bob", "bob@example.com", "Bob"]), (1, 1, false));
    assert_eq!(counted(&["bob", "Bob", "carl"]), (2, 2, true));
}

#[test]
fn an_approval_lasts_no_longer_than_policy_says() {
    let (bench, mut job) = queued("asks-b");
    let signed = bench.sign(&job, "bob", crate::model::statement::Verdict::Approve);
    let rule = job.approval.clone().unwrap();
    let mut counted = |expires: &str, now: &str| {
        let longer = resigned(&signed, "bob", |said| said.expires = expires.parse().unwrap());
        job.statements = vec![longer];
        let counted = crate::policy::approvals::Approvals::count(
            &job,
            crate::text::shown_digest(&job),
            &trust(),
            now.parse().unwrap(),
        )
        .unwrap();
        (
            counted.approvers().len(),
            counted.satisfy(&rule),
            counted.shortcoming(&rule).unwrap_or_default(),
        )
    };
    let (now, hour) = ("2026-11-23T12:01:00Z", "2026-11-23T13:00:00Z");
    assert_eq!(counted("2026-11-23T12:10:00Z", now), (1, true, String::new()));
    let told = "the approval of `bob` is for 3600 seconds, and policy allows 600; ask again";
    assert_eq!(counted(hour, now), (1, false, told.to_owned()));
    // Ten years later, a signature without an end counts no more than it did on its day.
    for now in [now, "2036-11-23T12:00:00Z"] {
        let (approvers, satisfied, told) = counted("9999-01-01T00:00:00Z", now);
        assert_eq!((approvers, satisfied), (0, false));
        assert!(told.ends_with("and at most 604800 are allowed; ask again"), "{told}");
    }
}

#[test]
fn policy_is_given_the_times_of_each_approval() {
    let (bench, mut job) = queued("asks-b");
    let mut trust = trust();
    let key = person("carl").public_key().to_openssh().unwrap();
    trust.approvers.push(crate::model::trust::Approver { name: "carl".into(), key });
    let approve = |name: &str| bench.sign(&job, name, crate::model::statement::Verdict::Approve);
    let longer = resigned(&approve("carl"), "carl", |said| {
        said.expires = "2026-11-23T13:00:00.5Z".parse().unwrap()
    });
    job.statements = vec![longer, approve("bob")];
    let facts = |now: &str| {
        let counted = crate::policy::approvals::Approvals::count(
            &job,
            crate::text::shown_digest(&job),
            &trust,
            now.parse().unwrap(),
        )
        .unwrap();
        serde_json::to_value(counted.facts().unwrap()).unwrap()
    };
    let issued = "2026-11-23T12:00:00Z";
    let times = |age: u64| {
        serde_json::json!([
            {"approver": "bob", "issued": issued, "expires": "2026-11-23T12:10:00Z",
            "seconds": 600, "age_seconds": age, "escalated_seconds": null},
            {"approver": "carl", "issued": issued, "expires": "2026-11-23T13:00:00Z",
            "seconds": 3601, "age_seconds": age, "escalated_seconds": null},
        ])
    };
    assert_eq!(facts("2026-11-23T12:05:01.9Z")["signatures"], times(301));
    assert_eq!(facts("2026-11-23T12:05:01.9Z")["approvers"], serde_json::json!(["bob", "carl"]));
    // The clock of a machine may be behind by a little: an age is never less than nothing.
    assert_eq!(facts("2026-11-23T11:59:59Z")["signatures"], times(0));
}

#[test]
fn policy_itself_may_bound_how_old_an_approval_is() {
    let (bench, mut job) = queued("asks-young");
    job.statements = vec![bench.sign(&job, "bob", crate::model::statement::Verdict::Approve)];
    let decided = |now: &str| {
        let now: Timestamp = now.parse().unwrap();
        let mut job = job.clone();
        job.permit = Some(permit(&job, now).sign(&gateway_key()).unwrap());
        bench
            .admit(job, &trust(), now)
            .map_or_else(|error| (error.code, error.detail), |_| ("admitted", String::new()))
    };
    assert_eq!(decided("2026-11-23T12:05:00Z").0, "admitted");
    let (code, detail) = decided("2026-11-23T12:05:01Z");
    assert_eq!(code, "policy-denies", "{detail}");
    assert!(detail.contains("the approval is older than 300 seconds"), "{detail}");
}

#[test]
fn further_people_sign_after_their_time_and_not_before() {
    let (bench, mut job) = queued("asks-b");
    let mut trust = trust();
    for name in ["carl", "dora"] {
        let key = person(name).public_key().to_openssh().unwrap();
        trust.approvers.push(crate::model::trust::Approver { name: name.into(), key });
    }
    let later = Escalation { after_seconds: 300, approvers: vec!["carl".into(), "alice".into()] };
    let bob = vec!["bob".to_owned()];
    let rule = ApprovalRule { escalate: Some(later), ..ApprovalRule::of(1, bob, 600) };
    job.approval = Some(rule);
    let decided = |name: &str, escalated: Option<&str>, now: &str| {
        let now: Timestamp = now.parse().unwrap();
        let mut job = job.clone();
        let signed = bench.sign(&job, name, crate::model::statement::Verdict::Approve);
        let signed = resigned(&signed, name, |said| {
            said.escalated = escalated.map(|since| since.parse().unwrap())
        });
        job.statements = vec![signed];
        job.permit = Some(permit(&job, now).sign(&gateway_key()).unwrap());
        let told = |error: Inadmissible| (error.code, error.detail);
        bench.admit(job, &trust, now).map_or_else(told, |_| ("admitted", String::new()))
    };
    let (soon, after) = ("2026-11-23T12:04:00Z", "2026-11-23T12:06:00Z");
    let since = "2026-11-23T12:05:00Z";
    assert_eq!(decided("carl", Some(since), after).0, "admitted");
    assert_eq!(decided("bob", None, soon).0, "admitted");
    assert_eq!(decided("bob", Some(since), after).0, "admitted");
    for (name, escalated, now, expect) in [
        // Before the time, with and without the word of the signer.
        ("carl", None, soon, "only from 300 seconds after the question on"),
        ("carl", Some(since), soon, "which is still to come"),
        // Signed before, and run after.
        ("carl", None, after, "only from 300 seconds after the question on"),
        (
            "carl",
            Some("2026-11-23T12:04:59Z"),
            after,
            "only from 300 seconds after the question on",
        ),
        // A party of the call stays one, and a person whom no group has stays out.
        ("alice", Some(since), after, "asked for this and cannot approve it"),
        ("dora", Some(since), after, "are not those that were asked for"),
    ] {
        let (code, detail) = decided(name, escalated, now);
        assert_eq!(code, "approval-missing", "{name} {escalated:?} {now}");
        assert!(detail.contains(expect), "{name} {escalated:?} {now}: {detail}");
    }
}
