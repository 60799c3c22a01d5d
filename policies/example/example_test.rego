# The rules of the example, one by one. People and agents rely on the effects and on the ids of
# rules.
package cofferdam.policy_test

import data.cofferdam.call
import data.cofferdam.list
import data.cofferdam.world

subject(role, person) := {"type": "agent", "id": "ada", "properties": {"roles": [role], "for": person, "act": []}}

# The decision over these operations, for a role that acts for a person.
decided(role, person, operations) := decision if {
	question := object.union(world.call(operations), {"subject": subject(role, person)})
	decision := call.decision with input as question
}

# A case: role, person, operation, effect, ids of the rules.
check(case) if {
	decision := decided(case[0], case[1], [case[2]])
	decision.effect == case[3]
	world.ids(decision) == case[4]
}

alice := "alice@example.com"

carol := "carol@example.com"

status := world.operation({
	"action": "read",
	"fields": ["spec.replicas", "status.readyReplicas", "spec.template.spec.containers[*].name", "spec.template.spec.containers[*].image"],
	"discloses": true,
})

image(value) := world.operation({
	"changes": [{"path": "spec.template.spec.containers[name=web].image", "value": value}],
	"executes_code": true,
})

restart := world.operation({"changes": [{
	"path": "spec.template.metadata.annotations[\"kubectl.kubernetes.io/restartedAt\"]",
	"value": {"$host": "started_at"},
}]})

config(value, removes) := world.operation({
	"group": "",
	"kind": "ConfigMap",
	"changes": [{"path": "data.LOG_LEVEL", "value": value}],
	"removes_field": removes,
})

delete := world.operation({"action": "delete", "destructive": true, "reversible": false})

test_roles if {
	every case in [
		["viewer", alice, status, "allow", {"role-viewer"}],
		["viewer", null, object.union(status, {"namespace": "payments"}), "allow", {"role-viewer"}],
		["viewer", alice, object.union(status, {"fields": ["spec.template.spec.containers[*].env"]}), "deny", {"not-covered"}],
		["viewer", alice, object.union(status, {"group": "", "kind": "Secret"}), "deny", {"not-covered"}],
		["viewer", alice, world.scale("storefront", "web", 3), "deny", {"not-covered"}],
		["deployer", alice, status, "allow", {"role-viewer"}],
		["deployer", alice, world.scale("storefront", "web", 3), "allow", {"role-deployer"}],
		["deployer", alice, world.scale("storefront-staging", "web", 20), "allow", {"role-deployer"}],
		["deployer", alice, restart, "allow", {"role-deployer"}],
		["deployer", alice, config("debug", false), "allow", {"role-deployer"}],
		["deployer", alice, config(null, true), "allow", {"role-deployer"}],
		["deployer", alice, delete, "deny", {"not-covered"}],
		["operator", alice, status, "allow", {"role-viewer"}],
		["operator", alice, world.scale("storefront", "web", 3), "allow", {"role-deployer"}],
		["stranger", alice, status, "deny", {"not-covered"}],
	] {
		check(case)
	}
}

test_teams if {
	every case in [
		["deployer", carol, world.scale("storefront", "web", 3), "deny", {"other-team"}],
		["deployer", alice, world.scale("payments-staging", "ledger", 3), "deny", {"other-team"}],
		["deployer", null, world.scale("storefront", "web", 3), "deny", {"no-team"}],
		["deployer", "mallory@example.com", world.scale("storefront", "web", 3), "deny", {"no-team"}],
		["operator", alice, object.union(delete, {"namespace": "payments"}), "deny", {"other-team"}],
	] {
		check(case)
	}
	decided("deployer", carol, [world.scale("storefront", "web", 3)]).reasons == [{
		"id": "other-team",
		"message": "namespace storefront belongs to no team of carol@example.com",
		"remedy": "this agent may change: payments, payments-staging",
		"audience": "user",
	}]
}

