//! `cofferdam inspect`: what a component could ever do, said by the host from its bytes and its ceiling. Runs a tool's examples in the sandbox, and
//! nothing else.

use super::plugin::{Bench, Kind, Plugin};
use super::report::Report;
use super::trustfile::TrustFile;
use crate::home::Home;
use crate::show;
use anyhow::Result;
use clap::{Args, ValueHint};
use cofferdam_core::ceiling::{Comparison, Definition, Width, compare, destructive, read_only};
use cofferdam_core::text::{line, quoted};
use cofferdam_core::trust::Trust;
use cofferdam_sandbox::limit;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Says what a component imports, what it could ever ask for, what models read of it, and how that stands to what was accepted.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam inspect plugins/target/components/hello.wasm")]
pub struct Inspect {
    /// The component
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

impl Inspect {
    /// Runs it.
    pub fn run(self, home: &Home) -> Result<Report> {
        let plugin = Bench::start()?.read(&self.file)?;
        inspect(&plugin, home)
    }
}

/// The report on a component.
pub fn inspect(plugin: &Plugin, home: &Home) -> Result<Report> {
    // Without a home there is nothing accepted, and nothing wrong either.
    let trust = if home.trust().exists() { Some(TrustFile::open(home)?.trust()?) } else { None };
    match &plugin.kind {
        Kind::Executor(name) => Ok(executor(plugin, name, trust.as_ref())),
        Kind::Command(name) => Ok(command(plugin, name, trust.as_ref())),
        Kind::Tool(tool) => tool_report(plugin, &tool.0, trust.as_ref()),
    }
}

fn head(plugin: &Plugin, title: String) -> Vec<String> {
    let imports = if plugin.imports.is_empty() { "none: it can reach nothing".to_owned() } else { plugin.imports.join(", ") };
    vec![
        title,
        format!("  file     {} ({} bytes)", plugin.path.display(), plugin.bytes.len()),
        format!("  digest   {}", plugin.digest),
        format!("  imports  {imports}"),
    ]
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
    lines.push("It gets one handle per approved operation and may order, wait, stop and undo; it has no other way to anything.".to_owned());
    Report::new(
        lines.join("\n"),
        json!({"kind": "executor", "name": name, "digest": plugin.digest, "imports": plugin.imports, "trust": standing}),
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
        "It reads its input and writes its result, {} KiB at most, in a fresh sandbox of {} MiB. It has no files, no network and no environment;",
        cofferdam_core::limit::TASK_OUTPUT >> 10,
        limit::COMMAND_MEMORY >> 20
    ));
    let same = "asking for the time or for randomness ends it, so the same input gives the same result. Plans name its digest.";
    lines.push(same.to_owned());
    Report::new(
        lines.join("\n"),
        json!({"kind": "command", "name": name, "digest": plugin.digest, "imports": plugin.imports, "trust": standing}),
    )
}

