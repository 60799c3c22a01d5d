//! The same call again, over the small world.

use crate::journey::ports::no_progress;
use crate::journey::{Mode, Resumed, Wait, ask, job, resume};
use crate::model::answer::Reply;
use crate::model::run::Outcome;
use crate::model::statement::Verdict;
use crate::testing::*;
use expect_test::{Expect, expect};
use serde_json::Value;

fn text(reply: &Reply) -> String {
    match reply {
        Reply::Success(success) => success.text.clone(),
        Reply::Refused(refusal) => refusal.text(),
        other => format!("{other:?}"),
    }
}

fn called(host: &Bench, arguments: Value, key: Option<&str>) -> Reply {
    let mut raw = raw(host, arguments);
    raw.key = key.map(str::to_owned);
    now_or_never(ask(host, &world(), raw, Mode::Call, &no_progress))
}

fn jobs(host: &Bench) -> usize {
    host.jobs.lock().unwrap().len()
}

fn check(reply: &Reply, expect: Expect) {
    let text = text(reply);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("Plan: ")).collect();
    expect.assert_eq(&lines.join("\n"));
}

const NOT_HELD: Wait<'static> = Wait { ms: 0, person_ms: 0, progress: &no_progress };

#[test]
fn what_was_done_a_moment_ago_is_not_done_twice() {
    let host = Bench::new();
    assert!(text(&called(&host, scale("team-a", 5), None)).starts_with("DONE"));
    let again = called(&host, scale("team-a", 5), None);
    check(
        &again,
        expect![[r#"
            ALREADY DONE as baaaaaaaaaaaaaaaaaaaaaaaaa, 12 seconds ago; nothing was done now
            Environment: staging
            Changed: edited team/web.yaml; not committed, not rolled out
            patch Deployment web in namespace team-a
              spec.replicas: 3 → 5
            Compared: The fields that it set are as it left them, and what it deleted is absent; other fields were not compared.
            Next: The same call is carried out again 60 seconds after that one ended.
            Ledger: 0"#]],
    );
    let Reply::Success(again) = again else { panic!() };
    assert_eq!(
        (
            again.structured["outcome"].as_str(),
            again.structured["already_done"]["seconds_ago"].as_u64()
        ),
        (Some("succeeded"), Some(12))
    );
    assert_eq!(
        (jobs(&host), host.entries.lock().unwrap().len()),
        (1, 1),
        "nothing new is recorded"
    );
}

#[test]
fn objects_that_differ_since_make_it_a_new_call() {
    let host = Bench::new();
    let _done = called(&host, scale("team-a", 5), None);
    host.meddle("team-a", 7);
    let again = text(&called(&host, scale("team-a", 5), None));
    assert!(again.starts_with("DONE caa") && again.contains("7 → 5"), "{again}");
    // There and back: what the first one left is not there any more.
    let _back = called(&host, scale("team-a", 3), None);
    assert!(text(&called(&host, scale("team-a", 5), None)).contains("3 → 5"));
    assert_eq!(jobs(&host), 4);
}

#[test]
fn fields_that_the_plan_does_not_name_make_it_no_new_call() {
    let host = Bench::new();
    let _done = called(&host, scale("team-a", 5), None);
    *host.elsewhere.lock().unwrap() += 1;
    let again = text(&called(&host, scale("team-a", 5), None));
    assert!(
        again.starts_with("ALREADY DONE as baa")
            && again.contains("other fields were not compared"),
        "{again}"
    );
    assert_eq!(jobs(&host), 1);
}

#[test]
fn a_lost_answer_of_the_store_is_no_refusal() {
    let host = Bench::new();
    host.failing.lock().unwrap().push(("enqueue", "lost"));
    let Reply::Unavailable { reason } = called(&host, scale("team-a", 5), None) else { panic!() };
    expect![
        "it is not known whether the call was recorded; nothing was executed yet. The same call \
         again joins it where it was"
    ]
    .assert_eq(&reason);
    assert!(text(&called(&host, scale("team-a", 5), None)).starts_with("ALREADY DONE as baa"));
    assert_eq!(jobs(&host), 1);
}

#[test]
fn what_was_changed_elsewhere_after_a_person_was_asked_is_told() {
    let host = Bench::new();
    let _waiting = called(&host, scale("asks-b", 5), None);
    let asked = host.jobs.lock().unwrap()[0].0.clone();
    *host.elsewhere.lock().unwrap() += 1;
    let signed = host.sign(&asked, "bob", Verdict::Approve);
    host.jobs.lock().unwrap()[0].0.statements.push(signed);
    assert_eq!(
        now_or_never(resume(&host, &world(), 0)),
        Ok(Resumed::Permitted(asked.call.clone()))
    );
    let told = now_or_never(job(&host, &world(), &agent(), &asked.call, NOT_HELD));
    check(
        &told,
        expect![[r#"
            DONE baaaaaaaaaaaaaaaaaaaaaaaaa in staging
            Changed: edited team/web.yaml; not committed, not rolled out
            Meanwhile: `metadata.generation` of Deployment web in namespace asks-b was 0 and is 1.
            patch Deployment web in namespace asks-b
              spec.replicas: 3 → 5
            Ledger: 0"#]],
    );
    let Reply::Success(told) = told else { panic!() };
    assert!(told.structured["meanwhile"].as_str().unwrap().ends_with("was 0 and is 1."));
}

#[test]
fn an_obligation_of_policy_stops_over_a_change_elsewhere() {
    let host = Bench::new();
    let _waiting = called(&host, scale("asks-still", 5), None);
    let mut asked = host.jobs.lock().unwrap()[0].0.clone();
    asked.statements.push(host.sign(&asked, "bob", Verdict::Approve));
    host.jobs.lock().unwrap()[0].0 = asked.clone();
    let (permitted, stops) = (
        Resumed::Permitted(asked.call.clone()),
        "`metadata.generation` of Deployment web in namespace asks-still was 0",
    );
    // The gateway, before it signs a permit.
    *host.elsewhere.lock().unwrap() = 1;
    let Ok(Resumed::Withdrawn { code, detail, .. }) = now_or_never(resume(&host, &world(), 0))
    else {
        panic!()
    };
    assert!(code == "world-differs" && detail.starts_with(stops), "{code}: {detail}");
    assert!(
        detail
            .ends_with("and is 1; policy obliges to stop over any change of the object; ask again"),
        "{detail}"
    );
    // The runner, before it acts; and without the change it runs.
    *host.elsewhere.lock().unwrap() = 0;
    assert_eq!(now_or_never(resume(&host, &world(), 0)), Ok(permitted));
    let job = host.jobs.lock().unwrap()[0].0.clone();
    host.meddle("asks-still", 3);
    *host.elsewhere.lock().unwrap() = 1;
    let refused = host.admit(job.clone(), &trust(), noon()).map(drop).unwrap_err();
    assert!(refused.code == "world-differs" && refused.detail.starts_with(stops), "{refused:?}");
    *host.elsewhere.lock().unwrap() = 0;
    assert!(host.admit(job, &trust(), noon()).unwrap().unchanged());
}

#[test]
fn an_obligation_that_is_not_known_in_full_denies() {
    let host = Bench::new();
    assert!(text(&called(&host, scale("still", 5), None)).starts_with("DONE"));
    for namespace in ["still-file", "still-more", "still-none"] {
        let denied = text(&called(&host, scale(namespace, 5), None));
        assert!(
            denied.contains(" by obligation-unsupported in ")
                && denied.contains("obliges to `unchanged`"),
            "{denied}"
        );
    }
}

#[test]
fn a_call_that_was_withdrawn_is_told_without_an_error() {
    let host = Bench::new();
    let _waiting = called(&host, scale("asks-b", 5), None);
    let call = {
        let mut jobs = host.jobs.lock().unwrap();
        jobs[0].1.outcome = Some(Outcome::Cancelled);
        jobs[0].0.call.clone()
    };
    let told = now_or_never(job(&host, &world(), &agent(), &call, NOT_HELD));
    assert!(
        matches!(told, Reply::Success(_)) && text(&told).starts_with("WITHDRAWN baa"),
        "{}",
        text(&told)
    );
    // The call itself was not carried out: that is an error to those who wait for it.
    let mut keyed = host.jobs.lock().unwrap()[0].1.clone();
    keyed.outcome = Some(Outcome::Cancelled);
    assert!(matches!(crate::text::job_reply(&keyed), Reply::Refused(_)));
}

#[test]
fn a_key_that_stands_for_a_failed_call_says_whose_end_it_is() {
    let host = Bench::new();
    let _done = called(&host, scale("team-a", 5), Some("k1"));
    {
        let mut jobs = host.jobs.lock().unwrap();
        (jobs[0].1.outcome, jobs[0].1.detail) =
            (Some(Outcome::Failed), "operation 0 was not done".to_owned());
    }
    check(
        &called(&host, scale("team-a", 5), Some("k1")),
        expect![[r#"
            FAILED baaaaaaaaaaaaaaaaaaaaaaaaa by the runner in staging
            Nothing was changed.
            Why: An earlier call with this idempotency key ended so. Operation 0 was not done.
            Allowed: The same call with a new idempotency key: it is checked and decided again.
            Next: Look at the infrastructure, then ask again."#]],
    );
}

#[test]
fn a_new_key_is_a_new_call_and_the_same_key_the_first_outcome() {
    let host = Bench::new();
    assert!(text(&called(&host, scale("team-a", 5), Some("k1"))).starts_with("DONE baa"));
    let first = called(&host, scale("team-a", 5), Some("k1"));
    check(
        &first,
        expect![[r#"
            ALREADY DONE as baaaaaaaaaaaaaaaaaaaaaaaaa, by the earlier call with this idempotency key; nothing was done now
            Environment: staging
            Changed: edited team/web.yaml; not committed, not rolled out
            patch Deployment web in namespace team-a
              spec.replicas: 3 → 5
            Next: Ask with a new idempotency key to have it carried out again.
            Ledger: 0"#]],
    );
    host.meddle("team-a", 7);
    assert!(text(&called(&host, scale("team-a", 5), Some("k2"))).contains("7 → 5"));
    assert_eq!(called(&host, scale("team-a", 5), Some("k1")), first);
    assert_eq!(jobs(&host), 2);
}

#[test]
fn a_delete_that_was_done_is_told_and_a_question_is_joined() {
    let host = Bench::new();
    let waiting = called(&host, scale("team-a", DELETES), None);
    assert_eq!(called(&host, scale("team-a", DELETES), None), waiting);
    let asked = host.jobs.lock().unwrap()[0].0.clone();
    let signed = host.sign(&asked, "bob", Verdict::Approve);
    host.jobs.lock().unwrap()[0].0.statements.push(signed);
    assert_eq!(
        now_or_never(resume(&host, &world(), 0)),
        Ok(Resumed::Permitted(asked.call.clone()))
    );
    let followed = now_or_never(job(&host, &world(), &agent(), &asked.call, NOT_HELD));
    assert!(
        text(&followed).contains("delete Deployment web in namespace team-a"),
        "{}",
        text(&followed)
    );
    let again = text(&called(&host, scale("team-a", DELETES), None));
    assert!(again.starts_with("ALREADY DONE as baa"), "{again}");
    host.meddle("team-a", 3);
    assert!(
        text(&called(&host, scale("team-a", DELETES), None)).starts_with("WAITING"),
        "it was made again"
    );
}

#[test]
fn a_call_without_a_job_says_what_it_was() {
    let host = Bench::new();
    let _denied = called(&host, scale("team-a", 40), None);
    let call = host.entries.lock().unwrap()[0].call.clone().unwrap();
    let told = now_or_never(job(&host, &world(), &agent(), &call, NOT_HELD));
    check(
        &told,
        expect![[r#"
            ENDED baaaaaaaaaaaaaaaaaaaaaaaaa in staging
            Nothing was changed.
            What: A call of `deployment_scale`, denied by `replicas-limit`.
            When: 2026-11-23T12:00:00Z; it left no job.
            Next: Make the call again if you still need it.
            Ledger: 0"#]],
    );
}