test_replicas if {
	every case in [
		["deployer", alice, world.scale("storefront", "web", 21), "deny", {"replicas-limit"}],
		["deployer", alice, world.scale("storefront", "web", -1), "deny", {"replicas-limit"}],
		["deployer", alice, world.scale("storefront", "web", null), "deny", {"replicas-limit"}],
		["deployer", alice, world.scale("storefront", "web", "3"), "deny", {"replicas-limit"}],
		["deployer", alice, world.scale("storefront", "web", {"$host": "call_id"}), "deny", {"replicas-limit"}],
		["deployer", alice, world.scale("storefront", "web", 0), "require_approval", {"scale-to-zero"}],
		["deployer", carol, world.scale("payments", "ledger", 11), "deny", {"replicas-limit"}],
	] {
		check(case)
	}
	decided("deployer", alice, [world.scale("storefront", "web", 40)]).reasons == [{
		"id": "replicas-limit",
		"message": "40 replicas of web in storefront are more than 20",
		"remedy": "at most 20 replicas in storefront",
		"audience": "user",
	}]
}

grown(before, after) := decision if {
	question := world.previewed(world.call([world.scale("storefront", "web", after)]), [{
		"index": 0,
		"target": {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "storefront", "name": "web"},
		"expect": {"present": {"uid": "u", "digest": world.plan_digest}},
		"before": {"spec.replicas": before},
		"after": {"spec.replicas": after},
		"place": "apps/storefront/web.yaml:7",
		"remarks": [],
	}])
	decision := call.decision with input as question
}

remarked(kind) := decision if {
	question := world.previewed(world.call([world.scale("storefront", "web", 5)]), [world.remarked(kind)])
	decision := call.decision with input as object.union(question, {"subject": subject("deployer", alice)})
}

test_a_placeholder_needs_a_person_and_an_override_is_only_told if {
	remarked("overridden").effect == "allow"
	remarked("placeholder").effect == "require_approval"
	world.ids(remarked("placeholder")) == {"overwrites-placeholder"}
	remarked("placeholder").reasons[0].message == "spec.replicas of web has a placeholder, which this change overwrites"
}

test_growth_is_judged_by_the_preview if {
	grown(3, 12).effect == "allow"
	grown(0, 12).effect == "allow"
	world.ids(grown(3, 13)) == {"unusual-growth"}
	grown(3, 13).effect == "require_approval"
	grown(3, 13).reasons[0].message == "from 3 to 13 replicas of web is more than 4 times as many"
	grown(3, 13).reasons[0].remedy == "at most 12 replicas at once, or a person has to approve it"
}

test_images if {
	every case in [
		["deployer", alice, image("registry.example.com/storefront/web:1.4.2"), "allow", {"role-deployer"}],
		["deployer", alice, image("docker.io/library/nginx:1.27"), "deny", {"image-registry"}],
		["deployer", alice, image("registry.example.com.evil.test/web:1"), "deny", {"image-registry"}],
		["deployer", alice, image(null), "deny", {"image-registry"}],
		["deployer", alice, image({"$host": "call_id"}), "deny", {"image-registry"}],
	] {
		check(case)
	}
}

web := "spec.template.spec.containers[name=web]"

# Fields of a whole object, as path and value.
whole(facts, leaves) := world.operation(object.union(
	{"action": "apply", "changes": [{"path": leaf[0], "value": leaf[1]} | some leaf in leaves]},
	facts,
))

ours := "registry.example.com/storefront/web:1.4.2"

deployment(facts, leaves) := whole(
	object.union({"executes_code": true}, facts),
	array.concat([["spec.replicas", 2], [$"{web}.name", "web"], [$"{web}.image", ours]], leaves),
)

settings(facts) := whole(object.union({"group": "", "kind": "ConfigMap"}, facts), [["data.LOG_LEVEL", "info"]])

service(type) := whole({"group": "", "kind": "Service"}, [["spec.type", type], ["spec.ports", [{"port": 80}]]])

tried := {"namespace": ""}

rollout(image, replicas) := world.operation({
	"executes_code": true,
	"changes": [{"path": $"{web}.image", "value": image}, {"path": "spec.replicas", "value": replicas}],
})

test_rollouts if {
	every case in [
		["deployer", alice, rollout(ours, 4), "allow", {"role-deployer"}],
		["deployer", alice, rollout("docker.io/library/nginx:1.27", 4), "deny", {"image-registry"}],
		["deployer", alice, rollout(ours, 21), "deny", {"replicas-limit"}],
		["deployer", carol, rollout(ours, 4), "deny", {"other-team"}],
		["viewer", alice, rollout(ours, 4), "deny", {"not-covered"}],
	] {
		check(case)
	}
}

