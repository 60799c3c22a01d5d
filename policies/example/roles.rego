# METADATA
# title: Who may do what, and where
# description: |
#   `data.roles` has the covers of each role, `data.teams` the namespaces of each team. An agent
#   acts for a person: it may change objects in the namespaces of that person's teams, and in the
#   run namespace, which is deleted after the run. Each line of a role gives the namespaces that it
#   may read.
# schemas:
#   - input: schema.input
package cofferdam.policy

import future.keywords.not

# The lines of a role that concern the plan: a decision pays for each line that it places.
allow contains {
	"id": $"role-{role}",
	"message": $"the role {role} covers it",
	"remedy": "nothing to do",
	"audience": "user",
	"covers": [placed(line) |
		some line in data.roles[role].covers
		concerns(line)
	],
} if {
	some role in roles
}

# The roles of the caller, with the roles that they include. A role that is not in the data covers
# nothing.
roles := graph.reachable(included, input.subject.properties.roles)

included := {name: role.includes | some name, role in data.roles}

# The namespaces of the teams of the person that the agent acts for.
own := sort({namespace |
	some team in data.teams
	input.subject.properties.for in team.people
	some namespace in team.namespaces
})

concerns(line) if {
	some operation in input.plan.operations
	operation.kind == line.kind
	operation.action == line.action
}

# A line of a role with its namespaces. A line without `own`, `everywhere` or `ephemeral` gets none.
placed(line) := object.union(line, {"namespaces": where(line)})

default where(_) := []

where(line) := own if line.where == "own"

where(line) := ["*"] if line.where == "everywhere"

where(line) := [ephemeral] if line.where == "ephemeral"

# The run namespace, as a plan names it.
ephemeral := ""

deny contains {
	"id": "other-team",
	"message": $"namespace {operation.namespace} belongs to no team of {person}",
	"remedy": $"this agent may change: {concat(", ", own)}",
	"audience": "user",
} if {
	some operation in changing
	operation.namespace != ephemeral
	not operation.namespace in own
	count(own) != 0
}

deny contains {
	"id": "no-team",
	"message": $"this agent acts for {person}, who is in no team of this policy",
	"remedy": "an operator can add the agent with `--for` and a person of a team, or add the person to `teams` in the policy's data",
	"audience": "user",
} if {
	count(changing) != 0
	own == []
}

default person := "an unnamed person"

person := input.subject.properties.for if is_string(input.subject.properties.for)

# The operations that change something. An operation with an unknown action counts as a change.
changing contains operation if {
	some operation in input.plan.operations
	not operation.action in {"read", "list", "logs"}
}
