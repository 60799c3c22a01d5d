package cofferdam.call_test

import data.cofferdam.call
import data.cofferdam.world

patches := {
	"action": "patch",
	"group": "apps",
	"kind": "Deployment",
	"namespaces": ["storefront"],
	"fields": ["spec.replicas"],
	"accepts": [],
}

rule := {"id": "a-rule", "message": "it says so", "remedy": "none", "audience": "user"}

allows := object.union(rule, {"covers": [patches]})

asks(quorum, people) := object.union(rule, {"approval": {"quorum": quorum, "approvers": people, "expires_seconds": 60}})

scale := world.call([world.scale("storefront", "web", 5)])

shown := world.previewed(scale, [])

# The decision of the library over these sets and this input.
decided(allow, deny, ask, question) := decision if {
	decision := call.decision with data.cofferdam.policy.allow as allow
		with data.cofferdam.policy.deny as deny
		with data.cofferdam.policy.require_approval as ask
		with data.cofferdam.policy.obligation as set()
		with input as question
}

test_precedence if {
	every case in [
		[set(), set(), set(), "deny", {"not-covered"}],
		[{allows}, set(), set(), "allow", {"a-rule"}],
		[{allows}, {object.union(rule, {"id": "no"})}, set(), "deny", {"no"}],
		[{allows}, set(), {asks(1, ["*"])}, "require_approval", {"a-rule"}],
		[{allows}, {object.union(rule, {"id": "no"})}, {asks(1, ["*"])}, "deny", {"no"}],
		[set(), set(), {asks(1, ["*"])}, "deny", {"not-covered"}],
	] {
		decision := decided(case[0], case[1], case[2], shown)
		decision.effect == case[3]
		world.ids(decision) == case[4]
	}
}

test_the_whole_answer if {
	decided({allows}, set(), set(), shown) == {
		"schema": "cofferdam.decision.v1",
		"effect": "allow",
		"covers": [0],
		"reasons": [rule],
		"obligations": [],
		"approval": null,
	}
	decided({allows}, set(), {asks(2, ["bob", "*"])}, shown).approval == {
		"quorum": 2,
		"approvers": ["*"],
		"expires_seconds": 60,
	}
}

# A denial covers nothing, also where a rule covers a part of the plan.
test_every_operation_needs_cover if {
	plan := world.call([world.scale("storefront", "web", 5), object.union(world.scale("other", "web", 5), {"index": 1})])
	decision := decided({allows}, set(), set(), plan)
	decision.effect == "deny"
	decision.covers == []
	decision.reasons[0].message == "no rule lets `ada` patch Deployment in namespace other"
	decision.reasons[0].remedy == "namespaces where it may: storefront"
}

test_malformed_rules_never_open if {
	every case in [
		[{"yes"}, set(), set()],
		[{rule}, set(), set()],
		[{object.union(rule, {"covers": [0]})}, set(), set()],
		[{allows}, {"no"}, set()],
		[{allows}, {{"id": 7}}, set()],
		[{allows}, set(), {"ask"}],
		[{allows}, set(), {rule}],
		[{allows}, set(), {asks(0, ["*"])}],
		[{allows}, set(), {asks("1", ["*"])}],
		[{allows}, set(), {asks(1, [])}],
		[{allows}, set(), {asks(1, "bob")}],
		[{allows}, set(), {asks(2, ["bob"])}],
		[{allows}, set(), {asks(1, ["bob"]), asks(1, ["carol"])}],
	] {
		decided(case[0], case[1], case[2], shown).effect == "deny"
	}
}

test_rules_may_be_members_of_an_object if {
	no := {"no": object.union(rule, {"id": "no"})}
	every case in [
		[{"a-rule": allows}, {}, {}, "allow", {"a-rule"}],
		[{"a-rule": allows}, no, {}, "deny", {"no"}],
		[{"a-rule": allows}, {}, {"a-rule": asks(1, ["*"])}, "require_approval", {"a-rule"}],
		[{}, {}, {}, "deny", {"not-covered"}],
	] {
		decision := decided(case[0], case[1], case[2], shown)
		decision.effect == case[3]
		world.ids(decision) == case[4]
	}
}

test_an_answer_needs_a_rule_for_the_caller if {
	answer := world.call([])
	decided({allows}, set(), set(), answer).effect == "allow"
	world.ids(decided({allows}, set(), set(), answer)) == {"a-rule"}
	world.ids(decided(set(), set(), set(), answer)) == {"not-covered"}
}

