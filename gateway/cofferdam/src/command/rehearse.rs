//! Measures a policy with the largest inputs that the accepted ceilings permit, before it is
//! accepted. Here, and not at the first real call, a policy is refused that needs too much time or
//! memory. Decides nothing else.

use super::plugin::Bench;
use anyhow::{Context as _, Result};
use cofferdam_core::journey::ports::GuestError;
use cofferdam_core::model::ceiling::{Ceiling, Grant};
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::operation::Action;
use cofferdam_core::model::subject::{Subject, SubjectProperties};
use cofferdam_core::model::trust::TrustedTool;
use cofferdam_core::policy::input::Context;
use cofferdam_core::protocol::role_guest::{Trial, Tried};
use cofferdam_core::stage::largest::{Asker, Largest, largest};
use cofferdam_sandbox::limit;
use serde_json::Value;
use std::collections::BTreeSet;

/// The share of the limits that a decision for the largest input may use: one half. The other half
/// is for slower machines and for larger inputs.
const SHARE: u64 = 2;

/// The most names of one sort that the caller of a trial has: no caller has more roles.
const NAMES: usize = 32;

/// The largest measured need of all inputs, or the accepted limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// WebAssembly instructions.
    pub instructions: u64,
    /// The memory in bytes.
    pub memory: u64,
}

impl Needs {
    /// The accepted limit.
    pub fn most() -> Self {
        let memory = u64::try_from(limit::POLICY_MEMORY).unwrap_or(u64::MAX);
        Self { instructions: limit::POLICY_INSTRUCTIONS / SHARE, memory: memory / SHARE }
    }
}

/// Measures a policy with the largest inputs of these tools.
///
/// # Errors
/// `time` or `memory`: names the measure, the limit, the input and the tool.
pub fn rehearse(
    bench: &Bench,
    policy: (&[u8], &str),
    tools: &[TrustedTool],
    context: &Context,
) -> Result<Needs> {
    attempt(bench, policy, tools, context, |_| true)
}

/// Measures a policy with the largest inputs that new tools add. It was already measured with the
/// others.
///
/// # Errors
/// As [`rehearse`].
pub fn rehearse_new(
    bench: &Bench,
    policy: (&[u8], &str),
    tools: &[TrustedTool],
    new: &[&str],
    context: &Context,
) -> Result<Needs> {
    attempt(bench, policy, tools, context, |asked| new.contains(&asked.tool.as_str()))
}

fn attempt(
    bench: &Bench,
    (module, data): (&[u8], &str),
    tools: &[TrustedTool],
    context: &Context,
    wanted: impl Fn(&Largest) -> bool,
) -> Result<Needs> {
    let document: Value = serde_json::from_str(data).context("data.json is not readable")?;
    let namespaces = named(&document, "namespaces");
    let ask =
        |subject: &Subject| largest(tools, Asker { subject, context, namespaces: &namespaces });
    let mut asked = ask(&caller(&document));
    // Rules often treat a caller without a name separately.
    asked.extend(ask(&anonymous()).into_iter().max_by_key(|asked| asked.question.len()));
    asked.retain(wanted);
    if asked.is_empty() {
        return Ok(Needs::default());
    }
    let policy = bench.trial(module, data)?;
    let trials: Vec<Trial> = asked.iter().map(trial).collect();
    let mut needs = Needs::default();
    for (asked, tried) in asked.iter().zip(policy.attempt(&trials)?) {
        if let Some(excess) = exceeded(&tried) {
            return Err(refusal(asked, &excess, data.len()));
        }
        needs = Needs {
            instructions: needs.instructions.max(tried.instructions),
            memory: needs.memory.max(tried.memory),
        };
    }
    Ok(needs)
}

/// The widest possible tool, for policies that are built without an installation.
pub fn widest() -> TrustedTool {
    let grant = |action, group: &str, kind: &str, fields: &[&str]| Grant {
        action,
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespaces: vec!["*".to_owned()],
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    };
    let pod = [
        "spec.replicas",
        "spec.template.spec.containers[*].image",
        "spec.template.spec.containers[*].ports",
        "spec.template.spec.containers[*].resources.limits.*",
        "spec.template.metadata.annotations.*",
    ];
    let grants = vec![
        grant(Action::Apply, "", "ConfigMap", &["data.*"]),
        grant(Action::Apply, "apps", "Deployment", &pod),
        grant(Action::Patch, "", "ConfigMap", &["data.*"]),
        grant(Action::Patch, "apps", "Deployment", &pod),
        grant(Action::Delete, "apps", "Deployment", &[]),
        grant(Action::Task, "", "Pod", &[]),
        grant(
            Action::Egress,
            "networking.k8s.io",
            "NetworkPolicy",
            &["egress.siblings", "egress.addresses.*"],
        ),
        grant(Action::Read, "apps", "Deployment", &pod),
        grant(Action::List, "apps", "Deployment", &pod),
        grant(Action::Logs, "", "Pod", &[]),
    ];
    TrustedTool {
        name: "widest".to_owned(),
        version: "0.0.0".to_owned(),
        digest: ComponentDigest::of(b""),
        ceiling: Ceiling { grants, executors: vec!["sequential".to_owned()] },
    }
}

