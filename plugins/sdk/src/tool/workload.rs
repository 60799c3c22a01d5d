//! The lines of a ceiling for whole objects of usual kinds, field by field. What is not here no
//! such plan can write: another ServiceAccount, the node's namespaces, paths, ports or devices,
//! added capabilities, addresses outside the cluster.

use super::{Action, CONFIG_MAP, DEPLOYMENT, Grant, JOB, Kind, SERVICE, STATEFUL_SET};

const TEMPLATE: &str = "spec.template";

/// Of every object.
const METADATA: &[&str] = &["metadata.labels.*", "metadata.annotations.*"];

/// Of a pod, besides its containers. Secrets and claims are named, never made.
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

/// Of a container.
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

/// Of each of a container's probes.
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

/// What the kind itself has; a pod template is added to those that have one.
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

/// Permits applying whole objects of this kind in these namespaces, in the fields that such objects
/// usually have: for ConfigMaps, Services, Deployments, StatefulSets and Jobs; for others it
/// permits only labels and annotations.
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
