//! A runner that is killed right after each numbered step of a job: after the next start no private
//! copy remains, no operation runs twice, the tree is whole, and the outcome is recorded.

use crate::installation::TestInstallation;
use cofferdam_core::model::run::{JOB_STEPS, JobStep};
use serde_json::json;

/// From this step on the effect is durable, and a new runner completes it.
const COMMITTED: JobStep = JobStep::EffectCommitted;

#[test]
fn a_runner_killed_after_any_step_leaves_one_fate() {
    // The steps share one installation, so that each also begins with the state after the one
    // before.
    let mut installation = TestInstallation::bare("example");
    let token = installation.agent("release", "operator");
    let mut replicas = 3;
    for step in JOB_STEPS {
        let word = serde_json::to_value(step).unwrap().as_str().unwrap().to_owned();
        installation.serve(&["--drill", &word]);
        let before = installation.files();
        let wanted = if replicas == 5 { 6 } else { 5 };
        let answer = installation.call(
            &token,
            "deployment_scale",
            &json!({"namespace": "storefront", "name": "web", "replicas": wanted}),
        );
        let text = answer.body.to_string();
        let call = answer.body["call"]
            .as_str()
            .or(answer.body["error"]["call"].as_str())
            .unwrap_or_else(|| panic!("{word}: {text}"))
            .to_owned();
        let story = installation.closed(&call);
        let outcome = story["view"]["outcome"].as_str().unwrap().to_owned();
        // A runner that is lost before acting: the job runs again under a higher lease epoch. Lost
        // while acting, without a commit: the job failed. Lost after the commit: a new runner
        // completes the job.
        let expected = if step < JobStep::ActingRecorded || step >= COMMITTED {
            "succeeded"
        } else {
            "failed"
        };
        assert_eq!(outcome, expected, "{word}: {story:#}\n{}", installation.log());
        let same = installation.files() == before;
        assert_eq!(same, expected == "failed", "{word}: the tree does not fit the outcome");
        replicas = if same { replicas } else { wanted };
        assert!(installation.namespaces().is_empty(), "{word}: {:?}", installation.namespaces());
        let commits = story["entries"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["event"]["kind"] == "finished")
            .count();
        assert_eq!(commits, 1, "{word}: one outcome");
        installation.stop();
    }
    installation.serve(&[]);
    installation.verify_ledger();
}
