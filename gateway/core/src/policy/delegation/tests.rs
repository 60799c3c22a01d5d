//! A delegation counts only as its absent approver signed it, and gives no more than their voice.

use super::*;
use crate::model::statement::{SignedStatement, Statement, Verdict};
use crate::policy::approvals::Approvals;
use crate::testing::*;
use jiff::SignedDuration;

/// A delegation of this person, changed first, and signed with the key of the signer.
fn delegation(
    (from, to): (&str, &str),
    signer: &str,
    change: impl FnOnce(&mut Delegation),
) -> SignedDelegation {
    let mut delegation = Delegation {
        schema: DELEGATION_SCHEMA.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        environment: trust().environment,
        issued: noon(),
        until: noon() + SignedDuration::from_hours(24),
    };
    change(&mut delegation);
    let delegation = json::canonical(&delegation).unwrap();
    let signature = person(signer)
        .sign(DELEGATION_NAMESPACE, ssh_key::HashAlg::Sha512, delegation.as_bytes())
        .unwrap()
        .to_pem(ssh_key::LineEnding::LF)
        .unwrap();
    SignedDelegation { delegation, signature }
}

/// The trust file of the tests with one more approver, carl, and these delegations.
fn with(delegations: Vec<SignedDelegation>) -> Trust {
    let mut trust = trust();
    for name in ["carl", "dora"] {
        let key = person(name).public_key().to_openssh().unwrap();
        trust.approvers.push(Approver { name: name.to_owned(), key });
    }
    Trust { delegations, ..trust }
}

#[test]
fn each_wrong_delegation_has_its_code() {
    let trust = with(vec![]);
    let code = |signed: &SignedDelegation| {
        verify(signed, &trust.approvers, &trust.environment)
            .map_or_else(|error| error.code(), |_| "good")
    };
    let from_bob = |change: fn(&mut Delegation)| delegation(("bob", "carl"), "bob", change);
    assert_eq!(code(&from_bob(|_| {})), "good");
    assert_eq!(code(&delegation(("bob", "carl"), "carl", |_| {})), "signature");
    assert_eq!(code(&delegation(("bob", "carl"), "mallory", |_| {})), "signature");
    assert_eq!(code(&from_bob(|own| own.schema = "cofferdam.approval.v1".into())), "signature");
    assert_eq!(code(&from_bob(|own| own.to = "mallory".into())), "delegate");
    assert_eq!(code(&from_bob(|own| own.to = "bob".into())), "delegate");
    assert_eq!(code(&from_bob(|own| own.environment.id = "other".into())), "environment");
    assert_eq!(code(&from_bob(|own| own.until = own.issued)), "length");
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    assert_eq!(
        code(&delegation(("bob", "carl"), "bob", |own| own.until = own.issued + days(30))),
        "good"
    );
    assert_eq!(
        code(&delegation(("bob", "carl"), "bob", |own| own.until = own.issued + days(31))),
        "length"
    );
    let device = crate::testing::authenticator::Authenticator::es256("bob");
    let mut with_passkey = trust.clone();
    with_passkey.approvers.push(Approver { name: "bob".into(), key: device.line() });
    let text = from_bob(|_| {}).delegation;
    let by_passkey = SignedDelegation { signature: device.approve(&text), delegation: text };
    let refused = verify(&by_passkey, &with_passkey.approvers, &trust.environment);
    assert_eq!(refused.unwrap_err().code(), "signature", "a passkey signs what a page chose");
    let SignedDelegation { delegation, signature } = from_bob(|_| {});
    let spaced = SignedDelegation { delegation: format!("{delegation} "), signature };
    assert_eq!(code(&spaced), "signature");
}

/// Carl's signature for a call that bob alone may approve, in this place.
fn signed(name: &str, place: Option<&str>) -> (crate::model::job::StoredJob, SignedStatement) {
    let job = waiting();
    let place = place.map(str::to_owned);
    let signed = Bench::new().sign_with(&job, name, |said: &mut Statement| {
        said.stands_for = place;
        said.verdict = Verdict::Approve;
    });
    (job, signed)
}

/// The people who count for a rule, and whether it is satisfied.
fn counted(
    signatures: &[(&str, Option<&str>)],
    (trust, rule): (&Trust, &ApprovalRule),
    now: Timestamp,
) -> (Vec<String>, bool) {
    let (mut job, _) = signed("bob", None);
    job.statements = signatures.iter().map(|(name, place)| signed(name, *place).1).collect();
    let shown = crate::text::shown_digest(&job);
    let found = Approvals::count(&job, shown, trust, now).unwrap();
    (found.signers(), found.satisfy(rule))
}

