//! `cofferdam try`: runs a component that is not accepted yet: draft, ceiling check, and in an
//! installation the decision and the preview, as an agent would get them. Records nothing, queues
//! nothing, accepts nothing.

mod trial;
mod viewer;

use super::plugin::{Bench, Kind, Plugin, within};
use super::report::{Report, Usage};
use crate::config::home::Home;
use crate::config::{Agents, Installation};
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueHint};
use cofferdam_core::model::answer::Reply;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::ceiling::Definition;
use cofferdam_core::model::escape::line;
use cofferdam_core::model::json;
use cofferdam_core::model::operation::Draft;
use cofferdam_core::tool::load::check_definition;
use cofferdam_core::tool::schema::PURPOSE;
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::PathBuf;

/// Runs a tool that is not accepted yet and checks its plan against its own ceiling. In an
/// installation, also prints the decision of the policy and the preview. Nothing is recorded or
/// changed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam try target/components/label_set.wasm --args \
                        '{\"namespace\": \"team-a\", \"name\": \"web\"}'\n  cofferdam try \
                        label_set.wasm --agent release-bot --args - < arguments.json\n\nExit \
                        code 1: the tool or the policy refuses, or the draft is outside the \
                        ceiling.")]
pub struct Try {
    /// The file of the component
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// The arguments as one JSON object; `-` reads it from standard input
    #[arg(long, value_name = "JSON")]
    args: String,
    /// The calling agent, one of `cofferdam agents list` [default: the only agent, or a caller
    /// without a token]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
}

impl Try {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let arguments = arguments(&self.args)?;
        let bench = Bench::start()?;
        let plugin = bench.read(&self.file)?;
        let Kind::Tool(definition) = &plugin.kind else {
            bail!(
                "`{}` is not a tool, and only tools can be tried; `cofferdam inspect` shows \
                 executors and commands",
                self.file.display()
            );
        };
        let drafted = Drafted::of(&plugin, definition, &arguments)?;
        let mut lines = vec![format!(
            "tool {} {}, {}",
            definition.name,
            line(&definition.version),
            plugin.digest
        )];
        lines.extend(drafted.lines());
        let mut value = json!({
            "name": definition.name, "version": definition.version, "digest": plugin.digest,
            "draft": drafted.draft, "fault": drafted.error,
        });
        let mut good = drafted.error.is_none();
        if !home.trust().exists() {
            if self.agent.is_some() {
                return Err(
                    Usage("`--agent` needs an installation: give `--home DIR`".to_owned()).into()
                );
            }
            lines.push(String::new());
            lines.push(
                "There is no installation here, so no policy decides; `cofferdam init TREE` makes \
                 one."
                    .to_owned(),
            );
            return Ok(Report::new(lines.join("\n"), value).good(good));
        }
        let installation = Installation::read(home.clone())?;
        let principal = principal(&installation.agents, self.agent.as_deref())?;
        let asked =
            trial::ask(&bench, &plugin, definition, &installation, principal.clone(), arguments)?;
        let (told, answer, well) = describe(asked, &definition.name, &principal);
        good &= well;
        lines.push(String::new());
        lines.push(format!("What `{}` would be told if this tool were accepted", principal.name));
        lines.extend(told.lines().map(|text| format!("  {text}")));
        if let Some(members) = value.as_object_mut() {
            members.insert("agent".to_owned(), json!(principal.name));
            members.insert("answer".to_owned(), answer);
            members.insert("text".to_owned(), json!(told));
        }
        Ok(Report::new(lines.join("\n"), value).good(good))
    }
}

fn arguments(given: &str) -> Result<Value> {
    let text = if given == "-" {
        let mut text = String::new();
        let most = u64::try_from(cofferdam_core::model::limit::BODY).unwrap_or(u64::MAX);
        std::io::stdin()
            .lock()
            .take(most)
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        text
    } else {
        given.to_owned()
    };
    let mismatch = |why: String| Usage(format!("`--args` is not a JSON object: {why}"));
    match json::strict(text.as_bytes()) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(mismatch("it is another value".to_owned()).into()),
        Err(why) => Err(mismatch(why.to_string()).into()),
    }
}

