//! The largest questions that an accepted ceiling permits: a policy is tried on them before it is
//! accepted, so that it is not found too slow at a real call. Never asks a policy itself.

use crate::model::ceiling::{EPHEMERAL, Grant};
use crate::model::facts::OperationFacts;
use crate::model::facts::executes_code;
use crate::model::id::{ObjectDigest, PlanDigest, PreviewDigest};
use crate::model::kind;
use crate::model::operation::{Action, Change, Target};
use crate::model::path::FieldPath;
use crate::model::preview::{Expect, PreviewedOperation};
use crate::model::subject::Subject;
use crate::model::trust::TrustedTool;
use crate::model::{json, limit};
use crate::policy::digest::CALL_ENTRYPOINT;
use crate::policy::digest::LIST_ENTRYPOINT;
use crate::policy::input::ActionName;
use crate::policy::input::AskPhase;
use crate::policy::input::Context;
use crate::policy::input::INPUT_SCHEMA;
use crate::policy::input::Input;
use crate::policy::input::ListInput;
use crate::policy::input::PlanFacts;
use crate::policy::input::PreviewFacts;
use crate::tool::facts;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One question of the largest kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Largest {
    /// The tool whose ceiling permits it.
    pub tool: String,
    /// The entry point that it is for.
    pub entrypoint: &'static str,
    /// The question, as canonical JSON text of at most [`limit::POLICY_INPUT`] bytes.
    pub question: String,
    /// A description for people: `a plan of 64 operations with 2048 changes`.
    pub words: String,
}

/// The parts of a policy input besides the plan.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The subject of the input.
    pub subject: &'a Subject,
    /// The time and the place.
    pub context: &'a Context,
    /// Namespaces that the policy knows by name; operations go there where the ceiling permits it.
    pub namespaces: &'a [String],
}

/// The value of each change in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// As many changes as there can be, each with a short value.
    Many,
    /// Values that are long texts.
    Texts,
    /// Values that are long lists of small objects.
    Lists,
}

/// Each action has a plan of its own: rules are often for one of them alone.
const ACTIONS: [Action; 8] = [
    Action::Apply,
    Action::Patch,
    Action::Delete,
    Action::Task,
    Action::Egress,
    Action::Read,
    Action::List,
    Action::Logs,
];

/// The largest policy inputs about these tools, for one caller: for each action the plan with the
/// most changes or fields; of all plans that change an object the largest preview, the longest
/// texts and the longest lists; and the list of the tool with the most lines.
pub fn largest(tools: &[TrustedTool], asker: Asker<'_>) -> Vec<Largest> {
    let changing: Vec<Action> = ACTIONS.into_iter().filter(|action| !action.reads()).collect();
    let alone = ACTIONS.iter().map(|action| (std::slice::from_ref(action), Shape::Many, false));
    let all = [(Shape::Many, true), (Shape::Texts, true), (Shape::Lists, false)];
    let all = all.into_iter().map(|(shape, previewed)| (changing.as_slice(), shape, previewed));
    let calls = alone.chain(all).filter_map(|(actions, shape, previewed)| {
        let plans = tools
            .iter()
            .filter_map(|tool| Some((tool, operations(tool, actions, asker, (shape, previewed))?)));
        let (tool, operations) = plans.max_by_key(|(_, operations)| size(operations))?;
        call(tool, asker, &operations, previewed)
    });
    let longest = tools.iter().max_by_key(|tool| tool.ceiling.grants.len());
    calls.chain(longest.and_then(|tool| list(tool, asker))).collect()
}

fn size(operations: &[OperationFacts]) -> usize {
    operations.iter().map(|operation| 1 + operation.changes.len() + operation.fields.len()).sum()
}

/// Bytes of a question that its plan may take; the rest is for the caller, the tool and commas.
const PLAN_BYTES: usize = limit::POLICY_INPUT - 32 * 1024;

/// Bytes around the value of a change, and around an operation.
const CHANGE_FRAME: usize = 24;
const OPERATION_FRAME: usize = 320;
/// The same in a preview, which has the path and the value twice.
const PREVIEWED_FRAME: usize = 640;

