//! A second device and a lost passkey: each key of a person is enrolled and removed alone, and all
//! of them are one voice.

use super::*;

const CARL: &str = "carl@example.com";

fn approve(person: &Person<'_>, call: &str) -> Value {
    let statement = person.statement(call, "approve", "");
    let signed = person.hand_in(call, &statement, &person.device.approve(&statement));
    assert_eq!(signed.status, 200, "{}", signed.text());
    signed.json()
}

#[test]
fn a_person_with_two_devices_loses_one_and_goes_on_with_the_other() {
    let installation = enrolled(&[]);
    let phone_number = add_device(&installation, CARL, "phone");
    add_device(&installation, CARL, "laptop");
    two_sign(&installation, 3_600);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 17);
    let mut phone = Person::new(&installation, "phone");
    phone.sign_in(&call);
    assert_eq!(approve(&phone, &call)["missing"], json!(1));
    // Both devices are one voice.
    let mut laptop = Person::new(&installation, "laptop");
    laptop.sign_in(&call);
    let statement = laptop.statement(&call, "approve", "");
    let twice = laptop.hand_in(&call, &statement, &laptop.device.approve(&statement));
    assert!(twice.status == 422 && twice.text().contains("has signed this already"));
    // Another key's number removes nothing.
    let wrong = ["approver", "remove", CARL, "--key", "aaaaa-aaaaa-aaaaa-aaaaa"];
    assert!(installation.fail(&wrong).contains("no key with the fingerprint"));
    let other = ["approver", "remove", "bob@example.com", "--key", &phone_number];
    assert!(installation.fail(&other).contains("no key with the fingerprint"));
    let told = installation.run(&["approver", "remove", CARL, "--key", &phone_number]);
    assert!(told.contains("1 other key of this person stays"), "{told}");
    // The lost device reads and signs nothing any more.
    assert_eq!(phone.look(&call).status, 401);
    let statement = laptop.statement(&call, "approve", "");
    let lost = laptop.hand_in(&call, &statement, &phone.device.approve(&statement));
    assert!(lost.status == 422 && lost.text().contains("not enrolled"), "{}", lost.text());
    // Its signature of the waiting call counts no more, and the laptop signs in its place.
    let page = laptop.look(&call).text();
    assert!(page.contains("none yet; 2 more needed"), "{page}");
    assert_eq!(approve(&laptop, &call)["missing"], json!(1));
    let bob = installation.key("bob");
    installation.run(&["approve", &call, "--key", text(&bob), "--yes"]);
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
    installation.verify_ledger();
    // The same for an SSH key, and for the last key of a person.
    let listed = installation.json(&["approver", "list"])["approvers"].clone();
    let print = |name: &str| {
        let mut all = listed.as_array().unwrap().iter();
        let found = all.find(|entry| entry["name"] == name).unwrap();
        found["fingerprint"].as_str().unwrap().to_owned()
    };
    let second = asked(&installation, &token, 18);
    installation.run(&["approve", &second, "--key", text(&bob), "--yes"]);
    let ssh = ["approver", "remove", "bob@example.com", "--key", &print("bob@example.com")];
    assert!(installation.run(&ssh).contains("It was the last key"));
    let view = installation.json(&["show", &second])["view"].clone();
    assert_eq!(view["outcome"], "refused", "{view:#}");
    let detail = view["detail"].as_str().unwrap();
    assert!(detail.contains("2 signatures are needed, and 1 enrolled people may sign"), "{detail}");
}
