# METADATA
# title: The tools that a caller may see
# description: |
#   This is not a second policy. For every line of a tool's accepted ceiling it makes the smallest
#   plan of that line in a namespace, and asks `decision.rego`. A tool is listed if one of these
#   plans would not be denied, so that a listed tool can be called. A rule that must not count for
#   the list tests `input.phase != "list"`.
# schemas:
#   - input: schema.list_input
package cofferdam.list

import data.cofferdam.cover
import future.keywords.not

default seen := []

seen := sort({tool.id |
	some tool in input.tools
	callable(tool)
})

callable(tool) if {
	some line in tool.properties.grants
	some namespace in candidates(tool, line)
	decision := data.cofferdam.call.decision with input as question(tool, [operation(line, namespace)])
	decision.effect in {"allow", "require_approval"}
}

# A tool whose drafts have no operations.
callable(tool) if {
	tool.properties.grants == []
	decision := data.cofferdam.call.decision with input as question(tool, [])
	decision.effect in {"allow", "require_approval"}
}

# The namespaces to ask for: those that both the ceiling and a cover name.
candidates(tool, line) := {namespace |
	rules := data.cofferdam.policy.allow with input as question(tool, [operation(line, "")])
	some rule in rules
	some granted in rule.covers
	granted.action == line.action
	granted.kind == line.kind
	some patterns in [granted.namespaces, line.namespaces]
	some pattern in patterns
	namespace := example(pattern)
	some inside in line.namespaces
	cover.namespace(namespace, inside)
}

# One namespace that a pattern matches.
example(pattern) := concat("", [trim_suffix(pattern, "*"), "x"]) if {
	endswith(pattern, "*")
} else := pattern

operation(line, namespace) := {
	"index": 0,
	"action": line.action,
	"group": line.group,
	"version": line.version,
	"kind": line.kind,
	"resource": "",
	"namespace": namespace,
	"name": "",
	"fields": line.fields,
	"changes": [],
	"destructive": line.action == "delete",
	"executes_code": code(line),
	"discloses": line.action in {"read", "list", "logs"},
	"removes_field": false,
	"reversible": false,
}

workloads := {"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"}

# True if a plan of this line may choose the code that runs: at least whenever the host finds that
# in a real plan.
default code(_) := false

code(line) if line.action == "task"

code(line) if {
	line.action == "apply"
	line.kind in workloads
}

code(line) if {
	line.action == "patch"
	some field in line.fields
	in_pod(line, field)
	not harmless(field)
}

in_pod(_, field) if contains(field, "template")

# A field above the pod's part is replaced as a whole.
in_pod(line, field) if {
	line.kind in workloads
	field in {"spec", "spec.jobTemplate", "spec.jobTemplate.spec"}
}

in_pod(line, field) if {
	line.kind == "Pod"
	startswith(field, "spec")
}

# Annotations of the template, and the resources of a container.
harmless(field) if startswith(field, "spec.template.metadata.")

harmless(field) if contains(field, "].resources")

question(tool, operations) := {
	"schema": input.schema,
	"phase": "list",
	"subject": input.subject,
	"action": {"name": "tools/call"},
	"resource": tool,
	"arguments": {},
	"plan": {
		"digest": "",
		"executor": null,
		"operations": operations,
		"namespaces": sort({operation.namespace | some operation in operations}),
	},
	"preview": null,
	"context": object.union(input.context, {"approval": null}),
}