/// As many operations of these actions as a plan may have, each with as many changes as fit; `None`
/// where the ceiling permits no operation of them.
fn operations(
    tool: &TrustedTool,
    actions: &[Action],
    asker: Asker<'_>,
    (shape, previewed): (Shape, bool),
) -> Option<Vec<OperationFacts>> {
    let grants: Vec<&Grant> =
        tool.ceiling.grants.iter().filter(|grant| actions.contains(&grant.action)).collect();
    if grants.is_empty() {
        return None;
    }
    let count = u32::try_from(limit::OPERATIONS).unwrap_or(u32::MAX);
    let mut found: Vec<OperationFacts> = (0..count)
        .zip(grants.iter().cycle())
        .map(|(index, grant)| operation(index, grant, asker.namespaces))
        .collect();
    let frame = OPERATION_FRAME + if previewed { PREVIEWED_FRAME } else { 0 };
    let copies = if previewed { 3 } else { 1 };
    let mut left = PLAN_BYTES.saturating_sub(frame.saturating_mul(found.len()));
    let mut value = values(shape);
    // Round by round, so that each operation gets its share.
    for round in 0.. {
        let mut more = false;
        for (facts, grant) in found.iter_mut().zip(grants.iter().cycle()) {
            let Some(change) = change(grant, round, &mut value) else { continue };
            let bytes = copies
                * (change.path.len()
                    + change.value.as_ref().map_or(4, |value| value.to_string().len())
                    + CHANGE_FRAME);
            if bytes > left {
                return Some(found);
            }
            left -= bytes;
            facts.executes_code |= runs_code(grant, &change.path);
            facts.changes.push(change);
            more = true;
        }
        if !more {
            break;
        }
    }
    Some(found)
}

fn operation(index: u32, grant: &Grant, known: &[String]) -> OperationFacts {
    let pattern = grant.namespaces.first().map_or(EPHEMERAL, String::as_str);
    let namespace = match pattern.strip_suffix('*') {
        Some(prefix) => known
            .iter()
            .find(|name| name.starts_with(prefix))
            .cloned()
            .unwrap_or_else(|| format!("{prefix}x")),
        None => pattern.to_owned(),
    };
    let found = kind::find(&grant.group, &grant.version, &grant.kind).ok();
    let look = grant.action.reads();
    OperationFacts {
        index,
        action: grant.action,
        group: grant.group.clone(),
        version: grant.version.clone(),
        kind: grant.kind.clone(),
        resource: found.map(|kind| kind.resource.to_owned()).unwrap_or_default(),
        destructive: grant.action == Action::Delete && namespace != EPHEMERAL,
        namespace,
        name: format!("object-{index}"),
        fields: if look { grant.fields.clone() } else { Vec::new() },
        changes: Vec::new(),
        executes_code: runs_code(grant, ""),
        discloses: look,
        removes_field: false,
        reversible: false,
    }
}

fn runs_code(grant: &Grant, path: &str) -> bool {
    let pod = kind::find(&grant.group, &grant.version, &grant.kind)
        .map_or::<&[&str], _>(&[], |kind| kind.pod_spec);
    executes_code(grant.action, pod, FieldPath::parse(path).ok().as_slice())
}

/// The change of one round: `None` where the ceiling or the plan permits no further one.
fn change(grant: &Grant, round: usize, value: &mut impl FnMut() -> Value) -> Option<Change> {
    let path = match grant.action {
        Action::Patch if round < limit::CHANGES => field(&grant.fields, round)?,
        Action::Apply => field(&grant.fields, round)?,
        Action::Task => ["task.image", "task.input"].get(round).map(|path| (*path).to_owned())?,
        Action::Egress if round == 0 => field(&grant.fields, round)?,
        _ => return None,
    };
    Some(Change { path, value: Some(value()) })
}

/// The field of one round: each of the ceiling's fields once, then those with a wildcard again.
fn field(fields: &[String], round: usize) -> Option<String> {
    if let Some(field) = fields.get(round) {
        return Some(filled(field, 0));
    }
    let wide: Vec<&String> = fields.iter().filter(|field| field.contains('*')).collect();
    let further = round.checked_sub(fields.len())?;
    let field = wide.get(further.checked_rem(wide.len())?)?;
    Some(filled(field, further / wide.len() + 1))
}

