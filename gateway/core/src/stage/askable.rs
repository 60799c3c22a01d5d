//! Checks that a question can be answered at all: enough enrolled people may sign it. A question
//! that cannot is a denial at once, with the remedy. Never weighs the decision of policy.

use super::judge::Verdict;
use crate::model::escape::line;
use crate::model::reason::Denial;
use crate::model::trust::Trust;
use crate::policy::approval::eligible;

/// The reason code of the denial.
const RULE: &str = "approval-impossible";

/// The remedy of the denial.
const NEXT: &str = "An operator enrols an approver: `cofferdam approver add`, then starts \
                    `cofferdam serve` again.";

/// The number of names in the denial, at most.
const TOLD: usize = 5;

/// The same verdict, or a denial where fewer people than the quorum may sign.
pub fn askable(verdict: Verdict, trust: &Trust) -> Verdict {
    let Verdict::Needed(needed) = verdict else { return verdict };
    let rule = needed.rule();
    let may = eligible(rule, &needed.asking().subject, trust);
    if u32::try_from(may.len()).is_ok_and(|count| count >= rule.quorum) {
        return Verdict::Needed(needed);
    }
    let people = if rule.quorum == 1 {
        "a person has".to_owned()
    } else {
        format!("{} people have", rule.quorum)
    };
    let names: Vec<String> = may.iter().take(TOLD).map(|name| line(name)).collect();
    let found = match (trust.approvers.is_empty(), names.as_slice()) {
        (true, _) => "no approver is enrolled".to_owned(),
        (false, []) => "no enrolled approver may sign: policy names other people, or the call is \
                        made for them"
            .to_owned(),
        (false, names) => format!("only {} may sign", names.join(", ")),
    };
    let named = rule
        .everyone()
        .map(|name| line(name))
        .filter(|name| name != "*")
        .collect::<Vec<_>>()
        .join(", ");
    let whom = if named.is_empty() {
        "another person".to_owned()
    } else {
        format!("whom policy names ({named})")
    };
    let mut denial = Denial::of(RULE, format!("{people} to sign this, and {found}"));
    denial.allowed =
        format!("the same call, once enough approvers are enrolled who may sign it: {whom}");
    denial.next = Some(NEXT);
    Verdict::Denied(needed.into_plan(), denial)
}

#[cfg(test)]
mod tests {
    use crate::journey::ports::no_progress;
    use crate::journey::{Mode, ask};
    use crate::model::answer::Reply;
    use crate::model::reason::ApprovalRule;
    use crate::model::trust::{Approver, Trust};
    use crate::policy::approval::eligible;
    use crate::testing::*;
    use expect_test::expect;

    fn enrolled(names: &[&str]) -> Trust {
        let approver = |(at, name): (usize, &&str)| Approver {
            name: (*name).to_owned(),
            key: format!("key {at}"),
        };
        Trust { approvers: names.iter().enumerate().map(approver).collect(), ..trust() }
    }

    #[test]
    fn whoever_asks_is_not_eligible_and_a_person_counts_once() {
        let check = |names: &[&str], named: &[&str], expect: &[&str]| {
            let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
            let named = ApprovalRule::of(1, named, 600);
            let trust = enrolled(names);
            let subject =
                crate::model::caller::Principal { act: vec!["planner".into()], ..agent() }
                    .subject();
            let found: Vec<_> = eligible(&named, &subject, &trust).into_iter().collect();
            assert_eq!(found, expect, "{names:?} {named:?}");
        };
        check(&["bob", "bob", "carl"], &["*"], &["bob", "carl"]);
        check(&["bob", "carl"], &["carl", "dora"], &["carl"]);
        // The agent, its `act` chain and the person it acts for, in any spelling.
        check(&["agent-7", "planner", "alice", "Alice@example.com"], &["*"], &[]);
        check(&[], &["*"], &[]);
        let any = ApprovalRule::of(1, vec!["*".to_owned()], 600);
        let single = Trust { self_approval: true, ..enrolled(&["alice"]) };
        assert_eq!(eligible(&any, &agent().subject(), &single).len(), 1);
    }

    fn asked(names: &[&str], namespace: &str, mode: Mode) -> (Reply, usize) {
        let host = Bench::new();
        let world = crate::journey::World { trust: enrolled(names), ..world() };
        let reply =
            now_or_never(ask(&host, &world, raw(&host, scale(namespace, 5)), mode, &no_progress));
        let jobs = host.jobs.lock().unwrap().len();
        (reply, jobs)
    }

    #[test]
    fn a_question_that_too_few_may_answer_is_refused_at_once() {
        let (Reply::Refused(refusal), 0) = asked(&["alice", "bob"], "asks-two", Mode::Call) else {
            panic!()
        };
        expect![[r#"
            DENIED baaaaaaaaaaaaaaaaaaaaaaaaa by approval-impossible in staging
            Nothing was changed.
            Why: 2 people have to sign this, and only bob may sign.
            Allowed: The same call, once enough approvers are enrolled who may sign it: another person.
            Next: An operator enrols an approver: `cofferdam approver add`, then starts `cofferdam serve` again."#]]
        .assert_eq(&refusal.text());
        for (names, namespace, refused) in [
            (&["bob", "bob"][..], "asks-two", true),
            (&["bob", "carl"], "asks-two", false),
            (&[], "asks-b", true),
            (&["alice"], "asks-b", true),
            (&["carl"], "asks-b", true),
            (&["bob"], "asks-b", false),
            (&[], "prod", true),
            (&["alice"], "prod", true),
        ] {
            let (reply, jobs) = asked(names, namespace, Mode::Call);
            let rule =
                if let Reply::Refused(refusal) = &reply { refusal.rule.as_str() } else { "" };
            assert_eq!(
                (rule == "approval-impossible", jobs == 0),
                (refused, refused),
                "{names:?} {namespace}: {reply:?}"
            );
        }
        let (Reply::Success(preview), _) = asked(&[], "asks-b", Mode::Preview) else { panic!() };
        assert!(
            preview.text.contains("Decision: denied by approval-impossible\nWhy: "),
            "{}",
            preview.text
        );
    }
}