fn trial(asked: &Largest) -> Trial {
    Trial {
        entrypoint: asked.entrypoint.to_owned(),
        input: Some(asked.question.clone()),
        test: false,
    }
}

/// The measure above its limit.
struct Excess {
    code: &'static str,
    used: String,
    most: String,
}

/// Any other error is an answer of the policy to an input that no caller can make: a real call
/// would be denied.
fn exceeded(tried: &Tried) -> Option<Excess> {
    let code = tried.fault.as_ref().map_or("", |(code, _)| code.as_str());
    let most = Needs::most();
    let more = |error: &str| if code == error { "more than " } else { "" };
    if code == "memory" || tried.memory > most.memory {
        let used = format!("{}{} MiB of memory", more("memory"), tried.memory >> 20);
        return Some(Excess { code: "memory", used, most: format!("{} MiB", most.memory >> 20) });
    }
    if code == "time" || tried.instructions > most.instructions {
        let used = format!("{}{} million instructions", more("time"), tried.instructions / MILLION);
        let ms =
            limit::TICK.as_millis().saturating_mul(limit::POLICY_TICKS.into()) / u128::from(SHARE);
        return Some(Excess {
            code: "time",
            used,
            most: format!("{} million, some {ms} ms,", most.instructions / MILLION),
        });
    }
    None
}

/// The unit of instructions in texts.
pub const MILLION: u64 = 1_000_000;

fn refusal(asked: &Largest, excess: &Excess, data: usize) -> anyhow::Error {
    let remedy = match excess.code {
        "memory" => format!(
            "keep only what the rules need in data.json, which has {} KiB, and make no list of \
             lists",
            data >> 10
        ),
        _ => "look at each change once, not at each pair of two; keep long lists of data.json as \
              objects, and look a name up by its key"
            .to_owned(),
    };
    let Excess { code, used, most } = excess;
    let (words, tool) = (&asked.words, &asked.tool);
    let detail = format!(
        "over the largest question that the ceiling of the tool `{tool}` permits, {words}, the \
         policy needs {used}; at most {most} are accepted, half of what a decision has; {remedy}"
    );
    GuestError { code: (*code).to_owned(), detail }.into()
}

/// A caller with every role in the data, who acts for a person in the data.
fn caller(document: &Value) -> Subject {
    let mut roles = named(document, "roles");
    roles.extend(keys(document, "roles"));
    roles.truncate(NAMES);
    let person = named(document, "people").into_iter().next();
    subject("agent", "largest", roles, person)
}

fn anonymous() -> Subject {
    subject("anonymous", "anonymous", Vec::new(), None)
}

fn subject(kind: &str, id: &str, roles: Vec<String>, person: Option<String>) -> Subject {
    let properties = SubjectProperties { roles, person, act: Vec::new() };
    Subject { kind: kind.to_owned(), id: id.to_owned(), properties }
}

/// The texts of every list under this key, anywhere in the data, without patterns.
fn named(document: &Value, key: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    visit(document, &mut |name, value| {
        if let Some(list) = value.as_array().filter(|_| name == key) {
            found.extend(
                list.iter()
                    .filter_map(Value::as_str)
                    .filter(|text| !text.contains('*'))
                    .map(str::to_owned),
            );
        }
    });
    found.into_iter().take(NAMES).collect()
}

/// The keys of every object under this key.
fn keys(document: &Value, key: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    visit(document, &mut |name, value| {
        if let Some(object) = value.as_object().filter(|_| name == key) {
            found.extend(object.keys().cloned());
        }
    });
    found.into_iter().take(NAMES).collect()
}

/// Each key with its value, at any depth: JSON is read to a depth of 128.
fn visit(value: &Value, see: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                see(key, value);
                visit(value, see);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| visit(value, see)),
        _ => {}
    }
}
