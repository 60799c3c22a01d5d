# METADATA
# title: What an author's cover covers
# description: |
#   Holds one operation of a plan against one cover: `{action, group, kind, namespaces, fields, accepts}`. Everything is matched by what the
#   host found the operation to be, never by the tool's name, and whatever is missing on either side covers nothing.
#
#   - `namespaces`: exact names, prefixes with `*`, or `*`; `""` for the run's own.
#   - `fields`: field paths, list members as `[*]`, `data.*` for each key of `data`, or `*` for any. Every field that the operation reads or
#     changes must match one.
#   - `accepts`: what the operation may be besides, of `destructive`, `executes_code`, `discloses` and `removes_field`.
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

# What a cover must accept by name. A fact that is missing counts as true.
hazards(operation) := {hazard |
	some hazard in ["destructive", "executes_code", "discloses", "removes_field"]
	not operation[hazard] == false
}

namespace(name, pattern) if name == pattern

# A pattern never means the run's own namespace, which has no name: a cover says so by `""`, as a ceiling does.
namespace(name, pattern) if {
	name != ""
	endswith(pattern, "*")
	startswith(name, trim_suffix(pattern, "*"))
}

field(_, "*")

field(path, pattern) if path == pattern

# The first line is quick, and spares most paths the second.
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

# A path with the keys of list members left out: `containers[name=web].image` has the shape `containers[*].image`.
shape(path) := concat("[", [member(piece) | some piece in split(path, "[")])

member(piece) := concat("]", ["*", halves[1]]) if {
	halves := split(piece, "]")
	count(halves) == 2
	contains(halves[0], "=")
	not startswith(halves[0], "\"")
} else := piece
