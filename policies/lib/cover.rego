# METADATA
# title: One operation and one cover
# description: |
#   Compares one operation of a plan with one cover: `{action, group, kind, namespaces, fields,
#   accepts}`. It uses the facts of the host about the operation, never the name of the tool. If a
#   member is missing on either side, the cover does not match.
#
#   - `namespaces`: exact names, prefixes with `*`, or `*`; `""` for the run namespace.
#   - `fields`: field paths, list members as `[*]`, `data.*` for each key of `data`, or `*` for any.
#     Every field that the operation reads or changes must match one.
#   - `accepts`: the hazards that the operation may have: `destructive`, `executes_code`,
#     `discloses` and `removes_field`.
package cofferdam.cover

import future.keywords.not

covers(cover, operation) if {
	operation.action == cover.action
	operation.group == cover.group
	operation.kind == cover.kind
	some pattern in cover.namespaces
	namespace(operation.namespace, pattern)
	is_array(operation.fields)
	every change in operation.changes {
		is_string(change.path)
	}
	every path in touched(operation) {
		some wanted in cover.fields
		field(path, wanted)
	}
	every hazard in hazards(operation) {
		hazard in cover.accepts
	}
}

# Every field that an operation reads or changes.
touched(operation) := {path | some path in operation.fields} | {change.path | some change in operation.changes}

# The hazards of an operation, which a cover must accept by name. A fact that is missing counts as
# true.
hazards(operation) := {hazard |
	some hazard in ["destructive", "executes_code", "discloses", "removes_field"]
	not operation[hazard] == false
}

namespace(name, pattern) if name == pattern

# A pattern never matches the run namespace, which has no name. A cover names it by `""`, as a
# ceiling does.
namespace(name, pattern) if {
	name != ""
	endswith(pattern, "*")
	startswith(name, trim_suffix(pattern, "*"))
}

field(_, "*")

field(path, pattern) if path == pattern

# The first line is quick, and most paths need no second.
field(path, pattern) if {
	contains(pattern, "[*]")
	shape(path) == pattern
}

field(path, pattern) if {
	endswith(pattern, ".*")
	parent := trim_suffix(pattern, ".*")
	startswith(path, parent)
	step(trim_prefix(path, parent))
}

# One plain step below: `.KEY`.
step(rest) if {
	startswith(rest, ".")
	name := trim_prefix(rest, ".")
	name != ""
	not contains(name, ".")
	not contains(name, "[")
}

# One quoted step below: `["a.key"]`.
step(rest) if {
	startswith(rest, "[\"")
	endswith(rest, "\"]")
	count(split(rest, "\"")) == 3
}

# The path without the keys of list members: `containers[name=web].image` has the shape
# `containers[*].image`.
shape(path) := concat("[", [member(piece) | some piece in split(path, "[")])

member(piece) := concat("]", ["*", halves[1]]) if {
	halves := split(piece, "]")
	count(halves) == 2
	contains(halves[0], "=")
	not startswith(halves[0], "\"")
} else := piece
