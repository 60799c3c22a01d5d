//! Approvals by passkey: the same rules as for SSH keys, in the count of gateway, recorder and
//! runner alike.

use crate::model::reason::ApprovalRule;
use crate::model::statement::{SignedStatement, Statement, Verdict};
use crate::model::trust::{Approver, Trust};
use crate::policy::approval::verify_alone;
use crate::policy::approvals::{Approvals, Rejected};
use crate::testing::authenticator::{Authenticator, PRESENT};
use crate::testing::{asked, noon, trust};
use serde_json::Value;

/// A trust file in which bob and carl have a passkey each, and bob his SSH key too.
fn with_passkeys() -> Trust {
    let mut trust = trust();
    for name in ["bob", "carl"] {
        let key = Authenticator::es256(name).line();
        trust.approvers.push(Approver { name: name.to_owned(), key });
    }
    trust
}

fn by_passkey(signed: &SignedStatement, name: &str) -> SignedStatement {
    let signature = Authenticator::es256(name).approve(&signed.statement);
    SignedStatement { statement: signed.statement.clone(), signature }
}

#[test]
fn a_passkey_approves_one_statement_and_its_owner_is_one_voice() {
    let host = asked();
    let job = host.jobs.lock().unwrap()[0].0.clone();
    let count = |statements: Vec<SignedStatement>, trust: &Trust| {
        let mut job = job.clone();
        job.statements = statements;
        let shown = crate::text::shown_digest(&job);
        let counted = Approvals::count(&job, shown, trust, noon()).unwrap();
        let rule = ApprovalRule::of(1, vec!["*".into()], 600);
        (counted.approvers().join(" "), counted.shortcoming(&rule).unwrap_or_default())
    };
    let trust = with_passkeys();
    let ssh = host.sign(&job, "bob", Verdict::Approve);
    let good = by_passkey(&ssh, "bob");
    assert_eq!(count(vec![good.clone()], &trust), ("bob".to_owned(), String::new()));
    // Two kinds of keys of one person are one voice; two people are two.
    assert_eq!(count(vec![ssh.clone(), good.clone()], &trust).0, "bob");
    assert_eq!(count(vec![ssh.clone(), by_passkey(&ssh, "carl")], &trust).0, "bob carl");
    let check = |signed: SignedStatement, trust: &Trust, expect: &str| {
        let (approvers, told) = count(vec![signed], trust);
        assert_eq!(approvers, "");
        assert!(told.contains(expect), "{told}");
    };
    // An assertion for another call, verdict, shown text or expiry, on this statement.
    let change = |change: &dyn Fn(&mut Value)| {
        let mut statement: Value = serde_json::from_str(&ssh.statement).unwrap();
        change(&mut statement);
        let statement: Statement = serde_json::from_value(statement).unwrap();
        statement.canonical().unwrap().0
    };
    for (name, value) in [
        ("call", "aaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("verdict", "reject"),
        ("nonce", "0"),
        ("expires", "2026-11-23T12:09:00Z"),
    ] {
        let other = change(&|statement| statement[name] = value.into());
        let moved = SignedStatement {
            statement: ssh.statement.clone(),
            signature: Authenticator::es256("bob").approve(&other),
        };
        check(moved, &trust, "the passkey signed something else");
        if !["verdict", "expires"].contains(&name) {
            let signature = Authenticator::es256("bob").approve(&other);
            check(SignedStatement { statement: other, signature }, &trust, "is for another");
        }
    }
    let bob = Authenticator::es256("bob");
    let challenge = crate::policy::passkey::challenge_of(&ssh.statement);
    let client = bob.client_data("webauthn.get", &challenge).to_string();
    let signature = bob.sign(client.as_bytes(), &bob.data(PRESENT));
    let unverified = SignedStatement { statement: ssh.statement.clone(), signature };
    check(unverified, &trust, "did not verify its owner");
    let evil = Authenticator::es256("bob").at("https://evil.example.com");
    let signature = evil.approve(&ssh.statement);
    let elsewhere = SignedStatement { statement: ssh.statement.clone(), signature };
    check(elsewhere, &trust, "signed on a page of `https://evil.example.com`");
    // A removed passkey counts no more, and an enrolled SSH key is not one.
    check(good, &crate::testing::trust(), "the signing key is not enrolled");
}

#[test]
fn a_denial_by_passkey_ends_the_count_and_the_requester_never_approves() {
    let host = asked();
    let mut job = host.jobs.lock().unwrap()[0].0.clone();
    let mut trust = with_passkeys();
    let denial = by_passkey(&host.sign(&job, "bob", Verdict::Reject), "bob");
    job.statements = vec![denial];
    let shown = crate::text::shown_digest(&job);
    let ended = Approvals::count(&job, shown, &trust, noon()).unwrap_err();
    assert_eq!(ended, Rejected { approver: "bob".to_owned(), reason: "not today".to_owned() });
    // The agent works for alice.
    let key = Authenticator::eddsa("alice").line();
    trust.approvers.push(Approver { name: "alice".to_owned(), key });
    let ssh = host.sign(&job, "alice", Verdict::Approve);
    let signature = Authenticator::eddsa("alice").approve(&ssh.statement);
    job.statements = vec![SignedStatement { statement: ssh.statement, signature }];
    let counted = Approvals::count(&job, shown, &trust, noon()).unwrap();
    let rule = ApprovalRule::of(1, vec!["*".into()], 600);
    assert_eq!(counted.approvers(), Vec::<String>::new());
    let told = counted.shortcoming(&rule).unwrap();
    assert!(told.contains("`alice` asked for this and cannot approve it"), "{told}");
}

#[test]
fn a_reader_without_a_question_refuses_another_form_schema_or_key() {
    let host = asked();
    let job = host.jobs.lock().unwrap()[0].0.clone();
    let (signed, trust) = (host.sign(&job, "bob", Verdict::Approve), with_passkeys());
    let judged = |statement: String| {
        let device = Authenticator::es256("bob");
        let signed = SignedStatement { signature: device.approve(&statement), statement };
        verify_alone(&signed, &trust.approvers)
            .map(|(approver, _)| approver.name.clone())
            .map_err(|error| error.to_string())
    };
    assert_eq!(judged(signed.statement.clone()), Ok("bob".to_owned()));
    let other = signed.statement.replace("cofferdam.approval.v", "cofferdam.approval.w");
    for (statement, expect) in [
        (other, "another kind of statement"),
        (format!("{} ", signed.statement), "another spelling of the statement"),
        ("{}".to_owned(), "the statement is not readable"),
    ] {
        let told = judged(statement.clone()).unwrap_err();
        assert!(told.contains(expect), "{statement}: {told}");
    }
    assert!(verify_alone(&signed, &[]).is_err());
}
