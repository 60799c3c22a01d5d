package cofferdam.policy_test

import data.cofferdam.call
import data.cofferdam.list
import data.cofferdam.world

anonymous := {"type": "anonymous", "id": "anonymous", "properties": {"roles": [], "for": null, "act": []}}

agent(roles) := {"type": "agent", "id": "ada", "properties": {"roles": roles, "for": "me@example.com", "act": []}}

decided(subject, operation) := decision if {
	question := object.union(world.call([operation]), {"subject": subject})
	decision := call.decision with input as question
}

look := world.operation({"action": "list", "fields": ["metadata.name"], "discloses": true})

image := world.operation({
	"changes": [{"path": "spec.template.spec.containers[name=web].image", "value": "nginx:1.27"}],
	"executes_code": true,
})

delete := world.operation({"action": "delete", "destructive": true})

# A task in the run namespace, which has no name yet.
task := world.operation({"action": "task", "group": "", "kind": "Pod", "namespace": "", "name": "probe", "executes_code": true})

egress := world.operation({
	"action": "egress",
	"group": "networking.k8s.io",
	"kind": "NetworkPolicy",
	"namespace": "",
	"name": "siblings",
	"changes": [{"path": "egress.siblings", "value": true}],
})

test_who_may_what if {
	every case in [
		[anonymous, look, "allow"],
		[agent([]), look, "allow"],
		[anonymous, world.scale("web", "web", 3), "require_approval"],
		[object.union(anonymous, {"properties": {"roles": ["deployer"]}}), world.scale("web", "web", 3), "require_approval"],
		[anonymous, delete, "require_approval"],
		[anonymous, world.operation({"action": "read", "group": "", "kind": "Secret", "discloses": true}), "deny"],
		[anonymous, world.operation({"action": "apply"}), "require_approval"],
		[agent([]), world.operation({"action": "apply"}), "deny"],
		[anonymous, world.operation({"action": "apply", "group": "rbac.authorization.k8s.io", "kind": "Role"}), "deny"],
		[agent(["deployer"]), task, "require_approval"],
		[agent(["deployer"]), egress, "require_approval"],
		[agent([]), egress, "deny"],
		[agent([]), world.operation({"action": "logs", "group": "", "kind": "Pod", "fields": [], "discloses": true}), "allow"],
		[agent(["viewer"]), world.scale("web", "web", 3), "deny"],
		[agent(["deployer"]), world.scale("web", "web", 3), "allow"],
		[agent(["deployer"]), world.scale("web", "web", 11), "require_approval"],
		[agent(["deployer"]), world.scale("web", "web", 0), "require_approval"],
		[agent(["deployer"]), world.scale("web", "web", null), "require_approval"],
		[agent(["operator"]), image, "require_approval"],
		[agent(["operator"]), delete, "require_approval"],
	] {
		decided(case[0], case[1]).effect == case[2]
	}
}

test_a_placeholder_needs_a_person if {
	every case in [["overridden", "allow"], ["placeholder", "require_approval"]] {
		question := world.previewed(world.call([world.scale("web", "web", 3)]), [world.remarked(case[0])])
		decision := call.decision with input as object.union(question, {"subject": agent(["deployer"])})
		decision.effect == case[1]
	}
}

test_the_laptop_of_one_person_says_so if {
	remedies := {reason.remedy | some reason in decided(anonymous, delete).reasons}
	remedies == {"a person other than the one the agent works for has to approve it"}
	own := call.decision with data.self_approval as true with input as object.union(world.call([delete]), {"subject": anonymous})
	own.effect == "require_approval"
	own.reasons[0].remedy == "you may approve it yourself: this machine is set up for one person"
}

test_the_bound_that_would_have_passed_is_named if {
	every case in [
		[agent(["deployer"]), world.scale("web", "web", 11), "up to 10 replicas without approval"],
		[agent(["deployer"]), world.scale("web", "web", 0), "1 to 10 replicas without approval"],
		[agent(["deployer"]), world.scale("web", "web", null), "1 to 10 replicas without approval"],
		[agent(["operator"]), image, "a person other than the one the agent works for has to approve it"],
		[anonymous, world.scale("web", "web", 11), "a person other than the one the agent works for has to approve it"],
	] {
		decided(case[0], case[1]).reasons[0].remedy == case[2]
	}
}

test_without_approvers_nothing_is_asked if {
	decision := call.decision with data.approval as null with input as object.union(world.call([delete]), {"subject": anonymous})
	decision.effect == "deny"
	world.ids(decision) == {"approval-malformed"}
}

test_lists if {
	tools := [
		world.tool("deployment_delete", [world.grant("delete", "apps", "Deployment", [])]),
		world.tool("workloads_list", [world.grant("list", "apps", "Deployment", ["metadata.name"])]),
		world.tool("secrets_list", [world.grant("list", "", "Secret", ["metadata.name"])]),
	]
	every case in [
		[anonymous, ["deployment_delete", "workloads_list"]],
		[agent([]), ["workloads_list"]],
		[agent(["deployer"]), ["deployment_delete", "workloads_list"]],
	] {
		seen := list.visible with input as {
			"schema": "cofferdam.authz.v1",
			"phase": "list",
			"subject": case[0],
			"tools": tools,
			"context": world.context,
		}
		seen == case[1]
	}
}
