# METADATA
# title: The policy for a single user
# description: |
#   The policy that `init` copies. Every caller may read and preview. Every change needs an
#   approval, except a change within `data.unattended.covers` by a named agent with a role of
#   `data.unattended.roles`. A caller without a name gets no exception.
#
#   On a machine with one user, `self_approval = true` in the trust file lets the person of an agent
#   approve its calls. The holder of that person's key then decides alone. `data.self_approval:
#   true` permits nothing: it only changes the remedy. Set both.
# schemas:
#   - input: schema.input
package cofferdam.policy

import data.cofferdam.cover
import future.keywords.not

# Covers for the kinds and actions of the plan alone: a decision pays for each cover that it makes.
allow contains {
	"id": "anyone-looks",
	"message": "every caller may read",
	"remedy": "nothing to do",
	"audience": "user",
	"covers": [object.union(kind, {
		"action": action,
		"namespaces": ["*"],
		"fields": ["*"],
		"accepts": ["discloses"],
	}) |
		some kind in concerned
		some action in (asked & {"list", "logs", "read"})
	],
}

allow contains {
	"id": "changes",
	"message": $"an agent with a role may set 1 to {data.unattended.replicas} replicas without approval; most other changes need it",
	"remedy": "nothing to do",
	"audience": "user",
	"covers": array.concat([ways_out], [object.union(kind, {
		"action": action,
		"namespaces": ["*", ""],
		"fields": ["*"],
		"accepts": ["destructive", "executes_code", "removes_field"],
	}) |
		some kind in concerned
		some action in (asked & {"apply", "delete", "patch", "task"})
	]),
} if {
	changer
}

# The kinds of the data that the plan names, each once, and the actions of the plan.
concerned := [kind | some kind in data.kinds; named(kind)]

named(kind) if {
	some operation in input.plan.operations
	operation.kind == kind.kind
}

asked contains operation.action if some operation in input.plan.operations

# Network access of the run namespace: it needs a person, as every change does.
ways_out := {"action": "egress", "group": "networking.k8s.io", "kind": "NetworkPolicy", "namespaces": [""], "fields": ["*"], "accepts": []}

# Callers without a name, and agents with a role that may change something. An agent without such a
# role only reads.
changer if input.subject.type == "anonymous"

changer if named_changer

named_changer if {
	input.subject.type == "agent"
	some role in input.subject.properties.roles
	role in data.unattended.roles
}

require_approval contains {
	"id": "change-needs-a-person",
	"message": "this change needs approval",
	"remedy": remedy,
	"audience": "user",
	"approval": who,
} if {
	some operation in input.plan.operations
	not operation.action in {"read", "list", "logs"}
	not unattended(operation)
}

# This applies to unattended changes too: the variable would have no effect any more.
require_approval contains {
	"id": "overwrites-placeholder",
	"message": $"{remark.field} of {shown.target.name} has a placeholder, which this change overwrites",
	"remedy": "change the variable where it is set, or a person has to approve it",
	"audience": "user",
	"approval": who,
} if {
	some shown in input.preview.operations
	some remark in shown.remarks
	remark.kind == "placeholder"
}

# The approval rule. Without it the library denies.
default who := null

who := data.approval

# The change that needs no approval, or else the possible approvers.
remedy := bound if bound

else := "you may approve it yourself: this machine is set up for one person" if data.self_approval == true

else := "a person other than the one the agent works for has to approve it"

# The bound, if a number of replicas is the only obstacle.
bound := $"{range} replicas without approval" if {
	named_changer
	every operation in asked_for {
		some line in data.unattended.covers
		cover.covers(line, operation)
	}
}

range := $"up to {data.unattended.replicas}" if every value in replicas { value > data.unattended.replicas }

else := $"1 to {data.unattended.replicas}"

asked_for := [operation |
	some operation in input.plan.operations
	not operation.action in {"read", "list", "logs"}
	not unattended(operation)
]

replicas := [change.value |
	some operation in asked_for
	some change in operation.changes
	change.path == "spec.replicas"
]

unattended(operation) if {
	named_changer
	some line in data.unattended.covers
	cover.covers(line, operation)
	every change in operation.changes {
		modest(change)
	}
}

modest(change) if change.path != "spec.replicas"

modest(change) if {
	is_number(change.value)
	change.value >= 1
	change.value <= data.unattended.replicas
}