fn tool_report(plugin: &Plugin, definition: &Definition, trust: Option<&Trust>) -> Result<Report> {
    let mut lines = head(plugin, format!("tool {} {}", definition.name, line(&definition.version)));
    let executors = trust.map(|trust| trust.executors.clone()).unwrap_or_default();
    let runs = plugin.examples(&executors);
    lines.push(String::new());
    lines.push("Examples".to_owned());
    for run in &runs {
        let mark = if run.fault.is_none() { "ok  " } else { "BAD " };
        lines.push(format!("  {mark}{}", quoted(&run.example.title)));
        lines.push(format!("      {}", show::scalar(&run.example.arguments)));
        match &run.fault {
            None => lines.push(format!("      {}", show::scalar(run.example.draft.get("summary").unwrap_or(&Value::Null)))),
            Some(fault) => lines.push(format!("      {}", line(fault))),
        }
    }
    lines.push(String::new());
    lines.push("Ceiling: the widest plans it may return".to_owned());
    lines.extend(show::ceiling(&definition.ceiling).into_iter().map(|text| format!("  {text}")));
    let facts = match (read_only(&definition.ceiling), destructive(&definition.ceiling)) {
        (true, _) => "it only ever looks",
        (false, true) => "it could destroy something: by default a person signs each delete",
        (false, false) => "it changes, and destroys nothing",
    };
    lines.push(format!("  {facts}"));
    lines.push(String::new());
    lines.push("As RBAC, at its widest (a job gets only the objects its plan names)".to_owned());
    lines.extend(show::rbac(&definition.ceiling).lines().map(|text| format!("  {text}")));
    lines.push(String::new());
    lines.push("What models read".to_owned());
    lines.push(format!("  title        {}", quoted(&definition.title)));
    lines.push(format!("  description  {}", quoted(&definition.description)));
    lines.push(format!("  arguments    {}", show::scalar(&definition.input_schema)));
    lines.push(format!("  result       {}", show::scalar(&definition.output_schema)));
    lines.push(String::new());
    lines.push("Limits of each call".to_owned());
    let ms = u128::from(limit::TOOL_TICKS) * limit::TICK.as_millis();
    lines.push(format!(
        "  a fresh sandbox, {ms} ms of its own time, {} MiB of memory, a draft of {} KiB",
        limit::TOOL_MEMORY >> 20,
        cofferdam_core::limit::DRAFT >> 10
    ));
    lines.push(String::new());
    let comparison = against(definition, trust)?;
    lines.extend(standing(plugin, definition, trust, comparison.as_ref()));
    let good = runs.iter().all(|run| run.fault.is_none());
    let examples: Vec<Value> = runs
        .iter()
        .map(|run| json!({"title": run.example.title, "arguments": run.example.arguments, "draft": run.example.draft, "fault": run.fault}))
        .collect();
    let value = json!({
        "kind": "tool", "name": definition.name, "version": definition.version, "title": definition.title,
        "description": definition.description, "digest": plugin.digest, "imports": plugin.imports,
        "input_schema": definition.input_schema, "output_schema": definition.output_schema, "ceiling": definition.ceiling,
        "rights": cofferdam_core::rights::of_ceiling(&definition.ceiling), "examples": examples,
        "accepted": trust.and_then(|trust| trust.tool(&definition.name)),
        "width": comparison.as_ref().map(|comparison| width(comparison.width)),
        "added": comparison.as_ref().map(|comparison| &comparison.added), "removed": comparison.as_ref().map(|comparison| &comparison.removed),
    });
    Ok(Report::new(lines.join("\n"), value).good(good))
}

/// How the declared ceiling stands to the accepted one; none where nothing was accepted.
pub fn against(definition: &Definition, trust: Option<&Trust>) -> Result<Option<Comparison>> {
    let accepted = trust.and_then(|trust| trust.tool(&definition.name));
    Ok(accepted.map(|accepted| compare(&accepted.ceiling, &definition.ceiling)).transpose()?)
}

/// One word.
pub fn width(width: Width) -> &'static str {
    match width {
        Width::Narrower => "narrower",
        Width::Same => "same",
        Width::Wider => "wider",
    }
}

fn standing(plugin: &Plugin, definition: &Definition, trust: Option<&Trust>, comparison: Option<&Comparison>) -> Vec<String> {
    let accepted = trust.and_then(|trust| trust.tool(&definition.name));
    let (Some(accepted), Some(comparison)) = (accepted, comparison) else {
        return vec!["Against what was accepted: nothing of this name is accepted yet; `cofferdam accept FILE` accepts it".to_owned()];
    };
    let same =
        if accepted.digest == plugin.digest { "this very component is accepted" } else { "another component of this name is accepted" };
    let mut lines = vec![format!("Against what was accepted: {} ({same})", width(comparison.width))];
    lines.extend(comparison.added.iter().map(|added| format!("  + {added}")));
    lines.extend(comparison.removed.iter().map(|removed| format!("  - {removed}")));
    lines
}
