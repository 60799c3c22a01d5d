//! The lines of a ceiling for whole objects of common kinds, field by field. A plan cannot write a
//! field that is not in these lines: another ServiceAccount, the namespaces, paths, ports and
//! devices of the node, added capabilities, addresses outside of the cluster.

use super::{Action, CONFIG_MAP, DEPLOYMENT, Grant, JOB, Kind, SERVICE, STATEFUL_SET};

const TEMPLATE: &str = "spec.template";

/// Fields of every object.
const METADATA: &[&str] = &["metadata.labels.*", "metadata.annotations.*"];

/// Fields of a pod, without its containers. A pod may name Secrets and claims, and creates none.
const POD: &[&str] = &[
    "metadata.labels.*",
    "metadata.annotations.*",
    "spec.restartPolicy",
    "spec.terminationGracePeriodSeconds",
    "spec.automountServiceAccountToken",
    "spec.enableServiceLinks",
    "spec.nodeSelector.*",
    "spec.topologySpreadConstraints",
    "spec.imagePullSecrets[*].name",
    "spec.securityContext.runAsNonRoot",
    "spec.securityContext.runAsUser",
    "spec.securityContext.runAsGroup",
    "spec.securityContext.fsGroup",
    "spec.securityContext.seccompProfile.type",
    "spec.volumes[*].name",
    "spec.volumes[*].configMap.name",
    "spec.volumes[*].configMap.items",
    "spec.volumes[*].configMap.optional",
    "spec.volumes[*].configMap.defaultMode",
    "spec.volumes[*].secret.secretName",
    "spec.volumes[*].secret.items",
    "spec.volumes[*].secret.optional",
    "spec.volumes[*].secret.defaultMode",
    "spec.volumes[*].emptyDir",
    "spec.volumes[*].emptyDir.medium",
    "spec.volumes[*].emptyDir.sizeLimit",
    "spec.volumes[*].persistentVolumeClaim.claimName",
    "spec.volumes[*].persistentVolumeClaim.readOnly",
];

/// Fields of a container.
const CONTAINER: &[&str] = &[
    "name",
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "workingDir",
    "env[*].name",
    "env[*].value",
    "env[*].valueFrom.configMapKeyRef.name",
    "env[*].valueFrom.configMapKeyRef.key",
    "env[*].valueFrom.configMapKeyRef.optional",
    "env[*].valueFrom.secretKeyRef.name",
    "env[*].valueFrom.secretKeyRef.key",
    "env[*].valueFrom.secretKeyRef.optional",
    "env[*].valueFrom.fieldRef.fieldPath",
    "envFrom",
    "ports",
    "ports[*].name",
    "ports[*].containerPort",
    "ports[*].protocol",
    "resources.requests.*",
    "resources.limits.*",
    "volumeMounts",
    "volumeMounts[*].name",
    "volumeMounts[*].mountPath",
    "volumeMounts[*].subPath",
    "volumeMounts[*].readOnly",
    "securityContext.allowPrivilegeEscalation",
    "securityContext.readOnlyRootFilesystem",
    "securityContext.runAsNonRoot",
    "securityContext.runAsUser",
    "securityContext.runAsGroup",
    "securityContext.capabilities.drop",
    "securityContext.seccompProfile.type",
    "restartPolicy",
    "lifecycle.preStop.exec.command",
    "lifecycle.preStop.sleep.seconds",
];

/// Fields of each probe of a container.
const PROBE: &[&str] = &[
    "httpGet.path",
    "httpGet.port",
    "httpGet.scheme",
    "tcpSocket.port",
    "exec.command",
    "grpc.port",
    "initialDelaySeconds",
    "periodSeconds",
    "timeoutSeconds",
    "failureThreshold",
    "successThreshold",
];
const PROBES: &[&str] = &["startupProbe", "readinessProbe", "livenessProbe"];

/// Fields of the kind. The fields of a pod template are added to the kinds that have one.
fn own(kind: Kind) -> &'static [&'static str] {
    match kind {
        CONFIG_MAP => &["data.*", "binaryData.*", "immutable"],
        SERVICE => &[
            "spec.type",
            "spec.clusterIP",
            "spec.selector.*",
            "spec.publishNotReadyAddresses",
            "spec.sessionAffinity",
            "spec.ports",
            "spec.ports[*].name",
            "spec.ports[*].port",
            "spec.ports[*].targetPort",
            "spec.ports[*].protocol",
            "spec.ports[*].appProtocol",
        ],
        DEPLOYMENT => &[
            "spec.replicas",
            "spec.selector.matchLabels.*",
            "spec.strategy.type",
            "spec.strategy.rollingUpdate.maxSurge",
            "spec.strategy.rollingUpdate.maxUnavailable",
            "spec.minReadySeconds",
            "spec.progressDeadlineSeconds",
            "spec.revisionHistoryLimit",
        ],
        STATEFUL_SET => &[
            "spec.replicas",
            "spec.selector.matchLabels.*",
            "spec.serviceName",
            "spec.podManagementPolicy",
            "spec.updateStrategy.type",
            "spec.updateStrategy.rollingUpdate.partition",
            "spec.minReadySeconds",
            "spec.revisionHistoryLimit",
        ],
        JOB => &[
            "spec.backoffLimit",
            "spec.activeDeadlineSeconds",
            "spec.completions",
            "spec.parallelism",
            "spec.ttlSecondsAfterFinished",
        ],
        _ => &[],
    }
}

/// Permits to apply whole objects of this kind in these namespaces, with the common fields of
/// ConfigMaps, Services, Deployments, StatefulSets and Jobs. For other kinds it permits only labels
/// and annotations.
pub fn may_apply(kind: Kind, namespaces: &[&str]) -> Vec<Grant> {
    let line = |fields: Vec<String>| Grant {
        namespaces: namespaces.iter().map(|namespace| (*namespace).into()).collect(),
        fields,
        ..kind.grant(Action::Apply, &[])
    };
    let beneath = |place: &str, fields: &[&str]| {
        fields.iter().map(|field| format!("{place}.{field}")).collect::<Vec<_>>()
    };
    let mut lines =
        vec![line(own(kind).iter().chain(METADATA).map(|field| (*field).into()).collect())];
    if [DEPLOYMENT, STATEFUL_SET, JOB].contains(&kind) {
        lines.push(line(beneath(TEMPLATE, POD)));
        for list in ["initContainers", "containers"] {
            lines.push(line(beneath(&format!("{TEMPLATE}.spec.{list}[*]"), CONTAINER)));
        }
        lines.push(line(
            PROBES
                .iter()
                .flat_map(|probe| beneath(&format!("{TEMPLATE}.spec.containers[*].{probe}"), PROBE))
                .collect(),
        ));
    }
    lines
}
