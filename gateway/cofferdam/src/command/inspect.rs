//! `cofferdam inspect`: prints the widest effects of a component, from its bytes and its ceiling.
//! Runs only the examples of a tool, in the sandbox.

use super::baseline::{Baseline, Compared, few, width};
use super::plugin::{Bench, Kind, Plugin};
use super::report::Report;
use crate::command::show;
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use anyhow::{Result, bail};
use clap::{Args, ValueHint};
use cofferdam_core::model::ceiling::Definition;
use cofferdam_core::model::escape::{line, quoted};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::tool::facts::{destructive, read_only};
use cofferdam_sandbox::limit;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The most characters of an example's arguments: two lines of a terminal; `--json` has all.
const EXAMPLE: usize = 200;

/// Prints the imports of a component, its ceiling, its texts for models, and the differences from
/// the accepted component. Exits with 1 if the component would not load.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam inspect plugins/target/components/hello.wasm\n  \
                        cofferdam inspect new/hello.wasm --against old/hello.wasm")]
pub struct Inspect {
    /// The file of the component
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Compare it with this component instead of the accepted one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    against: Option<PathBuf>,
}

impl Inspect {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let bench = Bench::start()?;
        let plugin = bench.read(&self.file)?;
        let Some(file) = self.against else { return inspect(&bench, &plugin, home) };
        let other = bench.read(&file)?;
        let (Kind::Tool(old), Kind::Tool(new)) = (&other.kind, &plugin.kind) else {
            bail!("`--against` compares two tools");
        };
        let before = Baseline::file(format!("`{}`", file.display()), &other, old);
        tool_report(&plugin, new, None, Some(before.compare(&plugin, new, &new.ceiling)?))
    }
}

/// The report on a component, compared with the accepted one of its name.
pub fn inspect(bench: &Bench, plugin: &Plugin, home: &Home) -> Result<Report> {
    // Without a home there is no accepted component; that is not an error.
    let trust = if home.trust().exists() { Some(TrustFile::open(home)?.trust()?) } else { None };
    match &plugin.kind {
        Kind::Executor(name) => Ok(executor(plugin, name, trust.as_ref())),
        Kind::Command(name) => Ok(command(plugin, name, trust.as_ref())),
        Kind::Tool(definition) => {
            let before = trust
                .as_ref()
                .and_then(|trust| Baseline::accepted(bench, home, trust, plugin, definition));
            let compared = before
                .map(|before| before.compare(plugin, definition, &definition.ceiling))
                .transpose()?;
            tool_report(plugin, definition, trust.as_ref(), compared)
        }
    }
}

fn head(plugin: &Plugin, title: String) -> Vec<String> {
    let imports = if plugin.imports.is_empty() {
        "none: it can reach nothing".to_owned()
    } else {
        plugin.imports.join(", ")
    };
    let mut lines = vec![
        title,
        format!("  file     {} ({} bytes)", plugin.path.display(), plugin.bytes.len()),
        format!("  digest   {}", plugin.digest),
        format!("  imports  {imports}"),
    ];
    if !plugin.unused.is_empty() {
        lines.push(format!("  exports  also {}, which is never called", plugin.unused.join(", ")));
    }
    lines
}

fn executor(plugin: &Plugin, name: &str, trust: Option<&Trust>) -> Report {
    let accepted = trust.and_then(|trust| trust.executor(name));
    let standing = match accepted {
        None => "not accepted",
        Some(accepted) if accepted.digest == plugin.digest => "accepted, this very component",
        Some(_) => "another component of this name is accepted",
    };
    let mut lines = head(plugin, format!("executor {}", line(name)));
    lines.push(format!("  trust    {standing}"));
    lines.push(
        "It gets one handle per approved operation and may order, wait, stop and undo; it has no \
         other way to anything."
            .to_owned(),
    );
    Report::new(
        lines.join("\n"),
        json!({"kind": "executor", "name": name, "digest": plugin.digest,
        "imports": plugin.imports, "trust": standing}),
    )
}

fn command(plugin: &Plugin, name: &str, trust: Option<&Trust>) -> Report {
    let named = trust.and_then(|trust| trust.commands.iter().find(|command| command.name == name));
    let standing = match (trust.and_then(|trust| trust.command(plugin.digest)), named) {
        (Some(_), _) => "accepted, this very component",
        (None, Some(_)) => "another component of this name is accepted",
        (None, None) => "not accepted",
    };
    let mut lines = head(plugin, format!("command {}", line(name)));
    lines.push(format!("  trust    {standing}"));
    lines.push(format!(
        "It reads its input and writes its result, {} KiB at most, in a fresh sandbox of {} MiB. \
         It has no files, no network and no environment;",
        cofferdam_core::model::limit::TASK_OUTPUT >> 10,
        limit::COMMAND_MEMORY >> 20
    ));
    let same = "asking for the time or for randomness ends it, so the same input gives the same \
                result. Plans name its digest.";
    lines.push(same.to_owned());
    Report::new(
        lines.join("\n"),
        json!({"kind": "command", "name": name, "digest": plugin.digest, "imports": plugin.imports,
        "trust": standing}),
    )
}

