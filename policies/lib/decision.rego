# METADATA
# title: The one decision
# description: |
#   Decides the precedence once for all authors: deny over require_approval over allow. A plan is
#   allowed only if each of its operations is covered. Authors write partial sets in `package
#   cofferdam.policy`. A partial object with the ids of its rules as keys counts alike.
#
#   - `allow`: `{id, message, remedy, audience, covers}`; `covers` is a list of covers as in
#     `cover.rego`;
#   - `deny`: `{id, message, remedy, audience}`;
#   - `require_approval`: the same with `approval: {quorum, approvers, expires_seconds}`; it
#     requires people and covers nothing by itself. `escalate: {after_seconds, approvers}` in it
#     lets further people sign after that time. An approver `group:NAME` stands for the members of
#     `data.approver_groups.NAME`;
#   - `obligation`: `{id, type, properties}`.
#
#   A member of another form never permits anything: a malformed deny, approval or obligation
#   denies, and a malformed allow covers nothing.
# schemas:
#   - input: schema.input
package cofferdam.call

import data.cofferdam.cover
import future.keywords.not

default decided := {
	"schema": "cofferdam.decision.v1",
	"effect": "deny",
	"covers": [],
	"reasons": [{
		"id": "undecided",
		"message": "the policy library reached no decision",
		"remedy": "an operator can see why with `cofferdam policy eval`",
		"audience": "operator",
	}],
	"obligations": [],
	"approval": null,
}

decided := {
	"schema": "cofferdam.decision.v1",
	"effect": effect,
	"covers": counting,
	"reasons": ordered(chosen),
	"obligations": obliging,
	"approval": approval,
}

default effect := "deny"

effect := "deny" if {
	count(denials) != 0
} else := "require_approval" if {
	count(asks) != 0
	not signed
} else := "allow" if {
	every operation in input.plan.operations {
		operation.index in covered
	}
}

# A denial covers nothing and obliges to nothing. Its rules alone are evaluated, because most floods
# are denials.
counting := [] if effect == "deny"

else := covered

chosen := denials if effect == "deny"

else := {reason(ask) | some ask in asks} if effect == "require_approval"

else := allowing

obliging := [] if effect == "deny"

else := duties

approval := object.union_n([
	{"quorum": quorum, "approvers": approvers, "expires_seconds": expires_seconds},
	{"escalate": further_people | some further_people in [escalate]},
	{"groups": found | some found in [groups]; count(found) != 0},
]) if {
	effect == "require_approval"
} else := null

# ---- allow: operations by their facts

# The rules with the operations that they cover.
covering := [{"index": operation.index, "reason": reason(rule)} |
	some rule in data.cofferdam.policy.allow
	some line in rule.covers
	some operation in input.plan.operations
	cover.covers(line, operation)
]

covered := sort({pair.index | some pair in covering})

# The rules behind an allowed plan. For a draft without operations, all `allow` rules for this
# caller.
allowing := {reason(rule) | some rule in data.cofferdam.policy.allow} if {
	input.plan.operations == []
} else := {pair.reason | some pair in covering}

# ---- deny

denials := authored if {
	count(authored) != 0
} else := structural

authored := {reason(member) | some member in data.cofferdam.policy.deny}

structural contains {
	"id": "no-plan",
	"message": "there is no plan to decide over",
	"remedy": "ask with a plan; listing has an entry point of its own",
	"audience": "operator",
} if {
	not is_object(input.plan)
}

structural contains {
	"id": "not-covered",
	"message": $"no rule lets `{input.subject.id}` {operation.action} {operation.kind} in namespace {operation.namespace}",
	"remedy": elsewhere(operation),
	"audience": "user",
} if {
	some operation in input.plan.operations
	not operation.index in covered
}

structural contains {
	"id": "not-covered",
	"message": $"no rule lets `{input.subject.id}` use this tool",
	"remedy": "an operator can give this agent a role that the policy knows",
	"audience": "user",
} if {
	input.plan.operations == []
	count(allowing) == 0
}

