//! Tables of wrong assertions and registrations. Each row changes one thing, and names the code of
//! its refusal; the same request without that change counts.

use super::{Assertion, PasskeyError, register};
use crate::model::passkey::Passkey;
use crate::model::relying_party::RelyingParty;
use crate::testing::authenticator::{ATTESTED, Authenticator, PRESENT, VERIFIED};
use serde_json::{Value, json};

const CHALLENGE: &[u8] = b"32 bytes that name one statement";

fn code(error: &PasskeyError) -> &'static str {
    match error {
        PasskeyError::Form(_) => "form",
        PasskeyError::ClientData(_) => "client data",
        PasskeyError::Action(_) => "action",
        PasskeyError::Challenge => "challenge",
        PasskeyError::Origin(..) => "origin",
        PasskeyError::Embedded => "embedded",
        PasskeyError::Data(_) => "data",
        PasskeyError::Party(_) => "party",
        PasskeyError::Absent => "absent",
        PasskeyError::Unverified => "unverified",
        PasskeyError::Signature => "signature",
        PasskeyError::Credential(_) => "credential",
    }
}

fn judged(text: &str, passkey: &Passkey) -> &'static str {
    let checked = Assertion::read(text).and_then(|found| found.check(passkey, CHALLENGE));
    checked.map_or_else(|error| code(&error), |()| "good")
}

fn passkey(of: &Authenticator) -> Passkey {
    Passkey::read(&of.line()).unwrap()
}

/// The client data with one member set, or removed with `null`.
fn with(mut data: Value, name: &str, value: Value) -> String {
    let members = data.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    data.to_string()
}

/// One changed member of the client data, and the code of the result.
fn members() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("type", json!("webauthn.get"), "good"),
        ("type", json!("webauthn.create"), "action"),
        ("type", json!("payment.get"), "action"),
        ("type", Value::Null, "client data"),
        ("challenge", json!("MzIgYnl0ZXMgdGhhdCBuYW1lIG9uZSBzdGF0ZW1lbnQ="), "challenge"),
        ("challenge", json!(""), "challenge"),
        ("challenge", json!("b3RoZXI"), "challenge"),
        ("origin", json!("https://evil.example.com"), "origin"),
        ("origin", json!("https://gate.example.com:8443"), "origin"),
        ("origin", json!("http://gate.example.com"), "origin"),
        ("origin", json!("https://gate.example.com/"), "origin"),
        ("origin", json!("https://gate.example.com.evil.com"), "origin"),
        ("origin", json!("null"), "origin"),
        ("crossOrigin", Value::Null, "good"),
        ("crossOrigin", json!(true), "embedded"),
        ("crossOrigin", json!("false"), "client data"),
        ("topOrigin", json!("https://evil.example.com"), "embedded"),
        ("other_keys_can_be_added_here", json!("do not compare clientDataJSON"), "good"),
    ]
}

#[test]
fn an_assertion_counts_for_one_challenge_one_page_and_a_verified_person() {
    for of in [Authenticator::es256("bob"), Authenticator::eddsa("bob")] {
        let (passkey, data) = (passkey(&of), of.data(PRESENT | VERIFIED));
        assert_eq!(judged(&of.assertion(CHALLENGE), &passkey), "good");
        for (name, value, expect) in members() {
            let told = format!("{name} = {value}");
            let client = with(of.client_data("webauthn.get", CHALLENGE), name, value);
            assert_eq!(judged(&of.sign(client.as_bytes(), &data), &passkey), expect, "{told}");
        }
        let client = of.client_data("webauthn.get", CHALLENGE).to_string();
        let twice = client.replacen('{', "{\"type\":\"webauthn.create\",", 1);
        for (client, expect) in [
            (twice.as_str(), "client data"),
            ("", "client data"),
            ("[]", "client data"),
            ("{\u{0}}", "client data"),
            (&format!("{client} "), "good"),
            (&format!("{client}{client}"), "client data"),
        ] {
            assert_eq!(judged(&of.sign(client.as_bytes(), &data), &passkey), expect, "{client}");
        }
    }
}

#[test]
fn an_authenticator_says_for_whom_and_that_its_owner_was_verified() {
    for of in [Authenticator::es256("bob"), Authenticator::eddsa("bob")] {
        let (passkey, both) = (passkey(&of), PRESENT | VERIFIED);
        let client = of.client_data("webauthn.get", CHALLENGE).to_string();
        let party = {
            let mut data = of.data(both);
            data[0] ^= 1;
            data
        };
        for (data, expect) in [
            (of.data(both), "good"),
            // Synchronised passkeys say that they are.
            (of.data(both | 0x18), "good"),
            (of.data(0), "absent"),
            (of.data(VERIFIED), "absent"),
            (of.data(PRESENT), "unverified"),
            (of.data(0xfb & !ATTESTED & !0x80), "unverified"),
            (of.data(both | ATTESTED), "data"),
            (of.attested(both), "data"),
            (of.data(both | 0x80), "data"),
            ([&of.data(both)[..], &[0xa0]].concat(), "data"),
            (of.data(both)[..36].to_vec(), "data"),
            (Vec::new(), "data"),
            (party, "party"),
        ] {
            assert_eq!(judged(&of.sign(client.as_bytes(), &data), &passkey), expect, "{data:?}");
        }
    }
}

