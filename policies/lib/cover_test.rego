package cofferdam.cover_test

import data.cofferdam.cover
import data.cofferdam.world

line := {
	"action": "patch",
	"group": "apps",
	"kind": "Deployment",
	"namespaces": ["storefront", "team-*"],
	"fields": ["spec.replicas", "spec.template.spec.containers[*].image", "data.*"],
	"accepts": [],
}

changes(path) := world.operation({"changes": [{"path": path, "value": 1}]})

test_covered if {
	every operation in [
		world.operation({}),
		world.operation({"namespace": "team-a"}),
		changes("spec.replicas"),
		changes("spec.template.spec.containers[*].image"),
		changes("spec.template.spec.containers[name=web].image"),
		changes("data.LOG_LEVEL"),
		changes("data[\"app.properties\"]"),
		world.operation({"fields": ["spec.replicas"]}),
	] {
		cover.covers(line, operation)
	}
	cover.covers(object.union(line, {"fields": ["*"]}), changes("anything[at=all].goes"))
	cover.covers(object.union(line, {"accepts": ["destructive"]}), world.operation({"destructive": true}))
}

test_not_covered if {
	every operation in [
		{},
		world.operation({"action": "delete"}),
		world.operation({"group": ""}),
		world.operation({"group": "example.com"}),
		world.operation({"kind": "Secret"}),
		world.operation({"namespace": ""}),
		world.operation({"namespace": "payments"}),
		world.operation({"namespace": "storefront-staging"}),
		world.operation({"fields": ["spec.paused"]}),
		changes("spec"),
		changes("spec.replicas.x"),
		changes("data"),
		changes("data."),
		changes("data.a.b"),
		changes("data.a[x=y]"),
		changes("data[\"a\"].b"),
		changes("data[\"a\"][\"b\"]"),
		changes("spec.template.spec.containers[name=web].command"),
		changes("spec.template.spec.containers[name=a].x[y=b].image"),
		changes("spec.template.spec.containers[name=a]b].image"),
		changes("spec.template.spec.containers[\"name=web\"].image"),
		changes("spec.template.spec.initContainers[name=web].image"),
		world.operation({"destructive": true}),
		world.operation({"executes_code": true}),
		world.operation({"discloses": true}),
		world.operation({"removes_field": true}),
		world.operation({"removes_field": null}),
	] {
		not cover.covers(line, operation)
	}
}

# The run namespace has no name, and no pattern matches it.
test_the_runs_own_namespace_is_said_by_its_empty_name if {
	inside := world.operation({"namespace": ""})
	cover.covers(object.union(line, {"namespaces": [""]}), inside)
	not cover.covers(object.union(line, {"namespaces": ["*"]}), inside)
	not cover.covers(object.union(line, {"namespaces": [""]}), world.operation({}))
	not cover.covers(object.union(line, {"namespaces": [""]}), object.remove(inside, ["namespace"]))
}

test_a_missing_fact_is_not_covered if {
	whole := world.scale("storefront", "web", 5)
	cover.covers(line, whole)
	every key in ["action", "group", "kind", "namespace", "fields", "changes", "destructive", "executes_code", "discloses", "removes_field"] {
		not cover.covers(line, object.remove(whole, [key]))
	}
	every key in object.keys(line) {
		not cover.covers(object.remove(line, [key]), object.union(whole, {"discloses": key == "accepts"}))
	}
}
