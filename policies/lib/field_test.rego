package cofferdam.field_test

import data.cofferdam.field
import future.keywords.not

test_keys_of_a_path if {
	every case in [
		["spec", ["spec"]],
		["spec.replicas", ["spec", "replicas"]],
		["spec.template.spec.containers[name=web].image", ["spec", "template", "spec", "containers", "image"]],
		["spec.containers[name=web].ports[name=http].hostPort", ["spec", "containers", "ports", "hostPort"]],
		["spec.containers[*].ports", ["spec", "containers", "ports"]],
		["spec.volumes[mountPath=/a.hostPort/b]", ["spec", "volumes"]],
		["data[\"app.properties\"]", ["data", "app.properties"]],
		["metadata.annotations[\"a.b/c\"].x", ["metadata", "annotations", "a.b/c", "x"]],
		["data[\"a[name=b].c\"]", ["data", "a[name=b].c"]],
		["data[\"a\"][\"b\"].c[name=d].e", ["data", "a", "b", "c", "e"]],
		["data[\"a\\\"b\"].hostPort", ["data", "ab", "hostPort"]],
		["data[\"a\\\\\"].hostPort", ["data", "a", "hostPort"]],
		["egress.addresses[\"203.0.113.0/24 tcp 443\"]", ["egress", "addresses", "203.0.113.0/24 tcp 443"]],
	] {
		field.keys(case[0]) == case[1]
	}
}

changes := [
	{"path": "spec.containers[name=web].ports[name=http].hostPort", "value": 80},
	{"path": "spec.containers[name=web].ports", "value": [{"containerPort": 80, "hostPort": 80}]},
	{"path": "spec.containers[name=web]", "value": {"ports": [{"hostPort": null}]}},
	{"path": "spec", "value": {"containers": [{"ports": [{"name": "http", "hostPort": 80}]}]}},
	{"path": "spec.x[\"hostPort\"]", "value": 80},
	{"path": "spec.x[\"a\\\"b\"].hostPort", "value": 80},
	{"path": "spec.x.hostPort.from", "value": 80},
	{"path": "spec", "value": {"<&>": [{"hostPort": 80}]}},
]

test_a_key_of_any_characters if {
	every key in ["<b>", "a&b", "é", "\"", "\\", "a.b/c"] {
		field.names({"path": "spec", "value": [{key: 1}]}, key)
		not field.names({"path": "spec", "value": [{"x": key}]}, key)
	}
}

test_a_field_is_one_in_each_form if {
	every change in changes {
		field.names(change, "hostPort")
	}
	every change in [
		{"path": "spec.containers[name=web].ports[name=http].containerPort", "value": 80},
		{"path": "spec.containers[name=hostPort].ports", "value": [{"containerPort": 80}]},
		{"path": "spec.hostPorts", "value": "hostPort"},
		{"path": "spec.x[\"hostPort.y\"]", "value": ["hostPort"]},
	] {
		not field.names(change, "hostPort")
	}
}

test_the_nodes_of_a_change if {
	field.nodes({"path": "spec.volumes[name=v]", "value": {"image": {"reference": "a"}}}) == {
		{"keys": ["spec", "volumes"], "value": {"image": {"reference": "a"}}},
		{"keys": ["spec", "volumes", "image"], "value": {"reference": "a"}},
		{"keys": ["spec", "volumes", "image", "reference"], "value": "a"},
	}
	field.nodes({"path": "a.b", "value": [{"c": 1}, {"c": 2}]}) == {
		{"keys": ["a", "b"], "value": [{"c": 1}, {"c": 2}]},
		{"keys": ["a", "b"], "value": {"c": 1}},
		{"keys": ["a", "b"], "value": {"c": 2}},
		{"keys": ["a", "b", "c"], "value": 1},
		{"keys": ["a", "b", "c"], "value": 2},
	}
	field.nodes({"path": "a", "value": null}) == {{"keys": ["a"], "value": null}}
}
