# METADATA
# title: This field, or one within
# description: |
#   One fact reaches policy in two forms. The host names a list's members where each has a name of its own
#   (`…ports[name=http].hostPort` with the value 80); another list is one value (`…ports` with `[{"hostPort": 80}]`). A tool may also
#   set a whole object. These functions see the same field in each form.
#
#   - `names(change, key)`: the change sets a field of this key, or one within or below it.
#   - `nodes(change)`: each field that the change sets, itself and all within its value, as `{keys, value}`. `keys` are the keys of the
#     path in order, without list members: `["spec", "template", "spec", "containers", "ports", "hostPort"]`.
#   - `keys(path)`: the same of a path alone.
package cofferdam.field

import future.keywords.not

# The first lines are quick, and spare the last for most changes.
names(change, key) if {
	contains(change.path, key)
	key in keys(change.path)
}

names(change, key) if {
	type_name(change.value) in {"array", "object"}
	contains(json.marshal(change.value), json.marshal(key))
	walk(change.value, [at, _])
	key in at
}

nodes(change) := {{"keys": array.concat(above, [step | some step in at; is_string(step)]), "value": value} |
	above := keys(change.path)
	walk(change.value, [at, value])
}

# Quoted keys are the odd pieces between quotes; an escape within one is left out. One replacement after
# the other: `strings.replace_n` has another order in the module than on the interpreter.
keys(path) := split(path, ".") if not contains(path, "[")

keys(path) := [key |
	some i, piece in split(replace(replace(path, "\\\\", ""), "\\\"", ""), "\"")
	some key in stretch(i % 2, piece)
] if {
	contains(path, "[")
}

stretch(1, piece) := [piece]

# Outside quotes: what lies between a bracket that closes and the next that opens.
stretch(0, piece) := [key |
	some part in split(piece, "[")
	some key in split(behind(part), ".")
	key != ""
]

behind(part) := split(part, "]")[1] if contains(part, "]")

behind(part) := part if not contains(part, "]")