fn tool_report(
    plugin: &Plugin,
    definition: &Definition,
    trust: Option<&Trust>,
    compared: Option<Compared>,
) -> Result<Report> {
    let warnings = plugin.warnings()?;
    let mut lines = head(plugin, format!("tool {} {}", definition.name, line(&definition.version)));
    let executors = trust.map(|trust| trust.executors.clone()).unwrap_or_default();
    let runs = plugin.examples(&executors);
    lines.push(String::new());
    lines.push("Examples".to_owned());
    for run in &runs {
        let mark = if run.error.is_none() { "ok  " } else { "BAD " };
        lines.push(format!("  {mark}{}", quoted(&run.example.title)));
        lines
            .push(format!("      {}", show::short(&show::scalar(&run.example.arguments), EXAMPLE)));
        match &run.error {
            None => lines.push(format!(
                "      {}",
                show::scalar(run.example.draft.get("summary").unwrap_or(&Value::Null))
            )),
            Some(error) => lines.push(format!("      {}", line(error))),
        }
    }
    lines.push(String::new());
    lines.push("Ceiling: the widest plans it may return".to_owned());
    lines.extend(indented(show::ceiling(&definition.ceiling)));
    let facts = match (read_only(&definition.ceiling), destructive(&definition.ceiling)) {
        (true, _) => "it only ever looks",
        (false, true) => "it could destroy something: by default a person signs each delete",
        (false, false) => {
            "it changes; it deletes no object, and may remove fields that its lines name"
        }
    };
    lines.push(format!("  {facts}"));
    lines.push(String::new());
    lines.push("As RBAC, at its widest (a job gets only the objects its plan names)".to_owned());
    lines.extend(indented(show::rbac(&definition.ceiling).lines().map(str::to_owned)));
    lines.push(String::new());
    lines.push("What models read (`--json` has the whole schemas)".to_owned());
    lines.push(format!("  title        {}", quoted(&definition.title)));
    lines.push(format!("  description  {}", quoted(&definition.description)));
    lines.push("  arguments".to_owned());
    lines.extend(indented(indented(show::members(&definition.input_schema))));
    lines.push("  result".to_owned());
    lines.extend(indented(indented(show::members(&definition.output_schema))));
    if !warnings.is_empty() {
        lines.push(String::new());
        lines.push("Some hosts of models refuse its schemas".to_owned());
        let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        lines.extend(indented(few("!", &told)));
    }
    lines.push(String::new());
    lines.push("Limits of each call".to_owned());
    let ms = u128::from(limit::TOOL_TICKS) * limit::TICK.as_millis();
    lines.push(format!(
        "  a fresh sandbox, {ms} ms of its own time, {} MiB of memory, a draft of {} KiB",
        limit::TOOL_MEMORY >> 20,
        cofferdam_core::model::limit::DRAFT >> 10
    ));
    lines.push(String::new());
    lines.extend(standing(compared.as_ref()));
    let good = runs.iter().all(|run| run.error.is_none());
    let examples: Vec<Value> = runs
        .iter()
        .map(|run| {
            json!({"title": run.example.title, "arguments": run.example.arguments,
        "draft": run.example.draft, "fault": run.error})
        })
        .collect();
    let ceiling = compared.as_ref().map(|compared| &compared.ceiling);
    let value = json!({
        "kind": "tool", "name": definition.name, "version": definition.version,
        "title": definition.title,
        "description": definition.description, "digest": plugin.digest, "imports": plugin.imports,
        "unused": plugin.unused,
        "input_schema": definition.input_schema, "output_schema": definition.output_schema,
        "ceiling": definition.ceiling,
        "rights": cofferdam_core::model::rights::of_ceiling(&definition.ceiling),
        "examples": examples, "warnings": warnings,
        "accepted": trust.and_then(|trust| trust.tool(&definition.name)),
        "width": ceiling.map(|ceiling| width(ceiling.width)),
        "added": ceiling.map(|ceiling| &ceiling.added),
        "removed": ceiling.map(|ceiling| &ceiling.removed),
        "changed": compared.as_ref().and_then(|compared| compared.changed.as_ref()),
    });
    Ok(Report::new(lines.join("\n"), value).good(good))
}

fn indented(lines: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    lines.into_iter().map(|text| format!("  {text}"))
}

fn standing(compared: Option<&Compared>) -> Vec<String> {
    let Some(compared) = compared else {
        return vec![
            "Against what was accepted: nothing of this name is accepted yet; `cofferdam accept \
             FILE` accepts it"
                .to_owned(),
        ];
    };
    let same = match (compared.same, compared.changed.as_ref().is_some_and(Vec::is_empty)) {
        (true, _) => "this very component",
        (false, true) => "another component; what it says of itself is the same",
        (false, false) => "another component",
    };
    let named = &compared.before.named;
    let mut lines = vec![format!(
        "Against {named}: its ceiling is {} ({same})",
        match width(compared.ceiling.width) {
            "same" => "the same",
            other => other,
        }
    )];
    lines.extend(indented(compared.lines()));
    lines
}
