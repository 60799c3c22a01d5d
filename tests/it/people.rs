//! Auditors and operators with all roles: they enrol a passkey, enter, and approve nothing. A role
//! that an operator takes away ends at once.

use crate::installation::TestInstallation;
use crate::passkeys::{Person, asked, enrol, invited, origin, post, send, single};
use cofferdam_testkit::authenticator::Authenticator;
use serde_json::{Value, json};

/// Invites a person and confirms the passkey of their device for these roles.
fn enter(installation: &TestInstallation, person: &str, roles: &[&str]) {
    let name = format!("{person}@example.com");
    let link = installation.json(&["people", "invite", &name])["link"].clone();
    let (_, secret) = link.as_str().unwrap().split_once('#').unwrap();
    let device = Authenticator::es256(person).at(&origin(installation));
    let made = enrol(installation, secret, &device).json();
    let print = made["fingerprint"].as_str().unwrap();
    let roles = roles.iter().flat_map(|role| ["--role", role]);
    let confirm = ["people", "confirm", &name, "--fingerprint", print];
    installation.run(&confirm.into_iter().chain(roles).collect::<Vec<_>>());
}

fn twin(person: &Person<'_>, installation: &TestInstallation) -> Value {
    let request = person.get("/sign-in").and("Accept", "application/json");
    send(installation, &request).json()
}

#[test]
fn an_auditor_enters_sees_the_roles_and_leaves() {
    let installation = single();
    enter(&installation, "ada", &["auditor", "operator"]);
    let listed = installation.run(&["people", "list"]);
    assert!(listed.contains("ada@example.com") && listed.contains("auditor, operator"), "{listed}");
    let (_, doctor, _) = installation.try_run(&["doctor"]);
    assert!(doctor.contains("approvers, 2 entries of the console"), "{doctor}");
    let approvers = installation.run(&["approver", "list"]);
    assert!(!approvers.contains("ada"), "no approver is made: {approvers}");
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 17);
    let mut ada = Person::new(&installation, "ada");
    assert_eq!(twin(&ada, &installation)["signed_in"], false);
    ada.sign_in(&call);
    let told = twin(&ada, &installation);
    assert_eq!(
        told,
        json!({"signed_in": true, "name": "ada@example.com", "roles": ["auditor", "operator"],
            "by": "passkey"})
    );
    let page = send(&installation, &ada.get("/sign-in")).text();
    for words in ["ada@example.com", "sees everything, and may cancel a call", "Sign out"] {
        assert!(page.contains(words), "not `{words}`:\n{page}");
    }
    // A question is for approvers: it looks like a call that does not exist.
    let unknown = "a".repeat(26);
    let (known, none) = (ada.look(&call), ada.look(&unknown));
    assert_eq!((known.status, none.status), (404, 404));
    assert_eq!(known.text().replace(&call, ""), none.text().replace(&unknown, ""));
    // A lost role is lost at once, and the rest stays.
    installation.run(&["people", "remove", "ada@example.com", "--role", "operator"]);
    assert_eq!(twin(&ada, &installation)["roles"], json!(["auditor"]));
    // After a sign-out, the cookie is worth nothing, also for a thief.
    let out = ada.post("/sign-out", &json!({}));
    assert_eq!(out.status, 204, "{}", out.text());
    assert!(out.header("set-cookie").unwrap().contains("=; Path=/; Max-Age=0; HttpOnly"));
    assert_eq!(twin(&ada, &installation)["signed_in"], false);
    // The last role ends a session.
    ada.cookie.clear();
    ada.sign_in(&call);
    installation.run(&["people", "remove", "ada@example.com"]);
    assert_eq!(twin(&ada, &installation)["signed_in"], false);
    assert_eq!(ada.look(&call).status, 401);
}