test_whole_objects if {
	every case in [
		["operator", alice, settings({}), "allow", {"role-operator"}],
		["operator", alice, service("ClusterIP"), "allow", {"role-operator"}],
		["operator", alice, deployment({}, []), "allow", {"role-operator"}],
		["operator", alice, deployment({"kind": "StatefulSet"}, []), "allow", {"role-operator"}],
		["operator", alice, deployment({"kind": "DaemonSet"}, []), "deny", {"not-covered"}],
		["operator", alice, settings({"namespace": "payments"}), "deny", {"other-team"}],
		["deployer", alice, settings({}), "deny", {"not-covered"}],
		["operator", alice, service("LoadBalancer"), "deny", {"service-type"}],
		["operator", alice, deployment({}, [["spec.template.spec.initContainers[name=i].image", "evil.test/i:1"]]), "deny", {"image-registry"}],
		["operator", alice, deployment({}, [["spec.template.spec.initContainers", []]]), "deny", {"image-registry"}],
		["operator", alice, deployment({}, [[$"{web}.ports", [{"containerPort": 80}]]]), "allow", {"role-operator"}],
		["operator", alice, deployment({}, [[$"{web}.ports", [{"containerPort": 80, "hostPort": 80}]]]), "deny", {"host-port"}],
		["operator", alice, deployment({}, [[$"{web}.envFrom", [{"configMapRef": {"name": "c"}}]]]), "allow", {"role-operator"}],
		["operator", alice, deployment({}, [[$"{web}.envFrom", [{"secretRef": {"name": "s"}}]]]), "require_approval", {"secret-reference"}],
		["operator", alice, deployment({}, [[$"{web}.env[name=A].valueFrom.secretKeyRef.name", "s"]]), "require_approval", {"secret-reference"}],
		["operator", alice, deployment({}, [["spec.template.spec.volumes[name=v].secret.secretName", "s"]]), "require_approval", {"secret-reference"}],
	] {
		check(case)
	}
}

task(path, value) := world.operation({
	"action": "task",
	"group": "",
	"kind": "Pod",
	"namespace": "",
	"name": "check",
	"changes": [{"path": path, "value": value}, {"path": "task.seconds", "value": 60}],
	"executes_code": true,
	"reversible": false,
})

egress(to, value) := world.operation({
	"action": "egress",
	"group": "networking.k8s.io",
	"kind": "NetworkPolicy",
	"namespace": "",
	"name": to,
	"changes": [{"path": to, "value": value}],
	"reversible": false,
})

block := {"block": "203.0.113.0/24", "protocol": "tcp", "port": 443}

test_ways_out if {
	outside := "egress.addresses[\"203.0.113.0/24 tcp 443\"]"
	every case in [
		["deployer", alice, egress("egress.siblings", true), "allow", {"role-deployer"}],
		["deployer", alice, egress("egress.name-service", true), "allow", {"role-deployer"}],
		["deployer", alice, egress(outside, block), "require_approval", {"reaches-outside"}],
		["deployer", alice, egress("egress.anything", true), "deny", {"not-covered"}],
		["viewer", alice, egress("egress.siblings", true), "deny", {"not-covered"}],
	] {
		check(case)
	}
}

test_what_is_tried_out_is_bounded_like_the_rest if {
	every case in [
		["deployer", alice, settings(tried), "allow", {"role-deployer"}],
		["deployer", alice, deployment(tried, []), "allow", {"role-deployer"}],
		["deployer", alice, deployment(object.union(tried, {"group": "batch", "kind": "Job"}), []), "allow", {"role-deployer"}],
		["viewer", alice, settings(tried), "deny", {"not-covered"}],
		["deployer", null, settings(tried), "deny", {"no-team"}],
		["deployer", alice, deployment(tried, [["spec.template.spec.containers[name=b].image", "evil.test/b:1"]]), "deny", {"image-registry"}],
		["deployer", alice, task("task.image", ours), "allow", {"role-deployer"}],
		["deployer", alice, task("task.command", world.plan_digest), "allow", {"role-deployer"}],
		["deployer", alice, task("task.image", "evil.test/t:1"), "deny", {"image-registry"}],
		["viewer", alice, task("task.image", ours), "deny", {"not-covered"}],
	] {
		check(case)
	}
	decided("deployer", alice, [whole(tried, [["spec.replicas", 21]])]).reasons[0].message == "21 replicas of web in the run's own namespace are more than 20"
}