structural contains {
	"id": "approval-malformed",
	"message": $"the rule `{word(ask, "id", "unnamed-rule")}` asks for an approval without saying whose, or with a key that is no part of an approval",
	"remedy": "give it `approval: {quorum, approvers, expires_seconds}`, each at least 1, and at most `escalate: {after_seconds, approvers}` besides, with a time before the end",
	"audience": "operator",
} if {
	some ask in asks
	not whole(ask)
}

structural contains {
	"id": "approver-group-unknown",
	"message": $"the rule `{word(ask, "id", "unnamed-rule")}` names the approvers `{entry}`, and `data.approver_groups` has no people for them",
	"remedy": "add the group with its people to `approver_groups` in data.json",
	"audience": "operator",
} if {
	some ask in asks
	some entry in widened(ask)
	not known(entry)
}

structural contains {
	"id": "approval-impossible",
	"message": "the rules that ask for an approval have no approver, or too few approvers, in common",
	"remedy": "name enough approvers that all of these rules accept",
	"audience": "operator",
} if {
	count(asks) != 0
	every ask in asks {
		whole(ask)
	}
	not possible_by_then
}

structural contains {
	"id": "obligation-unsupported",
	"message": $"the obligation `{word(member, "id", "unnamed-rule")}` is unknown to this host",
	"remedy": "use a type of `input.context.supported_obligations`, with `id`, `type` and `properties`",
	"audience": "operator",
} if {
	some member in data.cofferdam.policy.obligation
	not supported(member)
}

# The remedy: the namespaces where the same operation would be covered.
elsewhere(operation) := $"namespaces where it may: {concat(", ", namespaces)}" if {
	namespaces := sort({namespace |
		some rule in data.cofferdam.policy.allow
		some line in rule.covers
		some namespace in line.namespaces
		cover.covers(line, object.union(operation, {"namespace": namespace}))
	})
	count(namespaces) != 0
} else := "ask for something that your roles cover, or ask an operator for a rule"

# ---- require_approval: the strictest of all that ask

asks := {member | some member in data.cofferdam.policy.require_approval}

whole(ask) if {
	ask.approval.quorum >= 1
	is_number(ask.approval.quorum)
	ask.approval.expires_seconds >= 1
	is_number(ask.approval.expires_seconds)
	every key in object.keys(ask.approval) {
		key in {"quorum", "approvers", "expires_seconds", "escalate"}
	}
	named_well(ask.approval.approvers)
	escalates_well(ask.approval)
}

# A list of people and groups. Each group has people, and no group is in a group.
named_well(entries) if {
	is_array(entries)
	count(entries) != 0
	every entry in entries {
		known(entry)
	}
}

known(entry) if {
	is_string(entry)
	not startswith(entry, "group:")
}

known(entry) if {
	members := data.approver_groups[trim_prefix(entry, "group:")]
	startswith(entry, "group:")
	is_array(members)
	count(members) != 0
	every member in members {
		is_string(member)
		member != "*"
		not startswith(member, "group:")
	}
}

escalates_well(asked) if not "escalate" in object.keys(asked)

escalates_well(asked) if {
	object.keys(asked.escalate) == {"after_seconds", "approvers"}
	is_number(asked.escalate.after_seconds)
	asked.escalate.after_seconds >= 1
	asked.escalate.after_seconds < asked.expires_seconds
	named_well(asked.escalate.approvers)
}

quorum := max({ask.approval.quorum | some ask in asks})

expires_seconds := min({ask.approval.expires_seconds | some ask in asks})

# The people of a list: those that it names, and the members of its groups.
people(entries) := {person |
	some entry in entries
	some person in entered(entry)
}

entered(entry) := [entry] if not startswith(entry, "group:")

entered(entry) := data.approver_groups[trim_prefix(entry, "group:")] if startswith(entry, "group:")

# Lists that name people. `*` means every enrolled approver and does not narrow a list.
named := {people(ask.approval.approvers) |
	some ask in asks
	not "*" in ask.approval.approvers
}

