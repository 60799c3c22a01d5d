//! A group of people who may sign only later: until then the call does not exist for them.

use super::*;

#[test]
fn a_group_of_further_people_signs_after_its_time() {
    let installation = enrolled(&["carl"]);
    let unknown = json!({"quorum": 1, "approvers": ["group:nowhere"], "expires_seconds": 600});
    let refused = refused_data(&installation, "approval", unknown);
    assert!(refused.contains("names the approvers `group:nowhere`"), "{refused}");
    let groups = json!({"leads": []});
    let refused = refused_data(&installation, "approver_groups", groups);
    assert!(refused.contains("`approver_groups.leads` in the policy's data is empty"), "{refused}");
    let groups = json!({"leads": ["carl@example.com", "nora@example.com"]});
    let told = change_data(&installation, "approver_groups", groups);
    let note = "the group `leads` of approvers has `nora@example.com`, who is not enrolled";
    assert!(told.contains(note), "{told}");
    let rule = json!({"quorum": 1, "approvers": ["bob@example.com"], "expires_seconds": 600,
        "escalate": {"after_seconds": 20, "approvers": ["group:leads"]}});
    change_data(&installation, "approval", rule);
    let token = installation.agent("release", "operator");
    let earlier = asked(&installation, &token, 16);
    let mut carl = Person::new(&installation, "carl");
    carl.sign_in(&earlier);
    let call = asked(&installation, &token, 17);
    let early = carl.look(&call);
    assert_eq!(early.status, 404, "{}", early.text());
    let shown = installation.json(&["show", &call, "--shown"])["shown"].clone();
    let shown = shown.as_str().unwrap();
    assert!(shown.contains("needed:     1 of bob@example.com\n"), "{shown}");
    let later = "on also leads (carl@example.com, nora@example.com)";
    assert!(shown.contains("later:      from ") && shown.contains(later), "{shown}");
    let page = crate::cluster::until("the time of the further people", || {
        Some(carl.look(&call)).filter(|page| page.status == 200)
    });
    assert!(page.text().contains(later), "{}", page.text());
    let statement = carl.statement(&call, "approve", "");
    assert!(statement.contains("\"escalated\":\""), "{statement}");
    let signed = carl.hand_in(&call, &statement, &carl.device.approve(&statement));
    assert_eq!(signed.json()["missing"], json!(0), "{}", signed.text());
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}");
    installation.verify_ledger();
}
