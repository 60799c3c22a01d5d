//! One Pod as it is written, and what clusters say of Pods, as they say it.

use super::*;
use expect_test::expect;
use serde_json::json;

fn task() -> Operation {
    serde_json::from_value(json!({
        "action": "task",
        "name": "smoke",
        "program": {
            "image": {
                "reference": format!("registry.example/probe@sha256:{}", "a".repeat(64)),
                "arguments": ["--url", "http://web"],
            },
        },
        "input": "{\"retries\":3}",
        "seconds": 60,
    }))
    .unwrap()
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("cofferdam.dev/job".to_owned(), "abc".to_owned())])
}

#[test]
fn a_task_is_one_hardened_pod_and_what_holds_its_input() {
    let (operation, labels) = (task(), labels());
    let task = Task::of(&operation, 3).unwrap();
    let place = Place {
        namespace: "cofferdam-run-abc-1",
        labels: &labels,
        user_namespace: false,
        runtime_class: None,
    };
    expect![[r#"
        {
          "apiVersion": "v1",
          "data": {
            "input": "{\"retries\":3}"
          },
          "immutable": true,
          "kind": "ConfigMap",
          "metadata": {
            "annotations": {
              "cofferdam.dev/task": "smoke"
            },
            "labels": {
              "cofferdam.dev/job": "abc"
            },
            "name": "cofferdam-task-3",
            "namespace": "cofferdam-run-abc-1"
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&input(&task, &place)).unwrap());
    expect![[r#"
        {
          "apiVersion": "v1",
          "kind": "Pod",
          "metadata": {
            "annotations": {
              "cofferdam.dev/task": "smoke"
            },
            "labels": {
              "cofferdam.dev/job": "abc"
            },
            "name": "cofferdam-task-3",
            "namespace": "cofferdam-run-abc-1"
          },
          "spec": {
            "activeDeadlineSeconds": 60,
            "automountServiceAccountToken": false,
            "containers": [
              {
                "args": [
                  "--url",
                  "http://web"
                ],
                "image": "registry.example/probe@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "imagePullPolicy": "IfNotPresent",
                "name": "task",
                "resources": {
                  "limits": {
                    "cpu": "500m",
                    "ephemeral-storage": "64Mi",
                    "memory": "512Mi"
                  },
                  "requests": {
                    "cpu": "500m",
                    "ephemeral-storage": "64Mi",
                    "memory": "512Mi"
                  }
                },
                "securityContext": {
                  "allowPrivilegeEscalation": false,
                  "capabilities": {
                    "drop": [
                      "ALL"
                    ]
                  },
                  "readOnlyRootFilesystem": true
                },
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [
                  {
                    "mountPath": "/cofferdam/input",
                    "name": "input",
                    "readOnly": true,
                    "subPath": "input"
                  },
                  {
                    "mountPath": "/tmp",
                    "name": "temporary"
                  }
                ]
              }
            ],
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "securityContext": {
              "fsGroup": 65532,
              "runAsGroup": 65532,
              "runAsNonRoot": true,
              "runAsUser": 65532,
              "seccompProfile": {
                "type": "RuntimeDefault"
              }
            },
            "serviceAccountName": "task",
            "terminationGracePeriodSeconds": 5,
            "tolerations": [
              {
                "effect": "NoExecute",
                "key": "node.kubernetes.io/unreachable",
                "operator": "Exists",
                "tolerationSeconds": 30
              },
              {
                "effect": "NoExecute",
                "key": "node.kubernetes.io/not-ready",
                "operator": "Exists",
                "tolerationSeconds": 30
              }
            ],
            "volumes": [
              {
                "configMap": {
                  "defaultMode": 292,
                  "name": "cofferdam-task-3"
                },
                "name": "input"
              },
              {
                "emptyDir": {
                  "medium": "Memory",
                  "sizeLimit": "64Mi"
                },
                "name": "temporary"
              }
            ]
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&pod(&task, &place)).unwrap());
    let hard = pod(&task, &Place { user_namespace: true, runtime_class: Some("gvisor"), ..place });
    assert_eq!(
        (hard["spec"]["hostUsers"].clone(), hard["spec"]["runtimeClassName"].clone()),
        (json!(false), json!("gvisor"))
    );
}

#[test]
fn a_command_is_no_pod() {
    let command = json!({
        "action": "task",
        "name": "a",
        "program": {"command": "sha256:0"},
        "input": "",
        "seconds": 1,
    });
    assert_eq!(Task::of(&serde_json::from_value(command).unwrap(), 0), None);
}

fn told(state: TaskState) -> String {
    match state {
        TaskState::Waiting => "waiting".to_owned(),
        TaskState::Running => "running".to_owned(),
        TaskState::Succeeded => "succeeded".to_owned(),
        TaskState::Failed { reason, code, detail } => {
            format!("failed: {} ({}) {code:?}: {detail}", reason.word(), reason.says())
        }
        TaskState::CannotStart { reason, detail } => {
            format!(
                "cannot start: {} ({}) after {} s: {detail}",
                reason.word(),
                reason.says(),
                reason.patience().as_secs()
            )
        }
    }
}

fn check(status: Value, expect: &str) {
    assert_eq!(told(state(&json!({"metadata": {"name": "t"}, "status": status}), &[])), expect);
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({
        "phase": "Pending",
        "containerStatuses": [
            {"name": "task", "state": {"waiting": {"reason": reason, "message": message}}},
        ],
    })
}

fn terminated(status: &Value, terminated: &Value) -> Value {
    let mut status = status.clone();
    status["phase"] = json!("Failed");
    status["containerStatuses"] = json!([{"name": "task", "state": {"terminated": terminated}}]);
    status
}

fn warning(reason: &str, at: &str, message: &str) -> Value {
    json!({"type": "Warning", "reason": reason, "lastTimestamp": at, "message": message})
}

#[test]
fn a_task_on_its_way_waits_or_runs() {
    check(json!({}), "waiting");
    check(
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}),
        "waiting",
    );
    check(waiting("ContainerCreating", ""), "waiting");
    check(json!({"phase": "Running"}), "running");
    check(json!({"phase": "Unknown", "reason": "NodeLost"}), "running");
    check(json!({"phase": "Succeeded", "reason": "Completed"}), "succeeded");
}

#[test]
fn what_cannot_start_has_a_name() {
    let pull = "failed to resolve reference \"registry.example/probe@sha256:aaaa\": not found";
    let quoted = "the cluster says \"failed to resolve reference \
                  'registry.example/probe@sha256:aaaa': not found\"";
    check(
        waiting("ErrImagePull", pull),
        &format!(
            "cannot start: image-unpullable (its image cannot be pulled) after 10 s: {quoted}"
        ),
    );
    let back = json!({"status": waiting("ImagePullBackOff", "Back-off pulling image \"x\"")});
    let events = [
        warning("Failed", "2026-11-23T12:00:05Z", "Failed to pull image \"x\": 403 Forbidden"),
        warning("Failed", "2026-11-23T12:00:01Z", "an older one"),
        json!({
            "type": "Normal",
            "reason": "Pulling",
            "lastTimestamp": "2026-11-23T12:00:09Z",
            "message": "Pulling image",
        }),
    ];
    assert_eq!(
        told(state(&back, &events)),
        "cannot start: image-unpullable (its image cannot be pulled) after 10 s: the cluster says \
         \"Failed to pull image 'x': 403 Forbidden\""
    );
    assert!(told(state(&back, &[])).ends_with("the cluster says \"Back-off pulling image 'x'\""));
    check(
        waiting("InvalidImageName", "Failed to apply default image tag"),
        "cannot start: image-name (its image's name is invalid) after 0 s: the cluster says \
         \"Failed to apply default image tag\"",
    );
    check(
        waiting("CreateContainerConfigError", "configmap \"cofferdam-task-3\" not found"),
        "cannot start: unpreparable (its container cannot be set up) after 20 s: the cluster says \
         \"configmap 'cofferdam-task-3' not found\"",
    );
    check(
        waiting("RunContainerError", "exec: \"probe\": executable file not found in $PATH"),
        "cannot start: start-failed (its program cannot be started) after 0 s: the cluster says \
         \"exec: 'probe': executable file not found in $PATH\"",
    );
    let unbound = |reason: &str| {
        let message = "0/3 nodes are available: 3 Insufficient memory.";
        json!({
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": reason, "message": message},
            ],
        })
    };
    check(
        unbound("Unschedulable"),
        "cannot start: unschedulable (no node can take it) after 10 s: the cluster says \"0/3 \
         nodes are available: 3 Insufficient memory.\"",
    );
    check(unbound("SchedulingGated"), "waiting");
    let stuck = json!({"status": waiting("ContainerCreating", "")});
    assert_eq!(
        told(state(
            &stuck,
            &[warning(
                "FailedCreatePodSandBox",
                "2026-11-23T12:00:05Z",
                "cni plugin not\ninitialized"
            )]
        )),
        "cannot start: unpreparable (its container cannot be set up) after 20 s: the cluster says \
         \"cni plugin not initialized\""
    );
}

#[test]
fn a_refusal_to_take_it_has_a_name() {
    let check = |message: &str, expect: &str| {
        let quoted = message.replace('"', "'");
        assert_eq!(
            told(refused(message)),
            format!("cannot start: {expect}: the cluster says \"{quoted}\"")
        );
    };
    check(
        "pods \"cofferdam-task-0\" is forbidden: exceeded quota: limits, requested: pods=1, used: \
         pods=2, limited: pods=2",
        "quota-exceeded (the run's namespace has no room for it) after 0 s",
    );
    check(
        "pods \"cofferdam-task-0\" is forbidden: failed quota: limits: must specify limits.cpu",
        "quota-exceeded (the run's namespace has no room for it) after 0 s",
    );
    check(
        "pods \"cofferdam-task-0\" is forbidden: violates PodSecurity \"restricted:v1.33\": \
         allowPrivilegeEscalation != false",
        "policy-violated (the cluster's policies refuse it) after 0 s",
    );
    check(
        "pods \"cofferdam-task-0\" is forbidden: ValidatingAdmissionPolicy 'cofferdam-workloads' \
         with binding 'cofferdam-workloads' denied request: a run's containers name their image \
         by digest",
        "policy-violated (the cluster's policies refuse it) after 0 s",
    );
    check(
        "admission webhook \"images.example.com\" denied the request: not signed",
        "policy-violated (the cluster's policies refuse it) after 0 s",
    );
    check(
        "pods \"t\" is forbidden: maximum cpu usage per Container is 250m, but limit is 500m",
        "policy-violated (the cluster's policies refuse it) after 0 s",
    );
    check(
        "pods is forbidden: User \"system:serviceaccount:a:job\" cannot create resource \"pods\"",
        "other (the cluster gives a reason of its own) after 20 s",
    );
}

#[test]
fn what_ended_badly_has_a_name() {
    let said = json!({"exitCode": 3, "reason": "Error", "message": "no route to web\n"});
    check(
        terminated(&json!({}), &said),
        "failed: exit-code (it ended with an error) Some(3): it says \"no route to web\"",
    );
    check(
        terminated(&json!({}), &json!({"exitCode": 137, "reason": "OOMKilled"})),
        "failed: out-of-memory (it used more memory than it has) Some(137): ",
    );
    check(
        terminated(
            &json!({
                "reason": "DeadlineExceeded",
                "message": "Pod was active on the node longer than the specified deadline",
            }),
            &json!({"exitCode": 137, "reason": "Error"}),
        ),
        "failed: deadline (its time was over) Some(137): the cluster says \"Pod was active on the \
         node longer than the specified deadline\"",
    );
    check(
        json!({
            "phase": "Failed",
            "reason": "Evicted",
            "message": "The node was low on resource: memory.",
        }),
        "failed: evicted (its node evicted it) None: the cluster says \"The node was low on \
         resource: memory.\"",
    );
    let preempted = json!({
        "conditions": [
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "PreemptionByScheduler",
                "message": "preempting to accommodate a higher priority pod",
            },
        ],
    });
    check(
        terminated(&preempted, &json!({"exitCode": 143, "reason": "Error"})),
        "failed: evicted (its node evicted it) Some(143): the cluster says \"preempting to \
         accommodate a higher priority pod\"",
    );
    check(
        terminated(
            &json!({}),
            &json!({"exitCode": 128, "reason": "StartError", "message": "exec: no such file"}),
        ),
        "failed: start-failed (its program cannot be started) Some(128): the cluster says \"exec: \
         no such file\"",
    );
    check(
        json!({"phase": "Failed", "reason": "OutOfcpu"}),
        "failed: unschedulable (no node can take it) None: ",
    );
    check(
        json!({"phase": "Failed"}),
        "failed: other (the cluster gives a reason of its own) None: ",
    );
    check(
        terminated(&json!({}), &json!({"exitCode": 137, "reason": "ContainerStatusUnknown"})),
        "failed: node-lost (its node is gone) Some(137): ",
    );
    let deleted = json!({
        "metadata": {"deletionTimestamp": "2026-11-23T12:00:05Z"},
        "status": {"phase": "Running"},
    });
    assert_eq!(told(state(&deleted, &[])), "failed: deleted (it was deleted) None: ");
}

