# Inputs for tests: the smallest complete input, and changes to it. Not part of a built policy.
package cofferdam.world

plan_digest := "sha256:1111111111111111111111111111111111111111111111111111111111111111"

preview_digest := "sha256:2222222222222222222222222222222222222222222222222222222222222222"

subject := {
	"type": "agent",
	"id": "ada",
	"properties": {"roles": ["deployer"], "for": "alice@example.com", "act": []},
}

context := {
	"environment": {"name": "staging", "id": "5d3e"},
	"time": "2026-11-24T10:00:00Z",
	"weekday": "Tuesday",
	"minute": 600,
	"purpose": null,
	"approval": null,
	"policy": "sha256:3333333333333333333333333333333333333333333333333333333333333333",
	"supported_obligations": ["ttl", "unchanged"],
}

tool(name, grants) := {
	"type": "tool",
	"id": name,
	"properties": {
		"version": "0.1.0",
		"digest": "sha256:4444444444444444444444444444444444444444444444444444444444444444",
		"grants": grants,
		"actions": sort({grant.action | some grant in grants}),
		"kinds": sort({grant.kind | some grant in grants}),
		"namespaces": ["*"],
		"read_only": false,
		"destructive": false,
	},
}

grant(action, group, kind, fields) := {
	"action": action,
	"group": group,
	"version": "v1",
	"kind": kind,
	"namespaces": ["*"],
	"fields": fields,
}

# One operation. `facts` are the differences from a patch of a Deployment.
operation(facts) := object.union(
	{
		"index": 0,
		"action": "patch",
		"group": "apps",
		"version": "v1",
		"kind": "Deployment",
		"resource": "deployments",
		"namespace": "storefront",
		"name": "web",
		"fields": [],
		"changes": [],
		"destructive": false,
		"executes_code": false,
		"discloses": false,
		"removes_field": false,
		"reversible": true,
	},
	facts,
)

call(operations) := {
	"schema": "cofferdam.authz.v1",
	"phase": "plan",
	"subject": subject,
	"action": {"name": "tools/call"},
	"resource": tool("deployment_scale", []),
	"arguments": {},
	"plan": {
		"digest": plan_digest,
		"executor": "sequential",
		"operations": operations,
		"namespaces": sort({operation.namespace | some operation in operations}),
	},
	"preview": null,
	"context": context,
}

# The same call after the preview, with the previewed operations.
previewed(input_, shown) := object.union(input_, {
	"phase": "preview",
	"preview": {"digest": preview_digest, "operations": shown},
})

# A previewed operation with a remark of this kind.
remarked(kind) := {
	"index": 0,
	"target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "storefront", "name": "web"},
	"expect": {"present": {"uid": "u", "digest": plan_digest}},
	"before": {"spec.replicas": 4},
	"after": {"spec.replicas": 5},
	"place": "apps/storefront/web.yaml:7",
	"remarks": [{"kind": kind, "field": "spec.replicas", "by": "", "place": "", "value": "${REPLICAS}"}],
}

# The same call after the signatures of these people, each made just now and valid for a second.
signed(input_, people) := timed(input_, [signature(person, 1, 0) | some person in people])

# The same call after approvals with these times.
timed(input_, signatures) := object.union(input_, {"context": object.union(input_.context, {"approval": {
	"approvers": [signature.approver | some signature in signatures],
	"plan": plan_digest,
	"preview": preview_digest,
	"signatures": signatures,
}})})

# The times of one approval: its validity in seconds, and its age.
signature(person, seconds, age) := {
	"approver": person,
	"issued": "2026-11-25T09:59:00Z",
	"expires": "2026-11-25T10:59:00Z",
	"seconds": seconds,
	"age_seconds": age,
	"escalated_seconds": null,
}

# The same for an approval of a question that had escalated so many seconds after it was asked.
escalated(person, seconds, age, since) := object.union(signature(person, seconds, age), {"escalated_seconds": since})

scale(namespace, name, replicas) := operation({
	"namespace": namespace,
	"name": name,
	"changes": [{"path": "spec.replicas", "value": replicas}],
})

# The rule ids of the reasons of a decision.
ids(decision) := {reason.id | some reason in decision.reasons}
