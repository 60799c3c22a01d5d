//! Checks that a question to people can still be carried out with what is served now. Compares a
//! stored job with one trust file; never decides over the plan again, and never reads a permit.

use crate::model::document::Document;
use crate::model::escape::line;
use crate::model::job::StoredJob;
use crate::model::operation::Draft;
use crate::model::trust::{Trust, TrustedTool};
use crate::policy::approval::eligible;
use crate::stage::plan::PlanError;
use crate::stage::seal;
use crate::stage::seal::SealedPlan;

/// The part that was replaced, narrowed or removed since the question was asked, as one sentence.
/// `None` while an approval of the question can be carried out.
pub fn outdated(job: &StoredJob, trust: &Trust) -> Option<String> {
    const AFTER: &str = "after a person was asked";
    if job.environment != trust.environment {
        return Some(format!(
            "the environment was renamed {AFTER}: it is `{}` now",
            line(&trust.environment.name)
        ));
    }
    if job.policy != trust.policy {
        return Some(format!("the policy was replaced {AFTER}"));
    }
    let tool = match trust.tool(&job.tool) {
        Some(tool) if tool.digest == job.tool_digest => tool,
        Some(_) => {
            return Some(format!(
                "the tool was replaced {AFTER}: `{}` is another component now",
                line(&job.tool)
            ));
        }
        None => {
            return Some(format!(
                "the tool was removed {AFTER}: `{}` is not served any more",
                line(&job.tool)
            ));
        }
    };
    // A plan that cannot be read is for an operator to inspect in the store.
    let (document, _) = Document::read(&job.plan).ok()?;
    if let Some(asked) = &document.executor {
        match trust.executor(&asked.name) {
            Some(executor) if executor.digest == asked.digest => {}
            Some(_) => {
                return Some(format!(
                    "the executor was replaced {AFTER}: `{}` is another component now",
                    line(&asked.name)
                ));
            }
            None => {
                return Some(format!(
                    "the executor was removed {AFTER}: `{}` is not served any more",
                    line(&asked.name)
                ));
            }
        }
    }
    match sealed(document, tool, trust) {
        Ok(sealed) if sealed.digest() == job.plan_digest => {}
        Ok(_) => return Some(format!("the plan was sealed in another form {AFTER}")),
        Err(error @ (PlanError::Beyond { .. } | PlanError::ExecutorBeyond(_))) => {
            return Some(format!(
                "the ceiling of the tool was narrowed {AFTER}: {}",
                line(&error.to_string())
            ));
        }
        Err(error @ PlanError::CommandUnknown { .. }) => {
            return Some(format!(
                "the command was replaced or removed {AFTER}: {}",
                line(&error.to_string())
            ));
        }
        Err(error) => {
            return Some(format!(
                "the plan is refused by what is served now: {}",
                line(&error.to_string())
            ));
        }
    }
    let rule = job.approval.as_ref()?;
    let may = eligible(rule, &job.principal.subject(), trust).len();
    if u32::try_from(may).is_ok_and(|may| may < rule.quorum) {
        let needed = if rule.quorum == 1 {
            "a signature is".to_owned()
        } else {
            format!("{} signatures are", rule.quorum)
        };
        return Some(format!(
            "the approvers were changed {AFTER}: {needed} needed, and {may} enrolled people may \
             sign"
        ));
    }
    None
}

/// The same plan, sealed with what is accepted now.
fn sealed(document: Document, tool: &TrustedTool, trust: &Trust) -> Result<SealedPlan, PlanError> {
    let Document { summary, executor, operations, arguments, .. } = document;
    let draft = Draft { summary, executor: executor.map(|executor| executor.name), operations };
    seal::seal(draft, tool, trust, &arguments, &trust.environment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::{ComponentDigest, PolicyDigest};
    use crate::testing::*;

    #[test]
    fn a_question_stays_while_what_it_needs_is_served() {
        let job = waiting();
        assert_eq!(outdated(&job, &trust()), None);
        // What the plan does not need may change.
        let mut other = trust();
        for grant in &mut other.tools[0].ceiling.grants {
            grant.namespaces = vec!["asks-*".to_owned()];
        }
        other.executors.push(crate::model::trust::TrustedExecutor {
            name: "rollout".into(),
            digest: ComponentDigest::of(b"other"),
        });
        other.floor.actions.clear();
        assert_eq!(outdated(&job, &other), None);
    }

    type Change = fn(&mut Trust);

    #[test]
    fn each_part_that_a_question_needs_is_named_when_it_goes() {
        let changes: [(&str, Change); 9] = [
            ("the environment was renamed after a person was asked: it is `lab` now", |trust| {
                trust.environment.name = "lab".into()
            }),
            ("the policy was replaced after a person was asked", |trust| {
                trust.policy = PolicyDigest::of(b"other")
            }),
            (
                "the tool was replaced after a person was asked: `deployment_scale` is another \
                 component now",
                |trust| {
                    trust.tools[0].digest = ComponentDigest::of(b"other");
                },
            ),
            (
                "the tool was removed after a person was asked: `deployment_scale` is not served \
                 any more",
                |trust| trust.tools.clear(),
            ),
            (
                "the executor was replaced after a person was asked: `sequential` is another \
                 component now",
                |trust| {
                    trust.executors[0].digest = ComponentDigest::of(b"other");
                },
            ),
            (
                "the executor was removed after a person was asked: `sequential` is not served \
                 any more",
                |trust| trust.executors.clear(),
            ),
            (
                "the ceiling of the tool was narrowed after a person was asked: operation 0 is \
                 beyond the tool's ceiling, which lacks the line: patch apps/v1 Deployment in \
                 namespace asks-b",
                |trust| trust.tools[0].ceiling.grants[0].namespaces = vec!["team-a".into()],
            ),
            (
                "the ceiling of the tool was narrowed after a person was asked: the draft names \
                 the executor `sequential`, which is not in the tool's ceiling",
                |trust| trust.tools[0].ceiling.executors.clear(),
            ),
            (
                "the approvers were changed after a person was asked: a signature is needed, and \
                 0 enrolled people may sign",
                |trust| trust.approvers.retain(|approver| approver.name != "bob"),
            ),
        ];
        let job = waiting();
        for (expect, change) in changes {
            let mut trust = trust();
            change(&mut trust);
            assert_eq!(outdated(&job, &trust).as_deref(), Some(expect));
        }
    }
}