approvers := ["*"] if {
	count(named) == 0
} else := sort(intersection(named))

# The further people who may sign after a time: those whom each rule accepts by then, after the
# longest of the times. A rule without `escalate` accepts its approvers alone.
escalate := {"after_seconds": after_seconds, "approvers": sort(further)} if {
	not "*" in approvers
	after_seconds < expires_seconds
	count(further) != 0
}

after_seconds := max({ask.approval.escalate.after_seconds | some ask in asks})

widened(ask) := array.concat(ask.approval.approvers, ask.approval.escalate.approvers) if {
	ask.approval.escalate
} else := ask.approval.approvers

widest := {people(entries) |
	some ask in asks
	entries := widened(ask)
	not "*" in entries
}

further := {"*"} if {
	count(widest) == 0
} else := intersection(widest) - {person | some person in approvers}

# Some person may sign from the beginning, and enough people by the end.
possible_by_then if {
	count(approvers) != 0
	"*" in possible
}

possible_by_then if {
	count(approvers) != 0
	count(possible) >= quorum
}

possible := {person | some person in approvers} | {person | some person in escalate.approvers}

# The groups that rules name, for people to read.
groups := [{"name": name, "members": sort(data.approver_groups[name])} |
	some name in sort({trim_prefix(entry, "group:") |
		some ask in asks
		some entry in widened(ask)
		startswith(entry, "group:")
	})
]

# INVARIANT: signatures count for exactly this plan and preview, only from people that every
# requiring rule accepts, and only for times that each requiring rule permits.
signed if {
	input.context.approval.plan == input.plan.digest
	input.context.approval.preview == input.preview.digest
	signers := {person | some person in input.context.approval.approvers; accepted(person); timely(person)}
	count(signers) >= quorum
}

accepted(_) if "*" in approvers

accepted(person) if person in approvers

# One of the further people, whose approval says that it was made after the time.
accepted(person) if {
	some further_person in escalate.approvers
	further_person in {"*", person}
	times := [signature | some signature in input.context.approval.signatures; signature.approver == person]
	count(times) != 0
	every signature in times {
		is_number(signature.escalated_seconds)
		signature.escalated_seconds >= escalate.after_seconds
	}
}

# Each signature of this person: the times of one person must not count for another.
timely(person) if {
	times := [signature | some signature in input.context.approval.signatures; signature.approver == person]
	count(times) != 0
	every signature in times {
		is_number(signature.seconds)
		signature.seconds <= expires_seconds
		is_number(signature.age_seconds)
		signature.age_seconds <= expires_seconds
	}
}

# A question of an earlier version has no times. The host gives the times with every approval.
timely(_) if not "signatures" in object.keys(input.context.approval)

# ---- obligations

supported(member) if {
	member.type in input.context.supported_obligations
	is_string(member.id)
	is_object(member.properties)
}

duties := sort({{"id": member.id, "type": member.type, "properties": member.properties} |
	some member in data.cofferdam.policy.obligation
})

# ---- reasons

reason(member) := {
	"id": word(member, "id", "unnamed-rule"),
	"message": word(member, "message", "the rule gives no reason"),
	"remedy": word(member, "remedy", "ask an operator"),
	"audience": audience(member),
}

word(member, key, otherwise) := member[key] if {
	is_string(member[key])
} else := otherwise

audience(member) := member.audience if {
	member.audience in {"user", "operator"}
} else := "operator"

# One reason for each rule: a compiled policy sorts slowly, and an agent does not read hundreds.
few(found) := found if count(found) <= 64

few(found) := {first |
	some id in {known.id | some known in found}
	first := min({known | some known in found; known.id == id})
} if {
	count(found) > 64
}

# Reasons for the agent first, then by id.
ordered(found) := array.concat(
	[known | some known in sort(few(found)); known.audience == "user"],
	[known | some known in sort(few(found)); known.audience == "operator"],
)
