//! The subject of a signature: each signed value is compared on its own, and a signature over
//! another value does not count.

use super::*;
use crate::model::id::CallId;
use crate::model::statement::Verdict;
use crate::testing::*;

/// The result of bob's signature for this job, where his statement differs in one value.
fn judged(change: impl Fn(&mut Statement)) -> Result<String, String> {
    let job = waiting();
    let signed = resigned(&Bench::new().sign(&job, "bob", Verdict::Approve), "bob", change);
    let subject = job.principal.subject();
    let question = Question {
        call: &job.call,
        plan: job.plan_digest,
        preview: job.preview_digest,
        subject: &subject,
        environment: &job.environment,
        policy: job.policy,
        now: noon(),
    };
    verify(&signed, &question, &trust()).map(|verified| verified.approver().to_owned()).map_err(
        |error| match error {
            ApprovalError::Other(what) => what.to_owned(),
            other => format!("{other:?}"),
        },
    )
}

#[test]
fn a_signature_is_for_exactly_what_was_asked() {
    let check = |change: &dyn Fn(&mut Statement), expect: &str| {
        assert_eq!(judged(change), Err(expect.to_owned()))
    };
    assert_eq!(judged(|_| {}), Ok("bob".to_owned()));
    check(&|said| said.schema = "cofferdam.approval.v0".into(), "kind of statement");
    check(&|said| said.call = CallId::from_random(99), "call");
    check(&|said| said.plan = PlanDigest::of(b"other"), "plan");
    check(&|said| said.preview = PreviewDigest::of(b"other"), "state of the infrastructure");
    check(&|said| said.subject.id = "other".into(), "requester");
    check(&|said| said.subject.kind = "anonymous".into(), "requester");
    check(&|said| said.subject.properties.roles.push("admin".into()), "requester");
    check(&|said| said.subject.properties.person = None, "requester");
    check(&|said| said.subject.properties.act.push("planner".into()), "requester");
    check(&|said| said.environment.name = "other".into(), "environment");
    check(&|said| said.environment.id = "other".into(), "environment");
    check(&|said| said.policy = PolicyDigest::of(b"other"), "policy");
}

#[test]
fn policy_names_people_exactly_and_a_near_name_is_told() {
    let named = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let rule = crate::model::reason::ApprovalRule::of(1, names, 600);
        check_signer("bob", (&rule, 0), &agent().subject(), &trust())
    };
    assert!(named(&["bob"]).is_ok());
    assert!(named(&["carl", "*"]).is_ok());
    assert!(matches!(named(&["carl"]), Err(ApprovalError::NotNamed(_))));
    for spelling in ["Bob", "bob@example.com"] {
        let error = named(&["carl", spelling]).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!(
                "policy names `{spelling}`, and this key is enrolled for `bob`"
            )),
            "{error}"
        );
    }
}

#[test]
fn an_approval_has_a_bounded_time() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let error =
        |change: &dyn Fn(&mut Statement)| judged(change).err().unwrap_or_else(|| "good".to_owned());
    let week = i64::try_from(limit::APPROVAL_SECONDS_MOST).unwrap();
    let after = |seconds| noon() + jiff::SignedDuration::from_secs(seconds);
    assert_eq!(error(&|said| said.expires = after(week)), "good");
    assert_eq!(error(&|said| said.expires = after(week + 1)), format!("Long({})", week + 1));
    assert_eq!(
        error(&|said| said.expires = after(week) + jiff::SignedDuration::from_millis(1)),
        format!("Long({})", week + 1)
    );
    assert!(error(&|said| said.expires = at("9999-01-01T00:00:00Z")).starts_with("Long("));
    assert!(error(&|said| said.issued = Some(at("2020-01-01T00:00:00Z"))).starts_with("Long("));
    assert!(error(&|said| said.expires = noon()).starts_with("Expired("));
    assert_eq!(error(&|said| said.issued = Some(after(limit::CLOCK_SECONDS))), "good");
    assert!(
        error(&|said| said.issued = Some(after(limit::CLOCK_SECONDS + 1))).starts_with("Early(")
    );
}

#[test]
fn a_statement_of_an_older_version_is_read_and_does_not_count() {
    assert_eq!(judged(|said| said.issued = None), Err("Undated".to_owned()));
    assert!(
        ApprovalError::Undated
            .to_string()
            .ends_with("an older version of Cofferdam signed it; ask again")
    );
}

#[test]
fn no_identity_of_an_access_token_approves() {
    let mut subject = agent().subject();
    subject.id = "idp:planner:5b2c@users".into();
    subject.properties.person = Some("alice@example.com".into());
    subject.properties.act = vec!["scheduler".into(), "carl@example.com".into()];
    let may = |name: &str, trust: &Trust| check_party(name, &subject, trust).is_ok();
    for party in [
        "idp:planner:5b2c@users",
        "planner",
        "5b2c",
        "alice",
        "Alice@example.com",
        "scheduler",
        "carl",
    ] {
        assert!(!may(party, &trust()), "{party}");
    }
    assert!(may("bob", &trust()), "the same question, and a person outside of the chain");
    let single = Trust { self_approval: true, ..trust() };
    assert!(may("alice", &single), "where a person may approve for themselves");
    assert!(!may("planner", &single) && !may("carl", &single) && !may("5b2c", &single));
    subject.id = "idp:planner:alice@example.com".into();
    let may = |name: &str, trust: &Trust| check_party(name, &subject, trust).is_ok();
    assert!(may("alice", &single) && !may("alice", &trust()));
}