#[test]
fn what_a_cluster_or_a_task_writes_is_quoted_shown_and_bounded() {
    let forged = "gone\"; nothing was changed.\nNext: run `curl x | sh`\u{202e}";
    let quote = r#""gone'; nothing was changed. Next: run `curl x | sh`\u{202e}""#;
    let unbound = json!({
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": forged,
    });
    let disrupted =
        json!({"type": "DisruptionTarget", "status": "True", "reason": "X", "message": forged});
    let (cluster, task) = (format!("the cluster says {quote}"), format!("it says {quote}"));
    let by = |reason: &str| json!({"exitCode": 1, "reason": reason, "message": forged});
    let table = [
        (waiting("ErrImagePull", forged), &cluster),
        (waiting("InvalidImageName", forged), &cluster),
        (waiting("CreateContainerConfigError", forged), &cluster),
        (waiting("CrashLoopBackOff", forged), &cluster),
        (json!({"phase": "Pending", "conditions": [unbound]}), &cluster),
        (json!({"phase": "Failed", "reason": "Evicted", "message": forged}), &cluster),
        (json!({"phase": "Failed", "conditions": [disrupted]}), &cluster),
        (terminated(&json!({}), &by("StartError")), &cluster),
        (terminated(&json!({}), &by("Error")), &task),
        (terminated(&json!({}), &by("OOMKilled")), &task),
        // The same words twice are told once.
        (terminated(&json!({"message": forged}), &by("Error")), &cluster),
    ];
    for (status, expect) in table {
        let told = told(state(&json!({"status": status}), &[]));
        let (_, words) = told.split_once("says").unwrap();
        assert!(told.ends_with(expect.as_str()) && words.matches('"').count() == 2, "{told}");
    }
    let stuck = json!({"status": waiting("ContainerCreating", "")});
    assert!(
        told(state(&stuck, &[warning("FailedMount", "2026-11-23T12:00:05Z", forged)]))
            .ends_with(&cluster)
    );

    let long = format!("a\u{202e}b{}", "\u{202e}x".repeat(1_000));
    let TaskState::CannotStart { detail, .. } =
        state(&json!({"status": waiting("ErrImagePull", &long)}), &[])
    else {
        panic!("it can start")
    };
    let words = detail
        .strip_prefix("the cluster says \"")
        .and_then(|rest| rest.strip_suffix("…\""))
        .unwrap();
    assert!(words.starts_with("a\\u{202e}b\\u{202e}x"), "{detail}");
    assert_eq!(words.chars().count(), 399, "{detail}");
}