test_events_and_logs if {
	events := world.operation({"action": "list", "group": "", "kind": "Event", "fields": ["metadata.name", "reason", "message"], "discloses": true})
	logs := world.operation({"action": "logs", "group": "", "kind": "Pod", "discloses": true})
	every case in [
		["viewer", alice, object.union(events, {"namespace": "payments"}), "allow", {"role-viewer"}],
		["viewer", alice, logs, "deny", {"not-covered"}],
		["deployer", alice, logs, "allow", {"role-deployer"}],
		["deployer", alice, object.union(logs, {"namespace": "payments"}), "deny", {"not-covered"}],
	] {
		check(case)
	}
}

# The host names the members of a list that all have a name; any other list is one value.
test_a_host_port_is_one_by_any_path if {
	every leaves in [
		[[$"{web}.ports", [{"containerPort": 80, "hostPort": 80}]]],
		[[$"{web}.ports[name=http].containerPort", 80], [$"{web}.ports[name=http].hostPort", 80]],
	] {
		check(["operator", alice, deployment({}, leaves), "deny", {"host-port"}])
	}
}

test_an_image_is_one_by_any_path if {
	every leaf in [
		["spec.template.spec.volumes[name=v].image.reference", "evil.test/v:1"],
		["spec.template.spec.volumes[name=v].image", {"reference": "evil.test/v:1"}],
		["spec.template.spec.volumes", [{"image": {"reference": "evil.test/v:1"}}]],
		["spec.template.spec.ephemeralContainers[name=e].image", "evil.test/e:1"],
		["spec.template.spec", {"containers": [{"name": "a", "image": ours}]}],
	] {
		check(["operator", alice, deployment({}, [leaf]), "deny", {"image-registry"}])
	}
	check(["operator", alice, deployment({}, [["spec.template.spec.volumes[name=v].image.reference", ours]]), "allow", {"role-operator"}])
}

test_a_config_key_that_is_called_image_is_no_image if {
	key := world.operation({"group": "", "kind": "ConfigMap", "changes": [{"path": "data.image", "value": "logo.png"}]})
	check(["deployer", alice, key, "allow", {"role-deployer"}])
}

test_a_person_signs_what_cannot_be_undone if {
	decision := decided("operator", alice, [delete])
	decision.effect == "require_approval"
	decision.approval == {"quorum": 1, "approvers": ["*"], "expires_seconds": 3600}
	decision.reasons == [{
		"id": "destructive-change",
		"message": "delete Deployment web in storefront cannot be undone",
		"remedy": "a person has to approve it",
		"audience": "user",
	}]
	question := object.union(world.call([delete]), {"subject": subject("operator", alice)})
	signed := call.decision with input as world.signed(world.previewed(question, []), ["bob@example.com"])
	signed.effect == "allow"
}

test_protected_namespaces if {
	operation := world.scale("payments", "ledger", 3)
	decision := decided("deployer", carol, [operation])
	decision.effect == "require_approval"
	world.ids(decision) == {"protected-namespace"}
	decision.approval == {
		"quorum": 1,
		"approvers": ["carol@example.com", "dave@example.com"],
		"expires_seconds": 1800,
		"escalate": {"after_seconds": 900, "approvers": ["erin@example.com"]},
		"groups": [
			{"name": "payments", "members": ["carol@example.com", "dave@example.com"]},
			{"name": "platform", "members": ["erin@example.com"]},
		],
	}
	decision.obligations == [
		{"id": "protected-permit", "type": "ttl", "properties": {"seconds": 300}},
		{"id": "protected-unchanged", "type": "unchanged", "properties": {"scope": "object"}},
	]
	check(["deployer", carol, world.scale("payments-staging", "ledger", 3), "allow", {"role-deployer"}])

	question := object.union(world.call([operation]), {"subject": subject("deployer", carol)})
	every case in [[["dave@example.com"], "allow"], [["bob@example.com"], "require_approval"]] {
		signed := call.decision with input as world.signed(world.previewed(question, []), case[0])
		signed.effect == case[1]
	}

	# The platform team may sign a quarter of an hour later.
	previewed := world.previewed(question, [])
	every case in [[900, "allow"], [899, "require_approval"], [null, "require_approval"]] {
		later := world.escalated("erin@example.com", 1800, 1000, case[0])
		signed := call.decision with input as world.timed(previewed, [later])
		signed.effect == case[1]
	}
}

