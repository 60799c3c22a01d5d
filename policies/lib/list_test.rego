package cofferdam.list_test

import data.cofferdam.call
import data.cofferdam.list
import data.cofferdam.world

scales := world.tool("deployment_scale", [world.grant("patch", "apps", "Deployment", ["spec.replicas"])])

deletes := world.tool("deployment_delete", [world.grant("delete", "apps", "Deployment", [])])

looks := world.tool("workload_status", [world.grant("read", "apps", "Deployment", ["status.readyReplicas"])])

images := world.tool("image_set", [world.grant("patch", "apps", "Deployment", ["spec.template.spec.containers[*].image"])])

tasks := world.tool("job_run", [world.grant("task", "", "Task", [])])

answers := world.tool("time", [])

rule(line) := {"id": "r", "message": "m", "remedy": "r", "audience": "user", "covers": [line]}

line(action, fields, accepts) := {
	"action": action,
	"group": "apps",
	"kind": "Deployment",
	"namespaces": ["storefront", "team-*"],
	"fields": fields,
	"accepts": accepts,
}

seen(rules, deny, ask, tools) := names if {
	names := list.visible with data.cofferdam.policy.allow as {rule(line) | some line in rules}
		with data.cofferdam.policy.deny as deny
		with data.cofferdam.policy.require_approval as ask
		with data.cofferdam.policy.obligation as set()
		with input as {
			"schema": "cofferdam.authz.v1",
			"phase": "list",
			"subject": world.subject,
			"tools": tools,
			"context": world.context,
		}
}

everything := [scales, deletes, looks, images, tasks, answers]

test_only_what_could_be_called_is_seen if {
	seen(set(), set(), set(), everything) == []
	seen({line("patch", ["spec.replicas"], [])}, set(), set(), everything) == ["deployment_scale", "time"]
	seen({line("patch", ["spec.*"], [])}, set(), set(), [scales, images]) == ["deployment_scale"]
	seen({line("delete", [], [])}, set(), set(), [deletes]) == []
	seen({line("delete", [], ["destructive"])}, set(), set(), [deletes]) == ["deployment_delete"]
	seen({line("read", ["status.*"], ["discloses"])}, set(), set(), [looks, scales]) == ["workload_status"]
	seen({line("patch", ["*"], ["executes_code"])}, set(), set(), [images, tasks]) == ["image_set"]
	seen({line("patch", ["*"], [])}, set(), set(), [images, tasks]) == []
}

test_namespaces_of_ceiling_and_cover_must_meet if {
	lines := {line("patch", ["spec.replicas"], [])}
	every case in [
		[["payments"], []],
		[["storefront"], ["deployment_scale"]],
		[["team-a"], ["deployment_scale"]],
		[["team-*", "x"], ["deployment_scale"]],
		[["store*"], ["deployment_scale"]],
		[["t*"], ["deployment_scale"]],
		[[], []],
	] {
		grant := object.union(world.grant("patch", "apps", "Deployment", ["spec.replicas"]), {"namespaces": case[0]})
		seen(lines, set(), set(), [world.tool("deployment_scale", [grant])]) == case[1]
	}
}

test_what_is_denied_is_not_seen_and_what_a_person_may_allow_is if {
	lines := {line("patch", ["spec.replicas"], [])}
	no := {"id": "no", "message": "m", "remedy": "r", "audience": "user"}
	seen(lines, {no}, set(), [scales]) == []
	ask := object.union(no, {"approval": {"quorum": 1, "approvers": ["*"], "expires_seconds": 60}})
	seen(lines, set(), {ask}, [scales]) == ["deployment_scale"]
}

test_no_tools if {
	seen({line("patch", ["*"], [])}, set(), set(), []) == []
	list.visible == [] with input as {}
}

# The entry point for calls gives no decision for a list.
test_a_call_without_a_plan_is_denied if {
	decision := call.decision with data.cofferdam.policy.allow as {rule(line("patch", ["*"], []))}
		with data.cofferdam.policy.deny as set()
		with data.cofferdam.policy.require_approval as set()
		with data.cofferdam.policy.obligation as set()
		with input as object.union(world.call([]), {"phase": "list", "plan": null})
	decision.effect == "deny"
	world.ids(decision) == {"no-plan"}
}

# A line that lets the host find chosen code needs a cover that accepts it.
test_lines_that_choose_code if {
	every case in [
		["patch", "Deployment", "spec.template.spec.containers[*].resources.limits.cpu", false],
		["patch", "Deployment", "spec.template.metadata.annotations[\"a\"]", false],
		["patch", "Deployment", "spec.replicas", false],
		["patch", "Deployment", "spec.template.spec.containers[*].command", true],
		["patch", "Deployment", "spec.template", true],
		["patch", "CronJob", "spec", true],
		["patch", "Service", "spec", false],
		["patch", "Pod", "spec.containers[*].image", true],
		["apply", "Deployment", "spec.replicas", true],
		["apply", "ConfigMap", "data.*", false],
		["task", "Task", "", true],
	] {
		grant := object.union(world.grant(case[0], "apps", case[1], [case[2]]), {"namespaces": ["storefront"]})
		covers := object.union(line(case[0], ["*"], []), {"kind": case[1]})
		seen({covers}, set(), set(), [world.tool("t", [grant])]) == {true: [], false: ["t"]}[case[3]]
		accepting := object.union(covers, {"accepts": ["executes_code"]})
		seen({accepting}, set(), set(), [world.tool("t", [grant])]) == ["t"]
	}
}
