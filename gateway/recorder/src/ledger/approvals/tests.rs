//! A small ledger: bob's SSH key and carl's passkey approve one call, which is decided and acts.
//! Each test changes one thing of it, with the recorder's own means.

use super::*;
use crate::ledger::leaf::{RecordKey, seal, time_text};
use crate::ledger::note::origin;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::StatementDigest;
use cofferdam_core::model::id::{Fence, PlanDigest, PolicyDigest, PreviewDigest, ShownDigest};
use cofferdam_core::model::json;
use cofferdam_core::model::record::Entry;
use cofferdam_core::model::retention::Retained;
use cofferdam_core::model::statement::{
    NAMESPACE, STATEMENT_SCHEMA, SignedStatement, Statement, Verdict,
};
use cofferdam_core::model::trust::Environment;
use cofferdam_core::protocol::operator_recorder::ApprovalPayload;
use cofferdam_testkit::authenticator::Authenticator;
use cofferdam_testkit::build::{approver, call_id, principal, ssh_key};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn agent() -> Principal {
    Principal { person: Some("alice".to_owned()), ..principal("release") }
}

fn statement(call: &CallId) -> Statement {
    Statement {
        schema: STATEMENT_SCHEMA.to_owned(),
        call: call.clone(),
        verdict: Verdict::Approve,
        reason: String::new(),
        plan: PlanDigest::of(b"plan"),
        preview: PreviewDigest::of(b"preview"),
        shown: ShownDigest::of(b"shown"),
        subject: agent().subject(),
        environment: Environment { name: "test".to_owned(), id: "4f2a".to_owned() },
        policy: PolicyDigest::of(b"policy"),
        nonce: "0".repeat(32),
        issued: Some(at("2026-11-30T12:00:00Z")),
        escalated: None,
        stands_for: None,
        expires: at("2026-11-30T12:30:00Z"),
    }
}

fn by_ssh(person: &str, statement: &Statement) -> SignedStatement {
    let (statement, _) = statement.canonical().unwrap();
    let signature =
        ssh_key(person).sign(NAMESPACE, ssh_key::HashAlg::Sha512, statement.as_bytes()).unwrap();
    SignedStatement { signature: signature.to_pem(ssh_key::LineEnding::LF).unwrap(), statement }
}

fn by_passkey(person: &str, statement: &Statement) -> SignedStatement {
    let (statement, _) = statement.canonical().unwrap();
    let signature = Authenticator::es256(person).approve(&statement);
    SignedStatement { statement, signature }
}

/// An entry about the call, as gateway and recorder make it.
fn entry(call: &CallId, event: Event) -> Entry {
    let mut entry = Entry::of(event, Some(call.clone()), "release");
    let said = statement(call);
    (entry.plan, entry.preview, entry.policy) =
        (Some(said.plan), Some(said.preview), Some(said.policy));
    entry
}

/// The entry of a signature.
fn signed(call: &CallId, person: &str, signed: &SignedStatement) -> Entry {
    let said: Statement = json::strict_into(signed.statement.as_bytes()).unwrap();
    let verdict = if said.verdict == Verdict::Approve { "approve" } else { "reject" };
    let event = Event::Signed {
        statement: StatementDigest::of(signed.statement.as_bytes()),
        approver: person.to_owned(),
        verdict: verdict.to_owned(),
        stands_for: None,
    };
    let rule = r#"{"quorum":2,"approvers":["*"],"expires_seconds":1800}"#;
    Entry { preview: None, policy: None, ..entry(call, event) }
        .with(
            SIGNED,
            serde_json::json!({"by": "1000", "statement": signed.statement,
            "signature": signed.signature})
            .to_string(),
        )
        .with(RULE, rule.to_owned())
}

/// The entries of the call.
fn story(call: &CallId) -> Vec<Entry> {
    let said = statement(call);
    vec![
        entry(call, Event::Asked),
        signed(call, "bob", &by_ssh("bob", &said)),
        signed(call, "carl", &by_passkey("carl", &said)),
        entry(call, Event::Intended),
        entry(call, Event::Started { operation: 0, undo: false, fence: Fence(1) }),
    ]
}

fn trusted() -> People {
    let carl = Approver { name: "carl".to_owned(), key: Authenticator::es256("carl").line() };
    People { approvers: vec![approver("bob"), carl], expected: true, self_approval: false }
}