test_freezes if {
	every case in [
		["Friday", 899, "require_approval", {"protected-namespace"}],
		["Friday", 900, "deny", {"freeze-payments-weekend"}],
		["Saturday", 0, "deny", {"freeze-payments-weekend"}],
		["Sunday", 1439, "deny", {"freeze-payments-weekend"}],
		["Monday", 0, "require_approval", {"protected-namespace"}],
	] {
		question := object.union(world.call([world.scale("payments", "ledger", 3)]), {
			"subject": subject("deployer", carol),
			"context": {"weekday": case[0], "minute": case[1]},
		})
		decision := call.decision with input as question
		decision.effect == case[2]
		world.ids(decision) == case[3]

		# Other namespaces are not frozen, and reads never are.
		staging := call.decision with input as object.union(question, {"plan": world.call([world.scale("payments-staging", "ledger", 3)]).plan})
		staging.effect == "allow"
		look := call.decision with input as object.union(question, {"plan": world.call([object.union(status, {"namespace": "payments"})]).plan})
		look.effect == "allow"
	}
}

test_incomplete_data_denies if {
	question := world.call([world.scale("storefront", "web", 3)])
	every decision in [
		decided_without_freezes(question),
		decided_without_protected(question),
		decided_without_registries(question),
	] {
		decision.effect == "deny"
		world.ids(decision) == {"data-incomplete"}
	}
	unsigned := call.decision with data.approvals as {} with input as object.union(world.call([delete]), {"subject": subject("operator", alice)})
	unsigned.effect == "deny"
	world.ids(unsigned) == {"approval-malformed"}
}

decided_without_freezes(question) := decision if {
	decision := call.decision with data.freezes as null with input as question
}

decided_without_protected(question) := decision if {
	decision := call.decision with data.protected as null with input as question
}

decided_without_registries(question) := decision if {
	decision := call.decision with data.registries as null with input as question
}

# The smallest plan of a tool with this ceiling in the run namespace.
inside(action, group, kind, fields) := object.union(world.grant(action, group, kind, fields), {"namespaces": [""]})

tools := [
	world.tool("config_set", [world.grant("patch", "", "ConfigMap", ["data.*"])]),
	world.tool("deployment_delete", [world.grant("delete", "apps", "Deployment", [])]),
	world.tool("environment_preview", [inside("apply", "", "ConfigMap", ["data.*"]), inside("task", "", "Pod", []), inside("egress", "networking.k8s.io", "NetworkPolicy", ["egress.siblings"])]),
	world.tool("deployment_scale", [world.grant("patch", "apps", "Deployment", ["spec.replicas"])]),
	world.tool("image_set", [world.grant("patch", "apps", "Deployment", ["spec.template.spec.containers[*].image"])]),
	world.tool("manifests_apply", [world.grant("apply", "", "ConfigMap", ["data.*"])]),
	world.tool("pod_logs", [world.grant("logs", "", "Pod", [])]),
	world.tool("secret_read", [world.grant("read", "", "Secret", ["data.*"])]),
	world.tool("workloads_list", [world.grant("list", "apps", "Deployment", ["metadata.name", "spec.replicas"])]),
]

# The tools in the list of a role, for a person, at a time.
seen(role, person, weekday) := names if {
	names := list.visible with input as {
		"schema": "cofferdam.authz.v1",
		"phase": "list",
		"subject": subject(role, person),
		"tools": tools,
		"context": object.union(world.context, {"weekday": weekday}),
	}
}

test_lists if {
	changing := ["config_set", "deployment_scale", "environment_preview", "image_set", "pod_logs", "workloads_list"]
	seen("viewer", alice, "Tuesday") == ["workloads_list"]
	seen("deployer", alice, "Tuesday") == changing
	seen("operator", alice, "Tuesday") == sort(array.concat(changing, ["deployment_delete", "manifests_apply"]))
	seen("deployer", null, "Tuesday") == ["workloads_list"]
	seen("stranger", alice, "Tuesday") == []

	# The staging namespaces are open over the weekend.
	seen("deployer", carol, "Saturday") == changing
}