#[test]
fn a_delegate_has_the_voice_of_the_absent_one_and_no_more() {
    let rule = |quorum, names: &[&str]| {
        ApprovalRule::of(quorum, names.iter().map(|name| (*name).to_owned()).collect(), 3_600)
    };
    let bob_to_carl = || delegation(("bob", "carl"), "bob", |_| {});
    let open = with(vec![bob_to_carl()]);
    let one = rule(1, &["bob"]);
    let told = |signatures: &[(&str, Option<&str>)], trust: &Trust, rule: &ApprovalRule| {
        let (signers, enough) = counted(signatures, (trust, rule), noon());
        format!("{} {enough}", signers.join(", "))
    };
    let for_bob = ("carl", Some("bob"));
    assert_eq!(told(&[for_bob], &open, &one), "carl for bob true");
    assert_eq!(told(&[("carl", None)], &open, &one), "carl false", "for themselves");
    assert_eq!(told(&[("dora", Some("bob"))], &open, &one), " false", "another person");
    assert_eq!(told(&[for_bob], &with(vec![]), &one), " false", "ended");
    let forged = with(vec![delegation(("bob", "carl"), "carl", |_| {})]);
    assert_eq!(told(&[for_bob], &forged, &one), " false", "signed by the delegate");
    let later = noon() + SignedDuration::from_secs(60);
    let short = with(vec![delegation(("bob", "carl"), "bob", |own| {
        own.until = noon() + SignedDuration::from_secs(60);
    })]);
    assert!(counted(&[for_bob], (&short, &one), noon()).1);
    assert!(!counted(&[for_bob], (&short, &one), later).1, "its time is over");
    // Two people with one voice, and one person with two.
    let two = rule(2, &["bob", "dora"]);
    assert_eq!(told(&[for_bob, ("bob", None)], &open, &two), "bob false");
    assert_eq!(told(&[for_bob, ("dora", None)], &open, &two), "carl for bob, dora true");
    let both = with(vec![bob_to_carl(), delegation(("dora", "carl"), "dora", |_| {})]);
    assert_eq!(told(&[for_bob, ("carl", Some("dora"))], &both, &two), "carl for bob false");
    // A delegate passes nothing on.
    let chain = with(vec![bob_to_carl(), delegation(("carl", "dora"), "carl", |_| {})]);
    assert_eq!(told(&[("dora", Some("bob"))], &chain, &one), " false");
    assert_eq!(told(&[("dora", Some("carl"))], &chain, &one), "dora for carl false");
}

#[test]
fn a_party_of_the_call_gains_nothing_by_a_delegation() {
    // The agent of the tests works for alice.
    let subject = agent().subject();
    let rule = ApprovalRule::of(1, vec!["bob".to_owned()], 3_600);
    let to_alice = with(vec![delegation(("bob", "alice"), "bob", |_| {})]);
    let place = |name: &str, rule: &ApprovalRule, trust: &Trust| {
        stands_for(name, (rule, 0), &subject, (trust, noon()), &[])
            .map_err(|error| error.to_string())
    };
    assert!(place("alice", &rule, &to_alice).unwrap_err().contains("`alice` asked for this"));
    let from_alice = with(vec![delegation(("alice", "carl"), "alice", |_| {})]);
    let hers = ApprovalRule::of(1, vec!["alice".to_owned()], 3_600);
    assert!(place("carl", &hers, &from_alice).unwrap_err().contains("does not name `carl`"));
    assert_eq!(counted(&[("carl", Some("alice"))], (&from_alice, &hers), noon()).0.len(), 0);
    // Also where the person may approve for themselves: then only where policy names them.
    for trust in [to_alice, from_alice] {
        let single = Trust { self_approval: true, ..trust };
        let (name, absent) = if single.delegations.iter().any(|own| own.delegation.contains("carl"))
        {
            ("carl", "alice")
        } else {
            ("alice", "bob")
        };
        let own = ApprovalRule::of(1, vec![absent.to_owned()], 3_600);
        assert!(
            place(name, &own, &single).unwrap_err().contains(&format!("does not name `{name}`"))
        );
        assert_eq!(counted(&[(name, Some(absent))], (&single, &own), noon()).0.len(), 0);
    }
    let good = with(vec![delegation(("bob", "carl"), "bob", |_| {})]);
    assert_eq!(place("carl", &rule, &good), Ok(Some("bob".to_owned())));
    assert_eq!(place("bob", &rule, &good), Ok(None));
}
