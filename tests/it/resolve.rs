//! An operator records the real outcome of an indeterminate call: once, with a name, beside the
//! outcome. The agent gets it.

use crate::compromise::attack;
use crate::installation::TestInstallation;
use serde_json::json;

#[test]
fn a_person_resolves_an_unknown_outcome_and_the_agent_is_told() {
    let mut installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let scale =
        |replicas: u32| json!({"namespace": "storefront", "name": "web", "replicas": replicas});
    let answer = installation.call(&token, "deployment_scale", &scale(5));
    let call = answer.body["call"].as_str().unwrap().to_owned();
    installation.closed(&call);
    let known = installation.fail(&["resolve", &call, "--as", "failed", "--because", "I looked"]);
    assert!(
        known.contains("is known, succeeded; only an `indeterminate` call can be resolved"),
        "{known}"
    );

    // No command makes the runner of a directory lose a job; a change in the store's file does.
    installation.stop();
    attack(&installation, &["unknown-outcome", &call]);
    installation.serve(&[]);
    let told = |installation: &TestInstallation| {
        let answer = installation.http("GET", &format!("/v1/jobs/{call}"), &token, None);
        (
            answer.status,
            answer.body["error"]["text"].as_str().unwrap_or_default().to_owned(),
            answer.body["error"]["changed"].clone(),
        )
    };
    assert!(
        told(&installation).1.starts_with(&format!("UNKNOWN {call} by the runner in shop\n")),
        "{:?}",
        told(&installation)
    );
    for (words, why) in [
        (&["--as", "maybe", "--because", "I looked"][..], "possible values: succeeded, failed"),
        (&["--as", "failed", "--because", " "], "give your evidence"),
        (&["--as", "failed"], "--because <TEXT>"),
    ] {
        let said = installation.fail(&[&["resolve", &call][..], words].concat());
        assert!(said.contains(why), "{said}");
    }
    let because = "web has 5 replicas, as git shows";
    let resolved =
        installation.json(&["resolve", &call[..8], "--as", "succeeded", "--because", because]);
    assert_eq!(
        resolved,
        json!({"schema": "cofferdam.cli.v1", "call": call, "as": "succeeded", "because": because})
    );
    let (status, text, changed) = told(&installation);
    assert_eq!((status, changed), (200, json!("resolved as succeeded")));
    assert!(
        text.starts_with(&format!(
            "RESOLVED {call} by an operator in shop\nAn operator resolved it: all of it was done.\n"
        )),
        "{text}"
    );
    assert!(text.contains(&format!("\nWhy: They say: \"{because}\"")), "{text}");

    let story = installation.run(&["show", &call]);
    assert!(
        story.starts_with(&format!("Call {call} in shop: indeterminate, resolved as succeeded")),
        "{story}"
    );
    assert!(
        story.contains(&format!("looked: it succeeded; they say: \"{because}\""))
            && story.contains("resolved as succeeded, by user "),
        "{story}"
    );
    assert!(installation.run(&["jobs"]).contains("indeterminate, resolved as succeeded"));
    let again = installation.fail(&["resolve", &call, "--as", "failed", "--because", "or not"]);
    assert!(again.contains("is resolved already, as succeeded by user "), "{again}");
    // The same request is a new call: there is nothing to change, or policy decides again.
    let anew = installation.call(&token, "deployment_scale", &scale(5));
    assert_ne!(
        anew.body["call"].as_str().or(anew.body["error"]["call"].as_str()),
        Some(call.as_str()),
        "{:#}",
        anew.body
    );
    installation.verify_ledger();
}
