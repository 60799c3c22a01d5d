# The limits of changes: replicas, images, access from outside, and freezes. A denial here applies
# to every role, and an approval cannot lift it.
package cofferdam.policy

import data.cofferdam.cover
import data.cofferdam.field
import future.keywords.not

deny contains {
	"id": "replicas-limit",
	"message": $"{change.value} replicas of {operation.name} in {place(operation)} are more than {largest(operation.namespace)}",
	"remedy": $"at most {largest(operation.namespace)} replicas in {place(operation)}",
	"audience": "user",
} if {
	some operation in changing
	some change in operation.changes
	change.path == "spec.replicas"
	not fits(change.value, largest(operation.namespace))
}

largest(namespace) := object.get(data.replicas.per_namespace, namespace, data.replicas.largest)

place(operation) := "the run's own namespace" if operation.namespace == ephemeral

place(operation) := operation.namespace if operation.namespace != ephemeral

fits(value, limit) if {
	is_number(value)
	value >= 0
	value <= limit
}

deny contains {
	"id": "image-registry",
	"message": $"the image `{image.value}` is not from a trusted registry",
	"remedy": $"use an image from: {concat(", ", data.registries)}",
	"audience": "user",
} if {
	some operation in changing
	some change in operation.changes
	may_name_image(change)
	some image in field.nodes(change)
	names_image(image.keys)
	not trusted(image.value)
}

# A quick test first, so that most changes cost little.
may_name_image(change) if field.names(change, "image")

may_name_image(change) if names_image(field.keys(change.path))

may_name_image(change) if {
	type_name(change.value) in {"array", "object"}
	contains(json.marshal(change.value), "ontainers\"")
}

# The image of a container, a volume or a task, and a list of containers that is written as a whole.
names_image(keys) if {
	keys[count(keys) - 1] == "image"
	endswith(keys[count(keys) - 2], "ontainers")
}

names_image(keys) if array.slice(keys, count(keys) - 3, count(keys)) == ["volumes", "image", "reference"]

names_image(["task", "image"])

names_image(keys) if endswith(keys[count(keys) - 1], "ontainers")

trusted(image) if {
	is_string(image)
	some registry in data.registries
	startswith(image, registry)
}

deny contains {
	"id": "service-type",
	"message": $"{operation.name} would be a Service of the type {change.value}, which reaches outside the cluster",
	"remedy": "use the type ClusterIP; an agent may not open a Service to the outside",
	"audience": "user",
} if {
	some operation in changing
	operation.kind == "Service"
	some change in operation.changes
	change.path == "spec.type"
	change.value != "ClusterIP"
}

deny contains {
	"id": "host-port",
	"message": $"{operation.name} would take a port of the node it runs on",
	"remedy": "leave `hostPort` out and use a Service",
	"audience": "user",
} if {
	some operation in changing
	operation.executes_code
	some change in operation.changes
	field.names(change, "hostPort")
}

deny contains {
	"id": $"freeze-{freeze.id}",
	"message": $"{freeze.why}",
	"remedy": $"ask again after {freeze.until}; the staging namespaces are open",
	"audience": "user",
} if {
	some operation in changing
	some freeze in data.freezes
	some pattern in freeze.namespaces
	cover.namespace(operation.namespace, pattern)
	frozen(freeze)
}

# From the first minute up to the second, which is not included. In UTC.
frozen(freeze) if {
	[from, to] := freeze.days[input.context.weekday]
	input.context.minute >= from
	input.context.minute < to
}

# Lists that only forbid: without them nothing would be forbidden, so that without them no change is
# permitted.
deny contains {
	"id": "data-incomplete",
	"message": "the policy's data lacks `freezes`, `protected` or `registries`",
	"remedy": "an operator has to complete `data.json`; an empty list is valid",
	"audience": "operator",
} if {
	not complete
}

complete if {
	is_array(data.freezes)
	is_array(data.protected)
	is_array(data.registries)
}