test_a_signature_counts_for_exactly_this_by_exactly_those if {
	every case in [
		[asks(1, ["*"]), ["bob"], {}, "allow"],
		[asks(1, ["bob"]), ["bob"], {}, "allow"],
		[asks(2, ["*"]), ["bob", "carol"], {}, "allow"],
		[asks(2, ["*"]), ["bob", "bob"], {}, "require_approval"],
		[asks(2, ["bob", "carol"]), ["bob", "dave"], {}, "require_approval"],
		[asks(1, ["bob"]), ["carol"], {}, "require_approval"],
		[asks(1, ["*"]), [], {}, "require_approval"],
		[asks(1, ["*"]), ["bob"], {"plan": world.preview_digest}, "require_approval"],
		[asks(1, ["*"]), ["bob"], {"preview": world.plan_digest}, "require_approval"],
	] {
		question := world.signed(shown, case[1])
		other := object.union(question, {"context": {"approval": case[2]}})
		decided({allows}, set(), {case[0]}, other).effect == case[3]
	}

	# A signature permits nothing that no rule covers, and lifts no denial.
	decided(set(), set(), {asks(1, ["*"])}, world.signed(shown, ["bob"])).effect == "deny"
	decided({allows}, {rule}, {asks(1, ["*"])}, world.signed(shown, ["bob"])).effect == "deny"

	# Before the preview there was nothing to sign.
	decided({allows}, set(), {asks(1, ["*"])}, world.signed(scale, ["bob"])).effect == "require_approval"
}

test_an_approval_counts_for_no_longer_than_every_rule_says if {
	long := object.union(asks(1, ["*"]), {"approval": {"expires_seconds": 3600}})
	every case in [
		[{asks(1, ["*"])}, [world.signature("bob", 60, 59)], "allow"],
		[{asks(1, ["*"])}, [world.signature("bob", 61, 0)], "require_approval"],
		[{asks(1, ["*"])}, [world.signature("bob", 60, 61)], "require_approval"],
		[{asks(1, ["*"])}, [world.signature("bob", 604800, 604799)], "require_approval"],
		[{long}, [world.signature("bob", 3600, 61)], "allow"],
		[{long, asks(1, ["*"])}, [world.signature("bob", 3600, 61)], "require_approval"],
		[{asks(2, ["*"])}, [world.signature("bob", 60, 1), world.signature("carol", 60, 1)], "allow"],
		[{asks(2, ["*"])}, [world.signature("bob", 60, 1), world.signature("carol", 3600, 1)], "require_approval"],
		[{asks(1, ["*"])}, [world.signature("bob", 60, 1), world.signature("bob", 3600, 1)], "require_approval"],
		[{asks(1, ["*"])}, [world.signature("bob", "60", 1)], "require_approval"],
		[{asks(1, ["*"])}, [world.signature("bob", 60, null)], "require_approval"],
		[{asks(1, ["*"])}, [object.remove(world.signature("bob", 60, 1), ["seconds"])], "require_approval"],
		[{asks(1, ["*"])}, [object.remove(world.signature("bob", 60, 1), ["age_seconds"])], "require_approval"],
	] {
		decided({allows}, set(), case[0], world.timed(shown, case[1])).effect == case[2]
	}

	# The times of another person's approval do not count for this person.
	question := world.timed(shown, [world.signature("carol", 60, 1)])
	other := object.union(question, {"context": {"approval": {"approvers": ["bob"]}}})
	decided({allows}, set(), {asks(1, ["*"])}, other).effect == "require_approval"
	empty := object.union(question, {"context": {"approval": {"signatures": []}}})
	decided({allows}, set(), {asks(1, ["*"])}, empty).effect == "require_approval"

	# A question of an earlier version has no times.
	earlier := object.union(shown, {"context": object.union(shown.context, {"approval": object.remove(
		question.context.approval,
		["signatures"],
	)})})
	decided({allows}, set(), {asks(1, ["*"])}, earlier).effect == "allow"
}

test_the_strictest_of_all_that_ask if {
	short := object.union(asks(1, ["bob", "carol"]), {"id": "short", "approval": {"expires_seconds": 30}})
	decision := decided({allows}, set(), {asks(2, ["bob", "carol", "dave"]), short, asks(1, ["*"])}, shown)
	decision.approval == {"quorum": 2, "approvers": ["bob", "carol"], "expires_seconds": 30}
	world.ids(decision) == {"a-rule", "short"}
}

