# The changes that a person has to sign. A role must cover them too. `data.approvals` names the
# approvers, some of them as groups of `data.approver_groups`; the calling agent and its person can
# never sign.
package cofferdam.policy

import data.cofferdam.cover
import data.cofferdam.field
import future.keywords.not

require_approval contains {
	"id": "destructive-change",
	"message": $"{operation.action} {operation.kind} {operation.name} in {operation.namespace} cannot be undone",
	"remedy": "a person has to approve it",
	"audience": "user",
	"approval": signed_by("destructive"),
} if {
	some operation in changing
	not operation.destructive == false
}

require_approval contains {
	"id": "protected-namespace",
	"message": $"{operation.namespace} is protected: every change needs one of its people",
	"remedy": "a person of that team has to approve it; its staging namespace does not need one",
	"audience": "user",
	"approval": signed_by("protected"),
} if {
	some operation in changing
	protected(operation.namespace)
}

require_approval contains {
	"id": "unusual-growth",
	"message": $"from {before} to {after} replicas of {shown.target.name} is more than {data.replicas.growth} times as many",
	"remedy": $"at most {data.replicas.growth * before} replicas at once, or a person has to approve it",
	"audience": "user",
	"approval": signed_by("unusual"),
} if {
	some shown in input.preview.operations
	before := shown.before["spec.replicas"]
	after := shown.after["spec.replicas"]
	before > 0
	not after <= data.replicas.growth * before
}

require_approval contains {
	"id": "overwrites-placeholder",
	"message": $"{remark.field} of {shown.target.name} has a placeholder, which this change overwrites",
	"remedy": "change the variable where it is set, or a person has to approve it",
	"audience": "user",
	"approval": signed_by("unusual"),
} if {
	some shown in input.preview.operations
	some remark in shown.remarks
	remark.kind == "placeholder"
}

require_approval contains {
	"id": "scale-to-zero",
	"message": $"{operation.name} in {operation.namespace} would stop",
	"remedy": "at least 1 replica, or a person has to approve it",
	"audience": "user",
	"approval": signed_by("unusual"),
} if {
	some operation in changing
	operation.namespace != ephemeral
	some change in operation.changes
	change.path == "spec.replicas"
	change.value == 0
}

require_approval contains {
	"id": "secret-reference",
	"message": $"{operation.name} in {operation.namespace} would get a Secret, and runs code that the agent chose",
	"remedy": "leave Secrets out of the manifest, or a person has to approve it",
	"audience": "user",
	"approval": signed_by("unusual"),
} if {
	some operation in changing
	operation.namespace != ephemeral
	operation.action == "apply"
	operation.executes_code
	some change in operation.changes
	names_secret(change)
}

require_approval contains {
	"id": "reaches-outside",
	"message": $"pods in the run namespace would reach {operation.name}",
	"remedy": "leave it out, or a person has to approve it; other pods of that namespace and the name service need no approval",
	"audience": "user",
	"approval": signed_by("unusual"),
} if {
	some operation in changing
	operation.action == "egress"
	not needs_no_approval(operation)
}

# The name service resolves names of the whole Internet, so that data can leave in names. To require
# a person for it, remove it here.
needs_no_approval(operation) if {
	every change in operation.changes {
		change.path in {"egress.siblings", "egress.name-service"}
	}
}

names_secret(change) if {
	some key in ["secretRef", "secretKeyRef", "secret"]
	field.names(change, key)
}

# The approval rule of a kind. A kind that is not in the data gives `null`, which the library
# denies.
signed_by(kind) := object.get(data.approvals, kind, null)

obligation contains {
	"id": "protected-permit",
	"type": "ttl",
	"properties": {"seconds": data.permit_seconds},
} if {
	some operation in changing
	protected(operation.namespace)
}

# The state that people of a protected namespace signed is the state that runs: the object must not
# change in between.
obligation contains {
	"id": "protected-unchanged",
	"type": "unchanged",
	"properties": {"scope": "object"},
} if {
	some operation in changing
	protected(operation.namespace)
}

protected(namespace) if {
	some pattern in data.protected
	cover.namespace(namespace, pattern)
}
