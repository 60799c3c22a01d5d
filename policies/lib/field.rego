# METADATA
# title: This field, or one within
# description: |
#   A field has two forms in the input. If all members of a list have a name, the host names them
#   (`…ports[name=http].hostPort` with the value 80); any other list is one value (`…ports` with
#   `[{"hostPort": 80}]`). A tool may also set a whole object. These functions find the field in
#   each form.
#
#   - `names(change, key)`: true if the change sets a field of this key, or one within it.
#   - `nodes(change)`: each field that the change sets, with those within its value, as `{keys,
#     value}`. `keys` are the keys of the path in order, without list members: `["spec", "template",
#     "spec", "containers", "ports", "hostPort"]`.
#   - `keys(path)`: the same keys, of a path alone.
package cofferdam.field

import future.keywords.not

# The first lines are quick, and most changes do not need the last.
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

# Quoted keys are the odd parts between quotes; an escape within a key is left out. One replacement
# after the other: `strings.replace_n` has another order in the module than in the interpreter.
keys(path) := split(path, ".") if not contains(path, "[")

keys(path) := [key |
	some i, piece in split(replace(replace(path, "\\\\", ""), "\\\"", ""), "\"")
	some key in stretch(i % 2, piece)
] if {
	contains(path, "[")
}

stretch(1, piece) := [piece]

# Outside of quotes: the text between a closing bracket and the next opening one.
stretch(0, piece) := [key |
	some part in split(piece, "[")
	some key in split(behind(part), ".")
	key != ""
]

behind(part) := split(part, "]")[1] if contains(part, "]")

behind(part) := part if not contains(part, "]")