groups := {"leads": ["bob", "carol"], "all": ["*"], "none": [], "nested": ["group:leads"]}

grouped(ask, question) := decision if {
	decision := decided({allows}, set(), ask, question) with data.approver_groups as groups
}

test_a_group_stands_for_its_members if {
	decision := grouped({asks(2, ["group:leads", "dave"])}, shown)
	decision.approval == {
		"quorum": 2,
		"approvers": ["bob", "carol", "dave"],
		"expires_seconds": 60,
		"groups": [{"name": "leads", "members": ["bob", "carol"]}],
	}
	grouped({asks(1, ["group:leads"]), asks(1, ["carol", "dave"])}, shown).approval.approvers == ["carol"]
	grouped({asks(1, ["group:leads"])}, world.signed(shown, ["carol"])).effect == "allow"
	grouped({asks(1, ["group:leads"])}, world.signed(shown, ["dave"])).effect == "require_approval"

	# The name of a group is no person.
	grouped({asks(1, ["group:leads"])}, world.signed(shown, ["group:leads"])).effect == "require_approval"
}

test_a_group_without_people_denies if {
	every group in ["unknown", "all", "none", "nested"] {
		decision := grouped({asks(1, ["bob", $"group:{group}"])}, shown)
		decision.effect == "deny"
		"approver-group-unknown" in world.ids(decision)
	}
	world.ids(grouped({asks(3, ["group:leads"])}, shown)) == {"approval-impossible"}
}

later(quorum, people, after, further) := object.union(asks(quorum, people), {"approval": {"escalate": {
	"after_seconds": after,
	"approvers": further,
}}})

test_further_people_sign_after_the_time if {
	escalating := {later(1, ["bob"], 30, ["carol"])}
	decided({allows}, set(), escalating, shown).approval == {
		"quorum": 1,
		"approvers": ["bob"],
		"expires_seconds": 60,
		"escalate": {"after_seconds": 30, "approvers": ["carol"]},
	}
	every case in [
		[world.signature("bob", 60, 0), "allow"],
		[world.signature("carol", 60, 59), "require_approval"],
		[world.escalated("carol", 60, 59, 30), "allow"],
		[world.escalated("carol", 60, 59, 29), "require_approval"],
		[world.escalated("carol", 60, 59, null), "require_approval"],
		[world.escalated("carol", 60, 59, "30"), "require_approval"],
		[world.escalated("carol", 61, 59, 30), "require_approval"],
		[world.escalated("dave", 60, 59, 30), "require_approval"],
	] {
		decided({allows}, set(), escalating, world.timed(shown, [case[0]])).effect == case[1]
	}

	# Both of one question: one of each group, and one person of the second group twice.
	both := {later(2, ["bob"], 30, ["*"])}
	mixed := [world.signature("bob", 60, 40), world.escalated("carol", 60, 40, 30)]
	decided({allows}, set(), both, world.timed(shown, mixed)).effect == "allow"
	twice := [world.escalated("carol", 60, 40, 30), world.escalated("carol", 60, 40, 30)]
	decided({allows}, set(), both, world.timed(shown, twice)).effect == "require_approval"
}

