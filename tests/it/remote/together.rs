//! Two people look at one call: each sees the other's signature without asking again, on the page
//! and on the command line.

use super::*;
use crate::passkeys::{self, Person, enrolled, two_sign};
use std::thread;

#[test]
fn a_signature_appears_on_the_page_and_in_the_command_of_the_other_person() {
    let installation = enrolled(&["carl"]);
    two_sign(&installation, 3_600);
    let token = installation.agent("release", "operator");
    let call = passkeys::asked(&installation, &token, 17);
    let url = format!("http://{}", installation.address());
    let mut carl = Person::new(&installation, "carl");
    carl.sign_in(&call);
    let page = carl.look(&call).text();
    has(&page, &["none yet; 2 more needed", "data-known=\"0\"", "minutes left"]);
    for (query, status) in [("", 400), ("?known=x", 400), ("?known=0&wait=1", 400)] {
        let path = format!("/v1/approvals/{call}/signatures{query}");
        let bob = Elsewhere::with_key(&installation.key("bob"));
        let session = bob.session(&installation);
        assert_eq!(installation.http("GET", &path, &session, None).status, status, "{query}");
    }
    // Without news the answer comes all the same, after some seconds.
    let same = carl.signatures(&call, 0);
    assert_eq!((same.status, &same.json()["signed"]), (200, &json!([])), "{}", same.text());
    thread::scope(|scope| {
        let sees = scope.spawn(|| {
            loop {
                let seen = carl.signatures(&call, 0).json();
                if seen["missing"] != json!(2) {
                    return seen;
                }
            }
        });
        let command = scope.spawn(|| {
            let bob = Elsewhere::with_key(&installation.key("bob"));
            bob.json(&url, &["approve", &call, "--yes", "--wait", "120"])
        });
        let seen = sees.join().unwrap();
        assert_eq!(seen["text"], "bob@example.com; 1 more needed", "{seen:#}");
        assert_eq!((&seen["missing"], &seen["waits"]), (&json!(1), &json!(true)));
        let statement = carl.statement(&call, "approve", "");
        let signed = carl.hand_in(&call, &statement, &carl.passkey().approve(&statement));
        assert_eq!(signed.json()["missing"], json!(0), "{}", signed.text());
        let (report, told) = command.join().unwrap();
        has(&told, &["carl@example.com"]);
        assert_eq!((&report["missing"], &report["state"]), (&json!(0), &json!("done")), "{told}");
    });
    // Afterwards nothing waits, and a person for whom it never was learns nothing.
    let over = carl.signatures(&call, 2).json();
    assert_eq!((&over["waits"], &over["missing"]), (&json!(false), &json!(0)), "{over:#}");
    let alice = Elsewhere::with_key(&installation.key("alice"));
    let session = alice.session(&installation);
    let path = format!("/v1/approvals/{call}/signatures?known=0");
    let known = installation.http("GET", &path, &session, None);
    assert_eq!(known.status, 404, "{:#}", known.body);
}
