//! Security keys: what counts as a touch, and which kind of signature is taken of which key.

use super::super::{ApprovalError, Question, VerifiedStatement, verify};
use crate::model::statement::{NAMESPACE, SignedStatement, Verdict};
use crate::testing::{asked, noon, trust};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};
use ssh_key::PrivateKey;

const ED25519: &str = "ssh-ed25519";
const ECDSA: &str = "ecdsa-sha2-nistp256";
const SK_ED25519: &str = "sk-ssh-ed25519@openssh.com";
const SK_ECDSA: &str = "sk-ecdsa-sha2-nistp256@openssh.com";

/// An ECDSA key of these tests alone.
const P256: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS\n\
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQSlkGRjeuFif1+sM83raov3rNqq1yDq\n\
EmDZTxQlFISY3Peu+Q09jZetz1FO3P8TeLPTUHC2nTjoRIupPPNAtHWPAAAAoIoYdMuKGH\n\
TLAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKWQZGN64WJ/X6wz\n\
zetqi/es2qrXIOoSYNlPFCUUhJjc9675DT2Nl63PUU7c/xN4s9NQcLadOOhEi6k880C0dY\n\
8AAAAgKAm+90J3l6B2e79XKZMN8quoSUFqqc1PLkBEM5gTuVwAAAAEdGVzdAECAwQ=\n\
-----END OPENSSH PRIVATE KEY-----";

fn wire(bytes: &[u8]) -> Vec<u8> {
    [u32::try_from(bytes.len()).unwrap().to_be_bytes().as_slice(), bytes].concat()
}

/// The key inside of the security key, which a test can use without a touch.
fn inner(kind: &str) -> PrivateKey {
    if kind.contains("ecdsa") {
        PrivateKey::from_openssh(P256).unwrap()
    } else {
        crate::testing::person("a security key")
    }
}

/// A public key of this kind.
fn public(kind: &str) -> Vec<u8> {
    let key = inner(kind);
    let application = if kind.starts_with("sk-") { wire(b"ssh:") } else { Vec::new() };
    match key.public_key().key_data() {
        ssh_key::public::KeyData::Ed25519(point) => {
            [wire(kind.as_bytes()), wire(&point.0), application].concat()
        }
        ssh_key::public::KeyData::Ecdsa(point) => {
            [wire(kind.as_bytes()), wire(b"nistp256"), wire(point.as_sec1_bytes()), application]
                .concat()
        }
        other => panic!("{other:?}"),
    }
}

/// A signature of a key of one kind, with these flags where it is a security key; it calls itself
/// `label`.
fn signature(kind: &str, text: &str, flags: u8, label: &str) -> String {
    use ssh_key::Signature;
    let sign = |message: &[u8]| -> Signature { signature_of(&inner(kind), message) };
    let signed = [
        b"SSHSIG".to_vec(),
        wire(NAMESPACE.as_bytes()),
        wire(b""),
        wire(b"sha512"),
        wire(&Sha512::digest(text)),
    ]
    .concat();
    let trailer = [vec![flags], 7_u32.to_be_bytes().to_vec()].concat();
    let (raw, trailer) = if kind.starts_with("sk-") {
        let message =
            [Sha256::digest("ssh:").to_vec(), trailer.clone(), Sha256::digest(&signed).to_vec()]
                .concat();
        (sign(&message).as_bytes().to_vec(), trailer)
    } else {
        (sign(&signed).as_bytes().to_vec(), Vec::new())
    };
    let blob = if label.starts_with("sk-") {
        [wire(label.as_bytes()), wire(&raw), trailer].concat()
    } else {
        [wire(label.as_bytes()), wire(&[raw, trailer].concat())].concat()
    };
    let body = [
        b"SSHSIG".to_vec(),
        1_u32.to_be_bytes().to_vec(),
        wire(&public(kind)),
        wire(NAMESPACE.as_bytes()),
        wire(b""),
        wire(b"sha512"),
        wire(&blob),
    ];
    let text = STANDARD.encode(body.concat());
    let lines: Vec<_> =
        text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}

fn signature_of(key: &PrivateKey, message: &[u8]) -> ssh_key::Signature {
    use ed25519_dalek::Signer as _;
    key.try_sign(message).unwrap()
}

/// The result of bob's signature, with an enrolled key of this kind.
fn judged(kind: &str, flags: u8, label: &str) -> Result<VerifiedStatement, ApprovalError> {
    let host = asked();
    let job = host.jobs.lock().unwrap()[0].0.clone();
    let mut trust = trust();
    trust.approvers.iter_mut().find(|approver| approver.name == "bob").unwrap().key =
        format!("{kind} {}", STANDARD.encode(public(kind)));
    let SignedStatement { statement, .. } = host.sign(&job, "bob", Verdict::Approve);
    let question = Question {
        call: &job.call,
        plan: job.plan_digest,
        preview: job.preview_digest,
        subject: &job.principal.subject(),
        environment: &job.environment,
        policy: job.policy,
        now: noon(),
    };
    let signed =
        SignedStatement { signature: signature(kind, &statement, flags, label), statement };
    verify(&signed, &question, &trust)
}

#[test]
fn a_security_key_signs_nothing_without_a_touch_whatever_its_signature_calls_itself() {
    let mut wrong = Vec::new();
    let mut check = |kind, flags, label, expect: &str| {
        let got = match judged(kind, flags, label) {
            Ok(_) => "good",
            Err(ApprovalError::Untouched) => "untouched",
            Err(ApprovalError::Kind { .. }) => "kind",
            Err(ApprovalError::Signature | ApprovalError::Unknown) => "signature",
            Err(_) => "other",
        };
        if got != expect {
            wrong.push(format!("{kind}, flags {flags}, calls itself {label}: {got}, not {expect}"));
        }
    };
    for kind in [SK_ED25519, SK_ECDSA] {
        // Touched; touched and with a PIN; a PIN without a touch; neither; any other flag.
        for (flags, expect) in
            [(1, "good"), (5, "good"), (4, "untouched"), (0, "untouched"), (0xFE, "untouched")]
        {
            check(kind, flags, kind, expect);
        }
        for flags in [0, 1] {
            check(kind, flags, "rsa-sha2-256", "kind");
            check(kind, flags, "x@example.com", "kind");
            check(kind, flags, "webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "kind");
        }
    }
    check(SK_ED25519, 0, ED25519, "signature");
    check(SK_ED25519, 0, SK_ECDSA, "signature");
    check(SK_ECDSA, 0, SK_ED25519, "signature");
    check(SK_ECDSA, 0, ECDSA, "signature");
    for kind in [ED25519, ECDSA] {
        check(kind, 0, kind, "good");
        check(kind, 0, "rsa-sha2-512", "signature");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