/// An exported ledger.
struct Exported {
    entries: ApprovalEntries,
    lines: Vec<ApprovalPayload>,
}

impl Exported {
    /// A ledger with these entries, 20 seconds apart.
    fn of(story: Vec<Entry>) -> Self {
        let (mut entries, mut lines) = (ApprovalEntries::default(), Vec::new());
        for (entry, index) in story.into_iter().zip(0u64..) {
            let key: RecordKey = [u8::try_from(index).unwrap(); 32];
            let seconds = 20 * i64::try_from(index).unwrap();
            let time = at("2026-11-30T12:01:00Z") + jiff::SignedDuration::from_secs(seconds);
            let name = origin("4f2a");
            let (text, _) = seal(&entry, &name, index, &time_text(time), &key, None).unwrap();
            if matches!(entry.event, Event::Signed { .. }) {
                let key = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key);
                lines.push(ApprovalPayload { index, key, payloads: entry.payloads.clone() });
            }
            entries.take(json::strict_into(text.as_bytes()).unwrap());
        }
        Self { entries, lines }
    }

    fn check(&self, people: Option<&People>) -> ApprovalReport {
        let folder = tempfile::tempdir().unwrap();
        let text: String = self
            .lines
            .iter()
            .map(|line| format!("{}\n", serde_json::to_string(line).unwrap()))
            .collect();
        std::fs::write(folder.path().join(payloads::FILE), text).unwrap();
        let payloads = ApprovalPayloads::open(folder.path()).unwrap();
        check(&origin("4f2a"), &self.entries, people, payloads)
    }

    /// The codes of all errors.
    fn codes(&self) -> Vec<&'static str> {
        self.check(Some(&trusted())).errors.iter().map(|error| error.code.word()).collect()
    }
}

fn call() -> CallId {
    call_id("approvals")
}

#[test]
fn both_kinds_of_signatures_are_proven_for_their_call() {
    let report = Exported::of(story(&call())).check(Some(&trusted()));
    assert_eq!(report.errors, []);
    let [found] = report.calls.as_slice() else { panic!("{report:?}") };
    let approved: Vec<_> =
        found.approved.iter().map(|signer| (signer.name.as_str(), signer.passkey)).collect();
    assert_eq!(approved, [("bob", false), ("carl", true)]);
    assert_eq!((found.needed, found.unproven, found.decided), (Some(2), 0, true));
}

#[test]
fn each_change_of_the_exported_signatures_has_its_code() {
    let check = |name: &str, change: &dyn Fn(&mut Vec<ApprovalPayload>), codes: &[&str]| {
        let mut exported = Exported::of(story(&call()));
        change(&mut exported.lines);
        assert_eq!(exported.codes(), codes, "{name}");
    };
    check("as it was", &|_| {}, &[]);
    let replaced = |lines: &mut Vec<ApprovalPayload>, from: &str, to: &str| {
        let text = lines[0].payloads.get_mut(SIGNED).unwrap();
        assert!(text.contains(from), "{text}");
        *text = text.replace(from, to);
    };
    check("a statement", &|lines| replaced(lines, "release", "another"), &["payload-changed"]);
    let quorum = |lines: &mut Vec<ApprovalPayload>| {
        lines[0].payloads.insert(RULE.to_owned(), "{\"quorum\":1}".to_owned());
    };
    check("a rule", &quorum, &["payload-changed"]);
    check(
        "the payload of another call",
        &|lines| lines[0].payloads = lines[1].payloads.clone(),
        &["payload-changed"],
    );
    check(
        "another key of the commitment",
        &|lines| lines[0].key = lines[1].key.clone(),
        &["payload-changed"],
    );
    check(
        "no key",
        &|lines| lines[0].key = "?".into(),
        &["payload-unreadable", "signature-missing"],
    );
    check("no rule", &|lines| drop(lines[0].payloads.remove(RULE)), &["signature-missing"]);
    check("a dropped signature", &|lines| drop(lines.remove(0)), &["signature-missing"]);
    check(
        "one for no signature",
        &|lines| lines[1].index = 9,
        &["signature-missing", "payload-stray"],
    );
    check("no statement", &|lines| drop(lines[0].payloads.remove(SIGNED)), &["signature-missing"]);
}