#[test]
fn only_the_enrolled_key_signs() {
    let (bob, eve) = (Authenticator::es256("bob"), Authenticator::es256("eve"));
    let (good, other) =
        (bob.assertion(CHALLENGE), Authenticator::eddsa("bob").assertion(CHALLENGE));
    assert_eq!(judged(&eve.assertion(CHALLENGE), &passkey(&bob)), "signature");
    assert_eq!(judged(&other, &passkey(&bob)), "signature");
    let part = |text: &str, name: &str| {
        serde_json::from_str::<Value>(text).unwrap()[name].as_str().unwrap().to_owned()
    };
    // Parts of two good assertions do not add up to a third.
    let second = bob.assertion(b"another statement");
    for (name, expect) in [("client_data", "challenge"), ("signature", "signature")] {
        let mixed = good.replace(&part(&good, name), &part(&second, name));
        assert_eq!(judged(&mixed, &passkey(&bob)), expect, "{name}");
    }
    let signature = part(&good, "signature");
    for bad in ["", "AAAA", &signature[..signature.len() - 4], &format!("{signature}AAAA")] {
        let text = good.replace(&signature, bad);
        assert_eq!(judged(&text, &passkey(&bob)), "signature", "{bad}");
    }
}

#[test]
fn one_assertion_has_one_text() {
    let bob = Authenticator::es256("bob");
    let (good, passkey) = (bob.assertion(CHALLENGE), passkey(&bob));
    let value: Value = serde_json::from_str(&good).unwrap();
    for text in [
        format!(" {good}"),
        format!("{good}\n"),
        good.replace("\",\"", "\", \""),
        good.replace("\"type\":\"webauthn\"", "\"type\":\"ssh\""),
        good.replace(",\"type\":\"webauthn\"", ""),
        good.replacen('{', "{\"a\":1,", 1),
        good.replacen("\"client_data\":\"", "\"client_data\":\"=", 1),
        serde_json::to_string_pretty(&value).unwrap(),
        format!("{{\"x\":\"{}\"}}", "x".repeat(9_000)),
        "{".to_owned(),
        String::new(),
    ] {
        assert_eq!(judged(&text, &passkey), "form", "{text}");
    }
}

#[test]
fn a_new_passkey_is_of_this_page_this_invitation_and_a_verified_person() {
    let party = RelyingParty::read("https://gate.example.com").unwrap();
    for of in [Authenticator::es256("bob"), Authenticator::eddsa("bob")] {
        let both = PRESENT | VERIFIED;
        let made = |client: &str, data: &[u8]| {
            register(client.as_bytes(), data, CHALLENGE, &party).map_or_else(
                |error| code(&error),
                |made| {
                    assert_eq!(made, passkey(&of));
                    "good"
                },
            )
        };
        let client = of.client_data("webauthn.create", CHALLENGE);
        let good = client.to_string();
        assert_eq!(made(&good, &of.attested(both)), "good");
        for (name, value, expect) in members() {
            let expect = if name == "type" {
                match value.as_str() {
                    Some("webauthn.create") => "good",
                    Some(_) => "action",
                    None => "client data",
                }
            } else {
                expect
            };
            let told = format!("{name} = {value}");
            let client = with(client.clone(), name, value);
            assert_eq!(made(&client, &of.attested(both)), expect, "{told}");
        }
        let whole = of.attested(both);
        let mut long = whole.clone();
        long[53] = 0xff;
        let mut empty = whole.clone();
        empty[53..55].fill(0);
        let extended = of.attested(both | 0x80);
        let protect = [&[0xa1, 0x6b][..], b"credProtect", &[3]].concat();
        let protected = [&extended[..], &protect].concat();
        assert_eq!(made(&good, &protected), "good", "a browser asked for `credProtect`");
        for (data, expect) in [
            (of.attested(PRESENT), "unverified"),
            (of.attested(VERIFIED), "absent"),
            (of.data(both), "credential"),
            ([&whole[..], &[0]].concat(), "credential"),
            (whole[..whole.len() - 1].to_vec(), "credential"),
            (whole[..54].to_vec(), "credential"),
            (whole[..40].to_vec(), "credential"),
            (long, "credential"),
            (empty, "credential"),
            ([&whole[..], &protect].concat(), "credential"),
            (extended.clone(), "credential"),
            ([&protected[..], &[0]].concat(), "credential"),
            (protected[..protected.len() - 1].to_vec(), "credential"),
            ([&extended[..], &[0x80]].concat(), "credential"),
        ] {
            assert_eq!(made(&good, &data), expect, "{data:?}");
        }
    }
}