fn filled(field: &str, number: usize) -> String {
    let named = field.replace("[*]", &format!("[name=m{number}]"));
    match named.strip_suffix(".*") {
        Some(above) => format!("{above}.k{number}"),
        None => named.replace(".*.", &format!(".k{number}.")),
    }
}

/// Different values, so that no set makes one of two.
fn values(shape: Shape) -> impl FnMut() -> Value {
    let mut number = 0_u32;
    move || {
        number = number.saturating_add(1);
        match shape {
            Shape::Many if number.is_multiple_of(2) => json!(number),
            Shape::Many => json!(format!("v{number}")),
            Shape::Texts => json!(format!("{number}{}", "a".repeat(4_000))),
            Shape::Lists => (0..100_u32)
                .map(|at| json!({"name": format!("n{number}-{at}"), "value": at}))
                .collect(),
        }
    }
}

fn call(
    tool: &TrustedTool,
    asker: Asker<'_>,
    operations: &[OperationFacts],
    previewed: bool,
) -> Option<Largest> {
    let namespaces: BTreeSet<String> =
        operations.iter().map(|operation| operation.namespace.clone()).collect();
    let preview = PreviewFacts {
        digest: PreviewDigest::of(b""),
        operations: operations.iter().map(shown).collect(),
    };
    let input = Input {
        schema: INPUT_SCHEMA.to_owned(),
        phase: if previewed { AskPhase::Preview } else { AskPhase::Plan },
        subject: asker.subject.clone(),
        action: ActionName { name: "tools/call".to_owned() },
        resource: facts::resource(tool),
        arguments: json!({}),
        plan: Some(PlanFacts {
            digest: PlanDigest::of(b""),
            executor: tool.ceiling.executors.first().cloned(),
            operations: operations.to_vec(),
            namespaces: namespaces.into_iter().collect(),
        }),
        preview: previewed.then_some(preview),
        context: asker.context.clone(),
    };
    let sum = |of: fn(&OperationFacts) -> usize| operations.iter().map(of).sum::<usize>();
    let (changes, fields) =
        (sum(|operation| operation.changes.len()), sum(|operation| operation.fields.len()));
    let what = if changes > 0 { format!("{changes} changes") } else { format!("{fields} fields") };
    question(&input).map(|question| Largest {
        tool: tool.name.clone(),
        entrypoint: CALL_ENTRYPOINT,
        words: format!("a plan of {} operations with {what}", operations.len()),
        question,
    })
}

fn shown(operation: &OperationFacts) -> PreviewedOperation {
    let fields: BTreeMap<String, Value> = operation
        .changes
        .iter()
        .map(|change| (change.path.clone(), change.value.clone().unwrap_or_default()))
        .collect();
    let target = Target {
        group: operation.group.clone(),
        version: operation.version.clone(),
        kind: operation.kind.clone(),
        namespace: operation.namespace.clone(),
        name: operation.name.clone(),
    };
    let expect = Expect::Present { uid: operation.name.clone(), digest: ObjectDigest::of(b"") };
    PreviewedOperation {
        index: operation.index,
        target,
        expect,
        before: fields.clone(),
        after: fields,
        place: String::new(),
        remarks: Vec::new(),
        rest: crate::model::preview::Rest::default(),
    }
}

fn list(tool: &TrustedTool, asker: Asker<'_>) -> Option<Largest> {
    let tools = vec![facts::resource(tool)];
    let (subject, context) = (asker.subject.clone(), asker.context.clone());
    let input = ListInput {
        schema: INPUT_SCHEMA.to_owned(),
        phase: AskPhase::List,
        subject,
        tools,
        context,
    };
    let lines = tool.ceiling.grants.len();
    question(&input).map(|question| Largest {
        tool: tool.name.clone(),
        entrypoint: LIST_ENTRYPOINT,
        words: format!("a list, over {lines} lines of a ceiling"),
        question,
    })
}