#[test]
fn each_lie_of_a_recorder_about_a_signature_has_its_code() {
    let call = call();
    let check = |name: &str, change: &dyn Fn(&mut Vec<Entry>), codes: &[&str]| {
        let mut entries = story(&call);
        change(&mut entries);
        assert_eq!(Exported::of(entries).codes(), codes, "{name}");
    };
    // Another statement, well signed by bob.
    let said = |name: &str, change: &dyn Fn(&mut Statement), code: &str| {
        let mut statement = statement(&call);
        change(&mut statement);
        let entry = signed(&call, "bob", &by_ssh("bob", &statement));
        check(name, &|entries| entries[1] = entry.clone(), &[code]);
    };
    said("another call", &|said| said.call = call_id("other"), "other-call");
    said("another plan", &|said| said.plan = PlanDigest::of(b"other"), "other-plan");
    said("another preview", &|said| said.preview = PreviewDigest::of(b"other"), "other-preview");
    said("another policy", &|said| said.policy = PolicyDigest::of(b"other"), "other-policy");
    said("another agent", &|said| said.subject.id = "deploy".to_owned(), "other-requester");
    said("another place", &|said| said.environment.id = "5f2d".to_owned(), "other-environment");
    said(
        "the signer's agent",
        &|said| said.subject.properties.person = Some("bob".into()),
        "party",
    );
    said(
        "an agent of the signer",
        &|said| said.subject.properties.act = vec!["bob".into()],
        "party",
    );
    said("an old statement", &|said| said.issued = None, "out-of-time");
    said("a late signature", &|said| said.expires = at("2026-11-30T12:00:30Z"), "out-of-time");
    said(
        "one that ends before the decision",
        &|said| said.expires = at("2026-11-30T12:01:25Z"),
        "out-of-time",
    );
    said("an early one", &|said| said.issued = Some(at("2026-11-30T12:20:00Z")), "out-of-time");
    said("another schema", &|said| said.schema = "cofferdam.approval.v0".into(), "signature-bad");
    let good = statement(&call);
    let one = |person: &str, made: SignedStatement| signed(&call, person, &made);
    let stranger = one("bob", by_ssh("mallory", &good));
    check("a stranger's key", &|entries| entries[1] = stranger.clone(), &["key-unknown"]);
    let elsewhere = SignedStatement {
        signature: Authenticator::es256("carl")
            .at("https://evil.example.com")
            .approve(&good.canonical().unwrap().0),
        ..by_ssh("carl", &good)
    };
    let elsewhere = one("carl", elsewhere);
    check("another origin", &|entries| entries[2] = elsewhere.clone(), &["signature-bad"]);
    let named = one("dora", by_ssh("bob", &good));
    check("another name", &|entries| entries[1] = named.clone(), &["other-approver"]);
    let twice = one("bob", by_ssh("bob", &good));
    check("one person twice", &|entries| entries[2] = twice.clone(), &["quorum-missing"]);
    let verdict = |entries: &mut Vec<Entry>| {
        if let Event::Signed { verdict, .. } = &mut entries[1].event {
            "reject".clone_into(verdict);
        }
    };
    check("another verdict", &verdict, &["other-verdict"]);
    let digest = |entries: &mut Vec<Entry>| {
        if let Event::Signed { statement, .. } = &mut entries[1].event {
            *statement = StatementDigest::of(b"other");
        }
    };
    check("another digest", &digest, &["statement-changed"]);
    let rule = |entries: &mut Vec<Entry>| {
        let one = r#"{"quorum":1,"approvers":["*"],"expires_seconds":1800}"#;
        entries[2].payloads.insert(RULE.to_owned(), one.to_owned());
    };
    check("another rule", &rule, &["other-rule"]);
    let ruled = |rule: &'static str| {
        move |entries: &mut Vec<Entry>| {
            entries[1].payloads.insert(RULE.to_owned(), rule.to_owned());
        }
    };
    let others = ruled(r#"{"quorum":2,"approvers":["dora","carl"],"expires_seconds":1800}"#);
    check("a rule for others", &others, &["not-named"]);
    let short = ruled(r#"{"quorum":2,"approvers":["*"],"expires_seconds":60}"#);
    check("a rule for less time", &short, &["too-long"]);
}

#[test]
fn a_signer_whom_the_rule_names_only_later_has_a_code() {
    let call = call();
    let check = |approvers: &str, later: &str, escalated: Option<&str>, codes: &[&str]| {
        let rule = format!(
            r#"{{"quorum":2,"approvers":["{approvers}"],"expires_seconds":1800,"escalate":{{
            "after_seconds":30,"approvers":["{later}"]}}}}"#
        );
        let escalated = escalated.map(at);
        let said = Statement { escalated, ..statement(&call) };
        let mut entries = story(&call);
        entries[2] = signed(&call, "carl", &by_passkey("carl", &said));
        for entry in &mut entries[1..3] {
            entry.payloads.insert(RULE.to_owned(), rule.clone());
        }
        assert_eq!(Exported::of(entries).codes(), codes, "{approvers} {later} {escalated:?}");
    };
    check("bob", "carl", Some("2026-11-30T12:00:30Z"), &[]);
    check("bob", "carl", Some("2026-11-30T12:00:29Z"), &["not-named"]);
    check("bob", "carl", None, &["not-named"]);
    check("bob", "carl", Some("2026-11-30T12:20:00Z"), &["out-of-time"]);
    check("bob", "dora", Some("2026-11-30T12:00:30Z"), &["not-named"]);
}

