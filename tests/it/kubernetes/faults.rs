//! A runner that is killed right after each numbered step of a job in a cluster: one outcome, at
//! most one change of the object, and no namespace or rights remain. Without a gateway the reaper
//! removes them.

use super::installation::ClusterInstallation;
use crate::cluster::until;
use crate::kubernetes::client::{namespace_path, reaped_alone};
use cofferdam_core::model::run::{JOB_STEPS, JobStep};
use serde_json::json;

/// The number of installations at the same time: each job waits five seconds or more for the end of
/// its namespace.
const LANES: usize = 4;

/// A runner that is lost here has done nothing.
const NOTHING_DONE: [JobStep; 2] = [JobStep::ActingRecorded, JobStep::OperationStarted];

fn word(step: JobStep) -> String {
    serde_json::to_value(step).unwrap().as_str().unwrap().to_owned()
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_runner_killed_after_any_step_leaves_one_fate() {
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            scope.spawn(move || {
                let mut cluster = ClusterInstallation::bare(&format!("faults-{lane}"));
                let token = cluster.installation.agent("release", "operator");
                JOB_STEPS
                    .into_iter()
                    .skip(lane)
                    .step_by(LANES)
                    .for_each(|step| drill(&mut cluster, &token, step));
                cluster.installation.serve(&[]);
                cluster.installation.verify_ledger();
            });
        }
    });
}

fn drill(cluster: &mut ClusterInstallation, token: &str, step: JobStep) {
    let word = word(step);
    cluster.installation.serve(&["--drill", &word]);
    let before = cluster.live("web");
    let wanted = if before["spec"]["replicas"] == 5 { 6 } else { 5 };
    let answer =
        cluster.installation.call(token, "deployment_scale", &cluster.scale("web", wanted));
    let call = ClusterInstallation::call_of(&answer);
    let story = cluster.installation.closed(&call);
    let log = cluster.installation.log();

    // A runner that is lost before acting: the job runs again under a higher lease epoch. Lost
    // while acting: the cluster shows the effect.
    let expected = if NOTHING_DONE.contains(&step) { "failed" } else { "succeeded" };
    assert_eq!(story["view"]["outcome"], expected, "{word}: {story:#}\n{log}");
    let live = cluster.live("web");
    let happened = expected == "succeeded";
    let generation = before["metadata"]["generation"].as_u64().unwrap() + u64::from(happened);
    assert_eq!(
        live["metadata"]["generation"], generation,
        "{word}: changed more than once, or not at all"
    );
    assert_eq!(
        live["spec"]["replicas"],
        if happened { json!(wanted) } else { before["spec"]["replicas"].clone() },
        "{word}"
    );
    // A namespace without a record is not reported as removed.
    assert!(!answer.body.to_string().contains("(absent)"), "{word}: {:#}", answer.body);
    assert_eq!(cluster.left_of(&call), Vec::<String>::new(), "{word}");
    let ends = story["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["event"]["kind"] == "finished")
        .count();
    assert_eq!(ends, 1, "{word}: one outcome");
    cluster.installation.stop();
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn without_a_gateway_the_reaper_takes_what_expired_and_nothing_else() {
    let (plane, _turn) = reaped_alone();
    let mut cluster = ClusterInstallation::bare_on(plane, "faults-reaped");
    let token = cluster.installation.agent("release", "operator");
    cluster.installation.serve(&["--drill", &word(JobStep::OperationEffected)]);
    // It reports ready when every role is ready. The waiting runner has its credential then, and no
    // later runner can start.
    cluster.installation.until_logged("Cofferdam serves the environment");
    cluster.no_more_runners();
    let answer = cluster.installation.http(
        "POST",
        "/v1/tools/deployment_scale?wait=1",
        &token,
        Some(&cluster.scale("web", 5)),
    );
    let call = ClusterInstallation::call_of(&answer);
    until("the effect", || (cluster.live("web")["spec"]["replicas"] == 5).then_some(()));
    cluster.installation.until_logged("cannot be used");
    cluster.installation.stop();

    // A run without a runner: it has a namespace, a Role and a RoleBinding, and none has expired.
    let left = cluster.left_of(&call);
    let run = format!("cofferdam-run-{call}-1");
    assert!(cluster.bound(&run), "{left:?}");
    let first = cluster.reap();
    assert_eq!(first["namespaces"], json!([]), "{first}");
    assert_eq!(cluster.left_of(&call), left);

    // Its time is over. Only the superuser of the API server may set the expiry; for all others it
    // is frozen.
    let over =
        json!({"metadata": {"annotations": {"cofferdam.dev/expires-at": "2026-01-01T00:00:00Z"}}});
    let patched = cluster.plane.request("PATCH", &namespace_path(&run), Some(&over));
    assert_eq!(patched.status, 200, "{}", patched.body);
    let everything = |cluster: &ClusterInstallation| {
        let live = cluster.live("web");
        let namespace =
            cluster.plane.request("GET", &namespace_path(&cluster.namespace), None).body;
        (
            live["metadata"]["generation"].clone(),
            live["spec"].clone(),
            namespace["metadata"].clone(),
        )
    };
    let before = everything(&cluster);
    let second = cluster.reap();
    assert_eq!(second["namespaces"], json!([run]), "{second}");
    assert!(!cluster.bound(&run));
    until("the run's end", || cluster.left_of(&call).is_empty().then_some(()));
    assert_eq!(everything(&cluster), before);
}