test_the_strictest_of_all_that_escalate if {
	every case in [
		# The longest time, and those whom each rule accepts by then.
		[{later(1, ["bob"], 10, ["carol"]), later(1, ["bob"], 20, ["carol", "dave"])}, ["bob"], {"after_seconds": 20, "approvers": ["carol"]}],
		[{later(1, ["bob"], 10, ["*"]), later(1, ["bob"], 20, ["*"])}, ["bob"], {"after_seconds": 20, "approvers": ["*"]}],
		[{later(1, ["bob"], 10, ["carol"]), asks(1, ["*"])}, ["bob"], {"after_seconds": 10, "approvers": ["carol"]}],
		# A rule without further people accepts none.
		[{later(1, ["bob"], 10, ["carol"]), asks(1, ["bob"])}, ["bob"], null],
		[{later(1, ["bob", "dave"], 10, ["carol"]), asks(1, ["bob", "carol"])}, ["bob"], {"after_seconds": 10, "approvers": ["carol"]}],
		[{later(1, ["*"], 10, ["carol"])}, ["*"], null],
		# The end of one rule comes before the time of the other.
		[{later(1, ["bob"], 40, ["carol"]), object.union(asks(1, ["*"]), {"id": "b", "approval": {"expires_seconds": 30}})}, ["bob"], null],
	] {
		decision := decided({allows}, set(), case[0], shown)
		decision.approval.approvers == case[1]
		object.get(decision.approval, "escalate", null) == case[2]
	}

	# Two people, of whom one may sign only later.
	decided({allows}, set(), {later(2, ["bob"], 30, ["carol"])}, shown).effect == "require_approval"
	world.ids(decided({allows}, set(), {later(3, ["bob"], 30, ["carol"])}, shown)) == {"approval-impossible"}

	# People in common only later: no person could sign from the beginning.
	crossed := {later(1, ["bob"], 30, ["carol"]), object.union(later(1, ["carol"], 30, ["bob"]), {"id": "b"})}
	world.ids(decided({allows}, set(), crossed, shown)) == {"approval-impossible"}
}

test_a_malformed_escalation_denies if {
	every escalation in [
		null, "soon", {}, {"after_seconds": 30},
		{"approvers": ["carol"]},
		{"after_seconds": 0, "approvers": ["carol"]},
		{"after_seconds": 60, "approvers": ["carol"]},
		{"after_seconds": "30", "approvers": ["carol"]},
		{"after_seconds": 30, "approvers": []},
		{"after_seconds": 30, "approvers": "carol"},
		{"after_seconds": 30, "approvers": ["group:unknown"]},
		{"after_seconds": 30, "approvers": ["carol"], "quorum": 1},
	] {
		ask := object.union(asks(1, ["bob"]), {"approval": {"escalate": escalation}})
		decided({allows}, set(), {ask}, shown).effect == "deny"
	}
	unknown := object.union(asks(1, ["bob"]), {"approval": {"escalation": {"after_seconds": 30, "approvers": ["carol"]}}})
	world.ids(decided({allows}, set(), {unknown}, shown)) == {"approval-malformed"}
}

test_reasons_for_the_agent_come_first if {
	hidden := object.union(rule, {"id": "a", "audience": "operator"})
	later := object.union(rule, {"id": "z"})
	[reason.id | some reason in decided({allows}, {later, hidden}, set(), shown).reasons] == ["z", "a"]
	decided({allows}, {{"id": "x"}}, set(), shown).reasons == [{
		"id": "x",
		"message": "the rule gives no reason",
		"remedy": "ask an operator",
		"audience": "operator",
	}]
}

test_of_many_reasons_one_for_each_rule if {
	many := {object.union(rule, {"message": $"{number}"}) | some number in numbers.range(1, 100)}
	[reason.id | some reason in decided({allows}, many | {object.union(rule, {"id": "z"})}, set(), shown).reasons] == ["a-rule", "z"]
}

obliged(duties) := decision if {
	decision := call.decision with data.cofferdam.policy.allow as {allows}
		with data.cofferdam.policy.deny as set()
		with data.cofferdam.policy.require_approval as set()
		with data.cofferdam.policy.obligation as duties
		with input as shown
}

test_obligations if {
	ttl := {"id": "short", "type": "ttl", "properties": {"seconds": 60}}
	obliged({ttl}).obligations == [ttl]
	unchanged := {"id": "still", "type": "unchanged", "properties": {"scope": "object"}}
	obliged({ttl, unchanged}).obligations == [ttl, unchanged]
	every member in ["x", object.union(ttl, {"type": "page"}), object.remove(ttl, ["id"]), object.remove(ttl, ["properties"])] {
		decision := obliged({ttl, member})
		decision.effect == "deny"
		decision.obligations == []
		world.ids(decision) == {"obligation-unsupported"}
	}
}

test_an_incomplete_question_is_denied if {
	call.decision.effect == "deny" with input as {}
	every key in ["index", "namespace", "action", "changes"] {
		operation := object.remove(world.scale("storefront", "web", 5), [key])
		decided({allows}, set(), set(), world.call([operation])).effect == "deny"
	}
	every key in ["plan", "preview"] {
		decided({allows}, set(), {asks(1, ["*"])}, object.remove(world.signed(shown, ["bob"]), [key])).effect != "allow"
	}
}