#[test]
fn a_job_without_its_signatures_has_a_code() {
    let call = call();
    let check = |name: &str, change: &dyn Fn(&mut Vec<Entry>), codes: &[&str]| {
        let mut entries = story(&call);
        change(&mut entries);
        assert_eq!(Exported::of(entries).codes(), codes, "{name}");
    };
    check("one of two", &|entries| drop(entries.remove(1)), &["quorum-missing"]);
    check("none", &|entries| drop(entries.drain(1..3)), &["quorum-missing"]);
    check("too late", &|entries| entries.swap(2, 3), &["quorum-missing", "signed-late"]);
    check("never decided", &|entries| drop(entries.remove(3)), &["not-decided"]);
    check("never asked", &|entries| drop(entries.remove(0)), &["not-asked", "not-asked"]);
    check(
        "another plan runs",
        &|entries| entries[3].plan = Some(PlanDigest::of(b"other")),
        &["other-plan"],
    );
    check(
        "over another state",
        &|entries| entries[3].preview = Some(PreviewDigest::of(b"other")),
        &["other-preview"],
    );
    check(
        "asked after the decision",
        &|entries| entries.swap(0, 3),
        &["not-asked", "not-asked", "asked-late", "not-decided"],
    );
    check(
        "asked after the effect",
        &|entries| {
            let started = entries.remove(4);
            entries.insert(0, started);
        },
        &["asked-late"],
    );
    check(
        "asked when all was done",
        &|entries| {
            let gone_on = entries.split_off(3);
            entries.splice(0..0, gone_on);
        },
        &["asked-late"],
    );
    check(
        "another plan acts",
        &|entries| entries[4].plan = Some(PlanDigest::of(b"other")),
        &["other-plan"],
    );
    check(
        "another plan acts later",
        &|entries| {
            let second = Entry { plan: Some(PlanDigest::of(b"other")), ..entries[4].clone() };
            entries.push(second);
        },
        &["other-plan"],
    );
    check(
        "another requester",
        &|entries| entries[3].principal = "deploy".into(),
        &["other-requester"],
    );
    // Under another policy, plan and denial hold all the same.
    let replaced = Some(PolicyDigest::of(b"replaced"));
    check("another policy allows it", &|entries| entries[3].policy = replaced, &[]);
    check(
        "another policy, another plan",
        &|entries| {
            entries[3].policy = replaced;
            entries[3].plan = Some(PlanDigest::of(b"other"));
        },
        &["other-plan"],
    );
    let other_plan = Some(PlanDigest::of(b"other"));
    let asked_again = Entry { plan: other_plan, ..entry(&call, Event::Asked) };
    check(
        "another question under the same id",
        &|entries| {
            entries[3].plan = other_plan;
            entries.insert(3, asked_again.clone());
        },
        &["other-question", "other-plan"],
    );
    let denied =
        Statement { verdict: Verdict::Reject, reason: "not today".to_owned(), ..statement(&call) };
    let denied = signed(&call, "carl", &by_passkey("carl", &denied));
    check("a denied call runs", &|entries| entries[2] = denied.clone(), &["denied"]);
    check(
        "a denied call ends",
        &|entries| {
            entries[2] = denied.clone();
            entries.truncate(3);
        },
        &[],
    );
}