#[test]
fn one_passkey_has_roles_of_one_person_and_no_role_of_the_console_counts_as_a_voice() {
    let installation = single();
    enter(&installation, "ada", &["auditor"]);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 17);
    // The passkey of an auditor signs a statement, and the signature is of no approver.
    let mut ada = Person::new(&installation, "ada");
    ada.sign_in(&call);
    let refused = ada
        .post(&format!("/approve/{call}/statement"), &json!({"verdict": "approve", "reason": ""}));
    assert_eq!(refused.status, 404, "{}", refused.text());
    let signed = json!({"statement": "{}", "signature": ada.device.approve("{}")});
    assert_eq!(ada.post(&format!("/approve/{call}"), &signed).status, 404);
    // Another person cannot have the passkey, in any role; the same person can.
    let device = Authenticator::es256("ada").at(&origin(&installation)).with_id(&[7; 16]);
    for (command, role) in [("approver", None), ("people", Some("operator"))] {
        let secret = invited(&installation, "eve@example.com");
        let made = enrol(&installation, &secret, &device).json();
        let print = made["fingerprint"].as_str().unwrap().to_owned();
        let role = role.into_iter().flat_map(|role| ["--role", role]);
        let confirm = [command, "confirm", "eve@example.com", "--fingerprint", &print];
        let refused = installation.fail(&confirm.into_iter().chain(role).collect::<Vec<_>>());
        assert!(refused.contains("for `ada@example.com`"), "{refused}");
        installation.run(&["people", "confirm", "eve@example.com", "--discard"]);
    }
    let spelling = installation.fail(&["people", "invite", "Ada"]);
    assert!(spelling.contains("count as one person"), "{spelling}");
    installation.run(&["people", "add", "ada@example.com", "--role", "operator"]);
    assert_eq!(twin(&ada, &installation)["roles"], json!(["auditor", "operator"]));
    let none = installation.fail(&["people", "add", "eve@example.com", "--role", "auditor"]);
    assert!(none.contains("has no passkey"), "{none}");
    assert_eq!(installation.json(&["show", &call])["view"]["phase"], "awaiting_approval");
}

#[test]
fn an_auditor_changes_nothing_anywhere() {
    let installation = single();
    enter(&installation, "ada", &["auditor"]);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 17);
    let mut ada = Person::new(&installation, "ada");
    ada.sign_in(&call);
    let approve = format!("/approve/{call}");
    let statement = format!("/approve/{call}/statement");
    let cancel = format!("/console/calls/{call}/cancel");
    let because = json!({"because": "the wrong hour"});
    let (job, approval) = (format!("/v1/jobs/{call}"), format!("/v1/approvals/{call}"));
    let signed = json!({"statement": "{}", "signature": ada.device.approve("{}")});
    let answer = json!({"verdict": "reject", "reason": "no"});
    let change = json!({"namespace": "storefront", "name": "web", "replicas": 18});
    let rpc = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "deployment_scale", "arguments": change}});
    for (method, path, body, status) in [
        ("POST", approve.as_str(), &signed, 404),
        ("POST", &statement, &answer, 404),
        ("POST", &cancel, &because, 403),
        ("POST", "/enrol/begin", &json!({"secret": "guess"}), 422),
        ("POST", &approval, &signed, 401),
        ("POST", "/v1/tools/deployment_scale", &change, 401),
        ("POST", "/v1/tools/deployment_scale/preview", &change, 401),
        ("DELETE", &job, &Value::Null, 401),
        ("POST", "/mcp", &rpc, 401),
    ] {
        let mut sent = post(&installation, path, body).and("Cookie", &ada.cookie);
        sent.line = format!("{method} {path} HTTP/1.1");
        let told = send(&installation, &sent);
        assert_eq!(told.status, status, "{method} {path}: {}", told.text());
    }
    assert_eq!(installation.json(&["show", &call])["view"]["phase"], "awaiting_approval");
    // The same request of the same browser counts, once its person is an operator.
    installation.run(&["people", "add", "ada@example.com", "--role", "operator"]);
    let cancelled = ada.post(&cancel, &because);
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "cancelled", "{story:#}");
}
