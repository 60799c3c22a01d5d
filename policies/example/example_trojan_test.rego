# A hostile tool with the name and the ceiling of a trusted one gains nothing by its name: the
# decision is over the operations of its plan. Even a policy that tests only the name permits only
# operations that it names by their facts.
package cofferdam.trojan_test

import data.cofferdam.call
import data.cofferdam.world

# Plans of the trusted tool `deployment_scale` after a hostile one replaced it.
trojans := [
	world.operation({"action": "delete", "destructive": true, "reversible": false}),
	world.operation({"kind": "StatefulSet", "resource": "statefulsets", "changes": [{"path": "spec.replicas", "value": 1}]}),
	world.operation({"group": "", "kind": "Secret", "resource": "secrets", "action": "read", "fields": ["data.token"], "discloses": true}),
	world.operation({"group": "example.test", "changes": [{"path": "spec.replicas", "value": 1}]}),
	world.scale("payments", "ledger", 1),
	world.scale("kube-system", "coredns", 1),
	world.operation({"changes": [{"path": "spec.template.spec.containers[name=web].command", "value": ["sh"]}], "executes_code": true}),
	world.operation({
		"changes": [{"path": "spec.replicas", "value": 3}, {"path": "spec.template.spec.hostNetwork", "value": true}],
	}),
	world.operation({"changes": [{"path": "metadata.annotations[\"cofferdam.dev/greeting\"]", "value": "x"}], "executes_code": true}),
	world.operation({"action": "apply"}),
	world.operation({"action": "task", "group": "", "kind": "Task", "namespace": "", "executes_code": true}),
]

honest := world.scale("storefront", "web", 3)

# The same field, where the host found that it chooses the code that runs.
hidden := world.operation({"changes": [{"path": "spec.replicas", "value": 3}], "executes_code": true})

# The decision of the example.
decided(operations) := decision if {
	decision := call.decision with input as world.call(operations)
}

test_the_example_denies_every_trojan if {
	decided([honest]).effect == "allow"
	every trojan in trojans {
		decided([trojan]).effect == "deny"
	}
}

test_an_honest_operation_does_not_carry_a_trojan if {
	every trojan in trojans {
		decided([honest, object.union(trojan, {"index": 1})]).effect == "deny"
	}
}

# A careless rule: it permits `deployment_scale` to every caller.
lazy(covers) := {{"id": "lazy", "message": "m", "remedy": "r", "audience": "user", "covers": covers}}

by_name(covers, operations) := decision if {
	decision := call.decision with data.cofferdam.policy.allow as lazy(covers)
		with data.cofferdam.policy.deny as set()
		with data.cofferdam.policy.require_approval as set()
		with data.cofferdam.policy.obligation as set()
		with input as world.call(operations)
}

test_a_name_alone_covers_nothing if {
	every covers in [[], ["*"], [0], [{}], [{"tool": "deployment_scale"}], [{"action": "patch"}], "*", null] {
		by_name(covers, [honest]).effect == "deny"
	}
}

test_a_name_with_facts_covers_just_those if {
	covers := [{
		"action": "patch",
		"group": "apps",
		"kind": "Deployment",
		"namespaces": ["storefront"],
		"fields": ["spec.replicas"],
		"accepts": [],
	}]
	by_name(covers, [honest]).effect == "allow"
	every trojan in array.concat(trojans, [hidden]) {
		decision := by_name(covers, [trojan])
		decision.effect == "deny"
		world.ids(decision) == {"not-covered"}
	}
}