#[test]
fn a_signature_that_is_not_there_is_never_good() {
    let report = Exported::of(story(&call())).check(None);
    assert!(report.unproven[0].starts_with("signatures of people: 2. No approvers"));
    let told = |story: Vec<Entry>| {
        let mut exported = Exported::of(story);
        exported.lines.clear();
        let report = exported.check(Some(&trusted()));
        let codes: Vec<_> = report.errors.iter().map(|error| error.code.word()).collect();
        let unproven = report.calls.iter().map(|call| call.unproven).sum::<u64>();
        assert!(report.calls.iter().all(|call| call.approved.is_empty()));
        (codes, unproven)
    };
    assert_eq!(told(story(&call())), (vec!["signature-missing"; 2], 0));
    // The ledger itself says that they were erased, or removed by retention.
    let with = |event: Event, of: Option<CallId>| {
        [story(&call()), vec![Entry::of(event, of, "")]].concat()
    };
    let erase = Event::Administered { what: "erase".to_owned(), by: "1000".to_owned() };
    assert_eq!(told(with(erase.clone(), Some(call()))), (vec![], 2));
    assert_eq!(told(with(erase, Some(call_id("other")))).0.len(), 2);
    let removed = |end| Event::Removed {
        what: Retained::Payloads,
        count: 2,
        before: Timestamp::UNIX_EPOCH,
        end: Some(end),
    };
    assert_eq!(told(with(removed(3), None)), (vec![], 2));
    assert_eq!(told(with(removed(2), None)), (vec!["signature-missing"], 1));
    // It cannot say so of entries that came later.
    let early = |event: Event, of: Option<CallId>| {
        [vec![Entry::of(event, of, "")], story(&call())].concat()
    };
    let erase = Event::Administered { what: "erase".to_owned(), by: "1000".to_owned() };
    assert_eq!(told(early(erase, Some(call()))).0.len(), 2);
    assert_eq!(told(early(removed(9), None)).0.len(), 2);
    // Without the file, a caller who named people expects each signature.
    let exported = Exported::of(story(&call()));
    let without = |people: &People| check(&origin("4f2a"), &exported.entries, Some(people), None);
    let codes: Vec<_> = without(&trusted()).errors.iter().map(|error| error.code.word()).collect();
    assert_eq!(codes, ["signature-missing"; 2]);
    let report = without(&People { expected: false, ..trusted() });
    assert_eq!((report.errors.len(), report.calls[0].unproven), (0, 2));
    assert!(report.unproven[0].starts_with("signatures of people: 2. Their payloads"));
}

#[test]
fn a_file_of_payloads_is_read_line_by_line_and_no_device_is() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ApprovalPayloads::open(folder.path()).unwrap().is_none());
    let path = folder.path().join(payloads::FILE);
    let exported = Exported::of(story(&call()));
    let codes = |text: &[u8]| -> Vec<&'static str> {
        std::fs::write(&path, text).unwrap();
        let payloads = ApprovalPayloads::open(folder.path()).unwrap();
        let report = check(&origin("4f2a"), &exported.entries, Some(&trusted()), payloads);
        report.errors.iter().map(|error| error.code.word()).collect()
    };
    let missing = ["payload-unreadable", "signature-missing", "signature-missing"];
    let sorted = |text: &[u8]| {
        let mut codes = codes(text);
        codes.sort_unstable();
        codes
    };
    let line = serde_json::to_string(&exported.lines[0]).unwrap();
    assert_eq!(sorted(b"no JSON\n"), missing);
    assert_eq!(sorted(line.as_bytes()), missing, "a line that is cut off");
    let long = vec![b' '; usize::try_from(payloads::LONGEST_LINE).unwrap() + 1];
    assert_eq!(sorted(&[&long[..], line.as_bytes(), b"\n"].concat()), missing);
    assert_eq!(codes(format!("{line}\n").as_bytes()), ["signature-missing"]);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(ApprovalPayloads::open(folder.path()).is_err());
}
