//! An absent approver lets another person sign in their place: by the absent one's own signature, for
//! a time, and as one voice.

use super::*;
use std::process::Command;

const BOB: &str = "bob@example.com";
const CARL: &str = "carl@example.com";

#[test]
fn a_delegate_signs_in_the_place_of_an_absent_approver() {
    let installation = enrolled(&["carl"]);
    let rule = json!({"quorum": 1, "approvers": [BOB], "expires_seconds": 600});
    change_data(&installation, "approval", rule);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 17);
    let mut carl = Person::new(&installation, "carl");
    carl.sign_in(&call);
    assert_eq!(carl.look(&call).status, 404, "policy names bob alone");

    let day = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let until = day.to_string();
    let words = ["approver", "delegate", "--from", BOB, "--to", CARL, "--until", &until];
    let key = |person: &str| text(&installation.key(person)).to_owned();
    let other = installation.fail(&[&words[..], &["--key", &key("alice")]].concat());
    assert!(other.contains(&format!("the key is not one of `{BOB}`")), "{other}");
    let far = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 31)).to_string();
    let bobs = key("bob");
    let long = [&words[..6], &["--until", &far, "--key", &bobs]].concat();
    let long = installation.fail(&long);
    assert!(long.contains("at most 30 days later"), "{long}");
    let told = installation.run(&[&words[..], &["--key", &key("bob")]].concat());
    assert!(told.contains(&format!("`{CARL}` signs in the place of `{BOB}`, from ")), "{told}");
    let listed = installation.run(&["approver", "list"]);
    assert!(listed.contains(&format!("{CARL} signs for {BOB}, from ")), "{listed}");

    let page = carl.look(&call);
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains(&format!("counts in the place of {BOB}, by their delegation")));
    // The person signs in the place that the page showed, or not at all.
    let path = format!("/approve/{call}/statement");
    let unsaid = carl.post(&path, &json!({"verdict": "approve", "reason": ""}));
    assert!(unsaid.text().contains("in another place than the page says"), "{}", unsaid.text());
    let statement = carl.statement_for(&call, BOB);
    assert!(statement.contains(&format!("\"stands_for\":\"{BOB}\"")), "{statement}");
    // The same page as bob would sign it, in no place: policy does not name carl.
    let own = statement.replace(&format!(",\"stands_for\":\"{BOB}\""), "");
    let refused = carl.hand_in(&call, &own, &carl.device.approve(&own));
    assert!(refused.text().contains(&format!("does not name `{CARL}`")), "{}", refused.text());
    let signed = carl.hand_in(&call, &statement, &carl.device.approve(&statement));
    assert_eq!(signed.json()["missing"], json!(0), "{}", signed.text());
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}");
    let shown = installation.run(&["show", &call]);
    assert!(shown.contains(&format!("signed by {CARL} for {BOB}")), "{shown}");
    let folder = installation.home().join("../exported");
    installation.run(&["ledger", "export", text(&folder)]);
    let verified = installation.run(&["ledger", "verify", text(&folder)]);
    assert!(verified.contains(&format!("{CARL} for {BOB}")), "{verified}");

    let ended = installation.run(&["approver", "delegate", "--end", "--from", BOB]);
    assert!(ended.contains("have ended, at once: 1."), "{ended}");
    let later = asked(&installation, &token, 18);
    assert_eq!(carl.look(&later).status, 404, "the delegation is over");

    // The same without a private key on the machine of the gateway.
    let file = installation.home().join("../absence.json");
    installation.run(&[&words[..], &["--write", text(&file)]].concat());
    let sign = |person: &str| {
        let armour = format!("{}.sig", text(&file));
        let _none_yet = std::fs::remove_file(&armour);
        let done = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "delegation@cofferdam.dev", "-f", &key(person)])
            .arg(&file)
            .status();
        assert!(done.unwrap().success());
        armour
    };
    let hand_in = |signature: &str| {
        ["approver", "delegate", "--statement", text(&file), "--signature", signature]
            .map(str::to_owned)
            .to_vec()
    };
    let of = |words: &[String]| {
        installation.try_run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (done, _, why) = of(&hand_in(&sign("alice")));
    assert!(!done && why.contains(&format!("not signed with an enrolled key of `{BOB}`")), "{why}");
    let (done, out, why) = of(&hand_in(&sign("bob")));
    assert!(done, "{out}{why}");
    assert_eq!(carl.look(&later).status, 200);

    // By command, a person signs in another's place only by their own word.
    let erin = installation.key("erin");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", text(&erin)])
        .status();
    assert!(made.unwrap().success());
    let public = erin.with_extension("pub");
    installation.run(&["approver", "add", "erin@example.com", "--key", text(&public)]);
    let to_erin = ["approver", "delegate", "--from", BOB, "--to", "erin@example.com", "--until"];
    installation.run(&[&to_erin[..], &[&until, "--key", &key("bob")]].concat());
    let sign = ["approve", &later, "--yes", "--wait", "60", "--key", text(&erin)];
    let refused = installation.fail(&sign);
    assert!(refused.contains(&format!("add `--for {BOB}`")), "{refused}");
    let other = installation.fail(&[&sign[..], &["--for", CARL]].concat());
    assert!(other.contains(&format!("does not name `{CARL}`")), "{other}");
    let signed = installation.run(&[&sign[..], &["--for", BOB]].concat());
    let told = format!("as erin@example.com in the place of {BOB}: it ran, and succeeded");
    assert!(signed.contains(&told), "{signed}");
    installation.verify_ledger();
}