/// The draft of the tool, before any policy.
struct Drafted {
    draft: Option<Draft>,
    /// The error of the schema, the tool or the ceiling.
    error: Option<String>,
}

impl Drafted {
    fn of(plugin: &Plugin, definition: &Definition, arguments: &Value) -> Result<Self> {
        let mut arguments = arguments.clone();
        // A member of the gateway never reaches a tool.
        if let Some(members) = arguments.as_object_mut() {
            members.remove(PURPOSE);
        }
        let none = |error: String| Ok(Self { draft: None, error: Some(error) });
        let (input, _) = check_definition(definition)?;
        if let Err(error) = input.check(&arguments) {
            return none(format!("the arguments do not fit the schema: {error}"));
        }
        let draft = match plugin.plan(&json::canonical(&arguments)?) {
            Ok(Ok(draft)) => draft,
            Ok(Err(refusal)) => {
                return none(format!(
                    "the tool refuses: {} {}",
                    line(&refusal.reason),
                    line(&refusal.remedy)
                ));
            }
            Err(error) => return none(format!("the tool gives no draft: {error}")),
        };
        let error =
            within(draft.clone(), &plugin.trusted(definition, definition.ceiling.clone()), &[])
                .err();
        Ok(Self {
            draft: Some(draft),
            error: error.map(|error| format!("the draft is refused: {error:#}")),
        })
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(draft) = &self.draft {
            lines.push("Draft".to_owned());
            let text = serde_json::to_string_pretty(draft).unwrap_or_default();
            lines.extend(text.lines().map(|text| format!("  {}", line(text))));
        }
        match &self.error {
            None => lines.push("Ceiling: the draft lies within it".to_owned()),
            Some(error) => lines.push(format!("Error: {}", line(error))),
        }
        lines
    }
}

/// The caller of the trial.
fn principal(agents: &Agents, wanted: Option<&str>) -> Result<Principal> {
    let names =
        || agents.list().iter().map(|agent| agent.name.as_str()).collect::<Vec<_>>().join("`, `");
    match (wanted, agents.list()) {
        (Some(name), list) => match list.iter().find(|agent| agent.name == name) {
            Some(agent) => Ok(agent.principal()),
            None if list.is_empty() => {
                Err(Usage(format!("there is no agent `{name}`; `cofferdam agents add` makes one"))
                    .into())
            }
            None => {
                Err(Usage(format!("there is no agent `{name}`; there are `{}`", names())).into())
            }
        },
        (None, []) => {
            let name = "anonymous".to_owned();
            Ok(Principal {
                name,
                anonymous: true,
                roles: Vec::new(),
                person: None,
                act: Vec::new(),
            })
        }
        (None, [only]) => Ok(only.principal()),
        (None, _) => {
            Err(Usage(format!("say which agent asks, with `--agent`: `{}`", names())).into())
        }
    }
}

/// The reply as text, as JSON, and whether it is not a refusal. A trial has no ledger entry.
fn describe(reply: Reply, name: &str, principal: &Principal) -> (String, Value, bool) {
    let (text, value, good) = match reply {
        Reply::Success(success) => (success.text, success.structured, true),
        Reply::Listed(listed) => (listed.text, listed.structured, true),
        Reply::Refused(refusal) => {
            let value = json!({"rule": refusal.rule, "why": refusal.why,
            "allowed": refusal.allowed, "next": refusal.next});
            (refusal.text(), value, false)
        }
        Reply::BadArguments { path, reason } => (
            cofferdam_edge::bad_arguments(&path, &reason),
            json!({"path": path, "reason": reason}),
            false,
        ),
        Reply::UnknownTool { .. } => {
            let roles = principal.roles.join(", ");
            let text = format!(
                "unknown tool: {name}; policy does not show it to `{}` (roles: {roles}), or this \
                 environment cannot carry it out",
                principal.name
            );
            (text, Value::Null, false)
        }
        Reply::Busy { reason, .. }
        | Reply::OverLimit { reason, .. }
        | Reply::Unavailable { reason } => (reason, Value::Null, false),
    };
    let kept =
        text.lines().filter(|line| !line.starts_with("Ledger: ")).collect::<Vec<_>>().join("\n");
    (kept, value, good)
}