fn question<T: serde::Serialize>(input: &T) -> Option<String> {
    json::canonical(&json!(input)).ok().filter(|text| text.len() <= limit::POLICY_INPUT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ceiling::Ceiling;
    use crate::model::id::{ComponentDigest, PolicyDigest};
    use crate::model::subject::SubjectProperties;
    use crate::stage::question::context;
    use crate::testing::{environment, noon};
    use crate::tool::bound::Bound;

    fn tool(name: &str, grants: &[(Action, &str, &str, &[&str])]) -> TrustedTool {
        let grant = |(action, group, kind, fields): &(Action, &str, &str, &[&str])| Grant {
            action: *action,
            group: (*group).to_owned(),
            version: "v1".to_owned(),
            kind: (*kind).to_owned(),
            namespaces: vec!["team-*".to_owned()],
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        };
        let ceiling = Ceiling { grants: grants.iter().map(grant).collect(), executors: Vec::new() };
        TrustedTool {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            digest: ComponentDigest::of(b""),
            ceiling,
        }
    }

    fn asked(tools: &[TrustedTool]) -> Vec<Largest> {
        let properties =
            SubjectProperties { roles: vec!["deployer".to_owned()], person: None, act: Vec::new() };
        let subject = Subject { kind: "agent".to_owned(), id: "ada".to_owned(), properties };
        let context = context(&environment(), PolicyDigest::of(b""), None, None, noon());
        largest(
            tools,
            Asker {
                subject: &subject,
                context: &context,
                namespaces: &["team-a".to_owned(), "other".to_owned()],
            },
        )
    }

    #[test]
    fn the_largest_plans_are_within_their_ceiling_and_at_their_bounds() {
        let tools = [
            tool("small", &[(Action::Patch, "apps", "Deployment", &["spec.replicas"])]),
            tool(
                "wide",
                &[
                    (Action::Patch, "", "ConfigMap", &["data.*"]),
                    (Action::Delete, "", "ConfigMap", &[]),
                ],
            ),
            tool(
                "applies",
                &[(
                    Action::Apply,
                    "apps",
                    "Deployment",
                    &["spec.template.spec.containers[*].image", "spec.replicas"],
                )],
            ),
            tool(
                "looks",
                &[(Action::List, "apps", "Deployment", &["metadata.name", "spec.replicas"])],
            ),
        ];
        let asked = asked(&tools);
        let mut seen = Vec::new();
        for largest in asked.iter().filter(|largest| largest.entrypoint == CALL_ENTRYPOINT) {
            assert!(largest.question.len() <= limit::POLICY_INPUT, "{}", largest.words);
            let input: Input = serde_json::from_str(&largest.question).unwrap();
            let trusted = tools.iter().find(|tool| tool.name == largest.tool).unwrap();
            let bound = Bound::parse(&trusted.ceiling).unwrap();
            let operations = input.plan.unwrap().operations;
            assert_eq!(operations.len(), limit::OPERATIONS);
            for operation in &operations {
                assert_eq!(operation.namespace, "team-a");
                assert!(
                    operation.action != Action::Patch || operation.changes.len() <= limit::CHANGES
                );
                let paths =
                    operation.changes.iter().map(|change| &change.path).chain(&operation.fields);
                let paths: Vec<FieldPath> =
                    paths.map(|path| FieldPath::parse(path).unwrap()).collect();
                let api =
                    (operation.group.as_str(), operation.version.as_str(), operation.kind.as_str());
                assert_eq!(bound.missing(operation.action, api, "team-a", &paths), None);
            }
            seen.push((
                largest.tool.as_str(),
                operations.first().unwrap().action,
                operations.iter().map(|one| one.changes.len()).sum::<usize>(),
            ));
        }
        assert!(seen.contains(&("wide", Action::Patch, 2_048)), "{seen:?}");
        assert!(seen.contains(&("wide", Action::Delete, 0)), "{seen:?}");
        assert!(
            seen.iter().any(|(tool, _, changes)| *tool == "applies" && *changes > 4_000),
            "{seen:?}"
        );
        assert!(seen.contains(&("looks", Action::List, 0)), "{seen:?}");
        assert!(asked.iter().any(|largest| largest.entrypoint == LIST_ENTRYPOINT));
        // Only what the ceilings permit: one field, one change.
        let small = super::tests::asked(&tools[..1]);
        assert!(
            small.iter().all(|largest| largest.entrypoint == LIST_ENTRYPOINT
                || largest.words.contains("changes")),
            "{small:?}"
        );
        assert_eq!(small.first().unwrap().words, "a plan of 64 operations with 64 changes");
    }
}
